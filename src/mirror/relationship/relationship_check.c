#include "mirror/relationship/relationship_check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/relationship/relationship_sql.h"

enum { SQL_TEXT_MAX = 1 << 22 };

/* A relationship with both ends found; texts are owned. */
struct ends {
    struct dm_join join;
    struct dm_join_column *columns;
    char **texts; /* SQL names */
    size_t n_texts;
    const char **key;
    const struct dm_names *key_names;
};

static void ends_release(struct ends *e)
{
    for (size_t i = 0; i < e->n_texts; i++)
        free(e->texts[i]);
    free(e->texts);
    free(e->columns);
    free(e->key);
}

static const char *column_name(struct ends *e, int field)
{
    e->texts = dm_xrealloc(e->texts, e->n_texts + 1, sizeof *e->texts);
    e->texts[e->n_texts] = dm_xasprintf("c%d", field);
    return e->texts[e->n_texts++];
}

/* Says why nothing can be said. */
static bool unknown(struct dm_check_result *r, char *take_reason)
{
    r->verdict = DM_CHECK_UNKNOWN;
    r->reason = take_reason;
    return false;
}

static bool end_ready(struct dm_check_result *r, const struct dm_check_end *m, const char *name)
{
    if (m == NULL)
        return unknown(r, dm_xasprintf("%s is not mirrored and not declared", name));
    if (m->dataset == NULL)
        return unknown(r, dm_xasprintf("%s holds nothing yet (%s)", name,
                                       m->state != NULL ? m->state : "it was never filled"));
    return true;
}

static bool find_columns(struct ends *e, struct dm_check_result *r, const struct dm_check_end *child,
                         const struct dm_check_end *parent)
{
    if (r->columns.n == 0 || r->columns.n != r->parent_columns.n)
        return unknown(r, dm_xasprintf("it has %zu columns, and %s has %zu for them", r->columns.n, r->parent,
                                       r->parent_columns.n));
    e->columns = dm_xzalloc(r->columns.n, sizeof *e->columns);
    for (size_t i = 0; i < r->columns.n; i++) {
        int a = dm_schema_find(child->dataset->schema, r->columns.items[i]);
        int b = dm_schema_find(parent->dataset->schema, r->parent_columns.items[i]);
        if (a < 0 || b < 0)
            return unknown(r, dm_xasprintf("%s has no column \"%s\"", a < 0 ? r->child : r->parent,
                                           a < 0 ? r->columns.items[i] : r->parent_columns.items[i]));
        struct dm_type child_type = child->dataset->schema->fields[a].type;
        struct dm_type parent_type = parent->dataset->schema->fields[b].type;
        char x[32], y[32];
        if (!dm_join_can_compare(child_type, parent_type))
            return unknown(r,
                           dm_xasprintf("\"%s\" (%s) cannot be compared with \"%s\" (%s)",
                                        r->columns.items[i], dm_type_name(child_type, x, sizeof x),
                                        r->parent_columns.items[i], dm_type_name(parent_type, y, sizeof y)));
        e->columns[i] = (struct dm_join_column){.child = column_name(e, a),
                                                .parent = column_name(e, b),
                                                .child_type = child_type,
                                                .parent_type = parent_type};
    }
    return true;
}

/* Do the parent's columns hold its whole primary key? */
static bool holds_key(const struct dm_names *columns, const struct dm_schema *schema)
{
    for (size_t i = 0; i < schema->n_keys; i++)
        if (dm_names_find(columns, schema->fields[schema->keys[i]].name) < 0)
            return false;
    return schema->n_keys > 0;
}

static bool find_ends(struct dm_checking *c, struct ends *e, struct dm_check_result *r)
{
    const struct dm_check_end *child = c->child, *parent = c->parent;
    if (!end_ready(r, child, r->child) || !end_ready(r, parent, r->parent) ||
        !find_columns(e, r, child, parent))
        return false;
    const struct dm_schema *s = child->dataset->schema;
    e->key = dm_xzalloc(s->n_keys + 1, sizeof *e->key);
    for (size_t i = 0; i < s->n_keys; i++)
        e->key[i] = column_name(e, (int)s->keys[i]);
    e->join = (struct dm_join){.child = child->view,
                               .parent = parent->view,
                               .n = r->columns.n,
                               .columns = e->columns,
                               .parent_unique = holds_key(&r->parent_columns, parent->dataset->schema),
                               .n_key = s->n_keys,
                               .key = e->key};
    return true;
}

struct numbers {
    size_t n;
    uint64_t values[4];
};

static enum dm_status take_numbers(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct numbers *out = ctx;
    (void)err;
    out->n = n < 4 ? n : 4;
    for (size_t i = 0; i < out->n; i++)
        out->values[i] = values[i] != NULL ? strtoull(values[i], NULL, 10) : 0;
    return DM_OK;
}

typedef enum dm_status (*build_fn)(struct dm_buffer *sql, const struct dm_join *j, struct dm_error *err);
typedef enum dm_status (*build_samples_fn)(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                           struct dm_error *err);

static enum dm_status run_sql(struct dm_checking *c, struct dm_buffer *sql, dm_sql_row fn, void *ctx,
                              struct dm_error *err)
{
    if (c->options->stop != NULL && *c->options->stop > 0)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "it was ended before it was done");
    const char *text = dm_buffer_text(sql);
    return text != NULL ? dm_sql_each(c->sql, text, fn, ctx, err) : dm_fail_memory(err, sql->max);
}

static enum dm_status count(struct dm_checking *c, const struct ends *e, build_fn build, struct numbers *out,
                            struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_TEXT_MAX);
    *out = (struct numbers){0};
    enum dm_status status = build(&sql, &e->join, err);
    if (status == DM_OK)
        status = run_sql(c, &sql, take_numbers, out, err);
    dm_buffer_release(&sql);
    return status;
}

