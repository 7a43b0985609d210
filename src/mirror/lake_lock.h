/* lake_lock.h — one mirror per lake: `<lake>/.lock`, held with flock for the life of the process.
 * The kernel frees it when the process dies, however it dies. The file holds the pid for messages. */
#ifndef DM_MIRROR_LAKE_LOCK_H
#define DM_MIRROR_LAKE_LOCK_H

#include <stdbool.h>

#include "base/error.h"

struct dm_lake_lock {
    int fd; /* -1: not held */
};

/* CONFLICT error naming the holder's pid when somebody else holds it. Creates the lake folder. */
enum dm_status dm_lake_lock_take(const char *lake, struct dm_lake_lock *lock,
                                 struct dm_error *err) DM_MUST_USE;
void dm_lake_lock_release(struct dm_lake_lock *lock);
/* Is somebody holding it, and who (pid 0: unknown)? */
bool dm_lake_lock_held(const char *lake, int *pid);

#endif
