/* The publications: which tables, columns and rows the server puts into the stream.
 *
 * `publication` carries all changes. Append-only tables without a replica identity go into a second one that
 * publishes inserts and truncates only: in the first, the server would refuse their UPDATEs and DELETEs. Both
 * are made before the slot, even when empty (the stream fails on one that did not exist yet where it reads),
 * brought to the wanted set of tables in one transaction, and left alone when they have it. What is not ours to
 * change (pg_published.h) is left alone; the tables that it lacks have a problem, so they are not wanted here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_published.h"
#include "source/postgres/pg_source.h"
#include "source/postgres/pg_wait.h"

/* Publishing a table waits for its VACUUM, DDL or index build. */
static enum dm_status change(const struct dm_source *s, PGconn *conn, struct dm_error *err, const char *fmt,
                             ...) DM_PRINTF(4, 5);
static enum dm_status change(const struct dm_source *s, PGconn *conn, struct dm_error *err, const char *fmt,
                             ...)
{
    PGresult *rows = NULL;
    char *sql = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&sql, fmt, args);
    va_end(args);
    if (n < 0)
        return dm_fail_memory(err, 0);
    enum dm_status status =
        pg_wait_query(s->config, s->waiter, conn, sql, "changing the publication", &rows, err);
    PQclear(rows);
    free(sql);
    return status;
}

static bool belongs(const struct pg_table *t, const struct pg_publication *p,
                    const struct dm_table_list *wanted)
{
    if (t->inserts_only != p->inserts_only || t->table->problem != NULL)
        return false;
    for (size_t i = 0; i < wanted->n; i++)
        if (wanted->tables[i]->id == t->oid)
            return wanted->tables[i]->problem == NULL;
    return false;
}

/* With ONLY, so that tables that inherit from it are not published along; a partitioned table has none. */
static enum dm_status append_table(struct dm_buffer *sql, const struct pg_table *t, struct dm_error *err)
{
    char *entry = pg_publication_entry(t);
    enum dm_status status =
        dm_buffer_printf(sql, err, "%s%s%s", sql->len > 0 ? ", " : "", t->kind == 'p' ? "" : "ONLY ", entry);
    free(entry);
    return status;
}

/* What the tables of a publication that is ours are to be. */
struct wanted_tables {
    struct dm_buffer list; /* as SQL */
    size_t n;
    bool filtered;    /* some are */
    bool all_owned;   /* SET TABLE may name them all */
    size_t as_wanted; /* published so already */
};

static bool published_as_wanted(const struct pg_published_table *as, const struct pg_table *t, int version)
{
    if (as == NULL || as->by_root || as->filtered != t->filtered)
        return false;
    if (version < 150000)
        return true;
    if ((as->columns != NULL) != t->column_list)
        return false;
    if (!t->column_list)
        return true;
    /* "1 3 4": attnums in order */
    char *at = as->columns;
    for (size_t i = 0; i < t->table->columns->n_fields; i++)
        if (strtol(at, &at, 10) != t->table->columns->fields[i].source_ref)
            return false;
    return *at == '\0';
}

static enum dm_status want_tables(const struct pg_publication *p, const struct pg_table_list *all,
                                  const struct dm_table_list *wanted, int version, struct wanted_tables *out,
                                  struct dm_error *err)
{
    *out = (struct wanted_tables){.all_owned = true};
    dm_buffer_init(&out->list, 64u << 20);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < all->n && status == DM_OK; i++) {
        const struct pg_table *t = all->tables[i];
        if (!belongs(t, p, wanted))
            continue;
        out->n++;
        out->filtered = out->filtered || t->filtered;
        out->all_owned = out->all_owned && t->owned;
        out->as_wanted += published_as_wanted(pg_published_find(p, t->oid), t, version);
        status = append_table(&out->list, t, err);
    }
    return status;
}

static size_t listed(const struct pg_publication *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += !p->tables[i].by_root;
    return n;
}

