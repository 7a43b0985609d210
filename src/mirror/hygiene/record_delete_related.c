/* What depends on the rows that are deleted: followed through the registry's relationships, in a SQL session of its own.
 *
 * Dataset i is the view del.d<i> with columns c0, c1, … in the order of its schema; table main.h<i> holds the keys of it that are hit, under the same names.
 * From each dataset with new hits the relationships that point at it are followed, until nothing is added. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "column/key.h"
#include "lake/dataset_scan.h"
#include "mirror/hygiene/record_delete_parts.h"
#include "mirror/relationship/relationship_sql.h"

enum { sql_max = 64 << 20, rows_per_insert = 500 };

static size_t index_of(const struct dm_delete_search_state *s, const struct dm_delete_node *n)
{
    return (size_t)(n - s->nodes);
}

static enum dm_status add_view(struct dm_delete_search_state *s, struct dm_delete_node *n,
                               struct dm_error *err)
{
    const struct dm_dataset *d = n->dataset;
    if (n->viewed)
        return DM_OK;
    struct dm_schema *plain = dm_schema_copy(d->schema);
    for (size_t i = 0; i < plain->n_fields; i++) {
        free(plain->fields[i].name);
        plain->fields[i].name = dm_xasprintf("c%zu", i);
    }
    struct dm_scan_file *files = dm_dataset_scan(d);
    char *name = dm_xasprintf("d%zu", index_of(s, n));
    enum dm_status status = dm_sql_add_dataset(s->sql, "del", name, plain, files, d->n_files, err);
    n->viewed = status == DM_OK;
    free(name);
    free(files);
    dm_schema_unref(plain);
    return status;
}

/* "c0, c4": the key columns; `alias` may be "". */
static enum dm_status append_keys(const struct dm_delete_node *n, const char *alias, struct dm_buffer *sql,
                                  struct dm_error *err)
{
    const struct dm_schema *schema = n->dataset->schema;
    enum dm_status status = DM_OK;
    for (size_t k = 0; k < schema->n_keys && status == DM_OK; k++)
        status = dm_buffer_printf(sql, err, "%s%sc%u", k > 0 ? ", " : "", alias, schema->keys[k]);
    return status;
}

static enum dm_status execute(struct dm_delete_search_state *s, struct dm_buffer *sql, struct dm_error *err)
{
    const char *text = dm_buffer_text(sql);
    return text == NULL ? dm_fail_memory(err, sql_max) : dm_sql_execute(s->sql, text, err);
}

static enum dm_status add_table(struct dm_delete_search_state *s, struct dm_delete_node *n,
                                struct dm_error *err)
{
    if (n->tabled)
        return DM_OK;
    struct dm_buffer sql;
    dm_buffer_init(&sql, sql_max);
    enum dm_status status = add_view(s, n, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, "CREATE TABLE main.h%zu AS SELECT ", index_of(s, n));
    if (status == DM_OK)
        status = append_keys(n, "", &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM del.d%zu LIMIT 0", index_of(s, n));
    if (status == DM_OK)
        status = execute(s, &sql, err);
    n->tabled = status == DM_OK;
    dm_buffer_release(&sql);
    return status;
}

static enum dm_status append_literal(const struct dm_column *c, size_t row, struct dm_buffer *sql,
                                     struct dm_error *err)
{
    char text[128];
    if (c->width != 0) {
        (void)dm_fixed_text(c, row, text, sizeof text);
        return dm_buffer_printf(sql, err, "'%s'", text);
    }
    if (c->type.id == DM_LIST)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "a key column that is a list cannot be related");
    size_t n;
    const uint8_t *bytes = dm_column_bytes_at(c, row, &n);
    bool binary = c->type.id == DM_BINARY;
    enum dm_status status = dm_buffer_printf(sql, err, binary ? "unhex('" : "'");
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        if (binary)
            status = dm_buffer_printf(sql, err, "%02X", bytes[i]);
        else if (bytes[i] == '\'')
            status = dm_buffer_append(sql, "''", 2, err);
        else
            status = dm_buffer_append_byte(sql, bytes[i], err);
    }
    return status == DM_OK ? dm_buffer_printf(sql, err, binary ? "')" : "'") : status;
}

