#include "source/sqlite/sqlite_table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "source/sqlite/sqlite_basis.h"
#include "source/sqlite/sqlite_capture.h"
#include "source/sqlite/unique_index_sql.h"

static const char key_hint[] = "declare a PRIMARY KEY, create a UNIQUE index on NOT NULL columns, name one "
                               "with `key:`, or set `append_only: true`";

/* ---- memory ---- */

static void unique_release(struct dm_sqlite_unique *u)
{
    for (size_t i = 0; i < u->n; i++) {
        free(u->parts[i].column);
        free(u->parts[i].expression);
        free(u->parts[i].collation);
        free(u->parts[i].fallback);
    }
    free(u->parts);
    free(u->where);
}

static void table_free(struct dm_sqlite_table *t)
{
    for (size_t i = 0; i < t->table->columns->n_fields; i++)
        free(t->defaults[i]);
    for (size_t i = 0; i < t->n_identity; i++) {
        free(t->identity[i].name);
        free(t->identity[i].collation);
    }
    for (size_t i = 0; i < t->n_uniques; i++)
        unique_release(&t->uniques[i]);
    for (size_t i = 0; i < t->n_all; i++)
        free(t->all[i]);
    free(t->all);
    free(t->defaults);
    free(t->generated);
    free(t->rules);
    free(t->identity);
    free(t->uniques);
    free(t->filter);
    free(t->sql);
    dm_table_free(t->table);
    free(t);
}

void dm_sqlite_tables_release(struct dm_sqlite_tables *set)
{
    for (size_t i = 0; i < set->n; i++)
        table_free(set->tables[i]);
    free(set->tables);
    *set = (struct dm_sqlite_tables){0};
}

struct dm_sqlite_table *dm_sqlite_tables_find(const struct dm_sqlite_tables *set, uint64_t id)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->tables[i]->table->id == id)
            return set->tables[i];
    return NULL;
}

struct dm_sqlite_table *dm_sqlite_tables_named(const struct dm_sqlite_tables *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->tables[i]->table->name, name) == 0)
            return set->tables[i];
    return NULL;
}

void dm_sqlite_identity_matches(sqlite3_str *sql, const struct dm_sqlite_table *t, bool parameters)
{
    for (size_t i = 0; i < t->n_identity; i++) {
        const struct dm_sqlite_identity *k = &t->identity[i];
        sqlite3_str_appendf(sql, "%s\"%w\"", i > 0 ? " AND " : "", k->name);
        if (k->collation != NULL)
            sqlite3_str_appendf(sql, " COLLATE \"%w\"", k->collation);
        if (parameters)
            sqlite3_str_appendf(sql, " IS ?%d", (int)i + 1);
        else
            sqlite3_str_appendf(sql, " IS NEW.\"%w\"", k->name);
    }
}

void dm_sqlite_select_list(sqlite3_str *sql, const struct dm_sqlite_table *t)
{
    for (size_t i = 0; i < t->table->columns->n_fields; i++)
        sqlite3_str_appendf(sql, "%s\"%w\"", i > 0 ? ", " : "", t->table->columns->fields[i].name);
}

static void problem(struct dm_sqlite_table *t, const char *hint, char *take_text)
{
    if (t->table->problem != NULL) {
        free(take_text);
        return;
    }
    t->table->problem = take_text;
    t->table->hint = dm_xstrdup(hint);
}

/* ---- columns ---- */

static bool named(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return false;
}

static bool mirrored(const struct dm_table_config *c, const char *column)
{
    if (c == NULL)
        return true;
    if (c->n_columns > 0 && !named(c->columns, c->n_columns, column))
        return false;
    return !named(c->exclude_columns, c->n_exclude_columns, column);
}