static enum dm_status drop_table(const struct dm_source *s, PGconn *conn, const struct pg_publication *p,
                                 uint32_t oid, struct dm_error *err)
{
    PGresult *rows;
    char *name = pg_quote(p->name);
    enum dm_status status = pg_query(conn, &rows, err,
                                     "SELECT format('ALTER PUBLICATION %%s DROP TABLE ONLY %%s', '%s', "
                                     "%u::regclass)",
                                     name, oid);
    if (status == DM_OK)
        status = change(s, conn, err, "%s", pg_cell(rows, 0, 0));
    PQclear(rows);
    free(name);
    return status;
}

/* Table by table: SET TABLE wants the ownership of all, also of those that stay, and cannot make a publication empty. */
static enum dm_status adjust_tables(const struct dm_source *s, PGconn *conn, const struct pg_publication *p,
                                    const struct pg_table_list *all, const struct dm_table_list *wanted,
                                    struct dm_error *err)
{
    enum dm_status status = DM_OK;
    int version = pg_version(conn);
    for (size_t i = 0; i < p->n && status == DM_OK; i++) {
        const struct pg_table *t = pg_table_find(all, p->tables[i].oid);
        bool stays = t != NULL && belongs(t, p, wanted) &&
                     (!t->owned || (published_as_wanted(&p->tables[i], t, version) && !t->filtered));
        if (!stays && !p->tables[i].by_root)
            status = drop_table(s, conn, p, p->tables[i].oid, err);
    }
    char *name = pg_quote(p->name);
    for (size_t i = 0; i < all->n && status == DM_OK; i++) {
        const struct pg_table *t = all->tables[i];
        if (!t->owned || !belongs(t, p, wanted) ||
            (published_as_wanted(pg_published_find(p, t->oid), t, version) && !t->filtered))
            continue;
        struct dm_buffer entry;
        dm_buffer_init(&entry, 1u << 20);
        status = append_table(&entry, t, err);
        if (status == DM_OK)
            status = change(s, conn, err, "ALTER PUBLICATION %s ADD TABLE %s", name, dm_buffer_text(&entry));
        dm_buffer_release(&entry);
    }
    free(name);
    return status;
}

/* The server only checks when an UPDATE comes, and then fails it: at the source, in the application. So look
 * first. */
