/* What a table, and the server, rest on, as facts (source/basis.h). Of a table most of it is what discovery has read anyway; publications and the
 * types beneath the columns' types are asked for here, in the same snapshot.
 *
 * Where a thing can be changed and changed back between two looks, the fact holds a number that does not come back: the entry of a table in a publication
 * has an oid of its own, and a row of the catalog that was updated another xmin.
 */
#include "source/postgres/pg_basis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_source.h"

enum { first_own_type = 16384 }; /* oids below are the server's own types, which nobody alters */

/* ---- a table ---- */

static const char *identity_name(char identity)
{
    switch (identity) {
    case 'd': return "key";
    case 'i': return "index";
    case 'f': return "row";
    default: return "nothing";
    }
}

static void add_columns(struct pg_table *t)
{
    struct dm_basis *b = &t->table->basis;
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct pg_column *c = &t->columns[i];
        char number[16];
        (void)snprintf(number, sizeof number, "%d", c->attnum);
        dm_basis_add(b, DM_BASIS_NAME, number, "%s", c->name);
        dm_basis_add(b, DM_BASIS_GENERATED, number, "%s", c->generated ? "generated" : "no");
        dm_basis_add(b, DM_BASIS_TAKEN, number, "%s",
                     pg_column_wanted(t->config, c->name) ? "taken" : "left out");
        if (!c->mirrored)
            continue;
        dm_basis_add(b, DM_BASIS_TYPE, number, "%u:%d", c->type, c->modifier);
        dm_basis_add(b, DM_BASIS_FILL, number, "%s",
                     c->default_unsaid    ? "unsaid"
                     : c->fills_by_itself ? "itself"
                                          : "said");
    }
}