static struct dm_sqlite_rule rule_of(const struct dm_table_config *c, const char *column,
                                     const char *declared, bool strict)
{
    struct dm_sqlite_rule rule = dm_sqlite_rule_of(declared, strict);
    for (size_t i = 0; c != NULL && rule.id == DM_SQLITE_PLAIN && i < c->n_decimals; i++)
        if (strcasecmp(c->decimals[i].column, column) == 0)
            return (struct dm_sqlite_rule){DM_SQLITE_DECIMAL,
                                           dm_type_decimal(c->decimals[i].precision, c->decimals[i].scale)};
    bool text = rule.id == DM_SQLITE_PLAIN || rule.id == DM_SQLITE_TEXT;
    if (c != NULL && c->timestamp != NULL && text && strcasecmp(c->timestamp, column) == 0)
        return (struct dm_sqlite_rule){DM_SQLITE_MOMENT, dm_type_of(DM_TIMESTAMPTZ)};
    return rule;
}

/* What PRAGMA table_xinfo says beyond the mirrored fields. */
struct description {
    size_t n_primary;
    char **primary; /* names in key order */
    size_t n_not_null;
    char **not_null;
    bool rowid_alias; /* the primary key is the rowid */
};

static void description_release(struct description *d)
{
    for (size_t i = 0; i < d->n_primary; i++)
        free(d->primary[i]);
    for (size_t i = 0; i < d->n_not_null; i++)
        free(d->not_null[i]);
    free(d->primary);
    free(d->not_null);
}

static void add_name(char ***names, size_t *n, const char *name)
{
    *names = dm_xrealloc(*names, *n + 1, sizeof **names);
    (*names)[(*n)++] = dm_xstrdup(name);
}

static void add_field(struct dm_sqlite_table *t, sqlite3_stmt *row, struct dm_sqlite_rule rule,
                      bool generated)
{
    size_t n = t->table->columns->n_fields;
    struct dm_field *f =
        dm_schema_add(t->table->columns, (const char *)sqlite3_column_text(row, 1), rule.type);
    f->source_type = dm_sqlite_text(row, 2);
    f->required =
        false; /* a NOT NULL of SQLite binds SQL, not the file: only the key is checked, row by row */
    t->rules = dm_xrealloc(t->rules, n + 1, sizeof *t->rules);
    t->rules[n] = rule;
    t->generated = dm_xrealloc(t->generated, n + 1, sizeof *t->generated);
    t->generated[n] = generated;
    t->defaults = dm_xrealloc(t->defaults, n + 1, sizeof *t->defaults);
    t->defaults[n] = dm_sqlite_text(row, 4);
}

/* cid, name, type, notnull, dflt_value, pk, hidden (0 usual, 1 hidden, 2 virtual generated, 3 stored
 * generated) */
static enum dm_status load_columns(sqlite3 *db, struct dm_sqlite_table *t, const struct dm_table_config *c,
                                   bool strict, struct description *d, struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(db, &row, err, "SELECT * FROM pragma_table_xinfo(%Q, 'main')", t->table->name) !=
        DM_OK)
        return DM_FAIL;
    enum dm_status status;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        const char *name = (const char *)sqlite3_column_text(row, 1);
        int hidden = sqlite3_column_int(row, 6), pk = sqlite3_column_int(row, 5);
        if (hidden == 1)
            continue;
        add_name(&t->all, &t->n_all, name);
        if (sqlite3_column_int(row, 3))
            add_name(&d->not_null, &d->n_not_null, name);
        if (pk > 0) {
            size_t at = (size_t)pk;
            if (at > d->n_primary) {
                d->primary = dm_xrealloc(d->primary, at, sizeof *d->primary);
                memset(d->primary + d->n_primary, 0, (at - d->n_primary) * sizeof *d->primary);
                d->n_primary = at;
            }
            d->primary[at - 1] = dm_xstrdup(name);
        }
        if (mirrored(c, name))
            add_field(t, row, rule_of(c, name, (const char *)sqlite3_column_text(row, 2), strict),
                      hidden >= 2);
    }
    (void)sqlite3_finalize(row);
    return status == DM_END ? DM_OK : status;
}

static void find_rowid_name(struct dm_sqlite_table *t)
{
    static const char *const names[] = {"_rowid_", "rowid", "oid"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!named(t->all, t->n_all, names[i])) {
            t->rowid = names[i];
            return;
        }
    }
}

