/* What is to be written of a batch's rows that wait, and what need not wait any longer: events, in the order of arrival. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/key_sort.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/commit/interval_history.h"
#include "mirror/relationship/orphan_list.h"

enum overtaken { NOT_OVERTAKEN = 0, BY_A_NEWER_ONE, BY_AN_EQUAL_ONE };

/* Has another row of the batch, one that was applied, a higher version of the key, or an equal one that wins? `before`: only those that came before it. */
static enum overtaken overtaken_in_batch(const struct dm_version_pass *p, const uint32_t *group, uint32_t row,
                                         bool before)
{
    uint32_t len, other_len;
    const uint8_t *version = dm_version_at(&p->versions, row, &len);
    size_t first, end;
    enum overtaken found = NOT_OVERTAKEN;
    bool older_too = !dm_interval_history_kept(p->t); /* a history wants them when their parent comes */
    dm_version_pass_group(p, group[row], &first, &end);
    for (size_t i = first; i < end; i++) {
        uint32_t other = p->rows[i].row;
        if (p->waits[other] || (before && other > row))
            continue;
        const uint8_t *other_version = dm_version_at(&p->versions, other, &other_len);
        int order = dm_key_compare(other_version, other_len, version, len);
        if (order > 0 && older_too)
            return BY_A_NEWER_ONE;
        if (order == 0 && (dm_version_pass_deletes(p, other) || other > row))
            found = BY_AN_EQUAL_ONE;
    }
    return found;
}

static uint8_t *copy_bytes(const uint8_t *bytes, size_t n)
{
    uint8_t *copy = dm_xalloc(n + 1);
    if (n > 0)
        memcpy(copy, bytes, n);
    return copy;
}

static struct dm_orphan_event *add_event(const struct dm_version_pass *p, uint32_t row)
{
    struct dm_orphans *o = p->a->orphans;
    if (o->n_events == o->capacity) {
        o->capacity = o->capacity == 0 ? 64 : o->capacity * 2;
        o->events = dm_xrealloc(o->events, o->capacity, sizeof *o->events);
    }
    struct dm_orphan_event *e = &o->events[o->n_events++];
    *e = (struct dm_orphan_event){.target = p->t, .op = (enum dm_op)p->batch->ops[row]};
    uint32_t key_len, len;
    const uint8_t *key = dm_version_at(p->keys, row, &key_len);
    const uint8_t *version = dm_version_at(&p->versions, row, &len);
    e->row_key = copy_bytes(key, key_len);
    e->row_key_len = key_len;
    e->version = copy_bytes(version, len);
    e->version_len = len;
    return e;
}

static void describe(struct dm_orphan_search *s, uint32_t row, struct dm_orphan_event *e, const char *message)
{
    char key[512];
    e->key = dm_xstrdup(dm_key_text(s->p->batch, row, key, sizeof key));
    e->raw = s->raw[row];
    s->raw[row] = NULL;
    e->message = dm_xstrdup(message);
    e->place = dm_version_pass_place(s->p, row);
    DM_ROW_COUNT(dm_version_pass_txn(s->p, row), quarantined, 1);
}

static void add_waiting(struct dm_orphan_search *s, uint32_t row)
{
    struct dm_orphan_event *e = add_event(s->p, row);
    e->reason = "orphan";
    e->parents = dm_xzalloc(s->child->n_parents, sizeof *e->parents);
    for (size_t which = 0; which < s->child->n_parents; which++) {
        const struct dm_orphan_parent *parent = &s->child->parents[which];
        if (!s->missing[which][row])
            continue;
        uint32_t len;
        const uint8_t *key = dm_version_at(&s->references[which], row, &len);
        e->parents[e->n_parents].dataset = parent->dataset;
        e->parents[e->n_parents].key = copy_bytes(key, len);
        e->parents[e->n_parents++].key_len = len;
        if (e->relationship != NULL)
            continue;
        struct dm_column *columns = dm_xzalloc(parent->view->n_fields, sizeof *columns);
        struct dm_batch view = dm_orphan_view(s->p, parent, columns);
        char reference[256], message[1024];
        (void)dm_key_text(&view, row, reference, sizeof reference);
        (void)snprintf(message, sizeof message,
                       "its parent %s in %.200s has not come yet (relationship \"%.200s\")", reference,
                       parent->relationship->target, parent->relationship->name);
        free(columns);
        describe(s, row, e, message);
        e->relationship = dm_xstrdup(parent->relationship->name);
    }
    DM_ROW_COUNT(dm_version_pass_txn(s->p, row), waiting, 1);
    dm_orphan_keys_add(&s->child->keys, e->row_key, e->row_key_len);
}

