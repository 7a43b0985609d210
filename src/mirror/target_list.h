/* target_list.h — the datasets of one source: what the catalog remembers, brought in line with what the source has now. */
#ifndef DM_MIRROR_TARGET_LIST_H
#define DM_MIRROR_TARGET_LIST_H

#include "mirror/target.h"

struct dm_target_list {
    struct dm_mirror *mirror;
    const struct dm_source_config *config;
    dm_position committed;  /* the pipeline's, before each update */
    dm_position source_end; /* where the source's log ends, about */
    bool compared;          /* with the source, once after loading */
    size_t n;
    struct dm_target **items;
    uint64_t *
        registered; /* by index in items: hash of the definition that the registry has; 0: not looked at yet */
};

/* Loads what the catalog remembers (lake mutex held by the caller). */
enum dm_status dm_target_list_load(struct dm_target_list *list, struct dm_error *err) DM_MUST_USE;
void dm_target_list_release(struct dm_target_list *list);

struct dm_target *dm_target_list_find(const struct dm_target_list *list,
                                      const struct dm_table *table); /* NULL: unknown */
struct dm_target *dm_target_list_named(const struct dm_target_list *list,
                                       const char *dataset); /* "namespace.name"; NULL */

/* Compares with the tables that the source has: new ones are added (state waiting or refused, stored at once), refused ones that are fine now
 * become waiting. *changed says that the set of tables to capture changed. Lake mutex held. */
enum dm_status dm_target_list_update(struct dm_target_list *list, const struct dm_table_list *tables,
                                     bool *changed, struct dm_error *err) DM_MUST_USE;

#endif
