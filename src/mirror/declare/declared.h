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

/* "orders" → "default.orders"; malloc'ed. */
char *dm_declared_name(const char *name);
/* Loads the target of a declared dataset: schema from the lake, rules from the registry. CONFIG error when there is none of that name (with the nearest
 * name), when it is a mirrored one, or when its schema is still incomplete. The caller frees it with dm_target_free. Lake mutex held. */
enum dm_status dm_declared_target(struct dm_mirror *m, const char *name, struct dm_target **out,
                                  struct dm_error *err) DM_MUST_USE;
/* Whether the registry has a declared schema of that name. Lake mutex held. */
enum dm_status dm_declared_exists(struct dm_mirror *m, const char *name, bool *out,
                                  struct dm_error *err) DM_MUST_USE;
/* Brings the key indexes of all declared datasets up to date (after a crash, a lost index), and their histories that are to begin (history_begin.h). Lake mutex
 * held. */
enum dm_status dm_declared_catch_up(struct dm_mirror *m, struct dm_error *err) DM_MUST_USE;

/* What was done with a schema, for people. */
typedef void (*dm_declare_told)(void *ctx, const char *schema, const char *what);
struct dm_declare_options {
    bool dry_run; /* all checks, also against the data; nothing is changed */
    bool
        drop_columns; /* every column that a schema lacks may go with its values; else the schema has to name it */
    dm_declare_told told; /* may be NULL */
    void *ctx;
    /* Fills `wanted`, which is empty, from what the registry has at that moment; under the lake mutex, so that nothing comes between. NULL: it is given. */
    enum dm_status (*edit)(void *edit_ctx, const struct dm_relational_schemas *known,
                           struct dm_relational_schemas *wanted, struct dm_error *err);
    void *edit_ctx;
};
/* One commit: the schemas go into the registry, and their datasets are made or evolved. A draft that still lacks descriptors goes into the registry only. Resolves names and checks the rules (schema_rules.h), what would
 * lose data (schema_diff.h), and for changed descriptors the data itself (is the new key unique and never null?). A dataset that never had a
 * row may change in any way. All or nothing. Lake mutex NOT held. `wanted` is resolved in place. */
enum dm_status dm_declare(struct dm_mirror *m, struct dm_relational_schemas *wanted,
                          const struct dm_declare_options *options, struct dm_error *err) DM_MUST_USE;
/* Removes schema and dataset with all that belongs to it (files go with the sweep). `keep_rows`: CONFLICT error when the dataset has rows. */
enum dm_status dm_undeclare(struct dm_mirror *m, const char *name, bool keep_rows,
                            struct dm_error *err) DM_MUST_USE;

#endif
