/* The publications: which tables, columns and rows the server puts into the stream.
 *
 * `publication` carries all changes. Append-only tables without a replica identity go into a second one that
 * publishes inserts and truncates only: in the first, the server would refuse their UPDATEs and DELETEs. Both
 * are made before the slot, even when empty (the stream fails on one that did not exist yet where it reads),
 * brought to the wanted set of tables in one transaction, and left alone when they have it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_source.h"

struct publication {
    const char *name;
    bool inserts_only;
};

static bool belongs(const struct pg_table *t, const struct publication *p, const struct dm_table_list *wanted)
{
    if (t->inserts_only != p->inserts_only || t->table->problem != NULL)
        return false;
    for (size_t i = 0; i < wanted->n; i++)
        if (wanted->tables[i]->id == t->oid)
            return wanted->tables[i]->problem == NULL;
    return false;
}

/* "public"."orders" ("id", "total") WHERE (total > 0) */
static enum dm_status append_table(struct dm_buffer *sql, const struct pg_table *t, struct dm_error *err)
{
    char *schema = pg_quote(t->table->schema), *name = pg_quote(t->table->name);
    enum dm_status status =
        dm_buffer_printf(sql, err, "%s%s.%s", t->kind == 'p' ? "" : "ONLY ", schema, name);
    free(schema);
    free(name);
    const struct dm_schema *columns = t->table->columns;
    for (size_t i = 0; t->column_list && i < columns->n_fields && status == DM_OK; i++) {
        char *column = pg_quote(columns->fields[i].name);
        status = dm_buffer_printf(sql, err, "%s%s", i == 0 ? " (" : ", ", column);
        free(column);
    }
    if (status == DM_OK && t->column_list)
        status = dm_buffer_append_byte(sql, ')', err);
    if (status == DM_OK && t->filtered)
        status = dm_buffer_printf(sql, err, " WHERE (%s)", t->config->filter);
    return status;
}

static enum dm_status table_list(const struct pg_table_list *all, const struct publication *p,
                                 const struct dm_table_list *wanted, struct dm_buffer *sql, bool *any_filter,
                                 struct dm_error *err)
{
    enum dm_status status = DM_OK;
    *any_filter = false;
    for (size_t i = 0; i < all->n && status == DM_OK; i++) {
        if (!belongs(all->tables[i], p, wanted))
            continue;
        *any_filter = *any_filter || all->tables[i]->filtered;
        if (sql->len > 0)
            status = dm_buffer_append(sql, ", ", 2, err);
        if (status == DM_OK)
            status = append_table(sql, all->tables[i], err);
    }
    return status;
}

/* A table as the server publishes it now. */
static bool published_as_wanted(const PGresult *rows, int row, const struct pg_table *t, int version)
{
    if (version < 150000)
        return true;
    if ((pg_cell(rows, row, 1) != NULL) != t->column_list)
        return false;
    if (!t->column_list)
        return true;
    /* "1 3 4": attnums in order */
    char *at = PQgetvalue(rows, row, 1);
    for (size_t i = 0; i < t->table->columns->n_fields; i++)
        if (strtol(at, &at, 10) != t->table->columns->fields[i].source_ref)
            return false;
    return *at == '\0';
}

/* Filters cannot be compared (the server keeps its own spelling): with one, the list is always set anew, which
 * the server does without touching what stayed the same. */
static enum dm_status same_tables(PGconn *conn, const struct publication *p, const struct pg_table_list *all,
                                  const struct dm_table_list *wanted, bool *same, struct dm_error *err)
{
    PGresult *rows;
    const char *values[] = {p->name};
    int version = pg_version(conn);
    if (pg_query_params(
            conn, &rows, err,
            version >= 150000
                ? "SELECT r.prrelid, r.prattrs::text, r.prqual IS NOT NULL FROM pg_publication_rel r"
                  " JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1"
                : "SELECT r.prrelid, NULL, false FROM pg_publication_rel r"
                  " JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1",
            1, values) != DM_OK)
        return DM_FAIL;
    size_t matching = 0, expected = 0;
    for (size_t i = 0; i < all->n; i++)
        expected += belongs(all->tables[i], p, wanted);
    for (int i = 0; i < PQntuples(rows); i++) {
        const struct pg_table *t = pg_table_find(all, (uint64_t)pg_cell_int(rows, i, 0));
        if (t != NULL && belongs(t, p, wanted) && published_as_wanted(rows, i, t, version) &&
            pg_cell_bool(rows, i, 2) == t->filtered)
            matching++;
    }
    *same = matching == expected && (size_t)PQntuples(rows) == expected;
    PQclear(rows);
    return DM_OK;
}