static void add_key(struct pg_table *t)
{
    char text[32 * 8] = "";
    size_t n = 0;
    for (size_t i = 0; i < t->n_keys && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%d", i > 0 ? "," : "", t->keys[i]);
    dm_basis_add(&t->table->basis, DM_BASIS_IDENTITY, NULL, "%s", identity_name(t->identity));
    if (t->n_keys == 0)
        return;
    dm_basis_add(&t->table->basis, DM_BASIS_KEY, NULL, "%s", text);
    dm_basis_add(&t->table->basis, DM_BASIS_GUARD, NULL, "%u", t->guard);
}

/* Only those that the table has columns for: a setting of a glob meets many tables. */
static void add_configuration(const struct pg_catalog *catalog, struct pg_table *t)
{
    struct dm_basis *b = &t->table->basis;
    const struct dm_table_config *config = t->config;
    struct dm_buffer decimals;
    dm_buffer_init(&decimals, 1u << 20);
    enum dm_status status = DM_OK;
    bool times = false;
    for (size_t i = 0; i < t->n_columns && status == DM_OK; i++) {
        struct dm_type type;
        times = times || t->columns[i].type == PG_TIME_OID;
        if (pg_configured_decimal(config, t->columns[i].name, &type))
            status = dm_buffer_printf(&decimals, NULL, "%s%d:%d,%d", decimals.len > 0 ? " " : "",
                                      t->columns[i].attnum, type.precision, type.scale);
    }
    dm_basis_add(b, DM_BASIS_DECIMALS, NULL, "%s", decimals.len > 0 ? dm_buffer_text(&decimals) : "none");
    dm_buffer_release(&decimals);
    dm_basis_add(b, DM_BASIS_FILTER, NULL, "%s",
                 config != NULL && config->filter != NULL ? config->filter : "none");
    dm_table_divide(t->table, t->config);
    dm_basis_add(b, DM_BASIS_APPEND_ONLY, NULL, "%s", t->table->append_only ? "yes" : "no");
    if (times)
        dm_basis_add(b, DM_BASIS_TIME_AS, NULL, "%s", catalog->types->time_as_text ? "string" : "time");
}

/* ---- the publication ---- */

/* relid, entry, publication, operations, via root, filter, columns; the more exact way in comes first. */
static enum dm_status read_entries(const struct pg_catalog *catalog, const char *oids, PGresult **rows,
                                   struct dm_error *err)
{
    bool lists = pg_version(catalog->conn) >= 150000;
    char *changes = pg_quote_literal(catalog->conn, catalog->publication);
    char *inserts = pg_quote_literal(catalog->conn, catalog->inserts_publication);
    enum dm_status status = pg_query(
        catalog->conn, rows, err,
        "SELECT e.relid, e.entry, p.pubname, concat_ws(' ', CASE WHEN pubinsert THEN 'insert' END,"
        " CASE WHEN pubupdate THEN 'update' END, CASE WHEN pubdelete THEN 'delete' END,"
        " CASE WHEN pubtruncate THEN 'truncate' END, '#' || p.oid || '.' || p.xmin), p.pubviaroot,"
        " coalesce(e.filter, 'none'), coalesce(e.columns, 'all')"
        " FROM pg_publication p JOIN (SELECT prpubid AS pub, prrelid AS relid, oid::text AS entry, 1 AS way,"
        " %s AS filter, %s AS columns FROM pg_publication_rel%s UNION ALL"
        " SELECT a.oid, c.oid, 'all', 3, NULL, NULL FROM pg_publication a, pg_class c WHERE a.puballtables)"
        " e ON e.pub = p.oid WHERE p.pubname IN (%s, %s) AND e.relid = ANY ('%s'::oid[])"
        " ORDER BY e.way, e.entry",
        lists ? "md5(prqual::text)" : "NULL", lists ? "prattrs::text" : "NULL",
        lists ? " UNION ALL SELECT s.pnpubid, c.oid, 'schema ' || s.oid, 2, NULL, NULL"
                " FROM pg_publication_namespace s JOIN pg_class c ON c.relnamespace = s.pnnspid"
              : "",
        changes, inserts, oids);
    free(changes);
    free(inserts);
    return status;
}

static enum dm_status add_publication(const struct pg_catalog *catalog, const struct pg_table_list *list,
                                      const char *oids, struct dm_error *err)
{
    PGresult *rows;
    if (read_entries(catalog, oids, &rows, err) != DM_OK)
        return DM_FAIL;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct pg_table *t = pg_table_find(list, (uint64_t)pg_cell_int(rows, i, 0));
        struct dm_basis *b = t != NULL ? &t->table->basis : NULL;
        const char *mine = t == NULL         ? ""
                           : t->inserts_only ? catalog->inserts_publication
                                             : catalog->publication;
        if (b == NULL || strcmp(pg_cell(rows, i, 2), mine) != 0 ||
            dm_basis_get(b, DM_BASIS_PUBLISHED, NULL) != NULL)
            continue;
        dm_basis_add(b, DM_BASIS_PUBLISHED, NULL, "%s", pg_cell(rows, i, 1));
        dm_basis_add(b, DM_BASIS_OPERATIONS, NULL, "%s", pg_cell(rows, i, 3));
        dm_basis_add(b, DM_BASIS_VIA_ROOT, NULL, "%s", pg_cell_bool(rows, i, 4) ? "true" : "false");
        dm_basis_add(b, DM_BASIS_ROW_FILTER, NULL, "%s", pg_cell(rows, i, 5));
        dm_basis_add(b, DM_BASIS_COLUMN_LIST, NULL, "%s", pg_cell(rows, i, 6));
    }
    PQclear(rows);
    for (size_t i = 0; i < list->n; i++)
        if (dm_basis_get(&list->tables[i]->table->basis, DM_BASIS_PUBLISHED, NULL) == NULL)
            dm_basis_add(&list->tables[i]->table->basis, DM_BASIS_PUBLISHED, NULL, "none");
    return DM_OK;
}

/* ---- the types beneath ---- */

