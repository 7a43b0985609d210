/* A batch's changes are reduced to one per (key, version), each is looked up with its neighbours in the index, and what follows is a list of items: rows
 * to be written anew (changes, and stored predecessors whose interval ends now) with the version that ends them. Items are written in bounded pieces. */
#include "mirror/commit/interval_history.h"

#include <stdlib.h>
#include <string.h>

#include "apply/key_sort.h"
#include "base/memory.h"
#include "engine/parquet_read.h"
#include "lake/dataset_scan.h"
#include "mirror/commit/equal_rows.h"
#include "mirror/commit/history.h"
#include "mirror/commit/tombstones.h"

enum {
    op_column,
    from_column,
    to_column,
    n_added,
    fetch_rows = 4096,
};
#define most_key_bytes \
    (UINT64_C(8) << 30) /* of one batch: each of its rows may take DM_INDEX_KEY_WHOLE twice */
#define OP_UPSERT ((uint8_t)'u')
#define OP_DELETE ((uint8_t)'d')

bool dm_interval_history_kept(const struct dm_target *t)
{
    return t->rules != NULL && t->rules->schema->settings.history == DM_HISTORY_SCD2;
}

bool dm_interval_history_has(const struct dm_schema *history)
{
    return dm_schema_find_id(history, DM_HISTORY_FIRST_ID + DM_HISTORY_VALID_FROM) >= 0;
}

struct dm_schema *dm_interval_history_schema(const struct dm_schema *schema, int version)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "_op", dm_type_of(DM_STRING))->id = DM_HISTORY_FIRST_ID + DM_HISTORY_OP;
    struct dm_field *from = dm_schema_add(s, "_valid_from", schema->fields[version].type);
    from->id = DM_HISTORY_FIRST_ID + DM_HISTORY_VALID_FROM;
    from->required = true;
    dm_schema_add(s, "_valid_to", schema->fields[version].type)->id =
        DM_HISTORY_FIRST_ID + DM_HISTORY_VALID_TO;
    dm_history_add_columns(s, schema);
    for (size_t k = 0; k < schema->n_keys; k++) {
        s->fields[n_added + schema->keys[k]].required = true;
        dm_schema_add_key(s, n_added + schema->keys[k]);
    }
    dm_schema_add_key(s, from_column);
    return s;
}

/* ---- the index: the history's own keys ---- */

enum dm_status dm_interval_history_keys(const struct dm_version_pass *p, struct dm_key_list *out,
                                        struct dm_error *err)
{
    struct dm_schema *with_version = dm_schema_copy(p->batch->schema);
    dm_schema_add_key(with_version, (uint32_t)p->t->rules->version_field);
    struct dm_batch view = *p->batch; /* borrowed whole */
    view.schema = with_version;
    enum dm_status status = dm_key_list_encode(out, &view, err);
    dm_schema_unref(with_version);
    return status;
}

bool dm_interval_history_is_delete(const struct dm_index_entry *entry)
{
    return entry->version_len == 1 && entry->version[0] == OP_DELETE;
}

bool dm_interval_history_fits(const struct dm_version_pass *p, uint32_t row, size_t key_len)
{
    /* Text in front of the version is ended by two bytes, and zeros in it are doubled. */
    enum { surely_short = DM_INDEX_KEY_WHOLE / 4 };
    size_t version = dm_version_bytes(&p->batch->columns[p->t->rules->version_field], row);
    if (key_len + version < surely_short)
        return true;
    struct dm_schema *with_version = dm_schema_copy(p->batch->schema);
    dm_schema_add_key(with_version, (uint32_t)p->t->rules->version_field);
    struct dm_batch view = *p->batch;
    view.schema = with_version;
    struct dm_buffer key;
    struct dm_error ignored;
    dm_buffer_init(&key, DM_INDEX_KEY_WHOLE);
    bool fits = dm_key_encode(&view, row, &key, &ignored) == DM_OK;
    dm_buffer_release(&key);
    dm_schema_unref(with_version);
    return fits;
}

