/* lake_lock.h — one writer per lake: `<lake>/.lock`, held for the life of the process by a lock of the open file (fcntl's OFD locks).
 * The kernel frees it when the process dies, however it dies. The file holds the pid and what the holder does, for messages: "4711 run", "4711 run and end", "4711 command".
 * Asking who holds it never takes it, so a look is never in the way of somebody who wants it. */
#ifndef DM_MIRROR_LAKE_LOCK_H
#define DM_MIRROR_LAKE_LOCK_H

#include <stdbool.h>

#include "base/error.h"

struct dm_lake_lock {
    int fd; /* -1: not held */
};

/* What for: a mirror takes orders; a passing one (a verify's own, `run --until-caught-up`) ends by itself, and a command is done soon. */
enum dm_lake_use { DM_LAKE_COMMAND, DM_LAKE_MIRROR, DM_LAKE_PASSING_MIRROR };
struct dm_lake_holder {
    int pid;     /* 0: unknown */
    bool mirror; /* also a passing one */
    bool stays;  /* it will not end by itself */
};

/* DM_OK: held now. DM_TIMEOUT: somebody else holds it (*holder, may be NULL, says who). Creates the lake folder. */
enum dm_status dm_lake_lock_try(const char *lake, enum dm_lake_use use, struct dm_lake_lock *lock,
                                struct dm_lake_holder *holder, struct dm_error *err) DM_MUST_USE;
/* The CONFLICT error for a lake that is held. */
enum dm_status dm_lake_lock_refuse(const char *lake, const struct dm_lake_holder *holder,
                                   struct dm_error *err);
void dm_lake_lock_release(struct dm_lake_lock *lock);
/* Does a mirror or a command hold it, and who (pid 0: unknown)? */
bool dm_lake_lock_held(const char *lake, struct dm_lake_holder *holder);

#endif
