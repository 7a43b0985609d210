/* What depends on the rows that are deleted: followed through the registry's relationships, in a SQL session of its own.
 *
 * Dataset i is the view del.d<i> with columns c0, c1, … in the order of its schema; table main.h<i> holds the keys of it that are hit, under the same names. What the lake
 * has of its past is main.past<i> and main.q<i> (record_delete_past.c), and main.m<i> gets the keys of rows that were a hit's once.
 * From each dataset with new hits the relationships that point at it are followed, until nothing is added; then what refers to the hits without being one is found. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/hygiene/record_delete_parts.h"
#include "mirror/relationship/relationship_sql.h"

static enum dm_status add_table(struct dm_delete_search_state *s, struct dm_delete_node *n,
                                struct dm_error *err)
{
    if (n->tabled)
        return DM_OK;
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    enum dm_status status = dm_delete_add_view(s, n, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, "CREATE TABLE main.h%zu AS SELECT ", dm_delete_index_of(s, n));
    if (status == DM_OK)
        status = dm_delete_sql_keys(n, "", &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM del.d%zu LIMIT 0", dm_delete_index_of(s, n));
    if (status == DM_OK)
        status = dm_delete_sql_run(s, &sql, err);
    n->tabled = status == DM_OK;
    dm_buffer_release(&sql);
    return status;
}

/* The keys of the node's part into its table. */
static enum dm_status fill_table(struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                 struct dm_error *err)
{
    const struct dm_batch *b = s->out->parts[n->part - 1].keys;
    enum dm_status status = DM_OK;
    for (size_t at = 0; at < b->rows && status == DM_OK; at += DM_DELETE_ROWS_PER_INSERT) {
        struct dm_buffer sql;
        dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
        status = dm_buffer_printf(&sql, err, "INSERT INTO main.h%zu VALUES ", dm_delete_index_of(s, n));
        for (size_t i = at; i < b->rows && i < at + DM_DELETE_ROWS_PER_INSERT && status == DM_OK; i++) {
            status = dm_buffer_printf(&sql, err, i > at ? ", (" : "(");
            for (size_t k = 0; k < b->n_columns && status == DM_OK; k++) {
                status = k > 0 ? dm_buffer_append(&sql, ", ", 2, err) : DM_OK;
                if (status == DM_OK)
                    status = dm_delete_sql_literal(&b->columns[k], i, &sql, err);
            }
            if (status == DM_OK)
                status = dm_buffer_append_byte(&sql, ')', err);
        }
        if (status == DM_OK)
            status = dm_delete_sql_run(s, &sql, err);
        dm_buffer_release(&sql);
    }
    return status;
}

/* ---- relationships ---- */

/* One relationship between two nodes; names are in `texts`. */
struct link {
    const struct dm_relationship *r;
    struct dm_delete_node *child, *parent;
    size_t n;
    struct dm_join_column *columns;
    char **texts;
    bool by_key; /* the parent's columns are all of its key */
};

static void link_release(struct link *l)
{
    for (size_t i = 0; i < l->n * 2; i++)
        free(l->texts[i]);
    free(l->texts);
    free(l->columns);
    *l = (struct link){0};
}

/* False: it cannot be followed (a column is not there, types that are never equal). */
static bool make_link(struct dm_delete_search_state *s, const struct dm_relational_schema *schema,
                      const struct dm_relationship *r, struct dm_delete_node *parent, struct link *l)
{
    *l = (struct link){.r = r, .child = dm_delete_node_of(s, schema->name), .parent = parent, .by_key = true};
    const struct dm_relational_schema *target = dm_relational_schemas_find(&s->schemas, r->target);
    const struct dm_names *to = r->target_columns.n > 0 || target == NULL ? &r->target_columns : &target->key;
    if (l->child == NULL || l->child->dataset == NULL || to->n != r->columns.n || to->n == 0)
        return false;
    l->columns = dm_xzalloc(to->n, sizeof *l->columns);
    l->texts = dm_xzalloc(to->n * 2, sizeof *l->texts);
    for (size_t i = 0; i < to->n; i++) {
        const struct dm_schema *c = l->child->dataset->schema, *p = parent->dataset->schema;
        int from = dm_schema_find(c, r->columns.items[i]), at = dm_schema_find(p, to->items[i]);
        if (from < 0 || at < 0 || !dm_join_can_compare(c->fields[from].type, p->fields[at].type)) {
            link_release(l);
            return false;
        }
        l->texts[l->n * 2] = dm_xasprintf("c%d", from);
        l->texts[l->n * 2 + 1] = dm_xasprintf("c%d", at);
        l->columns[l->n] = (struct dm_join_column){.child = l->texts[l->n * 2],
                                                   .parent = l->texts[l->n * 2 + 1],
                                                   .child_type = c->fields[from].type,
                                                   .parent_type = p->fields[at].type};
        l->by_key &= dm_schema_is_key(p, (uint32_t)at);
        l->n++;
    }
    return true;
}

