/* What a commit found out about waiting children goes into the catalog with it; and the list itself. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/commit/interval_history.h"
#include "mirror/relationship/orphan_list.h"
#include "mirror/quarantine/quarantine_table.h"

static uint64_t hash_of(const uint8_t *key, size_t n)
{
    uint64_t hash = XXH3_64bits(key, n);
    return hash != 0 ? hash : 1; /* 0 is a free slot */
}

static void put(uint64_t *slots, size_t capacity, uint64_t hash)
{
    size_t i = hash & (capacity - 1);
    while (slots[i] != 0 && slots[i] != hash)
        i = (i + 1) & (capacity - 1);
    slots[i] = hash;
}

void dm_orphan_keys_add(struct dm_orphan_keys *keys, const uint8_t *key, size_t n)
{
    if ((keys->n + 1) * 2 > keys->capacity) {
        size_t capacity = keys->capacity == 0 ? 256 : keys->capacity * 2;
        uint64_t *slots = dm_xzalloc(capacity, sizeof *slots);
        for (size_t i = 0; i < keys->capacity; i++)
            if (keys->slots[i] != 0)
                put(slots, capacity, keys->slots[i]);
        free(keys->slots);
        keys->slots = slots;
        keys->capacity = capacity;
    }
    put(keys->slots, keys->capacity, hash_of(key, n));
    keys->n++;
}

bool dm_orphan_keys_has(const struct dm_orphan_keys *keys, const uint8_t *key, size_t n)
{
    if (keys->n == 0)
        return false;
    uint64_t hash = hash_of(key, n);
    size_t i = hash & (keys->capacity - 1);
    while (keys->slots[i] != 0 && keys->slots[i] != hash)
        i = (i + 1) & (keys->capacity - 1);
    return keys->slots[i] == hash;
}

void dm_orphan_promises_add(struct dm_orphan_promises *s, uint32_t dataset, const uint8_t *key, size_t n)
{
    size_t i = 0;
    while (i < s->n_datasets && s->datasets[i].dataset != dataset)
        i++;
    if (i == s->n_datasets) {
        s->datasets = dm_xrealloc(s->datasets, ++s->n_datasets, sizeof *s->datasets);
        memset(&s->datasets[i], 0, sizeof s->datasets[i]);
        s->datasets[i].dataset = dataset;
    }
    dm_orphan_keys_add(&s->datasets[i].keys, key, n);
}

bool dm_orphan_promises_has(const struct dm_orphan_promises *s, uint32_t dataset, const uint8_t *key,
                            size_t n)
{
    for (size_t i = 0; i < s->n_datasets; i++)
        if (s->datasets[i].dataset == dataset)
            return dm_orphan_keys_has(&s->datasets[i].keys, key, n);
    return false;
}

void dm_orphan_promises_release(struct dm_orphan_promises *s)
{
    for (size_t i = 0; i < s->n_datasets; i++)
        free(s->datasets[i].keys.slots);
    free(s->datasets);
    s->datasets = NULL;
    s->n_datasets = 0;
}

static void free_child(struct dm_orphan_child *c)
{
    sqlite3_finalize(c->find_waiting);
    free(c->keys.slots);
    for (size_t i = 0; i < c->n_parents; i++) {
        dm_schema_unref(c->parents[i].view);
        free(c->parents[i].columns);
    }
    dm_schema_unref(c->schema);
    free(c->parents);
    free(c);
}

void dm_orphans_free(struct dm_orphans *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->n_children; i++)
        free_child(o->children[i]);
    for (size_t i = 0; i < o->n_events; i++) {
        struct dm_orphan_event *e = &o->events[i];
        free(e->row_key);
        free(e->version);
        for (size_t k = 0; k < e->n_parents; k++)
            free(e->parents[k].key);
        free(e->parents);
        free(e->relationship);
        free(e->message);
        free(e->key);
        free(e->raw);
        free(e->place);
    }
    free(o->children);
    free(o->events);
    free(o);
}

struct saving {
    sqlite3 *db;
    sqlite3_stmt *equal; /* DELETE of an equal version, which loses */
    sqlite3_stmt *older; /* DELETE of lower ones, which are stale … */
    sqlite3_stmt *same;  /* DELETE of the very same row */
    sqlite3_stmt *other; /* ask the others of the key again */
    struct dm_quarantine_writer writer;
    const char *source;
    bool replay;
};

