/* Record deletes: /data/core/hygiene/workorder, backed by the orders of mirror/hygiene/. */
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/memory.h"
#include "http/http_routes.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/hygiene/identity.h"
#include "mirror/hygiene/work_order.h"
#include "mirror/order/order.h"
#include "mirror/target.h"
#include "registry/registry.h"
#include "registry/schema_json.h"

enum { longest_key = 255, longest_text = 4096 };

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void put_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text != NULL ? json_string(text) : json_null());
}

static void put_time(json_t *o, const char *key, int64_t us)
{
    char text[40];
    put_text(o, key, us != 0 ? dm_clock_format_us(us, text, sizeof text) : NULL);
}

/* ---- as it is told ---- */

static json_t *order_json(const struct dm_work_order *w)
{
    json_t *o = json_object();
    char id[24];
    (void)snprintf(id, sizeof id, "%" PRId64, w->id);
    const json_t *datasets = json_object_get(w->report, "datasets");
    json_int_t keys = 0;
    for (size_t i = 0; i < json_array_size(datasets); i++)
        keys += json_integer_value(json_object_get(json_array_get(datasets, i), "keys"));
    put_text(o, "workorderId", id);
    put_text(o, "displayName", w->name);
    put_text(o, "description", w->description);
    put_text(o, "action", w->action);
    put_text(o, "datasetId", text_of(json_array_get(datasets, 0), "dataset"));
    put_text(o, "status", w->status);
    put_text(o, "detail", w->detail);
    put_time(o, "createdAt", w->created_us);
    put_time(o, "updatedAt", w->erased_us != 0 ? w->erased_us : w->created_us);
    put_time(o, "erasedAt", w->erased_us);
    json_object_set_new(o, "operationCount", json_integer(keys));
    json_object_set(o, "report", w->report);
    return o;
}

/* id 0: all. */
static bool read_orders(const struct dm_http_request *r, int64_t id, struct dm_work_orders *out,
                        struct dm_http_reply *reply)
{
    sqlite3 *db = NULL;
    struct dm_error err = {0};
    enum dm_status status = dm_catalog_side_open(r->mirror->config->lake, &db, &err);
    if (status == DM_OK)
        status = dm_work_order_list(db, id, NULL, NULL, out, &err);
    (void)sqlite3_close(db);
    if (status != DM_OK)
        dm_http_refuse_error(reply, &err);
    return status == DM_OK;
}

void dm_http_work_orders(struct dm_http_request *r, struct dm_http_reply *reply)
{
    struct dm_work_orders list = {0};
    if (!read_orders(r, 0, &list, reply))
        return;
    json_t *results = json_array();
    for (size_t i = 0; i < list.n; i++)
        json_array_append_new(results, order_json(&list.items[i]));
    reply->status = MHD_HTTP_OK;
    reply->body = json_pack("{s:o, s:I}", "results", results, "total", (json_int_t)list.n);
    dm_work_orders_release(&list);
}

static void answer_one(const struct dm_http_request *r, int64_t id, unsigned status,
                       struct dm_http_reply *reply)
{
    struct dm_work_orders list = {0};
    if (!read_orders(r, id, &list, reply))
        return;
    if (id > 0 && list.n > 0) {
        reply->status = status;
        reply->body = order_json(&list.items[0]);
    } else {
        dm_http_refuse(reply, MHD_HTTP_NOT_FOUND, "unknown_work_order",
                       "GET /data/core/hygiene/workorder lists them", "there is no such work order");
    }
    dm_work_orders_release(&list);
}

/* -1: it is none. */
static int64_t id_of(const struct dm_http_request *r)
{
    char *end = NULL;
    long long id = strtoll(r->parameter, &end, 10);
    return *end == '\0' && id > 0 ? id : -1;
}

void dm_http_work_order(struct dm_http_request *r, struct dm_http_reply *reply)
{
    answer_one(r, id_of(r), MHD_HTTP_OK, reply);
}

/* ---- a new one ---- */

static bool refuse_body(struct dm_http_reply *reply, const char *hint, const char *message)
{
    dm_http_refuse(reply, MHD_HTTP_BAD_REQUEST, "bad_request", hint, "%s", message);
    return false;
}