static enum dm_status check_filter_columns(PGconn *conn, const struct pg_publication *p,
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

static enum dm_status create_publication(const struct dm_source *s, PGconn *conn,
                                         const struct pg_publication *p, struct wanted_tables *w,
                                         struct dm_error *err)
{
    char *name = pg_quote(p->name);
    enum dm_status status = change(
        s, conn, err, "CREATE PUBLICATION %s%s%s WITH (publish = '%s', publish_via_partition_root = %s)",
        name, w->n > 0 ? " FOR TABLE " : "", w->n > 0 ? dm_buffer_text(&w->list) : "",
        pg_publication_operations(p), s->config->publish_via_root ? "true" : "false");
    free(name);
    return status;
}

/* Filters cannot be compared (the server keeps its own spelling): with one, the list is always set anew, which the server does without
 * touching what stayed the same. */
static enum dm_status alter_publication(const struct dm_source *s, PGconn *conn,
                                        const struct pg_publication *p, struct wanted_tables *w,
                                        const struct pg_table_list *all, const struct dm_table_list *wanted,
                                        struct dm_error *err)
{
    char *name = pg_quote(p->name);
    enum dm_status status = DM_OK;
    if (p->via_root != s->config->publish_via_root || !p->exact)
        status =
            change(s, conn, err, "ALTER PUBLICATION %s SET (publish = '%s', publish_via_partition_root = %s)",
                   name, pg_publication_operations(p), s->config->publish_via_root ? "true" : "false");
    bool same = !w->filtered && w->as_wanted == w->n && listed(p) == w->n;
    if (status == DM_OK && !same && w->n > 0 && w->all_owned)
        status = change(s, conn, err, "ALTER PUBLICATION %s SET TABLE %s", name, dm_buffer_text(&w->list));
    else if (status == DM_OK && !same)
        status = adjust_tables(s, conn, p, all, wanted, err);
    free(name);
    return status;
}

static enum dm_status bring_publication(const struct dm_source *s, PGconn *conn,
                                        const struct pg_published *now, const struct pg_publication *p,
                                        const struct pg_table_list *all, const struct dm_table_list *wanted,
                                        struct dm_error *err)
{
    struct wanted_tables w;
    if (p->fixed || (p->inserts_only && !p->exists && !now->may_create))
        return DM_OK;
    enum dm_status status = want_tables(p, all, wanted, pg_version(conn), &w, err);
    if (status == DM_OK)
        status = p->exists ? alter_publication(s, conn, p, &w, all, wanted, err)
                           : create_publication(s, conn, p, &w, err);
    if (status == DM_OK && w.filtered && pg_version(conn) >= 150000)
        status = check_filter_columns(conn, p, all, err);
    dm_buffer_release(&w.list);
    return status;
}

/* In one transaction, which is kept or not. */
static enum dm_status bring_publications(const struct dm_source *s, PGconn *conn, bool keep,
                                         const struct pg_published *now, const struct pg_table_list *all,
                                         const struct dm_table_list *wanted, struct dm_error *err)
{
    enum dm_status status = pg_execute(conn, err, "BEGIN");
    /* publishing a table waits for its VACUUM or DDL: rather give up and try again than queue in front of
     * others */
    if (status == DM_OK)
        status = pg_execute(conn, err, "SET LOCAL lock_timeout = '10s'");
    if (status == DM_OK)
        status = bring_publication(s, conn, now, &now->changes, all, wanted, err);
    if (status == DM_OK)
        status = bring_publication(s, conn, now, &now->inserts, all, wanted, err);
    if (status == DM_OK && keep)
        return pg_execute(conn, err, "COMMIT");
    struct dm_error ignored;
    if (pg_execute(conn, &ignored, "ROLLBACK") != DM_OK)
        PQreset(conn);
    if (status != DM_OK)
        dm_error_prefix(err, "preparing the publication \"%s\"", s->publication);
    return status;
}

static enum dm_status publish(struct dm_source *s, PGconn *conn, const struct dm_table_list *tables,
                              bool keep, struct dm_error *err)
{
    struct pg_catalog catalog;
    struct pg_table_list all;
    struct pg_published now;
    if (pg_source_catalog(s->config, conn, &s->types, &catalog, err) != DM_OK ||
        pg_discover(&catalog, 0, &all, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = pg_published_read(&catalog, &now, err);
    if (status == DM_OK) {
        status = bring_publications(s, conn, keep, &now, &all, tables, err);
        pg_published_release(&now);
    }
    pg_table_list_release(&all);
    return status;
}

enum dm_status pg_prepare(struct dm_source *s, const struct dm_table_list *tables, struct dm_error *err)
{
    PGconn *conn;
    if (pg_source_connection(s, &conn, err) != DM_OK || publish(s, conn, tables, true, err) != DM_OK)
        return DM_FAIL;
    /* the slot after the publication: the stream looks the publication up as of the position it reads */
    return pg_slot_create(s, conn, err);
}

enum dm_status pg_rehearse(struct dm_source *s, const struct dm_table_list *tables, struct dm_error *err)
{
    PGconn *conn;
    return pg_source_connection(s, &conn, err) == DM_OK ? publish(s, conn, tables, false, err) : DM_FAIL;
}

/* What is not ours stays. */
static enum dm_status drop_publication(PGconn *conn, const char *name, struct dm_error *err)
{
    PGresult *rows;
    const char *values[] = {name};
    if (pg_query_params(conn, &rows, err,
                        "SELECT FROM pg_publication WHERE pubname = $1 AND pg_has_role(pubowner, 'USAGE')"
                        " AND NOT puballtables",
                        1, values) != DM_OK)
        return DM_FAIL;
    bool ours = PQntuples(rows) == 1;
    PQclear(rows);
    if (!ours)
        return DM_OK;
    char *quoted = pg_quote(name);
    enum dm_status status = pg_execute(conn, err, "DROP PUBLICATION IF EXISTS %s", quoted);
    free(quoted);
    return status;
}

enum dm_status pg_forget(struct dm_source *s, struct dm_error *err)
{
    PGconn *conn;
    if (pg_source_connection(s, &conn, err) != DM_OK || pg_slot_drop(s, conn, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = drop_publication(conn, s->publication, err);
    return status == DM_OK ? drop_publication(conn, s->inserts_publication, err) : status;
}