/* ---- items ---- */

/* A row to be written. Offsets are into `bytes` of the writing. */
struct item {
    uint32_t row; /* of the batch; DM_NO_ROW: the stored row at `old` again */
    uint32_t key_len, to_len;
    size_t key, to;        /* to_len 0: still valid */
    struct dm_place old;   /* the row that this one replaces; file 0: none */
    struct dm_place place; /* where it was written */
    uint8_t op;
};

struct writing {
    struct dm_version_pass *p;
    uint32_t dataset; /* in the key index */
    char *name;
    struct dm_schema *schema;
    struct dm_key_list keys; /* of the batch's rows */
    struct dm_buffer bytes;
    size_t n_items, capacity;
    struct item *items;
    struct dm_batch *piece; /* rows of the next file, and whose they are */
    size_t *piece_items;
    bool *equal; /* per batch row: the history has it, equal in every column; NULL: not looked at */
};

static enum dm_status keep_bytes(struct writing *w, const uint8_t *bytes, size_t n, size_t *at,
                                 struct dm_error *err)
{
    *at = w->bytes.len;
    return dm_buffer_append(&w->bytes, bytes, n, err);
}

static enum dm_status add_item(struct writing *w, const struct item *item, const uint8_t *key,
                               const uint8_t *to, struct dm_error *err)
{
    if (w->n_items == w->capacity) {
        w->capacity = w->capacity * 2 + 64;
        w->items = dm_xrealloc(w->items, w->capacity, sizeof *w->items);
    }
    struct item *i = &w->items[w->n_items];
    *i = *item;
    if (keep_bytes(w, key, i->key_len, &i->key, err) != DM_OK ||
        (i->to_len > 0 && keep_bytes(w, to, i->to_len, &i->to, err) != DM_OK))
        return DM_FAIL;
    w->n_items++;
    return DM_OK;
}

/* A change of one key: its row, its whole key (primary key and version), and what the index has there and beside it. */
struct version {
    const uint8_t *key;
    uint32_t key_len, row, arrival;
    bool gone;
    struct dm_index_entry before, same, after;
};

static int compare_versions(const void *a, const void *b)
{
    const struct version *x = a, *y = b;
    int order = dm_key_compare(x->key, x->key_len, y->key, y->key_len);
    if (order != 0)
        return order;
    if (x->gone != y->gone)
        return x->gone ? 1 : -1;
    return (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

static bool is_below(const uint8_t *key, uint32_t len, const uint8_t *other, uint32_t other_len)
{
    return dm_key_compare(key, len, other, other_len) < 0;
}

/* The changes of distinct key k in version order, one per version. */
static size_t collect_versions(const struct writing *w, size_t k, struct version *out)
{
    const struct dm_version_pass *p = w->p;
    size_t first, end, n = 0;
    dm_version_pass_group(p, k, &first, &end);
    for (size_t i = first; i < end; i++) {
        uint32_t row = p->rows[i].row;
        if (p->waits != NULL && p->waits[row]) /* for its parent */
            continue;
        out[n] =
            (struct version){.row = row, .arrival = (uint32_t)i, .gone = dm_version_pass_deletes(p, row)};
        out[n].key = dm_version_at(&w->keys, row, &out[n].key_len);
        n++;
    }
    if (n > 1)
        qsort(out, n, sizeof *out, compare_versions);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool same = kept > 0 &&
                    dm_key_compare(out[kept - 1].key, out[kept - 1].key_len, out[i].key, out[i].key_len) == 0;
        out[same ? kept - 1 : kept++] = out[i]; /* the last of equals wins */
    }
    return kept;
}

/* Looks each up; what changes nothing, since a delete of its version or the very same row is there, falls out. */
static enum dm_status look_up(const struct writing *w, struct version *v, size_t *n, uint32_t *prefix,
                              struct dm_error *err)
{
    const struct dm_column *version = &w->p->batch->columns[w->p->t->rules->version_field];
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        *prefix = v[i].key_len - (uint32_t)dm_version_bytes(version, v[i].row);
        if (dm_keyindex_near(w->p->a->mirror->index, w->dataset, v[i].key, v[i].key_len, *prefix,
                             &v[i].before, &v[i].same, &v[i].after, err) != DM_OK)
            return DM_FAIL;
        bool said = v[i].same.key != NULL &&
                    (dm_interval_history_is_delete(&v[i].same) || (w->equal != NULL && w->equal[v[i].row]));
        if (!said)
            v[kept++] = v[i];
    }
    *n = kept;
    return DM_OK;
}

