/* schema_yaml.h — the short form for people, its parts. Internal to the registry; the reader itself is declared in schema_file.h.
 *
 *   schemas:
 *     - name: sales.orders
 *       columns: {order_id: int64 not null, status: {type: string, enum: [A, B]}, updated_at: timestamptz not null}
 *       key: [order_id]
 *       version: updated_at
 *
 * docs/schemas.md describes all of it.
 */
#ifndef DM_REGISTRY_SCHEMA_YAML_H
#define DM_REGISTRY_SCHEMA_YAML_H

#include "registry/yaml_nodes.h"

/* The value of `columns:`: a map in order, or a list. */
enum dm_status dm_yaml_columns(struct dm_yaml *y, const yaml_node_t *node, struct dm_relational_schema *s,
                               struct dm_error *err) DM_MUST_USE;
/* The value of `relationships:`. */
enum dm_status dm_yaml_relationships(struct dm_yaml *y, const yaml_node_t *node,
                                     struct dm_relational_schema *s, struct dm_error *err) DM_MUST_USE;

#endif
