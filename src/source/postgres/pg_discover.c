/* What the catalog says about tables, in five set-based queries however many tables there are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "source/postgres/pg_basis.h"
#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_leaves.h"
#include "source/postgres/pg_published.h"

static bool exact_glob(const struct dm_table_config *config)
{
    return config != NULL && strpbrk(config->glob, "*?") == NULL;
}

/* Views and the like are only worth a word when somebody named them. */
static bool selected(const struct pg_catalog *catalog, const struct pg_table *t)
{
    if (!dm_table_wanted(catalog->config, t->table->schema, t->table->name))
        return false;
    if (strchr("vmf", t->kind) != NULL)
        return exact_glob(t->config) && !t->partition;
    return catalog->config->publish_via_root ? !t->partition : t->kind != 'p';
}

/* A name as text, malloc: in a SQL_ASCII database it may be any bytes. */
static char *name_cell(const PGresult *rows, int row, int column)
{
    const char *name = pg_cell(rows, row, column);
    return name != NULL ? pg_charset_name(&pg_charset_ascii, name) : NULL;
}

static bool is_text(const char *name)
{
    return dm_utf8_valid((const uint8_t *)name, strlen(name));
}

static void judge_relation(struct pg_table *t, char persistence, bool may_select, bool row_security,
                           bool foreign_leaf)
{
    if (t->kind == 'v' || t->kind == 'm')
        pg_table_problem(t, "mirror the tables it is made of", "is a %sview: views have no change log",
                         t->kind == 'm' ? "materialized " : "");
    if (t->kind == 'f')
        pg_table_problem(t, "mirror it from the database it lives in", "is a foreign table");
    if (persistence == 'u')
        pg_table_problem(t, "ALTER TABLE … SET LOGGED", "is unlogged: its changes are not in the log");
    if (foreign_leaf)
        pg_table_problem(t, "detach that partition, or mirror the leaves with publish_via_root: false",
                         "has a partition that is foreign or unlogged: its changes are not in the log");
    if (!may_select)
        pg_table_problem(t, "GRANT SELECT ON the table (and USAGE ON its schema) TO the mirror's user",
                         "may not be read by the mirror's user");
    if (row_security)
        pg_table_problem(t, "ALTER ROLE … BYPASSRLS for the mirror's user",
                         "has row security that would hide rows from the mirror's user");
}

static enum dm_status read_relations(const struct pg_catalog *catalog, uint32_t only,
                                     struct pg_table_list *out, struct dm_error *err)
{
    PGresult *rows;
    char which[64] = "";
    if (only != 0)
        (void)snprintf(which, sizeof which, " AND c.oid = %u", only);
    if (pg_query(
            catalog->conn, &rows, err,
            "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, "
            "c.relispartition,"
            " has_schema_privilege(n.oid, 'USAGE') AND (has_table_privilege(c.oid, 'SELECT') OR"
            " has_any_column_privilege(c.oid, 'SELECT')), row_security_active(c.oid),"
            " CASE WHEN c.relkind = 'p' THEN s.leaf_rows ELSE c.reltuples END::int8,"
            " CASE WHEN c.relkind = 'p' THEN s.bytes ELSE greatest(c.relpages, 0) END * "
            "current_setting('block_size')::int8,"
            " CASE WHEN c.relkind = 'p' THEN s.storage ELSE c.relfilenode::int8 END, coalesce(s.bad, false)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " LEFT JOIN LATERAL (SELECT sum(greatest(l.reltuples, 0)) AS leaf_rows, "
            "sum(greatest(l.relpages, 0))::int8 AS bytes,"
            " sum(hashint8extended(l.oid::int8 << 32 | l.relfilenode::int8, 7) %% 1000000007)::int8 AS "
            "storage,"
            " bool_or(l.relkind = 'f' OR l.relpersistence <> 'p') AS bad"
            " FROM " PG_PARTITION_TREE(
                "c.oid") " p JOIN pg_class l ON l.oid = p.relid"
                         " WHERE l.relkind <> 'p') s ON c.relkind = 'p'"
                         " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'"
                         " AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'%s ORDER BY "
                         "n.nspname, "
                         "c.relname",
            which) != DM_OK)
        return DM_FAIL;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct pg_table *t = dm_xzalloc(1, sizeof *t);
        char *schema = name_cell(rows, i, 1), *name = name_cell(rows, i, 2);
        t->table = dm_table_new(schema, name);
        free(schema);
        free(name);
        if (!is_text(pg_cell(rows, i, 1)) || !is_text(pg_cell(rows, i, 2)))
            pg_table_problem(t, "rename it, or leave it out with exclude:", "has a name that is not UTF-8");
        t->oid = (uint32_t)pg_cell_int(rows, i, 0);
        t->kind = PQgetvalue(rows, i, 3)[0];
        t->identity = PQgetvalue(rows, i, 5)[0];
        t->partition = pg_cell_bool(rows, i, 6);
        t->storage = (uint64_t)pg_cell_int(rows, i, 11);
        dm_basis_add(&t->table->basis, DM_BASIS_READABLE, NULL, "%s",
                     pg_cell_bool(rows, i, 7) ? "yes" : "no");
        dm_basis_add(&t->table->basis, DM_BASIS_ROW_SECURITY, NULL, "%s",
                     pg_cell_bool(rows, i, 8) ? "on" : "off");
        t->config = dm_config_table(catalog->config, t->table->schema, t->table->name);
        t->table->id = t->oid;
        t->table->rekeyable = t->identity == 'd' || t->identity == 'i';
        t->table->default_namespace = strcmp(t->table->schema, "public") == 0;
        int64_t estimate = pg_cell_int(rows, i, 9);
        t->table->estimated_rows = estimate > 0 ? (uint64_t)estimate : 0;
        t->table->estimated_bytes = (uint64_t)pg_cell_int(rows, i, 10);
        if (only == 0 && !selected(catalog, t)) {
            pg_table_free(t);
            continue;
        }
        judge_relation(t, PQgetvalue(rows, i, 4)[0], pg_cell_bool(rows, i, 7), pg_cell_bool(rows, i, 8),
                       pg_cell_bool(rows, i, 12));
        out->tables = dm_xrealloc(out->tables, out->n + 1, sizeof *out->tables);
        out->tables[out->n++] = t;
    }
    PQclear(rows);
    return DM_OK;
}

