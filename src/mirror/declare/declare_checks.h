/* declare_checks.h — does the data allow a change of a schema? One check of an evolution's plan (registry/schema_diff.h) against the stored rows. */
#ifndef DM_MIRROR_DECLARE_CHECKS_H
#define DM_MIRROR_DECLARE_CHECKS_H

#include "mirror/target.h"
#include "registry/schema_diff.h"

/* CONFIG error that names the change, how many rows are in its way, one of them, and the way out. Lake mutex held. */
enum dm_status dm_declare_check(struct dm_mirror *m, const struct dm_target *t,
                                const struct dm_schema_change *change, struct dm_error *err) DM_MUST_USE;

#endif