struct sampling {
    struct dm_checking *c;
    struct dm_check_result *r;
    const struct dm_schema *child; /* its key comes first in the rows; NULL: it does not */
    const struct dm_names *names;  /* of the columns that follow */
    bool counted;                  /* and then a number of rows */
    const char *what;
};

static char *json_of(size_t n, const char *const *names, const char *const *values)
{
    json_t *o = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(o, names[i], values[i] != NULL ? json_string(values[i]) : json_null());
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(o);
    return text;
}

static enum dm_status take_sample(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct sampling *s = ctx;
    struct dm_check_sample sample = {.what = s->what, .rows = 1};
    size_t n_key = s->child != NULL ? s->child->n_keys : 0;
    if (n != n_key + s->names->n + s->counted)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a sample has %zu columns", n);
    if (n_key > 0) {
        const char **names = dm_xzalloc(n_key, sizeof *names);
        for (size_t i = 0; i < n_key; i++)
            names[i] = s->child->fields[s->child->keys[i]].name;
        sample.key = json_of(n_key, names, values);
        free(names);
    }
    sample.reference = json_of(s->names->n, (const char *const *)(void *)s->names->items, values + n_key);
    if (s->counted)
        sample.rows = strtoull(values[n - 1], NULL, 10);
    struct dm_check_result *r = s->r;
    r->samples = dm_xrealloc(r->samples, r->n_samples + 1, sizeof *r->samples);
    r->samples[r->n_samples++] = sample;
    return DM_OK;
}

static enum dm_status take_samples(struct sampling *s, const struct ends *e, build_samples_fn build,
                                   struct dm_error *err)
{
    if (s->c->options->samples == 0)
        return DM_OK;
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_TEXT_MAX);
    enum dm_status status = build(&sql, &e->join, s->c->options->samples, err);
    if (status == DM_OK)
        status = run_sql(s->c, &sql, take_sample, s, err);
    dm_buffer_release(&sql);
    return status;
}

static enum dm_status check_children(struct dm_checking *c, const struct ends *e, struct dm_check_result *r,
                                     const struct dm_schema *child, struct dm_error *err)
{
    struct numbers n;
    if (count(c, e, dm_join_sql_children, &n, err) != DM_OK)
        return DM_FAIL;
    r->children = n.values[0];
    r->null_references = n.values[1];
    r->orphans = n.values[2];
    struct sampling s = {.c = c, .r = r, .child = child, .names = &r->columns, .what = "orphan"};
    if (r->orphans > 0 && take_samples(&s, e, dm_join_sql_orphan_samples, err) != DM_OK)
        return DM_FAIL;
    if (r->cardinality != DM_MANY_TO_ONE && r->cardinality != DM_ONE_TO_ONE)
        return DM_OK;
    r->violations += r->null_references;
    s.what = "null_reference";
    return r->null_references > 0 ? take_samples(&s, e, dm_join_sql_null_samples, err) : DM_OK;
}

static enum dm_status check_crowded(struct dm_checking *c, const struct ends *e, struct dm_check_result *r,
                                    struct dm_error *err)
{
    if (r->cardinality != DM_ONE_TO_ONE && r->cardinality != DM_ONE_TO_ZERO)
        return DM_OK;
    struct numbers n;
    if (count(c, e, dm_join_sql_crowded, &n, err) != DM_OK)
        return DM_FAIL;
    r->crowded_parents = n.values[0];
    r->crowded_children = n.values[1];
    r->violations += r->crowded_parents;
    struct sampling s = {.c = c, .r = r, .names = &r->columns, .counted = true, .what = "crowded_parent"};
    return r->crowded_parents > 0 ? take_samples(&s, e, dm_join_sql_crowded_samples, err) : DM_OK;
}

static enum dm_status check_parents(struct dm_checking *c, const struct ends *e, struct dm_check_result *r,
                                    struct dm_error *err)
{
    struct numbers n;
    if (!e->join.parent_unique) {
        if (count(c, e, dm_join_sql_ambiguous, &n, err) != DM_OK)
            return DM_FAIL;
        r->ambiguous_parents = n.values[0];
        r->violations += r->ambiguous_parents;
        struct sampling s = {
            .c = c, .r = r, .names = &r->parent_columns, .counted = true, .what = "ambiguous_parent"};
        if (r->ambiguous_parents > 0 && take_samples(&s, e, dm_join_sql_ambiguous_samples, err) != DM_OK)
            return DM_FAIL;
    }
    if (r->cardinality != DM_ONE_TO_ONE)
        return DM_OK;
    if (count(c, e, dm_join_sql_childless, &n, err) != DM_OK)
        return DM_FAIL;
    r->childless_parents = n.values[0];
    if (r->discovered || r->childless_parents == 0)
        return DM_OK;
    r->violations += r->childless_parents;
    struct sampling s = {.c = c, .r = r, .names = &r->parent_columns, .what = "childless_parent"};
    return take_samples(&s, e, dm_join_sql_childless_samples, err);
}

enum dm_status dm_relationship_check(struct dm_checking *c, struct dm_check_result *r, struct dm_error *err)
{
    struct ends e = {0};
    enum dm_status status = DM_OK;
    if (find_ends(c, &e, r)) {
        status = check_children(c, &e, r, c->child->dataset->schema, err);
        if (status == DM_OK)
            status = check_crowded(c, &e, r, err);
        if (status == DM_OK)
            status = check_parents(c, &e, r, err);
        if (r->orphans > 0 || r->violations > 0)
            r->verdict = DM_CHECK_VIOLATED;
        if (status != DM_OK)
            dm_error_prefix(err, "%s of %s", r->name, r->child);
    }
    ends_release(&e);
    return status;
}