/* Of the documented words those that delete records. */
static bool check_action(const json_t *body, struct dm_http_reply *reply)
{
    static const char *const words[] = {"delete", "delete_identity", "identity-delete", "delete_record",
                                        "record-delete"};
    const json_t *action = json_object_get(body, "action");
    for (size_t i = 0; i < sizeof words / sizeof *words && action != NULL; i++)
        if (json_is_string(action) && strcasecmp(json_string_value(action), words[i]) == 0)
            return true;
    return action == NULL ||
           refuse_body(reply,
                       "it can be: delete_identity, identity-delete, delete, delete_record, record-delete",
                       "action: there is no such action");
}

static const char order_members[] =
    "displayName description action datasetId identities namespacesIdentities keys "
    "where related untilErased dryRun ";
static const char text_members[] = "displayName description ";

/* A member that is misspelled, or means something elsewhere only, must not pass for one that is left out. */
static bool check_members(const json_t *body, const char *known, struct dm_http_reply *reply)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        const char *at = strstr(known, key);
        size_t n = strlen(key);
        if (n > 0 && at != NULL && at[n] == ' ' && (at == known || at[-1] == ' '))
            continue;
        dm_http_refuse(reply, MHD_HTTP_BAD_REQUEST, "unknown_field", known, "unknown field \"%.100s\"", key);
        return false;
    }
    return true;
}

static bool check_texts(const json_t *body, struct dm_http_reply *reply)
{
    static const char *const texts[] = {"displayName", "description", "where", "datasetId"};
    static const char *const flags[] = {"related", "untilErased", "dryRun"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *v = json_object_get(body, texts[i]);
        if (v == NULL || json_is_null(v))
            continue;
        if (!json_is_string(v) || (i < 2 && json_string_length(v) > longest_text)) {
            dm_http_refuse(reply, MHD_HTTP_BAD_REQUEST, "bad_request", NULL, "%s must be a text%s", texts[i],
                           i < 2 ? " of at most 4096 bytes" : "");
            return false;
        }
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const json_t *v = json_object_get(body, flags[i]);
        if (v != NULL && !json_is_boolean(v)) {
            dm_http_refuse(reply, MHD_HTTP_BAD_REQUEST, "bad_request", NULL, "%s must be true or false",
                           flags[i]);
            return false;
        }
    }
    return true;
}

/* Keys as they come: texts, numbers, or lists of them for a key of several columns; numbers become texts. */
static json_t *key_texts(const json_t *keys)
{
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *v = json_array_get(keys, i);
        if (json_is_array(v)) {
            json_array_append_new(out, key_texts(v));
        } else if (json_is_number(v)) {
            char *text = json_dumps(v, JSON_ENCODE_ANY);
            json_array_append_new(out, json_string(text));
            free(text);
        } else {
            json_array_append(out, (json_t *)(uintptr_t)v);
        }
    }
    return out;
}

static bool is_all(const char *dataset)
{
    return strcasecmp(dataset, "ALL") == 0;
}

