#include "registry/registry_rows.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "registry/schema_json.h"

static const char create_sql[] =
    "CREATE TABLE IF NOT EXISTS dm_schema("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, title TEXT, description TEXT,"
    " origin TEXT NOT NULL, source_id INTEGER NOT NULL DEFAULT 0, behavior TEXT NOT NULL, columns TEXT NOT "
    "NULL,"
    " settings TEXT NOT NULL, created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS dm_descriptor("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, schema INTEGER NOT NULL REFERENCES dm_schema(id) ON DELETE "
    "CASCADE,"
    " kind TEXT NOT NULL, name TEXT NOT NULL DEFAULT '', body TEXT NOT NULL, created_us INTEGER NOT NULL,"
    " updated_us INTEGER NOT NULL, UNIQUE(schema, kind, name));";

enum dm_status dm_registry_create_tables(sqlite3 *db, struct dm_error *err)
{
    if (sqlite3_exec(db, create_sql, NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "creating the registry's tables", err);
    return DM_OK;
}

static enum dm_status has_tables(sqlite3 *db, bool *there, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema WHERE type='table' AND name='dm_descriptor'", -1,
                           &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "reading the catalog", err);
    int code = sqlite3_step(st);
    *there = code == SQLITE_ROW;
    sqlite3_finalize(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "reading the catalog", err);
}

/* ---- descriptors ---- */

static json_t *names_json(const struct dm_names *names)
{
    json_t *a = json_array();
    for (size_t i = 0; i < names->n; i++)
        json_array_append_new(a, json_string(names->items[i]));
    return a;
}

static void names_from_json(const json_t *a, struct dm_names *out)
{
    for (size_t i = 0; i < json_array_size(a); i++)
        if (json_is_string(json_array_get(a, i)))
            dm_names_add(out, json_string_value(json_array_get(a, i)));
}

static void put_text(json_t *o, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(o, key, json_string(text));
}

static json_t *relationship_body(const struct dm_relationship *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "columns", names_json(&r->columns));
    put_text(o, "target", r->target);
    json_object_set_new(o, "target_columns", names_json(&r->target_columns));
    put_text(o, "cardinality", dm_cardinality_text(r->cardinality));
    put_text(o, "forward_name", r->forward_name);
    put_text(o, "backward_name", r->backward_name);
    if (r->discovered)
        json_object_set_new(o, "discovered", json_true());
    if (r->enforced)
        json_object_set_new(o, "enforced", json_true());
    return o;
}

static json_t *column_body(const char *column)
{
    json_t *o = json_object();
    put_text(o, "column", column);
    return o;
}

static json_t *key_body(const struct dm_names *key)
{
    json_t *o = json_object();
    json_object_set_new(o, "columns", names_json(key));
    return o;
}

