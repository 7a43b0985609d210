#include "source/postgres/pg_published.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ---- reading ---- */

static enum dm_status read_publication(const struct pg_catalog *catalog, struct pg_publication *p,
                                       struct dm_error *err)
{
    PGresult *rows;
    const char *values[] = {p->name};
    const char *of_schemas = pg_version(catalog->conn) >= 150000
                                 ? "EXISTS (SELECT FROM pg_publication_namespace WHERE pnpubid = p.oid)"
                                 : "false";
    char *sql = dm_xasprintf("SELECT NOT pg_has_role(pubowner, 'USAGE') OR puballtables OR %s, pubviaroot,"
                             " pubinsert AND pubtruncate, pubupdate, pubdelete, pg_get_userbyid(pubowner)"
                             " FROM pg_publication p WHERE pubname = $1",
                             of_schemas);
    enum dm_status status = pg_query_params(catalog->conn, &rows, err, sql, 1, values);
    free(sql);
    if (status != DM_OK)
        return DM_FAIL;
    if (PQntuples(rows) == 1) {
        p->exists = true;
        p->fixed = pg_cell_bool(rows, 0, 0);
        p->via_root = pg_cell_bool(rows, 0, 1);
        bool inserts = pg_cell_bool(rows, 0, 2), updates = pg_cell_bool(rows, 0, 3),
             deletes = pg_cell_bool(rows, 0, 4);
        p->complete = inserts && (p->inserts_only || (updates && deletes));
        p->exact = inserts && updates != p->inserts_only && deletes != p->inserts_only;
        p->owner = dm_xstrdup(pg_cell(rows, 0, 5));
    }
    PQclear(rows);
    return DM_OK;
}

/* Listed ones first, so that what stands with them is found before what they are covered by. */
static enum dm_status read_tables(const struct pg_catalog *catalog, struct pg_publication *p,
                                  struct dm_error *err)
{
    PGresult *rows;
    const char *values[] = {p->name};
    bool lists = pg_version(catalog->conn) >= 150000;
    char *sql = dm_xasprintf(
        "WITH p AS (SELECT oid, puballtables FROM pg_publication WHERE pubname = $1), listed AS ("
        "SELECT r.prrelid AS rel, %s AS columns, %s AS filtered FROM pg_publication_rel r JOIN p ON p.oid = "
        "r.prpubid%s"
        " UNION ALL SELECT c.oid, NULL, false FROM p JOIN pg_class c ON p.puballtables AND c.relkind IN "
        "('r', 'p')"
        " AND c.relpersistence = 'p' AND c.oid >= 16384)"
        " SELECT rel, columns, filtered, false FROM listed UNION ALL"
        " SELECT t.relid, l.columns, l.filtered, true FROM listed l JOIN pg_class c ON c.oid = l.rel AND "
        "c.relkind = 'p'"
        " CROSS JOIN LATERAL pg_partition_tree(l.rel) t WHERE t.relid <> l.rel ORDER BY 4",
        lists ? "r.prattrs::text" : "NULL::text", lists ? "r.prqual IS NOT NULL" : "false",
        lists ? " UNION ALL SELECT c.oid, NULL, false FROM p JOIN pg_publication_namespace n ON n.pnpubid = "
                "p.oid JOIN pg_class c ON c.relnamespace = n.pnnspid AND c.relkind IN ('r', 'p') AND "
                "c.relpersistence = 'p'"
              : "");
    enum dm_status status = pg_query_params(catalog->conn, &rows, err, sql, 1, values);
    free(sql);
    if (status != DM_OK)
        return DM_FAIL;
    p->n = (size_t)PQntuples(rows);
    p->tables = dm_xzalloc(p->n, sizeof *p->tables);
    for (size_t i = 0; i < p->n; i++)
        p->tables[i] = (struct pg_published_table){.oid = (uint32_t)pg_cell_int(rows, (int)i, 0),
                                                   .columns = dm_xstrdup(pg_cell(rows, (int)i, 1)),
                                                   .filtered = pg_cell_bool(rows, (int)i, 2),
                                                   .by_root = pg_cell_bool(rows, (int)i, 3)};
    PQclear(rows);
    return DM_OK;
}