static enum dm_status own_types(const struct pg_table_list *list, struct dm_buffer *out, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t k = 0; k < list->n; k++)
        for (size_t i = 0; i < list->tables[k]->n_columns && status == DM_OK; i++) {
            const struct pg_column *c = &list->tables[k]->columns[i];
            if (c->mirrored && c->type >= first_own_type)
                status = dm_buffer_printf(out, err, out->len > 0 ? ",%u" : "%u", c->type);
        }
    return status;
}

static void add_type_fact(const struct pg_table_list *list, uint32_t type, enum dm_basis_member member,
                          const char *subject, const char *value)
{
    for (size_t k = 0; k < list->n; k++) {
        const struct pg_table *t = list->tables[k];
        bool has = false;
        for (size_t i = 0; i < t->n_columns && !has; i++)
            has = t->columns[i].mirrored && t->columns[i].type == type;
        if (has && dm_basis_get(&t->table->basis, member, subject) == NULL)
            dm_basis_add(&t->table->basis, member, subject, "%s", value);
    }
}

/* Bases of domains, elements of arrays, attributes of composites, subtypes of ranges, down to the ground. Renamed attributes do not show in a row's text,
 * dropped and added ones do. A label may be renamed and renamed back: its xmin stays another one. */
static enum dm_status add_types(const struct pg_catalog *catalog, const struct pg_table_list *list,
                                struct dm_error *err)
{
    struct dm_buffer types;
    PGresult *rows = NULL;
    dm_buffer_init(&types, 16u << 20);
    enum dm_status status = own_types(list, &types, err);
    if (status == DM_OK && types.len > 0)
        status = pg_query(
            catalog->conn, &rows, err,
            "WITH RECURSIVE t(root, oid) AS (SELECT DISTINCT u, u FROM unnest('{%s}'::oid[]) u UNION"
            " SELECT t.root, n.next FROM t JOIN pg_type y ON y.oid = t.oid CROSS JOIN LATERAL ("
            " SELECT y.typbasetype WHERE y.typbasetype <> 0 UNION ALL SELECT y.typelem WHERE y.typelem <> 0"
            " UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = y.typrelid AND a.attnum > 0"
            " AND y.typtype = 'c' AND NOT a.attisdropped"
            " UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE y.oid IN (r.rngtypid, r.rngmultitypid)"
            " AND y.typtype IN ('r', 'm')) n(next))"
            " SELECT t.root, 0, y.oid::text, string_agg(concat_ws(':', a.attnum, a.atttypid, a.atttypmod),"
            " ' ' ORDER BY a.attnum) FROM t JOIN pg_type y ON y.oid = t.oid AND y.typtype = 'c'"
            " JOIN pg_attribute a ON a.attrelid = y.typrelid AND a.attnum > 0 GROUP BY 1, 3"
            " UNION ALL SELECT t.root, 1, e.enumtypid || '.' || e.oid, e.enumlabel || ' #' || e.xmin"
            " FROM t JOIN pg_enum e ON e.enumtypid = t.oid ORDER BY 1, 2, 3",
            dm_buffer_text(&types));
    dm_buffer_release(&types);
    for (int i = 0; status == DM_OK && rows != NULL && i < PQntuples(rows); i++) {
        char *value = pg_charset_name(&pg_charset_ascii, pg_cell(rows, i, 3));
        add_type_fact(list, (uint32_t)pg_cell_int(rows, i, 0),
                      pg_cell_int(rows, i, 1) == 0 ? DM_BASIS_BENEATH : DM_BASIS_LABEL, pg_cell(rows, i, 2),
                      value);
        free(value);
    }
    PQclear(rows);
    return status;
}

enum dm_status pg_basis_of_tables(const struct pg_catalog *catalog, const struct pg_table_list *list,
                                  const char *oids, struct dm_error *err)
{
    for (size_t i = 0; i < list->n; i++) {
        struct pg_table *t = list->tables[i];
        dm_basis_add(&t->table->basis, DM_BASIS_STORAGE, NULL, "%llu", (unsigned long long)t->storage);
        add_key(t);
        add_configuration(catalog, t);
        add_columns(t);
    }
    if (add_publication(catalog, list, oids, err) != DM_OK)
        return DM_FAIL;
    return add_types(catalog, list, err);
}

