/* declared.h — datasets that people declare (registry/) instead of a source: made, evolved and looked up.
 *
 * A declared dataset's row in dm_dataset has source "" and state "declared". Its changes are ordered by its version column (versioned_rows.h), whatever
 * way they come in. The rules that the apply path needs are in struct dm_dataset_rules, made from the relational schema.
 */
#ifndef DM_MIRROR_DECLARED_H
#define DM_MIRROR_DECLARED_H

#include "mirror/target.h"
#include "registry/registry.h"

/* What the apply path needs to know of a declared dataset; field indexes are of target->schema. */
struct dm_dataset_rules {
    int version_field;
    int timestamp_field;                 /* -1: a record dataset */
    struct dm_relational_schema *schema; /* owned: settings, relationships */
};
void dm_dataset_rules_free(struct dm_dataset_rules *rules); /* NULL is fine */

/* Loads the target of a declared dataset: schema from the lake, rules from the registry. CONFIG error when there is none of that name (with the nearest
 * name). The caller frees it with dm_target_free. Lake mutex held. */
enum dm_status dm_declared_target(struct dm_mirror *m, const char *name, struct dm_target **out,
                                  struct dm_error *err) DM_MUST_USE;

/* One commit: the schemas go into the registry, and their datasets are made or evolved. Checks the rules (schema_rules.h), what would lose data, and for
 * changed descriptors the data itself (is the new key unique and never null?). All or nothing. Lake mutex NOT held. `told` (may be NULL) hears, for
 * people, what was done with each. */
typedef void (*dm_declare_told)(void *ctx, const char *schema, const char *what);
enum dm_status dm_declare(struct dm_mirror *m, const struct dm_relational_schemas *wanted,
                          dm_declare_told told, void *ctx, struct dm_error *err) DM_MUST_USE;
/* Removes schema and dataset (files go with the sweep). */
enum dm_status dm_undeclare(struct dm_mirror *m, const char *name, struct dm_error *err) DM_MUST_USE;

#endif
