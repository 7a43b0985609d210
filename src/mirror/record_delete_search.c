#include "mirror/record_delete_search.h"

#include <stdlib.h>
#include <string.h>

#include "apply/key_sort.h"
#include "base/memory.h"
#include "column/key.h"
#include "column/value_parse.h"
#include "config/nearest_word.h"
#include "lake/lake_query.h"
#include "mirror/declared.h"
#include "mirror/index_rebuild.h"
#include "mirror/relationship_sql.h"

enum { sql_max = 64 << 20, rows_per_insert = 500 };

/* A dataset that may take part. */
struct node {
    char *name;
    struct dm_dataset_state *state; /* of `states` */
    const struct dm_dataset *dataset;
    struct dm_schema *keys; /* its key columns alone; NULL: it has no key */
    bool viewed;            /* del.d<i> is there */
    bool tabled;            /* h<i> is there */
    size_t part;            /* + 1; 0: not hit so far */
    bool queued;
};

struct search {
    struct dm_mirror *m;
    const struct dm_delete_wanted *wanted;
    struct dm_delete_hits *out;
    struct dm_dataset_states states;
    struct dm_relational_schemas schemas;
    size_t n;
    struct node *nodes;
    struct dm_sql *sql; /* NULL until relationships are followed */
};

void dm_delete_hits_release(struct dm_delete_hits *h)
{
    for (size_t i = 0; i < h->n; i++) {
        struct dm_delete_part *p = &h->parts[i];
        struct dm_dataset_states one = {.n = 1, .items = dm_xalloc(sizeof *one.items)};
        one.items[0] = p->state;
        dm_dataset_states_release(&one);
        free(p->name);
        free(p->via);
        dm_target_free(p->declared);
        dm_batch_free(p->keys);
    }
    free(h->parts);
    for (size_t i = 0; i < h->n_references; i++) {
        free(h->references[i].child);
        free(h->references[i].relationship);
    }
    free(h->references);
    json_decref(h->notes);
    *h = (struct dm_delete_hits){0};
}

/* ---- datasets ---- */

static struct dm_schema *keys_only(const struct dm_schema *schema)
{
    if (schema->n_keys == 0)
        return NULL;
    struct dm_schema *s = dm_schema_new();
    for (size_t k = 0; k < schema->n_keys; k++) {
        const struct dm_field *f = &schema->fields[schema->keys[k]];
        struct dm_field *to = dm_schema_add(s, f->name, f->type);
        to->id = f->id;
        dm_schema_add_key(s, (uint32_t)k);
    }
    return s;
}

static enum dm_status load_nodes(struct search *s, struct dm_error *err)
{
    struct sqlite3 *db = dm_lake_sqlite(s->m->lake);
    if (dm_state_datasets(db, NULL, &s->states, err) != DM_OK || dm_registry_list(db, &s->schemas, err) != DM_OK)
        return DM_FAIL;
    s->nodes = dm_xzalloc(s->states.n + 1, sizeof *s->nodes);
    for (size_t i = 0; i < s->states.n; i++) {
        struct dm_dataset_state *d = &s->states.items[i];
        struct node *n = &s->nodes[s->n++];
        *n = (struct node){.name = dm_xasprintf("%s.%s", d->namespace, d->name), .state = d};
        if (dm_lake_dataset(s->m->lake, d->namespace, d->name, &n->dataset, err) != DM_OK)
            return DM_FAIL;
        if (n->dataset != NULL && !d->append_only)
            n->keys = keys_only(n->dataset->schema);
    }
    return DM_OK;
}

static struct node *node_of(struct search *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->nodes[i].name, name) == 0)
            return &s->nodes[i];
    return NULL;
}

