/* path_set.h — a set of file paths as 64-bit hashes: a lake may have millions of files. A collision makes dm_path_set_has say yes
 * wrongly, which for the sweep means that a file stays: the safe side. A zeroed struct is empty. Not thread safe.
 */
#ifndef DM_LAKE_PATH_SET_H
#define DM_LAKE_PATH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dm_path_set {
    size_t n;
    size_t slots;
    uint64_t *table; /* 0: free */
};

/* True when it was not there before. */
bool dm_path_set_add(struct dm_path_set *s, const char *path);
bool dm_path_set_has(const struct dm_path_set *s, const char *path);
void dm_path_set_release(struct dm_path_set *s);

#endif
