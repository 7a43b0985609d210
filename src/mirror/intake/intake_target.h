/* intake_target.h — a declared dataset as an intake needs it: its target, the schema that rows are read by, and what its text columns may hold.
 * Embedded; released by its owner. All calls with the lake mutex held, unless said otherwise. */
#ifndef DM_MIRROR_INTAKE_TARGET_H
#define DM_MIRROR_INTAKE_TARGET_H

#include "engine/change_reader.h"
#include "mirror/declare/declared.h"

struct dm_intake_target {
    char *name; /* "sales.orders" */
    struct dm_target *target;
    const struct dm_schema *
        schema; /* the dataset's, with the declared `required` (the dataset itself may have older rows without); reference */
    struct dm_column_rule *rules; /* per field; texts are of target->rules->schema */
    bool index_behind;            /* dm_intake_target_refresh found so */
};

enum dm_status dm_intake_target_load(struct dm_mirror *m, const char *name, struct dm_intake_target *out,
                                     struct dm_error *err) DM_MUST_USE;
bool dm_intake_target_is_named(const struct dm_intake_target *t, const char *name);
void dm_intake_target_release(struct dm_intake_target *t); /* needs no mutex */

/* In a commit (index transaction open): reads the counters again. *changed: the schema is another one now, or the key index is behind. */
enum dm_status dm_intake_target_refresh(struct dm_mirror *m, struct dm_intake_target *t, bool *changed,
                                        struct dm_error *err) DM_MUST_USE;
/* Outside a commit: brings the key index to the lake's state. */
enum dm_status dm_intake_target_catch_up(struct dm_mirror *m, struct dm_intake_target *t,
                                         struct dm_error *err) DM_MUST_USE;

#endif
