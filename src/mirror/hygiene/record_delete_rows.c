#include "mirror/hygiene/record_delete_rows.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lake/dataset_scan.h"
#include "mirror/hygiene/erase_files.h"
#include "mirror/quarantine/quarantine_table.h"

/* ---- rows ---- */

struct places {
    size_t n, room;
    struct dm_place *items;
};

static void add_place(struct places *p, struct dm_place place)
{
    if (p->n == p->room) {
        p->room = p->room == 0 ? 64 : p->room * 2;
        p->items = dm_xrealloc(p->items, p->room, sizeof *p->items);
    }
    p->items[p->n++] = place;
}

static void on_hit(void *ctx, uint32_t file, uint32_t position)
{
    add_place(ctx, (struct dm_place){.file = file, .position = position});
}

static int by_file(const void *a, const void *b)
{
    const struct dm_place *x = a, *y = b;
    return x->file != y->file          ? (x->file < y->file ? -1 : 1)
           : x->position < y->position ? -1
                                       : x->position > y->position;
}

static enum dm_status delete_places(struct dm_commit *commit, const struct dm_dataset *d, struct places *p,
                                    struct dm_error *err)
{
    if (p->n > 0)
        qsort(p->items, p->n, sizeof *p->items, by_file);
    uint32_t *positions = dm_xalloc((p->n + 1) * sizeof *positions);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < p->n && status == DM_OK;) {
        uint32_t file = p->items[i].file;
        size_t n = 0;
        for (; i < p->n && p->items[i].file == file; i++)
            positions[n++] = p->items[i].position;
        status = dm_commit_delete_rows(commit, d->namespace, d->name, file, positions, n, err);
    }
    free(positions);
    return status;
}

/* Out of the dataset and its index. A declared dataset's tombstones leave the index, too: suppression takes their place. */
static enum dm_status delete_rows(struct dm_mirror *m, struct dm_commit *commit, struct dm_deleting *g,
                                  struct dm_error *err)
{
    size_t n = g->part->keys->rows;
    struct dm_index_change *c = dm_index_changes_of(&g->keys);
    dm_index_changes_sort(c, n);
    enum dm_status status = dm_keyindex_apply(m->index, g->part->state.id, c, n, err);
    struct places places = {0};
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if (dm_place_known(c[i].old))
            add_place(&places, c[i].old);
    g->rows = places.n;
    if (status == DM_OK)
        status = delete_places(commit, g->part->dataset, &places, err);
    free(places.items);
    free(c);
    return status;
}

/* Of a side dataset: whatever visible row has one of the keys, or referred to a deleted row. */
static enum dm_status delete_side_rows(struct dm_mirror *m, struct dm_commit *commit, struct dm_deleting *g,
                                       const struct dm_dataset *side, struct dm_error *err)
{
    struct dm_erase_match *match =
        dm_erase_match_new(&(struct dm_erase_match_options){.dataset = g->part->dataset->schema,
                                                            .stored = side->schema,
                                                            .set = g->set,
                                                            .n_lists = g->n_lists,
                                                            .lists = g->lists});
    struct places places = {0};
    struct dm_scan_file *files = dm_dataset_scan(side);
    enum dm_status status =
        dm_erase_find(m->engine, files, side->n_files, false, match, on_hit, &places, err);
    if (status == DM_OK && commit != NULL)
        status = delete_places(commit, side, &places, err);
    const char *tail = side->name + strlen(g->part->state.name);
    *(strcmp(tail, "__tombstones") == 0 ? &g->tombstones : &g->history) += places.n;
    free(places.items);
    free(files);
    dm_erase_match_free(match);
    return status;
}

