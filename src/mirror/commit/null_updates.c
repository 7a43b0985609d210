#include "mirror/commit/null_updates.h"

#include <stdlib.h>
#include <string.h>

#include "apply/version_rule.h"
#include "base/memory.h"
#include "engine/parquet_read.h"
#include "mirror/commit/history.h"
#include "mirror/commit/index_tag.h"
#include "mirror/commit/interval_history.h"

/* Whose values a row takes where it has none: a row of the batch, from `rows` on one of `wanted`, or nobody's. */
typedef uint32_t source;
#define NOBODY DM_NO_ROW

/* A stored row that values are taken from. */
struct wanted {
    struct dm_place place;
    bool in_history;
    uint32_t fetched; /* its row in `stored` */
};

struct chains {
    struct dm_version_pass *p;
    bool
        waiting_too; /* rows that wait are among them, to see what they would take; nothing takes from them */
    bool nulls_too;  /* a null keeps the value, too */
    bool history;    /* late rows matter as well: the history by version takes them */
    bool *bad;       /* per batch row: it leaves out a value that nobody has; NULL: none does */
    size_t n_fields;
    uint32_t *fields; /* batch columns that have values to be filled in */
    size_t *start;    /* per key: its first in `order`; n_keys + 1 of them */
    uint32_t *order;  /* upserts and deletes of all keys, key by key, each in version order */
    source *below;    /* per batch row: for what it left out as unchanged, the row of the version below … */
    source *before;   /* … and for its nulls, the row that was there when it arrived */
    struct dm_key_list keys; /* history: key and version of each row, as the history has them */
    size_t n_wanted, capacity;
    struct wanted *wanted;
    struct dm_schema *schema; /* of the fields */
    struct dm_batch *stored;  /* the wanted rows with the fields only */
};

static bool waits(const struct dm_version_pass *p, uint32_t row)
{
    return row != DM_NO_ROW && p->waits != NULL && p->waits[row];
}

static bool is_wanted(uint32_t column, const uint32_t *only, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (only[i] == column)
            return true;
    return only == NULL;
}

/* only: NULL: all. */
static void choose_fields(struct chains *c, const uint32_t *only, size_t n)
{
    const struct dm_batch *b = c->p->batch;
    c->fields = dm_xalloc((b->n_columns + 1) * sizeof *c->fields);
    c->schema = dm_schema_new();
    for (uint32_t i = 0; i < b->n_columns; i++) {
        bool wanting = b->columns[i].unchanged > 0 || (c->nulls_too && b->columns[i].nulls > 0);
        if (!wanting || !is_wanted(i, only, n) || dm_schema_is_key(b->schema, i) ||
            (int)i == c->p->t->rules->version_field)
            continue;
        dm_schema_add_copy(c->schema, &b->schema->fields[i]);
        c->fields[c->n_fields++] = i;
    }
}

static bool has(const struct chains *c, uint32_t row, enum dm_value_state state)
{
    for (size_t i = 0; i < c->n_fields; i++)
        if (c->p->batch->columns[c->fields[i]].state[row] == state)
            return true;
    return false;
}

/* ---- version order ---- */

/* A change of a key; the stored row or tombstone stands among them, with row DM_NO_ROW, as the first to arrive. */
struct link {
    const uint8_t *version;
    uint32_t len, row, arrival;
    bool gone;
    uint32_t prev, next; /* among those that arrived before; DM_NO_ROW: the end */
};