enum dm_status pg_published_read(const struct pg_catalog *catalog, struct pg_published *out,
                                 struct dm_error *err)
{
    *out = (struct pg_published){
        .changes = {.name = catalog->publication},
        .inserts = {.name = catalog->inserts_publication, .inserts_only = true},
    };
    PGresult *rows = NULL;
    enum dm_status status =
        pg_query(catalog->conn, &rows, err, "SELECT has_database_privilege(current_database(), 'CREATE')");
    out->may_create = status == DM_OK && pg_cell_bool(rows, 0, 0);
    PQclear(rows);
    struct pg_publication *both[] = {&out->changes, &out->inserts};
    for (size_t i = 0; i < 2 && status == DM_OK; i++) {
        status = read_publication(catalog, both[i], err);
        if (status == DM_OK && both[i]->exists)
            status = read_tables(catalog, both[i], err);
    }
    if (status != DM_OK)
        pg_published_release(out);
    return status;
}

static void release_publication(struct pg_publication *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->tables[i].columns);
    free(p->tables);
    free(p->owner);
}

void pg_published_release(struct pg_published *p)
{
    release_publication(&p->changes);
    release_publication(&p->inserts);
    *p = (struct pg_published){0};
}

const struct pg_published_table *pg_published_find(const struct pg_publication *p, uint32_t oid)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->tables[i].oid == oid)
            return &p->tables[i];
    return NULL;
}

/* ---- judging ---- */

const char *pg_publication_operations(const struct pg_publication *p)
{
    return p->inserts_only ? "insert, truncate" : "insert, update, delete, truncate";
}

char *pg_publication_entry(const struct pg_table *t)
{
    char *schema = pg_quote(t->table->schema), *name = pg_quote(t->table->name);
    char *entry = dm_xasprintf("%s.%s", schema, name);
    const struct dm_schema *columns = t->table->columns;
    for (size_t i = 0; t->column_list && i < columns->n_fields; i++) {
        char *column = pg_quote(columns->fields[i].name);
        char *longer = dm_xasprintf("%s%s%s%s", entry, i == 0 ? " (" : ", ", column,
                                    i + 1 == columns->n_fields ? ")" : "");
        free(column);
        free(entry);
        entry = longer;
    }
    if (t->filtered) {
        char *longer = dm_xasprintf("%s WHERE (%s)", entry, t->config->filter);
        free(entry);
        entry = longer;
    }
    free(schema);
    free(name);
    return entry;
}

/* Are the columns that we read among those that are published? (More is no harm: on our side they are left out.) */
static bool has_columns(const struct pg_published_table *p, const struct pg_table *t)
{
    for (size_t i = 0; p->columns != NULL && i < t->table->columns->n_fields; i++) {
        bool found = false;
        for (char *at = p->columns; *at != '\0' && !found;)
            found = strtol(at, &at, 10) == t->table->columns->fields[i].source_ref;
        if (!found)
            return false;
    }
    return true;
}

/* What is wrong with how the table is published; NULL: nothing. The hint is a statement, malloc. */
static const char *difference(const struct pg_catalog *catalog, const struct pg_publication *p,
                              const struct pg_published_table *as, const struct pg_table *t, char **hint)
{
    char *publication = pg_quote(p->name), *entry = pg_publication_entry(t);
    const char *what = NULL;
    bool root = catalog->config->publish_via_root;
    *hint = NULL;
    if ((t->kind == 'p' || (t->partition && as->by_root)) && p->via_root != root) {
        what = root ? "is partitioned, and its publication names the partitions in its changes"
                    : "is a partition, and its publication names the table above it in its changes";
        *hint = dm_xasprintf("ALTER PUBLICATION %s SET (publish_via_partition_root = %s); or set "
                             "publish_via_root: %s",
                             publication, root ? "true" : "false", root ? "false" : "true");
    } else if (as->filtered != t->filtered) {
        what = t->filtered ? "has a filter: that its publication does not have"
                           : "is published with a row filter that its filter: does not name";
    } else if (!has_columns(as, t)) {
        what = "is published without some of its columns";
    }
    if (what != NULL && *hint == NULL)
        *hint = dm_xasprintf("ALTER PUBLICATION %s DROP TABLE %.*s; ALTER PUBLICATION %s ADD TABLE %s",
                             publication, (int)strcspn(entry, " "), entry, publication, entry);
    free(publication);
    free(entry);
    return what;
}