/* The deleted parents' rows: what is there, or, of those that are no more, what was. */
static enum dm_status append_parents(struct dm_delete_search_state *s, const struct link *l,
                                     struct dm_buffer *sql, struct dm_error *err)
{
    size_t parent = dm_delete_index_of(s, l->parent);
    if (l->by_key)
        return dm_buffer_printf(sql, err, "main.h%zu p", parent);
    enum dm_status status = dm_buffer_printf(sql, err, "(SELECT ");
    for (int past = 0; past < (l->parent->has_past ? 2 : 1) && status == DM_OK; past++) {
        if (past == 1)
            status = dm_buffer_printf(sql, err, " UNION ALL SELECT ");
        for (size_t i = 0; i < l->n && status == DM_OK; i++)
            status = dm_buffer_printf(sql, err, "%s%s", i > 0 ? ", " : "", l->columns[i].parent);
        if (status == DM_OK)
            status = dm_buffer_printf(sql, err, " FROM %s%zu SEMI JOIN main.h%zu USING (",
                                      past == 1 ? "main.past" : "del.d", parent, parent);
        if (status == DM_OK)
            status = dm_delete_sql_keys(l->parent, "", sql, err);
        if (status == DM_OK && past == 1)
            status = dm_buffer_printf(sql, err, ") ANTI JOIN del.d%zu USING (", parent);
        if (status == DM_OK && past == 1)
            status = dm_delete_sql_keys(l->parent, "", sql, err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(sql, ')', err);
    }
    return status == DM_OK ? dm_buffer_printf(sql, err, ") p") : status;
}

/* " FROM <relation><child> c WHERE EXISTS (…)": rows of it that refer to the hits. */
static enum dm_status append_children(struct dm_delete_search_state *s, const struct link *l,
                                      const char *relation, struct dm_buffer *sql, struct dm_error *err)
{
    struct dm_join join = {.n = l->n, .columns = l->columns};
    enum dm_status status = dm_buffer_printf(sql, err, " FROM %s%zu c WHERE EXISTS (SELECT 1 FROM ", relation,
                                             dm_delete_index_of(s, l->child));
    if (status == DM_OK)
        status = append_parents(s, l, sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " WHERE ");
    if (status == DM_OK)
        status = dm_join_condition(sql, &join, "c", "p", err);
    return status == DM_OK ? dm_buffer_append_byte(sql, ')', err) : status;
}

/* The same without those that are deleted themselves, since they were asked for, too. */
static enum dm_status append_staying(struct dm_delete_search_state *s, const struct link *l,
                                     struct dm_buffer *sql, struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(sql, err, " FROM (SELECT ");
    if (status == DM_OK)
        status = dm_delete_sql_keys(l->child, "c.", sql, err);
    if (status == DM_OK)
        status = append_children(s, l, "del.d", sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " EXCEPT SELECT ");
    if (status == DM_OK)
        status = dm_delete_sql_keys(l->child, "", sql, err);
    return status == DM_OK ? dm_buffer_printf(sql, err, " FROM main.h%zu)", dm_delete_index_of(s, l->child))
                           : status;
}

static enum dm_status count_children(struct dm_delete_search_state *s, const struct link *l, uint64_t *rows,
                                     struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    *rows = 0;
    enum dm_status status = dm_delete_add_view(s, l->child, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, "SELECT count(*)");
    if (status == DM_OK)
        status = l->child->root && l->child->tabled ? append_staying(s, l, &sql, err)
                                                    : append_children(s, l, "del.d", &sql, err);
    if (status == DM_OK)
        status = dm_delete_sql_count(s, &sql, rows, err);
    dm_buffer_release(&sql);
    return status;
}

/* Rows of the node's tables. */
static enum dm_status count_table(struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                  const char *table, uint64_t *rows, struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    enum dm_status status =
        dm_buffer_printf(&sql, err, "SELECT count(*) FROM main.%s%zu", table, dm_delete_index_of(s, n));
    if (status == DM_OK)
        status = dm_delete_sql_count(s, &sql, rows, err);
    dm_buffer_release(&sql);
    return status;
}

/* " AND c.c0 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM del.d<child> l WHERE l.c0 = c.c0)": the row is no more. */
static enum dm_status append_gone(struct dm_delete_search_state *s, const struct dm_delete_node *c,
                                  struct dm_buffer *sql, struct dm_error *err)
{
    const struct dm_schema *schema = c->dataset->schema;
    enum dm_status status = DM_OK;
    for (size_t k = 0; k < schema->n_keys && status == DM_OK; k++)
        status = dm_buffer_printf(sql, err, " AND c.c%u IS NOT NULL", schema->keys[k]);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " AND NOT EXISTS (SELECT 1 FROM del.d%zu l WHERE ",
                                  dm_delete_index_of(s, c));
    for (size_t k = 0; k < schema->n_keys && status == DM_OK; k++)
        status = dm_buffer_printf(sql, err, "%sl.c%u = c.c%u", k > 0 ? " AND " : "", schema->keys[k],
                                  schema->keys[k]);
    return status == DM_OK ? dm_buffer_append_byte(sql, ')', err) : status;
}