static int compare_links(const void *a, const void *b)
{
    const struct link *x = a, *y = b;
    int order = dm_key_compare(x->version, x->len, y->version, y->len);
    if (order != 0)
        return order;
    if (x->gone != y->gone)
        return x->gone ? 1 : -1;
    return (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

/* The changes of key k that count, and what is stored of it. */
static size_t collect_links(const struct chains *c, size_t k, struct link *links)
{
    const struct dm_version_pass *p = c->p;
    const struct dm_version_state stored = {.version = p->stored[k].old_version,
                                            .len = p->stored[k].old_version_len,
                                            .live = dm_place_known(p->stored[k].old)};
    size_t first, end, n = 0;
    if (stored.len > 0)
        links[n++] = (struct link){
            .version = stored.version, .len = stored.len, .row = DM_NO_ROW, .gone = !stored.live};
    dm_version_pass_group(p, k, &first, &end);
    for (size_t i = first; i < end; i++) {
        struct link *l = &links[n];
        *l = (struct link){.row = p->rows[i].row, .arrival = (uint32_t)(i - first) + 1};
        l->gone = dm_version_pass_deletes(p, l->row);
        l->version = dm_version_at(&p->versions, l->row, &l->len);
        bool left_out = waits(p, l->row) && !c->waiting_too, bad = c->bad != NULL && c->bad[l->row];
        bool counts = c->history || dm_verdict_applies(dm_version_decide(&stored, l->version, l->len));
        n += !left_out && !bad && counts;
    }
    if (n > 1)
        qsort(links, n, sizeof *links, compare_links);
    return n;
}

/* ---- whose values ---- */

static source add_wanted(struct chains *c, struct dm_place place, bool in_history)
{
    if (c->n_wanted == c->capacity) {
        c->capacity = c->capacity * 2 + 64;
        c->wanted = dm_xrealloc(c->wanted, c->capacity, sizeof *c->wanted);
    }
    c->wanted[c->n_wanted] = (struct wanted){.place = place, .in_history = in_history};
    return (source)(c->p->batch->rows + c->n_wanted++);
}

/* The row of the history that was valid at a late row's version, if it is a later one than `below`, a change of the batch (NULL: none). */
static enum dm_status from_history(struct chains *c, const struct link *late, const struct link *below,
                                   bool *later, source *out, struct dm_error *err)
{
    const struct dm_version_pass *p = c->p;
    struct dm_index_entry before, same, after;
    uint32_t len;
    const uint8_t *key = dm_version_at(&c->keys, late->row, &len);
    const struct dm_column *version = &p->batch->columns[p->t->rules->version_field];
    uint32_t prefix = len - (uint32_t)dm_version_bytes(version, late->row);
    *later = false;
    *out = NOBODY;
    if (dm_keyindex_near(p->a->mirror->index, p->t->state.id | DM_INDEX_HISTORY, key, len, prefix, &before,
                         &same, &after, err) != DM_OK)
        return DM_FAIL;
    const struct dm_index_entry *entry = same.key != NULL ? &same : &before;
    if (entry->key == NULL)
        return DM_OK;
    bool gone = dm_interval_history_is_delete(entry);
    int order = 1;
    if (below != NULL) {
        uint32_t below_len;
        const uint8_t *below_key = dm_version_at(&c->keys, below->row, &below_len);
        order = dm_key_compare(entry->key, entry->key_len, below_key, below_len);
    }
    *later = order > 0 || (order == 0 && gone);
    if (*later && !gone)
        *out = add_wanted(c, entry->place, true);
    return DM_OK;
}

/* Where `l` takes values from when `below` is the change before it (NULL: none), of the batch or the stored one. */
static enum dm_status find_source(struct chains *c, size_t k, const struct link *l, const struct link *below,
                                  bool late, source *out, struct dm_error *err)
{
    bool later = false;
    *out = NOBODY;
    if (late && from_history(c, l, below, &later, out, err) != DM_OK)
        return DM_FAIL;
    if (later || below == NULL || below->gone)
        return DM_OK;
    *out = below->row != DM_NO_ROW ? below->row : add_wanted(c, c->p->stored[k].old, false);
    return DM_OK;
}

static void put_aside(struct chains *c, uint32_t row)
{
    struct dm_version_pass *p = c->p;
    if (c->bad == NULL)
        c->bad = dm_xzalloc(p->batch->rows, sizeof *c->bad);
    c->bad[row] = true;
    dm_version_pass_bad(
        p, row, "unchanged_value_unknown",
        "the change leaves out unchanged values, and there is no row of an older version that holds them");
}

/* What was left out as unchanged is that of the version below, whatever came first. Where nobody has it the row is bad, and the others go on without it. */
static enum dm_status find_below(struct chains *c, size_t k, const struct link *links, size_t n,
                                 struct dm_error *err)
{
    const struct link *below = NULL;
    bool late = c->history && c->p->stored[k].old_version_len > 0;
    for (size_t i = 0; i < n; i++) {
        const struct link *l = &links[i];
        late = late && l->row != DM_NO_ROW;
        if (l->row != DM_NO_ROW && !l->gone && has(c, l->row, DM_UNCHANGED)) {
            if (find_source(c, k, l, below, late, &c->below[l->row], err) != DM_OK)
                return DM_FAIL;
            if (c->below[l->row] == NOBODY && !c->waiting_too) {
                put_aside(c, l->row);
                continue;
            }
        }
        below = waits(c->p, l->row) ? below : l;
    }
    return DM_OK;
}

/* A null keeps the value that was there when it arrived (for a late row: at its version), as if the changes had come one by one. So the last to arrive
 * is looked at first, and taken out of the list. */
static enum dm_status find_before(struct chains *c, size_t k, struct link *links, size_t n,
                                  struct dm_error *err)
{
    uint32_t stored = DM_NO_ROW;
    size_t first, end;
    dm_version_pass_group(c->p, k, &first, &end);
    uint32_t *of = dm_xalloc((end - first + 1) * sizeof *of); /* arrival → place in `links` */
    for (size_t i = 0; i <= end - first; i++)
        of[i] = DM_NO_ROW;
    for (uint32_t i = 0; i < n; i++) {
        links[i].prev = i > 0 ? i - 1 : DM_NO_ROW;
        links[i].next = i + 1 < n ? i + 1 : DM_NO_ROW;
        of[links[i].arrival] = i;
        stored = links[i].row == DM_NO_ROW ? i : stored;
    }
    enum dm_status status = DM_OK;
    for (size_t a = end - first; a > 0 && status == DM_OK; a--) {
        if (of[a] == DM_NO_ROW)
            continue;
        const struct link *l = &links[of[a]];
        uint32_t prev = l->prev;
        while (prev != DM_NO_ROW && waits(c->p, links[prev].row))
            prev = links[prev].prev;
        const struct link *below = prev != DM_NO_ROW ? &links[prev] : NULL;
        if (!l->gone && has(c, l->row, DM_NULL))
            status = find_source(c, k, l, below, c->history && stored != DM_NO_ROW && of[a] < stored,
                                 &c->before[l->row], err);
        if (l->prev != DM_NO_ROW)
            links[l->prev].next = l->next;
        if (l->next != DM_NO_ROW)
            links[l->next].prev = l->prev;
    }
    free(of);
    return status;
}

static enum dm_status make_chains(struct chains *c, struct dm_error *err)
{
    struct dm_version_pass *p = c->p;
    size_t n = 0;
    c->start = dm_xalloc((p->n_keys + 1) * sizeof *c->start);
    c->order = dm_xalloc((p->n_rows + 1) * sizeof *c->order);
    c->below = dm_xalloc((p->batch->rows + 1) * sizeof *c->below);
    c->before = dm_xalloc((p->batch->rows + 1) * sizeof *c->before);
    for (size_t i = 0; i < p->batch->rows; i++)
        c->below[i] = c->before[i] = NOBODY;
    struct link *links = dm_xalloc((p->n_rows + 2) * sizeof *links);
    enum dm_status status = c->history ? dm_interval_history_keys(p, &c->keys, err) : DM_OK;
    for (size_t k = 0; k < p->n_keys && status == DM_OK; k++) {
        size_t m = collect_links(c, k, links);
        status = find_below(c, k, links, m, err);
        if (status == DM_OK && c->nulls_too) {
            m = c->bad != NULL ? collect_links(c, k, links) : m;
            status = find_before(c, k, links, m, err);
        }
        c->start[k] = n;
        for (size_t i = 0; i < m; i++)
            if (links[i].row != DM_NO_ROW)
                c->order[n++] = links[i].row;
    }
    c->start[p->n_keys] = n;
    free(links);
    return status;
}

/* ---- stored rows ---- */

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *const *x = a, *const *y = b;
    if ((*x)->in_history != (*y)->in_history)
        return (*x)->in_history ? 1 : -1;
    if ((*x)->place.file != (*y)->place.file)
        return (*x)->place.file < (*y)->place.file ? -1 : 1;
    return ((*x)->place.position > (*y)->place.position) - ((*x)->place.position < (*y)->place.position);
}

/* Rows of one file. */
static enum dm_status fetch_file(struct chains *c, const char *name, struct wanted *const *wanted, size_t n,
                                 struct dm_error *err)
{
    const char *path;
    if (dm_apply_indexed_file(c->p->a, c->p->t->state.namespace, name, wanted[0]->place.file, &path, err) !=
        DM_OK)
        return DM_FAIL;
    uint32_t *positions = dm_xalloc(n * sizeof *positions);
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++) {
        if (distinct == 0 || positions[distinct - 1] != wanted[i]->place.position)
            positions[distinct++] = wanted[i]->place.position;
        wanted[i]->fetched = (uint32_t)(c->stored->rows + distinct - 1);
    }
    enum dm_status status =
        dm_parquet_fetch(c->p->a->mirror->engine, path, positions, distinct, c->schema, c->stored, err);
    free(positions);
    return status;
}

