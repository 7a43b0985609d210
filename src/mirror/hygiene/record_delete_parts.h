/* record_delete_parts.h — what the two halves of record_delete_search.h share: the datasets that may take part, and those that are hit.
 * Private to record_delete_search.c (keys, conditions) and record_delete_related.c (dependents). */
#ifndef DM_MIRROR_RECORD_DELETE_PARTS_H
#define DM_MIRROR_RECORD_DELETE_PARTS_H

#include "engine/sql.h"
#include "mirror/hygiene/record_delete_search.h"
#include "registry/registry.h"

/* A dataset that may take part. */
struct dm_delete_node {
    char *name;
    struct dm_dataset_state *state; /* of `states` */
    const struct dm_dataset *dataset;
    struct dm_schema *keys; /* its key columns alone; NULL: it has no key */
    bool viewed;            /* del.d<i> is there */
    bool tabled;            /* h<i> is there */
    size_t part;            /* + 1; 0: not hit so far */
    bool root;              /* asked for, not found through a relationship */
    bool queued;
};

struct dm_delete_search_state {
    struct dm_mirror *m;
    const struct dm_delete_wanted *wanted;
    struct dm_delete_hits *out;
    struct dm_dataset_states states;
    struct dm_relational_schemas schemas;
    size_t n;
    struct dm_delete_node *nodes;
    struct dm_sql *sql; /* NULL until relationships are followed */
};

struct dm_delete_node *dm_delete_node_of(struct dm_delete_search_state *s, const char *name); /* NULL: none */
/* The node is hit: it gets a part, with no keys yet. */
enum dm_status dm_delete_add_part(struct dm_delete_search_state *s, struct dm_delete_node *n, const char *via,
                                  struct dm_error *err) DM_MUST_USE;
/* A dm_sql_row: the key's values as texts; ctx is a batch of the key columns. */
enum dm_status dm_delete_take_key(void *ctx, size_t n, const char *const *values,
                                  struct dm_error *err) DM_MUST_USE;
/* Each key once, in the order of first appearance. */
enum dm_status dm_delete_distinct(struct dm_batch **batch, struct dm_error *err) DM_MUST_USE;
/* record_delete_related.c: everything that depends on the roots' keys becomes part of the hits, or is counted as a reference. */
enum dm_status dm_delete_find_related(struct dm_delete_search_state *s, struct dm_error *err) DM_MUST_USE;

#endif
