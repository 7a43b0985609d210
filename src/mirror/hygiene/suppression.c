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
    size_t slots;                 /* a power of two, more than twice n */
    struct dm_key_hash *table;    /* all zero bytes: free */
    struct dm_suppressed *marked; /* hashes with a mark; NULL: none, and in a set of such */
    size_t n_lists;               /* in a set of such: the columns that they are of */
    struct dm_column_list *lists;
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
    bool marked;
    int64_t order;
    struct dm_key_hash hash;
};

struct staged_columns {
    uint32_t dataset;
    bool remove; /* all of them */
    struct dm_column_list list;
};

struct dm_suppression {
    struct dm_lake_secret secret;
    pthread_mutex_t mutex; /* entries */
    size_t n;
    struct entry *entries;
    size_t n_staged, staged_room; /* the holder of the lake mutex */
    struct staged *staged;
    size_t n_columns;
    struct staged_columns *columns;
};

static const struct dm_key_hash free_slot;

/* ---- sets ---- */

static struct dm_key_hash hash_of(const struct dm_lake_secret *secret, const uint8_t *key, size_t len)
{
    struct dm_key_hash h = {0};
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
    dm_suppressed_unref(set->marked);
    for (size_t i = 0; i < set->n_lists; i++)
        dm_column_list_release(&set->lists[i]);
    free(set->lists);
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
    size_t marked = set != NULL && set->marked != NULL ? set->marked->n : 0;
    return set == NULL ? 0 : set->n > marked ? set->n : marked;
}

const struct dm_suppressed *dm_suppressed_marked(const struct dm_suppressed *set)
{
    return set != NULL ? set->marked : NULL;
}

const struct dm_column_list *dm_suppressed_lists(const struct dm_suppressed *marked, size_t *n)
{
    *n = marked != NULL ? marked->n_lists : 0;
    return marked != NULL ? marked->lists : NULL;
}

struct dm_suppressed *dm_suppressed_marked_alone(struct dm_suppressed *take)
{
    struct dm_suppressed *alone = NULL;
    if (take != NULL && take->marked != NULL) {
        alone = new_set(&take->secret, 0);
        alone->marked = take->marked;
        atomic_fetch_add(&alone->marked->references, 1);
    }
    dm_suppressed_unref(take);
    return alone;
}

static void add_list(struct dm_suppressed *set, const struct dm_column_list *l)
{
    for (size_t i = 0; i < set->n_lists; i++)
        if (dm_column_list_equal(&set->lists[i], l))
            return;
    set->lists = dm_xrealloc(set->lists, set->n_lists + 1, sizeof *set->lists);
    set->lists[set->n_lists++] = dm_column_list_copy(l);
}

uint64_t dm_suppressed_generation(const struct dm_suppressed *set)
{
    return set != NULL ? set->generation : 0;
}

struct change {
    size_t n;
    const struct dm_key_hash *added;
    const struct dm_suppressed *removed; /* NULL: none */
    bool remove_all;
    const struct dm_column_list *columns; /* of what is added, in a set of marked hashes */
};

/* The set with the change; nothing of `from` is shared. */
static struct dm_suppressed *changed_table(const struct dm_suppression *s, const struct dm_suppressed *from,
                                           const struct change *c)
{
    struct dm_suppressed *set = new_set(&s->secret, (from != NULL ? from->n : 0) + c->n);
    for (size_t i = 0; from != NULL && i < from->slots && !c->remove_all; i++) {
        const struct dm_key_hash *h = &from->table[i];
        if (memcmp(h, &free_slot, sizeof *h) != 0 &&
            (c->removed == NULL || memcmp(&c->removed->table[slot_of(c->removed, h)], h, sizeof *h) != 0))
            put(set, h);
    }
    for (size_t i = 0; i < c->n; i++)
        put(set, &c->added[i]);
    for (size_t i = 0; from != NULL && i < from->n_lists && !c->remove_all; i++)
        add_list(set, &from->lists[i]);
    if (c->columns != NULL)
        add_list(set, c->columns);
    return set;
}

