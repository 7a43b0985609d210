/* The orders "schema_apply" and "schema_drop".
 *
 *   schema_apply {"schemas": […], "dry_run": true, "drop_columns": true}       schemas as dm_schemas_to_json writes them; the rest optional
 *                → {"changes": [{"schema": "sales.orders", "what": "add column note string"}, …]}
 *   schema_drop  {"schema": "sales.orders", "drop_rows": true} → {}       drop_rows absent: refused when there are rows
 *
 * Applying the same schemas twice changes nothing. Dropping what is not there (any more) is an error, so that a mistyped name is heard of.
 */
#include "mirror/declare/declared.h"
#include "mirror/order/order_kinds.h"
#include "registry/schema_json.h"

static void told(void *ctx, const char *schema, const char *what)
{
    json_array_append_new(ctx, json_pack("{s:s, s:s}", "schema", schema, "what", what));
}

static enum dm_status list_known(struct dm_mirror *m, struct dm_relational_schemas *out, struct dm_error *err)
{
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_registry_list(dm_lake_sqlite(m->lake), out, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    return status;
}

static enum dm_status schema_apply(struct dm_mirror *m, const json_t *order,
                                   const struct dm_order_hooks *hooks, json_t **result, struct dm_error *err)
{
    (void)hooks;
    struct dm_relational_schemas known = {0}, wanted = {0};
    struct dm_schema_read_options read = {.file = "schema apply", .known = &known};
    json_t *changes = json_array();
    struct dm_declare_options options = {.dry_run = json_is_true(json_object_get(order, "dry_run")),
                                         .drop_columns = json_is_true(json_object_get(order, "drop_columns")),
                                         .told = told,
                                         .ctx = changes};
    enum dm_status status = list_known(m, &known, err);
    if (status == DM_OK)
        status = dm_schemas_from_json(json_object_get(order, "schemas"), &read, &wanted, err);
    if (status == DM_OK)
        status = dm_declare(m, &wanted, &options, err);
    if (status == DM_OK)
        *result = json_pack("{s:O}", "changes", changes);
    json_decref(changes);
    dm_relational_schemas_release(&wanted);
    dm_relational_schemas_release(&known);
    return status;
}

static enum dm_status schema_drop(struct dm_mirror *m, const json_t *order,
                                  const struct dm_order_hooks *hooks, json_t **result, struct dm_error *err)
{
    (void)hooks;
    const char *name = json_string_value(json_object_get(order, "schema"));
    if (name == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "an order to drop no schema");
    enum dm_status status = dm_undeclare(m, name, !json_is_true(json_object_get(order, "drop_rows")), err);
    if (status != DM_OK && err->class == DM_ERROR_CONFLICT && err->hint[0] == '\0')
        dm_error_hint(err, "--drop-rows drops the schema with its dataset and all of that");
    if (status == DM_OK)
        *result = json_object();
    return status;
}

const struct dm_order_kind dm_order_schema_apply = {.name = "schema_apply", .run = schema_apply};
const struct dm_order_kind dm_order_schema_drop = {.name = "schema_drop", .run = schema_drop};