static enum dm_status fetch_wanted(struct chains *c, struct dm_error *err)
{
    c->stored = dm_batch_new(c->schema);
    struct wanted **list = dm_xalloc((c->n_wanted + 1) * sizeof *list);
    char *history = dm_history_name(c->p->t);
    for (size_t i = 0; i < c->n_wanted; i++)
        list[i] = &c->wanted[i];
    qsort(list, c->n_wanted, sizeof *list, compare_wanted);
    enum dm_status status = DM_OK;
    for (size_t i = 0, end; i < c->n_wanted && status == DM_OK; i = end) {
        for (end = i + 1; end < c->n_wanted && list[end]->in_history == list[i]->in_history &&
                          list[end]->place.file == list[i]->place.file;)
            end++;
        status = fetch_file(c, list[i]->in_history ? history : c->p->t->state.name, list + i, end - i, err);
    }
    free(history);
    free(list);
    return status;
}

/* ---- filling ---- */

/* Where each row's value comes from: below `rows` a row of the batch, from there on one of `wanted`; its own row when it has one, or nobody does. Rows take
 * from those before them in version order, whose values are known by then. */
static bool find_origins(const struct chains *c, const struct dm_column *column, source *origin)
{
    const struct dm_version_pass *p = c->p;
    uint32_t rows = (uint32_t)p->batch->rows;
    bool any = column->unchanged > 0;
    for (uint32_t i = 0; i < rows; i++)
        origin[i] = i;
    for (size_t i = 0; i < c->start[p->n_keys]; i++) {
        uint32_t row = c->order[i];
        uint8_t state = column->state[row];
        source from = state == DM_UNCHANGED ? c->below[row] : state == DM_NULL ? c->before[row] : NOBODY;
        if (from == NOBODY || dm_version_pass_deletes(p, row) || (c->bad != NULL && c->bad[row]))
            continue;
        origin[row] = from < rows ? origin[from] : from;
        any = true;
    }
    return any;
}