/* NULL: it would be empty. */
static struct dm_suppressed *changed_set(const struct dm_suppression *s, const struct dm_suppressed *from,
                                         const struct change *plain, const struct change *marked)
{
    struct dm_suppressed *set = changed_table(s, from, plain);
    set->marked = changed_table(s, from != NULL ? from->marked : NULL, marked);
    if (set->marked->n == 0) {
        dm_suppressed_unref(set->marked);
        set->marked = NULL;
    }
    if (set->n > 0 || set->marked != NULL)
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

static void note(struct dm_suppression *s, struct staged what, const struct dm_key_hash *hashes, size_t n)
{
    if (s->n_staged + n > s->staged_room) {
        s->staged_room = (s->n_staged + n) * 2;
        s->staged = dm_xrealloc(s->staged, s->staged_room, sizeof *s->staged);
    }
    for (size_t i = 0; i < n; i++) {
        what.hash = hashes[i];
        s->staged[s->n_staged++] = what;
    }
}

static void note_columns(struct dm_suppression *s, uint32_t dataset, const struct dm_column_list *l)
{
    s->columns = dm_xrealloc(s->columns, s->n_columns + 1, sizeof *s->columns);
    s->columns[s->n_columns++] =
        (struct staged_columns){.dataset = dataset,
                                .remove = l == NULL,
                                .list = l != NULL ? dm_column_list_copy(l) : (struct dm_column_list){0}};
}

static void stage(struct dm_suppression *s, uint32_t dataset, const struct change *plain,
                  const struct change *marked)
{
    (void)pthread_mutex_lock(&s->mutex);
    struct entry *e = find_or_add(s, dataset);
    struct dm_suppressed *set = changed_set(s, e->set, plain, marked);
    if (e->staged)
        dm_suppressed_unref(e->set);
    else
        e->before = e->set;
    e->staged = true;
    e->set = set;
    (void)pthread_mutex_unlock(&s->mutex);
}

static const struct change none;

void dm_suppression_stage(struct dm_suppression *s, uint32_t dataset, const struct dm_key_hash *hashes,
                          size_t n, int64_t order)
{
    if (n == 0)
        return;
    note(s, (struct staged){.dataset = dataset, .order = order}, hashes, n);
    stage(s, dataset, &(struct change){.n = n, .added = hashes}, &none);
}

void dm_suppression_stage_removal(struct dm_suppression *s, uint32_t dataset,
                                  const struct dm_key_hash *hashes, size_t n)
{
    struct dm_suppressed *gone = dm_suppressed_new(s, hashes, n);
    note(s, (struct staged){.dataset = dataset, .remove = true}, hashes, n);
    stage(s, dataset, &(struct change){.removed = gone}, &none);
    dm_suppressed_unref(gone);
}

void dm_suppression_stage_marked(struct dm_suppression *s, uint32_t dataset,
                                 const struct dm_column_list *columns, const struct dm_key_hash *hashes,
                                 size_t n)
{
    if (n == 0)
        return;
    note(s, (struct staged){.dataset = dataset, .marked = true}, hashes, n);
    note_columns(s, dataset, columns);
    stage(s, dataset, &none, &(struct change){.n = n, .added = hashes, .columns = columns});
}

void dm_suppression_stage_marked_removal(struct dm_suppression *s, uint32_t dataset,
                                         const struct dm_key_hash *hashes, size_t n)
{
    struct dm_suppressed *gone = dm_suppressed_new(s, hashes, n);
    note(s, (struct staged){.dataset = dataset, .remove = true, .marked = true}, hashes, n);
    stage(s, dataset, &none, &(struct change){.removed = gone});
    dm_suppressed_unref(gone);
}

/* All hashes of the dataset's set, one kind of them. */
static void note_all(struct dm_suppression *s, uint32_t dataset, const struct dm_suppressed *set, bool marked)
{
    for (size_t i = 0; set != NULL && i < set->slots; i++)
        if (memcmp(&set->table[i], &free_slot, sizeof free_slot) != 0)
            note(s, (struct staged){.dataset = dataset, .remove = true, .marked = marked}, &set->table[i], 1);
}

void dm_suppression_stage_rekey(struct dm_suppression *s, uint32_t dataset)
{
    struct dm_suppressed *set = dm_suppression_of(s, dataset);
    if (set == NULL)
        return;
    note_all(s, dataset, set, false);
    stage(s, dataset, &(struct change){.remove_all = true}, &none);
    dm_suppressed_unref(set);
}

void dm_suppression_stage_renumbering(struct dm_suppression *s, uint32_t dataset)
{
    struct dm_suppressed *set = dm_suppression_of(s, dataset);
    if (set == NULL)
        return;
    note_all(s, dataset, set->marked, true);
    note_columns(s, dataset, NULL);
    stage(s, dataset, &none, &(struct change){.remove_all = true});
    dm_suppressed_unref(set);
}

void dm_suppression_settle(struct dm_suppression *s, bool committed)
{
    if (s == NULL)
        return;
    s->n_staged = 0;
    for (size_t i = 0; i < s->n_columns; i++)
        dm_column_list_release(&s->columns[i].list);
    s->n_columns = 0;
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
        " PRIMARY KEY(dataset, hash)) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS dm_suppression_marked("
        " dataset INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY(dataset, hash)) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS dm_suppression_columns("
        " dataset INTEGER NOT NULL, columns TEXT NOT NULL, PRIMARY KEY(dataset, columns)) WITHOUT ROWID;";
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

static enum dm_status load_sets(struct dm_suppression *s, struct sqlite3 *db, bool marked,
                                struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db,
                           marked ? "SELECT dataset, hash, count(*) OVER (PARTITION BY dataset)"
                                    " FROM dm_suppression_marked ORDER BY dataset"
                                  : "SELECT dataset, hash, count(*) OVER (PARTITION BY dataset)"
                                    " FROM dm_suppression ORDER BY dataset",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "reading suppressed keys", err);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        struct entry *e = find_or_add(s, (uint32_t)sqlite3_column_int64(st, 0));
        if (e->set == NULL)
            e->set = new_set(&s->secret, marked ? 0 : (size_t)sqlite3_column_int64(st, 2));
        if (marked && e->set->marked == NULL)
            e->set->marked = new_set(&s->secret, (size_t)sqlite3_column_int64(st, 2));
        struct dm_key_hash h;
        take_hash(st, 1, &h);
        put(marked ? e->set->marked : e->set, &h);
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "reading suppressed keys", err);
}