/* Adds or updates one descriptor and tells its id; a body that is the same leaves the row alone. */
static enum dm_status put_descriptor(sqlite3 *db, int64_t schema, const char *kind, const char *name,
                                     json_t *take_body, int64_t *id, struct dm_error *err)
{
    char *body = json_dumps(take_body, JSON_COMPACT);
    json_decref(take_body);
    if (body == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a name in the schema is not UTF-8");
    int64_t now = dm_clock_wall_us();
    enum dm_status status =
        dm_sql_run(db, NULL,
                   "INSERT INTO dm_descriptor(schema, kind, name, body, created_us, updated_us) "
                   "VALUES(?1,?2,?3,?4,?5,?5)"
                   " ON CONFLICT(schema, kind, name) DO UPDATE SET body=?4, updated_us=?5 WHERE body<>?4",
                   err, "ittti", schema, kind, name, body, now);
    free(body);
    sqlite3_stmt *st;
    if (status != DM_OK)
        return status;
    if (sqlite3_prepare_v2(db, "SELECT id FROM dm_descriptor WHERE schema=? AND kind=? AND name=?", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_sql_fail(db, "reading a descriptor", err);
    sqlite3_bind_int64(st, 1, schema);
    sqlite3_bind_text(st, 2, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, name, -1, SQLITE_STATIC);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        *id = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, "reading a descriptor", err);
}

static enum dm_status put_or_remove(sqlite3 *db, const struct dm_relational_schema *s, const char *kind,
                                    json_t *take_body, int64_t *id, struct dm_error *err)
{
    if (take_body != NULL)
        return put_descriptor(db, s->id, kind, "", take_body, id, err);
    *id = 0;
    return dm_sql_run(db, NULL, "DELETE FROM dm_descriptor WHERE schema=? AND kind=?", err, "it", s->id,
                      kind);
}

static enum dm_status put_relationships(sqlite3 *db, struct dm_relational_schema *s, struct dm_error *err)
{
    json_t *kept = json_array();
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n_relationships && status == DM_OK; i++) {
        struct dm_relationship *r = &s->relationships[i];
        if (r->name == NULL)
            r->name = dm_xasprintf("relationship %zu", i + 1);
        json_array_append_new(kept, json_string(r->name));
        status = put_descriptor(db, s->id, "relationship", r->name, relationship_body(r), &r->id, err);
    }
    char *names = json_dumps(kept, JSON_COMPACT);
    json_decref(kept);
    if (status == DM_OK)
        status = dm_sql_run(db, NULL,
                            "DELETE FROM dm_descriptor WHERE schema=? AND kind='relationship'"
                            " AND name NOT IN (SELECT value FROM json_each(?))",
                            err, "it", s->id, names);
    free(names);
    return status;
}

static enum dm_status put_descriptors(sqlite3 *db, struct dm_relational_schema *s, struct dm_error *err)
{
    if (put_or_remove(db, s, "primary_key", s->key.n > 0 ? key_body(&s->key) : NULL, &s->key_id, err) !=
            DM_OK ||
        put_or_remove(db, s, "version", s->version != NULL ? column_body(s->version) : NULL, &s->version_id,
                      err) != DM_OK ||
        put_or_remove(db, s, "timestamp", s->timestamp != NULL ? column_body(s->timestamp) : NULL,
                      &s->timestamp_id, err) != DM_OK)
        return DM_FAIL;
    return put_relationships(db, s, err);
}

/* ---- writing a schema ---- */

static enum dm_status write_row(sqlite3 *db, const struct dm_relational_schema *s, struct dm_error *err)
{
    json_t *columns_json = dm_columns_to_json(s), *settings_json = dm_settings_to_json(&s->settings);
    char *columns = json_dumps(columns_json, JSON_COMPACT),
         *settings = json_dumps(settings_json, JSON_COMPACT);
    json_decref(columns_json);
    json_decref(settings_json);
    enum dm_status status = dm_sql_run(
        db, NULL,
        "INSERT INTO dm_schema(name, title, description, origin, source_id, behavior, columns, settings, "
        "created_us,"
        " updated_us) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?9)"
        " ON CONFLICT(name) DO UPDATE SET title=?2, description=?3, origin=?4, source_id=?5, "
        "behavior=?6, columns=?7,"
        " settings=?8, updated_us=?9",
        err, "ttttittti", s->name, s->title, s->description, s->origin, (int64_t)s->source_id,
        s->behavior == DM_BEHAVIOR_TIME_SERIES ? "time-series" : "record", columns, settings,
        dm_clock_wall_us());
    free(columns);
    free(settings);
    return status;
}

static enum dm_status read_ids(sqlite3 *db, struct dm_relational_schema *s, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT id, created_us, updated_us FROM dm_schema WHERE name=?", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_sql_fail(db, "reading a schema", err);
    sqlite3_bind_text(st, 1, s->name, -1, SQLITE_STATIC);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        s->id = sqlite3_column_int64(st, 0);
        s->created_us = sqlite3_column_int64(st, 1);
        s->updated_us = sqlite3_column_int64(st, 2);
    }
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, "reading a schema", err);
}

static enum dm_status put_all(sqlite3 *db, struct dm_relational_schema *s, struct dm_error *err)
{
    if (dm_registry_create_tables(db, err) != DM_OK || write_row(db, s, err) != DM_OK ||
        read_ids(db, s, err) != DM_OK)
        return DM_FAIL;
    return put_descriptors(db, s, err);
}

enum dm_status dm_registry_begin(sqlite3 *db, bool *own, struct dm_error *err)
{
    *own = sqlite3_get_autocommit(db) != 0;
    return dm_sql_run(db, NULL, *own ? "BEGIN IMMEDIATE" : "SAVEPOINT dm_registry", err, "");
}

enum dm_status dm_registry_end(sqlite3 *db, bool own, enum dm_status status, struct dm_error *err)
{
    if (status == DM_OK)
        status = dm_sql_run(db, NULL, own ? "COMMIT" : "RELEASE dm_registry", err, "");
    /* What failed is known already: undoing it must not hide that. */
    if (status != DM_OK)
        (void)sqlite3_exec(db, own ? "ROLLBACK" : "ROLLBACK TO dm_registry; RELEASE dm_registry", NULL, NULL,
                           NULL);
    return status;
}