static enum dm_status find_root(struct search *s, struct node **out, struct dm_error *err)
{
    struct node *root = node_of(s, s->wanted->dataset);
    if (root == NULL) {
        char *whole = dm_relational_schema_name(s->wanted->dataset);
        root = node_of(s, whole);
        free(whole);
    }
    if (root == NULL) {
        const char **names = dm_xzalloc(s->n + 1, sizeof *names);
        for (size_t i = 0; i < s->n; i++)
            names[i] = s->nodes[i].name;
        const char *near = dm_nearest_word(s->wanted->dataset, names, s->n);
        (void)dm_fail(err, DM_ERROR_CONFIG, "`datamirror status` lists the datasets",
                      near != NULL ? "there is no dataset %s; did you mean %s?" : "there is no dataset %s",
                      s->wanted->dataset, near);
        free(names);
        return DM_FAIL;
    }
    if (root->dataset == NULL)
        return dm_fail(err, DM_ERROR_CONFIG, "wait for its first copy; `datamirror status` shows how far it is",
                       "%s has no rows yet (it is %s)", root->name, root->state->state);
    if (root->keys == NULL)
        return dm_fail(err, DM_ERROR_CONFIG,
                       "give the table a primary key or a unique index, or name one with `key:`, then resync it",
                       "%s has no key, so its rows cannot be told apart and nothing can be kept from coming back",
                       root->name);
    *out = root;
    return DM_OK;
}

/* ---- keys ---- */

static enum dm_status append_key(struct dm_batch *b, const char *const *texts, struct dm_error *err)
{
    for (size_t k = 0; k < b->n_columns; k++) {
        struct dm_value_problem problem;
        if (texts[k] == NULL || !dm_value_parse(&b->columns[k], texts[k], strlen(texts[k]), &problem)) {
            enum dm_status status =
                dm_fail(err, DM_ERROR_CONFIG, NULL, "key column \"%s\": %s", b->schema->fields[k].name,
                        texts[k] == NULL ? "null is not a key" : problem.message);
            dm_batch_undo_row(b);
            return status;
        }
    }
    dm_batch_end_row(b, DM_OP_COPY);
    return DM_OK;
}

static int compare_keyed(const void *a, const void *b)
{
    const struct dm_index_change *x = a, *y = b;
    int order = dm_key_compare(x->key, x->key_len, y->key, y->key_len);
    return order != 0 ? order : x->row < y->row ? -1 : x->row > y->row;
}

/* Each key once, in the order of first appearance. */
static enum dm_status distinct(struct dm_batch **batch, struct dm_error *err)
{
    struct dm_batch *b = *batch;
    struct dm_key_list keys = {0};
    if (dm_key_list_encode(&keys, b, err) != DM_OK)
        return DM_FAIL;
    struct dm_index_change *c = dm_xzalloc(b->rows + 1, sizeof *c);
    bool *repeated = dm_xzalloc(b->rows + 1, sizeof *repeated);
    for (size_t i = 0; i < b->rows; i++)
        c[i] = (struct dm_index_change){.key = keys.bytes.data + keys.offsets[i],
                                        .key_len = (uint32_t)(keys.offsets[i + 1] - keys.offsets[i]),
                                        .row = (uint32_t)i};
    qsort(c, b->rows, sizeof *c, compare_keyed);
    for (size_t i = 1; i < b->rows; i++)
        repeated[c[i].row] = dm_key_compare(c[i].key, c[i].key_len, c[i - 1].key, c[i - 1].key_len) == 0;
    struct dm_batch *kept = dm_batch_new(b->schema);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < b->rows && status == DM_OK; i++)
        if (!repeated[i])
            status = dm_batch_append_row(kept, b, i, err);
    free(c);
    free(repeated);
    dm_key_list_release(&keys);
    dm_batch_free(status == DM_OK ? b : kept);
    if (status == DM_OK)
        *batch = kept;
    return status;
}