/* The keys of the node's part into its table. */
static enum dm_status fill_table(struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                 struct dm_error *err)
{
    const struct dm_batch *b = s->out->parts[n->part - 1].keys;
    enum dm_status status = DM_OK;
    for (size_t at = 0; at < b->rows && status == DM_OK; at += rows_per_insert) {
        struct dm_buffer sql;
        dm_buffer_init(&sql, sql_max);
        status = dm_buffer_printf(&sql, err, "INSERT INTO main.h%zu VALUES ", index_of(s, n));
        for (size_t i = at; i < b->rows && i < at + rows_per_insert && status == DM_OK; i++) {
            status = dm_buffer_printf(&sql, err, i > at ? ", (" : "(");
            for (size_t k = 0; k < b->n_columns && status == DM_OK; k++) {
                status = k > 0 ? dm_buffer_append(&sql, ", ", 2, err) : DM_OK;
                if (status == DM_OK)
                    status = append_literal(&b->columns[k], i, &sql, err);
            }
            if (status == DM_OK)
                status = dm_buffer_append_byte(&sql, ')', err);
        }
        if (status == DM_OK)
            status = execute(s, &sql, err);
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

/* " FROM del.d<child> c WHERE EXISTS (…)": children of the hits. */
static enum dm_status append_children(struct dm_delete_search_state *s, const struct link *l,
                                      struct dm_buffer *sql, struct dm_error *err)
{
    size_t child = index_of(s, l->child), parent = index_of(s, l->parent);
    struct dm_join join = {.n = l->n, .columns = l->columns};
    enum dm_status status =
        l->by_key
            ? dm_buffer_printf(sql, err, " FROM del.d%zu c WHERE EXISTS (SELECT 1 FROM main.h%zu p WHERE ",
                               child, parent)
            : dm_buffer_printf(sql, err,
                               " FROM del.d%zu c WHERE EXISTS (SELECT 1 FROM del.d%zu p SEMI JOIN"
                               " main.h%zu h USING (",
                               child, parent, parent);
    if (status == DM_OK && !l->by_key)
        status = append_keys(l->parent, "", sql, err);
    if (status == DM_OK && !l->by_key)
        status = dm_buffer_printf(sql, err, ") WHERE ");
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
        status = append_keys(l->child, "c.", sql, err);
    if (status == DM_OK)
        status = append_children(s, l, sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " EXCEPT SELECT ");
    if (status == DM_OK)
        status = append_keys(l->child, "", sql, err);
    return status == DM_OK ? dm_buffer_printf(sql, err, " FROM main.h%zu)", index_of(s, l->child)) : status;
}

static enum dm_status take_count(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    (void)n;
    (void)err;
    *(uint64_t *)ctx = values[0] != NULL ? strtoull(values[0], NULL, 10) : 0;
    return DM_OK;
}

static enum dm_status count_children(struct dm_delete_search_state *s, const struct link *l, uint64_t *rows,
                                     struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, sql_max);
    *rows = 0;
    enum dm_status status = add_view(s, l->child, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, "SELECT count(*)");
    if (status == DM_OK)
        status = l->child->root && l->child->tabled ? append_staying(s, l, &sql, err)
                                                    : append_children(s, l, &sql, err);
    if (status == DM_OK)
        status = dm_buffer_text(&sql) == NULL
                     ? dm_fail_memory(err, sql_max)
                     : dm_sql_each(s->sql, (const char *)sql.data, take_count, rows, err);
    dm_buffer_release(&sql);
    return status;
}

static enum dm_status count_table(struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                  uint64_t *rows, struct dm_error *err)
{
    char *sql = dm_xasprintf("SELECT count(*) FROM main.h%zu", index_of(s, n));
    enum dm_status status = dm_sql_each(s->sql, sql, take_count, rows, err);
    free(sql);
    return status;
}

/* Children that are not hit yet are, from here on. *more: there were some. */
static enum dm_status hit_children(struct dm_delete_search_state *s, const struct link *l, bool *more,
                                   struct dm_error *err)
{
    struct dm_delete_node *c = l->child;
    uint64_t before = 0, after = 0;
    struct dm_buffer sql;
    dm_buffer_init(&sql, sql_max);
    enum dm_status status = add_table(s, c, err);
    if (status == DM_OK)
        status = count_table(s, c, &before, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, "INSERT INTO main.h%zu SELECT ", index_of(s, c));
    if (status == DM_OK)
        status = append_keys(c, "c.", &sql, err);
    if (status == DM_OK)
        status = append_children(s, l, &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " EXCEPT SELECT ");
    if (status == DM_OK)
        status = append_keys(c, "", &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM main.h%zu", index_of(s, c));
    if (status == DM_OK)
        status = execute(s, &sql, err);
    if (status == DM_OK)
        status = count_table(s, c, &after, err);
    dm_buffer_release(&sql);
    *more = after > before;
    if (status == DM_OK && *more && c->part == 0)
        status = dm_delete_add_part(s, c, l->r->name, err);
    return status;
}

static void note(struct dm_delete_search_state *s, char *take_text)
{
    json_array_append_new(s->out->notes, json_string(take_text));
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
            note(s, dm_xasprintf("%s has no key: its rows stay", l->child->name));
        return DM_OK;
    }
    enum dm_status status = hit_children(s, l, &more, err);
    if (status == DM_OK && more)
        l->child->queued = true;
    return status;
}

/* All relationships that point at the node. */
static enum dm_status follow_all(struct dm_delete_search_state *s, struct dm_delete_node *parent,
                                 struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->schemas.n && status == DM_OK; i++)
        for (size_t k = 0; k < s->schemas.items[i]->n_relationships && status == DM_OK; k++) {
            const struct dm_relationship *r = &s->schemas.items[i]->relationships[k];
            struct link l;
            if (strcmp(r->target, parent->name) != 0 || !make_link(s, s->schemas.items[i], r, parent, &l))
                continue;
            status = follow(s, &l, err);
            link_release(&l);
        }
    return status;
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
    dm_buffer_init(&sql, sql_max);
    enum dm_status status = dm_buffer_printf(&sql, err, "SELECT ");
    if (status == DM_OK)
        status = append_keys(n, "", &sql, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " FROM main.h%zu", index_of(s, n));
    dm_batch_clear(p->keys);
    if (status == DM_OK)
        status = dm_buffer_text(&sql) == NULL
                     ? dm_fail_memory(err, sql_max)
                     : dm_sql_each(s->sql, (const char *)sql.data, dm_delete_take_key, p->keys, err);
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
        status = follow_all(s, n, err);
    }
    for (size_t i = 0; i < s->n && status == DM_OK; i++) /* a root may have got more, too */
        if (s->nodes[i].part != 0 && s->nodes[i].tabled)
            status = read_table(s, &s->nodes[i], err);
    return status;
}
