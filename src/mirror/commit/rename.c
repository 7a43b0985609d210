#include "mirror/commit/rename.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "mirror/dataset_match.h"

/* Datasets, each of which wants the name of the next one; the last one's is free, or the first one's. */
struct chain {
    struct dm_target **items;
    size_t n;
    bool circle;
    const char *in_the_way; /* why it cannot be: the name that is not free; owned by `wanted` */
    struct dm_dataset_wanted wanted;
};

static void chain_release(struct chain *c)
{
    free(c->items);
    dm_dataset_wanted_release(&c->wanted);
}

static bool lake_has(const struct dm_renaming *r, const char *namespace, const char *name, const char *tail,
                     bool *has, struct dm_error *err)
{
    char *full = dm_xasprintf("%s%s", name, tail);
    const struct dm_schema *schema = NULL;
    enum dm_status status = dm_commit_schema(r->apply->commit, namespace, full, &schema, err);
    free(full);
    *has = schema != NULL;
    return status == DM_OK;
}

static struct dm_target *holder_of(const struct dm_renaming *r, const struct dm_dataset_wanted *w)
{
    for (size_t i = 0; i < r->all->n; i++)
        if (dm_dataset_has_name(&r->all->items[i]->state, w))
            return r->all->items[i];
    return NULL;
}

static bool in_chain(const struct chain *c, const struct dm_target *t)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i] == t)
            return true;
    return false;
}

/* No dataset of the source has the name: nor has anything else, and so for the history? */
static enum dm_status is_free(const struct dm_renaming *r, const struct dm_target *t,
                              const struct dm_dataset_wanted *w, bool *is, struct dm_error *err)
{
    bool taken = false, history = false, taken_history = false;
    if (!lake_has(r, w->namespace, w->name, "", &taken, err) ||
        !lake_has(r, t->state.namespace, t->state.name, "__history", &history, err) ||
        !lake_has(r, w->namespace, w->name, "__history", &taken_history, err))
        return DM_FAIL;
    *is = !taken && !(history && taken_history);
    return DM_OK;
}

/* c->n 0 afterwards: it has the name it should have. */
static enum dm_status find_chain(const struct dm_renaming *r, struct dm_target *t, struct chain *c,
                                 struct dm_error *err)
{
    c->items = dm_xzalloc(r->all->n + 1, sizeof(struct dm_target *));
    for (struct dm_target *at = t; at != NULL;) {
        dm_dataset_wanted_release(&c->wanted);
        c->wanted = dm_dataset_name_of(at->state.source, at->state.source_schema, at->state.source_table);
        if (dm_dataset_has_name(&at->state, &c->wanted)) {
            c->in_the_way = c->n > 0 ? c->wanted.name : NULL;
            return DM_OK;
        }
        c->items[c->n++] = at;
        struct dm_target *holder = holder_of(r, &c->wanted);
        c->circle = holder == t;
        if (holder == NULL) {
            bool is = false;
            enum dm_status status = is_free(r, at, &c->wanted, &is, err);
            c->in_the_way = is ? NULL : c->wanted.name;
            return status;
        }
        if (!c->circle && in_chain(c, holder))
            c->in_the_way = c->wanted.name;
        at = c->circle || c->in_the_way != NULL ? NULL : holder;
    }
    return DM_OK;
}

/* One that was not copied yet has no dataset, and not each has a history. */
static enum dm_status move(const struct dm_renaming *r, const char *namespace, const char *name,
                           const char *to_namespace, const char *to_name, const char *tail,
                           struct dm_error *err)
{
    bool has = false;
    if (!lake_has(r, namespace, name, tail, &has, err))
        return DM_FAIL;
    if (!has)
        return DM_OK;
    char *from = dm_xasprintf("%s%s", name, tail), *to = dm_xasprintf("%s%s", to_name, tail);
    enum dm_status status = dm_commit_rename(r->apply->commit, namespace, from, to_namespace, to, err);
    free(from);
    free(to);
    return status;
}