/* ---- unique constraints ---- */

static const char *default_of(const struct dm_sqlite_table *t, const struct description *d,
                              const char *column)
{
    if (!named(d->not_null, d->n_not_null, column))
        return NULL;
    int f = dm_schema_find(t->table->columns, column);
    return f >= 0 ? t->defaults[f] : NULL;
}

/* seqno, cid (-1 rowid, -2 expression), name, desc, coll, key */
static enum dm_status load_parts(sqlite3 *db, struct dm_sqlite_table *t, const struct description *d,
                                 const char *index, const struct dm_index_sql *text,
                                 struct dm_sqlite_unique *u, struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(db, &row, err,
                          "SELECT * FROM pragma_index_xinfo(%Q, 'main') WHERE \"key\" = 1 ORDER BY seqno",
                          index) != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        u->parts = dm_xrealloc(u->parts, u->n + 1, sizeof *u->parts);
        struct dm_sqlite_unique_part *p = &u->parts[u->n++];
        *p = (struct dm_sqlite_unique_part){.column = dm_sqlite_text(row, 2)};
        if (p->column != NULL) {
            p->collation = dm_sqlite_text(row, 4);
            p->fallback = dm_xstrdup(default_of(t, d, p->column));
            int f = dm_schema_find(t->table->columns, p->column);
            p->generated = f < 0 || t->generated[f]; /* unknown ones are treated as if they could change */
        } else if (u->n <= text->n) {
            p->expression = dm_xstrdup(text->terms[u->n - 1]);
        } else {
            problem(t, "exclude the table, or drop the index",
                    dm_xasprintf("its unique index %s is on an expression that cannot be followed", index));
        }
    }
    (void)sqlite3_finalize(row);
    return status == DM_END ? DM_OK : status;
}

/* seq, name, unique, origin (c, u, pk), partial */
static enum dm_status load_uniques(sqlite3 *db, struct dm_sqlite_table *t, const struct description *d,
                                   struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT l.name, s.sql FROM pragma_index_list(%Q, 'main') l LEFT JOIN sqlite_schema s"
            " ON s.type = 'index' AND s.name = l.name WHERE l.\"unique\" = 1"
            " ORDER BY l.origin <> 'pk', l.origin, l.name",
            t->table->name) != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        const char *sql = (const char *)sqlite3_column_text(row, 1);
        struct dm_index_sql text = {0};
        if (sql != NULL && !dm_index_sql_split(sql, &text))
            problem(t, "exclude the table, or drop the index",
                    dm_xasprintf("its unique index %s cannot be understood",
                                 (const char *)sqlite3_column_text(row, 0)));
        t->uniques = dm_xrealloc(t->uniques, t->n_uniques + 1, sizeof *t->uniques);
        struct dm_sqlite_unique *u = &t->uniques[t->n_uniques++];
        *u = (struct dm_sqlite_unique){.where = dm_xstrdup(text.where)};
        enum dm_status parts = load_parts(db, t, d, (const char *)sqlite3_column_text(row, 0), &text, u, err);
        dm_index_sql_release(&text);
        if (parts != DM_OK) {
            status = parts;
            break;
        }
    }
    (void)sqlite3_finalize(row);
    return status == DM_END ? DM_OK : status;
}

/* ---- key ---- */

static bool unique_covers(const struct dm_sqlite_unique *u, char *const *names, size_t n)
{
    if (u->where != NULL || u->n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (u->parts[i].column == NULL || !named(names, n, u->parts[i].column))
            return false;
    return true;
}

static bool all_not_null(const struct dm_sqlite_unique *u, const struct description *d)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->parts[i].column == NULL || !named(d->not_null, d->n_not_null, u->parts[i].column))
            return false;
    return u->where == NULL && u->n > 0;
}

static bool known_collation(const char *name)
{
    return strcasecmp(name, "BINARY") == 0 || strcasecmp(name, "NOCASE") == 0 ||
           strcasecmp(name, "RTRIM") == 0;
}

