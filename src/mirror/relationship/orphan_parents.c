/* What the relationships of a dataset ask of its rows: read once for a commit. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/quarantine/quarantine.h"
#include "mirror/relationship/orphan_list.h"

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
        return dm_sql_fail(db, "waiting children", err);
    sqlite3_bind_int64(st, 1, (sqlite3_int64)c->target->state.id);
    int code = sqlite3_step(st);
    c->any_waiting = code == SQLITE_ROW;
    sqlite3_finalize(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "waiting children", err);
}

enum dm_status dm_orphan_child_of(struct dm_version_pass *p, struct dm_orphan_child **out,
                                  struct dm_error *err)
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
