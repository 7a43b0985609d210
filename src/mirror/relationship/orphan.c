#include "mirror/relationship/orphan.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/version_rule.h"
#include "base/memory.h"
#include "column/row_json.h"
#include "mirror/relationship/orphan_list.h"
#include "mirror/quarantine/quarantine.h"

enum { NOT_MISSING = 0 };

/* ---- parents ---- */

static bool same_bytes(struct dm_type a, struct dm_type b)
{
    bool integers = (a.id == DM_INT32 || a.id == DM_INT64) && (b.id == DM_INT32 || b.id == DM_INT64);
    bool floats = (a.id == DM_FLOAT32 || a.id == DM_FLOAT64) && (b.id == DM_FLOAT32 || b.id == DM_FLOAT64);
    bool decimals = a.id == DM_DECIMAL && b.id == DM_DECIMAL && a.scale == b.scale;
    return integers || floats || decimals || dm_type_equal(a, b);
}

static enum dm_status refuse(const struct dm_target *t, const struct dm_relationship *r, const char *why,
                             struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_CONFIG, "declare the relationship without on_orphan, or mend it",
                   "relationship \"%s\" of %s.%s cannot be enforced: %s", r->name, t->state.namespace,
                   t->state.name, why);
}

/* The child's columns in the order of the parent's key, as a schema of a key only. */
static enum dm_status map_columns(struct dm_orphan_parent *parent, const struct dm_target *t,
                                  const struct dm_schema *schema, const struct dm_schema *other,
                                  struct dm_error *err)
{
    const struct dm_relationship *r = parent->relationship;
    const struct dm_names *targets = &r->target_columns;
    if (other->n_keys == 0 || r->columns.n != other->n_keys ||
        (targets->n != 0 && targets->n != other->n_keys))
        return refuse(t, r, "its columns are not the parent's whole primary key", err);
    parent->view = dm_schema_new();
    parent->columns = dm_xzalloc(other->n_keys, sizeof *parent->columns);
    for (size_t i = 0; i < other->n_keys; i++) {
        const struct dm_field *key = &other->fields[other->keys[i]];
        int at = targets->n > 0 ? dm_names_find(targets, key->name) : (int)i;
        if (at < 0)
            return refuse(t, r, "its columns are not the parent's whole primary key", err);
        int field = dm_schema_find(schema, r->columns.items[at]);
        if (field < 0)
            return refuse(t, r, "a column of it does not exist", err);
        struct dm_type type = schema->fields[field].type;
        if (!same_bytes(type, key->type))
            return refuse(t, r, "its columns have other types than the parent's key", err);
        dm_schema_add(parent->view, key->name, type);
        dm_schema_add_key(parent->view, (uint32_t)i);
        parent->columns[i] = (uint32_t)field;
    }
    return DM_OK;
}

static enum dm_status load_parent(struct dm_mirror *m, struct dm_orphan_parent *parent,
                                  const struct dm_target *t, const struct dm_schema *schema,
                                  struct dm_error *err)
{
    const struct dm_relationship *r = parent->relationship;
    struct dm_dataset_state state = {0};
    if (dm_quarantine_dataset(dm_lake_sqlite(m->lake), r->target, &state, err) != DM_OK)
        return refuse(t, r, "its parent is not there", err);
    const struct dm_dataset *d = NULL;
    enum dm_status status = dm_lake_dataset(m->lake, state.namespace, state.name, &d, err);
    if (status == DM_OK && (d == NULL || state.append_only))
        status = refuse(t, r, "its parent has no rows with keys", err);
    if (status == DM_OK)
        status = map_columns(parent, t, schema, d->schema, err);
    int64_t tag = 0;
    if (status == DM_OK)
        status = dm_keyindex_tag_get(m->index, state.id, &tag, err);
    if (status == DM_OK)
        parent->current = tag == d->snapshot_id || state.id == t->state.id || state.source[0] == '\0';
    parent->dataset = state.id;
    dm_dataset_state_release(&state);
    return status;
}

