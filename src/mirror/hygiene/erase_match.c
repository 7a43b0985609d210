#include "mirror/hygiene/erase_match.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "mirror/quarantine/bad_row_key.h"

enum { mark_bytes = 16, tuple_max = 256 << 20 };

/* In front of a tuple that is no key; no key of a dataset has a reason to begin so. */
static const uint8_t mark[mark_bytes] = "\xffwhat-refers-to";

/* One kind of tuple. */
struct tuple {
    struct dm_schema *view; /* its columns, as a key */
    uint32_t *of;           /* … of `columns` */
    struct dm_buffer front; /* what is hashed before it; empty: a key */
    struct dm_key_list keys;
    const struct dm_suppressed *in;
    bool is_key; /* these are the columns of the dataset's key */
};

struct dm_erase_match {
    struct dm_schema *columns; /* that batches have */
    bool whole_rows;
    size_t n;
    struct tuple *tuples;
    struct dm_buffer room;
};

/* ---- tuples ---- */

static enum dm_status make_front(struct dm_buffer *out, const struct dm_column_list *l, struct dm_error *err)
{
    dm_buffer_init(out, tuple_max);
    enum dm_status status = dm_buffer_append(out, mark, sizeof mark, err);
    for (size_t i = 0; i < l->n && status == DM_OK; i++) {
        uint8_t id[4];
        dm_put_le32(id, (uint32_t)l->ids[i]);
        status = dm_buffer_append(out, id, sizeof id, err);
    }
    return status;
}

/* What is hashed of a tuple; *len 0: it has a null. */
static enum dm_status put_in_front(const struct dm_buffer *front, struct dm_buffer *room,
                                   const uint8_t **bytes, size_t *len, struct dm_error *err)
{
    if (*len == 0 || front->len == 0)
        return DM_OK;
    dm_buffer_clear(room);
    if (dm_buffer_append(room, front->data, front->len, err) != DM_OK ||
        dm_buffer_append(room, *bytes, *len, err) != DM_OK)
        return DM_FAIL;
    *bytes = room->data;
    *len = room->len;
    return DM_OK;
}

/* … of row `row`. */
static enum dm_status tuple_bytes(const struct dm_buffer *front, const struct dm_key_list *keys, size_t row,
                                  struct dm_buffer *room, const uint8_t **bytes, size_t *len,
                                  struct dm_error *err)
{
    *bytes = keys->bytes.data + keys->offsets[row];
    *len = keys->offsets[row + 1] - keys->offsets[row];
    return put_in_front(front, room, bytes, len, err);
}

enum dm_status dm_erase_hash_tuples(const struct dm_suppression *s, const struct dm_column_list *columns,
                                    const struct dm_batch *tuples, struct dm_key_hash **hashes, size_t *n,
                                    struct dm_error *err)
{
    struct dm_key_list keys = {0};
    struct dm_buffer front, room;
    dm_buffer_init(&room, tuple_max);
    enum dm_status status = make_front(&front, columns, err);
    if (status == DM_OK)
        status = dm_key_list_encode(&keys, tuples, err);
    *hashes = dm_xzalloc(tuples->rows + 1, sizeof **hashes);
    *n = 0;
    for (size_t i = 0; i < tuples->rows && status == DM_OK; i++) {
        const uint8_t *bytes;
        size_t len;
        status = tuple_bytes(&front, &keys, i, &room, &bytes, &len, err);
        if (status == DM_OK && len > 0)
            dm_suppression_hash(s, bytes, len, &(*hashes)[(*n)++]);
    }
    dm_key_list_release(&keys);
    dm_buffer_release(&front);
    dm_buffer_release(&room);
    return status;
}

/* ---- matching ---- */

static uint32_t add_column(struct dm_erase_match *m, const struct dm_schema *stored, int32_t id)
{
    if (m->whole_rows)
        return (uint32_t)dm_schema_find_id(stored, id);
    int there = dm_schema_find_id(m->columns, id);
    if (there >= 0)
        return (uint32_t)there;
    dm_schema_add_copy(m->columns, &stored->fields[dm_schema_find_id(stored, id)]);
    return (uint32_t)m->columns->n_fields - 1;
}