static enum dm_status load_columns(struct dm_suppression *s, struct sqlite3 *db, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT dataset, columns FROM dm_suppression_columns", -1, &st, NULL) !=
        SQLITE_OK)
        return dm_sql_fail(db, "reading suppressed keys", err);
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        struct entry *e = find(s, (uint32_t)sqlite3_column_int64(st, 0));
        struct dm_column_list l = dm_column_list_read((const char *)sqlite3_column_text(st, 1));
        if (e != NULL && e->set->marked != NULL)
            add_list(e->set->marked, &l);
        dm_column_list_release(&l);
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "reading suppressed keys", err);
}

/* A lake of an older version, which is only looked at, has none. */
static enum dm_status load_marked(struct dm_suppression *s, struct sqlite3 *db, struct dm_error *err)
{
    if (sqlite3_exec(db, "SELECT 1 FROM dm_suppression_columns LIMIT 0", NULL, NULL, NULL) != SQLITE_OK)
        return DM_OK;
    enum dm_status status = load_sets(s, db, true, err);
    return status == DM_OK ? load_columns(s, db, err) : status;
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
        status = load_sets(s, db, false, err);
    if (status == DM_OK && there)
        status = load_marked(s, db, err);
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
    free(s->columns);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

static enum dm_status save_columns(struct dm_suppression *s, struct sqlite3 *db, struct dm_error *err)
{
    static const char what[] = "remembering suppressed keys";
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n_columns && status == DM_OK; i++) {
        const struct staged_columns *c = &s->columns[i];
        char *text = dm_column_list_text(&c->list);
        status = c->remove ? dm_sql_run(db, what, "DELETE FROM dm_suppression_columns WHERE dataset = ?", err,
                                        "i", (int64_t)c->dataset)
                           : dm_sql_run(db, what,
                                        "INSERT OR IGNORE INTO dm_suppression_columns(dataset, columns)"
                                        " VALUES(?, ?)",
                                        err, "it", (int64_t)c->dataset, text);
        free(text);
    }
    return status;
}

/* One kind of the staged hashes, in their order. */
static enum dm_status save_kind(struct dm_suppression *s, struct sqlite3 *db, const char *sql, bool remove,
                                bool marked, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "remembering suppressed keys", err);
    enum dm_status status = DM_OK;
    int64_t now = dm_clock_wall_us();
    for (size_t i = 0; i < s->n_staged && status == DM_OK; i++) {
        const struct staged *g = &s->staged[i];
        if (g->remove != remove || g->marked != marked)
            continue;
        sqlite3_bind_int64(st, 1, g->dataset);
        sqlite3_bind_blob(st, 2, g->hash.bytes, (int)sizeof g->hash.bytes, SQLITE_STATIC);
        if (sqlite3_bind_parameter_count(st) > 2) {
            sqlite3_bind_int64(st, 3, g->order);
            sqlite3_bind_int64(st, 4, now);
        }
        if (sqlite3_step(st) != SQLITE_DONE)
            status = dm_sql_fail(db, "remembering suppressed keys", err);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return status;
}

enum dm_status dm_suppression_save(struct dm_suppression *s, struct sqlite3 *db, struct dm_error *err)
{
    static const char *const sql[2][2] = {
        {"INSERT OR IGNORE INTO dm_suppression(dataset, hash, work_order, time_us) VALUES(?, ?, ?, ?)",
         "INSERT OR IGNORE INTO dm_suppression_marked(dataset, hash) VALUES(?, ?)"},
        {"DELETE FROM dm_suppression WHERE dataset = ? AND hash = ?",
         "DELETE FROM dm_suppression_marked WHERE dataset = ? AND hash = ?"}};
    if (s == NULL || (s->n_staged == 0 && s->n_columns == 0))
        return DM_OK;
    enum dm_status status = DM_OK;
    for (int remove = 0; remove < 2; remove++)
        for (int marked = 0; marked < 2 && status == DM_OK; marked++)
            status = save_kind(s, db, sql[remove][marked], remove == 1, marked == 1, err);
    return status == DM_OK ? save_columns(s, db, err) : status;
}
