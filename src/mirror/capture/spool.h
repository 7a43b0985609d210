/* spool.h — changes put aside until they may take effect, in memory first and on disk when they are many.
 *
 * Used for (1) a streamed transaction that is not committed yet, and (2) the changes of a table while it is being copied. Order is kept per
 * table; transactions are numbered in the spool (dm_spool_txn), and each row carries its number in batch->txns.
 * Rows of aborted subtransactions are dropped when the spool is replayed. One thread. The file is removed by dm_spool_free.
 */
#ifndef DM_MIRROR_SPOOL_H
#define DM_MIRROR_SPOOL_H

#include "mirror/commit/commit_unit.h"

struct dm_spool;

/* `folder` is where the file goes when one is needed; `memory` is how many bytes may stay in memory. */
struct dm_spool *dm_spool_new(const char *folder, size_t memory);
void dm_spool_free(struct dm_spool *s); /* NULL is fine */

uint32_t dm_spool_txn(struct dm_spool *s, const struct dm_txn *txn); /* its number */
/* The commit of a transaction fills in what was not known at its start. */
void dm_spool_txn_committed(struct dm_spool *s, uint32_t number, const struct dm_txn *txn);
uint32_t dm_spool_txn_count(const struct dm_spool *s);
const struct dm_txn *dm_spool_txn_at(const struct dm_spool *s, uint32_t number);

/* A number that no other spool of this process has or had: lets callers keep table numbers. */
uint64_t dm_spool_id(const struct dm_spool *s);
/* The number of a table's definition (copied when it is new); valid until the definition changes. It comes back with the rows. */
enum dm_status dm_spool_table(struct dm_spool *s, struct dm_target *target, const struct dm_table *table,
                              size_t *number, struct dm_error *err) DM_MUST_USE;
/* The batch for the next row of the table. */
enum dm_status dm_spool_rows(struct dm_spool *s, size_t table, uint32_t txn, uint32_t subxid,
                             struct dm_batch **batch, struct dm_error *err) DM_MUST_USE;
/* The definition itself takes effect here, rows or not. */
enum dm_status dm_spool_define(struct dm_spool *s, size_t table, uint32_t txn,
                               struct dm_error *err) DM_MUST_USE;
enum dm_status dm_spool_truncate(struct dm_spool *s, size_t table, uint32_t txn, uint32_t subxid,
                                 struct dm_error *err) DM_MUST_USE;
void dm_spool_bad_row(struct dm_spool *s, struct dm_target *target, uint32_t txn, uint32_t subxid,
                      const struct dm_bad_row *row);
/* Rows of this subtransaction, so far, are void. */
void dm_spool_abort(struct dm_spool *s, uint32_t subxid);

struct dm_spool_replay {
    void *ctx;
    dm_position after; /* rows of transactions with visible_at < after are left out; 0: none */
    enum dm_status (*define)(void *ctx, struct dm_target *target, const struct dm_table *table,
                             struct dm_error *err);
    /* A batch of rows of that definition, given away; its schema has the table's columns without ids, its txns are spool numbers. */
    enum dm_status (*batch)(void *ctx, struct dm_target *target, const struct dm_table *table,
                            struct dm_batch *take_batch, struct dm_error *err);
    enum dm_status (*truncate)(void *ctx, struct dm_target *target, const struct dm_table *table,
                               uint32_t txn, struct dm_error *err);
    enum dm_status (*bad_row)(void *ctx, struct dm_target *target, uint32_t txn, const struct dm_bad_row *row,
                              struct dm_error *err);
};
/* Once; nothing may be added afterwards. */
enum dm_status dm_spool_replay(struct dm_spool *s, const struct dm_spool_replay *to,
                               struct dm_error *err) DM_MUST_USE;

#endif