/* Do rows of the dataset wait already? */
static enum dm_status look_for_waiting(struct dm_mirror *m, struct dm_orphan_child *c, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(m->lake);
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db,
                           "SELECT 1 FROM dm_quarantine WHERE dataset=? AND waits_for IS NOT NULL LIMIT 1",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    sqlite3_bind_int64(st, 1, (sqlite3_int64)c->target->state.id);
    c->any_waiting = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return DM_OK;
}

/* What the open commit knows of the target; looked up once. NULL in *out: nothing is enforced. */
static enum dm_status child_of(struct dm_version_pass *p, struct dm_orphan_child **out, struct dm_error *err)
{
    const struct dm_relational_schema *s = p->t->rules->schema;
    size_t n = 0;
    for (size_t i = 0; i < s->n_relationships; i++)
        n += s->relationships[i].enforced;
    *out = NULL;
    if (n == 0)
        return DM_OK;
    if (n >= UINT8_MAX)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "%s.%s enforces more than %d relationships",
                       p->t->state.namespace, p->t->state.name, UINT8_MAX - 1);
    if (p->a->orphans == NULL)
        p->a->orphans = dm_xzalloc(1, sizeof *p->a->orphans);
    struct dm_orphans *o = p->a->orphans;
    for (size_t i = 0; i < o->n_children; i++)
        if (o->children[i]->target == p->t && o->children[i]->schema == p->batch->schema) {
            *out = o->children[i];
            return DM_OK;
        }
    struct dm_orphan_child *c = dm_xzalloc(1, sizeof *c);
    o->children = dm_xrealloc(o->children, o->n_children + 1, sizeof(struct dm_orphan_child *));
    o->children[o->n_children++] = c;
    c->target = p->t;
    c->schema = dm_schema_ref(p->batch->schema);
    c->parents = dm_xzalloc(n, sizeof *c->parents);
    enum dm_status status = look_for_waiting(p->a->mirror, c, err);
    for (size_t i = 0; i < s->n_relationships && status == DM_OK; i++) {
        if (!s->relationships[i].enforced)
            continue;
        struct dm_orphan_parent *parent = &c->parents[c->n_parents++];
        parent->relationship = &s->relationships[i];
        status = load_parent(p->a->mirror, parent, p->t, c->schema, err);
    }
    *out = c;
    return status;
}

/* ---- looking ---- */

struct search {
    struct dm_version_pass *p;
    struct dm_orphan_child *child;
    struct dm_key_list *references; /* per parent: the key that each row refers to; empty: none */
    uint32_t *group;                /* per row: its distinct key; DM_NO_ROW: a bad row */
    uint8_t *missing;               /* per row: 1 + the parent that it misses; NOT_MISSING */
    bool *no_reference;             /* per row: it must refer to a parent, and does not */
};

static struct dm_version_state stored_state(const struct dm_version_pass *p, size_t k)
{
    const struct dm_index_change *stored = &p->stored[k];
    return (struct dm_version_state){.version = stored->old_version_len > 0 ? stored->old_version : NULL,
                                     .len = stored->old_version_len,
                                     .live = dm_place_known(stored->old)};
}

/* An upsert that the version rule would let in. */
static bool is_candidate(const struct search *s, uint32_t row)
{
    const struct dm_version_pass *p = s->p;
    if (s->group[row] == DM_NO_ROW || dm_version_pass_deletes(p, row))
        return false;
    struct dm_version_state state = stored_state(p, s->group[row]);
    uint32_t len;
    const uint8_t *version = dm_version_at(&p->versions, row, &len);
    return dm_verdict_applies(dm_version_decide(&state, version, len));
}

static struct dm_batch view_of(const struct search *s, const struct dm_orphan_parent *parent,
                               struct dm_column *columns)
{
    for (size_t i = 0; i < parent->view->n_fields; i++)
        columns[i] = s->p->batch->columns[parent->columns[i]];
    return (struct dm_batch){.schema = parent->view,
                             .n_columns = parent->view->n_fields,
                             .columns = columns,
                             .rows = s->p->batch->rows};
}