/* "a,b" or "a,\"b, with \"\"quotes\"\"\"" into the values of a key of several columns; `room` holds the pieces. False: another number of values. */
static bool split_key(const char *text, char *room, const char **values, size_t wanted)
{
    size_t n = 0;
    for (const char *c = text;; c++) {
        if (n == wanted)
            return false;
        values[n++] = room;
        bool quoted = *c == '"';
        for (c += quoted; *c != '\0' && (quoted || *c != ','); c++) {
            if (quoted && *c == '"') {
                if (c[1] != '"')
                    break;
                c++;
            }
            *room++ = *c;
        }
        *room++ = '\0';
        if (quoted && *c == '"')
            c++;
        if (*c != ',')
            return *c == '\0' && n == wanted;
    }
}

static enum dm_status key_from_json(const struct node *n, const json_t *key, const char **texts, char **room,
                                    struct dm_error *err)
{
    size_t columns = n->keys->n_fields;
    const char *text = json_string_value(key);
    bool fits = json_array_size(key) == columns;
    for (size_t k = 0; k < columns && text == NULL; k++)
        texts[k] = json_string_value(json_array_get(key, k));
    if (text != NULL && columns == 1) {
        texts[0] = text;
        fits = true;
    } else if (text != NULL) {
        *room = dm_xrealloc(*room, strlen(text) + columns + 1, 1);
        fits = split_key(text, *room, texts, columns);
    }
    if (fits)
        return DM_OK;
    return dm_fail(err, DM_ERROR_CONFIG, "give the values in the order of the key, with commas between",
                   "the key of %s has %zu columns: %s has another number of values", n->name, columns,
                   text != NULL ? text : "a key");
}

static enum dm_status keys_from_json(const struct node *n, const json_t *keys, struct dm_batch *out,
                                     struct dm_error *err)
{
    const char **texts = dm_xzalloc(n->keys->n_fields + 1, sizeof *texts);
    char *room = NULL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < json_array_size(keys) && status == DM_OK; i++) {
        status = key_from_json(n, json_array_get(keys, i), texts, &room, err);
        if (status == DM_OK)
            status = append_key(out, texts, err);
    }
    free(room);
    free(texts);
    return status;
}

static enum dm_status take_row(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    (void)n;
    return append_key(ctx, values, err);
}