static enum dm_status move_chain(const struct dm_renaming *r, const struct chain *c, const char *tail,
                                 struct dm_error *err)
{
    static const char *const between = "\x02"; /* a name that no table has, for as long as this takes */
    const struct dm_dataset_state *first = &c->items[0]->state;
    enum dm_status status = DM_OK;
    if (c->circle)
        status = move(r, first->namespace, first->name, first->namespace, between, tail, err);
    for (size_t i = c->n; i-- > 0 && status == DM_OK;) {
        const struct dm_dataset_state *d = &c->items[i]->state;
        struct dm_dataset_wanted w = dm_dataset_name_of(d->source, d->source_schema, d->source_table);
        const char *name = c->circle && i == 0 ? between : d->name;
        status = move(r, d->namespace, name, w.namespace, w.name, tail, err);
        dm_dataset_wanted_release(&w);
    }
    return status;
}

static enum dm_status rename_all(const struct dm_renaming *r, const struct chain *c, struct dm_error *err)
{
    if (move_chain(r, c, "", err) != DM_OK || move_chain(r, c, "__history", err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < c->n; i++) {
        struct dm_target *t = c->items[i];
        struct dm_dataset_wanted w =
            dm_dataset_name_of(t->state.source, t->state.source_schema, t->state.source_table);
        dm_log(DM_LOG_INFO, "%s.%s is called %s.%s from here on, as its table", t->state.namespace,
               t->state.name, w.namespace, w.name);
        dm_target_set_text(t, &t->state.namespace, w.namespace);
        dm_target_set_text(t, &t->state.name, w.name);
        dm_target_set_text(t, &t->state.reason, NULL);
        dm_dataset_wanted_release(&w);
        r->renamed(r->ctx, t);
    }
    return DM_OK;
}

static void stay(struct dm_target *t, const char *in_the_way)
{
    char *reason =
        dm_xasprintf("its table is called %s now, but a dataset has the name %s: it keeps its old one; "
                     "rename that other dataset's table, or drop that dataset",
                     t->state.source_table, in_the_way);
    if (t->state.reason == NULL || strcmp(t->state.reason, reason) != 0)
        dm_log(DM_LOG_WARN, "%s.%s: %s", t->state.namespace, t->state.name, reason);
    dm_target_set_text(t, &t->state.reason, reason);
    free(reason);
}

/* *moved: datasets got other names. */
static enum dm_status settle(const struct dm_renaming *r, struct dm_target *t, bool *moved,
                             struct dm_error *err)
{
    struct chain c = {0};
    enum dm_status status = find_chain(r, t, &c, err);
    *moved = status == DM_OK && c.n > 0 && c.in_the_way == NULL;
    if (*moved)
        status = rename_all(r, &c, err);
    else if (status == DM_OK && c.n > 0)
        stay(t, c.in_the_way);
    chain_release(&c);
    return status;
}

/* Of those that wait for a name, one after the other, until none can have it. */
static enum dm_status settle_waiting(const struct dm_renaming *r, struct dm_error *err)
{
    for (size_t i = 0; i < r->all->n; i++) {
        struct dm_target *t = r->all->items[i];
        struct dm_dataset_wanted w =
            dm_dataset_name_of(t->state.source, t->state.source_schema, t->state.source_table);
        bool waits = t->phase == DM_PHASE_STREAMING && !dm_dataset_has_name(&t->state, &w), moved = false;
        dm_dataset_wanted_release(&w);
        if (waits && settle(r, t, &moved, err) != DM_OK)
            return DM_FAIL;
        if (moved)
            i = (size_t)-1; /* from the beginning */
    }
    return DM_OK;
}

enum dm_status dm_rename_follow(const struct dm_renaming *r, struct dm_target *t,
                                const struct dm_table *table, struct dm_error *err)
{
    if (table->id != 0 && t->state.source_id != 0 && table->id != t->state.source_id)
        return DM_OK; /* a new table of the old name took the dataset over meanwhile */
    dm_target_set_text(t, &t->state.source_schema, table->schema);
    dm_target_set_text(t, &t->state.source_table, table->name);
    bool moved = false;
    if (settle(r, t, &moved, err) != DM_OK)
        return DM_FAIL;
    return moved ? settle_waiting(r, err) : DM_OK;
}
