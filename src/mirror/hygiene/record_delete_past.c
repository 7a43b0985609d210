/* What the lake still has of a dataset's past, as tables of the search: every row that stands in a data file (also deleted and superseded ones, and those of files that only
 * older snapshots refer to, or nothing any more), every row of its histories, every row in quarantine. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/hygiene/erase.h"
#include "mirror/hygiene/record_delete_parts.h"
#include "mirror/quarantine/quarantine_values.h"

/* ---- the columns that matter ---- */

static void want(const struct dm_schema *schema, bool *wanted, const struct dm_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        int at = dm_schema_find(schema, names->items[i]);
        if (at >= 0 && schema->fields[at].type.id != DM_LIST)
            wanted[at] = true;
    }
}

/* Key columns, and those of relationships from and to the dataset; *n of them. */
static uint32_t *wanted_columns(const struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                size_t *count)
{
    const struct dm_schema *schema = n->dataset->schema;
    bool *wanted = dm_xzalloc(schema->n_fields + 1, sizeof *wanted);
    for (size_t k = 0; k < schema->n_keys; k++)
        wanted[schema->keys[k]] = true;
    for (size_t i = 0; i < s->schemas.n; i++)
        for (size_t k = 0; k < s->schemas.items[i]->n_relationships; k++) {
            const struct dm_relationship *r = &s->schemas.items[i]->relationships[k];
            if (strcmp(s->schemas.items[i]->name, n->name) == 0)
                want(schema, wanted, &r->columns);
            if (strcmp(r->target, n->name) == 0)
                want(schema, wanted, &r->target_columns);
        }
    uint32_t *columns = dm_xzalloc(schema->n_fields + 1, sizeof *columns);
    *count = 0;
    for (size_t i = 0; i < schema->n_fields; i++)
        if (wanted[i])
            columns[(*count)++] = (uint32_t)i;
    free(wanted);
    return columns;
}

static enum dm_status append_columns(const uint32_t *columns, size_t n, struct dm_buffer *sql,
                                     struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = dm_buffer_printf(sql, err, "%sc%u", i > 0 ? ", " : "", columns[i]);
    return status;
}

/* ---- files ---- */

static void add_file(struct dm_scan_file **files, size_t *n, const char *path, uint64_t rows)
{
    *files = dm_xrealloc(*files, *n + 1, sizeof **files);
    (*files)[*n] = (struct dm_scan_file){.path = path, .number = (uint32_t)*n, .rows = rows};
    ++*n;
}

static void tell(struct dm_delete_search_state *s, char *take_text)
{
    json_array_append_new(s->out->cannot, json_string(take_text));
    free(take_text);
}

/* View del.a<i>. */
static enum dm_status add_all_files(struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                    struct dm_error *err)
{
    struct dm_family family;
    if (dm_family_load(s->m, n->state, &family, err) != DM_OK)
        return DM_FAIL;
    struct dm_leftovers *left = dm_xzalloc(family.n + 1, sizeof *left);
    struct dm_scan_file *files = NULL;
    size_t n_files = 0, torn = 0;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < family.n && status == DM_OK; i++) {
        const struct dm_dataset *d = family.members[i];
        if (strcmp(d->name + strlen(n->state->name), "__tombstones") == 0)
            continue; /* keys alone: they refer to nothing */
        for (size_t k = 0; k < d->n_files; k++)
            add_file(&files, &n_files, d->files[k].path, d->files[k].rows);
        status = dm_lake_leftovers(d, &left[i], err);
        for (size_t k = 0; k < left[i].n; k++)
            add_file(&files, &n_files, left[i].paths[k], 0);
        torn += left[i].torn;
    }
    if (torn > 0)
        tell(s, dm_xasprintf("%zu files of %s that a crash left, and that nobody can read: they go within an "
                             "hour or two",
                             torn, n->name));
    char *name = dm_xasprintf("a%zu", dm_delete_index_of(s, n));
    if (status == DM_OK)
        status = dm_delete_add_files(s, n, name, files, n_files, err);
    free(name);
    for (size_t i = 0; i < family.n; i++)
        dm_leftovers_release(&left[i]);
    free(left);
    free(files);
    dm_family_release(&family);
    return status;
}

/* ---- quarantine ---- */

struct filling {
    struct dm_delete_search_state *s;
    struct dm_delete_node *n;
    struct dm_buffer sql;
    size_t rows;
};

static enum dm_status flush(struct filling *f, struct dm_error *err)
{
    enum dm_status status = f->rows > 0 ? dm_delete_sql_run(f->s, &f->sql, err) : DM_OK;
    f->rows = 0;
    dm_buffer_clear(&f->sql);
    return status;
}