enum dm_status dm_registry_put(sqlite3 *db, struct dm_relational_schema *s, struct dm_error *err)
{
    bool own;
    if (dm_registry_begin(db, &own, err) != DM_OK)
        return DM_FAIL;
    return dm_registry_end(db, own, put_all(db, s, err), err);
}

enum dm_status dm_registry_rename(sqlite3 *db, int64_t schema, const char *from, const char *to,
                                  struct dm_error *err)
{
    if (dm_sql_run(db, NULL, "UPDATE dm_schema SET name=? WHERE id=?", err, "ti", to, schema) != DM_OK)
        return DM_FAIL;
    return dm_sql_run(db, NULL,
                      "UPDATE dm_descriptor SET body=json_set(body, '$.target', ?2)"
                      " WHERE kind='relationship' AND json_extract(body, '$.target')=?1",
                      err, "tt", from, to);
}

static enum dm_status remove_all(sqlite3 *db, const char *name, struct dm_error *err)
{
    if (dm_sql_run(db, NULL, "DELETE FROM dm_descriptor WHERE schema=(SELECT id FROM dm_schema WHERE name=?)",
                   err, "t", name) != DM_OK)
        return DM_FAIL;
    return dm_sql_run(db, NULL, "DELETE FROM dm_schema WHERE name=?", err, "t", name);
}

enum dm_status dm_registry_remove(sqlite3 *db, const char *name, struct dm_error *err)
{
    bool there = false, own = false;
    if (has_tables(db, &there, err) != DM_OK)
        return DM_FAIL;
    if (!there)
        return DM_OK;
    if (dm_registry_begin(db, &own, err) != DM_OK)
        return DM_FAIL;
    char *full = dm_relational_schema_name(name);
    enum dm_status status = dm_registry_end(db, own, remove_all(db, full, err), err);
    free(full);
    return status;
}

/* ---- reading ---- */

static char *text_column(sqlite3_stmt *st, int i)
{
    return dm_xstrdup((const char *)sqlite3_column_text(st, i));
}

static enum dm_status damaged(const char *name, const char *what, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_FATAL, "the catalog is damaged, or was written by a newer version",
                   "the registry's entry of %s: its %s cannot be read", name, what);
}

static enum dm_status read_row(sqlite3_stmt *st, struct dm_relational_schema **out, struct dm_error *err)
{
    struct dm_relational_schema *s = dm_relational_schema_new((const char *)sqlite3_column_text(st, 1));
    s->id = sqlite3_column_int64(st, 0);
    s->title = text_column(st, 2);
    s->description = text_column(st, 3);
    free(s->origin);
    s->origin = text_column(st, 4);
    s->source_id = (uint64_t)sqlite3_column_int64(st, 5);
    s->behavior = strcmp((const char *)sqlite3_column_text(st, 6), "time-series") == 0
                      ? DM_BEHAVIOR_TIME_SERIES
                      : DM_BEHAVIOR_RECORD;
    json_t *columns = json_loads((const char *)sqlite3_column_text(st, 7), 0, NULL);
    json_t *settings = json_loads((const char *)sqlite3_column_text(st, 8), 0, NULL);
    s->created_us = sqlite3_column_int64(st, 9);
    s->updated_us = sqlite3_column_int64(st, 10);
    enum dm_status status = columns == NULL || settings == NULL ? damaged(s->name, "columns", err)
                                                                : dm_columns_from_json(columns, s, err);
    if (status == DM_OK)
        status = dm_settings_from_json(settings, &s->settings, err);
    json_decref(columns);
    json_decref(settings);
    if (status != DM_OK) {
        dm_relational_schema_free(s);
        return status;
    }
    *out = s;
    return DM_OK;
}

static void read_relationship(int64_t id, const char *name, const json_t *body,
                              struct dm_relational_schema *s)
{
    const char *target = json_string_value(json_object_get(body, "target"));
    const char *cardinality = json_string_value(json_object_get(body, "cardinality"));
    struct dm_relationship *r = dm_relational_schema_relate(s, target != NULL ? target : "");
    r->id = id;
    r->name = dm_xstrdup(name);
    names_from_json(json_object_get(body, "columns"), &r->columns);
    names_from_json(json_object_get(body, "target_columns"), &r->target_columns);
    if (cardinality != NULL)
        (void)dm_cardinality_find(cardinality, &r->cardinality);
    r->forward_name = dm_xstrdup(json_string_value(json_object_get(body, "forward_name")));
    r->backward_name = dm_xstrdup(json_string_value(json_object_get(body, "backward_name")));
    r->discovered = json_is_true(json_object_get(body, "discovered"));
    r->enforced = json_is_true(json_object_get(body, "enforced"));
}