/* The item of change i, and that of the stored row before it when its interval ends now. */
static enum dm_status add_change(struct writing *w, const struct version *v, size_t i, size_t n,
                                 uint32_t prefix, struct dm_error *err)
{
    const struct version *c = &v[i];
    const uint8_t *next = c->after.key;
    uint32_t next_len = c->after.key_len;
    if (i + 1 < n && (next == NULL || is_below(v[i + 1].key, v[i + 1].key_len, next, next_len))) {
        next = v[i + 1].key;
        next_len = v[i + 1].key_len;
    }
    const struct item change = {.row = c->row,
                                .key_len = c->key_len,
                                .to_len = next == NULL ? 0 : next_len - prefix,
                                .old = c->same.place,
                                .op = c->gone ? OP_DELETE : OP_UPSERT};
    if (add_item(w, &change, c->key, next == NULL ? NULL : next + prefix, err) != DM_OK)
        return DM_FAIL;
    /* It ended here already, or a change of this batch replaces it or ends it before this one does. */
    const struct dm_index_entry *before = &c->before;
    if (before->key == NULL || c->same.key != NULL ||
        (i > 0 && !is_below(v[i - 1].key, v[i - 1].key_len, before->key, before->key_len)))
        return DM_OK;
    const struct item again = {.row = DM_NO_ROW,
                               .key_len = before->key_len,
                               .to_len = c->key_len - prefix,
                               .old = before->place,
                               .op = before->version_len == 1 ? before->version[0] : OP_UPSERT};
    return add_item(w, &again, before->key, c->key + prefix, err);
}

static enum dm_status make_items(struct writing *w, struct dm_error *err)
{
    const struct dm_version_pass *p = w->p;
    struct version *v = NULL;
    size_t capacity = 0;
    enum dm_status status = DM_OK;
    for (size_t k = 0; k < p->n_keys && status == DM_OK; k++) {
        size_t first, end;
        uint32_t prefix = 0;
        dm_version_pass_group(p, k, &first, &end);
        if (end - first > capacity) {
            capacity = (end - first) * 2;
            v = dm_xrealloc(v, capacity, sizeof *v);
        }
        size_t n = collect_versions(w, k, v);
        status = look_up(w, v, &n, &prefix, err);
        for (size_t i = 0; i < n && status == DM_OK; i++)
            status = add_change(w, v, i, n, prefix, err);
    }
    free(v);
    return status;
}

/* The dataset's columns as the history has them. */
static struct dm_schema *data_schema(const struct dm_schema *history)
{
    struct dm_schema *s = dm_schema_new();
    for (size_t i = n_added; i < history->n_fields; i++)
        dm_schema_add_copy(s, &history->fields[i]);
    return s;
}

