#include "source/sqlite/capture_triggers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "source/sqlite/sqlite_capture.h"

static long long id_of(const struct dm_sqlite_table *t)
{
    return (long long)t->table->id;
}

static void add(struct dm_trigger_list *list, const struct dm_sqlite_table *t, const char *what,
                bool essential, sqlite3_str *take_sql)
{
    list->items = dm_xrealloc(list->items, list->n + 1, sizeof *list->items);
    list->items[list->n++] =
        (struct dm_trigger){dm_xasprintf("_datamirror_%lld_%s", id_of(t), what), dm_sqlite_str_take(take_sql),
                            essential, strncmp(what, "conflict", 8) == 0};
}

void dm_trigger_list_release(struct dm_trigger_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i].name);
        free(list->items[i].sql);
    }
    free(list->items);
    *list = (struct dm_trigger_list){0};
}

static sqlite3_str *begin(const struct dm_sqlite_table *t, const char *what, const char *when)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    sqlite3_str_appendf(s, "CREATE TRIGGER \"_datamirror_%lld_%s\" %s ON \"%w\"", id_of(t), what, when,
                        t->table->name);
    return s;
}

/* ---- log entries ---- */

static void log_head(sqlite3_str *s, const struct dm_sqlite_table *t)
{
    sqlite3_str_appendf(s, " INSERT INTO \"_datamirror_log\"(t, op, stamp");
    for (size_t i = 0; i < t->n_identity; i++)
        sqlite3_str_appendf(s, ", k%d", (int)i + 1);
    sqlite3_str_appendf(s, ") SELECT %lld, ", id_of(t));
}

static void log_entry(sqlite3_str *s, const struct dm_sqlite_table *t, enum dm_sqlite_op op, const char *row)
{
    log_head(s, t);
    sqlite3_str_appendf(s, "%d, random()", (int)op);
    for (size_t i = 0; i < t->n_identity; i++)
        sqlite3_str_appendf(s, ", %s.\"%w\"", row, t->identity[i].name);
}

/* OLD and NEW differ in a column, byte for byte. */
static void differs(sqlite3_str *s, const char *column)
{
    sqlite3_str_appendf(
        s, "OLD.\"%w\" IS NOT NEW.\"%w\" COLLATE BINARY OR typeof(OLD.\"%w\") <> typeof(NEW.\"%w\")", column,
        column, column, column);
}

static void key_differs(sqlite3_str *s, const struct dm_sqlite_table *t)
{
    for (size_t i = 0; i < t->n_identity; i++) {
        sqlite3_str_appendf(s, "%s", i > 0 ? " OR " : "");
        differs(s, t->identity[i].name);
    }
}

/* ---- images ---- */

/* A name that is no column (any more) resolves to the one-row table around it, which says NULL: so the
 * trigger stays valid when a column is dropped, and ALTER TABLE DROP COLUMN is not refused because of us. */
static void null_columns(sqlite3_str *s, const struct dm_sqlite_table *t)
{
    sqlite3_str_appendf(s, " FROM (SELECT ");
    for (size_t i = 0; i < t->table->columns->n_fields; i++)
        sqlite3_str_appendf(s, "%sNULL AS \"%w\"", i > 0 ? ", " : "", t->table->columns->fields[i].name);
    sqlite3_str_appendf(s, ")");
}

static void image(sqlite3_str *s, const struct dm_sqlite_table *t)
{
    const struct dm_schema *c = t->table->columns;
    sqlite3_str_appendf(s, " INSERT INTO \"_datamirror_image_%lld\"(seq", id_of(t));
    for (size_t i = 0; i < c->n_fields; i++)
        sqlite3_str_appendf(s, ", c%d", c->fields[i].source_ref);
    sqlite3_str_appendf(s, ") SELECT (SELECT max(seq) FROM \"_datamirror_log\")");
    for (size_t i = 0; i < c->n_fields; i++) {
        sqlite3_str_appendf(s, ", (SELECT \"%w\" FROM \"%w\" WHERE ", c->fields[i].name, t->table->name);
        dm_sqlite_identity_matches(s, t, false);
        sqlite3_str_appendf(s, ")");
    }
    null_columns(s, t);
    sqlite3_str_appendf(s, " WHERE EXISTS (SELECT 1 FROM \"%w\" WHERE ", t->table->name);
    dm_sqlite_identity_matches(s, t, false);
    sqlite3_str_appendf(s, ");");
}

/* ---- conflicts ---- */

/* Does an expression's text mention the column? Too many hits do no harm. */
static bool mentions(const char *expression, const char *column)
{
    if (strcasestr(expression, column) != NULL)
        return true;
    return strpbrk(column, "\"'`]") != NULL; /* spelled with its quotes doubled */
}

static void new_expression(sqlite3_str *s, const struct dm_sqlite_table *t, const char *expression)
{
    sqlite3_str_appendf(s, "(SELECT %s FROM (SELECT 1", expression);
    for (size_t i = 0; i < t->n_all; i++)
        if (mentions(expression, t->all[i]))
            sqlite3_str_appendf(s, ", NEW.\"%w\" AS \"%w\"", t->all[i], t->all[i]);
    sqlite3_str_appendf(s, "))");
}

