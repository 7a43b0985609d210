/* index_inside.h — inside keyindex.c and index_entries.c only: what an open key index consists of. */
#ifndef DM_APPLY_INDEX_INSIDE_H
#define DM_APPLY_INDEX_INSIDE_H

#include "apply/index_env.h"
#include "apply/keyindex.h"

#define DM_INDEX_SECRET_BYTES 192

/* A dataset's database, once it was used. */
struct dm_index_dataset {
    uint32_t number;
    MDB_dbi dbi;
    bool touched; /* in the open write transaction */
};

struct dm_keyindex {
    struct dm_index_env env;
    uint8_t secret[DM_INDEX_SECRET_BYTES];
    MDB_dbi meta;
    MDB_txn *txn;
    bool meta_open;
    size_t n_datasets;
    struct dm_index_dataset *datasets;
    uint64_t base_pages; /* used when the transaction began */
    uint64_t new_pages;  /* at most so many pages were made by it, counted by changes */
    uint64_t lost_pages; /* at most so many of them were given up again */
};

static inline enum dm_status dm_index_fail(struct dm_keyindex *ix, int rc, const char *what,
                                           struct dm_error *err)
{
    return dm_index_env_fail(&ix->env, rc, what, err);
}

/* The dataset's database in the open transaction; it is made when it was not there. */
enum dm_status dm_index_find_dataset(struct dm_keyindex *ix, uint32_t number, struct dm_index_dataset **out,
                                     struct dm_error *err) DM_MUST_USE;
/* Pages of the dataset's tree, and its depth. */
uint64_t dm_index_pages(const struct dm_keyindex *ix, MDB_dbi dbi, uint64_t *depth);

#endif
