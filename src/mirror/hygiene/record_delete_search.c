#include "mirror/hygiene/record_delete_parts.h"

#include <stdlib.h>
#include <string.h>

#include "apply/key_sort.h"
#include "base/memory.h"
#include "column/key.h"
#include "column/value_parse.h"
#include "config/nearest_word.h"
#include "mirror/declare/declared.h"
#include "mirror/hygiene/condition.h"
#include "mirror/index/index_rebuild.h"

static void release_tuples(struct dm_delete_tuples *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dm_column_list_release(&t[i].columns);
        dm_batch_free(t[i].tuples);
    }
    free(t);
}

static void release_part(struct dm_delete_part *p)
{
    struct dm_dataset_states one = {.n = 1, .items = dm_xalloc(sizeof *one.items)};
    one.items[0] = p->state;
    dm_dataset_states_release(&one);
    free(p->name);
    free(p->via);
    dm_target_free(p->declared);
    dm_batch_free(p->keys);
    release_tuples(p->tuples, p->n_tuples);
    release_tuples(p->former, p->n_former);
    free(p->ids);
}

void dm_delete_hits_release(struct dm_delete_hits *h)
{
    for (size_t i = 0; i < h->n; i++)
        release_part(&h->parts[i]);
    free(h->parts);
    for (size_t i = 0; i < h->n_references; i++) {
        free(h->references[i].child);
        free(h->references[i].relationship);
    }
    free(h->references);
    json_decref(h->notes);
    json_decref(h->cannot);
    *h = (struct dm_delete_hits){0};
}

/* ---- datasets ---- */

static enum dm_status load_nodes(struct dm_delete_search_state *s, struct dm_error *err)
{
    struct sqlite3 *db = dm_lake_sqlite(s->m->lake);
    if (dm_state_datasets(db, NULL, &s->states, err) != DM_OK ||
        dm_registry_list(db, &s->schemas, err) != DM_OK)
        return DM_FAIL;
    s->nodes = dm_xzalloc(s->states.n + 1, sizeof *s->nodes);
    for (size_t i = 0; i < s->states.n; i++) {
        struct dm_dataset_state *d = &s->states.items[i];
        struct dm_delete_node *n = &s->nodes[s->n++];
        *n = (struct dm_delete_node){.name = dm_xasprintf("%s.%s", d->namespace, d->name), .state = d};
        if (dm_lake_dataset(s->m->lake, d->namespace, d->name, &n->dataset, err) != DM_OK)
            return DM_FAIL;
        if (n->dataset != NULL && !d->append_only && n->dataset->schema->n_keys > 0)
            n->keys = dm_schema_keys(n->dataset->schema);
    }
    return DM_OK;
}

struct dm_delete_node *dm_delete_node_of(struct dm_delete_search_state *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->nodes[i].name, name) == 0)
            return &s->nodes[i];
    return NULL;
}

