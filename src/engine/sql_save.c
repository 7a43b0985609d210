/* The result of a query as a Parquet file, exactly: what Parquet has no type for is written as text. */
#include <stdlib.h>

#include "base/memory.h"
#include "engine/connection.h"
#include "engine/sql_session.h"
#include "engine/value_text.h"

enum { SQL_MAX = 64 << 20 };

/* DuckDB would write these as another type (HUGEINT as a rounded DOUBLE), or as something that other readers do not know. */
static bool is_lossy(const struct dm_value_type *t)
{
    switch (t->id) {
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT:
    case DUCKDB_TYPE_INTERVAL:
    case DUCKDB_TYPE_TIME_TZ:
    case DUCKDB_TYPE_TIME_NS:
    case DUCKDB_TYPE_BIT:
    case DUCKDB_TYPE_BIGNUM:
    case DUCKDB_TYPE_UNION:
    case DUCKDB_TYPE_SQLNULL: return true;
    default: break;
    }
    for (size_t i = 0; i < t->n; i++)
        if (is_lossy(&t->children[i]))
            return true;
    return false;
}

static bool is_nested(const struct dm_value_type *t)
{
    return t->id == DUCKDB_TYPE_LIST || t->id == DUCKDB_TYPE_ARRAY || t->id == DUCKDB_TYPE_STRUCT ||
           t->id == DUCKDB_TYPE_MAP;
}

/* SELECT "c0" AS "id", CAST("c1" AS VARCHAR) AS "total" FROM (query) AS "result"("c0", "c1"); names NULL: the query's own */
static enum dm_status append_select(struct dm_buffer *sql, const char *query, duckdb_prepared_statement p,
                                    const char *const *names, bool cast, bool *any_cast, struct dm_error *err)
{
    idx_t n = duckdb_prepared_statement_column_count(p);
    enum dm_status status = dm_buffer_printf(sql, err, "SELECT ");
    for (idx_t i = 0; i < n && status == DM_OK; i++) {
        struct dm_value_type type = {0};
        status = dm_value_type_init(&type, duckdb_prepared_statement_column_logical_type(p, i), err);
        if (status != DM_OK)
            return status;
        bool lossy = cast && is_lossy(&type);
        const char *before = !lossy ? "" : is_nested(&type) ? "to_json(" : "CAST(";
        const char *after = !lossy ? "" : is_nested(&type) ? ")" : " AS VARCHAR)";
        dm_value_type_release(&type);
        *any_cast |= lossy;
        status = dm_buffer_printf(sql, err, "%s%s\"c%llu\"%s AS ", i == 0 ? "" : ", ", before,
                                  (unsigned long long)i, after);
        const char *own = names == NULL ? duckdb_prepared_statement_column_name(p, i) : NULL;
        if (status == DM_OK)
            status = dm_sql_quote(sql, '"', names != NULL ? names[i] : own != NULL ? own : "", err);
        duckdb_free((void *)(uintptr_t)own);
    }
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " FROM (");
    if (status == DM_OK)
        status = dm_buffer_append(sql, query, strlen(query), err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, "\n) AS \"result\"(");
    for (idx_t i = 0; i < n && status == DM_OK; i++)
        status = dm_buffer_printf(sql, err, "%s\"c%llu\"", i == 0 ? "" : ", ", (unsigned long long)i);
    return status == DM_OK ? dm_buffer_append_byte(sql, ')', err) : status;
}

/* Prepares the query alone, so that what DuckDB says of a mistake shows the query's own lines. */
static enum dm_status prepare(struct dm_sql *s, const char *query, duckdb_prepared_statement *out,
                              struct dm_error *err)
{
    if (dm_sql_guard(s, query, err) != DM_OK)
        return DM_FAIL;
    if (duckdb_prepare(s->connection, query, out) == DuckDBSuccess)
        return DM_OK;
    (void)dm_duckdb_fail(err, DUCKDB_ERROR_INVALID, duckdb_prepare_error(*out), DM_ERROR_CONFIG);
    duckdb_destroy_prepare(out);
    return dm_sql_explain(s, err);
}

enum dm_status dm_sql_rename(struct dm_sql *s, const char *query, const char *const *names, size_t n,
                             char **out, struct dm_error *err)
{
    duckdb_prepared_statement p = NULL;
    if (prepare(s, query, &p, err) != DM_OK)
        return DM_FAIL;
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    enum dm_status status = DM_OK;
    bool any_cast = false;
    idx_t there = duckdb_prepared_statement_column_count(p);
    if (there != n)
        status = dm_fail(err, DM_ERROR_CONFIG, NULL, "%zu columns are named, and the query gives %llu", n,
                         (unsigned long long)there);
    if (status == DM_OK)
        status = append_select(&sql, query, p, names, false, &any_cast, err);
    const char *text = status == DM_OK ? dm_buffer_text(&sql) : NULL;
    if (status == DM_OK && text == NULL)
        status = dm_fail_memory(err, sql.max);
    if (status == DM_OK)
        *out = dm_xstrdup(text);
    dm_buffer_release(&sql);
    duckdb_destroy_prepare(&p);
    return status;
}

static enum dm_status copy_statement(struct dm_buffer *sql, const char *query, duckdb_prepared_statement p,
                                     const char *path, struct dm_error *err)
{
    bool any_cast = false;
    struct dm_buffer select;
    dm_buffer_init(&select, SQL_MAX);
    enum dm_status status = append_select(&select, query, p, NULL, true, &any_cast, err);
    if (status == DM_OK && !any_cast) { /* as it is: an ORDER BY then stands at the top */
        dm_buffer_clear(&select);
        status = dm_buffer_append(&select, query, strlen(query), err);
    }
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, "COPY (");
    if (status == DM_OK)
        status = dm_buffer_append(sql, select.data, select.len, err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, "\n) TO ");
    if (status == DM_OK)
        status = dm_sql_quote(sql, '\'', path, err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " (FORMAT parquet, COMPRESSION lz4_raw, USE_TMP_FILE false)");
    if (status == DM_OK && dm_buffer_text(sql) == NULL)
        status = dm_fail_memory(err, sql->max);
    dm_buffer_release(&select);
    return status;
}

enum dm_status dm_sql_save(struct dm_sql *s, const char *query, const char *path, uint64_t *rows,
                           struct dm_error *err)
{
    duckdb_prepared_statement p = NULL;
    if (prepare(s, query, &p, err) != DM_OK)
        return DM_FAIL;
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    enum dm_status status = copy_statement(&sql, query, p, path, err);
    duckdb_destroy_prepare(&p);
    if (status == DM_OK) {
        duckdb_result result;
        if (duckdb_query(s->connection, (const char *)sql.data, &result) != DuckDBSuccess) {
            (void)dm_duckdb_fail(err, duckdb_result_error_type(&result), duckdb_result_error(&result),
                                 DM_ERROR_CONFIG);
            status = dm_sql_explain(s, err);
        } else {
            *rows = duckdb_rows_changed(&result);
        }
        duckdb_destroy_result(&result);
    }
    dm_buffer_release(&sql);
    return status;
}
