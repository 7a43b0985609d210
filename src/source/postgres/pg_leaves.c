#include "source/postgres/pg_leaves.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_charset.h"

/* Leaves of one root whose identity is of one kind and over the same columns. */
struct leaves {
    char identity;       /* relreplident */
    const char *columns; /* "1 3": their numbers in the root; NULL: it has none, or none that serves */
    const char *example; /* the name of one */
    int64_t n;
};

static bool contains(const char *numbers, int32_t wanted)
{
    for (char *at = (char *)(uintptr_t)numbers; *at != '\0';)
        if (strtol(at, &at, 10) == wanted)
            return true;
    return false;
}

/* The server refuses changes of a partition whose identity a column list leaves out. */
static void judge_list(struct pg_table *t, const struct leaves *l)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (l->columns != NULL && !t->columns[i].mirrored && contains(l->columns, t->columns[i].attnum))
            t->column_list = false;
    if (l->identity == 'f')
        t->column_list = false;
}

static void judge(struct pg_table *t, const struct leaves *l)
{
    judge_list(t, l);
    if (l->identity == 'f')
        return;
    if (l->columns == NULL && t->table->append_only) {
        t->inserts_only = true;
        return;
    }
    char *hint =
        dm_xasprintf("ALTER TABLE %s REPLICA IDENTITY FULL%s (partitions do not inherit the identity)",
                     l->example, l->n > 1 ? ", and the same for the others" : "");
    char *others = l->n > 1 ? dm_xasprintf(" (and %lld more)", (long long)l->n - 1) : dm_xstrdup("");
    if (l->columns == NULL)
        pg_table_problem(
            t, hint,
            "has a partition without replica identity, %s%s: the server would refuse its UPDATEs "
            "and DELETEs once it is published",
            l->example, others);
    for (size_t i = 0; i < t->n_keys && l->columns != NULL; i++) {
        const struct pg_column *c = pg_table_column(t, t->keys[i]);
        if (!contains(l->columns, t->keys[i]))
            pg_table_problem(t, hint,
                             "has a partition, %s%s, whose replica identity lacks the key column \"%s\": its "
                             "deletes and updates would not say of which row they are",
                             l->example, others, c != NULL ? c->name : "?");
    }
    free(others);
    free(hint);
}

enum dm_status pg_leaves_judge(const struct pg_catalog *catalog, struct pg_table_list *list, const char *oids,
                               struct dm_error *err)
{
    bool roots = false;
    for (size_t i = 0; i < list->n; i++)
        roots = roots || list->tables[i]->kind == 'p';
    if (!roots)
        return DM_OK;
    PGresult *rows;
    if (pg_query(
            catalog->conn, &rows, err,
            "SELECT root, relreplident, columns, min(name), count(*) FROM (SELECT r.oid AS root, "
            "l.relreplident,"
            " format('%%I.%%I', n.nspname, l.relname) AS name, (SELECT string_agg(ra.attnum::text, ' ' ORDER "
            "BY"
            " ra.attnum) FROM pg_index i JOIN pg_attribute la ON la.attrelid = l.oid"
            " AND la.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])"
            " JOIN pg_attribute ra ON ra.attrelid = r.oid AND ra.attname = la.attname AND NOT ra.attisdropped"
            " WHERE i.indrelid = l.oid AND i.indisvalid AND i.indimmediate AND CASE l.relreplident"
            " WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END) AS columns"
            " FROM pg_class r CROSS JOIN LATERAL " PG_PARTITION_TREE(
                "r.oid") " p"
                         " JOIN pg_class l ON l.oid = p.relid AND l.relkind = 'r' JOIN pg_namespace n ON "
                         "n.oid "
                         "= l.relnamespace"
                         " WHERE r.relkind = 'p' AND r.oid = ANY ('%s'::oid[])) leaves GROUP BY 1, 2, 3 "
                         "ORDER "
                         "BY 1, 4",
            oids) != DM_OK)
        return DM_FAIL;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct pg_table *t = pg_table_find(list, (uint64_t)pg_cell_int(rows, i, 0));
        char *example = pg_charset_name(&pg_charset_ascii, pg_cell(rows, i, 3));
        struct leaves l = {PQgetvalue(rows, i, 1)[0], pg_cell(rows, i, 2), example, pg_cell_int(rows, i, 4)};
        if (t != NULL)
            judge(t, &l);
        free(example);
    }
    PQclear(rows);
    return DM_OK;
}

static bool carries(const struct pg_relation_message *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->columns[i].identity && strcmp(m->columns[i].name, name) == 0)
            return true;
    return false;
}

bool pg_leaf_lacks_key(const struct pg_relation_message *m, const struct pg_table *root)
{
    bool any = false, lacks = false;
    for (size_t i = 0; i < m->n; i++)
        any = any || m->columns[i].identity;
    for (size_t i = 0; i < root->n_keys; i++) {
        const struct pg_column *c = pg_table_column(root, root->keys[i]);
        lacks = lacks || (c != NULL && !carries(m, c->name));
    }
    return any && lacks && m->identity != 'f' && !root->table->append_only;
}
