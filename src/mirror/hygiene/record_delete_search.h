/* record_delete_search.h — which rows an order of deletion means: keys typed by the dataset's schema, and the keys of what depends on them.
 *
 * Keys come as texts (value_parse.h), or from a SQL condition over the dataset (it may ask other datasets in subqueries), which is answered beforehand.
 * Dependents are found through the registry's relationships, from parent to child, on and on; in what the datasets show, and in what the lake still has of their past:
 * deleted and superseded rows of data files, also of such that only older snapshots refer to, histories, and rows in quarantine. A row that is no more belongs to whoever
 * it referred to; one that is there belongs to whom it refers to now. Called with the lake mutex held; the lake stands still.
 */
#ifndef DM_MIRROR_RECORD_DELETE_SEARCH_H
#define DM_MIRROR_RECORD_DELETE_SEARCH_H

#include <jansson.h>

#include "mirror/hygiene/erase_match.h"
#include "mirror/target.h"

/* What rows of a dataset said in the columns of one relationship when they referred to deleted rows: former versions are known by it. */
struct dm_delete_tuples {
    struct dm_column_list columns;
    struct dm_batch *tuples; /* each once */
};

/* The rows of one dataset. */
struct dm_delete_part {
    char *name;                       /* "shop.orders" */
    struct dm_dataset_state state;    /* owned texts */
    struct dm_target *declared;       /* declared datasets; owned; NULL: a mirrored one */
    const struct dm_dataset *dataset; /* the lake's, before the commit */
    struct dm_batch *keys; /* batch of the key columns: each key once; also such as have no live row */
    uint64_t live;         /* rows of them that are visible now */
    char *via;             /* the relationship that led here; NULL: asked for */
    size_t n_tuples;
    struct dm_delete_tuples *tuples;
    size_t n_former;
    struct dm_delete_tuples *former; /* the same with the key in front, of rows that stay */
    uint64_t
        moved; /* rows that referred to deleted ones once, and to others now: they stay, their former versions go */
    size_t n_ids;
    int64_t *ids; /* rows in quarantine that refer to deleted ones */
};

/* Rows that refer to what is deleted, and stay. */
struct dm_delete_reference {
    char *child;
    char *relationship;
    uint64_t rows;
};

struct dm_delete_hits {
    size_t n;
    struct dm_delete_part
        *parts; /* those asked for, then their dependents; of several, those without keys are left out */
    size_t n_references;
    struct dm_delete_reference *references;
    json_t *notes;  /* array of texts for people */
    json_t *cannot; /* … of what is not found, or stays */
};
void dm_delete_hits_release(struct dm_delete_hits *h);

/* Rows of one dataset; a dataset may be named several times. */
struct dm_delete_root {
    const char *dataset;
    const json_t *
        keys; /* each an array of texts, one a key column, or one text ("a,b" when the key has several); NULL: where */
    const char *where;
    struct dm_batch
        *found; /* the keys of the rows that met `where` (dm_delete_answer); owned by whoever made the root */
};

struct dm_order_hooks;
/* Fills root->found when there is a condition. The lake mutex is not held: see condition.h. */
enum dm_status dm_delete_answer(struct dm_mirror *m, struct dm_delete_root *root,
                                const struct dm_order_hooks *hooks, struct dm_error *err) DM_MUST_USE;

struct dm_delete_wanted {
    size_t n; /* >= 1 */
    struct dm_delete_root *roots;
    bool related;
};
enum dm_status dm_delete_search(struct dm_mirror *m, const struct dm_delete_wanted *wanted,
                                struct dm_delete_hits *out, struct dm_error *err) DM_MUST_USE;
/* Only the datasets and the keys as they were given. */
enum dm_status dm_delete_search_keys(struct dm_mirror *m, const struct dm_delete_wanted *wanted,
                                     struct dm_delete_hits *out, struct dm_error *err) DM_MUST_USE;

#endif
