/* declare_beside.h — what a changed schema means for the datasets beside a declared dataset: its tombstones and its history.
 *
 * They follow in the same commit: columns keep their field ids, so a rename is one there, too, and a dropped column takes its values with it. What
 * cannot follow is planned first, said before anything is done, and kept where it can be: a history becomes an archive (history_begin.h), and a new one begins.
 *
 *     dm_beside_plan_make(m, target, columns, schema, &changes, &plan, err);    // plan.said: for people
 *     dm_beside_plan_stage(m, commit, target, &plan, err);
 *     … the commit is published, the key index caught up (dm_declared_catch_up, where plan.begins) …
 *     dm_beside_plan_release(&plan);
 */
#ifndef DM_MIRROR_DECLARE_BESIDE_H
#define DM_MIRROR_DECLARE_BESIDE_H

#include "mirror/target.h"
#include "registry/schema_diff.h"

struct dm_beside_plan {
    struct dm_names said;         /* what is done that goes without saying for nobody */
    struct dm_schema *tombstones; /* their schema from now on; NULL: as it is */
    struct dm_schema *history;
    bool forget; /* the tombstones are by another key or version */
    bool archive;
    bool begins; /* a history */
};

/* `columns`: as they will be; NULL: unchanged. CONFIG error when what has to stay could not. Lake mutex held. */
enum dm_status dm_beside_plan_make(struct dm_mirror *m, const struct dm_target *t,
                                   const struct dm_schema *columns, const struct dm_relational_schema *schema,
                                   const struct dm_schema_changes *changes, struct dm_beside_plan *out,
                                   struct dm_error *err) DM_MUST_USE;
enum dm_status dm_beside_plan_stage(struct dm_mirror *m, struct dm_commit *commit, const struct dm_target *t,
                                    const struct dm_beside_plan *plan, struct dm_error *err) DM_MUST_USE;
void dm_beside_plan_release(struct dm_beside_plan *plan);

#endif