static void add_identity(struct dm_sqlite_table *t, const char *name, const char *collation)
{
    t->identity = dm_xrealloc(t->identity, t->n_identity + 1, sizeof *t->identity);
    t->identity[t->n_identity++] = (struct dm_sqlite_identity){dm_xstrdup(name), dm_xstrdup(collation)};
}

static void add_key_column(struct dm_sqlite_table *t, const char *name, const char *collation)
{
    int f = -1;
    for (size_t i = 0; i < t->table->columns->n_fields; i++)
        if (strcasecmp(t->table->columns->fields[i].name, name) == 0)
            f = (int)i;
    if (f < 0) {
        problem(t, "add the column to `columns:` or take it out of `exclude_columns:`",
                dm_xasprintf("its key column %s is not mirrored", name));
        return;
    }
    if (collation != NULL && !known_collation(collation))
        problem(t, "use BINARY, NOCASE or RTRIM for the key, or a UNIQUE index with one of them and `key:`",
                dm_xasprintf("its key column %s uses the collation %s, which only the application knows",
                             name, collation));
    dm_schema_add_key(t->table->columns, (uint32_t)f);
    t->table->columns->fields[f].required = true;
    add_identity(t, t->table->columns->fields[f].name, collation);
}

/* The constraint is then no longer one beside the key. */
static void take_unique_as_key(struct dm_sqlite_table *t, size_t which, char *const *order)
{
    struct dm_sqlite_unique *u = &t->uniques[which];
    for (size_t i = 0; i < u->n; i++) {
        const char *name = order != NULL ? order[i] : u->parts[i].column;
        const char *collation = "BINARY";
        for (size_t k = 0; k < u->n; k++)
            if (strcasecmp(u->parts[k].column, name) == 0)
                collation = u->parts[k].collation;
        add_key_column(t, name, collation);
    }
    /* Under a collation, or where 1 equals 1.0, a REPLACE can remove a row whose key is not the new one's
     * byte for byte: then the key stays among the constraints to watch. */
    bool exact = true;
    for (size_t i = 0; i < t->table->columns->n_keys; i++) {
        const char *collation = t->identity[i].collation;
        exact = exact && strcasecmp(collation, "BINARY") == 0 &&
                t->rules[t->table->columns->keys[i]].id != DM_SQLITE_LITERAL;
    }
    if (!exact)
        return;
    unique_release(u);
    memmove(u, u + 1, (t->n_uniques - which - 1) * sizeof *u);
    t->n_uniques--;
}

static void take_rowid_as_key(struct dm_sqlite_table *t, const char *alias)
{
    t->rowid_is_key = true;
    add_key_column(t, alias, NULL);
}

static void choose_key(struct dm_sqlite_table *t, const struct dm_table_config *c,
                       const struct description *d)
{
    char *const *wanted = d->primary;
    size_t n = d->n_primary;
    bool declared = c != NULL && c->n_key > 0;
    if (declared) {
        wanted = c->key;
        n = c->n_key;
    }
    if (n == 1 && d->rowid_alias && strcasecmp(wanted[0], d->primary[0]) == 0) {
        take_rowid_as_key(t, d->primary[0]);
        return;
    }
    for (size_t i = 0; n > 0 && i < t->n_uniques; i++) {
        if (unique_covers(&t->uniques[i], wanted, n)) {
            take_unique_as_key(t, i, wanted);
            return;
        }
    }
    if (declared) {
        problem(t, "create a UNIQUE index on exactly these columns (not a partial one)",
                dm_xstrdup("no unique index covers the columns given by `key:`"));
        return;
    }
    for (size_t i = 0; i < t->n_uniques; i++) {
        if (all_not_null(&t->uniques[i], d)) {
            take_unique_as_key(t, i, NULL);
            return;
        }
    }
    problem(t, key_hint, dm_xstrdup("has no primary key"));
}

