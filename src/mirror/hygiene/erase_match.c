#include "mirror/hygiene/erase_match.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"

enum { mark_bytes = 16, tuple_max = 256 << 20 };

/* In front of a tuple that is no key; no key of a dataset has a reason to begin so. */
static const uint8_t mark[mark_bytes] = "\xffwhat-refers-to";

/* One kind of tuple. */
struct tuple {
    struct dm_schema *view; /* its columns, as a key */
    uint32_t *of;           /* … of `columns` */
    struct dm_buffer front; /* what is hashed before it; empty: a key */
    struct dm_key_list keys;
};

struct dm_erase_match {
    const struct dm_suppressed *set;
    struct dm_schema *columns;
    size_t n;
    struct tuple *tuples;
    struct dm_buffer room;
};

/* ---- column lists ---- */

void dm_column_list_release(struct dm_column_list *l)
{
    free(l->ids);
    *l = (struct dm_column_list){0};
}

char *dm_column_list_text(const struct dm_column_list *l)
{
    char *text = dm_xstrdup("");
    for (size_t i = 0; i < l->n; i++) {
        char *longer = dm_xasprintf("%s%s%d", text, i > 0 ? "," : "", (int)l->ids[i]);
        free(text);
        text = longer;
    }
    return text;
}

struct dm_column_list dm_column_list_read(const char *text)
{
    struct dm_column_list l = {0};
    while (text != NULL && *text != '\0') {
        char *end;
        long id = strtol(text, &end, 10);
        if (end == text)
            break;
        l.ids = dm_xrealloc(l.ids, l.n + 1, sizeof *l.ids);
        l.ids[l.n++] = (int32_t)id;
        text = *end == ',' ? end + 1 : end;
    }
    return l;
}

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

/* What is hashed of row `row`; *len 0: it has a null. */
static enum dm_status tuple_bytes(const struct dm_buffer *front, const struct dm_key_list *keys, size_t row,
                                  struct dm_buffer *room, const uint8_t **bytes, size_t *len,
                                  struct dm_error *err)
{
    *bytes = keys->bytes.data + keys->offsets[row];
    *len = keys->offsets[row + 1] - keys->offsets[row];
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

static uint32_t add_column(struct dm_schema *columns, const struct dm_field *f)
{
    int there = dm_schema_find_id(columns, f->id);
    if (there >= 0)
        return (uint32_t)there;
    dm_schema_add_copy(columns, f);
    return (uint32_t)columns->n_fields - 1;
}

/* The tuple takes part when the stored schema has all of its columns. */
static void add_tuple(struct dm_erase_match *m, const struct dm_schema *stored, const int32_t *ids, size_t n,
                      struct dm_buffer front)
{
    bool has_all = n > 0;
    for (size_t i = 0; i < n; i++)
        has_all &= dm_schema_find_id(stored, ids[i]) >= 0;
    if (!has_all) {
        dm_buffer_release(&front);
        return;
    }
    m->tuples = dm_xrealloc(m->tuples, m->n + 1, sizeof *m->tuples);
    struct tuple *t = &m->tuples[m->n++];
    *t = (struct tuple){.view = dm_schema_new(), .of = dm_xzalloc(n, sizeof *t->of), .front = front};
    for (size_t i = 0; i < n; i++) {
        const struct dm_field *f = &stored->fields[dm_schema_find_id(stored, ids[i])];
        t->of[i] = add_column(m->columns, f);
        dm_schema_add_copy(t->view, f);
        dm_schema_add_key(t->view, (uint32_t)i);
    }
}

struct dm_erase_match *dm_erase_match_new(const struct dm_schema *dataset, const struct dm_schema *stored,
                                          const struct dm_suppressed *set, const struct dm_column_list *lists,
                                          size_t n)
{
    struct dm_erase_match *m = dm_xzalloc(1, sizeof *m);
    m->set = set;
    m->columns = dm_schema_new();
    dm_buffer_init(&m->room, tuple_max);
    int32_t *key = dm_xzalloc(dataset->n_keys + 1, sizeof *key);
    for (size_t k = 0; k < dataset->n_keys; k++)
        key[k] = dataset->fields[dataset->keys[k]].id;
    struct dm_buffer front;
    dm_buffer_init(&front, tuple_max);
    add_tuple(m, stored, key, dataset->n_keys, front);
    for (size_t i = 0; i < n; i++) {
        struct dm_error none = {0};
        if (make_front(&front, &lists[i], &none) == DM_OK) /* some bytes: it has room for them */
            add_tuple(m, stored, lists[i].ids, lists[i].n, front);
    }
    free(key);
    return m;
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
            dm_suppressed_has(m->set, bytes, len))
            return true;
    }
    return false;
}
