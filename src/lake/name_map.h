/* name_map.h — a hash map from (namespace, name) to a pointer. Keys are copied, values are the caller's. Not thread safe.
 * A zeroed struct is an empty map.
 */
#ifndef DM_LAKE_NAME_MAP_H
#define DM_LAKE_NAME_MAP_H

#include <stddef.h>

struct dm_name_entry {
    char *namespace; /* NULL: free slot */
    char *name;
    void *value;
};
struct dm_name_map {
    size_t n;
    size_t slots; /* a power of two, or 0 */
    struct dm_name_entry *table;
};

void dm_name_map_release(struct dm_name_map *m);
void *dm_name_map_get(const struct dm_name_map *m, const char *namespace, const char *name); /* or NULL */
/* Adds or replaces. */
void dm_name_map_put(struct dm_name_map *m, const char *namespace, const char *name, void *value);
/* Takes the entry out; answers its value or NULL. */
void *dm_name_map_remove(struct dm_name_map *m, const char *namespace, const char *name);

#endif
