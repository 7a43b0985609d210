/* What a locked session may run. The statement is parsed by DuckDB itself (json_serialize_sql knows SELECT statements only: no
 * COPY, ATTACH, SET, INSTALL, CALL, EXPLAIN ANALYZE …); of its tree we look at every place that rows can come from. DuckDB's own
 * switches (enable_external_access, lock_configuration) stand behind this. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "engine/connection.h"
#include "engine/sql_session.h"

static enum dm_status refuse(struct dm_error *err, const char *what, const char *name)
{
    return dm_fail(err, DM_ERROR_CONFIG,
                   "a query may read the datasets of the lake with SELECT, and nothing else",
                   "%s%s%s is not allowed here", what, name[0] != 0 ? " " : "", name);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* A name with a slash could be a file, which DuckDB would read; so it must be a dataset's. */
static enum dm_status check_table(const struct dm_sql *s, const json_t *node, struct dm_error *err)
{
    const char *catalog = text_of(node, "catalog_name"), *schema = text_of(node, "schema_name"),
               *table = text_of(node, "table_name");
    if (s->files)
        return DM_OK;
    if (strchr(catalog, '/') == NULL && strchr(schema, '/') == NULL && strchr(table, '/') == NULL)
        return DM_OK;
    for (const struct dm_sql_dataset *d = s->datasets; d != NULL; d = d->next)
        if (catalog[0] == 0 && strcasecmp(d->table, table) == 0 && strcasecmp(d->namespace, schema) == 0)
            return DM_OK;
    return refuse(err, "reading", table);
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return false;
}

static enum dm_status check_function(const struct dm_sql *s, const json_t *node, struct dm_error *err)
{
    static const char *const harmless[] = {"range",          "generate_series",     "unnest",
                                           "duckdb_columns", "duckdb_tables",       "duckdb_views",
                                           "duckdb_schemas", "duckdb_functions",    "duckdb_keywords",
                                           "duckdb_types",   "generate_subscripts", "repeat",
                                           "repeat_row",     "json_each",           "json_tree"};
    const char *name = text_of(json_object_get(node, "function"), "function_name");
    static const char *const readers[] = {"read_csv",
                                          "read_csv_auto",
                                          "sniff_csv",
                                          "read_parquet",
                                          "parquet_scan",
                                          "parquet_metadata",
                                          "parquet_schema",
                                          "parquet_file_metadata",
                                          "read_json",
                                          "read_json_auto",
                                          "read_json_objects",
                                          "read_json_objects_auto",
                                          "read_ndjson",
                                          "read_ndjson_auto",
                                          "read_ndjson_objects",
                                          "read_text",
                                          "read_blob",
                                          "glob"};
    if (is_one_of(name, harmless, sizeof harmless / sizeof *harmless) ||
        (s->files && is_one_of(name, readers, sizeof readers / sizeof *readers)))
        return DM_OK;
    return refuse(err, "the table function", name);
}

static enum dm_status check_node(const struct dm_sql *s, const json_t *node, struct dm_error *err)
{
    if (json_is_array(node)) {
        for (size_t i = 0; i < json_array_size(node); i++)
            if (check_node(s, json_array_get(node, i), err) != DM_OK)
                return DM_FAIL;
        return DM_OK;
    }
    if (!json_is_object(node))
        return DM_OK;
    const char *type = text_of(node, "type");
    if (strcmp(type, "BASE_TABLE") == 0 && check_table(s, node, err) != DM_OK)
        return DM_FAIL;
    if (strcmp(type, "TABLE_FUNCTION") == 0 && check_function(s, node, err) != DM_OK)
        return DM_FAIL;
    if (strcmp(type, "SHOW_REF") == 0 && !s->files && json_is_null(json_object_get(node, "query")) &&
        strchr(text_of(node, "table_name"), '/') != NULL)
        return refuse(err, "reading", text_of(node, "table_name"));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)node, key,
                        value) if (check_node(s, value, err) != DM_OK) return DM_FAIL;
    return DM_OK;
}

/* With the line, when there are several. */
static enum dm_status syntax_error(const json_t *tree, const char *sql, struct dm_error *err)
{
    char *end = NULL;
    const char *position = text_of(tree, "position");
    unsigned long at = strtoul(position, &end, 10), line = 1;
    (void)dm_fail(err, DM_ERROR_CONFIG, NULL, "%s", text_of(tree, "error_message"));
    if (end == position || strchr(sql, '\n') == NULL)
        return DM_FAIL;
    for (unsigned long i = 0; i < at && sql[i] != '\0'; i++)
        line += sql[i] == '\n';
    dm_error_prefix(err, "line %lu", line);
    return DM_FAIL;
}

static enum dm_status check_tree(const struct dm_sql *s, const char *sql, const char *text,
                                 struct dm_error *err)
{
    json_error_t where;
    json_t *tree = json_loads(text, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &where);
    if (tree == NULL)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "the query is too complex to be checked: %s", where.text);
    enum dm_status status = DM_OK;
    const json_t *statements = json_object_get(tree, "statements");
    if (json_is_true(json_object_get(tree, "error"))) {
        if (strcmp(text_of(tree, "error_type"), "parser") == 0)
            status = syntax_error(tree, sql, err);
        else
            status = refuse(err, "this statement", "");
    } else if (json_array_size(statements) != 1) {
        status = refuse(err, "more than one statement", "");
    } else {
        status = check_node(s, statements, err);
    }
    json_decref(tree);
    return status;
}

enum dm_status dm_sql_parse(struct dm_sql *s, const char *sql, char **out, struct dm_error *err)
{
    duckdb_prepared_statement ask;
    if (duckdb_prepare(s->connection, "SELECT json_serialize_sql($1::VARCHAR)", &ask) != DuckDBSuccess ||
        duckdb_bind_varchar(ask, 1, sql) != DuckDBSuccess) {
        (void)dm_fail(err, DM_ERROR_CONFIG, NULL, "the query cannot be checked: %s",
                      duckdb_prepare_error(ask));
        duckdb_destroy_prepare(&ask);
        return DM_FAIL;
    }
    duckdb_result result;
    enum dm_status status = DM_OK;
    *out = NULL;
    if (duckdb_execute_prepared(ask, &result) != DuckDBSuccess) {
        status = dm_fail(err, DM_ERROR_CONFIG, NULL, "the query cannot be checked: %s",
                         duckdb_result_error(&result));
    } else {
        char *text = duckdb_value_varchar(&result, 0, 0);
        *out = dm_xstrdup(text);
        duckdb_free(text);
        if (*out == NULL)
            status = dm_fail(err, DM_ERROR_CONFIG, NULL, "the query cannot be checked");
    }
    duckdb_destroy_result(&result);
    duckdb_destroy_prepare(&ask);
    return status;
}

enum dm_status dm_sql_guard(struct dm_sql *s, const char *sql, struct dm_error *err)
{
    char *text = NULL;
    if (!s->locked)
        return DM_OK;
    if (dm_sql_parse(s, sql, &text, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = check_tree(s, sql, text, err);
    free(text);
    return status;
}
