/* version_pass.h — one batch of a declared dataset on its way through the version rule: what versioned_rows.c finds out and its parts use.
 *
 * Rows are looked at by key, then by arrival. Private to the parts of dm_apply_versioned; lives for one batch, borrows the batch.
 */
#ifndef DM_MIRROR_VERSION_PASS_H
#define DM_MIRROR_VERSION_PASS_H

#include "apply/version_list.h"
#include "base/memory.h"
#include "mirror/commit/apply_rows.h"
#include "mirror/commit/row_counts.h"
#include "mirror/declare/declared.h"

#define DM_NO_ROW UINT32_MAX

struct dm_orphan_search;

/* What became of a row, as if the rows came one by one. */
enum dm_row_outcome {
    DM_ROW_BAD = 0,
    DM_ROW_STALE,
    DM_ROW_TIE_DROPPED, /* an equal version that loses, or says what is there already */
    DM_ROW_INSERTED,
    DM_ROW_UPDATED,
    DM_ROW_DELETED,
    DM_ROW_NOOP_DELETE, /* applied: it left or raised a tombstone, but there was no row */
};

/* Sorted by dm_key_sort. */
struct dm_row_key {
    const uint8_t *key;
    uint32_t key_len;
    uint32_t row; /* of the batch */
};

struct dm_version_pass {
    struct dm_apply_context *a;
    struct dm_target *t;
    struct dm_batch *batch;
    const struct dm_key_list *keys;
    struct dm_key_list versions;
    uint8_t *outcome; /* enum dm_row_outcome, per batch row */
    bool *waits; /* per batch row: it waits for its parent and takes no part (orphan.h); NULL: none does */
    struct dm_orphan_search *search; /* orphan.h; NULL: nothing is enforced here */
    bool *
        equal; /* per batch row: it ties with the stored row and says the same (equal_rows.h); NULL: none does */
    size_t n_rows;
    struct dm_row_key *rows; /* the good ones, by key, then by arrival */
    size_t n_keys;
    struct dm_index_change *stored; /* per distinct key, as the index has it; row: its first in `rows` */
    uint32_t *winner; /* per distinct key: the batch row that decides; DM_NO_ROW: nothing changes */
};

/* The rows of distinct key k: rows[*first … *end). */
static inline void dm_version_pass_group(const struct dm_version_pass *p, size_t k, size_t *first,
                                         size_t *end)
{
    *first = p->stored[k].row;
    *end = k + 1 < p->n_keys ? p->stored[k + 1].row : p->n_rows;
}
/* The file or request that the row came with. */
static inline const struct dm_txn *dm_version_pass_txn(const struct dm_version_pass *p, uint32_t row)
{
    return &p->a->txns[p->batch->txns[row]];
}
/* "orders.csv:17", malloc'ed; NULL: it came with a source's log. */
static inline char *dm_version_pass_place(const struct dm_version_pass *p, uint32_t row)
{
    const char *origin = dm_version_pass_txn(p, row)->origin;
    return origin == NULL ? NULL : dm_xasprintf("%s:%u", origin, p->batch->subxids[row]);
}
/* Puts the row aside for quarantine. */
void dm_version_pass_bad(struct dm_version_pass *p, uint32_t row, const char *reason, const char *message);
static inline bool dm_version_pass_deletes(const struct dm_version_pass *p, uint32_t row)
{
    return p->batch->ops[row] == DM_OP_DELETE;
}

#endif