/* "datasetId" and one of keys, where, identities into the order's words. */
static bool read_what(const struct dm_relational_schemas *all, const json_t *body, json_t *order,
                      json_t **notes, struct dm_http_reply *reply)
{
    const char *id = text_of(body, "datasetId");
    const json_t *keys = json_object_get(body, "keys"), *where = json_object_get(body, "where");
    bool identities =
        json_object_get(body, "identities") != NULL || json_object_get(body, "namespacesIdentities") != NULL;
    struct dm_error err = {0};
    if (id == NULL)
        return refuse_body(reply, "a dataset's name, a schema's $id, or ALL", "datasetId: it is missing");
    if ((keys != NULL) + (where != NULL) + identities != 1)
        return refuse_body(reply, "give identities, or keys, or where",
                           "the order must say which rows, in one way");
    const struct dm_relational_schema *s = is_all(id) ? NULL : dm_schemas_refer(all, id);
    if (is_all(id) && !identities)
        return refuse_body(reply, "give identities: {\"namespace\": {\"code\": COLUMN}, \"id\": VALUE}",
                           "datasetId: keys and conditions are those of one dataset, not of ALL");
    if (!is_all(id) && s == NULL) {
        dm_http_refuse(reply, MHD_HTTP_NOT_FOUND, "unknown_dataset", "`datamirror status` lists the datasets",
                       "datasetId: there is no dataset %.200s", id);
        return false;
    }
    if (s != NULL && !dm_relational_schema_is_complete(s)) {
        (void)dm_relational_schema_incomplete(s, &err);
        dm_http_refuse_error(reply, &err);
        return false;
    }
    if (identities) {
        json_t *targets = NULL;
        if (dm_identities_to_targets(all, s, body, &targets, notes, &err) != DM_OK) {
            dm_http_refuse_error(reply, &err);
            return false;
        }
        json_object_set_new(order, "targets", targets);
        return true;
    }
    if (keys != NULL && json_array_size(keys) == 0)
        return refuse_body(reply,
                           "for example \"keys\": [\"42\"], or [[\"a\", \"7\"]] when the key has two columns",
                           "keys must be a list of at least one key");
    json_object_set_new(order, "dataset", json_string(s->name));
    if (keys != NULL)
        json_object_set_new(order, "keys", key_texts(keys));
    else
        json_object_set(order, "where", (json_t *)(uintptr_t)where);
    return true;
}

/* A request that is sent again with its key is the same order. */
static bool put_token(const struct dm_http_request *r, json_t *order, struct dm_http_reply *reply)
{
    const char *key = dm_http_header(r, "Idempotency-Key");
    uint64_t random[2] = {(uint64_t)(uintptr_t)r, 0};
    if (key != NULL && (key[0] == '\0' || strlen(key) > longest_key)) {
        dm_http_refuse(reply, MHD_HTTP_BAD_REQUEST, "bad_request", "a UUID is a good one",
                       "Idempotency-Key wants 1 to %d characters", longest_key);
        return false;
    }
    if (key == NULL)
        (void)!getrandom(random, sizeof random, 0);
    char *token = key != NULL ? dm_xasprintf("request %s %s", r->body_hash, key)
                              : dm_xasprintf("%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    json_object_set_new(order, "token", json_string(token));
    free(token);
    return true;
}

/* The same key with another body is not the same order, and nobody may think that it was carried out. */
static bool check_key_is_free(const struct dm_http_request *r, const json_t *order,
                              struct dm_http_reply *reply)
{
    const char *key = dm_http_header(r, "Idempotency-Key"), *token = text_of(order, "token");
    struct dm_work_orders list = {0};
    bool taken = false;
    if (key == NULL)
        return true;
    if (!read_orders(r, 0, &list, reply))
        return false;
    for (size_t i = 0; i < list.n && !taken; i++) {
        const char *other = list.items[i].token;
        const char *their =
            other != NULL && strncmp(other, "request ", 8) == 0 ? strchr(other + 8, ' ') : NULL;
        taken = their != NULL && strcmp(their + 1, key) == 0 && strcmp(other, token) != 0;
    }
    dm_work_orders_release(&list);
    if (taken)
        dm_http_refuse(reply, MHD_HTTP_CONFLICT, "conflict", "a new key for a new request",
                       "the Idempotency-Key was used for another order");
    return !taken;
}

/* For the log and the report: who gave the order, as far as a request says. */
static void put_asker(const struct dm_http_request *r, json_t *order)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char address[64] = "?";
    if (info != NULL && info->client_addr != NULL)
        (void)getnameinfo(info->client_addr,
                          info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                   : sizeof(struct sockaddr_in),
                          address, sizeof address, NULL, 0, NI_NUMERICHOST);
    json_object_set_new(order, "by", json_sprintf("%s, over HTTP", address));
}