/* Looks up the distinct parents that candidates refer to, and marks rows that miss theirs. */
static enum dm_status look_up_parents(struct search *s, size_t which, struct dm_error *err)
{
    const struct dm_orphan_parent *parent = &s->child->parents[which];
    const struct dm_key_list *keys = &s->references[which];
    size_t rows = s->p->batch->rows, n = 0, distinct = 0;
    struct dm_index_change *wanted = dm_xalloc((rows + 1) * sizeof *wanted);
    struct dm_index_change *asked = dm_xalloc((rows + 1) * sizeof *asked);
    size_t *of = dm_xalloc((rows + 1) * sizeof *of);
    for (uint32_t i = 0; i < rows; i++) {
        size_t len = keys->offsets[i + 1] - keys->offsets[i];
        if (len > 0 && s->missing[i] == NOT_MISSING && is_candidate(s, i))
            wanted[n++] = (struct dm_index_change){
                .key = keys->bytes.data + keys->offsets[i], .key_len = (uint32_t)len, .row = i};
    }
    dm_key_sort(wanted, n, sizeof *wanted);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 ||
            dm_key_compare(wanted[i].key, wanted[i].key_len, wanted[i - 1].key, wanted[i - 1].key_len) != 0)
            asked[distinct++] = wanted[i];
        of[i] = distinct - 1;
    }
    enum dm_status status = DM_OK;
    if (parent->current && distinct > 0)
        status = dm_keyindex_lookup(s->p->a->mirror->index, parent->dataset, asked, distinct, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if (!parent->current || !dm_place_known(asked[of[i]].old))
            s->missing[wanted[i].row] = (uint8_t)(which + 1);
    free(wanted);
    free(asked);
    free(of);
    return status;
}

static void look_for_nulls(struct search *s, size_t which)
{
    const struct dm_relationship *r = s->child->parents[which].relationship;
    const struct dm_key_list *keys = &s->references[which];
    bool mandatory = (r->cardinality == DM_MANY_TO_ONE || r->cardinality == DM_ONE_TO_ONE) &&
                     !s->p->t->rules->schema->settings.ignore_null_updates;
    for (uint32_t i = 0; mandatory && i < s->p->batch->rows; i++)
        if (keys->offsets[i + 1] == keys->offsets[i] && is_candidate(s, i))
            s->no_reference[i] = true;
}

/* ---- a dataset that is its own parent ---- */

/* Will the key be there when the batch is applied? Rows that wait take no part. */
static bool comes_with_batch(const struct search *s, const uint8_t *key, size_t len)
{
    const struct dm_version_pass *p = s->p;
    size_t low = 0, high = p->n_keys;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = dm_key_compare(p->stored[middle].key, p->stored[middle].key_len, key, len);
        if (order == 0) {
            struct dm_version_state state = stored_state(p, middle);
            size_t first, end;
            dm_version_pass_group(p, middle, &first, &end);
            for (size_t i = first; i < end; i++) {
                uint32_t row = p->rows[i].row, version_len;
                const uint8_t *version = dm_version_at(&p->versions, row, &version_len);
                if (s->missing[row] != NOT_MISSING || s->no_reference[row] ||
                    !dm_verdict_applies(dm_version_decide(&state, version, version_len)))
                    continue;
                state = (struct dm_version_state){
                    .version = version, .len = version_len, .live = !dm_version_pass_deletes(p, row)};
            }
            return state.live;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* A parent in this batch may itself have found its parent only now: until nothing changes. */
static void find_in_batch(struct search *s, size_t which)
{
    const struct dm_key_list *keys = &s->references[which];
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < s->p->batch->rows; i++) {
            if (s->missing[i] != which + 1 || !comes_with_batch(s, keys->bytes.data + keys->offsets[i],
                                                                keys->offsets[i + 1] - keys->offsets[i]))
                continue;
            s->missing[i] = NOT_MISSING;
            changed = true;
        }
    }
}

/* ---- what becomes of them ---- */

