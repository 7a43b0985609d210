/* spool_file.h — a spool's records on disk: batches and marks in order. Removed when freed. One thread. */
#ifndef DM_MIRROR_SPOOL_FILE_H
#define DM_MIRROR_SPOOL_FILE_H

#include "column/batch.h"

enum dm_spool_record_kind { DM_SPOOL_TABLE = 1, DM_SPOOL_BATCH, DM_SPOOL_TRUNCATE };

struct dm_spool_record {
    enum dm_spool_record_kind kind;
    uint32_t entry;         /* the spool's number of the table definition */
    uint32_t txn;           /* not of a BATCH: each of its rows has its own */
    uint32_t subxid;        /* likewise */
    struct dm_batch *batch; /* BATCH; owned */
};

struct dm_spool_file;

/* A new file in the folder (created when needed). */
enum dm_status dm_spool_file_new(const char *folder, struct dm_spool_file **out,
                                 struct dm_error *err) DM_MUST_USE;
void dm_spool_file_free(struct dm_spool_file *f); /* NULL is fine */
/* The batch stays the caller's. */
enum dm_status dm_spool_file_append(struct dm_spool_file *f, const struct dm_spool_record *r,
                                    struct dm_error *err) DM_MUST_USE;
/* Ends writing; reading starts at the first record. */
enum dm_status dm_spool_file_rewind(struct dm_spool_file *f, struct dm_error *err) DM_MUST_USE;
/* The next record, its batch given away; DM_END after the last. */
enum dm_status dm_spool_file_next(struct dm_spool_file *f, struct dm_spool_record *r,
                                  struct dm_error *err) DM_MUST_USE;

#endif
