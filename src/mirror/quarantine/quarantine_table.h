/* quarantine_table.h — table dm_quarantine in the lake's catalog.db: rows that could not be applied, with all that is needed to look at them and to try
 * them again.
 *
 *   dataset, reason, message, key, op    what it is and why it is here
 *   source, position, time_us            who brought it, from where ("orders.csv:17", a log position), when
 *   raw, raw_bytes                       the row as JSON text. Up to DM_QUARANTINE_RAW_MAX bytes are kept whole; of a longer one the first
 *                                        DM_QUARANTINE_RAW_KEPT bytes, and raw_bytes says how long it was (else NULL): position leads to the whole
 *   waits_for, parent_key, row_key,      children that wait for their parent (orphan.h); else NULL. waits_for 0: something changed that what
 *   version, relationship                it misses depends on, so it is to be asked again. Table dm_waits_also has further parents that it misses
 *   names                                the names that its columns had (quarantine_names.h). Readers get a row by the names of now
 *
 * The functions run on the caller's connection, inside its transaction if one is open. One thread at a time a connection.
 */
#ifndef DM_MIRROR_QUARANTINE_TABLE_H
#define DM_MIRROR_QUARANTINE_TABLE_H

#include "column/batch.h"

struct sqlite3;
struct sqlite3_stmt;

#define DM_QUARANTINE_RAW_MAX ((size_t)16 << 20)
#define DM_QUARANTINE_RAW_KEPT ((size_t)64 << 10)

/* Makes the table, or gives an older one the columns it lacks. */
enum dm_status dm_quarantine_create(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;

/* What a child waits for. Borrowed. */
struct dm_missing_parent {
    uint32_t dataset;   /* its number */
    const uint8_t *key; /* order-preserving bytes, as the key index has them */
    size_t key_len;
};
struct dm_waiting_for {
    const char *relationship; /* of the first */
    size_t n_parents;         /* all that it misses, at least one */
    const struct dm_missing_parent *parents;
    const uint8_t *row_key, *version; /* of the row, like the parents' keys */
    size_t row_key_len, version_len;
};

/* Writes many rows with one statement. Zeroed struct is ready; release when done, before the connection is closed. */
struct dm_quarantine_writer {
    struct sqlite3_stmt *insert, *also;
};
void dm_quarantine_writer_release(struct dm_quarantine_writer *w);
/* `waits` is NULL unless the row waits for its parent. */
enum dm_status dm_quarantine_add(struct dm_quarantine_writer *w, struct sqlite3 *db, uint32_t dataset,
                                 const struct dm_bad_row *row, const char *source, const char *position,
                                 const struct dm_waiting_for *waits, struct dm_error *err) DM_MUST_USE;

/* A row as it is read; texts are borrowed for the call. */
struct dm_quarantine_row {
    int64_t id;
    uint32_t dataset;
    const char *reason;
    const char *message;
    const char *key;    /* may be NULL */
    const char *raw;    /* may be NULL */
    uint64_t raw_bytes; /* 0: raw is whole */
    enum dm_op op;
    const char *source;   /* may be NULL: written by an older version */
    const char *position; /* may be NULL */
    int64_t time_us;
    bool waiting;
};
typedef enum dm_status (*dm_quarantine_fn)(void *ctx, const struct dm_quarantine_row *row,
                                           struct dm_error *err);

/* Which rows are meant. Zero: all. */
struct dm_quarantine_choice {
    uint32_t dataset;   /* 0: of all */
    const char *reason; /* NULL: any */
    size_t n_ids;       /* 0: any */
    const int64_t *ids;
    int64_t after; /* only ids above this one */
    size_t limit;  /* 0: no limit */
};
/* In the order in which they came. fn may not write to the table. */
enum dm_status dm_quarantine_each(struct sqlite3 *db, const struct dm_quarantine_choice *choice,
                                  dm_quarantine_fn fn, void *ctx, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_quarantine_count(struct sqlite3 *db, const struct dm_quarantine_choice *choice, uint64_t *n,
                                   struct dm_error *err) DM_MUST_USE;
/* *n (may be NULL): rows removed. */
enum dm_status dm_quarantine_remove(struct sqlite3 *db, const struct dm_quarantine_choice *choice,
                                    uint64_t *n, struct dm_error *err) DM_MUST_USE;

/* The dataset's key, version or rules, or what stands for its rows as a parent, may be other ones now: what waits in it or for it is asked again by the
 * next dm_orphans_release. */
enum dm_status dm_quarantine_ask_again(struct sqlite3 *db, uint32_t dataset,
                                       struct dm_error *err) DM_MUST_USE;

/* One line of the overview. */
struct dm_quarantine_group {
    uint32_t dataset;
    const char *reason;
    const char *message; /* of the last row */
    uint64_t rows;
    int64_t first_us, last_us;
    bool waiting;
};
typedef enum dm_status (*dm_quarantine_group_fn)(void *ctx, const struct dm_quarantine_group *g,
                                                 struct dm_error *err);
/* By dataset number and reason; dataset 0: all. */
enum dm_status dm_quarantine_groups(struct sqlite3 *db, uint32_t dataset, dm_quarantine_group_fn fn,
                                    void *ctx, struct dm_error *err) DM_MUST_USE;

#endif
