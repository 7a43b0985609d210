/* Children whose parent has come go through the intake again. Which parents may have come is told by the tags of the key index: only datasets that
 * changed since the last look are asked. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/relationship/orphan.h"
#include "mirror/quarantine/quarantine.h"

enum { KEYS_AT_ONCE = 8192 };

struct seen {
    uint32_t parent;
    int64_t tag;
    uint64_t waiting; /* children then: another one may wait for a parent that was there already */
    int64_t last_id;
};

struct dm_orphan_watch {
    size_t n;
    struct seen *items;
};

void dm_orphan_watch_free(struct dm_orphan_watch *w)
{
    if (w != NULL)
        free(w->items);
    free(w);
}

/* Rows whose parents are there. */
struct found {
    size_t n, capacity;
    struct {
        uint32_t dataset;
        int64_t id;
    } * items;
};

/* Has the parent's dataset, or what waits for it, changed since the last look? */
static bool has_changed(struct dm_orphan_watch *w, const struct seen *now)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->items[i].parent != now->parent)
            continue;
        bool changed = w->items[i].tag != now->tag || w->items[i].last_id < now->last_id;
        w->items[i] = *now;
        return changed;
    }
    w->items = dm_xrealloc(w->items, w->n + 1, sizeof *w->items);
    w->items[w->n++] = *now;
    return true;
}

static enum dm_status take_rows(sqlite3 *db, sqlite3_stmt *rows, uint32_t parent,
                                const struct dm_index_change *key, struct found *found, struct dm_error *err)
{
    sqlite3_bind_int64(rows, 1, (sqlite3_int64)parent);
    sqlite3_bind_blob64(rows, 2, key->key, key->key_len, SQLITE_STATIC);
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (found->n == found->capacity) {
            found->capacity = found->capacity == 0 ? 256 : found->capacity * 2;
            found->items = dm_xrealloc(found->items, found->capacity, sizeof *found->items);
        }
        found->items[found->n].dataset = (uint32_t)sqlite3_column_int64(rows, 0);
        found->items[found->n++].id = sqlite3_column_int64(rows, 1);
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "waiting children", err);
}

/* One portion of the keys that somebody waits for, in order. *n: how many there were. */
static enum dm_status look_up_portion(struct dm_mirror *m, uint32_t parent, struct dm_buffer *after,
                                      struct found *found, size_t *n, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    sqlite3_stmt *keys = NULL, *rows = NULL;
    struct dm_index_change *asked = dm_xzalloc(KEYS_AT_ONCE, sizeof *asked);
    enum dm_status status = DM_OK;
    *n = 0;
    if (sqlite3_prepare_v2(db,
                           "SELECT DISTINCT parent_key FROM dm_quarantine WHERE waits_for = ?1"
                           " AND (?2 IS NULL OR parent_key > ?2) ORDER BY parent_key LIMIT ?3",
                           -1, &keys, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "SELECT dataset, id FROM dm_quarantine WHERE waits_for = ?1 AND parent_key = ?2",
                           -1, &rows, NULL) != SQLITE_OK)
        status = dm_sql_fail(db, "waiting children", err);
    if (status == DM_OK) {
        sqlite3_bind_int64(keys, 1, (sqlite3_int64)parent);
        if (after->len > 0)
            sqlite3_bind_blob64(keys, 2, after->data, after->len, SQLITE_STATIC);
        sqlite3_bind_int(keys, 3, KEYS_AT_ONCE);
        int code;
        while ((code = sqlite3_step(keys)) == SQLITE_ROW && *n < KEYS_AT_ONCE) {
            size_t length = (size_t)sqlite3_column_bytes(keys, 0);
            uint8_t *copy = dm_xalloc(length + 1);
            if (length > 0)
                memcpy(copy, sqlite3_column_blob(keys, 0), length);
            asked[(*n)++] = (struct dm_index_change){.key = copy, .key_len = (uint32_t)length};
        }
        if (code != SQLITE_DONE && code != SQLITE_ROW)
            status = dm_sql_fail(db, "waiting children", err);
    }
    if (status == DM_OK && *n > 0)
        status = dm_keyindex_lookup(m->index, parent, asked, *n, err);
    for (size_t i = 0; i < *n && status == DM_OK; i++)
        if (dm_place_known(asked[i].old))
            status = take_rows(db, rows, parent, &asked[i], found, err);
    if (status == DM_OK && *n > 0) {
        dm_buffer_clear(after);
        status = dm_buffer_append(after, asked[*n - 1].key, asked[*n - 1].key_len, err);
    }
    sqlite3_finalize(keys);
    sqlite3_finalize(rows);
    for (size_t i = 0; i < *n; i++)
        free((void *)(uintptr_t)asked[i].key);
    free(asked);
    return status;
}