/* Another row of the batch, one that does not wait, has a higher version of the key: then this one is stale. */
static bool overtaken_in_batch(const struct search *s, uint32_t row)
{
    const struct dm_version_pass *p = s->p;
    uint32_t len, other_len;
    const uint8_t *version = dm_version_at(&p->versions, row, &len);
    size_t first, end;
    dm_version_pass_group(p, s->group[row], &first, &end);
    for (size_t i = first; i < end; i++) {
        uint32_t other = p->rows[i].row;
        if (other == row || s->missing[other] != NOT_MISSING || s->no_reference[other])
            continue;
        const uint8_t *other_version = dm_version_at(&p->versions, other, &other_len);
        if (dm_key_compare(other_version, other_len, version, len) > 0)
            return true;
    }
    return false;
}

static struct dm_orphan_event *add_event(struct search *s, uint32_t row)
{
    const struct dm_version_pass *p = s->p;
    struct dm_orphans *o = p->a->orphans;
    if (o->n_events == o->capacity) {
        o->capacity = o->capacity == 0 ? 64 : o->capacity * 2;
        o->events = dm_xrealloc(o->events, o->capacity, sizeof *o->events);
    }
    struct dm_orphan_event *e = &o->events[o->n_events++];
    *e = (struct dm_orphan_event){.target = p->t, .op = (enum dm_op)p->batch->ops[row]};
    const struct dm_index_change *key = &p->stored[s->group[row]];
    uint32_t len;
    const uint8_t *version = dm_version_at(&p->versions, row, &len);
    e->row_key = dm_xalloc(key->key_len + 1);
    e->row_key_len = key->key_len;
    memcpy(e->row_key, key->key, key->key_len);
    e->version = dm_xalloc(len + 1);
    memcpy(e->version, version, len);
    e->version_len = len;
    return e;
}

static void describe(struct search *s, uint32_t row, struct dm_orphan_event *e, const char *message)
{
    const struct dm_version_pass *p = s->p;
    struct dm_error ignored;
    struct dm_buffer raw;
    dm_buffer_init(&raw, DM_QUARANTINE_RAW_MAX * 4);
    char key[512];
    e->key = dm_xstrdup(dm_key_text(p->batch, row, key, sizeof key));
    e->raw = dm_row_json(p->batch, row, &raw, &ignored) == DM_OK && dm_buffer_text(&raw) != NULL
                 ? dm_xstrdup((const char *)raw.data)
                 : dm_xstrdup(key);
    e->message = dm_xstrdup(message);
    e->place = dm_version_pass_place(p, row);
    DM_ROW_COUNT(dm_version_pass_txn(p, row), quarantined, 1);
    dm_buffer_release(&raw);
}

static void add_waiting(struct search *s, uint32_t row)
{
    size_t which = (size_t)s->missing[row] - 1;
    const struct dm_orphan_parent *parent = &s->child->parents[which];
    const struct dm_key_list *keys = &s->references[which];
    struct dm_column *columns = dm_xzalloc(parent->view->n_fields, sizeof *columns);
    struct dm_batch view = view_of(s, parent, columns);
    char reference[256], message[1024];
    (void)dm_key_text(&view, row, reference, sizeof reference);
    (void)snprintf(message, sizeof message,
                   "its parent %s in %.200s has not come yet (relationship \"%.200s\")", reference,
                   parent->relationship->target, parent->relationship->name);
    free(columns);
    struct dm_orphan_event *e = add_event(s, row);
    describe(s, row, e, message);
    e->reason = "orphan";
    DM_ROW_COUNT(dm_version_pass_txn(s->p, row), waiting, 1);
    e->parent = parent->dataset;
    e->relationship = dm_xstrdup(parent->relationship->name);
    e->parent_key_len = keys->offsets[row + 1] - keys->offsets[row];
    e->parent_key = dm_xalloc(e->parent_key_len + 1);
    memcpy(e->parent_key, keys->bytes.data + keys->offsets[row], e->parent_key_len);
    dm_orphan_keys_add(&s->child->keys, e->row_key, e->row_key_len);
}