static bool make_order(const struct dm_http_request *r, const json_t *body, json_t *order, json_t **notes,
                       struct dm_http_reply *reply)
{
    struct dm_relational_schemas all = {0};
    if (!json_is_object(body))
        return refuse_body(reply, NULL, "the body must be a JSON object");
    if (!check_members(body, order_members, reply) || !check_action(body, reply) ||
        !check_texts(body, reply) || !put_token(r, order, reply) || !check_key_is_free(r, order, reply))
        return false;
    bool good = dm_http_registry(r, &all, reply) && read_what(&all, body, order, notes, reply);
    dm_relational_schemas_release(&all);
    if (text_of(body, "displayName") != NULL)
        put_text(order, "name", text_of(body, "displayName"));
    if (text_of(body, "description") != NULL)
        put_text(order, "description", text_of(body, "description"));
    bool erased =
        !json_is_false(json_object_get(body, "untilErased")); /* for good, unless it is said otherwise */
    json_object_set_new(order, "until_erased", json_boolean(erased));
    json_object_set_new(order, "erase_later", json_true());
    put_asker(r, order);
    json_object_set_new(order, "related", json_boolean(json_is_true(json_object_get(body, "related"))));
    json_object_set_new(
        order, "dry_run",
        json_boolean(json_is_true(json_object_get(body, "dryRun")) || dm_http_query_is(r, "dry_run")));
    return good;
}

/* What would be, or was, hit when no order came of it. */
static json_t *preview_json(const json_t *report, bool dry_run)
{
    return json_pack("{s:n, s:s, s:b, s:O}", "workorderId", "status", dry_run ? "preview" : "nothing_to_do",
                     "dryRun", dry_run, "report", report);
}

static void put_notes(json_t *body, const json_t *notes)
{
    json_t *report = json_object_get(body, "report"), *there = json_object_get(report, "notes");
    if (json_is_array(there) && json_array_size(notes) > 0) {
        json_t *all = json_copy(there);
        json_array_extend(all, (json_t *)(uintptr_t)notes);
        json_object_set_new(report, "notes", all);
    }
}

static void run(const struct dm_http_request *r, const json_t *order, const json_t *notes,
                struct dm_http_reply *reply)
{
    const struct dm_order_kind *kind = dm_order_kind_find("delete");
    struct dm_order_hooks hooks = {
        .stop = r->mirror->stop, .ctx = (void *)(uintptr_t)r, .gone = dm_http_client_gone};
    struct dm_error err = {0};
    json_t *result = NULL;
    if (kind->run(r->mirror, order, &hooks, &result, &err) != DM_OK) {
        dm_http_refuse_error(reply, &err);
        return;
    }
    int64_t id = json_integer_value(json_object_get(result, "order"));
    if (id > 0) {
        answer_one(r, id, MHD_HTTP_CREATED, reply);
    } else {
        reply->status = MHD_HTTP_OK;
        reply->body = preview_json(result, json_is_true(json_object_get(order, "dry_run")));
    }
    put_notes(reply->body, notes);
    json_decref(result);
}

void dm_http_work_order_create(struct dm_http_request *r, struct dm_http_reply *reply)
{
    json_t *body = dm_http_json(r, reply), *order = json_object(), *notes = NULL;
    if (body != NULL && make_order(r, body, order, &notes, reply))
        run(r, order, notes, reply);
    json_decref(notes);
    json_decref(order);
    json_decref(body);
}

/* PUT: the texts that people gave it; what it did stays. */
static void rename_order(const struct dm_http_request *r, const json_t *body, struct dm_http_reply *reply)
{
    const char *name = text_of(body, "displayName"), *description = text_of(body, "description");
    struct dm_error err = {0};
    int64_t id = id_of(r);
    if (name == NULL && description == NULL) {
        (void)refuse_body(reply, "give displayName, description, or both", "the body changes nothing");
        return;
    }
    (void)pthread_mutex_lock(&r->mirror->lake_mutex);
    enum dm_status status =
        dm_work_order_rename(dm_lake_sqlite(r->mirror->lake), id, name, description, &err);
    (void)pthread_mutex_unlock(&r->mirror->lake_mutex);
    if (status == DM_FAIL)
        dm_http_refuse_error(reply, &err);
    else
        answer_one(r, id, MHD_HTTP_OK, reply);
}

void dm_http_work_order_rename(struct dm_http_request *r, struct dm_http_reply *reply)
{
    json_t *body = dm_http_json(r, reply);
    if (body != NULL && !json_is_object(body))
        (void)refuse_body(reply, NULL, "the body must be a JSON object");
    else if (body != NULL && check_members(body, text_members, reply) && check_texts(body, reply))
        rename_order(r, body, reply);
    json_decref(body);
}