/* "{1,2,3}" of all oids, malloc. */
static char *oid_array(const struct pg_table_list *list)
{
    char *text = dm_xalloc(list->n * 11 + 3), *o = text;
    *o++ = '{';
    for (size_t i = 0; i < list->n; i++)
        o += snprintf(o, 12, i > 0 ? ",%u" : "%u", list->tables[i]->oid);
    *o++ = '}';
    *o = '\0';
    return text;
}

static void add_column(struct pg_table *t, const PGresult *rows, int i)
{
    t->columns = dm_xrealloc(t->columns, t->n_columns + 1, sizeof *t->columns);
    bool missing = pg_cell(rows, i, 8) != NULL;
    t->columns[t->n_columns++] = (struct pg_column){
        .attnum = (int32_t)pg_cell_int(rows, i, 1),
        .name = name_cell(rows, i, 2),
        .type = (uint32_t)pg_cell_int(rows, i, 3),
        .modifier = (int32_t)pg_cell_int(rows, i, 4),
        .not_null = pg_cell_bool(rows, i, 6),
        .generated = pg_cell_bool(rows, i, 7),
        .fills_by_itself = pg_cell_bool(rows, i, 9) && !missing,
    };
}

/* Source type and default need the row of the catalog once the fields are made. */
static void describe_fields(struct pg_table *t, const PGresult *rows, int first, int end)
{
    for (int i = first; i < end; i++) {
        struct pg_column *c = pg_table_column(t, (int32_t)pg_cell_int(rows, i, 1));
        int field = c != NULL && c->mirrored ? dm_schema_find(t->table->columns, c->name) : -1;
        if (field < 0)
            continue;
        if (!is_text(pg_cell(rows, i, 2)))
            pg_table_problem(t, "rename it (or leave it out: name the others in columns:)",
                             "has a column whose name is not UTF-8: %s", c->name);
        if (!pg_cell_bool(rows, i, 10))
            pg_table_problem(t,
                             "GRANT SELECT ON the table TO the mirror's user, or leave the column out with "
                             "exclude_columns:",
                             "has a column that may not be read by the mirror's user: %s", c->name);
        t->table->columns->fields[field].source_type = name_cell(rows, i, 5);
        const char *missing = pg_cell(rows, i, 8);
        if (missing != NULL) {
            t->table->columns->fields[field].default_json = pg_default_json(&c->codec, missing);
            c->default_unsaid = t->table->columns->fields[field].default_json == NULL;
        }
        t->table->columns->fields[field].filled =
            c->default_unsaid || (missing == NULL && c->fills_by_itself);
    }
}