/* Does a row of this key wait? */
static enum dm_status key_waits(struct search *s, uint32_t row, bool *waits, struct dm_error *err)
{
    struct dm_orphan_child *c = s->child;
    const struct dm_index_change *key = &s->p->stored[s->group[row]];
    *waits = dm_orphan_keys_has(&c->keys, key->key, key->key_len);
    if (*waits || !c->any_waiting)
        return DM_OK;
    sqlite3 *db = dm_lake_sqlite(s->p->a->mirror->lake);
    if (c->find_waiting == NULL &&
        sqlite3_prepare_v2(
            db, "SELECT 1 FROM dm_quarantine WHERE waits_for IS NOT NULL AND dataset=? AND row_key=? LIMIT 1",
            -1, &c->find_waiting, NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    sqlite3_bind_int64(c->find_waiting, 1, (sqlite3_int64)c->target->state.id);
    sqlite3_bind_blob64(c->find_waiting, 2, key->key, key->key_len, SQLITE_STATIC);
    int code = sqlite3_step(c->find_waiting);
    *waits = code == SQLITE_ROW;
    sqlite3_reset(c->find_waiting);
    sqlite3_clear_bindings(c->find_waiting);
    return code == SQLITE_ROW || code == SQLITE_DONE
               ? DM_OK
               : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
}

static enum dm_status sort_out(struct search *s, struct dm_error *err)
{
    struct dm_version_pass *p = s->p;
    enum dm_status status = DM_OK;
    for (uint32_t i = 0; i < p->batch->rows && status == DM_OK; i++) {
        if (s->group[i] == DM_NO_ROW)
            continue;
        bool waits = s->missing[i] != NOT_MISSING;
        p->waits[i] = waits || s->no_reference[i];
        if (s->no_reference[i]) {
            struct dm_orphan_event *e = add_event(s, i);
            describe(s, i, e, "it must refer to a parent, and a column of the reference is null");
            e->reason = "null_reference";
        } else if (waits && overtaken_in_batch(s, i)) {
            p->t->state.stale++;
            DM_ROW_COUNT(dm_version_pass_txn(p, i), stale, 1);
        } else if (waits) {
            add_waiting(s, i);
        } else {
            bool behind = false;
            status = key_waits(s, i, &behind, err);
            if (behind)
                (void)add_event(s, i); /* what waits of this key, and is not newer, need not wait any more */
        }
    }
    return status;
}

static void find_groups(struct search *s)
{
    const struct dm_version_pass *p = s->p;
    memset(s->group, 0xff, (p->batch->rows + 1) * sizeof *s->group);
    for (size_t k = 0; k < p->n_keys; k++) {
        size_t first, end;
        dm_version_pass_group(p, k, &first, &end);
        for (size_t i = first; i < end; i++)
            s->group[p->rows[i].row] = (uint32_t)k;
    }
}

enum dm_status dm_orphans_find(struct dm_version_pass *p, struct dm_error *err)
{
    struct dm_orphan_child *child = NULL;
    if (child_of(p, &child, err) != DM_OK)
        return DM_FAIL;
    if (child == NULL)
        return DM_OK;
    size_t rows = p->batch->rows;
    p->waits = dm_xzalloc(rows + 1, sizeof *p->waits);
    struct search s = {.p = p, .child = child};
    s.references = dm_xzalloc(child->n_parents, sizeof *s.references);
    s.group = dm_xalloc((rows + 1) * sizeof *s.group);
    s.missing = dm_xzalloc(rows + 1, sizeof *s.missing);
    s.no_reference = dm_xzalloc(rows + 1, sizeof *s.no_reference);
    find_groups(&s);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < child->n_parents && status == DM_OK; i++) {
        struct dm_column *columns = dm_xzalloc(child->parents[i].view->n_fields, sizeof *columns);
        struct dm_batch view = view_of(&s, &child->parents[i], columns);
        status = dm_key_list_encode(&s.references[i], &view, err);
        free(columns);
        if (status == DM_OK)
            look_for_nulls(&s, i);
        if (status == DM_OK)
            status = look_up_parents(&s, i, err);
    }
    for (size_t i = 0; i < child->n_parents && status == DM_OK; i++)
        if (child->parents[i].dataset == p->t->state.id)
            find_in_batch(&s, i);
    if (status == DM_OK)
        status = sort_out(&s, err);
    for (size_t i = 0; i < child->n_parents; i++)
        dm_key_list_release(&s.references[i]);
    free(s.references);
    free(s.group);
    free(s.missing);
    free(s.no_reference);
    return status;
}
