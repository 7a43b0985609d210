/* schema_print.h — relational schemas as text for people and other systems: DDL, an ER diagram.
 *
 * Appends to a buffer of the caller (its maximum is the only failure). Threads: no state.
 */
#ifndef DM_REGISTRY_SCHEMA_PRINT_H
#define DM_REGISTRY_SCHEMA_PRINT_H

#include "base/buffer.h"
#include "registry/schema_file.h"

/* CREATE TABLE with keys and foreign keys; what DDL has no words for (version, lengths of other types, settings) stands in comments and annotations that
 * `schema apply` reads back. AUTO: PostgreSQL. */
enum dm_status dm_schema_print_ddl(const struct dm_relational_schema *s, enum dm_ddl_dialect dialect,
                                   struct dm_buffer *out, struct dm_error *err) DM_MUST_USE;
/* A Mermaid erDiagram of all of them and the relationships between them. */
enum dm_status dm_schemas_print_mermaid(const struct dm_relational_schemas *list, struct dm_buffer *out,
                                        struct dm_error *err) DM_MUST_USE;

#endif