static enum dm_status look_up(struct dm_mirror *m, uint32_t parent, struct found *found, struct dm_error *err)
{
    struct dm_buffer after;
    dm_buffer_init(&after, DM_KEY_MAX_BYTES);
    size_t n = KEYS_AT_ONCE;
    enum dm_status status = DM_OK;
    while (n == KEYS_AT_ONCE && status == DM_OK)
        status = look_up_portion(m, parent, &after, found, &n, err);
    dm_buffer_release(&after);
    return status;
}

/* The parents that somebody waits for, and what they look like now. Index transaction open. */
static enum dm_status read_parents(struct dm_mirror *m, struct seen **out, size_t *n, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    sqlite3_stmt *st = NULL;
    *out = NULL;
    *n = 0;
    if (sqlite3_prepare_v2(
            db,
            "SELECT waits_for, count(*), max(id) FROM dm_quarantine WHERE waits_for IS NOT NULL"
            " GROUP BY waits_for",
            -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "waiting children", err);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        *out = dm_xrealloc(*out, *n + 1, sizeof **out);
        (*out)[(*n)++] = (struct seen){.parent = (uint32_t)sqlite3_column_int64(st, 0),
                                       .waiting = (uint64_t)sqlite3_column_int64(st, 1),
                                       .last_id = sqlite3_column_int64(st, 2)};
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "waiting children", err);
}

/* Lake mutex held, no commit open. */
static enum dm_status find_all(struct dm_mirror *m, struct found *found, struct dm_error *err)
{
    struct seen *parents;
    size_t n;
    enum dm_status status = read_parents(m, &parents, &n, err);
    if (status == DM_OK && n > 0) {
        if (m->orphan_watch == NULL)
            m->orphan_watch = dm_xzalloc(1, sizeof *m->orphan_watch);
        status = dm_keyindex_begin(m->index, err);
        for (size_t i = 0; i < n && status == DM_OK; i++) {
            status = dm_keyindex_tag_get(m->index, parents[i].parent, &parents[i].tag, err);
            if (status == DM_OK && has_changed(m->orphan_watch, &parents[i]))
                status = look_up(m, parents[i].parent, found, err);
        }
        dm_keyindex_abort(m->index);
    }
    free(parents);
    return status;
}

static int compare_found(const void *a, const void *b)
{
    const struct {
        uint32_t dataset;
        int64_t id;
    } *x = a, *y = b;
    if (x->dataset != y->dataset)
        return x->dataset < y->dataset ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static enum dm_status replay(struct dm_mirror *m, uint32_t dataset, const int64_t *ids, size_t n,
                             uint64_t *moved, struct dm_error *err)
{
    struct dm_dataset_states states = {0};
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_state_datasets(dm_lake_sqlite(m->lake), "", &states, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    for (size_t i = 0; status == DM_OK && i < states.n; i++) {
        const struct dm_dataset_state *d = &states.items[i];
        if (d->id != dataset)
            continue;
        struct dm_quarantine_choice choice = {.dataset = dataset, .ids = ids, .n_ids = n};
        struct dm_replay_result result;
        status = dm_quarantine_replay(m, d, &choice, NULL, &result, err);
        if (status != DM_OK)
            continue;
        *moved += result.replayed - result.stayed;
        dm_log(DM_LOG_INFO, "%s.%s: the parents of %llu waiting rows have come", d->namespace, d->name,
               (unsigned long long)(result.replayed - result.stayed));
    }
    if (status == DM_OK)
        dm_dataset_states_release(&states);
    return status;
}

enum dm_status dm_orphans_release(struct dm_mirror *m, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (uint64_t moved = 1; moved > 0 && status == DM_OK;) {
        struct found found = {0};
        moved = 0;
        (void)pthread_mutex_lock(&m->lake_mutex);
        status = find_all(m, &found, err);
        (void)pthread_mutex_unlock(&m->lake_mutex);
        if (found.n > 0)
            qsort(found.items, found.n, sizeof *found.items, compare_found);
        int64_t *ids = dm_xalloc((found.n + 1) * sizeof *ids);
        for (size_t i = 0; i < found.n && status == DM_OK;) {
            size_t n = 0;
            uint32_t dataset = found.items[i].dataset;
            for (; i < found.n && found.items[i].dataset == dataset; i++)
                ids[n++] = found.items[i].id;
            status = replay(m, dataset, ids, n, &moved, err);
        }
        free(ids);
        free(found.items);
    }
    if (status != DM_OK) { /* look at all of them the next time */
        (void)pthread_mutex_lock(&m->lake_mutex);
        dm_orphan_watch_free(m->orphan_watch);
        m->orphan_watch = NULL;
        (void)pthread_mutex_unlock(&m->lake_mutex);
    }
    return status;
}
