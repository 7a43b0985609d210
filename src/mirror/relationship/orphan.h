/* orphan.h — children that wait for their parent: relationships with on_orphan: quarantine.
 *
 * An upsert of a declared dataset whose parent is not there (neither in the parent's key index, changes of the open commit included, nor in the
 * same batch) does not become a row: it goes to quarantine with reason "orphan" and what it waits for. When a commit has brought the parent it is
 * handed to the intake again, by the ordinary version rule (dm_orphans_release, after every intake and about once a second in a running mirror; the
 * waiting rows stand in the catalog, so a crash only delays that).
 *   - Per child only the newest version waits: a newer one that comes takes its place, applied or waiting, and so does a delete of it.
 *   - A reference with a null refers to nothing: it passes for M:0 and 1:0; for M:1 and 1:1 the row goes to quarantine with reason "null_reference".
 *   - A parent that is deleted later leaves its children where they are; `check` counts them.
 * The relationship must point to the parent's whole primary key, with columns whose keys have the same bytes (integers of any width, else equal types).
 *
 * The list of one open commit hangs on its dm_apply_context and is written by the commit's catalog transaction. Threads: the committing one.
 */
#ifndef DM_MIRROR_ORPHAN_H
#define DM_MIRROR_ORPHAN_H

#include "mirror/commit/version_pass.h"

struct sqlite3;
struct dm_orphans;
struct dm_orphan_watch;

/* After the stored versions were looked up: marks rows that wait in p->waits (NULL: nothing is enforced here). They take no part. */
enum dm_status dm_orphans_find(struct dm_version_pass *p, struct dm_error *err) DM_MUST_USE;
/* In the commit's catalog transaction; NULL is fine. Counts into the targets' states. */
enum dm_status dm_orphans_save(struct dm_orphans *o, struct sqlite3 *db, const char *source,
                               struct dm_error *err) DM_MUST_USE;
void dm_orphans_free(struct dm_orphans *o); /* NULL is fine */

/* Applies children whose parent has come, in commits of their own, until there is none. Cheap when nothing waits, or no parent dataset has changed since
 * the last call. Lake mutex not held, no commit open. */
enum dm_status dm_orphans_release(struct dm_mirror *m, struct dm_error *err) DM_MUST_USE;
void dm_orphan_watch_free(struct dm_orphan_watch *w); /* NULL is fine */

#endif