static enum dm_status load_types(const struct pg_catalog *catalog, const PGresult *rows, struct dm_error *err)
{
    size_t n = (size_t)PQntuples(rows);
    uint32_t *oids = dm_xzalloc(n + 1, sizeof *oids);
    for (size_t i = 0; i < n; i++)
        oids[i] = (uint32_t)pg_cell_int(rows, (int)i, 3);
    enum dm_status status = pg_type_cache_load(catalog->types, catalog->conn, oids, n, err);
    free(oids);
    return status;
}

static enum dm_status read_columns(const struct pg_catalog *catalog, struct pg_table_list *list,
                                   const char *oids, struct dm_error *err)
{
    PGresult *rows;
    if (pg_query(
            catalog->conn, &rows, err,
            "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, "
            "a.atttypmod),"
            " a.attnotnull, a.attgenerated <> '', CASE WHEN a.atthasmissing THEN a.attmissingval::text END,"
            " a.atthasdef OR a.attidentity <> '' OR t.typtype = 'd', has_column_privilege(a.attrelid, "
            "a.attnum, 'SELECT')"
            " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " WHERE a.attrelid = ANY ('%s'::oid[]) AND a.attnum > 0 AND NOT a.attisdropped"
            " ORDER BY a.attrelid, a.attnum",
            oids) != DM_OK)
        return DM_FAIL;
    enum dm_status status = load_types(catalog, rows, err);
    int n = PQntuples(rows);
    for (int first = 0, end; first < n && status == DM_OK; first = end) {
        struct pg_table *t = pg_table_find(list, (uint64_t)pg_cell_int(rows, first, 0));
        for (end = first; end < n && strcmp(PQgetvalue(rows, end, 0), PQgetvalue(rows, first, 0)) == 0; end++)
            if (t != NULL)
                add_column(t, rows, end);
        if (t == NULL)
            continue;
        status = pg_choose_columns(catalog, t, err);
        describe_fields(t, rows, first, end);
    }
    PQclear(rows);
    return status;
}

static enum dm_status read_keys(const struct pg_catalog *catalog, struct pg_table_list *list,
                                const char *oids, struct dm_error *err)
{
    PGresult *rows;
    if (pg_query(
            catalog->conn, &rows, err,
            "SELECT i.indrelid, i.indisprimary, i.indisreplident, i.indisunique AND i.indpred IS NULL AND"
            " i.indexprs IS NULL AND i.indimmediate AND i.indisvalid, i.indkey::text, i.indnkeyatts,"
            " NOT i.indimmediate, coalesce((SELECT min(k.oid) FROM pg_constraint k WHERE k.conindid = "
            "i.indexrelid"
            " AND k.contype IN ('p', 'u')), i.indexrelid)"
            " FROM pg_index i WHERE i.indrelid = ANY ('%s'::oid[]) AND i.indisunique"
            " ORDER BY i.indrelid, i.indisprimary DESC, i.indisreplident DESC, i.indnkeyatts, i.indexrelid",
            oids) != DM_OK)
        return DM_FAIL;
    int n = PQntuples(rows);
    for (size_t k = 0; k < list->n; k++) {
        struct pg_table *t = list->tables[k];
        struct pg_index *indexes = dm_xzalloc((size_t)n + 1, sizeof *indexes);
        size_t count = 0;
        for (int i = 0; i < n; i++) {
            if (pg_cell_int(rows, i, 0) != t->oid)
                continue;
            struct pg_index *index = &indexes[count++];
            index->primary = pg_cell_bool(rows, i, 1);
            index->identity = pg_cell_bool(rows, i, 2);
            index->usable = pg_cell_bool(rows, i, 3);
            index->deferrable = pg_cell_bool(rows, i, 6);
            index->guard = (uint32_t)pg_cell_int(rows, i, 7);
            size_t keys = (size_t)pg_cell_int(rows, i, 5);
            char *at = PQgetvalue(rows, i, 4);
            for (; index->n < keys && index->n < 32 && *at != '\0'; index->n++)
                index->attnums[index->n] = (int32_t)strtol(at, &at, 10);
        }
        if (t->kind == 'r' || t->kind == 'p')
            pg_choose_key(t, indexes, count, pg_version(catalog->conn));
        free(indexes);
    }
    PQclear(rows);
    return DM_OK;
}

