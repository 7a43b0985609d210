#include "mirror/hygiene/suppression.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/hygiene/lake_secret.h"

struct dm_suppressed {
    atomic_int references;
    uint64_t generation;
    struct dm_lake_secret secret;
    size_t n;
    size_t slots;              /* a power of two, more than twice n */
    struct dm_key_hash *table; /* all zero bytes: free */
};

/* The sets in force, and before the change that is staged. */
struct entry {
    uint32_t dataset;
    struct dm_suppressed *set;
    struct dm_suppressed *before; /* when staged */
    bool staged;
};

/* What dm_suppression_save has to write. */
struct staged {
    uint32_t dataset;
    bool remove;
    int64_t order;
    struct dm_key_hash hash;
};

struct dm_suppression {
    struct dm_lake_secret secret;
    pthread_mutex_t mutex; /* entries */
    size_t n;
    struct entry *entries;
    size_t n_staged, staged_room; /* the holder of the lake mutex */
    struct staged *staged;
};

static const struct dm_key_hash free_slot;

/* ---- sets ---- */

static struct dm_key_hash hash_of(const struct dm_lake_secret *secret, const uint8_t *key, size_t len)
{
    struct dm_key_hash h;
    dm_lake_secret_hash(secret, key, len, h.bytes);
    if (memcmp(&h, &free_slot, sizeof h) == 0)
        h.bytes[0] = 1;
    return h;
}

void dm_suppression_hash(const struct dm_suppression *s, const uint8_t *key, size_t len,
                         struct dm_key_hash *out)
{
    *out = hash_of(&s->secret, key, len);
}

/* Its slot, or the free one where it belongs. */
static size_t slot_of(const struct dm_suppressed *set, const struct dm_key_hash *h)
{
    size_t at = (size_t)dm_get_le64(h->bytes) & (set->slots - 1);
    while (memcmp(&set->table[at], &free_slot, sizeof free_slot) != 0 &&
           memcmp(&set->table[at], h, sizeof *h) != 0)
        at = (at + 1) & (set->slots - 1);
    return at;
}

static void put(struct dm_suppressed *set, const struct dm_key_hash *h)
{
    size_t at = slot_of(set, h);
    set->n += memcmp(&set->table[at], &free_slot, sizeof free_slot) == 0;
    set->table[at] = *h;
}

static struct dm_suppressed *new_set(const struct dm_lake_secret *secret, size_t room)
{
    static atomic_ullong generations;
    struct dm_suppressed *set = dm_xzalloc(1, sizeof *set);
    set->references = 1;
    set->generation = atomic_fetch_add(&generations, 1) + 1;
    set->secret = *secret;
    set->slots = 16;
    while (set->slots < room * 2 + 2)
        set->slots *= 2;
    set->table = dm_xzalloc(set->slots, sizeof *set->table);
    return set;
}

struct dm_suppressed *dm_suppressed_new(const struct dm_suppression *s, const struct dm_key_hash *hashes,
                                        size_t n)
{
    struct dm_suppressed *set = new_set(&s->secret, n);
    for (size_t i = 0; i < n; i++)
        put(set, &hashes[i]);
    return set;
}

void dm_suppressed_unref(struct dm_suppressed *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) != 1)
        return;
    free(set->table);
    free(set);
}

bool dm_suppressed_has(const struct dm_suppressed *set, const uint8_t *key, size_t len)
{
    if (set == NULL || set->n == 0 || len == 0)
        return false;
    struct dm_key_hash h = hash_of(&set->secret, key, len);
    return memcmp(&set->table[slot_of(set, &h)], &h, sizeof h) == 0;
}

size_t dm_suppressed_count(const struct dm_suppressed *set)
{
    return set != NULL ? set->n : 0;
}

uint64_t dm_suppressed_generation(const struct dm_suppressed *set)
{
    return set != NULL ? set->generation : 0;
}

/* The set with hashes added, and without those of `removed`. NULL: it would be empty. */
static struct dm_suppressed *changed_set(const struct dm_suppression *s, const struct dm_suppressed *from,
                                         const struct dm_key_hash *added, size_t n,
                                         const struct dm_suppressed *removed)
{
    struct dm_suppressed *set = new_set(&s->secret, dm_suppressed_count(from) + n);
    for (size_t i = 0; from != NULL && i < from->slots; i++) {
        const struct dm_key_hash *h = &from->table[i];
        if (memcmp(h, &free_slot, sizeof *h) != 0 &&
            (removed == NULL || memcmp(&removed->table[slot_of(removed, h)], h, sizeof *h) != 0))
            put(set, h);
    }
    for (size_t i = 0; i < n; i++)
        put(set, &added[i]);
    if (set->n > 0)
        return set;
    dm_suppressed_unref(set);
    return NULL;
}

