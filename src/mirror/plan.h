/* plan.h — what `run` would do with a source, found out before it does anything: `doctor` prints it, and `run` starts with it.
 *
 * A plan says from where the source is followed, whether everything is copied afresh, which tables there are, and lists what was looked at:
 * the first check that fails is what the mirror ends with (source.h). Tables with a problem are left out, the others go on.
 *
 * dm_plan_start reads the catalog (the lake mutex is held, or the connection is the caller's own); dm_plan_source asks the source and takes
 * no lock. One thread.
 *
 *     struct dm_plan plan = {0};
 *     dm_plan_start(db, config, &plan, err);
 *     dm_plan_source(&plan, type, source, err);           // fails with the first check that does
 *     … plan.from, plan.afresh, plan.tables, plan.checks …
 *     dm_plan_release(&plan);
 */
#ifndef DM_MIRROR_PLAN_H
#define DM_MIRROR_PLAN_H

#include "mirror/state.h"
#include "source/source.h"

struct dm_plan {
    const struct dm_source_config *config; /* borrowed */
    dm_position from;                      /* of the lake */
    struct dm_log_mark mark;               /* of the source's log there */
    bool rebooted;                         /* the machine was started anew since the lake moved last */
    bool afresh;                           /* nothing rests on `from` any more: the capture begins anew */
    struct dm_error lost;                  /* class set: the log lost its end, so that all is copied again */
    bool running;                          /* set by the caller: a mirror of this lake runs */
    bool rehearse;                         /* set by the caller: nothing is done afterwards */
    struct dm_dataset_states datasets;
    struct dm_basis basis;       /* of the source as a whole, as stored; empty when nothing rests on it */
    struct dm_basis basis_now;   /* as it is; empty: it does not say */
    struct dm_table_list tables; /* that the configuration selects, as they are now */
    struct dm_check_list checks;
};

/* db NULL: there is no lake yet. */
enum dm_status dm_plan_start(struct sqlite3 *db, const struct dm_source_config *config, struct dm_plan *plan,
                             struct dm_error *err) DM_MUST_USE;
enum dm_status dm_plan_source(struct dm_plan *plan, const struct dm_source_type *type,
                              struct dm_source *source, struct dm_error *err) DM_MUST_USE;
bool dm_plan_is_afresh(const struct dm_plan *plan); /* the capture begins anew, for one reason or the other */
void dm_plan_release(struct dm_plan *plan);

/* The folder of the lake: can it be written, or made? DM_FAIL: what a mirror would end with. */
enum dm_status dm_plan_lake(const char *folder, struct dm_check_list *out, struct dm_error *err) DM_MUST_USE;

#endif
