/* Children whose parent has come go through the intake again. Which parents may have come is told by the tags of the key index: only datasets that
 * changed since the last look are asked. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/quarantine/quarantine.h"
#include "mirror/relationship/orphan_circle.h"

enum { KEYS_AT_ONCE = 8192, again_after_ms = 60000 };

struct seen {
    uint32_t parent;
    int64_t tag;
    int64_t last_id; /* of its children then: another one may wait for a parent that was there already */
};

struct dm_orphan_watch {
    size_t n;
    struct seen *items;
    int64_t circles_until; /* no row up to this id is part of a circle */
    size_t n_failed;       /* datasets whose rows could not be taken in, with their schema as it was then */
    struct failed {
        uint32_t dataset;
        int64_t at_us; /* monotonic */
    } * failed;
};

void dm_orphan_watch_free(struct dm_orphan_watch *w)
{
    if (w != NULL) {
        free(w->items);
        free(w->failed);
    }
    free(w);
}

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
                                const struct dm_index_change *key, struct dm_orphan_rows *found,
                                struct dm_error *err)
{
    sqlite3_bind_int64(rows, 1, (sqlite3_int64)parent);
    sqlite3_bind_blob64(rows, 2, key->key, key->key_len, SQLITE_STATIC);
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        dm_orphan_rows_add(found, (uint32_t)sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1));
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "waiting children", err);
}

/* One portion of the keys that somebody waits for, in order. *n: how many there were. */
static enum dm_status look_up_portion(struct dm_mirror *m, uint32_t parent, struct dm_buffer *after,
                                      struct dm_orphan_rows *found, size_t *n, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    sqlite3_stmt *keys = NULL, *rows = NULL;
    struct dm_index_change *asked = dm_xzalloc(KEYS_AT_ONCE, sizeof *asked);
    enum dm_status status = DM_OK;
    *n = 0;
    if (sqlite3_prepare_v2(db,
                           "SELECT parent_key FROM dm_quarantine WHERE waits_for = ?1"
                           " AND (?2 IS NULL OR parent_key > ?2) UNION SELECT parent_key FROM dm_waits_also"
                           " WHERE parent = ?1 AND (?2 IS NULL OR parent_key > ?2)"
                           " ORDER BY parent_key LIMIT ?3",
                           -1, &keys, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "SELECT dataset, id FROM dm_quarantine WHERE waits_for = ?1 AND parent_key = ?2"
                           " UNION SELECT q.dataset, q.id FROM dm_waits_also a JOIN dm_quarantine q"
                           " ON q.id = a.row WHERE a.parent = ?1 AND a.parent_key = ?2",
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

static enum dm_status look_up(struct dm_mirror *m, uint32_t parent, struct dm_orphan_rows *found,
                              struct dm_error *err)
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
            "SELECT parent, max(id) FROM (SELECT waits_for AS parent, id FROM dm_quarantine WHERE"
            " waits_for > 0 UNION ALL SELECT parent, row FROM dm_waits_also) GROUP BY parent",
            -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "waiting children", err);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        *out = dm_xrealloc(*out, *n + 1, sizeof **out);
        (*out)[(*n)++] = (struct seen){.parent = (uint32_t)sqlite3_column_int64(st, 0),
                                       .last_id = sqlite3_column_int64(st, 1)};
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "waiting children", err);
}

/* Rows of a dataset that takes none in are tried once a minute only: with a relationship that cannot be enforced any more, say. */
static struct failed *failure_of(struct dm_orphan_watch *w, uint32_t dataset)
{
    for (size_t i = 0; i < w->n_failed; i++)
        if (w->failed[i].dataset == dataset)
            return &w->failed[i];
    return NULL;
}

static bool failed_just_now(struct dm_orphan_watch *w, uint32_t dataset)
{
    const struct failed *f = failure_of(w, dataset);
    return f != NULL && dm_clock_monotonic_us() - f->at_us < (int64_t)again_after_ms * 1000;
}

static void note_failure(struct dm_orphan_watch *w, const struct dm_dataset_state *d,
                         const struct dm_error *why)
{
    struct failed *f = failure_of(w, d->id);
    if (f == NULL) {
        w->failed = dm_xrealloc(w->failed, w->n_failed + 1, sizeof *w->failed);
        f = &w->failed[w->n_failed++];
        f->dataset = d->id;
    }
    f->at_us = dm_clock_monotonic_us();
    struct dm_error told = *why;
    dm_error_prefix(&told, "rows of %s.%s that wait", d->namespace, d->name);
    dm_log_error(DM_LOG_WARN, "they go on waiting", &told);
}

/* Those whose key, version, rules or parents may be other ones since they were looked at. */
static enum dm_status find_asked(struct dm_mirror *m, struct dm_orphan_rows *found, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, "SELECT dataset, id FROM dm_quarantine WHERE waits_for = 0", -1, &st, NULL) !=
        SQLITE_OK)
        return dm_sql_fail(db, "waiting children", err);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        uint32_t dataset = (uint32_t)sqlite3_column_int64(st, 0);
        if (!failed_just_now(m->orphan_watch, dataset))
            dm_orphan_rows_add(found, dataset, sqlite3_column_int64(st, 1));
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "waiting children", err);
}