/* Children that are not hit yet are, from here on: those that are there, or (`past`) those that are no more. */
static enum dm_status hit_some(struct dm_delete_search_state *s, const struct link *l, bool past,
                               struct dm_error *err)
{
    struct dm_delete_node *c = l->child;
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    enum dm_status status =
        dm_buffer_printf(&sql, err, "INSERT INTO main.h%zu SELECT ", dm_delete_index_of(s, c));
    if (status == DM_OK)
        status = dm_delete_sql_keys(c, "c.", &sql, err);
    if (status == DM_OK)
        status = append_children(s, l, past ? "main.past" : "del.d", &sql, err);
    if (status == DM_OK && past)
        status = append_gone(s, c, &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " EXCEPT SELECT ");
    if (status == DM_OK)
        status = dm_delete_sql_keys(c, "", &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM main.h%zu", dm_delete_index_of(s, c));
    if (status == DM_OK)
        status = dm_delete_sql_run(s, &sql, err);
    dm_buffer_release(&sql);
    return status;
}

/* *more: there were some. */
static enum dm_status hit_children(struct dm_delete_search_state *s, const struct link *l, bool *more,
                                   struct dm_error *err)
{
    struct dm_delete_node *c = l->child;
    uint64_t before = 0, after = 0;
    enum dm_status status = add_table(s, c, err);
    if (status == DM_OK)
        status = dm_delete_add_past(s, c, err);
    if (status == DM_OK)
        status = count_table(s, c, "h", &before, err);
    if (status == DM_OK)
        status = hit_some(s, l, false, err);
    if (status == DM_OK)
        status = hit_some(s, l, true, err);
    if (status == DM_OK)
        status = count_table(s, c, "h", &after, err);
    *more = after > before;
    if (status == DM_OK && c->part == 0) /* also one without keys: former versions, or rows in quarantine */
        status = dm_delete_add_part(s, c, l->r->name, err);
    return status;
}

static void tell(struct dm_delete_search_state *s, char *take_text)
{
    json_array_append_new(s->out->cannot, json_string(take_text));
    free(take_text);
}

static enum dm_status follow(struct dm_delete_search_state *s, const struct link *l, struct dm_error *err)
{
    uint64_t rows = 0;
    bool keyless = l->child->keys == NULL, more = false;
    if (!s->wanted->related || keyless) {
        if (count_children(s, l, &rows, err) != DM_OK)
            return DM_FAIL;
        if (rows == 0)
            return DM_OK;
        struct dm_delete_hits *out = s->out;
        out->references = dm_xrealloc(out->references, out->n_references + 1, sizeof *out->references);
        out->references[out->n_references++] =
            (struct dm_delete_reference){dm_xstrdup(l->child->name), dm_xstrdup(l->r->name), rows};
        if (s->wanted->related)
            tell(s, dm_xasprintf("%s has no key: its rows stay, %llu of them refer "
                                 "to deleted ones",
                                 l->child->name, (unsigned long long)rows));
        return DM_OK;
    }
    enum dm_status status = hit_children(s, l, &more, err);
    if (status == DM_OK && more)
        l->child->queued = true;
    return status;
}

/* All relationships that point at the node. */
static enum dm_status each_link(struct dm_delete_search_state *s, struct dm_delete_node *parent,
                                enum dm_status (*fn)(struct dm_delete_search_state *, const struct link *,
                                                     struct dm_error *),
                                struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->schemas.n && status == DM_OK; i++)
        for (size_t k = 0; k < s->schemas.items[i]->n_relationships && status == DM_OK; k++) {
            const struct dm_relationship *r = &s->schemas.items[i]->relationships[k];
            struct link l;
            if (strcmp(r->target, parent->name) != 0 || !make_link(s, s->schemas.items[i], r, parent, &l))
                continue;
            status = fn(s, &l, err);
            link_release(&l);
        }
    return status;
}

