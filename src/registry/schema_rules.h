/* schema_rules.h — what makes a relational schema a good one, and how names in it find what they mean.
 *
 * Errors are CONFIG; they name the file and line when the schema knows them, the schema, the field and the rule, and how to mend it. docs/schemas.md
 * lists the rules, tests/unit/registry/test_schema_rules.c has a test for each.
 *
 *     dm_schemas_resolve(&wanted, &known, err);   // known: what the registry has
 *     dm_schemas_check(&wanted, &known, err);
 */
#ifndef DM_REGISTRY_SCHEMA_RULES_H
#define DM_REGISTRY_SCHEMA_RULES_H

#include "registry/relational_schema.h"

/* Fills in what follows from other schemas: a mirrored dataset's columns and key (only relationships and texts are declared on top; those that it has
 * stay), targets without a namespace (that of their schema first, then "default"), target columns (the target's key), names of relationships, ids.
 * `known` may hold older forms of the schemas in `wanted`; those in `wanted` win. Resolving twice changes nothing. */
enum dm_status dm_schemas_resolve(struct dm_relational_schemas *wanted,
                                  const struct dm_relational_schemas *known,
                                  struct dm_error *err) DM_MUST_USE;

/* All rules, on resolved schemas: each by itself, names among all, relationships between them (those of `known` that point to a schema of `wanted`, too). */
enum dm_status dm_schemas_check(const struct dm_relational_schemas *wanted,
                                const struct dm_relational_schemas *known, struct dm_error *err) DM_MUST_USE;

/* The rules of one schema by itself. */
enum dm_status dm_schema_check(const struct dm_relational_schema *s, struct dm_error *err) DM_MUST_USE;

/* Values of the two types can be equal: what a relationship's columns need. */
bool dm_types_comparable(struct dm_type a, struct dm_type b);

#endif
