/* target_basis.h — what a dataset rests on (source/basis.h), as stored and as the source is now: compared here, and nowhere else.
 *
 * A basis is stored in the commit of the copy that it belongs to. Later changes that the stream has brought (an added column, another key) are taken over
 * once the lake has passed the look that showed them. Stream thread, lake mutex held.
 */
#ifndef DM_MIRROR_TARGET_BASIS_H
#define DM_MIRROR_TARGET_BASIS_H

#include "mirror/target.h"

/* Where and when a look at the source was taken. */
struct dm_basis_moment {
    struct dm_mirror *mirror;
    const struct dm_source_config *config;
    dm_position committed;  /* where the lake stands */
    dm_position source_end; /* where the source's log ended, about */
    bool running;           /* false: the first look since the pipeline was opened */
};

/* What the catalog remembers for the target. */
enum dm_status dm_target_basis_load(struct dm_mirror *m, struct dm_target *t,
                                    struct dm_error *err) DM_MUST_USE;
/* Compares a dataset that is streaming with its table as it is now. *copy: it was marked to be copied again, and the log says why; the capture is to be
 * brought up to date first. */
enum dm_status dm_target_basis_compare(const struct dm_basis_moment *now, struct dm_target *t,
                                       const struct dm_table *table, bool *copy,
                                       struct dm_error *err) DM_MUST_USE;
/* The same for the source as a whole, with the lake at `at`. CONFLICT: it is not what the lake was made from. Pure. */
enum dm_status dm_source_basis_judge(const struct dm_basis *stored, const struct dm_basis *present,
                                     dm_position at, struct dm_error *err) DM_MUST_USE;
/* Stores what the source rests on now, if it differs. */
enum dm_status dm_source_basis_keep(struct dm_mirror *m, const struct dm_source_config *config,
                                    const struct dm_basis *stored, const struct dm_basis *present,
                                    struct dm_error *err) DM_MUST_USE;

#endif