/* ---- what refers to the hits and stays, or has no key that is hit ---- */

/* Rows that referred to a hit once, and are somebody else's now. */
static enum dm_status find_moved(struct dm_delete_search_state *s, const struct link *l, struct dm_error *err)
{
    static const char *const minus[] = {"h", "m"};
    const struct dm_schema *schema = l->child->dataset->schema;
    size_t child = dm_delete_index_of(s, l->child);
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    enum dm_status status = dm_buffer_printf(&sql, err, "INSERT INTO main.m%zu SELECT ", child);
    if (status == DM_OK)
        status = dm_delete_sql_keys(l->child, "c.", &sql, err);
    if (status == DM_OK)
        status = append_children(s, l, "main.past", &sql, err);
    for (size_t k = 0; k < schema->n_keys && status == DM_OK; k++)
        status = dm_buffer_printf(&sql, err, " AND c.c%u IS NOT NULL", schema->keys[k]);
    for (size_t i = 0; i < 2 && status == DM_OK; i++) {
        status = dm_buffer_printf(&sql, err, " EXCEPT SELECT ");
        if (status == DM_OK)
            status = dm_delete_sql_keys(l->child, "", &sql, err);
        if (status == DM_OK)
            status = dm_buffer_printf(&sql, err, " FROM main.%s%zu", minus[i], child);
    }
    if (status == DM_OK)
        status = dm_delete_sql_run(s, &sql, err);
    dm_buffer_release(&sql);
    return status;
}

static enum dm_status take_id(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct dm_delete_part *p = ctx;
    (void)n;
    (void)err;
    p->ids = dm_xrealloc(p->ids, p->n_ids + 1, sizeof *p->ids);
    p->ids[p->n_ids++] = strtoll(values[0], NULL, 10);
    return DM_OK;
}

static enum dm_status find_quarantined(struct dm_delete_search_state *s, const struct link *l,
                                       struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    enum dm_status status = dm_buffer_printf(&sql, err, "SELECT c.id");
    if (status == DM_OK)
        status = append_children(s, l, "main.q", &sql, err);
    if (status == DM_OK)
        status = dm_delete_sql_each(s, &sql, take_id, &s->out->parts[l->child->part - 1], err);
    dm_buffer_release(&sql);
    return status == DM_OK ? dm_delete_match_unreadable(s, l->child, l->parent, err) : status;
}

/* " AND EXISTS (SELECT 1 FROM main.m<child> m WHERE m.c0 = c.c0)" */
static enum dm_status append_staying_keys(struct dm_delete_search_state *s, const struct dm_delete_node *c,
                                          struct dm_buffer *sql, struct dm_error *err)
{
    const struct dm_schema *schema = c->dataset->schema;
    enum dm_status status =
        dm_buffer_printf(sql, err, " AND EXISTS (SELECT 1 FROM main.m%zu m WHERE ", dm_delete_index_of(s, c));
    for (size_t k = 0; k < schema->n_keys && status == DM_OK; k++)
        status = dm_buffer_printf(sql, err, "%sm.c%u = c.c%u", k > 0 ? " AND " : "", schema->keys[k],
                                  schema->keys[k]);
    return status == DM_OK ? dm_buffer_append_byte(sql, ')', err) : status;
}

/* The values of the relationship's columns, as the child has them; with
 * `former` the key before them, and only of rows that stay. */
static enum dm_status find_tuples(struct dm_delete_search_state *s, const struct link *l, bool former,
                                  struct dm_error *err)
{
    struct dm_delete_part *p = &s->out->parts[l->child->part - 1];
    const struct dm_schema *schema = l->child->dataset->schema;
    struct dm_schema *view = dm_schema_new();
    struct dm_delete_tuples t = {0};
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    enum dm_status status = dm_buffer_printf(&sql, err, "SELECT DISTINCT ");
    for (size_t i = former ? 0 : schema->n_keys; i < schema->n_keys + l->n && status == DM_OK; i++) {
        uint32_t at = i < schema->n_keys
                          ? schema->keys[i]
                          : (uint32_t)dm_schema_find(schema, l->r->columns.items[i - schema->n_keys]);
        if (dm_schema_find_id(view, schema->fields[at].id) >= 0)
            continue;
        dm_schema_add_copy(view, &schema->fields[at]);
        dm_schema_add_key(view, (uint32_t)t.columns.n);
        status = dm_buffer_printf(&sql, err, "%sc.c%u", t.columns.n > 0 ? ", " : "", at);
        dm_column_list_add(&t.columns, schema->fields[at].id);
    }
    t.tuples = dm_batch_new(view);
    dm_schema_unref(view);
    if (status == DM_OK)
        status = append_children(s, l, "main.past", &sql, err);
    if (status == DM_OK && former)
        status = append_staying_keys(s, l->child, &sql, err);
    if (status == DM_OK)
        status = dm_delete_sql_each(s, &sql, dm_delete_take_key, t.tuples, err);
    dm_buffer_release(&sql);
    struct dm_delete_tuples **all = former ? &p->former : &p->tuples;
    size_t *n = former ? &p->n_former : &p->n_tuples;
    *all = dm_xrealloc(*all, *n + 1, sizeof **all);
    (*all)[(*n)++] = t;
    return status;
}

