/* schema_json.h — relational schemas in the documented JSON: a schema body, and one body per descriptor.
 *
 * What that form has no word for stands under keys that begin with "datamirror:" (exact types, enforced relationships, settings), so what is written here
 * is read back without loss. `$id` of a schema is "urn:datamirror:schema:<name>", `@id` of a descriptor "urn:datamirror:descriptor:<number>".
 * The reader accepts `$id`, `meta:altId` or the title wherever a schema is referred to.
 *
 * json_t results are new references. Reading: CONFIG errors that name the JSON path ("definitions.customFields.properties.email") and the rule.
 *
 *     json_t *all = dm_schemas_to_json(&schemas);            // an array of schema and descriptor bodies
 *     dm_schemas_from_json(all, &(struct dm_schema_read_options){.file = "order"}, &out, err);
 */
#ifndef DM_REGISTRY_SCHEMA_JSON_H
#define DM_REGISTRY_SCHEMA_JSON_H

#include <jansson.h>

#include "registry/schema_file.h"

json_t *dm_schema_to_json(const struct dm_relational_schema *s);             /* the schema body */
json_t *dm_schema_descriptors_to_json(const struct dm_relational_schema *s); /* array of descriptor bodies */
json_t *dm_schemas_to_json(
    const struct dm_relational_schemas *list); /* array: bodies, each followed by its descriptors */

/* One body or an array of them; schemas are added to `out`. A descriptor of a schema that is only in o->known adds a copy of that. */
enum dm_status dm_schemas_from_json(const json_t *document, const struct dm_schema_read_options *o,
                                    struct dm_relational_schemas *out, struct dm_error *err) DM_MUST_USE;

/* For the HTTP API: one schema body (no descriptors: no key yet) … */
enum dm_status dm_schema_from_json(const json_t *body, const struct dm_schema_read_options *o,
                                   struct dm_relational_schema **out, struct dm_error *err) DM_MUST_USE;
/* … one descriptor body put into its schema among `schemas` (a descriptor of the kind, or a relationship of the name, that is there is replaced). *schema is the
 * one that it belongs to (borrowed). */
enum dm_status dm_descriptor_from_json(const json_t *body, const struct dm_schema_read_options *o,
                                       struct dm_relational_schemas *schemas,
                                       struct dm_relational_schema **schema,
                                       struct dm_error *err) DM_MUST_USE;
/* Takes descriptor `id` out of its schema; false: none of them has it. *schema is where it was. */
bool dm_descriptor_remove(struct dm_relational_schemas *schemas, int64_t id,
                          struct dm_relational_schema **schema);

char *dm_schema_urn(const char *name); /* malloc'ed */
/* The schema that `reference` ($id, meta:altId or name) means, or NULL. */
struct dm_relational_schema *dm_schemas_refer(const struct dm_relational_schemas *list,
                                              const char *reference);
int64_t dm_descriptor_number(const char *urn); /* of "urn:datamirror:descriptor:17" or "17"; 0: none */

/* The parts that the registry stores: columns and settings without the documented wrapping. */
json_t *dm_columns_to_json(const struct dm_relational_schema *s);
json_t *dm_settings_to_json(const struct dm_dataset_settings *settings);
enum dm_status dm_columns_from_json(const json_t *columns, struct dm_relational_schema *s,
                                    struct dm_error *err) DM_MUST_USE;
enum dm_status dm_settings_from_json(const json_t *settings, struct dm_dataset_settings *out,
                                     struct dm_error *err) DM_MUST_USE;

#endif
