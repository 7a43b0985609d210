/* orphan.h — children that wait for their parent: relationships with on_orphan: quarantine.
 *
 * An upsert of a declared dataset whose parent is not there (neither in the parent's key index, changes of the open commit included, nor in the
 * same batch) does not become a row, nor does it enter a history: it goes to quarantine with reason "orphan" and with all the parents that it misses. When a commit has
 * brought one of them it is handed to the intake again, by the ordinary version rule (dm_orphans_release, after every intake, after a schema was applied, and about once a
 * second in a running mirror; the waiting rows stand in the catalog, so a crash only delays that).
 *   - All that waits for a key is kept, until a change of the same key is applied that it cannot change any more: then it is stale. (A history by version wants older versions, too: there only one
 *     of the same version is.)
 *   - What refers to the parent is the row as it will stand: values that it leaves to the stored row (null_updates.h) are taken from there.
 *   - An upsert that says what is stored passes, whatever became of its parent.
 *   - Rows that refer to themselves, or in circles within a batch, pass; those that wait in circles are released in one go (orphan_circle.h).
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
/* After the rule: what is to be written of the rows that wait, and what need not wait any longer because of those that passed. */
enum dm_status dm_orphans_note(struct dm_version_pass *p, struct dm_error *err) DM_MUST_USE;
void dm_orphans_end(struct dm_version_pass *p); /* frees p->waits and p->search */
/* In the commit's catalog transaction; NULL is fine. Counts into the targets' states. */
enum dm_status dm_orphans_save(struct dm_orphans *o, struct sqlite3 *db, const char *source,
                               struct dm_error *err) DM_MUST_USE;
void dm_orphans_free(struct dm_orphans *o); /* NULL is fine */

/* Applies children whose parent has come, in commits of their own, until there is none. Cheap when nothing waits, or no parent dataset has changed since
 * the last call. Lake mutex not held, no commit open. Any thread; one at a time goes on. */
enum dm_status dm_orphans_release(struct dm_mirror *m, struct dm_error *err) DM_MUST_USE;
void dm_orphan_watch_free(struct dm_orphan_watch *w); /* NULL is fine */

#endif
