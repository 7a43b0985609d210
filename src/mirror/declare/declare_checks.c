#include "mirror/declare/declare_checks.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/sql.h"
#include "lake/dataset_scan.h"

enum { sql_max = 1 << 20 };

/* The answer of a check: how many rows are in the way, and one of them. */
struct answer {
    unsigned long long rows;
    char sample[256];
};

static enum dm_status read_answer(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct answer *a = ctx;
    (void)err;
    a->rows = n > 0 && values[0] != NULL ? strtoull(values[0], NULL, 10) : 0;
    (void)snprintf(a->sample, sizeof a->sample, "%s", n > 1 && values[1] != NULL ? values[1] : "");
    return DM_OK;
}

static enum dm_status append_quoted(struct dm_buffer *b, const char *name, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(b, '"', err);
    for (const char *c = name; *c != '\0' && status == DM_OK; c++) {
        if (*c == '"')
            status = dm_buffer_append_byte(b, '"', err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(b, (uint8_t)*c, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(b, '"', err) : status;
}

static enum dm_status append_table(struct dm_buffer *b, const struct dm_target *t, struct dm_error *err)
{
    if (append_quoted(b, t->state.namespace, err) != DM_OK || dm_buffer_append_byte(b, '.', err) != DM_OK)
        return DM_FAIL;
    return append_quoted(b, t->state.name, err);
}

/* The columns with `between` between them and `after` behind each. */
static enum dm_status append_columns(struct dm_buffer *b, const struct dm_names *columns, const char *after,
                                     const char *between, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < columns->n && status == DM_OK; i++) {
        if (i > 0)
            status = dm_buffer_append(b, between, strlen(between), err);
        if (status == DM_OK)
            status = append_quoted(b, columns->items[i], err);
        if (status == DM_OK)
            status = dm_buffer_append(b, after, strlen(after), err);
    }
    return status;
}

/* Rows for which the condition holds, and the key of one. */
static enum dm_status rows_sql(struct dm_buffer *b, const struct dm_target *t, const char *condition,
                               struct dm_error *err)
{
    struct dm_names keys = {0};
    for (size_t i = 0; i < t->schema->n_keys; i++)
        dm_names_add(&keys, t->schema->fields[t->schema->keys[i]].name);
    enum dm_status status = dm_buffer_printf(b, err, "SELECT count(*), any_value(concat_ws(', '");
    for (size_t i = 0; i < keys.n && status == DM_OK; i++) {
        status = dm_buffer_printf(b, err, ", ");
        if (status == DM_OK)
            status = append_quoted(b, keys.items[i], err);
    }
    if (status == DM_OK)
        status = dm_buffer_printf(b, err, ")) FROM ");
    if (status == DM_OK)
        status = append_table(b, t, err);
    if (status == DM_OK)
        status = dm_buffer_printf(b, err, " WHERE %s", condition);
    dm_names_release(&keys);
    return status;
}

/* Combinations that occur twice, and one of them. */
static enum dm_status twice_sql(struct dm_buffer *b, const struct dm_target *t,
                                const struct dm_names *columns, struct dm_error *err)
{
    if (dm_buffer_printf(b, err, "SELECT count(*), any_value(concat_ws(', ', ") != DM_OK ||
        append_columns(b, columns, "", ", ", err) != DM_OK ||
        dm_buffer_printf(b, err, ")) FROM (SELECT ") != DM_OK ||
        append_columns(b, columns, "", ", ", err) != DM_OK || dm_buffer_printf(b, err, " FROM ") != DM_OK ||
        append_table(b, t, err) != DM_OK ||
        dm_buffer_printf(b, err, " GROUP BY ALL HAVING count(*) > 1)") != DM_OK)
        return DM_FAIL;
    return DM_OK;
}

static enum dm_status refuse(const struct dm_target *t, const struct dm_schema_change *change,
                             const struct answer *a, const char *what, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_CONFIG, change->hint, "%s.%s: cannot %s: %llu %s (one of them: %s)",
                   t->state.namespace, t->state.name, change->what, a->rows, what, a->sample);
}

static enum dm_status ask(struct dm_sql *sql, struct dm_buffer *b, struct answer *a, struct dm_error *err)
{
    *a = (struct answer){0};
    const char *text = dm_buffer_text(b);
    enum dm_status status =
        text != NULL ? dm_sql_each(sql, text, read_answer, a, err) : dm_fail_memory(err, sql_max);
    dm_buffer_clear(b);
    return status;
}

static enum dm_status check_unique(struct dm_sql *sql, struct dm_buffer *b, const struct dm_target *t,
                                   const struct dm_schema_change *change, struct dm_error *err)
{
    struct answer a;
    struct dm_buffer nulls;
    dm_buffer_init(&nulls, sql_max);
    enum dm_status status = append_columns(&nulls, &change->columns, " IS NULL", " OR ", err);
    if (status == DM_OK)
        status = rows_sql(b, t, dm_buffer_text(&nulls), err);
    dm_buffer_release(&nulls);
    if (status == DM_OK)
        status = ask(sql, b, &a, err);
    if (status == DM_OK && a.rows > 0)
        return refuse(t, change, &a, "rows have a null there", err);
    if (status == DM_OK)
        status = twice_sql(b, t, &change->columns, err);
    if (status == DM_OK)
        status = ask(sql, b, &a, err);
    if (status == DM_OK && a.rows > 0)
        return refuse(t, change, &a, "values occur more than once", err);
    return status;
}

static enum dm_status check_with(struct dm_sql *sql, const struct dm_target *t,
                                 const struct dm_schema_change *change, struct dm_error *err)
{
    struct dm_buffer b;
    struct answer a = {0};
    dm_buffer_init(&b, sql_max);
    enum dm_status status;
    if (change->check == DM_CHECK_UNIQUE) {
        status = check_unique(sql, &b, t, change, err);
    } else {
        status = rows_sql(&b, t, change->check == DM_CHECK_ROWS ? change->bad_rows : "true", err);
        if (status == DM_OK)
            status = ask(sql, &b, &a, err);
        if (status == DM_OK && a.rows > 0)
            status = refuse(t, change, &a,
                            change->check == DM_CHECK_ROWS ? "rows are in the way" : "rows are there already",
                            err);
    }
    dm_buffer_release(&b);
    return status;
}

enum dm_status dm_declare_check(struct dm_mirror *m, const struct dm_target *t,
                                const struct dm_schema_change *change, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    if (change->check == DM_CHECK_NOTHING)
        return DM_OK;
    if (dm_lake_dataset(m->lake, t->state.namespace, t->state.name, &d, err) != DM_OK)
        return DM_FAIL;
    if (d == NULL || d->live_rows == 0)
        return DM_OK;
    struct dm_scan_file *files = dm_dataset_scan(d);
    struct dm_sql *sql = NULL;
    enum dm_status status = dm_sql_open(m->engine, &sql, err);
    if (status == DM_OK)
        status =
            dm_sql_add_dataset(sql, t->state.namespace, t->state.name, d->schema, files, d->n_files, err);
    if (status == DM_OK)
        status = check_with(sql, t, change, err);
    if (sql != NULL)
        dm_sql_close(sql);
    free(files);
    return status;
}
