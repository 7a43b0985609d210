#include "engine/sql.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "engine/connection.h"
#include "engine/duckdb_type.h"
#include "engine/field_names.h"
#include "engine/handoff.h"
#include "engine/read_relation.h"
#include "engine/sql_session.h"

enum { SQL_MAX = 256 << 20 };

enum dm_status dm_sql_open(struct dm_engine *e, struct dm_sql **out, struct dm_error *err)
{
    struct dm_sql *s = dm_xzalloc(1, sizeof *s);
    dm_buffer_init(&s->paths, SQL_MAX);
    if (dm_engine_open_database(dm_engine_options_of(e), &s->database, err) != DM_OK) {
        free(s);
        return DM_FAIL;
    }
    if (duckdb_connect(s->database, &s->connection) != DuckDBSuccess) {
        dm_sql_close(s);
        return dm_fail(err, DM_ERROR_FATAL, NULL, "cannot connect to DuckDB");
    }
    /* People expect LIMIT without ORDER BY to give the same rows each time. */
    if (dm_connection_run(s->connection, "SET preserve_insertion_order = true", err) != DM_OK) {
        dm_sql_close(s);
        return DM_FAIL;
    }
    *out = s;
    return DM_OK;
}

void dm_sql_close(struct dm_sql *s)
{
    if (s == NULL)
        return;
    dm_sql_watch_end(s);
    if (s->connection != NULL)
        duckdb_disconnect(&s->connection);
    duckdb_close(&s->database);
    while (s->datasets != NULL) {
        struct dm_sql_dataset *d = s->datasets;
        s->datasets = d->next;
        dm_handoff_take(&d->slot);
        free(d->namespace);
        free(d->table);
        free(d->asked);
        free((void *)(uintptr_t)d->filter.positions);
        free(d);
    }
    dm_buffer_release(&s->paths);
    free(s);
}

static enum dm_status append_columns(struct dm_buffer *sql, const struct dm_schema *schema,
                                     char *const *plain, bool empty, struct dm_error *err)
{
    char **names = dm_field_names_new(schema);
    enum dm_status status = DM_OK;
    char type[32];
    for (size_t i = 0; i < schema->n_fields && status == DM_OK; i++) {
        status = empty ? dm_buffer_printf(sql, err, "%s NULL::%s AS ", i == 0 ? "SELECT" : ",",
                                          dm_duckdb_type_sql(schema->fields[i].type, type, sizeof type))
                       : dm_buffer_printf(sql, err, "%s %s AS ", i == 0 ? "SELECT" : ",", plain[i]);
        if (status == DM_OK)
            status = dm_sql_quote(sql, '"', names[i], err);
    }
    dm_field_names_free(names, schema->n_fields);
    return status;
}

/* CREATE VIEW "namespace"."table" AS SELECT f0 AS "id", … FROM read_parquet(…) WHERE dm_visible_<n>(file_index, file_row_number) */
static enum dm_status view_statement(struct dm_buffer *sql, const struct dm_sql_dataset *d, unsigned number,
                                     const struct dm_schema *schema, const struct dm_scan_file *files,
                                     size_t n_files, bool filtered, struct dm_error *err)
{
    char **plain = dm_xzalloc(schema->n_fields, sizeof *plain);
    for (size_t i = 0; i < schema->n_fields; i++)
        plain[i] = dm_xasprintf("f%zu", i);
    enum dm_status status = DM_FAIL;
    if (dm_buffer_printf(sql, err, "CREATE VIEW ") == DM_OK &&
        dm_sql_quote(sql, '"', d->namespace, err) == DM_OK && dm_buffer_append_byte(sql, '.', err) == DM_OK &&
        dm_sql_quote(sql, '"', d->table, err) == DM_OK && dm_buffer_append(sql, " AS ", 4, err) == DM_OK &&
        append_columns(sql, schema, plain, n_files == 0, err) == DM_OK)
        status = DM_OK;
    if (status == DM_OK && n_files == 0)
        status = dm_buffer_printf(sql, err, " WHERE false");
    else if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " FROM ") == DM_OK
                     ? dm_read_relation(sql, files, n_files, schema, plain, err)
                     : DM_FAIL;
    if (status == DM_OK && filtered)
        status = dm_buffer_printf(sql, err, " WHERE dm_visible_%u(file_index, file_row_number)", number);
    if (status == DM_OK && dm_buffer_text(sql) == NULL)
        status = dm_fail_memory(err, SQL_MAX);
    dm_field_names_free(plain, schema->n_fields);
    return status;
}

