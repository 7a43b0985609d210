/* What becomes of suppressed keys when the columns of their dataset change. */
#include <string.h>

#include "mirror/hygiene/suppression.h"

/* By column or by name: a column that was made anew is the key as before. */
static bool same_key(const struct dm_schema *a, const struct dm_schema *b)
{
    bool same = a->n_keys == b->n_keys;
    for (size_t k = 0; same && k < a->n_keys; k++) {
        const struct dm_field *x = &a->fields[a->keys[k]], *y = &b->fields[b->keys[k]];
        same = x->id == y->id || strcmp(x->name, y->name) == 0;
    }
    return same;
}

struct dm_suppressed *dm_suppressed_under(struct dm_suppressed *take, const struct dm_schema *now,
                                          const struct dm_schema *next)
{
    return now == NULL || same_key(now, next) ? take : dm_suppressed_marked_alone(take);
}

void dm_suppression_follow(struct dm_suppression *s, uint32_t dataset, const struct dm_schema *now,
                           const struct dm_schema *next)
{
    if (now == NULL)
        dm_suppression_stage_renumbering(s, dataset);
    else if (!same_key(now, next))
        dm_suppression_stage_rekey(s, dataset);
}

enum dm_status dm_suppression_check(struct dm_suppression *s, uint32_t dataset, const char *name,
                                    const struct dm_schema *now, const struct dm_schema *next,
                                    struct dm_error *err)
{
    struct dm_suppressed *set = dm_suppression_of(s, dataset);
    size_t n = 0;
    const struct dm_column_list *lists = dm_suppressed_lists(dm_suppressed_marked(set), &n);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++)
        for (size_t k = 0; k < lists[i].n && status == DM_OK; k++) {
            int at = dm_schema_find_id(now, lists[i].ids[k]);
            if (at >= 0 && dm_schema_find_id(next, lists[i].ids[k]) < 0)
                status = dm_fail(err, DM_ERROR_CONFIG,
                                 "keep the column, or drop the schema and declare it anew, which ends it",
                                 "%s: rows that were deleted for good are kept out by column \"%s\"; without "
                                 "it they could come back",
                                 name, now->fields[at].name);
        }
    if (status == DM_OK && n == 0 && dm_suppressed_count(set) > 0 && !same_key(now, next))
        status = dm_fail(err, DM_ERROR_CONFIG,
                         "delete them once more with this version, which remembers them by their columns, or "
                         "drop the schema and declare it anew, which ends it",
                         "%s: %zu keys that were deleted for good are remembered as the present key's", name,
                         dm_suppressed_count(set));
    dm_suppressed_unref(set);
    return status;
}