/* ---- the lake's ---- */

static struct entry *find(struct dm_suppression *s, uint32_t dataset)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->entries[i].dataset == dataset)
            return &s->entries[i];
    return NULL;
}

static struct entry *find_or_add(struct dm_suppression *s, uint32_t dataset)
{
    struct entry *e = find(s, dataset);
    if (e != NULL)
        return e;
    s->entries = dm_xrealloc(s->entries, s->n + 1, sizeof *s->entries);
    e = &s->entries[s->n++];
    *e = (struct entry){.dataset = dataset};
    return e;
}

struct dm_suppressed *dm_suppression_of(struct dm_suppression *s, uint32_t dataset)
{
    if (s == NULL)
        return NULL;
    (void)pthread_mutex_lock(&s->mutex);
    struct entry *e = find(s, dataset);
    struct dm_suppressed *set = e != NULL ? e->set : NULL;
    if (set != NULL)
        atomic_fetch_add(&set->references, 1);
    (void)pthread_mutex_unlock(&s->mutex);
    return set;
}

static void note(struct dm_suppression *s, uint32_t dataset, const struct dm_key_hash *hashes, size_t n,
                 int64_t order, bool remove)
{
    if (s->n_staged + n > s->staged_room) {
        s->staged_room = (s->n_staged + n) * 2;
        s->staged = dm_xrealloc(s->staged, s->staged_room, sizeof *s->staged);
    }
    for (size_t i = 0; i < n; i++)
        s->staged[s->n_staged++] =
            (struct staged){.dataset = dataset, .remove = remove, .order = order, .hash = hashes[i]};
}

static void stage(struct dm_suppression *s, uint32_t dataset, const struct dm_key_hash *added, size_t n,
                  const struct dm_suppressed *removed)
{
    (void)pthread_mutex_lock(&s->mutex);
    struct entry *e = find_or_add(s, dataset);
    struct dm_suppressed *set = changed_set(s, e->set, added, n, removed);
    if (e->staged)
        dm_suppressed_unref(e->set);
    else
        e->before = e->set;
    e->staged = true;
    e->set = set;
    (void)pthread_mutex_unlock(&s->mutex);
}

void dm_suppression_stage(struct dm_suppression *s, uint32_t dataset, const struct dm_key_hash *hashes,
                          size_t n, int64_t order)
{
    if (n == 0)
        return;
    note(s, dataset, hashes, n, order, false);
    stage(s, dataset, hashes, n, NULL);
}

void dm_suppression_stage_removal(struct dm_suppression *s, uint32_t dataset,
                                  const struct dm_key_hash *hashes, size_t n)
{
    struct dm_suppressed *gone = dm_suppressed_new(s, hashes, n);
    note(s, dataset, hashes, n, 0, true);
    stage(s, dataset, NULL, 0, gone);
    dm_suppressed_unref(gone);
}

void dm_suppression_settle(struct dm_suppression *s, bool committed)
{
    if (s == NULL)
        return;
    s->n_staged = 0;
    (void)pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = &s->entries[i];
        if (!e->staged)
            continue;
        dm_suppressed_unref(committed ? e->before : e->set);
        if (!committed)
            e->set = e->before;
        e->before = NULL;
        e->staged = false;
    }
    (void)pthread_mutex_unlock(&s->mutex);
}

/* ---- catalog.db ---- */

static enum dm_status create_tables(struct sqlite3 *db, struct dm_error *err)
{
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS dm_suppression("
        " dataset INTEGER NOT NULL, hash BLOB NOT NULL, work_order INTEGER NOT NULL, time_us INTEGER NOT "
        "NULL,"
        " PRIMARY KEY(dataset, hash)) WITHOUT ROWID;";
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "making the tables of suppressed keys", err);
    return DM_OK;
}

/* *there: the table is there. */
static enum dm_status look_for_table(struct sqlite3 *db, bool *there, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT count(*) FROM sqlite_master WHERE name = 'dm_suppression'", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_sql_fail(db, "looking for suppressed keys", err);
    int code = sqlite3_step(st);
    *there = code == SQLITE_ROW && sqlite3_column_int(st, 0) > 0;
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, "looking for suppressed keys", err);
}