/* Runs a statement over what waits of the event's key and version. *n: the rows that it changed. */
static enum dm_status run(struct saving *s, sqlite3_stmt *st, const struct dm_orphan_event *e, uint64_t *n,
                          struct dm_error *err)
{
    sqlite3_bind_int64(st, 1, (sqlite3_int64)e->target->state.id);
    sqlite3_bind_blob64(st, 2, e->row_key, e->row_key_len, SQLITE_STATIC);
    if (sqlite3_bind_parameter_count(st) > 2)
        sqlite3_bind_blob64(st, 3, e->version, e->version_len, SQLITE_STATIC);
    if (sqlite3_bind_parameter_count(st) > 3)
        sqlite3_bind_text(st, 4, e->raw, -1, SQLITE_STATIC);
    int code = sqlite3_step(st);
    *n = code == SQLITE_DONE ? (uint64_t)sqlite3_changes64(s->db) : 0;
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(s->db, "waiting children", err);
}

/* A change was applied, or is behind one that was. A replayed one came before whatever waits with its version, and stands there itself. */
static enum dm_status save_passed(struct saving *s, const struct dm_orphan_event *e, struct dm_error *err)
{
    uint64_t equal = 0, older = 0, ignored;
    if (!s->replay && run(s, s->equal, e, &equal, err) != DM_OK)
        return DM_FAIL;
    if (!dm_interval_history_kept(e->target) && run(s, s->older, e, &older, err) != DM_OK)
        return DM_FAIL;
    e->target->state.ties += equal;
    e->target->state.stale += older;
    /* What they leave to the stored row may be other values now, and with them another parent. */
    return e->target->rules->schema->settings.ignore_null_updates ? run(s, s->other, e, &ignored, err)
                                                                  : DM_OK;
}

static enum dm_status save_event(struct saving *s, const struct dm_orphan_event *e, struct dm_error *err)
{
    uint64_t same = 0;
    if (e->reason == NULL)
        return save_passed(s, e, err);
    /* A replayed row that has to wait on stands there still: the replay itself judges it. */
    if (e->n_parents > 0 && !s->replay && run(s, s->same, e, &same, err) != DM_OK)
        return DM_FAIL;
    e->target->state.ties += same;
    const struct dm_bad_row row = {.reason = e->reason,
                                   .message = e->message,
                                   .key = e->key,
                                   .raw = e->raw,
                                   .place = e->place,
                                   .op = e->op};
    struct dm_missing_parent *parents = dm_xzalloc(e->n_parents + 1, sizeof *parents);
    for (size_t i = 0; i < e->n_parents; i++)
        parents[i] =
            (struct dm_missing_parent){e->parents[i].dataset, e->parents[i].key, e->parents[i].key_len};
    const struct dm_waiting_for waits = {.relationship = e->relationship,
                                         .n_parents = e->n_parents,
                                         .parents = parents,
                                         .row_key = e->row_key,
                                         .row_key_len = e->row_key_len,
                                         .version = e->version,
                                         .version_len = e->version_len};
    e->target->state.quarantined++;
    enum dm_status status = dm_quarantine_add(&s->writer, s->db, e->target->state.id, &row, s->source,
                                              e->place, e->n_parents > 0 ? &waits : NULL, err);
    free(parents);
    return status;
}

enum dm_status dm_orphans_save(struct dm_orphans *o, sqlite3 *db, const char *source, struct dm_error *err)
{
#define WAITING " dm_quarantine WHERE waits_for IS NOT NULL AND dataset = ?1 AND row_key = ?2"
    if (o == NULL || o->n_events == 0)
        return DM_OK;
    struct saving s = {.db = db, .source = source, .replay = source != NULL && strcmp(source, "replay") == 0};
    enum dm_status status = DM_OK;
    if (sqlite3_prepare_v2(db, "DELETE FROM" WAITING " AND version = ?3", -1, &s.equal, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "DELETE FROM" WAITING " AND version < ?3", -1, &s.older, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "DELETE FROM" WAITING " AND version = ?3 AND raw = ?4", -1, &s.same, NULL) !=
            SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "UPDATE dm_quarantine SET waits_for = 0 WHERE waits_for IS NOT NULL AND"
                           " dataset = ?1 AND row_key = ?2",
                           -1, &s.other, NULL) != SQLITE_OK)
        status = dm_sql_fail(db, "waiting children", err);
    for (size_t i = 0; i < o->n_events && status == DM_OK; i++)
        status = save_event(&s, &o->events[i], err);
    sqlite3_finalize(s.equal);
    sqlite3_finalize(s.older);
    sqlite3_finalize(s.same);
    sqlite3_finalize(s.other);
    dm_quarantine_writer_release(&s.writer);
    return status;
#undef WAITING
}