/* The tuple takes part when the stored schema has all of its columns. */
static void add_tuple(struct dm_erase_match *m, const struct dm_erase_match_options *o,
                      const struct dm_column_list *l, const struct dm_suppressed *in, bool marked)
{
    struct dm_error none = {0};
    bool has_all = l->n > 0;
    for (size_t i = 0; i < l->n; i++)
        has_all &= dm_schema_find_id(o->stored, l->ids[i]) >= 0;
    if (!has_all)
        return;
    struct dm_column_list key = dm_column_list_of_key(o->dataset);
    m->tuples = dm_xrealloc(m->tuples, m->n + 1, sizeof *m->tuples);
    struct tuple *t = &m->tuples[m->n++];
    *t = (struct tuple){.view = dm_schema_new(),
                        .of = dm_xzalloc(l->n, sizeof *t->of),
                        .in = in,
                        .is_key = dm_column_list_equal(l, &key)};
    dm_buffer_init(&t->front, tuple_max);
    if (marked && make_front(&t->front, l, &none) != DM_OK)
        dm_buffer_clear(&t->front); /* some bytes: it has room for them */
    for (size_t i = 0; i < l->n; i++) {
        t->of[i] = add_column(m, o->stored, l->ids[i]);
        dm_schema_add_copy(t->view, &o->stored->fields[dm_schema_find_id(o->stored, l->ids[i])]);
        dm_schema_add_key(t->view, (uint32_t)i);
    }
    dm_column_list_release(&key);
}

struct dm_erase_match *dm_erase_match_new(const struct dm_erase_match_options *o)
{
    struct dm_erase_match *m = dm_xzalloc(1, sizeof *m);
    m->whole_rows = o->whole_rows;
    m->columns = o->whole_rows ? dm_schema_ref(o->stored) : dm_schema_new();
    dm_buffer_init(&m->room, tuple_max);
    struct dm_column_list key = dm_column_list_of_key(o->dataset);
    if (o->n_lists == 0)
        add_tuple(m, o, &key, o->set, false);
    for (size_t i = 0; i < o->n_lists; i++)
        add_tuple(m, o, o->lists[i].n > 0 ? &o->lists[i] : &key, o->set, o->lists[i].n > 0);
    size_t n = 0;
    const struct dm_suppressed *marked = dm_suppressed_marked(o->set);
    const struct dm_column_list *lists = dm_suppressed_lists(marked, &n);
    for (size_t i = 0; i < n; i++)
        add_tuple(m, o, &lists[i], marked, true);
    dm_column_list_release(&key);
    return m;
}

struct dm_erase_match *dm_suppressed_match(const struct dm_suppressed *set, const struct dm_schema *schema)
{
    return dm_erase_match_new(&(struct dm_erase_match_options){
        .dataset = schema, .stored = schema, .set = set, .whole_rows = true});
}

void dm_erase_match_free(struct dm_erase_match *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->n; i++) {
        dm_schema_unref(m->tuples[i].view);
        free(m->tuples[i].of);
        dm_buffer_release(&m->tuples[i].front);
        dm_key_list_release(&m->tuples[i].keys);
    }
    free(m->tuples);
    dm_buffer_release(&m->room);
    dm_schema_unref(m->columns);
    free(m);
}

const struct dm_schema *dm_erase_match_columns(const struct dm_erase_match *m)
{
    return m->columns;
}

enum dm_status dm_erase_match_batch(struct dm_erase_match *m, const struct dm_batch *batch,
                                    struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < m->n && status == DM_OK; i++) {
        struct tuple *t = &m->tuples[i];
        size_t n = t->view->n_fields;
        struct dm_column *columns = dm_xzalloc(n, sizeof *columns);
        for (size_t k = 0; k < n; k++)
            columns[k] = batch->columns[t->of[k]];
        struct dm_batch view = {.schema = t->view, .n_columns = n, .columns = columns, .rows = batch->rows};
        status = dm_key_list_encode(&t->keys, &view, err);
        free(columns);
    }
    return status;
}

bool dm_erase_match_has(struct dm_erase_match *m, size_t row)
{
    for (size_t i = 0; i < m->n; i++) {
        const uint8_t *bytes;
        size_t len;
        struct dm_error none = {0};
        if (tuple_bytes(&m->tuples[i].front, &m->tuples[i].keys, row, &m->room, &bytes, &len, &none) ==
                DM_OK &&
            dm_suppressed_has(m->tuples[i].in, bytes, len))
            return true;
    }
    return false;
}

/* ---- rows in quarantine ---- */

struct bad_row {
    struct dm_erase_match *m;
    const struct tuple *tuple;
};

static bool has_bytes(void *ctx, const uint8_t *key, size_t len)
{
    const struct bad_row *b = ctx;
    struct dm_error none = {0};
    return put_in_front(&b->tuple->front, &b->m->room, &key, &len, &none) == DM_OK &&
           dm_suppressed_has(b->tuple->in, key, len);
}

bool dm_erase_match_bad_row(struct dm_erase_match *m, const char *raw, const char *key)
{
    for (size_t i = 0; i < m->n; i++) {
        struct bad_row b = {m, &m->tuples[i]};
        if (dm_bad_row_keys(m->tuples[i].view, raw, m->tuples[i].is_key ? key : NULL, has_bytes, &b))
            return true;
    }
    return false;
}