static enum dm_status take_values(void *ctx, const struct dm_quarantine_values *v, struct dm_error *err)
{
    struct filling *f = ctx;
    enum dm_status status = f->rows == 0 ? dm_buffer_printf(&f->sql, err, "INSERT INTO main.q%zu VALUES ",
                                                            dm_delete_index_of(f->s, f->n))
                                         : dm_buffer_append(&f->sql, ", ", 2, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&f->sql, err, "(%lld", (long long)v->id);
    for (size_t i = 0; i < v->row->n_columns && status == DM_OK; i++) {
        status = dm_buffer_append(&f->sql, ", ", 2, err);
        if (status == DM_OK)
            status = dm_delete_sql_literal(&v->row->columns[i], 0, &f->sql, err);
    }
    if (status == DM_OK)
        status = dm_buffer_append_byte(&f->sql, ')', err);
    if (v->unreadable) {
        f->n->unreadable = dm_xrealloc(f->n->unreadable, f->n->n_unreadable + 1, sizeof *f->n->unreadable);
        f->n->unreadable[f->n->n_unreadable++] = v->id;
    }
    f->rows++;
    return status == DM_OK && f->rows >= DM_DELETE_ROWS_PER_INSERT ? flush(f, err) : status;
}

static enum dm_status add_quarantine(struct dm_delete_search_state *s, struct dm_delete_node *n,
                                     const uint32_t *columns, size_t count, struct dm_error *err)
{
    struct filling f = {.s = s, .n = n};
    dm_buffer_init(&f.sql, DM_DELETE_SQL_MAX);
    size_t i = dm_delete_index_of(s, n);
    enum dm_status status =
        dm_buffer_printf(&f.sql, err, "CREATE TABLE main.q%zu AS SELECT CAST(0 AS BIGINT) AS id, ", i);
    if (status == DM_OK)
        status = append_columns(columns, count, &f.sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&f.sql, err, " FROM del.d%zu LIMIT 0", i);
    if (status == DM_OK)
        status = dm_delete_sql_run(s, &f.sql, err);
    dm_buffer_clear(&f.sql);
    if (status == DM_OK)
        status = dm_quarantine_values_each(dm_lake_sqlite(s->m->lake), n->state->id, n->dataset->schema,
                                           columns, count, take_values, &f, err);
    if (status == DM_OK)
        status = flush(&f, err);
    dm_buffer_release(&f.sql);
    return status;
}

static enum dm_status make_views(struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                 const uint32_t *columns, size_t count, struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    size_t i = dm_delete_index_of(s, n);
    enum dm_status status = dm_buffer_printf(&sql, err, "CREATE VIEW main.past%zu AS SELECT ", i);
    if (status == DM_OK)
        status = append_columns(columns, count, &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM del.a%zu UNION ALL SELECT ", i);
    if (status == DM_OK)
        status = append_columns(columns, count, &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM main.q%zu; CREATE TABLE main.m%zu AS SELECT ", i, i);
    if (status == DM_OK)
        status = dm_delete_sql_keys(n, "", &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM del.d%zu LIMIT 0", i);
    if (status == DM_OK)
        status = dm_delete_sql_run(s, &sql, err);
    dm_buffer_release(&sql);
    return status;
}

enum dm_status dm_delete_add_past(struct dm_delete_search_state *s, struct dm_delete_node *n,
                                  struct dm_error *err)
{
    if (n->has_past)
        return DM_OK;
    size_t count = 0;
    uint32_t *columns = wanted_columns(s, n, &count);
    enum dm_status status = dm_delete_add_view(s, n, err);
    if (status == DM_OK)
        status = add_all_files(s, n, err);
    if (status == DM_OK)
        status = add_quarantine(s, n, columns, count, err);
    if (status == DM_OK)
        status = make_views(s, n, columns, count, err);
    n->has_past = status == DM_OK;
    if (n->n_unreadable > 0)
        tell(s, dm_xasprintf("%zu rows in quarantine of %s whose content cannot be read: those that hold the "
                             "text of a key (of five characters or more) go; see `datamirror quarantine "
                             "show %s`",
                             n->n_unreadable, n->name, n->name));
    free(columns);
    return status;
}

enum dm_status dm_delete_match_unreadable(struct dm_delete_search_state *s, struct dm_delete_node *into,
                                          const struct dm_delete_node *of, struct dm_error *err)
{
    enum { shortest = 5 };
    const struct dm_batch *keys = s->out->parts[of->part - 1].keys;
    struct dm_delete_part *p = &s->out->parts[into->part - 1];
    sqlite3 *db = dm_lake_sqlite(s->m->lake);
    sqlite3_stmt *st;
    if (into->n_unreadable == 0 || keys->n_columns != 1 || keys->columns[0].type.id != DM_STRING)
        return DM_OK;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM dm_quarantine WHERE id = ?1 AND instr(raw, ?2) > 0", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_sql_fail(db, "rows in quarantine", err);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < keys->rows && status == DM_OK; i++) {
        size_t n;
        const uint8_t *text = dm_column_bytes_at(&keys->columns[0], i, &n);
        for (size_t k = 0; k < into->n_unreadable && n >= shortest && status == DM_OK; k++) {
            sqlite3_bind_int64(st, 1, into->unreadable[k]);
            sqlite3_bind_text64(st, 2, (const char *)text, n, SQLITE_STATIC, SQLITE_UTF8);
            int code = sqlite3_step(st);
            if (code == SQLITE_ROW) {
                p->ids = dm_xrealloc(p->ids, p->n_ids + 1, sizeof *p->ids);
                p->ids[p->n_ids++] = into->unreadable[k];
            } else if (code != SQLITE_DONE) {
                status = dm_sql_fail(db, "rows in quarantine", err);
            }
            sqlite3_reset(st);
        }
    }
    sqlite3_finalize(st);
    return status;
}