/* A change of an append-only table is one row, so any name of the row will do to find it again. */
static void choose_row_name(struct dm_sqlite_table *t, const struct description *d)
{
    if (t->rowid != NULL) {
        add_identity(t, t->rowid, NULL);
        return;
    }
    for (size_t i = 0; i < d->n_primary; i++)
        add_identity(t, d->primary[i], "BINARY");
    if (d->n_primary == 0)
        problem(t, "rename one of the columns rowid, oid, _rowid_",
                dm_xstrdup("its rowid cannot be reached"));
}

/* The rowid conflicts too, when it is not the key. A column of type INTEGER PRIMARY KEY is the same thing
 * by another name. */
static void add_rowid_unique(struct dm_sqlite_table *t)
{
    if (t->rowid == NULL || t->rowid_is_key)
        return;
    t->uniques = dm_xrealloc(t->uniques, t->n_uniques + 1, sizeof *t->uniques);
    struct dm_sqlite_unique *u = &t->uniques[t->n_uniques++];
    *u = (struct dm_sqlite_unique){.n = 1, .parts = dm_xzalloc(1, sizeof *u->parts)};
    u->parts[0].column = dm_xstrdup(t->rowid);
}

/* ---- the rest ---- */

/* What the constraints of this table say of the reference. */
static void judge_foreign_key(const struct dm_sqlite_table *t, const struct description *d,
                              struct dm_foreign_key *fk)
{
    fk->mandatory = true;
    for (size_t i = 0; i < fk->n_columns; i++)
        fk->mandatory = fk->mandatory && (named(d->not_null, d->n_not_null, fk->columns[i]) ||
                                          named(d->primary, d->n_primary, fk->columns[i]));
    for (size_t i = 0; i < t->n_uniques && !fk->unique; i++) {
        const struct dm_sqlite_unique *u = &t->uniques[i];
        fk->unique = u->where == NULL && u->n > 0;
        for (size_t k = 0; k < u->n; k++)
            fk->unique = fk->unique && u->parts[k].column != NULL &&
                         named(fk->columns, fk->n_columns, u->parts[k].column);
    }
}

static enum dm_status load_foreign_keys(sqlite3 *db, struct dm_table *t, struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    /* id, seq, table, from, to (NULL: the target's primary key) */
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT f.id, f.\"table\", f.\"from\", coalesce(f.\"to\", (SELECT name FROM "
            "pragma_table_info(f.\"table\")"
            " WHERE pk = f.seq + 1)) FROM pragma_foreign_key_list(%Q, 'main') f ORDER BY f.id, f.seq",
            t->name) != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    int64_t last = -1;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        if (sqlite3_column_type(row, 3) == SQLITE_NULL)
            continue; /* the target does not exist */
        if (sqlite3_column_int64(row, 0) != last) {
            last = sqlite3_column_int64(row, 0);
            t->foreign_keys = dm_xrealloc(t->foreign_keys, t->n_foreign_keys + 1, sizeof *t->foreign_keys);
            t->foreign_keys[t->n_foreign_keys++] =
                (struct dm_foreign_key){.name = dm_xasprintf("%s_fk%lld", t->name, (long long)last),
                                        .target_schema = dm_xstrdup(""),
                                        .target_table = dm_sqlite_text(row, 1)};
        }
        struct dm_foreign_key *fk = &t->foreign_keys[t->n_foreign_keys - 1];
        size_t ignored = fk->n_columns;
        add_name(&fk->columns, &fk->n_columns, (const char *)sqlite3_column_text(row, 2));
        add_name(&fk->target_columns, &ignored, (const char *)sqlite3_column_text(row, 3));
    }
    (void)sqlite3_finalize(row);
    return status == DM_END ? DM_OK : status;
}

/* The span of rowids is an upper bound that costs two seeks; counting would read the table. */
static enum dm_status estimate(sqlite3 *db, struct dm_sqlite_table *t, struct dm_error *err)
{
    int64_t span = 0;
    if (t->rowid != NULL &&
        dm_sqlite_int(db, 0, &span, err,
                      "SELECT min(9007199254740992, max(\"%w\") * 1.0 - min(\"%w\") + 1) FROM \"%w\"",
                      t->rowid, t->rowid, t->table->name) != DM_OK)
        return DM_FAIL;
    t->table->estimated_rows = span > 0 ? (uint64_t)span : 0;
    return DM_OK;
}

