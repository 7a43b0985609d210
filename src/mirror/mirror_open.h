/* mirror_open.h — the one way to open a lake for writing: lock, engine, lake, key index.
 *
 * Used by a running mirror and by commands that write (order.h). The key indexes of declared datasets are brought up to date; those of mirrored
 * tables by their pipeline. dm_mirror_close releases all, also the lock. One thread opens and closes.
 *
 *     dm_mirror_open(config, &stop, &opened, &m, err);     // CONFLICT when somebody else holds the lake
 *     …
 *     dm_mirror_close(opened);
 */
#ifndef DM_MIRROR_MIRROR_OPEN_H
#define DM_MIRROR_MIRROR_OPEN_H

#include "mirror/lake_lock.h"
#include "mirror/target.h"

struct dm_opened_mirror;

/* For a command, under the lake lock. stop NULL: nobody asks for an end. */
enum dm_status dm_mirror_open(const struct dm_config *config, const atomic_int *stop,
                              struct dm_opened_mirror **out, struct dm_mirror **mirror,
                              struct dm_error *err) DM_MUST_USE;
/* With a lock that is held already; it is given away, also when this fails. */
enum dm_status dm_mirror_open_locked(const struct dm_config *config, const atomic_int *stop,
                                     struct dm_lake_lock *take_lock, struct dm_opened_mirror **out,
                                     struct dm_mirror **mirror, struct dm_error *err) DM_MUST_USE;
void dm_mirror_close(struct dm_opened_mirror *opened); /* NULL is fine */

#endif