static enum dm_status read_descriptor(sqlite3_stmt *st, struct dm_relational_schema *s, struct dm_error *err)
{
    int64_t id = sqlite3_column_int64(st, 0);
    const char *kind = (const char *)sqlite3_column_text(st, 1);
    json_t *body = json_loads((const char *)sqlite3_column_text(st, 3), 0, NULL);
    if (body == NULL)
        return damaged(s->name, "descriptor", err);
    const char *column = json_string_value(json_object_get(body, "column"));
    if (strcmp(kind, "primary_key") == 0) {
        s->key_id = id;
        names_from_json(json_object_get(body, "columns"), &s->key);
    } else if (strcmp(kind, "version") == 0) {
        s->version_id = id;
        s->version = dm_xstrdup(column);
    } else if (strcmp(kind, "timestamp") == 0) {
        s->timestamp_id = id;
        s->timestamp = dm_xstrdup(column);
    } else if (strcmp(kind, "relationship") == 0) {
        read_relationship(id, (const char *)sqlite3_column_text(st, 2), body, s);
    }
    json_decref(body);
    return DM_OK;
}

static enum dm_status read_descriptors(sqlite3 *db, struct dm_relational_schema *s, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT id, kind, name, body FROM dm_descriptor WHERE schema=? ORDER BY id",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "reading descriptors", err);
    sqlite3_bind_int64(st, 1, s->id);
    int code;
    enum dm_status status = DM_OK;
    while (status == DM_OK && (code = sqlite3_step(st)) == SQLITE_ROW)
        status = read_descriptor(st, s, err);
    sqlite3_finalize(st);
    return status != DM_OK || code == SQLITE_DONE ? status : dm_sql_fail(db, "reading descriptors", err);
}

static enum dm_status select_schemas(sqlite3 *db, const char *where, const char *text, int64_t number,
                                     struct dm_relational_schemas *out, struct dm_error *err)
{
    bool there = false;
    *out = (struct dm_relational_schemas){0};
    if (has_tables(db, &there, err) != DM_OK)
        return DM_FAIL;
    if (!there)
        return DM_OK;
    char *sql =
        dm_xasprintf("SELECT id, name, title, description, origin, source_id, behavior, columns, settings,"
                     " created_us, updated_us FROM dm_schema WHERE %s ORDER BY name",
                     where);
    sqlite3_stmt *st;
    int prepared = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    free(sql);
    if (prepared != SQLITE_OK)
        return dm_sql_fail(db, "reading the registry", err);
    sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, number);
    int code = SQLITE_DONE;
    enum dm_status status = DM_OK;
    while (status == DM_OK && (code = sqlite3_step(st)) == SQLITE_ROW) {
        struct dm_relational_schema *s = NULL;
        status = read_row(st, &s, err);
        if (status == DM_OK) {
            dm_relational_schemas_add(out, s);
            status = read_descriptors(db, s, err);
        }
    }
    sqlite3_finalize(st);
    if (status == DM_OK && code != SQLITE_DONE)
        status = dm_sql_fail(db, "reading the registry", err);
    if (status != DM_OK)
        dm_relational_schemas_release(out);
    return status;
}

enum dm_status dm_registry_list(sqlite3 *db, struct dm_relational_schemas *out, struct dm_error *err)
{
    return select_schemas(db, "?1 IS NULL OR ?2 = 0", NULL, 0, out, err);
}

/* The only one of a list of at most one. */
static struct dm_relational_schema *take_one(struct dm_relational_schemas *list)
{
    struct dm_relational_schema *s = list->n > 0 ? list->items[0] : NULL;
    free(list->items);
    return s;
}

enum dm_status dm_registry_get(sqlite3 *db, const char *name, struct dm_relational_schema **out,
                               struct dm_error *err)
{
    struct dm_relational_schemas list;
    char *full = dm_relational_schema_name(name);
    enum dm_status status = select_schemas(db, "name = ?1 AND ?2 = 0", full, 0, &list, err);
    free(full);
    if (status == DM_OK)
        *out = take_one(&list);
    return status;
}

enum dm_status dm_registry_get_source(sqlite3 *db, const char *origin, uint64_t source_id,
                                      struct dm_relational_schema **out, struct dm_error *err)
{
    struct dm_relational_schemas list;
    if (select_schemas(db, "origin = ?1 AND source_id = ?2 AND ?2 <> 0", origin, (int64_t)source_id, &list,
                       err) != DM_OK)
        return DM_FAIL;
    while (list.n > 1)
        dm_relational_schema_free(list.items[--list.n]);
    *out = take_one(&list);
    return DM_OK;
}