/* "name" with quotes doubled. */
static enum dm_status append_name(struct dm_buffer *sql, const char *name, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(sql, '"', err);
    for (const char *c = name; *c != '\0' && status == DM_OK; c++) {
        if (*c == '"')
            status = dm_buffer_append_byte(sql, '"', err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(sql, (uint8_t)*c, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(sql, '"', err) : status;
}

static enum dm_status where_sql(const struct node *n, struct dm_sql *session, const char *where,
                                struct dm_buffer *sql, struct dm_error *err)
{
    const char *view = dm_sql_view_of(session, n->state->namespace, n->state->name);
    enum dm_status status = dm_buffer_printf(sql, err, "SELECT ");
    for (size_t k = 0; k < n->keys->n_fields && status == DM_OK; k++) {
        if (k > 0)
            status = dm_buffer_append(sql, ", ", 2, err);
        if (status == DM_OK)
            status = append_name(sql, n->keys->fields[k].name, err);
    }
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " FROM ");
    if (status == DM_OK)
        status = append_name(sql, n->state->namespace, err);
    if (status == DM_OK)
        status = dm_buffer_append_byte(sql, '.', err);
    if (status == DM_OK)
        status = append_name(sql, view != NULL ? view : n->state->name, err);
    return status == DM_OK ? dm_buffer_printf(sql, err, " WHERE (\n%s\n)", where) : status;
}

/* The condition is a person's SQL: it runs where nothing but the datasets can be read, and nothing written. */
static enum dm_status keys_from_where(struct search *s, const struct node *n, struct dm_batch *out,
                                      struct dm_error *err)
{
    const struct dm_config *config = s->m->config;
    struct dm_lake_options options = {
        .folder = config->lake, .catalog_name = config->catalog_name, .read_only = true};
    struct dm_lake *lake = NULL;
    struct dm_sql *session = NULL;
    struct dm_buffer sql;
    dm_buffer_init(&sql, sql_max);
    enum dm_status status = dm_lake_open(&options, &lake, err);
    if (status == DM_OK)
        status = dm_lake_query_open(lake, s->m->engine, NULL, NULL, &session, err);
    if (status == DM_OK)
        status = where_sql(n, session, s->wanted->where, &sql, err);
    if (status == DM_OK && dm_buffer_text(&sql) == NULL)
        status = dm_fail_memory(err, sql_max);
    if (status == DM_OK)
        status = dm_sql_each(session, (const char *)sql.data, take_row, out, err);
    if (status != DM_OK)
        dm_error_prefix(err, "the condition on %s", n->name);
    dm_buffer_release(&sql);
    dm_sql_close(session);
    dm_lake_close(lake);
    return status;
}

/* ---- what is hit ---- */

static enum dm_status add_part(struct search *s, struct node *n, const char *via, struct dm_error *err)
{
    struct dm_delete_hits *out = s->out;
    out->parts = dm_xrealloc(out->parts, out->n + 1, sizeof *out->parts);
    struct dm_delete_part *p = &out->parts[out->n++];
    *p = (struct dm_delete_part){.name = dm_xstrdup(n->name),
                                 .state = *n->state,
                                 .dataset = n->dataset,
                                 .via = dm_xstrdup(via)};
    p->state.source = dm_xstrdup(n->state->source);
    p->state.namespace = dm_xstrdup(n->state->namespace);
    p->state.name = dm_xstrdup(n->state->name);
    p->state.source_schema = dm_xstrdup(n->state->source_schema);
    p->state.source_table = dm_xstrdup(n->state->source_table);
    p->state.state = dm_xstrdup(n->state->state);
    p->state.reason = dm_xstrdup(n->state->reason);
    p->keys = dm_batch_new(n->keys);
    n->part = out->n;
    return p->state.source[0] == '\0' ? dm_declared_target(s->m, n->name, &p->declared, err) : DM_OK;
}

static size_t index_of(const struct search *s, const struct node *n)
{
    return (size_t)(n - s->nodes);
}

static enum dm_status add_view(struct search *s, struct node *n, struct dm_error *err)
{
    const struct dm_dataset *d = n->dataset;
    if (n->viewed)
        return DM_OK;
    struct dm_schema *plain = dm_schema_copy(d->schema);
    for (size_t i = 0; i < plain->n_fields; i++) {
        free(plain->fields[i].name);
        plain->fields[i].name = dm_xasprintf("c%zu", i);
    }
    struct dm_scan_file *files = dm_xzalloc(d->n_files + 1, sizeof *files);
    for (size_t i = 0; i < d->n_files; i++)
        files[i] = (struct dm_scan_file){.path = d->files[i].path,
                                         .number = d->files[i].number,
                                         .rows = d->files[i].rows,
                                         .deleted = d->files[i].deleted};
    char *name = dm_xasprintf("d%zu", index_of(s, n));
    enum dm_status status = dm_sql_add_dataset(s->sql, "del", name, plain, files, d->n_files, err);
    n->viewed = status == DM_OK;
    free(name);
    free(files);
    dm_schema_unref(plain);
    return status;
}

/* "c0, c4": the key columns; `alias` may be "". */
static enum dm_status append_keys(const struct node *n, const char *alias, struct dm_buffer *sql,
                                  struct dm_error *err)
{
    const struct dm_schema *schema = n->dataset->schema;
    enum dm_status status = DM_OK;
    for (size_t k = 0; k < schema->n_keys && status == DM_OK; k++)
        status = dm_buffer_printf(sql, err, "%s%sc%u", k > 0 ? ", " : "", alias, schema->keys[k]);
    return status;
}

static enum dm_status execute(struct search *s, struct dm_buffer *sql, struct dm_error *err)
{
    const char *text = dm_buffer_text(sql);
    return text == NULL ? dm_fail_memory(err, sql_max) : dm_sql_execute(s->sql, text, err);
}

static enum dm_status add_table(struct search *s, struct node *n, struct dm_error *err)
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
static enum dm_status fill_table(struct search *s, const struct node *n, struct dm_error *err)
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
    struct node *child, *parent;
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
static bool make_link(struct search *s, const struct dm_relational_schema *schema, const struct dm_relationship *r,
                      struct node *parent, struct link *l)
{
    *l = (struct link){.r = r, .child = node_of(s, schema->name), .parent = parent, .by_key = true};
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
static enum dm_status append_children(struct search *s, const struct link *l, struct dm_buffer *sql,
                                      struct dm_error *err)
{
    size_t child = index_of(s, l->child), parent = index_of(s, l->parent);
    struct dm_join join = {.n = l->n, .columns = l->columns};
    enum dm_status status =
        l->by_key ? dm_buffer_printf(sql, err, " FROM del.d%zu c WHERE EXISTS (SELECT 1 FROM main.h%zu p WHERE ",
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

static enum dm_status take_count(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    (void)n;
    (void)err;
    *(uint64_t *)ctx = values[0] != NULL ? strtoull(values[0], NULL, 10) : 0;
    return DM_OK;
}

static enum dm_status count_children(struct search *s, const struct link *l, uint64_t *rows, struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, sql_max);
    *rows = 0;
    enum dm_status status = add_view(s, l->child, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, "SELECT count(*)");
    if (status == DM_OK)
        status = append_children(s, l, &sql, err);
    if (status == DM_OK)
        status = dm_buffer_text(&sql) == NULL ? dm_fail_memory(err, sql_max)
                                              : dm_sql_each(s->sql, (const char *)sql.data, take_count, rows, err);
    dm_buffer_release(&sql);
    return status;
}

static enum dm_status count_table(struct search *s, const struct node *n, uint64_t *rows, struct dm_error *err)
{
    char *sql = dm_xasprintf("SELECT count(*) FROM main.h%zu", index_of(s, n));
    enum dm_status status = dm_sql_each(s->sql, sql, take_count, rows, err);
    free(sql);
    return status;
}

/* Children that are not hit yet are, from here on. *more: there were some. */
static enum dm_status hit_children(struct search *s, const struct link *l, bool *more, struct dm_error *err)
{
    struct node *c = l->child;
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
        status = add_part(s, c, l->r->name, err);
    return status;
}

static void note(struct search *s, char *take_text)
{
    json_array_append_new(s->out->notes, json_string(take_text));
    free(take_text);
}

static enum dm_status follow(struct search *s, const struct link *l, struct dm_error *err)
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
static enum dm_status follow_all(struct search *s, struct node *parent, struct dm_error *err)
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

static bool any_relationship_to(const struct search *s, const struct node *n)
{
    for (size_t i = 0; i < s->schemas.n; i++)
        for (size_t k = 0; k < s->schemas.items[i]->n_relationships; k++)
            if (strcmp(s->schemas.items[i]->relationships[k].target, n->name) == 0)
                return true;
    return false;
}

static struct node *next_queued(struct search *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->nodes[i].queued)
            return &s->nodes[i];
    return NULL;
}

static enum dm_status read_table(struct search *s, struct node *n, struct dm_error *err)
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
                     : dm_sql_each(s->sql, (const char *)sql.data, take_row, p->keys, err);
    dm_buffer_release(&sql);
    return status == DM_OK ? distinct(&p->keys, err) : status;
}

static enum dm_status find_related(struct search *s, struct node *root, struct dm_error *err)
{
    if (!any_relationship_to(s, root) || s->out->parts[root->part - 1].keys->rows == 0)
        return DM_OK;
    enum dm_status status = dm_sql_open(s->m->engine, &s->sql, err);
    if (status == DM_OK)
        status = add_table(s, root, err);
    if (status == DM_OK)
        status = fill_table(s, root, err);
    root->queued = true;
    for (struct node *n; status == DM_OK && (n = next_queued(s)) != NULL;) {
        n->queued = false;
        status = follow_all(s, n, err);
    }
    for (size_t i = 0; i < s->n && status == DM_OK; i++) /* the root may have got more, too */
        if (s->nodes[i].part != 0 && s->nodes[i].tabled)
            status = read_table(s, &s->nodes[i], err);
    return status;
}

/* ---- how many of the keys are live ---- */

static enum dm_status count_live(struct dm_mirror *m, struct dm_delete_part *p, struct dm_error *err)
{
    struct dm_key_list keys = {0};
    size_t n = p->keys->rows;
    struct dm_index_change *c = dm_xzalloc(n + 1, sizeof *c);
    enum dm_status status = dm_key_list_encode(&keys, p->keys, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        c[i] = (struct dm_index_change){.key = keys.bytes.data + keys.offsets[i],
                                        .key_len = (uint32_t)(keys.offsets[i + 1] - keys.offsets[i])};
    dm_index_changes_sort(c, n);
    if (status == DM_OK)
        status = dm_keyindex_begin(m->index, err);
    if (status == DM_OK) {
        status = dm_keyindex_lookup(m->index, p->state.id, c, n, err);
        for (size_t i = 0; i < n && status == DM_OK; i++)
            p->live += dm_place_known(c[i].old);
        dm_keyindex_abort(m->index);
    }
    free(c);
    dm_key_list_release(&keys);
    return status;
}

/* ---- the whole ---- */

static void release(struct search *s)
{
    dm_sql_close(s->sql);
    for (size_t i = 0; i < s->n; i++) {
        free(s->nodes[i].name);
        dm_schema_unref(s->nodes[i].keys);
    }
    free(s->nodes);
    dm_dataset_states_release(&s->states);
    dm_relational_schemas_release(&s->schemas);
}

static enum dm_status run(struct search *s, bool keys_only_wanted, struct dm_error *err)
{
    struct node *root = NULL;
    if (load_nodes(s, err) != DM_OK || find_root(s, &root, err) != DM_OK ||
        add_part(s, root, NULL, err) != DM_OK)
        return DM_FAIL;
    struct dm_delete_part *p = &s->out->parts[0];
    enum dm_status status = s->wanted->where != NULL ? keys_from_where(s, root, p->keys, err)
                                                     : keys_from_json(root, s->wanted->keys, p->keys, err);
    if (status == DM_OK)
        status = distinct(&p->keys, err);
    if (keys_only_wanted)
        return status;
    if (status == DM_OK)
        status = find_related(s, root, err);
    for (size_t i = 0; i < s->out->n && status == DM_OK; i++) {
        struct dm_target *t = s->out->parts[i].declared;
        struct dm_target mirrored = {.state = s->out->parts[i].state};
        struct dm_target *const one[] = {t != NULL ? t : &mirrored};
        status = dm_index_catch_up(s->m, one, 1, err);
        if (status == DM_OK)
            status = count_live(s->m, &s->out->parts[i], err);
    }
    return status;
}

static enum dm_status search(struct dm_mirror *m, const struct dm_delete_wanted *wanted, bool keys_only_wanted,
                             struct dm_delete_hits *out, struct dm_error *err)
{
    *out = (struct dm_delete_hits){.notes = json_array()};
    struct search s = {.m = m, .wanted = wanted, .out = out};
    enum dm_status status = run(&s, keys_only_wanted, err);
    release(&s);
    if (status != DM_OK)
        dm_delete_hits_release(out);
    return status;
}

enum dm_status dm_delete_search(struct dm_mirror *m, const struct dm_delete_wanted *wanted,
                                struct dm_delete_hits *out, struct dm_error *err)
{
    return search(m, wanted, false, out, err);
}

enum dm_status dm_delete_search_keys(struct dm_mirror *m, const struct dm_delete_wanted *wanted,
                                     struct dm_delete_hits *out, struct dm_error *err)
{
    return search(m, wanted, true, out, err);
}