static struct dm_foreign_key *add_foreign_key(struct dm_table *t, const PGresult *rows, int i)
{
    t->foreign_keys = dm_xrealloc(t->foreign_keys, t->n_foreign_keys + 1, sizeof *t->foreign_keys);
    struct dm_foreign_key *fk = &t->foreign_keys[t->n_foreign_keys++];
    *fk = (struct dm_foreign_key){.name = name_cell(rows, i, 1),
                                  .target_schema = name_cell(rows, i, 2),
                                  .target_table = name_cell(rows, i, 3),
                                  .mandatory = true,
                                  .unique = pg_cell_bool(rows, i, 8)};
    return fk;
}

static enum dm_status read_foreign_keys(const struct pg_catalog *catalog, struct pg_table_list *list,
                                        const char *oids, struct dm_error *err)
{
    PGresult *rows;
    if (pg_query(
            catalog->conn, &rows, err,
            "SELECT k.conrelid, k.conname, n.nspname, f.relname, a.attname, b.attname, u.ord,"
            " a.attnotnull, EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = k.conrelid AND x.indisunique"
            " AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL"
            " AND (x.indkey::int2[])[0:x.indnkeyatts - 1] <@ k.conkey)"
            " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = "
            "k.confrelid"
            " JOIN pg_namespace n ON n.oid = f.relnamespace"
            " CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY u(own, target, ord)"
            " JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own"
            " JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.target"
            " WHERE k.contype = 'f' AND k.conrelid = ANY ('%s'::oid[]) AND (k.conparentid = 0 OR "
            "c.relispartition)"
            " ORDER BY k.conrelid, k.conname, k.oid, u.ord",
            oids) != DM_OK)
        return DM_FAIL;
    struct dm_foreign_key *fk = NULL;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct pg_table *t = pg_table_find(list, (uint64_t)pg_cell_int(rows, i, 0));
        if (t == NULL)
            continue;
        if (pg_cell_int(rows, i, 6) == 1)
            fk = add_foreign_key(t->table, rows, i);
        if (fk == NULL)
            continue;
        fk->mandatory = fk->mandatory && pg_cell_bool(rows, i, 7);
        fk->columns = dm_xrealloc(fk->columns, fk->n_columns + 1, sizeof *fk->columns);
        fk->target_columns = dm_xrealloc(fk->target_columns, fk->n_columns + 1, sizeof *fk->target_columns);
        fk->columns[fk->n_columns] = name_cell(rows, i, 4);
        fk->target_columns[fk->n_columns++] = name_cell(rows, i, 5);
    }
    PQclear(rows);
    return DM_OK;
}

static enum dm_status read_publications(const struct pg_catalog *catalog, struct pg_table_list *list,
                                        struct dm_error *err)
{
    struct pg_published published;
    if (pg_published_read(catalog, &published, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = pg_published_judge(catalog, &published, list, err);
    pg_published_release(&published);
    return status;
}

static enum dm_status discover(const struct pg_catalog *catalog, uint32_t only_oid, struct pg_table_list *out,
                               struct dm_error *err)
{
    enum dm_status status = read_relations(catalog, only_oid, out, err);
    if (status == DM_OK && out->n > 0) {
        char *oids = oid_array(out);
        status = read_columns(catalog, out, oids, err);
        if (status == DM_OK)
            status = read_keys(catalog, out, oids, err);
        if (status == DM_OK)
            status = pg_leaves_judge(catalog, out, oids, err);
        if (status == DM_OK)
            status = read_foreign_keys(catalog, out, oids, err);
        if (status == DM_OK)
            status = pg_basis_of_tables(catalog, out, oids, err);
        if (status == DM_OK)
            status = read_publications(catalog, out, err);
        free(oids);
    }
    return status;
}

/* All queries see one moment: storage from before a rewrite with columns from after it would hide the rewrite. */
enum dm_status pg_discover(const struct pg_catalog *catalog, uint32_t only_oid, struct pg_table_list *out,
                           struct dm_error *err)
{
    *out = (struct pg_table_list){0};
    bool own = PQtransactionStatus(catalog->conn) == PQTRANS_IDLE; /* else the caller's snapshot */
    enum dm_status status =
        own ? pg_execute(catalog->conn, err, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") : DM_OK;
    if (status == DM_OK)
        status = discover(catalog, only_oid, out, err);
    if (own && status == DM_OK)
        status = pg_execute(catalog->conn, err, "COMMIT");
    if (status != DM_OK) {
        struct dm_error ignored = {0};
        if (own && pg_execute(catalog->conn, &ignored, "ROLLBACK") != DM_OK)
            own = false; /* the connection is gone; err says why */
        dm_error_prefix(err, "reading the catalog");
        pg_table_list_release(out);
    }
    return status;
}