enum dm_status dm_deleting_rows(struct dm_mirror *m, struct dm_commit *commit, struct dm_deleting *g,
                                struct dm_error *err)
{
    struct dm_family family;
    if (dm_family_load(m, &g->part->state, &family, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = commit != NULL ? delete_rows(m, commit, g, err) : DM_OK;
    for (size_t i = 1; i < family.n && status == DM_OK; i++)
        status = delete_side_rows(m, commit, g, family.members[i], err);
    dm_family_release(&family);
    if (status != DM_OK)
        dm_error_prefix(err, "%s", g->part->name);
    return status;
}

/* ---- quarantine ---- */

static void add_id(struct dm_deleting *g, int64_t id)
{
    g->ids = dm_xrealloc(g->ids, g->n_ids + 1, sizeof *g->ids);
    g->ids[g->n_ids++] = id;
}

static int by_id(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void sort_ids(struct dm_deleting *g)
{
    size_t kept = 0;
    if (g->n_ids > 0)
        qsort(g->ids, g->n_ids, sizeof *g->ids, by_id);
    for (size_t i = 0; i < g->n_ids; i++)
        if (kept == 0 || g->ids[kept - 1] != g->ids[i])
            g->ids[kept++] = g->ids[i];
    g->n_ids = kept;
}

/* A bad row whose key nobody could read (a line with too few values) is found by the key's text in it. Short texts and numbers would be found anywhere. */
static enum dm_status match_texts(struct dm_mirror *m, struct dm_deleting *g, struct dm_error *err)
{
    enum { shortest = 5 };
    const struct dm_column *c = &g->part->keys->columns[0];
    sqlite3 *db = dm_lake_sqlite(m->lake);
    sqlite3_stmt *st;
    if (g->part->keys->n_columns != 1 || c->type.id != DM_STRING)
        return DM_OK;
    if (sqlite3_prepare_v2(db,
                           "SELECT id FROM dm_quarantine WHERE dataset = ?1 AND "
                           "instr(raw, ?2) > 0",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    int code = SQLITE_DONE;
    for (size_t i = 0; i < g->part->keys->rows && code == SQLITE_DONE; i++) {
        size_t n;
        const uint8_t *text = dm_column_bytes_at(c, i, &n);
        if (n < shortest)
            continue;
        sqlite3_bind_int64(st, 1, g->part->state.id);
        sqlite3_bind_text64(st, 2, (const char *)text, n, SQLITE_STATIC, SQLITE_UTF8);
        while ((code = sqlite3_step(st)) == SQLITE_ROW)
            add_id(g, sqlite3_column_int64(st, 0));
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK
                               : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
}

enum dm_status dm_deleting_add_waiting(struct dm_mirror *m, struct dm_deleting *all, size_t n, size_t which,
                                       struct dm_error *err)
{
    struct dm_deleting *g = &all[which];
    sqlite3 *db = dm_lake_sqlite(m->lake);
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db,
                           "SELECT id, parent_key FROM dm_quarantine WHERE waits_for = ?1 UNION"
                           " SELECT row, parent_key FROM dm_waits_also WHERE parent = ?1",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    sqlite3_bind_int64(st, 1, g->part->state.id);
    size_t had = g->n_ids;
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(st, 0);
        bool known =
            !dm_suppressed_has(g->set, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
        for (size_t i = 0; i < n && !known; i++) {
            size_t sorted = i == which ? had : all[i].n_ids;
            known = sorted > 0 && bsearch(&id, all[i].ids, sorted, sizeof id, by_id) != NULL;
        }
        if (!known)
            add_id(g, id);
    }
    sqlite3_finalize(st);
    sort_ids(g);
    return code == SQLITE_DONE ? DM_OK
                               : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
}

/* ---- what is remembered ---- */

static void add_list(struct dm_deleting *g, const struct dm_column_list *l)
{
    g->lists = dm_xrealloc(g->lists, g->n_lists + 1, sizeof *g->lists);
    g->lists[g->n_lists++] = dm_column_list_copy(l);
}

/* What former rows referred to. */
static enum dm_status add_tuples(struct dm_mirror *m, struct dm_deleting *g, const struct dm_delete_tuples *t,
                                 struct dm_error *err)
{
    struct dm_key_hash *hashes = NULL;
    size_t n = 0;
    enum dm_status status = dm_erase_hash_tuples(m->suppression, &t->columns, t->tuples, &hashes, &n, err);
    if (status == DM_OK && n > 0) {
        g->hashes = dm_xrealloc(g->hashes, g->n_hashes + n, sizeof *g->hashes);
        memcpy(g->hashes + g->n_hashes, hashes, n * sizeof *hashes);
        g->n_hashes += n;
        add_list(g, &t->columns);
    }
    free(hashes);
    return status;
}

static enum dm_status add_marked(struct dm_mirror *m, struct dm_deleting *g,
                                 const struct dm_column_list *columns, const struct dm_batch *tuples,
                                 struct dm_error *err)
{
    g->marked = dm_xrealloc(g->marked, g->n_marked + 1, sizeof *g->marked);
    struct dm_marked_hashes *h = &g->marked[g->n_marked++];
    *h = (struct dm_marked_hashes){.columns = dm_column_list_copy(columns)};
    return dm_erase_hash_tuples(m->suppression, columns, tuples, &h->hashes, &h->n, err);
}

/* By which rows are kept out. What was of rows that stay cannot come by itself into a mirrored table: its source has it no more. */
static enum dm_status prepare_suppression(struct dm_mirror *m, struct dm_deleting *g, struct dm_error *err)
{
    const struct dm_delete_part *part = g->part;
    struct dm_column_list key = dm_column_list_of_key(part->dataset->schema);
    enum dm_status status = add_marked(m, g, &key, part->keys, err);
    for (size_t i = 0; i < part->n_former && status == DM_OK && part->declared != NULL; i++)
        status = add_marked(m, g, &part->former[i].columns, part->former[i].tuples, err);
    dm_column_list_release(&key);
    return status;
}

void dm_deleting_stage(struct dm_suppression *s, const struct dm_deleting *g, int64_t order, bool back)
{
    uint32_t dataset = g->part->state.id;
    size_t keys = g->part->keys->rows;
    if (back)
        dm_suppression_stage_removal(s, dataset, g->hashes, keys);
    else
        dm_suppression_stage(s, dataset, g->hashes, keys, order);
    for (size_t i = 0; i < g->n_marked; i++) {
        const struct dm_marked_hashes *h = &g->marked[i];
        if (back)
            dm_suppression_stage_marked_removal(s, dataset, h->hashes, h->n);
        else
            dm_suppression_stage_marked(s, dataset, &h->columns, h->hashes, h->n);
    }
}

enum dm_status dm_deleting_prepare(struct dm_mirror *m, struct dm_delete_part *part, struct dm_deleting *g,
                                   struct dm_error *err)
{
    *g = (struct dm_deleting){.part = part, .n_hashes = part->keys->rows};
    if (dm_key_list_encode(&g->keys, part->keys, err) != DM_OK)
        return DM_FAIL;
    g->hashes = dm_xzalloc(g->n_hashes + 1, sizeof *g->hashes);
    for (size_t i = 0; i < g->n_hashes; i++)
        dm_suppression_hash(m->suppression, g->keys.bytes.data + g->keys.offsets[i],
                            g->keys.offsets[i + 1] - g->keys.offsets[i], &g->hashes[i]);
    static const struct dm_column_list key;
    add_list(g, &key);
    enum dm_status status = prepare_suppression(m, g, err);
    for (size_t i = 0; i < part->n_tuples && status == DM_OK; i++)
        status = add_tuples(m, g, &part->tuples[i], err);
    g->set = dm_suppressed_new(m->suppression, g->hashes, g->n_hashes);
    if (status == DM_OK)
        status =
            dm_quarantine_of_keys(m, part->state.id, part->dataset->schema, g->set, &g->ids, &g->n_ids, err);
    for (size_t i = 0; i < part->n_ids; i++)
        add_id(g, part->ids[i]);
    if (status == DM_OK)
        status = match_texts(m, g, err);
    sort_ids(g);
    return status;
}

void dm_deleting_release(struct dm_deleting *g)
{
    dm_key_list_release(&g->keys);
    dm_suppressed_unref(g->set);
    for (size_t i = 0; i < g->n_lists; i++)
        dm_column_list_release(&g->lists[i]);
    free(g->lists);
    for (size_t i = 0; i < g->n_marked; i++) {
        dm_column_list_release(&g->marked[i].columns);
        free(g->marked[i].hashes);
    }
    free(g->marked);
    free(g->hashes);
    free(g->ids);
    *g = (struct dm_deleting){0};
}

enum dm_status dm_deleting_save(struct sqlite3 *db, int64_t order, bool erasing, const struct dm_deleting *g,
                                struct dm_error *err)
{
    struct dm_quarantine_choice choice = {.n_ids = g->n_ids, .ids = g->ids};
    enum dm_status status = g->n_ids > 0 ? dm_quarantine_remove(db, &choice, NULL, err) : DM_OK;
    if (status == DM_OK && erasing)
        status = dm_work_order_put_keys(db, order, g->part->state.id, g->hashes, g->n_hashes, err);
    for (size_t i = 1; i < g->n_lists && status == DM_OK && erasing; i++) /* the key is known */
        status = dm_work_order_put_columns(db, order, g->part->state.id, &g->lists[i], err);
    return status;
}