/* Of a publication that is there already: does it publish what the mirror needs, in the way it is configured? */
struct found_publication {
    bool exists, all_tables, options_fit;
};

static const char *operations(const struct publication *p)
{
    return p->inserts_only ? "insert, truncate" : "insert, update, delete, truncate";
}

static enum dm_status read_publication(PGconn *conn, const struct publication *p, bool via_root,
                                       struct found_publication *out, struct dm_error *err)
{
    PGresult *rows;
    const char *values[] = {p->name};
    if (pg_query_params(conn, &rows, err,
                        "SELECT puballtables, pubviaroot, pubinsert AND pubtruncate, pubupdate, pubdelete"
                        " FROM pg_publication WHERE pubname = $1",
                        1, values) != DM_OK)
        return DM_FAIL;
    *out = (struct found_publication){.exists = PQntuples(rows) == 1};
    if (out->exists) {
        out->all_tables = pg_cell_bool(rows, 0, 0);
        out->options_fit = pg_cell_bool(rows, 0, 1) == via_root && pg_cell_bool(rows, 0, 2) &&
                           pg_cell_bool(rows, 0, 3) != p->inserts_only &&
                           pg_cell_bool(rows, 0, 4) != p->inserts_only;
    }
    PQclear(rows);
    return DM_OK;
}

/* The server only checks when an UPDATE comes, and then fails it: at the source, in the application. So look
 * first. */