/* Lake mutex held, no commit open. */
static enum dm_status find_all(struct dm_mirror *m, struct dm_orphan_rows *found, struct dm_error *err)
{
    struct seen *parents;
    size_t n;
    if (m->orphan_watch == NULL)
        m->orphan_watch = dm_xzalloc(1, sizeof *m->orphan_watch);
    enum dm_status status = find_asked(m, found, err);
    if (status != DM_OK || read_parents(m, &parents, &n, err) != DM_OK)
        return DM_FAIL;
    if (n > 0) {
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

static int compare_rows(const void *a, const void *b)
{
    const struct dm_orphan_row *x = a, *y = b;
    if (x->dataset != y->dataset)
        return x->dataset < y->dataset ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* The rows as parts of a replay; `states` and `ids` are theirs. */
static size_t divide(struct dm_orphan_rows *rows, const struct dm_dataset_states *states, int64_t *ids,
                     struct dm_replay_part *parts)
{
    size_t n = 0, n_ids = 0;
    if (rows->n > 0)
        qsort(rows->items, rows->n, sizeof *rows->items, compare_rows);
    for (size_t i = 0; i < rows->n;) {
        uint32_t dataset = rows->items[i].dataset;
        size_t first = n_ids;
        for (; i < rows->n && rows->items[i].dataset == dataset; i++)
            if (n_ids == first || ids[n_ids - 1] != rows->items[i].id)
                ids[n_ids++] = rows->items[i].id;
        for (size_t k = 0; k < states->n; k++)
            if (states->items[k].id == dataset)
                parts[n++] = (struct dm_replay_part){
                    .dataset = &states->items[k],
                    .choice = {.dataset = dataset, .ids = ids + first, .n_ids = n_ids - first}};
    }
    return n;
}

static enum dm_status replay(struct dm_mirror *m, struct dm_orphan_rows *rows, const char *origin,
                             uint64_t *moved, struct dm_error *err)
{
    struct dm_dataset_states states = {0};
    *moved = 0;
    if (rows->n == 0)
        return DM_OK;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_state_datasets(dm_lake_sqlite(m->lake), "", &states, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status != DM_OK)
        return status;
    int64_t *ids = dm_xalloc(rows->n * sizeof *ids);
    struct dm_replay_part *parts = dm_xzalloc(states.n + 1, sizeof *parts);
    size_t n = divide(rows, &states, ids, parts);
    status = dm_quarantine_replay(m, parts, n, origin, NULL, err);
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        uint64_t gone = parts[i].result.replayed - parts[i].result.stayed;
        *moved += gone;
        m->orphan_watch->circles_until = parts[i].result.stayed > 0 ? 0 : m->orphan_watch->circles_until;
        if (gone > 0)
            dm_log(DM_LOG_INFO, "%s.%s: %llu waiting rows need not wait any longer",
                   parts[i].dataset->namespace, parts[i].dataset->name, (unsigned long long)gone);
        if (parts[i].error.class == DM_ERROR_NONE)
            continue;
        note_failure(m->orphan_watch, parts[i].dataset, &parts[i].error);
        (void)pthread_mutex_lock(&m->lake_mutex);
        status = dm_quarantine_ask_again(dm_lake_sqlite(m->lake), parts[i].dataset->id, err);
        (void)pthread_mutex_unlock(&m->lake_mutex);
    }
    free(parts);
    free(ids);
    dm_dataset_states_release(&states);
    return status;
}

/* Rows that miss only each other. */
static enum dm_status release_circles(struct dm_mirror *m, uint64_t *moved, struct dm_error *err)
{
    char *origin = dm_quarantine_origin();
    struct dm_orphan_rows rows = {0};
    struct dm_orphan_promises promises = {.origin = origin};
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_orphan_circles_find(m, &m->orphan_watch->circles_until, &rows, &promises, err);
    m->orphan_promises = &promises;
    (void)pthread_mutex_unlock(&m->lake_mutex);
    *moved = 0;
    if (status == DM_OK)
        status = replay(m, &rows, origin, moved, err);
    (void)pthread_mutex_lock(&m->lake_mutex);
    m->orphan_promises = NULL;
    (void)pthread_mutex_unlock(&m->lake_mutex);
    dm_orphan_promises_release(&promises);
    free(rows.items);
    free(origin);
    return status;
}

static enum dm_status release_found(struct dm_mirror *m, uint64_t *moved, struct dm_error *err)
{
    struct dm_orphan_rows found = {0};
    char *origin = dm_quarantine_origin();
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = find_all(m, &found, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status == DM_OK)
        status = replay(m, &found, origin, moved, err);
    free(origin);
    free(found.items);
    return status;
}

enum dm_status dm_orphans_release(struct dm_mirror *m, struct dm_error *err)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    (void)pthread_mutex_lock(&one_at_a_time);
    enum dm_status status = DM_OK;
    for (uint64_t moved = 1; moved > 0 && status == DM_OK;) {
        status = release_found(m, &moved, err);
        if (status == DM_OK && moved == 0)
            status = release_circles(m, &moved, err);
    }
    if (status != DM_OK) { /* look at all of them the next time */
        (void)pthread_mutex_lock(&m->lake_mutex);
        dm_orphan_watch_free(m->orphan_watch);
        m->orphan_watch = NULL;
        (void)pthread_mutex_unlock(&m->lake_mutex);
    }
    (void)pthread_mutex_unlock(&one_at_a_time);
    return status;
}
