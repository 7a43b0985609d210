/* The registry: /data/foundation/schemaregistry/tenant/schemas and …/descriptors, with the documented bodies (registry/schema_json.h). */
#include <microhttpd.h>
#include <sqlite3.h>
#include <string.h>

#include "http/http_routes.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/declare/schema_request.h"
#include "registry/registry.h"
#include "registry/schema_json.h"

/* ---- reading: beside commits, never waiting for one ---- */

bool dm_http_registry(const struct dm_http_request *r, struct dm_relational_schemas *all,
                      struct dm_http_reply *reply)
{
    sqlite3 *db = NULL;
    struct dm_error err = {0};
    enum dm_status status = dm_catalog_side_open(r->mirror->config->lake, &db, &err);
    if (status == DM_OK)
        status = dm_registry_list(db, all, &err);
    (void)sqlite3_close(db);
    if (status != DM_OK)
        dm_http_refuse_error(reply, &err);
    return status == DM_OK;
}

static void answer_list(json_t *take_results, struct dm_http_reply *reply)
{
    reply->status = MHD_HTTP_OK;
    size_t n = json_array_size(take_results);
    reply->body = json_pack("{s:o, s:{s:I}}", "results", take_results, "_page", "count", (json_int_t)n);
}

void dm_http_schemas(struct dm_http_request *r, struct dm_http_reply *reply)
{
    struct dm_relational_schemas all = {0};
    json_t *results = json_array();
    if (!dm_http_registry(r, &all, reply)) {
        json_decref(results);
        return;
    }
    for (size_t i = 0; i < all.n; i++)
        json_array_append_new(results, dm_schema_to_json(all.items[i]));
    dm_relational_schemas_release(&all);
    answer_list(results, reply);
}

void dm_http_schema(struct dm_http_request *r, struct dm_http_reply *reply)
{
    struct dm_relational_schemas all = {0};
    if (!dm_http_registry(r, &all, reply))
        return;
    const struct dm_relational_schema *s = dm_schemas_refer(&all, r->parameter);
    if (s == NULL) {
        dm_http_refuse(reply, MHD_HTTP_NOT_FOUND, "unknown_schema",
                       "name it by its $id (URL-encoded) or its meta:altId", "there is no schema \"%.200s\"",
                       r->parameter);
    } else {
        reply->status = MHD_HTTP_OK;
        reply->body = dm_schema_to_json(s);
    }
    dm_relational_schemas_release(&all);
}

/* All descriptors, or those of one schema. */
static json_t *descriptors_of(const struct dm_relational_schemas *all,
                              const struct dm_relational_schema *only)
{
    json_t *results = json_array();
    for (size_t i = 0; i < all->n; i++) {
        if (only != NULL && all->items[i] != only)
            continue;
        json_t *own = dm_schema_descriptors_to_json(all->items[i]);
        json_array_extend(results, own);
        json_decref(own);
    }
    return results;
}

void dm_http_descriptors(struct dm_http_request *r, struct dm_http_reply *reply)
{
    struct dm_relational_schemas all = {0};
    const char *wanted = dm_http_query(r, "schema");
    if (!dm_http_registry(r, &all, reply))
        return;
    const struct dm_relational_schema *only = wanted != NULL ? dm_schemas_refer(&all, wanted) : NULL;
    if (wanted != NULL && only == NULL)
        dm_http_refuse(reply, MHD_HTTP_NOT_FOUND, "unknown_schema", NULL, "there is no schema \"%.200s\"",
                       wanted);
    else
        answer_list(descriptors_of(&all, only), reply);
    dm_relational_schemas_release(&all);
}

void dm_http_descriptor(struct dm_http_request *r, struct dm_http_reply *reply)
{
    struct dm_relational_schemas all = {0};
    if (!dm_http_registry(r, &all, reply))
        return;
    json_t *list = descriptors_of(&all, NULL);
    int64_t wanted = dm_descriptor_number(r->parameter);
    for (size_t i = 0; i < json_array_size(list) && reply->body == NULL && wanted > 0; i++) {
        json_t *d = json_array_get(list, i);
        const char *id = json_string_value(json_object_get(d, "@id"));
        if (id == NULL || dm_descriptor_number(id) != wanted)
            continue;
        reply->status = MHD_HTTP_OK;
        reply->body = json_incref(d);
    }
    if (reply->body == NULL)
        dm_http_refuse(reply, MHD_HTTP_NOT_FOUND, "unknown_descriptor", "GET …/descriptors lists them",
                       "there is no descriptor \"%.100s\"", r->parameter);
    json_decref(list);
    dm_relational_schemas_release(&all);
}

/* ---- writing ---- */

typedef enum dm_status (*request_fn)(struct dm_mirror *m, struct dm_schema_request *r, struct dm_error *err);

/* `status` when it is done; a preview is always 200. */
static void carry_out(struct dm_http_request *r, request_fn run, unsigned status, bool schema,
                      struct dm_http_reply *reply)
{
    struct dm_error err = {0};
    struct dm_schema_request request = {.reference = r->parameter,
                                        .dry_run = dm_http_query_is(r, "dry_run"),
                                        .drop_columns = dm_http_query_is(r, "drop_columns"),
                                        .drop_rows = dm_http_query_is(r, "drop_rows")};
    json_t *body = r->body_path != NULL ? dm_http_json(r, reply) : NULL;
    if (r->body_path != NULL && body == NULL)
        return;
    request.body = body;
    if (run(r->mirror, &request, &err) != DM_OK && request.not_found) {
        dm_http_refuse(reply, MHD_HTTP_NOT_FOUND, schema ? "unknown_schema" : "unknown_descriptor", err.hint,
                       "%s", err.message);
    } else if (err.class != DM_ERROR_NONE) {
        dm_http_refuse_error(reply, &err);
    } else {
        reply->status = request.dry_run ? MHD_HTTP_OK : status;
        reply->body = json_incref(request.answer);
        if (reply->body != NULL && (request.dry_run || r->parameter != NULL))
            json_object_set(reply->body, "datamirror:changes", request.changes);
    }
    dm_schema_request_release(&request);
    json_decref(body);
}

void dm_http_schema_create(struct dm_http_request *r, struct dm_http_reply *reply)
{
    carry_out(r, dm_schema_create, MHD_HTTP_CREATED, true, reply);
}

void dm_http_schema_replace(struct dm_http_request *r, struct dm_http_reply *reply)
{
    carry_out(r, dm_schema_replace, MHD_HTTP_OK, true, reply);
}

void dm_http_schema_delete(struct dm_http_request *r, struct dm_http_reply *reply)
{
    carry_out(r, dm_schema_delete, MHD_HTTP_NO_CONTENT, true, reply);
}

void dm_http_descriptor_create(struct dm_http_request *r, struct dm_http_reply *reply)
{
    carry_out(r, dm_descriptor_create, MHD_HTTP_CREATED, false, reply);
}

void dm_http_descriptor_replace(struct dm_http_request *r, struct dm_http_reply *reply)
{
    carry_out(r, dm_descriptor_replace, MHD_HTTP_CREATED, false, reply);
}

void dm_http_descriptor_delete(struct dm_http_request *r, struct dm_http_reply *reply)
{
    carry_out(r, dm_descriptor_delete, MHD_HTTP_NO_CONTENT, false, reply);
}