/* When all hits are known. */
static enum dm_status find_rest(struct dm_delete_search_state *s, const struct link *l, struct dm_error *err)
{
    if (!l->child->has_past)
        return DM_OK;
    enum dm_status status = find_moved(s, l, err);
    if (status == DM_OK)
        status = find_quarantined(s, l, err);
    if (status == DM_OK)
        status = find_tuples(s, l, false, err);
    return status == DM_OK ? find_tuples(s, l, true, err) : status;
}

static bool any_relationship_to(const struct dm_delete_search_state *s, const struct dm_delete_node *n)
{
    for (size_t i = 0; i < s->schemas.n; i++)
        for (size_t k = 0; k < s->schemas.items[i]->n_relationships; k++)
            if (strcmp(s->schemas.items[i]->relationships[k].target, n->name) == 0)
                return true;
    return false;
}

static struct dm_delete_node *next_queued(struct dm_delete_search_state *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->nodes[i].queued)
            return &s->nodes[i];
    return NULL;
}

static enum dm_status read_table(struct dm_delete_search_state *s, struct dm_delete_node *n,
                                 struct dm_error *err)
{
    struct dm_delete_part *p = &s->out->parts[n->part - 1];
    struct dm_buffer sql;
    dm_buffer_init(&sql, DM_DELETE_SQL_MAX);
    enum dm_status status = dm_buffer_printf(&sql, err, "SELECT ");
    if (status == DM_OK)
        status = dm_delete_sql_keys(n, "", &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM main.h%zu", dm_delete_index_of(s, n));
    dm_batch_clear(p->keys);
    if (status == DM_OK)
        status = dm_delete_sql_each(s, &sql, dm_delete_take_key, p->keys, err);
    dm_buffer_release(&sql);
    return status == DM_OK ? dm_delete_distinct(&p->keys, err) : status;
}

/* Only then is there anything to follow. */
static bool any_to_follow(const struct dm_delete_search_state *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->nodes[i].root && s->out->parts[s->nodes[i].part - 1].keys->rows > 0 &&
            any_relationship_to(s, &s->nodes[i]))
            return true;
    return false;
}

static enum dm_status begin_at_roots(struct dm_delete_search_state *s, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n && status == DM_OK; i++) {
        struct dm_delete_node *n = &s->nodes[i];
        if (!n->root || s->out->parts[n->part - 1].keys->rows == 0)
            continue;
        status = add_table(s, n, err);
        if (status == DM_OK)
            status = fill_table(s, n, err);
        if (status == DM_OK && s->wanted->related)
            status = dm_delete_add_past(s, n, err);
        n->queued = true;
    }
    return status;
}

enum dm_status dm_delete_find_related(struct dm_delete_search_state *s, struct dm_error *err)
{
    if (!any_to_follow(s))
        return DM_OK;
    enum dm_status status = dm_sql_open(s->m->engine, &s->sql, err);
    if (status == DM_OK)
        status = begin_at_roots(s, err);
    for (struct dm_delete_node *n; status == DM_OK && (n = next_queued(s)) != NULL;) {
        n->queued = false;
        status = each_link(s, n, follow, err);
    }
    for (size_t i = 0; i < s->n && status == DM_OK; i++) /* a root may have got more, too */
        if (s->nodes[i].part != 0 && s->nodes[i].tabled)
            status = read_table(s, &s->nodes[i], err);
    for (size_t i = 0; i < s->n && status == DM_OK && s->wanted->related; i++)
        if (s->nodes[i].part != 0 && s->nodes[i].tabled)
            status = each_link(s, &s->nodes[i], find_rest, err);
    for (size_t i = 0; i < s->n && status == DM_OK; i++)
        if (s->nodes[i].part != 0 && s->nodes[i].has_past)
            status = count_table(s, &s->nodes[i], "m", &s->out->parts[s->nodes[i].part - 1].moved, err);
    return status;
}