/* *any false: the column has all its values, and nothing is in *out. */
static enum dm_status fill_column(const struct chains *c, size_t i, struct dm_column *out, bool *any,
                                  struct dm_error *err)
{
    const struct dm_column *column = &c->p->batch->columns[c->fields[i]];
    const struct dm_column *stored = &c->stored->columns[i];
    source *origin = dm_xalloc((c->p->batch->rows + 1) * sizeof *origin);
    struct dm_column filled;
    *any = find_origins(c, column, origin);
    if (!*any) {
        free(origin);
        return DM_OK;
    }
    dm_column_init(&filled, column->type);
    dm_column_reserve(&filled, column->length);
    size_t rows = column->length;
    enum dm_status status = DM_OK;
    for (size_t row = 0; row < rows && status == DM_OK; row++) {
        if (origin[row] >= rows)
            status = dm_column_append_value(&filled, stored, c->wanted[origin[row] - rows].fetched, err);
        else if (column->state[origin[row]] == DM_UNCHANGED)
            dm_column_append_null(&filled); /* of a row that is bad, or too old to matter */
        else
            status = dm_column_append_value(&filled, column, origin[row], err);
    }
    free(origin);
    if (status == DM_OK)
        *out = filled;
    else
        dm_column_release(&filled);
    return status;
}