/* The publication is not ours: it carries the table as wanted, or its owner is told what to do. */
static void judge_fixed(const struct pg_catalog *catalog, const struct pg_publication *p, struct pg_table *t)
{
    const struct pg_published_table *as = pg_published_find(p, t->oid);
    char *hint = NULL;
    if (as == NULL) {
        char *publication = pg_quote(p->name), *entry = pg_publication_entry(t);
        hint = dm_xasprintf("ALTER PUBLICATION %s ADD TABLE %s; as \"%s\", who owns the publication",
                            publication, entry, p->owner);
        pg_table_problem(t, hint, "is not in the publication \"%s\", which is not ours to change", p->name);
        free(publication);
        free(entry);
    } else {
        const char *what = difference(catalog, p, as, t, &hint);
        if (what != NULL)
            pg_table_problem(t, hint, "%s", what);
    }
    free(hint);
}

/* It would be ours, but may not be made. */
static void judge_missing(const struct pg_catalog *catalog, const struct pg_publication *p,
                          struct pg_table *t)
{
    char *publication = pg_quote(p->name), *entry = pg_publication_entry(t);
    char *hint = dm_xasprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (publish = '%s', "
                              "publish_via_partition_root = %s); as the table's owner%s",
                              publication, entry, pg_publication_operations(p),
                              catalog->config->publish_via_root ? "true" : "false",
                              p->inserts_only ? ", or give the table a replica identity" : "");
    pg_table_problem(t, hint, "wants the publication \"%s\", which does not exist", p->name);
    free(hint);
    free(publication);
    free(entry);
}

static void judge_owner(const struct pg_catalog *catalog, const struct pg_publication *p, struct pg_table *t,
                        const char *owner)
{
    const struct pg_published_table *as = p->exists ? pg_published_find(p, t->oid) : NULL;
    char *unused = NULL;
    bool as_wanted = as != NULL && difference(catalog, p, as, t, &unused) == NULL;
    free(unused);
    if (as_wanted)
        return;
    char *theirs = pg_quote(owner), *ours = pg_quote(PQuser(catalog->conn));
    char *hint = dm_xasprintf("GRANT %s TO %s; or let \"%s\" own the publication, see docs/postgres.md",
                              theirs, ours, owner);
    pg_table_problem(t, hint,
                     "is owned by \"%s\", of which \"%s\" is no member: only its owner may publish it", owner,
                     PQuser(catalog->conn));
    free(hint);
    free(theirs);
    free(ours);
}

static void judge(const struct pg_catalog *catalog, const struct pg_published *p, struct pg_table *t,
                  const char *owner)
{
    bool by_changes = p->changes.fixed && pg_published_find(&p->changes, t->oid) != NULL;
    const struct pg_publication *in = t->inserts_only && !by_changes ? &p->inserts : &p->changes;
    if (in->fixed)
        judge_fixed(catalog, in, t);
    else if (!in->exists && !p->may_create && in->inserts_only)
        judge_missing(catalog, in, t);
    else if (!t->owned && (in->exists || p->may_create))
        judge_owner(catalog, in, t, owner);
    if (in->inserts_only && catalog->inserts_unread)
        pg_table_problem(t, "start the mirror again",
                         "is in the publication \"%s\", which was made after the mirror was started",
                         in->name);
    t->table->of_rights = t->table->problem != NULL;
}

enum dm_status pg_published_judge(const struct pg_catalog *catalog, const struct pg_published *p,
                                  struct pg_table_list *tables, struct dm_error *err)
{
    PGresult *rows;
    struct dm_buffer oids;
    dm_buffer_init(&oids, 64u << 20);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < tables->n && status == DM_OK; i++)
        status = dm_buffer_printf(&oids, err, i > 0 ? ",%u" : "%u", tables->tables[i]->oid);
    if (status == DM_OK)
        status = pg_query(catalog->conn, &rows, err,
                          "SELECT oid, pg_has_role(relowner, 'USAGE'), pg_get_userbyid(relowner) FROM "
                          "pg_class WHERE oid = ANY ('{%s}'::oid[])",
                          tables->n > 0 ? dm_buffer_text(&oids) : "");
    dm_buffer_release(&oids);
    if (status != DM_OK)
        return DM_FAIL;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct pg_table *t = pg_table_find(tables, (uint64_t)pg_cell_int(rows, i, 0));
        if (t == NULL)
            continue;
        t->owned = pg_cell_bool(rows, i, 1);
        if (t->table->problem == NULL)
            judge(catalog, p, t, PQgetvalue(rows, i, 2));
    }
    PQclear(rows);
    return DM_OK;
}