/* Does a row of this key wait? */
static enum dm_status key_waits(struct dm_orphan_search *s, uint32_t row, bool *waits, struct dm_error *err)
{
    struct dm_orphan_child *c = s->child;
    uint32_t len;
    const uint8_t *key = dm_version_at(s->p->keys, row, &len);
    *waits = dm_orphan_keys_has(&c->keys, key, len);
    if (*waits || !c->any_waiting)
        return DM_OK;
    sqlite3 *db = dm_lake_sqlite(s->p->a->mirror->lake);
    if (c->find_waiting == NULL &&
        sqlite3_prepare_v2(
            db, "SELECT 1 FROM dm_quarantine WHERE waits_for IS NOT NULL AND dataset=? AND row_key=? LIMIT 1",
            -1, &c->find_waiting, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "waiting children", err);
    sqlite3_bind_int64(c->find_waiting, 1, (sqlite3_int64)c->target->state.id);
    sqlite3_bind_blob64(c->find_waiting, 2, key, len, SQLITE_STATIC);
    int code = sqlite3_step(c->find_waiting);
    *waits = code == SQLITE_ROW;
    sqlite3_reset(c->find_waiting);
    sqlite3_clear_bindings(c->find_waiting);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "waiting children", err);
}

static void count_overtaken(const struct dm_version_pass *p, uint32_t row, enum overtaken by)
{
    p->t->state.stale += by == BY_A_NEWER_ONE;
    p->t->state.ties += by == BY_AN_EQUAL_ONE;
    DM_ROW_COUNT(dm_version_pass_txn(p, row), stale, by == BY_A_NEWER_ONE);
    DM_ROW_COUNT(dm_version_pass_txn(p, row), ties, by == BY_AN_EQUAL_ONE);
}

static enum dm_status note_row(struct dm_orphan_search *s, const uint32_t *group, uint32_t row,
                               struct dm_error *err)
{
    struct dm_version_pass *p = s->p;
    if (!p->waits[row]) {
        bool behind = false;
        enum dm_status status = p->outcome[row] != DM_ROW_BAD ? key_waits(s, row, &behind, err) : DM_OK;
        if (behind)
            (void)add_event(p, row);
        return status;
    }
    /* What does not wait is overtaken by nothing that comes later. */
    enum overtaken by = overtaken_in_batch(p, group, row, s->no_reference[row]);
    if (by != NOT_OVERTAKEN) {
        count_overtaken(p, row, by);
    } else if (s->no_reference[row]) {
        struct dm_orphan_event *e = add_event(p, row);
        describe(s, row, e, "it must refer to a parent, and a column of the reference is null");
        e->reason = "null_reference";
    } else {
        add_waiting(s, row);
    }
    return DM_OK;
}

enum dm_status dm_orphans_note(struct dm_version_pass *p, struct dm_error *err)
{
    if (p->search == NULL)
        return DM_OK;
    uint32_t *group = dm_xalloc((p->batch->rows + 1) * sizeof *group);
    dm_orphan_groups(p, group); /* without those that went bad since */
    enum dm_status status = DM_OK;
    for (uint32_t i = 0; i < p->batch->rows && status == DM_OK; i++)
        if (group[i] != DM_NO_ROW)
            status = note_row(p->search, group, i, err);
    free(group);
    return status;
}