static enum dm_status replace_column(const struct chains *c, size_t i, struct dm_error *err)
{
    struct dm_column filled;
    bool any = false;
    if (fill_column(c, i, &filled, &any, err) != DM_OK)
        return DM_FAIL;
    if (any) {
        dm_column_release(&c->p->batch->columns[c->fields[i]]);
        c->p->batch->columns[c->fields[i]] = filled;
    }
    return DM_OK;
}

/* ---- values that nobody has ---- */

/* The pass goes on as if they had not come. */
static void forget_bad(struct chains *c)
{
    struct dm_version_pass *p = c->p;
    size_t n = 0, keys = 0;
    for (size_t k = 0, first, end, next; c->bad != NULL && k < p->n_keys; k++) {
        dm_version_pass_group(p, k, &first, &end);
        next = n;
        for (size_t i = first; i < end; i++)
            if (!c->bad[p->rows[i].row])
                p->rows[n++] = p->rows[i];
        if (n == next)
            continue;
        p->stored[keys] = p->stored[k];
        p->stored[keys++].row = (uint32_t)next;
    }
    if (c->bad == NULL)
        return;
    p->n_rows = n;
    p->n_keys = keys;
}

static void release_chains(struct chains *c)
{
    free(c->bad);
    dm_batch_free(c->stored);
    dm_schema_unref(c->schema);
    dm_key_list_release(&c->keys);
    free(c->fields);
    free(c->start);
    free(c->order);
    free(c->below);
    free(c->before);
    free(c->wanted);
}

enum dm_status dm_null_updates_resolve(struct dm_version_pass *p, struct dm_error *err)
{
    struct chains c = {.p = p,
                       .nulls_too = p->t->rules->schema->settings.ignore_null_updates,
                       .history = dm_interval_history_kept(p->t)};
    enum dm_status status = DM_OK;
    choose_fields(&c, NULL, 0);
    if (c.n_fields > 0) {
        status = make_chains(&c, err);
        if (status == DM_OK)
            status = fetch_wanted(&c, err);
        for (size_t i = 0; i < c.n_fields && status == DM_OK; i++)
            status = replace_column(&c, i, err);
        if (status == DM_OK)
            forget_bad(&c);
    }
    release_chains(&c);
    return status;
}

enum dm_status dm_null_updates_peek(struct dm_version_pass *p, const uint32_t *columns, size_t n,
                                    struct dm_column *out, bool *filled, struct dm_error *err)
{
    struct chains c = {
        .p = p, .nulls_too = p->t->rules->schema->settings.ignore_null_updates, .waiting_too = true};
    enum dm_status status = DM_OK;
    memset(filled, 0, n * sizeof *filled);
    choose_fields(&c, columns, n);
    if (c.n_fields > 0) {
        status = make_chains(&c, err);
        if (status == DM_OK)
            status = fetch_wanted(&c, err);
    }
    for (size_t i = 0; i < c.n_fields && status == DM_OK; i++)
        for (size_t k = 0; k < n && status == DM_OK; k++)
            if (columns[k] == c.fields[i] && !filled[k])
                status = fill_column(&c, i, &out[k], &filled[k], err);
    release_chains(&c);
    return status;
}