/* Upserts that the history has already, equal in every column, are not written again: the items are made anew without them. */
static enum dm_status drop_equal(struct writing *w, struct dm_error *err)
{
    const struct dm_version_pass *p = w->p;
    struct dm_tie *ties = dm_xalloc((w->n_items + 1) * sizeof *ties);
    size_t n = 0;
    for (size_t i = 0; i < w->n_items; i++)
        if (w->items[i].row != DM_NO_ROW && w->items[i].op == OP_UPSERT && dm_place_known(w->items[i].old))
            ties[n++] = (struct dm_tie){.place = w->items[i].old, .row = w->items[i].row};
    enum dm_status status = DM_OK;
    bool any = false;
    if (n > 0) {
        struct dm_schema *schema = data_schema(w->schema);
        w->equal = dm_xzalloc(p->batch->rows, sizeof *w->equal);
        status = dm_equal_rows_find(p->a, p->batch, p->t->state.namespace, w->name, schema, ties, n, w->equal,
                                    err);
        dm_schema_unref(schema);
    }
    for (size_t i = 0; i < n && status == DM_OK; i++)
        any |= w->equal[ties[i].row];
    free(ties);
    if (status != DM_OK || !any)
        return status;
    w->n_items = 0;
    dm_buffer_clear(&w->bytes);
    return make_items(w, err);
}

/* ---- writing them ---- */

static enum dm_status flush(struct writing *w, struct dm_error *err)
{
    struct dm_apply_context *a = w->p->a;
    uint32_t file = 0;
    if (w->piece->rows == 0)
        return DM_OK;
    if (dm_apply_write_file(a, w->p->t->state.namespace, w->name, w->piece, NULL, 0, &file, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < w->piece->rows; i++)
        w->items[w->piece_items[i]].place = (struct dm_place){.file = file, .position = (uint32_t)i};
    dm_batch_clear(w->piece);
    return DM_OK;
}

/* Appends the item's row; `data` are the dataset's columns. */
static enum dm_status put_row(struct writing *w, size_t index, const struct dm_column *valid_from,
                              const struct dm_column *data, size_t row, struct dm_error *err)
{
    const struct item *item = &w->items[index];
    struct dm_batch *b = w->piece;
    const char *op = item->op == OP_DELETE ? "delete" : "upsert";
    enum dm_status status = dm_column_append_bytes(&b->columns[op_column], op, strlen(op), err);
    if (status == DM_OK)
        status = dm_column_append_value(&b->columns[from_column], valid_from, row, err);
    if (status == DM_OK && item->to_len > 0)
        status = dm_version_append(&b->columns[to_column], w->bytes.data + item->to, item->to_len, err);
    else if (status == DM_OK)
        dm_column_append_null(&b->columns[to_column]);
    for (size_t i = n_added; i < b->n_columns && status == DM_OK; i++)
        status = dm_column_append_value(&b->columns[i], &data[i - n_added], row, err);
    if (status != DM_OK)
        return DM_FAIL;
    w->piece_items[b->rows] = index;
    dm_batch_end_row(b, DM_OP_INSERT);
    /* Looked at now and then only: adding up takes a while. */
    return b->rows % 1024 == 0 && dm_batch_bytes(b) > dm_mirror_portion(w->p->a->mirror, 1) ? flush(w, err)
                                                                                            : DM_OK;
}

static enum dm_status put_changes(struct writing *w, struct dm_error *err)
{
    const struct dm_batch *batch = w->p->batch;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < w->n_items && status == DM_OK; i++)
        if (w->items[i].row != DM_NO_ROW)
            status = put_row(w, i, &batch->columns[w->p->t->rules->version_field], batch->columns,
                             w->items[i].row, err);
    return status;
}

struct stored_item {
    struct dm_place place;
    size_t item;
};

static int compare_stored(const void *a, const void *b)
{
    const struct stored_item *x = a, *y = b;
    if (x->place.file != y->place.file)
        return x->place.file < y->place.file ? -1 : 1;
    return (x->place.position > y->place.position) - (x->place.position < y->place.position);
}