static enum dm_status load_table(sqlite3 *db, struct dm_sqlite_table *t,
                                 const struct dm_source_config *config, bool strict, bool without_rowid,
                                 struct dm_error *err)
{
    const struct dm_table_config *c = dm_config_table(config, "", t->table->name);
    struct description d = {0};
    int64_t pk_indexes = 0;
    enum dm_status status = load_columns(db, t, c, strict, &d, err);
    if (status == DM_OK)
        status = dm_sqlite_int(db, 0, &pk_indexes, err,
                               "SELECT count(*) FROM pragma_index_list(%Q, 'main') WHERE origin = 'pk'",
                               t->table->name);
    d.rowid_alias = !without_rowid && d.n_primary == 1 && pk_indexes == 0;
    if (!without_rowid)
        find_rowid_name(t);
    for (size_t i = 0; d.rowid_alias && i < t->n_all; i++)
        if (strcmp(t->all[i], d.primary[0]) == 0)
            t->rowid = t->all[i];
    if (status == DM_OK)
        status = load_uniques(db, t, &d, err);
    t->table->append_only = c != NULL && c->append_only;
    t->images = t->table->append_only || (c != NULL && c->history >= 0 ? c->history > 0 : config->history);
    t->filter = c != NULL ? dm_xstrdup(c->filter) : NULL;
    t->max_row_bytes = config->max_row_bytes;
    if (status == DM_OK && t->table->append_only)
        choose_row_name(t, &d);
    else if (status == DM_OK)
        choose_key(t, c, &d);
    add_rowid_unique(t);
    if (t->table->columns->n_fields == 0)
        problem(t, "check `columns:` and `exclude_columns:`", dm_xstrdup("has no columns to mirror"));
    if (status == DM_OK)
        status = load_foreign_keys(db, t->table, err);
    for (size_t i = 0; i < t->table->n_foreign_keys && status == DM_OK; i++)
        judge_foreign_key(t, &d, &t->table->foreign_keys[i]);
    if (status == DM_OK)
        status = estimate(db, t, err);
    description_release(&d);
    return status;
}

enum dm_status dm_sqlite_tables_load(sqlite3 *db, const struct dm_source_config *config,
                                     struct dm_sqlite_tables *out, struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT l.name, l.wr, l.strict, s.sql FROM pragma_table_list l JOIN sqlite_schema s ON s.type = "
            "'table' AND s.name = l.name"
            " WHERE l.schema = 'main' AND l.type = 'table' AND l.name NOT LIKE 'sqlite\\_%%' ESCAPE '\\'"
            " AND l.name NOT GLOB '_datamirror_*' ORDER BY l.name") != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        const char *name = (const char *)sqlite3_column_text(row, 0);
        if (!dm_table_wanted(config, "", name))
            continue;
        struct dm_sqlite_table *t = dm_xzalloc(1, sizeof *t);
        t->table = dm_table_new("", name);
        t->table->default_namespace = true;
        t->sql = dm_sqlite_text(row, 3);
        out->tables = dm_xrealloc(out->tables, out->n + 1, sizeof *out->tables);
        out->tables[out->n++] = t;
        if (load_table(db, t, config, sqlite3_column_int(row, 2) != 0, sqlite3_column_int(row, 1) != 0,
                       err) != DM_OK) {
            dm_error_prefix(err, "table %s", name);
            status = DM_FAIL;
            break;
        }
    }
    (void)sqlite3_finalize(row);
    if (status == DM_END)
        status = dm_sqlite_capture_identify(db, out, err);
    for (size_t i = 0; i < out->n && status == DM_OK; i++)
        dm_sqlite_basis_add(out->tables[i], dm_config_table(config, "", out->tables[i]->table->name));
    if (status != DM_OK)
        dm_sqlite_tables_release(out);
    return status;
}