static void mark(sqlite3_str *s, const struct dm_sqlite_table *t, const struct dm_sqlite_unique *u)
{
    log_head(s, t);
    sqlite3_str_appendf(s, "%d, random()", (int)DM_SQLITE_MARK);
    for (size_t i = 0; i < t->n_identity; i++)
        sqlite3_str_appendf(s, ", \"%w\"", t->identity[i].name);
    sqlite3_str_appendf(s, " FROM \"%w\" WHERE ", t->table->name);
    for (size_t i = 0; i < u->n; i++) {
        const struct dm_sqlite_unique_part *p = &u->parts[i];
        sqlite3_str_appendf(s, "%s", i > 0 ? " AND " : "");
        if (p->expression != NULL) {
            sqlite3_str_appendf(s, "(%s) = ", p->expression);
            new_expression(s, t, p->expression);
        } else {
            sqlite3_str_appendf(s, "\"%w\"", p->column);
            if (p->collation != NULL)
                sqlite3_str_appendf(s, " COLLATE \"%w\"", p->collation);
            if (p->fallback != NULL)
                sqlite3_str_appendf(s, " = coalesce(NEW.\"%w\", %s)", p->column, p->fallback);
            else
                sqlite3_str_appendf(s, " = NEW.\"%w\"", p->column);
        }
    }
    if (u->where != NULL)
        sqlite3_str_appendf(s, " AND (%s)", u->where);
    sqlite3_str_appendf(s, ";");
}

/* An update can only run into a constraint whose columns it changes; with an expression, a condition or a
 * generated column involved that is not decided here. */
static bool always_conflicting(const struct dm_sqlite_table *t)
{
    for (size_t i = 0; i < t->n_uniques; i++) {
        if (t->uniques[i].where != NULL)
            return true;
        for (size_t k = 0; k < t->uniques[i].n; k++) {
            const struct dm_sqlite_unique_part *p = &t->uniques[i].parts[k];
            if (p->expression != NULL || p->generated || p->fallback != NULL)
                return true;
        }
    }
    return false;
}

static void conflict_triggers(const struct dm_sqlite_table *t, struct dm_trigger_list *out)
{
    if (t->n_uniques == 0 || t->table->append_only)
        return;
    sqlite3_str *s = begin(t, "conflict_insert", "BEFORE INSERT");
    sqlite3_str_appendf(s, " BEGIN");
    for (size_t i = 0; i < t->n_uniques; i++)
        mark(s, t, &t->uniques[i]);
    sqlite3_str_appendf(s, " END");
    add(out, t, "conflict_insert", false, s);

    s = begin(t, "conflict_update", "BEFORE UPDATE");
    if (!always_conflicting(t)) {
        const char *glue = " WHEN ";
        for (size_t i = 0; i < t->n_uniques; i++) {
            for (size_t k = 0; k < t->uniques[i].n; k++, glue = " OR ") {
                sqlite3_str_appendf(s, "%s", glue);
                differs(s, t->uniques[i].parts[k].column);
            }
        }
    }
    sqlite3_str_appendf(s, " BEGIN");
    for (size_t i = 0; i < t->n_uniques; i++)
        mark(s, t, &t->uniques[i]);
    sqlite3_str_appendf(s, " END");
    add(out, t, "conflict_update", false, s);
}

/* ---- the triggers ---- */

static void columns_trigger(const struct dm_sqlite_table *t, struct dm_trigger_list *out)
{
    const struct dm_schema *c = t->table->columns;
    sqlite3_str *s = begin(t, "columns", "AFTER DELETE");
    sqlite3_str_appendf(s, " WHEN 0 BEGIN SELECT ");
    for (size_t i = 0; i < c->n_fields; i++)
        sqlite3_str_appendf(s, "%s(SELECT \"%w\" FROM \"%w\") AS c%d", i > 0 ? ", " : "", c->fields[i].name,
                            t->table->name, c->fields[i].source_ref);
    null_columns(s, t);
    sqlite3_str_appendf(s, "; END");
    add(out, t, "columns", true, s);
}

void dm_capture_triggers(const struct dm_sqlite_table *t, struct dm_trigger_list *out)
{
    sqlite3_str *s = begin(t, "insert", "AFTER INSERT");
    sqlite3_str_appendf(s, " BEGIN");
    log_entry(s, t, DM_SQLITE_INSERT, "NEW");
    sqlite3_str_appendf(s, ";");
    if (t->images)
        image(s, t);
    sqlite3_str_appendf(s, " END");
    add(out, t, "insert", true, s);

    s = begin(t, "update", "AFTER UPDATE");
    sqlite3_str_appendf(s, " BEGIN");
    if (!t->table->append_only) {
        log_entry(s, t, DM_SQLITE_DELETE, "OLD");
        sqlite3_str_appendf(s, " WHERE ");
        key_differs(s, t);
        sqlite3_str_appendf(s, ";");
    }
    log_entry(s, t, DM_SQLITE_UPDATE, "NEW");
    sqlite3_str_appendf(s, ";");
    if (t->images)
        image(s, t);
    sqlite3_str_appendf(s, " END");
    add(out, t, "update", true, s);

    s = begin(t, "delete", "AFTER DELETE");
    sqlite3_str_appendf(s, " BEGIN");
    log_entry(s, t, DM_SQLITE_DELETE, "OLD");
    sqlite3_str_appendf(s, "; END");
    add(out, t, "delete", true, s);

    conflict_triggers(t, out);
    columns_trigger(t, out);
}