/* Stored rows of one file again, with their new ends. */
static enum dm_status put_stored(struct writing *w, const struct stored_item *list, size_t n,
                                 struct dm_error *err)
{
    const char *namespace = w->p->t->state.namespace;
    const char *path;
    if (dm_apply_indexed_file(w->p->a, namespace, w->name, list[0].place.file, &path, err) != DM_OK)
        return DM_FAIL;
    uint32_t positions[fetch_rows];
    struct dm_batch *stored = dm_batch_new(w->schema);
    for (size_t i = 0; i < n; i++)
        positions[i] = list[i].place.position;
    enum dm_status status =
        dm_parquet_fetch(w->p->a->mirror->engine, path, positions, n, w->schema, stored, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = put_row(w, list[i].item, &stored->columns[from_column], stored->columns + n_added, i, err);
    dm_batch_free(stored);
    return status;
}

static enum dm_status put_all_stored(struct writing *w, struct dm_error *err)
{
    struct stored_item *list = dm_xalloc((w->n_items + 1) * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < w->n_items; i++)
        if (w->items[i].row == DM_NO_ROW)
            list[n++] = (struct stored_item){.place = w->items[i].old, .item = i};
    qsort(list, n, sizeof *list, compare_stored);
    enum dm_status status = DM_OK;
    for (size_t i = 0, end; i < n && status == DM_OK; i = end) {
        for (end = i + 1; end < n && end - i < fetch_rows && list[end].place.file == list[i].place.file;)
            end++;
        status = put_stored(w, list + i, end - i, err);
    }
    free(list);
    return status;
}

static enum dm_status index_items(struct writing *w, struct dm_error *err)
{
    struct dm_index_change *changes = dm_xalloc((w->n_items + 1) * sizeof *changes);
    struct dm_place *places = dm_xalloc((w->n_items + 1) * sizeof *places);
    size_t n_places = 0;
    for (size_t i = 0; i < w->n_items; i++) {
        const struct item *item = &w->items[i];
        changes[i] = (struct dm_index_change){.key = w->bytes.data + item->key,
                                              .key_len = item->key_len,
                                              .row = (uint32_t)i,
                                              .place = item->place,
                                              .version = &item->op,
                                              .version_len = 1};
        if (dm_place_known(item->old))
            places[n_places++] = item->old;
    }
    dm_index_changes_sort(changes, w->n_items);
    enum dm_status status = dm_keyindex_apply(w->p->a->mirror->index, w->dataset, changes, w->n_items, err);
    if (status == DM_OK)
        status =
            dm_apply_deletions(w->p->a->commit, w->p->t->state.namespace, w->name, places, n_places, err);
    free(places);
    free(changes);
    return status;
}

static enum dm_status write_batch(struct writing *w, struct dm_error *err)
{
    if (dm_interval_history_keys(w->p, &w->keys, err) != DM_OK || make_items(w, err) != DM_OK ||
        drop_equal(w, err) != DM_OK)
        return DM_FAIL;
    w->piece_items = dm_xalloc((w->n_items + 1) * sizeof *w->piece_items);
    if (put_changes(w, err) != DM_OK || put_all_stored(w, err) != DM_OK || flush(w, err) != DM_OK)
        return DM_FAIL;
    return index_items(w, err);
}

enum dm_status dm_interval_history_append(struct dm_version_pass *p, struct dm_error *err)
{
    if (p->n_rows == 0)
        return DM_OK;
    struct writing w = {.p = p, .dataset = p->t->state.id | DM_INDEX_HISTORY};
    w.schema = dm_interval_history_schema(p->batch->schema, p->t->rules->version_field);
    w.name = dm_history_name(p->t);
    w.piece = dm_batch_new(w.schema);
    dm_buffer_init(&w.bytes, most_key_bytes);
    enum dm_status status = write_batch(&w, err);
    dm_batch_free(w.piece);
    dm_schema_unref(w.schema);
    dm_key_list_release(&w.keys);
    dm_buffer_release(&w.bytes);
    free(w.name);
    free(w.items);
    free(w.piece_items);
    free(w.equal);
    return status;
}

/* ---- the index from the lake ---- */

enum dm_status dm_interval_history_dataset(struct dm_mirror *m, const struct dm_target *t,
                                           const struct dm_dataset **out, struct dm_error *err)
{
    char *name = dm_history_name(t);
    enum dm_status status = dm_lake_dataset(m->lake, t->state.namespace, name, out, err);
    /* A history of the other kind has no such columns, and is not in the index. */
    if (status == DM_OK && *out != NULL && !dm_interval_history_has((*out)->schema))
        *out = NULL;
    free(name);
    return status;
}

struct load {
    struct dm_mirror *m;
    uint32_t dataset;
    struct dm_key_list keys;
};

enum dm_status dm_interval_history_put(struct dm_mirror *m, uint32_t dataset, const struct dm_batch *batch,
                                       int op, const uint32_t *files, const uint32_t *positions,
                                       struct dm_key_list *keys, struct dm_error *err)
{
    static const uint8_t ops[] = {OP_UPSERT, OP_DELETE};
    if (dm_key_list_encode(keys, batch, err) != DM_OK)
        return DM_FAIL;
    struct dm_index_change *changes = dm_xalloc((batch->rows + 1) * sizeof *changes);
    for (size_t i = 0; i < batch->rows; i++) {
        size_t n = 0;
        const uint8_t *text = dm_column_bytes_at(&batch->columns[op], i, &n);
        changes[i] = (struct dm_index_change){.key = keys->bytes.data + keys->offsets[i],
                                              .key_len = (uint32_t)(keys->offsets[i + 1] - keys->offsets[i]),
                                              .place = {.file = files[i], .position = positions[i]},
                                              .version = &ops[n > 0 && text[0] == OP_DELETE],
                                              .version_len = 1};
    }
    dm_index_changes_sort(changes, batch->rows);
    enum dm_status status = dm_keyindex_apply(m->index, dataset, changes, batch->rows, err);
    free(changes);
    return status;
}

/* Columns: the key's, then _op. */
static enum dm_status load_rows(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                const uint32_t *positions, struct dm_error *err)
{
    struct load *l = ctx;
    return dm_interval_history_put(l->m, l->dataset, batch, (int)batch->n_columns - 1, files, positions,
                                   &l->keys, err);
}

static struct dm_schema *loading_schema(const struct dm_schema *history)
{
    struct dm_schema *s = dm_schema_keys(history);
    dm_schema_add_copy(s, &history->fields[dm_schema_find_id(history, DM_HISTORY_FIRST_ID + DM_HISTORY_OP)]);
    return s;
}

enum dm_status dm_interval_history_load(struct dm_mirror *m, const struct dm_target *t, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    struct load l = {.m = m, .dataset = t->state.id | DM_INDEX_HISTORY};
    int64_t tag = 0;
    if (dm_keyindex_tag_get(m->index, l.dataset, &tag, err) != DM_OK)
        return DM_FAIL;
    if (tag == 0 && !dm_interval_history_kept(t))
        return DM_OK;
    if (dm_keyindex_clear(m->index, l.dataset, err) != DM_OK ||
        (dm_interval_history_kept(t) && dm_interval_history_dataset(m, t, &d, err) != DM_OK))
        return DM_FAIL;
    enum dm_status status = DM_OK;
    if (d != NULL && d->n_files > 0) {
        struct dm_scan_file *files = dm_dataset_scan(d);
        struct dm_schema *schema = loading_schema(d->schema);
        struct dm_scan_options options = {.order_by_key = true};
        status = dm_parquet_scan(m->engine, files, d->n_files, schema, &options, load_rows, &l, err);
        dm_schema_unref(schema);
        dm_key_list_release(&l.keys);
        free(files);
    }
    return status == DM_OK ? dm_keyindex_tag_set(m->index, l.dataset, d != NULL ? d->snapshot_id : 0, err)
                           : status;
}