/* ---- the server ---- */

/* The history of a timeline is a text, one line for each that came before: "1\t0/3000158\tno recovery target". Where it is not kept any more (it is not
 * needed for the log itself), the timeline stands alone. */
static enum dm_status add_timeline(PGconn *conn, const char *timeline, struct dm_basis *out,
                                   struct dm_error *err)
{
    PGresult *rows = NULL;
    struct dm_error ignored = {0};
    char history[2048] = "";
    size_t n = 0;
    enum dm_status status = DM_OK;
    bool asked = strcmp(timeline, "1") != 0 &&
                 pg_query(conn, &rows, &ignored, "TIMELINE_HISTORY %s", timeline) == DM_OK;
    const char *line = asked && PQntuples(rows) == 1 ? PQgetvalue(rows, 0, 1) : "";
    while (*line != '\0' && status == DM_OK) {
        char number[16], lsn[32];
        uint64_t at = 0;
        if (sscanf(line, " %15[0-9] %31[0-9A-Fa-f/]", number, lsn) == 2) {
            status = pg_lsn_parse(lsn, &at, err);
            if (n < sizeof history)
                n += (size_t)snprintf(history + n, sizeof history - n, "%s@%llu,", number,
                                      (unsigned long long)at);
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    PQclear(rows);
    dm_basis_add(out, DM_BASIS_TIMELINE, NULL, "%s%s", n < sizeof history ? history : "", timeline);
    return status;
}

static enum dm_status add_identity(PGconn *conn, struct dm_basis *out, struct dm_error *err)
{
    PGresult *rows = NULL;
    if (pg_query(conn, &rows, err, "IDENTIFY_SYSTEM") != DM_OK)
        return DM_FAIL;
    uint64_t end = 0;
    enum dm_status status = pg_lsn_parse(PQgetvalue(rows, 0, 2), &end, err);
    if (status == DM_OK) {
        dm_basis_add(out, DM_BASIS_SYSTEM, NULL, "%s", PQgetvalue(rows, 0, 0));
        status = add_timeline(conn, PQgetvalue(rows, 0, 1), out, err);
        dm_basis_add(out, DM_BASIS_LOG_END, NULL, "%llu", (unsigned long long)end);
    }
    PQclear(rows);
    return status;
}

static enum dm_status add_database(struct dm_source *s, PGconn *conn, struct dm_basis *out,
                                   struct dm_error *err)
{
    PGresult *rows = NULL;
    struct pg_slot_state slot;
    if (pg_slot_read(conn, s->slot, &slot, err) != DM_OK ||
        pg_query(conn, &rows, err,
                 "SELECT oid, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = "
                 "current_database()") != DM_OK)
        return DM_FAIL;
    dm_basis_add(out, DM_BASIS_DATABASE, NULL, "%s", PQgetvalue(rows, 0, 0));
    dm_basis_add(out, DM_BASIS_ENCODING, NULL, "%s", PQgetvalue(rows, 0, 1));
    dm_basis_add(out, DM_BASIS_SLOT, NULL, "%s", slot.exists ? "there" : "none");
    PQclear(rows);
    return DM_OK;
}

/* From the whole to its parts: on another server everything is another one, and the first difference is the one to speak of. */
enum dm_status pg_basis(struct dm_source *s, struct dm_basis *out, struct dm_error *err)
{
    PGconn *conn = NULL, *replication = NULL;
    enum dm_status status = pg_source_connection(s, &conn, err);
    if (status == DM_OK)
        status = pg_connect(s->config, PG_REPLICATION, s->waiter, &replication, err);
    if (status == DM_OK)
        status = add_identity(replication, out, err);
    PQfinish(replication);
    return status == DM_OK ? add_database(s, conn, out, err) : status;
}