/* ---- signature ---- */

static int ref_of(const struct dm_sqlite_table *t, const char *column)
{
    int f = dm_schema_find(t->table->columns, column);
    return f >= 0 ? t->table->columns->fields[f].source_ref : -1;
}

char *dm_capture_signature(const struct dm_sqlite_table *t)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    sqlite3_str_appendf(s, "key");
    for (size_t i = 0; i < t->n_identity; i++)
        sqlite3_str_appendf(s, " %d:%s", ref_of(t, t->identity[i].name),
                            t->identity[i].collation != NULL ? t->identity[i].collation : "rowid");
    for (size_t i = 0; i < t->n_uniques; i++) {
        sqlite3_str_appendf(s, DM_SIGNATURE_SEPARATOR "unique");
        for (size_t k = 0; k < t->uniques[i].n; k++) {
            const struct dm_sqlite_unique_part *p = &t->uniques[i].parts[k];
            int ref = p->column != NULL ? ref_of(t, p->column) : -1;
            if (ref > 0)
                sqlite3_str_appendf(s, " %d:%s", ref, p->collation);
            else
                sqlite3_str_appendf(s, " (%s)", p->column != NULL ? p->column : p->expression);
        }
        if (t->uniques[i].where != NULL)
            sqlite3_str_appendf(s, " where %s", t->uniques[i].where);
    }
    return dm_sqlite_str_take(s);
}

bool dm_capture_signature_covers(const char *old, const char *now)
{
    const char *p = now;
    while (p != NULL) {
        const char *end = strstr(p, DM_SIGNATURE_SEPARATOR);
        size_t n = end != NULL ? (size_t)(end - p) : strlen(p);
        bool found = false;
        for (const char *q = old; q != NULL && !found;
             q = strstr(q, DM_SIGNATURE_SEPARATOR), q = q != NULL ? q + 1 : NULL) {
            const char *stop = strstr(q, DM_SIGNATURE_SEPARATOR);
            found = (stop != NULL ? (size_t)(stop - q) : strlen(q)) == n && memcmp(p, q, n) == 0;
        }
        if (!found)
            return false;
        p = end != NULL ? end + 1 : NULL;
    }
    return true;
}

/* ---- reading the columns trigger back ---- */

/* A name as ALTER TABLE leaves it: quoted, or bare. Answers after it, or NULL. */
static const char *read_name(const char *p, char **name)
{
    size_t n = 0;
    char *out = dm_xalloc(strlen(p) + 1);
    if (*p == '"') {
        for (p++; *p != '\0' && (*p != '"' || p[1] == '"'); p++) {
            out[n++] = *p;
            p += *p == '"';
        }
        p = *p == '"' ? p + 1 : NULL;
    } else {
        while (*p != '\0' && *p != ' ' && *p != ')')
            out[n++] = *p++;
    }
    out[n] = '\0';
    *name = out;
    return p;
}

bool dm_capture_columns_parse(const char *sql, struct dm_column_names *out)
{
    static const char start[] = "(SELECT ";
    *out = (struct dm_column_names){0};
    const char *p = strstr(sql, " WHEN 0 BEGIN SELECT ");
    if (p == NULL)
        return false;
    p += strlen(" WHEN 0 BEGIN SELECT ");
    while (strncmp(p, start, strlen(start)) == 0) {
        char *name = NULL, *table = NULL;
        int ref = 0, n = 0;
        p = read_name(p + strlen(start), &name);
        if (p != NULL && strncmp(p, " FROM ", 6) == 0)
            p = read_name(p + 6, &table);
        free(table);
        if (p == NULL || sscanf(p, ") AS c%d%n", &ref, &n) != 1 || n == 0) {
            free(name);
            dm_column_names_release(out);
            return false;
        }
        out->refs = dm_xrealloc(out->refs, out->n + 1, sizeof *out->refs);
        out->names = dm_xrealloc(out->names, out->n + 1, sizeof *out->names);
        out->refs[out->n] = ref;
        out->names[out->n++] = name;
        p += n;
        if (strncmp(p, ", ", 2) == 0)
            p += 2;
    }
    return out->n > 0;
}

void dm_column_names_release(struct dm_column_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->names[i]);
    free(names->names);
    free(names->refs);
    *names = (struct dm_column_names){0};
}