static enum dm_status create_schema(struct dm_sql *s, const char *namespace, struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, 1 << 16);
    enum dm_status status = dm_buffer_printf(&sql, err, "CREATE SCHEMA IF NOT EXISTS ");
    if (status == DM_OK)
        status = dm_sql_quote(&sql, '"', namespace, err);
    if (status == DM_OK)
        status = dm_buffer_text(&sql) != NULL ? dm_connection_run(s->connection, (const char *)sql.data, err)
                                              : dm_fail_memory(err, sql.max);
    dm_buffer_release(&sql);
    return status;
}

static enum dm_status remember_paths(struct dm_sql *s, const struct dm_scan_file *files, size_t n_files,
                                     struct dm_error *err)
{
    for (size_t i = 0; i < n_files; i++)
        if ((s->paths.len != 0 && dm_buffer_append(&s->paths, ", ", 2, err) != DM_OK) ||
            dm_sql_quote(&s->paths, '\'', files[i].path, err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

/* DuckDB's names are equal without regard to case: of "t" and "T" the second one added is called "T_2". */
static char *free_name(const struct dm_sql *s, const char *namespace, const char *table)
{
    char *name = dm_xstrdup(table);
    unsigned next = 2;
    for (const struct dm_sql_dataset *d = s->datasets; d != NULL;) {
        if (strcasecmp(d->namespace, namespace) != 0 || strcasecmp(d->table, name) != 0) {
            d = d->next;
            continue;
        }
        free(name);
        name = dm_xasprintf("%s_%u", table, next++);
        d = s->datasets;
    }
    return name;
}

enum dm_status dm_sql_add_dataset(struct dm_sql *s, const char *namespace, const char *table,
                                  const struct dm_schema *schema, const struct dm_scan_file *files,
                                  size_t n_files, struct dm_error *err)
{
    if (s->locked)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a locked session takes no more datasets");
    struct dm_sql_dataset *d = dm_xzalloc(1, sizeof *d);
    d->namespace = dm_xstrdup(namespace);
    d->table = free_name(s, namespace, table);
    d->asked = dm_xstrdup(table);
    const roaring_bitmap_t **deleted = dm_xzalloc(n_files, sizeof *deleted);
    bool filtered = false;
    for (size_t i = 0; i < n_files; i++) {
        deleted[i] = files[i].deleted;
        filtered |= deleted[i] != NULL && !roaring_bitmap_is_empty(deleted[i]);
    }
    d->filter = (struct dm_scan_filter){.n_files = n_files, .positions = deleted};
    d->slot = &d->filter;
    dm_handoff_give(&d->slot);
    d->next = s->datasets;
    s->datasets = d; /* owned by the session from here on, whatever happens */
    unsigned number = s->n_datasets++;

    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    enum dm_status status = create_schema(s, namespace, err);
    if (status == DM_OK && filtered)
        status = dm_scan_filter_register(s->connection, number, &d->slot, err);
    if (status == DM_OK)
        status = remember_paths(s, files, n_files, err);
    if (status == DM_OK)
        status = view_statement(&sql, d, number, schema, files, n_files, filtered, err);
    if (status == DM_OK)
        status = dm_connection_run(s->connection, (const char *)sql.data, err);
    if (status != DM_OK)
        dm_error_prefix(err, "dataset %s.%s", namespace, table);
    dm_buffer_release(&sql);
    return status;
}

const char *dm_sql_view_of(const struct dm_sql *s, const char *namespace, const char *table)
{
    for (const struct dm_sql_dataset *d = s->datasets; d != NULL; d = d->next)
        if (strcmp(d->namespace, namespace) == 0 && strcmp(d->asked, table) == 0)
            return d->table;
    return NULL;
}

enum dm_status dm_sql_add_view(struct dm_sql *s, const char *namespace, const char *name, const char *select,
                               struct dm_error *err)
{
    if (s->locked)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a locked session takes no more views");
    char *table = free_name(s, namespace, name);
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    enum dm_status status = create_schema(s, namespace, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, "CREATE VIEW ");
    if (status == DM_OK)
        status = dm_sql_quote(&sql, '"', namespace, err);
    if (status == DM_OK)
        status = dm_buffer_append_byte(&sql, '.', err);
    if (status == DM_OK)
        status = dm_sql_quote(&sql, '"', table, err);
    if (status == DM_OK)
        status = dm_buffer_append(&sql, " AS ", 4, err);
    if (status == DM_OK)
        status = dm_buffer_append(&sql, select, strlen(select), err);
    if (status == DM_OK)
        status = dm_buffer_text(&sql) != NULL ? dm_connection_run(s->connection, (const char *)sql.data, err)
                                              : dm_fail_memory(err, SQL_MAX);
    dm_buffer_release(&sql);
    if (status != DM_OK) {
        free(table);
        return status;
    }
    struct dm_sql_dataset *d =
        dm_xzalloc(1, sizeof *d); /* it stands in the list of names that a query may read */
    *d = (struct dm_sql_dataset){
        .namespace = dm_xstrdup(namespace), .table = table, .asked = dm_xstrdup(name)};
    d->next = s->datasets;
    s->datasets = d;
    return DM_OK;
}

enum dm_status dm_sql_lock(struct dm_sql *s, struct dm_error *err)
{
    if (s->locked)
        return DM_OK;
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    enum dm_status status = dm_buffer_printf(&sql, err, "SET allowed_paths = [");
    if (status == DM_OK && s->paths.len != 0)
        status = dm_buffer_append(&sql, s->paths.data, s->paths.len, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err,
                                  "]; SET enable_external_access = false; SET lock_configuration = true");
    if (status == DM_OK && dm_buffer_text(&sql) == NULL)
        status = dm_fail_memory(err, SQL_MAX);
    if (status == DM_OK)
        status = dm_connection_run(s->connection, (const char *)sql.data, err);
    if (status == DM_OK)
        s->locked = true;
    dm_buffer_release(&sql);
    return status;
}

enum dm_status dm_sql_lock_files(struct dm_sql *s, struct dm_error *err)
{
    if (s->locked)
        return DM_OK;
    if (dm_connection_run(s->connection, "SET lock_configuration = true", err) != DM_OK)
        return DM_FAIL;
    s->locked = true;
    s->files = true;
    return DM_OK;
}

enum dm_status dm_sql_execute(struct dm_sql *s, const char *sql, struct dm_error *err)
{
    if (dm_sql_guard(s, sql, err) != DM_OK)
        return DM_FAIL;
    duckdb_result result;
    enum dm_status status = DM_OK;
    if (duckdb_query(s->connection, sql, &result) != DuckDBSuccess) {
        (void)dm_duckdb_fail(err, duckdb_result_error_type(&result), duckdb_result_error(&result),
                             DM_ERROR_CONFIG);
        status = dm_sql_explain(s, err);
    }
    duckdb_destroy_result(&result);
    return status;
}

enum dm_status dm_sql_start(struct dm_sql *s, const char *sql, struct dm_stream *stream, struct dm_error *err)
{
    if (dm_sql_guard(s, sql, err) != DM_OK)
        return DM_FAIL;
    if (dm_stream_open(stream, s->connection, sql, DM_ERROR_CONFIG, err) != DM_OK)
        return dm_sql_explain(s, err);
    return DM_OK;
}
