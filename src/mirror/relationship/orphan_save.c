/* What a commit found out about waiting children goes into the catalog with it; and the list itself. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
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
        free(e->parent_key);
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
    sqlite3_stmt *newer, *remove, *remove_older;
    struct dm_quarantine_writer writer;
    const char *source;
    bool replay;
};

/* Runs a statement over what waits of the event's key and version. */
static enum dm_status run(struct saving *s, sqlite3_stmt *st, const struct dm_orphan_event *e, bool *found,
                          struct dm_error *err)
{
    sqlite3_bind_int64(st, 1, (sqlite3_int64)e->target->state.id);
    sqlite3_bind_blob64(st, 2, e->row_key, e->row_key_len, SQLITE_STATIC);
    sqlite3_bind_blob64(st, 3, e->version, e->version_len, SQLITE_STATIC);
    int code = sqlite3_step(st);
    if (found != NULL)
        *found = code == SQLITE_ROW;
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DM_OK : dm_sql_fail(s->db, "waiting children", err);
}

static enum dm_status save_event(struct saving *s, const struct dm_orphan_event *e, struct dm_error *err)
{
    if (e->reason == NULL)
        return run(s, s->remove, e, NULL, err);
    bool newer = false;
    if (run(s, s->newer, e, &newer, err) != DM_OK)
        return DM_FAIL;
    if (newer) { /* the one that waits has overtaken it */
        e->target->state.stale++;
        return DM_OK;
    }
    /* A replayed row that has to wait on stands there still, with the same version: the replay itself judges it. */
    if (run(s, s->replay ? s->remove_older : s->remove, e, NULL, err) != DM_OK)
        return DM_FAIL;
    const struct dm_bad_row row = {
        .reason = e->reason, .message = e->message, .key = e->key, .raw = e->raw, .op = e->op};
    const struct dm_waiting_for waits = {.parent = e->parent,
                                         .relationship = e->relationship,
                                         .parent_key = e->parent_key,
                                         .parent_key_len = e->parent_key_len,
                                         .row_key = e->row_key,
                                         .row_key_len = e->row_key_len,
                                         .version = e->version,
                                         .version_len = e->version_len};
    e->target->state.quarantined++;
    return dm_quarantine_add(&s->writer, s->db, e->target->state.id, &row, s->source, e->place,
                             e->relationship != NULL ? &waits : NULL, err);
}

enum dm_status dm_orphans_save(struct dm_orphans *o, sqlite3 *db, const char *source, struct dm_error *err)
{
#define WAITING \
    " FROM dm_quarantine WHERE waits_for IS NOT NULL AND dataset = ?1 AND row_key = ?2 AND version "
    if (o == NULL || o->n_events == 0)
        return DM_OK;
    struct saving s = {.db = db, .source = source, .replay = source != NULL && strcmp(source, "replay") == 0};
    enum dm_status status = DM_OK;
    if (sqlite3_prepare_v2(db, "SELECT 1" WAITING "> ?3 LIMIT 1", -1, &s.newer, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "DELETE" WAITING "<= ?3", -1, &s.remove, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "DELETE" WAITING "< ?3", -1, &s.remove_older, NULL) != SQLITE_OK)
        status = dm_sql_fail(db, "waiting children", err);
    for (size_t i = 0; i < o->n_events && status == DM_OK; i++)
        status = save_event(&s, &o->events[i], err);
    sqlite3_finalize(s.newer);
    sqlite3_finalize(s.remove);
    sqlite3_finalize(s.remove_older);
    dm_quarantine_writer_release(&s.writer);
    return status;
#undef WAITING
}