static enum dm_status check_filter_columns(PGconn *conn, const struct publication *p,
                                           const struct pg_table_list *all, struct dm_error *err)
{
    PGresult *rows;
    const char *values[] = {p->name};
    if (pg_query_params(conn, &rows, err,
                        "SELECT DISTINCT r.prrelid, m[1]::int FROM pg_publication_rel r"
                        " JOIN pg_publication p ON p.oid = r.prpubid"
                        " CROSS JOIN LATERAL regexp_matches(r.prqual::text, ':varattno (-?[0-9]+)', 'g') m"
                        " WHERE p.pubname = $1",
                        1, values) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (int i = 0; i < PQntuples(rows) && status == DM_OK; i++) {
        const struct pg_table *t = pg_table_find(all, (uint64_t)pg_cell_int(rows, i, 0));
        int32_t attnum = (int32_t)pg_cell_int(rows, i, 1);
        bool fine = t == NULL || t->identity == 'f' || !t->filtered;
        for (size_t k = 0; !fine && k < t->n_identity; k++)
            fine = t->identity_columns[k] == attnum;
        if (!fine)
            status = dm_fail(
                err, DM_ERROR_CONFIG, "ALTER TABLE … REPLICA IDENTITY FULL, or filter by key columns only",
                "the filter of %s.%s uses the column \"%s\", which is not part of its replica identity: the "
                "server would refuse its UPDATEs and DELETEs",
                t->table->schema, t->table->name,
                pg_table_column(t, attnum) != NULL ? pg_table_column(t, attnum)->name : "?");
    }
    PQclear(rows);
    return status;
}

static enum dm_status bring_publication(struct dm_source *s, PGconn *conn, const struct publication *p,
                                        const struct pg_table_list *all, const struct dm_table_list *wanted,
                                        struct dm_error *err)
{
    bool filter = false, same = false;
    struct found_publication found;
    struct dm_buffer tables;
    dm_buffer_init(&tables, 64u << 20);
    char *name = pg_quote(p->name);
    const char *root = s->config->publish_via_root ? "true" : "false";
    enum dm_status status = read_publication(conn, p, s->config->publish_via_root, &found, err);
    if (status == DM_OK && found.all_tables)
        status = dm_fail(err, DM_ERROR_CONFLICT, "name another one with publication:, or drop that one",
                         "the publication \"%s\" is FOR ALL TABLES: it belongs to somebody else", p->name);
    if (status == DM_OK)
        status = table_list(all, p, wanted, &tables, &filter, err);
    if (status == DM_OK && found.exists && !found.options_fit)
        status = pg_execute(conn, err,
                            "ALTER PUBLICATION %s SET (publish = '%s', publish_via_partition_root = %s)",
                            name, operations(p), root);
    if (status == DM_OK && found.exists && !filter)
        status = same_tables(conn, p, all, wanted, &same, err);
    if (status == DM_OK && !found.exists)
        status = pg_execute(
            conn, err, "CREATE PUBLICATION %s%s%s WITH (publish = '%s', publish_via_partition_root = %s)",
            name, tables.len > 0 ? " FOR TABLE " : "", tables.len > 0 ? dm_buffer_text(&tables) : "",
            operations(p), root);
    else if (status == DM_OK && found.exists && !same && tables.len > 0)
        status = pg_execute(conn, err, "ALTER PUBLICATION %s SET TABLE %s", name, dm_buffer_text(&tables));
    else if (status == DM_OK && found.exists && !same) /* a publication may be empty, but SET TABLE may not */
        status = pg_execute(
            conn, err,
            "DO $do$ DECLARE t record; BEGIN FOR t IN SELECT r.prrelid::regclass AS rel FROM "
            "pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = '%s' LOOP "
            "EXECUTE format('ALTER PUBLICATION %%I DROP TABLE %%s', '%s', t.rel); END LOOP; END $do$",
            p->name, p->name);
    if (status == DM_OK && filter && pg_version(conn) >= 150000)
        status = check_filter_columns(conn, p, all, err);
    dm_buffer_release(&tables);
    free(name);
    return status;
}

enum dm_status pg_prepare(struct dm_source *s, const struct dm_table_list *tables, struct dm_error *err)
{
    PGconn *conn;
    struct pg_catalog catalog;
    struct pg_table_list all;
    if (pg_source_connection(s, &conn, err) != DM_OK ||
        pg_source_catalog(s->config, conn, &s->types, &catalog, err) != DM_OK ||
        pg_discover(&catalog, 0, &all, err) != DM_OK)
        return DM_FAIL;
    const struct publication changes = {s->publication, false}, inserts = {s->inserts_publication, true};
    enum dm_status status = pg_execute(conn, err, "BEGIN");
    /* publishing a table waits for its VACUUM or DDL: rather give up and try again than queue in front of
     * others */
    if (status == DM_OK)
        status = pg_execute(conn, err, "SET LOCAL lock_timeout = '10s'");
    if (status == DM_OK)
        status = bring_publication(s, conn, &changes, &all, tables, err);
    if (status == DM_OK)
        status = bring_publication(s, conn, &inserts, &all, tables, err);
    if (status == DM_OK) {
        status = pg_execute(conn, err, "COMMIT");
    } else {
        struct dm_error ignored;
        if (pg_execute(conn, &ignored, "ROLLBACK") != DM_OK)
            PQreset(conn);
        dm_error_prefix(err, "preparing the publication \"%s\"", s->publication);
    }
    pg_table_list_release(&all);
    /* the slot after the publication: the stream looks the publication up as of the position it reads */
    return status == DM_OK ? pg_slot_create(s, conn, err) : status;
}

enum dm_status pg_forget(struct dm_source *s, struct dm_error *err)
{
    PGconn *conn;
    if (pg_source_connection(s, &conn, err) != DM_OK || pg_slot_drop(s, conn, err) != DM_OK)
        return DM_FAIL;
    char *changes = pg_quote(s->publication), *inserts = pg_quote(s->inserts_publication);
    enum dm_status status = pg_execute(conn, err, "DROP PUBLICATION IF EXISTS %s, %s", changes, inserts);
    free(changes);
    free(inserts);
    return status;
}
