#include "mirror/commit/null_updates.h"

#include <stdlib.h>
#include <string.h>

#include "apply/version_rule.h"
#include "base/memory.h"
#include "engine/parquet_read.h"

/* The upserts and deletes of all keys, key by key, each in version order. */
struct chains {
    struct dm_version_pass *p;
    bool
        waiting_too; /* rows that wait are in their chains, to see what they would take; nothing takes from them */
    bool nulls_too; /* a null keeps the value, too */
    bool *bad;      /* per batch row: it leaves out a value that nobody has; NULL: none does */
    size_t n_fields;
    uint32_t *fields; /* batch columns that have values to be filled in */
    size_t *start;    /* per key: its first in `rows`; n_keys + 1 of them */
    uint32_t *rows;
    struct dm_schema *schema; /* of the fields */
    struct dm_batch *stored;  /* stored rows with the fields only */
    uint32_t *stored_row;     /* per key: its row in `stored`; DM_NO_ROW: none is needed */
};

static bool waits(const struct dm_version_pass *p, uint32_t row)
{
    return p->waits != NULL && p->waits[row];
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

/* ---- chains ---- */

struct link {
    const uint8_t *version;
    uint32_t len, row, arrival;
    bool gone;
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

static void make_chains(struct chains *c)
{
    struct dm_version_pass *p = c->p;
    c->start = dm_xalloc((p->n_keys + 1) * sizeof *c->start);
    c->rows = dm_xalloc((p->n_rows + 1) * sizeof *c->rows);
    struct link *links = dm_xalloc((p->n_rows + 1) * sizeof *links);
    size_t n = 0;
    for (size_t k = 0; k < p->n_keys; k++) {
        const struct dm_version_state stored = {.version = p->stored[k].old_version,
                                                .len = p->stored[k].old_version_len,
                                                .live = dm_place_known(p->stored[k].old)};
        size_t first, end, m = 0;
        dm_version_pass_group(p, k, &first, &end);
        for (size_t i = first; i < end; i++) {
            struct link *l = &links[m];
            if (waits(p, p->rows[i].row) && !c->waiting_too)
                continue;
            *l = (struct link){.row = p->rows[i].row, .arrival = (uint32_t)i};
            l->gone = dm_version_pass_deletes(p, l->row);
            l->version = dm_version_at(&p->versions, l->row, &l->len);
            m += dm_verdict_applies(dm_version_decide(&stored, l->version, l->len));
        }
        if (m > 1)
            qsort(links, m, sizeof *links, compare_links);
        c->start[k] = n;
        for (size_t i = 0; i < m; i++)
            c->rows[n++] = links[i].row;
    }
    c->start[p->n_keys] = n;
    free(links);
}

/* ---- stored rows ---- */

static bool has(const struct chains *c, uint32_t row, enum dm_value_state state)
{
    for (size_t i = 0; i < c->n_fields; i++)
        if (c->p->batch->columns[c->fields[i]].state[row] == state)
            return true;
    return false;
}

static bool wants_stored(const struct chains *c, uint32_t row)
{
    return has(c, row, DM_UNCHANGED) || (c->nulls_too && has(c, row, DM_NULL));
}

static int compare_by_place(const void *a, const void *b)
{
    const struct dm_index_change *x = a, *y = b;
    if (x->old.file != y->old.file)
        return x->old.file < y->old.file ? -1 : 1;
    return (x->old.position > y->old.position) - (x->old.position < y->old.position);
}

static enum dm_status fetch_file(struct chains *c, const struct dm_index_change *wanted, size_t n,
                                 struct dm_error *err)
{
    const struct dm_dataset_state *state = &c->p->t->state;
    const char *path;
    if (dm_apply_indexed_file(c->p->a, state->namespace, state->name, wanted[0].old.file, &path, err) !=
        DM_OK)
        return DM_FAIL;
    uint32_t *positions = dm_xalloc(n * sizeof *positions);
    for (size_t i = 0; i < n; i++) {
        positions[i] = wanted[i].old.position;
        c->stored_row[wanted[i].row] = (uint32_t)(c->stored->rows + i);
    }
    enum dm_status status =
        dm_parquet_fetch(c->p->a->mirror->engine, path, positions, n, c->schema, c->stored, err);
    free(positions);
    return status;
}

/* Does the key's first change take values from the stored row? So do those behind it, as long as those before them wait. */
static bool takes_stored(const struct chains *c, size_t k)
{
    for (size_t i = c->start[k]; i < c->start[k + 1]; i++) {
        uint32_t row = c->rows[i];
        if (!dm_version_pass_deletes(c->p, row) && wants_stored(c, row))
            return true;
        if (!waits(c->p, row))
            return false;
    }
    return false;
}

static enum dm_status fetch_stored(struct chains *c, struct dm_error *err)
{
    struct dm_version_pass *p = c->p;
    c->stored = dm_batch_new(c->schema);
    c->stored_row = dm_xalloc((p->n_keys + 1) * sizeof *c->stored_row);
    struct dm_index_change *wanted = dm_xalloc((p->n_keys + 1) * sizeof *wanted);
    size_t n = 0;
    for (size_t k = 0; k < p->n_keys; k++) {
        c->stored_row[k] = DM_NO_ROW;
        if (!dm_place_known(p->stored[k].old) || !takes_stored(c, k))
            continue;
        wanted[n] = p->stored[k];
        wanted[n++].row = (uint32_t)k;
    }
    qsort(wanted, n, sizeof *wanted, compare_by_place);
    enum dm_status status = DM_OK;
    for (size_t i = 0, end; i < n && status == DM_OK; i = end) {
        for (end = i + 1; end < n && wanted[end].old.file == wanted[i].old.file;)
            end++;
        status = fetch_file(c, wanted + i, end - i, err);
    }
    free(wanted);
    return status;
}

/* ---- filling ---- */

/* Where each row's value comes from: below `rows` a row of the batch, from there on one of `stored`; its own row when it has one, or nobody does. */
static bool find_origins(const struct chains *c, const struct dm_column *column, uint32_t *origin)
{
    const struct dm_version_pass *p = c->p;
    uint32_t rows = (uint32_t)p->batch->rows;
    bool any = column->unchanged > 0;
    for (uint32_t i = 0; i < rows; i++)
        origin[i] = i;
    for (size_t k = 0; k < p->n_keys; k++) {
        uint32_t now = c->stored_row[k] != DM_NO_ROW ? rows + c->stored_row[k] : DM_NO_ROW;
        for (size_t i = c->start[k]; i < c->start[k + 1]; i++) {
            uint32_t row = c->rows[i];
            uint8_t state = column->state[row];
            bool keeps = state == DM_UNCHANGED || (state == DM_NULL && c->nulls_too);
            if (c->bad != NULL && c->bad[row])
                continue;
            if (dm_version_pass_deletes(p, row)) {
                now = DM_NO_ROW;
            } else if (keeps && now != DM_NO_ROW) {
                origin[row] = now;
                any = true;
            } else if (!waits(p, row)) {
                now = row;
            }
        }
    }
    return any;
}

/* *any false: the column has all its values, and nothing is in *out. */
static enum dm_status fill_column(const struct chains *c, size_t i, struct dm_column *out, bool *any,
                                  struct dm_error *err)
{
    const struct dm_column *column = &c->p->batch->columns[c->fields[i]];
    const struct dm_column *stored = &c->stored->columns[i];
    uint32_t *origin = dm_xalloc((c->p->batch->rows + 1) * sizeof *origin);
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
        if (origin[row] == row && column->state[row] == DM_UNCHANGED)
            dm_column_append_null(&filled); /* of a row that is bad, or too old to matter */
        else if (origin[row] >= rows)
            status = dm_column_append_value(&filled, stored, origin[row] - rows, err);
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

/* Upserts behind which no row stands. Those that are too old matter to a history only, which would have to know the values of then. */
static void find_bad(struct chains *c)
{
    struct dm_version_pass *p = c->p;
    bool *chained = dm_xzalloc(p->batch->rows + 1, sizeof *chained);
    for (size_t k = 0; k < p->n_keys; k++) {
        bool live = dm_place_known(p->stored[k].old);
        for (size_t i = c->start[k]; i < c->start[k + 1]; i++) {
            uint32_t row = c->rows[i];
            chained[row] = true;
            if (dm_version_pass_deletes(p, row))
                live = false;
            else if (!live && has(c, row, DM_UNCHANGED))
                put_aside(c, row);
            else
                live = true;
        }
    }
    bool history = p->t->rules->schema->settings.history == DM_HISTORY_SCD2;
    for (size_t i = 0; history && i < p->n_rows; i++) {
        uint32_t row = p->rows[i].row;
        if (!chained[row] && (p->waits == NULL || !p->waits[row]) && has(c, row, DM_UNCHANGED))
            put_aside(c, row);
    }
    free(chained);
}

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
    free(c->fields);
    free(c->start);
    free(c->rows);
    free(c->stored_row);
}

enum dm_status dm_null_updates_resolve(struct dm_version_pass *p, struct dm_error *err)
{
    struct chains c = {.p = p, .nulls_too = p->t->rules->schema->settings.ignore_null_updates};
    enum dm_status status = DM_OK;
    choose_fields(&c, NULL, 0);
    if (c.n_fields > 0) {
        make_chains(&c);
        find_bad(&c);
        status = fetch_stored(&c, err);
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
        make_chains(&c);
        status = fetch_stored(&c, err);
    }
    for (size_t i = 0; i < c.n_fields && status == DM_OK; i++)
        for (size_t k = 0; k < n && status == DM_OK; k++)
            if (columns[k] == c.fields[i] && !filled[k])
                status = fill_column(&c, i, &out[k], &filled[k], err);
    release_chains(&c);
    return status;
}