static void take_hash(sqlite3_stmt *st, int column, struct dm_key_hash *h)
{
    *h = (struct dm_key_hash){0};
    if (sqlite3_column_bytes(st, column) == (int)sizeof h->bytes)
        memcpy(h->bytes, sqlite3_column_blob(st, column), sizeof h->bytes);
}

static enum dm_status load_sets(struct dm_suppression *s, struct sqlite3 *db, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db,
                           "SELECT dataset, hash, count(*) OVER (PARTITION BY dataset) FROM dm_suppression"
                           " ORDER BY dataset",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "reading suppressed keys", err);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        struct entry *e = find_or_add(s, (uint32_t)sqlite3_column_int64(st, 0));
        if (e->set == NULL)
            e->set = new_set(&s->secret, (size_t)sqlite3_column_int64(st, 2));
        struct dm_key_hash h;
        take_hash(st, 1, &h);
        put(e->set, &h);
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "reading suppressed keys", err);
}

enum dm_status dm_suppression_open(struct sqlite3 *db, const char *lake, bool create,
                                   struct dm_suppression **out, struct dm_error *err)
{
    struct dm_suppression *s = dm_xzalloc(1, sizeof *s);
    (void)pthread_mutex_init(&s->mutex, NULL);
    bool there = false;
    enum dm_status status = create ? create_tables(db, err) : DM_OK;
    if (status == DM_OK && lake != NULL)
        status = dm_lake_secret_open(db, lake, create, &s->secret, err);
    if (status == DM_OK)
        status = look_for_table(db, &there, err);
    if (status == DM_OK && there)
        status = load_sets(s, db, err);
    if (status != DM_OK) {
        dm_suppression_close(s);
        return status;
    }
    *out = s;
    return DM_OK;
}

void dm_suppression_close(struct dm_suppression *s)
{
    if (s == NULL)
        return;
    dm_suppression_settle(s, false);
    for (size_t i = 0; i < s->n; i++)
        dm_suppressed_unref(s->entries[i].set);
    free(s->entries);
    free(s->staged);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

enum dm_status dm_suppression_save(struct dm_suppression *s, struct sqlite3 *db, struct dm_error *err)
{
    static const char *const sql[] = {
        "INSERT OR IGNORE INTO dm_suppression(dataset, hash, work_order, time_us) VALUES(?, ?, ?, ?)",
        "DELETE FROM dm_suppression WHERE dataset = ? AND hash = ?"};
    enum dm_status status = DM_OK;
    for (int remove = 0; remove < 2 && s != NULL && s->n_staged > 0 && status == DM_OK; remove++) {
        sqlite3_stmt *st;
        if (sqlite3_prepare_v2(db, sql[remove], -1, &st, NULL) != SQLITE_OK)
            return dm_sql_fail(db, "remembering suppressed keys", err);
        int64_t now = dm_clock_wall_us();
        for (size_t i = 0; i < s->n_staged && status == DM_OK; i++) {
            const struct staged *g = &s->staged[i];
            if (g->remove != (remove == 1))
                continue;
            sqlite3_bind_int64(st, 1, g->dataset);
            sqlite3_bind_blob(st, 2, g->hash.bytes, (int)sizeof g->hash.bytes, SQLITE_STATIC);
            if (remove == 0) {
                sqlite3_bind_int64(st, 3, g->order);
                sqlite3_bind_int64(st, 4, now);
            }
            if (sqlite3_step(st) != SQLITE_DONE)
                status = dm_sql_fail(db, "remembering suppressed keys", err);
            sqlite3_reset(st);
        }
        sqlite3_finalize(st);
    }
    return status;
}

enum dm_status dm_suppression_of_order(struct sqlite3 *db, int64_t order, uint32_t dataset,
                                       struct dm_key_hash **out, size_t *n, struct dm_error *err)
{
    sqlite3_stmt *st;
    *out = NULL;
    *n = 0;
    if (sqlite3_prepare_v2(db, "SELECT hash FROM dm_suppression WHERE dataset = ? AND work_order = ?", -1,
                           &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "reading the keys of an order", err);
    sqlite3_bind_int64(st, 1, dataset);
    sqlite3_bind_int64(st, 2, order);
    int code;
    size_t room = 0;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        if (*n == room) {
            room = room == 0 ? 64 : room * 2;
            *out = dm_xrealloc(*out, room, sizeof **out);
        }
        take_hash(st, 0, &(*out)[(*n)++]);
    }
    sqlite3_finalize(st);
    if (code == SQLITE_DONE)
        return DM_OK;
    free(*out);
    *out = NULL;
    return dm_sql_fail(db, "reading the keys of an order", err);
}