static enum dm_status find_root(struct dm_delete_search_state *s, const char *dataset,
                                struct dm_delete_node **out, struct dm_error *err)
{
    struct dm_delete_node *root = dm_delete_node_of(s, dataset);
    if (root == NULL) {
        char *whole = dm_relational_schema_name(dataset);
        root = dm_delete_node_of(s, whole);
        free(whole);
    }
    if (root == NULL) {
        const char **names = dm_xzalloc(s->n + 1, sizeof *names);
        for (size_t i = 0; i < s->n; i++)
            names[i] = s->nodes[i].name;
        const char *near = dm_nearest_word(dataset, names, s->n);
        (void)dm_fail(err, DM_ERROR_CONFIG, "`datamirror status` lists the datasets",
                      near != NULL ? "there is no dataset %s; did you mean %s?" : "there is no dataset %s",
                      dataset, near);
        free(names);
        return DM_FAIL;
    }
    if (root->dataset == NULL)
        return dm_fail(err, DM_ERROR_CONFIG,
                       "wait for its first copy; `datamirror status` shows how far it is",
                       "%s has no rows yet (it is %s)", root->name, root->state->state);
    if (root->keys == NULL)
        return dm_fail(err, DM_ERROR_CONFIG,
                       "give the table a primary key or a unique index, or name "
                       "one with `key:`, then resync it",
                       "%s has no key, so its rows cannot be told apart and "
                       "nothing can be kept from coming back",
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

/* Each key once, in the order of first appearance. */
enum dm_status dm_delete_distinct(struct dm_batch **batch, struct dm_error *err)
{
    struct dm_batch *b = *batch;
    struct dm_key_list keys = {0};
    if (dm_key_list_encode(&keys, b, err) != DM_OK)
        return DM_FAIL;
    struct dm_index_change *c = dm_index_changes_of(&keys);
    bool *repeated = dm_xzalloc(b->rows + 1, sizeof *repeated);
    dm_index_changes_sort(c, b->rows);
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

static enum dm_status key_from_json(const struct dm_delete_node *n, const json_t *key, const char **texts,
                                    char **room, struct dm_error *err)
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

static enum dm_status keys_from_json(const struct dm_delete_node *n, const json_t *keys, struct dm_batch *out,
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

enum dm_status dm_delete_take_key(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    (void)n;
    return append_key(ctx, values, err);
}

/* The keys that met the condition, when nobody gave the dataset another key since. */
static enum dm_status keys_from_found(const struct dm_delete_node *n, const struct dm_batch *found,
                                      struct dm_batch *out, struct dm_error *err)
{
    bool same = found->n_columns == out->n_columns;
    for (size_t k = 0; k < out->n_columns && same; k++)
        same = dm_type_equal(found->columns[k].type, out->columns[k].type) &&
               strcmp(found->schema->fields[k].name, out->schema->fields[k].name) == 0;
    if (!same)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "%s got another key while the condition was answered",
                       n->name);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < found->rows && status == DM_OK; i++)
        status = dm_batch_append_row(out, found, i, err);
    return status;
}

/* ---- what is hit ---- */

enum dm_status dm_delete_add_part(struct dm_delete_search_state *s, struct dm_delete_node *n, const char *via,
                                  struct dm_error *err)
{
    struct dm_delete_hits *out = s->out;
    out->parts = dm_xrealloc(out->parts, out->n + 1, sizeof *out->parts);
    struct dm_delete_part *p = &out->parts[out->n++];
    *p = (struct dm_delete_part){
        .name = dm_xstrdup(n->name), .state = *n->state, .dataset = n->dataset, .via = dm_xstrdup(via)};
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

/* ---- how many of the keys are live ---- */

static enum dm_status count_live(struct dm_mirror *m, struct dm_delete_part *p, struct dm_error *err)
{
    struct dm_key_list keys = {0};
    size_t n = p->keys->rows;
    enum dm_status status = dm_key_list_encode(&keys, p->keys, err);
    if (status == DM_OK)
        status = dm_keyindex_begin(m->index, err);
    if (status == DM_OK) {
        struct dm_index_change *c = dm_index_changes_of(&keys);
        dm_index_changes_sort(c, n);
        status = dm_keyindex_lookup(m->index, p->state.id, c, n, err);
        for (size_t i = 0; i < n && status == DM_OK; i++)
            p->live += dm_place_known(c[i].old);
        dm_keyindex_abort(m->index);
        free(c);
    }
    dm_key_list_release(&keys);
    return status;
}

/* ---- the whole ---- */

static void release(struct dm_delete_search_state *s)
{
    dm_sql_close(s->sql);
    for (size_t i = 0; i < s->n; i++) {
        free(s->nodes[i].name);
        dm_schema_unref(s->nodes[i].keys);
        free(s->nodes[i].unreadable);
    }
    free(s->nodes);
    dm_dataset_states_release(&s->states);
    dm_relational_schemas_release(&s->schemas);
}

static enum dm_status take_root(struct dm_delete_search_state *s, const struct dm_delete_root *wanted,
                                struct dm_error *err)
{
    struct dm_delete_node *root = NULL;
    if (find_root(s, wanted->dataset, &root, err) != DM_OK ||
        (root->part == 0 && dm_delete_add_part(s, root, NULL, err) != DM_OK))
        return DM_FAIL;
    root->root = true;
    struct dm_delete_part *p = &s->out->parts[root->part - 1];
    enum dm_status status = wanted->where != NULL ? keys_from_found(root, wanted->found, p->keys, err)
                                                  : keys_from_json(root, wanted->keys, p->keys, err);
    return status == DM_OK ? dm_delete_distinct(&p->keys, err) : status;
}

static bool is_empty(const struct dm_delete_part *p)
{
    size_t tuples = 0;
    for (size_t i = 0; i < p->n_tuples; i++)
        tuples += p->tuples[i].tuples->rows;
    return p->keys->rows == 0 && p->n_ids == 0 && tuples == 0;
}

/* Of several datasets, those that hold nothing of it are no part of the order. */
static void leave_out_empty(struct dm_delete_hits *h)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++) {
        bool last = kept == 0 && i + 1 == h->n;
        if (is_empty(&h->parts[i]) && !last)
            release_part(&h->parts[i]);
        else
            h->parts[kept++] = h->parts[i];
    }
    h->n = kept;
}

static enum dm_status run(struct dm_delete_search_state *s, bool keys_only_wanted, struct dm_error *err)
{
    enum dm_status status = load_nodes(s, err);
    for (size_t i = 0; i < s->wanted->n && status == DM_OK; i++)
        status = take_root(s, &s->wanted->roots[i], err);
    if (status != DM_OK || keys_only_wanted)
        return status;
    status = dm_delete_find_related(s, err);
    if (status == DM_OK)
        leave_out_empty(s->out);
    for (size_t i = 0; i < s->out->n && status == DM_OK; i++) {
        struct dm_delete_part *p = &s->out->parts[i];
        status = dm_index_catch_up_dataset(s->m, &p->state, p->declared, err);
        if (status == DM_OK)
            status = count_live(s->m, p, err);
    }
    return status;
}

static enum dm_status search(struct dm_mirror *m, const struct dm_delete_wanted *wanted,
                             bool keys_only_wanted, struct dm_delete_hits *out, struct dm_error *err)
{
    *out = (struct dm_delete_hits){.notes = json_array(), .cannot = json_array()};
    struct dm_delete_search_state s = {.m = m, .wanted = wanted, .out = out};
    enum dm_status status = run(&s, keys_only_wanted, err);
    release(&s);
    if (status != DM_OK)
        dm_delete_hits_release(out);
    return status;
}

/* Under the lake mutex: what the condition is about. */
static enum dm_status look_up(struct dm_mirror *m, const char *dataset, char **namespace, char **name,
                              const struct dm_schema **keys, struct dm_error *err)
{
    struct dm_delete_search_state s = {.m = m};
    struct dm_delete_node *root = NULL;
    enum dm_status status = load_nodes(&s, err);
    if (status == DM_OK)
        status = find_root(&s, dataset, &root, err);
    if (status == DM_OK) {
        *namespace = dm_xstrdup(root->state->namespace);
        *name = dm_xstrdup(root->state->name);
        *keys = dm_schema_ref(root->keys);
    }
    release(&s);
    return status;
}

enum dm_status dm_delete_answer(struct dm_mirror *m, struct dm_delete_root *root,
                                const struct dm_order_hooks *hooks, struct dm_error *err)
{
    struct dm_condition c = {.where = root->where};
    char *namespace = NULL, *name = NULL;
    const struct dm_schema *keys = NULL;
    if (root->where == NULL)
        return DM_OK;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = look_up(m, root->dataset, &namespace, &name, &keys, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status == DM_OK) {
        root->found = dm_batch_new(keys);
        c.namespace = namespace;
        c.name = name;
        c.keys = keys;
        status = dm_condition_answer(m, &c, hooks, root->found, err);
    }
    if (keys != NULL)
        dm_schema_unref(keys);
    free(namespace);
    free(name);
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
