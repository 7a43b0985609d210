/* Making, evolving and removing declared datasets: the plan of registry/schema_diff.h, carried out in one commit. */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "mirror/declare/declare_checks.h"
#include "mirror/declare/declared.h"
#include "mirror/declare/declare_beside.h"
#include "mirror/hygiene/erase.h"
#include "mirror/hygiene/suppression.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/quarantine/quarantine_names.h"
#include "mirror/quarantine/quarantine_table.h"
#include "mirror/relationship/orphan.h"
#include "mirror/commit/tombstones.h"
#include "mirror/commit/versioned_rows.h"
#include "registry/schema_diff.h"
#include "registry/schema_rules.h"

/* What is to be done for one schema. */
struct work {
    struct dm_relational_schema *schema; /* of `wanted` */
    struct dm_schema_changes plan;
    bool mirrored;   /* only its registry entry is ours */
    bool incomplete; /* it still lacks descriptors: only a registry entry, too … */
    bool undone;     /* … and the dataset that it had, which never had a row, goes */
    bool is_new;     /* no dataset yet */
    bool reindex;
    bool recreate;            /* it never had a row, so even what evolution refuses is fine: made anew */
    struct dm_target *target; /* as it was; NULL: new or mirrored */
    char *namespace;
    char *name;
    struct dm_schema *columns; /* as they will be; NULL: unchanged */
    struct dm_beside_plan beside;
};

struct declare {
    struct dm_mirror *m;
    const struct dm_declare_options *options;
    struct dm_relational_schemas known;
    size_t n;
    struct work *work;
};

static void tell(const struct declare *d, const struct work *w, const char *what)
{
    if (d->options->told != NULL)
        d->options->told(d->options->ctx, w->schema->name, what);
}

/* ---- names ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n > k && strcmp(text + n - k, end) == 0;
}

/* Namespaces of database sources are theirs: a table of tomorrow may have the name that somebody declares today. */
static enum dm_status check_new_name(const struct declare *d, const struct work *w, struct dm_error *err)
{
    if (ends_with(w->name, "__history") || ends_with(w->name, "__tombstones"))
        return dm_fail(
            err, DM_ERROR_CONFIG, "choose another name",
            "%s: names that end in __history or __tombstones are kept for what belongs to a dataset",
            w->schema->name);
    const struct dm_config *config = d->m->config;
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct dm_source_config *s = &config->sources[i];
        size_t n = strlen(s->name);
        bool same = strcmp(s->name, w->namespace) == 0;
        bool schema = strcmp(s->type, "postgres") == 0 && strncmp(s->name, w->namespace, n) == 0 &&
                      w->namespace[n] == '_';
        if (strcmp(s->type, "files") != 0 && (same || schema))
            return dm_fail(
                err, DM_ERROR_CONFIG, "choose another namespace",
                "%s: the namespace %s belongs to the source %s, whose tables become datasets there",
                w->schema->name, w->namespace, s->name);
    }
    const struct dm_dataset *taken = NULL;
    if (dm_lake_dataset(d->m->lake, w->namespace, w->name, &taken, err) != DM_OK)
        return DM_FAIL;
    if (taken != NULL)
        return dm_fail(err, DM_ERROR_CONFIG, "choose another name",
                       "%s: the lake has a dataset of that name, which nobody declared", w->schema->name);
    return DM_OK;
}

/* ---- planning ---- */

static enum dm_status plan_columns(struct work *w, struct dm_error *err)
{
    bool evolves = w->target != NULL && !w->recreate;
    const struct dm_schema *stored = evolves ? w->target->schema : NULL;
    int32_t last = evolves ? w->target->last_column_id : 0;
    struct dm_schema *wanted = NULL, *evolved = NULL;
    enum dm_status status = dm_relational_schema_columns(w->schema, stored, &wanted, err);
    if (status == DM_OK)
        status = dm_schema_evolve(stored, wanted, &last, &evolved, err);
    if (status != DM_OK && stored != NULL && err->class == DM_ERROR_DATA) {
        err->class = DM_ERROR_CONFIG;
        dm_error_hint(err, "declare a new column of the new type beside it, fill it, and drop the old one");
    }
    dm_schema_unref(wanted);
    if (status != DM_OK)
        return status;
    if (stored != NULL && dm_schema_equal(stored, evolved))
        dm_schema_unref(evolved);
    else
        w->columns = evolved;
    return DM_OK;
}

/* What was deleted for good stays away. */
static enum dm_status check_suppression(struct declare *d, const struct work *w, struct dm_error *err)
{
    if (w->target == NULL || w->columns == NULL || w->recreate)
        return DM_OK;
    return dm_suppression_check(d->m->suppression, w->target->state.id, w->schema->name, w->target->schema,
                                w->columns, err);
}

static void follow_suppression(struct declare *d, const struct work *w)
{
    if (w->target != NULL && w->columns != NULL)
        dm_suppression_follow(d->m->suppression, w->target->state.id, w->recreate ? NULL : w->target->schema,
                              w->columns);
}

static enum dm_status check_plan(struct declare *d, struct work *w, struct dm_error *err)
{
    for (size_t i = 0; i < w->plan.n; i++) {
        const struct dm_schema_change *c = &w->plan.items[i];
        w->reindex |= c->reindex;
        if (c->verdict != DM_CHANGE_CHECKED || w->target == NULL || w->recreate)
            continue;
        if (dm_declare_check(d->m, w->target, c, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* Nor a deletion, which a history and the tombstones know of. */
static enum dm_status never_had_rows(struct declare *d, const struct work *w, bool *out, struct dm_error *err)
{
    struct dm_family family;
    *out = false;
    if (w->target == NULL)
        return DM_OK;
    if (dm_family_load(d->m, &w->target->state, &family, err) != DM_OK)
        return DM_FAIL;
    *out = family.n > 0;
    for (size_t i = 0; i < family.n; i++)
        *out = *out && family.members[i]->snapshot_id == 0;
    dm_family_release(&family);
    return DM_OK;
}

/* The division by day is for good: with another timestamp the dataset is made anew, which only one that never had a row can be. */
static enum dm_status plan_division(struct declare *d, struct work *w, struct dm_error *err)
{
    for (size_t i = 0; i < w->plan.n && !w->recreate; i++) {
        const struct dm_schema_change *c = &w->plan.items[i];
        bool empty = false;
        if (c->kind != DM_CHANGE_TIMESTAMP)
            continue;
        if (never_had_rows(d, w, &empty, err) != DM_OK)
            return DM_FAIL;
        if (!empty)
            return dm_fail(err, DM_ERROR_CONFIG, c->hint, "%s: refused: %s: the dataset has had rows",
                           w->schema->name, c->what);
        w->recreate = w->reindex = true;
    }
    return DM_OK;
}

static enum dm_status check_not_referred_to(struct dm_mirror *m, const char *name, struct dm_error *err);

/* A descriptor that the dataset stands on is taken out: fine as long as no row was stored by it. */
static enum dm_status plan_undoing(struct declare *d, struct work *w, struct dm_error *err)
{
    char missing[DM_MISSING_MAX];
    bool empty = false;
    w->undone = true;
    if (dm_declared_target(d->m, w->schema->name, &w->target, err) != DM_OK ||
        never_had_rows(d, w, &empty, err) != DM_OK)
        return DM_FAIL;
    if (!empty)
        return dm_fail(err, DM_ERROR_CONFLICT,
                       "replace the descriptor (PUT) instead: the rows are checked against the new one",
                       "%s: the dataset has rows, and they are kept by its %s", w->schema->name,
                       dm_relational_schema_missing(w->schema, missing));
    return check_not_referred_to(d->m, w->schema->name, err);
}

/* Nothing but the registry's entry. */
static enum dm_status plan_incomplete(struct declare *d, struct work *w,
                                      const struct dm_relational_schema *known, struct dm_error *err)
{
    w->incomplete = true;
    if (known == NULL)
        return check_new_name(d, w, err);
    return dm_relational_schema_is_complete(known) ? plan_undoing(d, w, err) : DM_OK;
}

static enum dm_status plan_one(struct declare *d, struct work *w, struct dm_error *err)
{
    const struct dm_relational_schema *known = dm_relational_schemas_find(&d->known, w->schema->name);
    w->mirrored = w->schema->origin != NULL && strcmp(w->schema->origin, "declared") != 0;
    dm_relational_schema_split(w->schema->name, &w->namespace, &w->name);
    if (d->options->drop_columns)
        dm_names_add(&w->schema->dropped, "*");
    dm_schema_diff(known, w->schema, &w->plan);
    if (w->mirrored)
        return dm_schema_changes_refused(&w->plan, w->schema, err);
    if (!dm_relational_schema_is_complete(w->schema))
        return plan_incomplete(d, w, known, err);
    w->is_new = known == NULL || !dm_relational_schema_is_complete(known);
    if (w->is_new) { /* and no row that a change could be refused for */
        return check_new_name(d, w, err) == DM_OK ? plan_columns(w, err) : DM_FAIL;
    } else if (dm_declared_target(d->m, w->schema->name, &w->target, err) != DM_OK) {
        return DM_FAIL;
    }
    if (dm_schema_changes_refused(&w->plan, w->schema, err) != DM_OK) {
        bool empty = false;
        struct dm_error why = {0};
        if (never_had_rows(d, w, &empty, &why) != DM_OK || !empty)
            return DM_FAIL;
        *err = (struct dm_error){0};
        w->recreate = true;
        w->reindex = true;
    }
    if (check_plan(d, w, err) != DM_OK || plan_division(d, w, err) != DM_OK || plan_columns(w, err) != DM_OK)
        return DM_FAIL;
    if (w->recreate)
        return DM_OK;
    return check_suppression(d, w, err) == DM_OK
               ? dm_beside_plan_make(d->m, w->target, w->columns, w->schema, &w->plan, &w->beside, err)
               : DM_FAIL;
}

static enum dm_status plan(struct declare *d, struct dm_relational_schemas *wanted, struct dm_error *err)
{
    if (dm_registry_list(dm_lake_sqlite(d->m->lake), &d->known, err) != DM_OK ||
        (d->options->edit != NULL &&
         d->options->edit(d->options->edit_ctx, &d->known, wanted, err) != DM_OK) ||
        dm_schemas_resolve(wanted, &d->known, err) != DM_OK ||
        dm_schemas_check(wanted, &d->known, err) != DM_OK)
        return DM_FAIL;
    d->work = dm_xzalloc(wanted->n + 1, sizeof *d->work);
    for (; d->n < wanted->n; d->n++) {
        d->work[d->n].schema = wanted->items[d->n];
        if (plan_one(d, &d->work[d->n], err) != DM_OK) {
            d->n++; /* it is released with the others */
            return DM_FAIL;
        }
    }
    return DM_OK;
}

static void release(struct declare *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct work *w = &d->work[i];
        dm_schema_changes_release(&w->plan);
        dm_target_free(w->target);
        dm_schema_unref(w->columns);
        dm_beside_plan_release(&w->beside);
        free(w->namespace);
        free(w->name);
    }
    free(d->work);
    dm_relational_schemas_release(&d->known);
}

/* ---- carrying out ---- */

/* Time-series are read by time, and late events come to few days: a dataset of theirs is divided by the day of its timestamp. */
static enum dm_status create(struct dm_commit *commit, const struct work *w, struct dm_error *err)
{
    if (dm_commit_create(commit, w->namespace, w->name, w->columns, err) != DM_OK)
        return DM_FAIL;
    if (w->schema->behavior != DM_BEHAVIOR_TIME_SERIES)
        return DM_OK;
    int at = dm_schema_find(w->columns, w->schema->timestamp);
    return dm_commit_divide_by_day(commit, w->namespace, w->name, at < 0 ? 0 : w->columns->fields[at].id,
                                   err);
}

/* With its history, the archives of it, and its tombstones. */
static enum dm_status drop_all(struct dm_mirror *m, struct dm_commit *c, const struct dm_target *t,
                               struct dm_error *err)
{
    struct dm_family family;
    enum dm_status status = dm_family_load(m, &t->state, &family, err);
    for (size_t i = 0; i < family.n && status == DM_OK; i++)
        status = dm_commit_drop(c, family.members[i]->namespace, family.members[i]->name, err);
    dm_family_release(&family);
    return status;
}

static enum dm_status stage(struct declare *d, struct dm_commit *commit, struct work *w, struct dm_error *err)
{
    if (w->undone)
        return drop_all(d->m, commit, w->target, err);
    if (w->mirrored || w->incomplete)
        return DM_OK;
    if (w->is_new)
        return create(commit, w, err);
    if (w->recreate)
        return drop_all(d->m, commit, w->target, err) == DM_OK ? create(commit, w, err) : DM_FAIL;
    if (w->columns != NULL && dm_commit_set_schema(commit, w->namespace, w->name, w->columns, err) != DM_OK)
        return DM_FAIL;
    return dm_beside_plan_stage(d->m, commit, w->target, &w->beside, err);
}

/* What belongs to a dataset that is dropped. */
static enum dm_status remove_dataset(const struct dm_target *t, const char *name, struct sqlite3 *db,
                                     struct dm_error *err)
{
    char *sql = sqlite3_mprintf("DELETE FROM dm_receipt WHERE dataset=%Q", name);
    enum dm_status status = dm_state_remove_dataset(db, t->state.id, err);
    if (status == DM_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        status =
            dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: removing %s: %s", name, sqlite3_errmsg(db));
    sqlite3_free(sql);
    return status;
}

/* What is in quarantine follows. A dataset that is made anew had no commit, so there is nothing. */
static enum dm_status change_quarantine(const struct work *w, struct sqlite3 *db, struct dm_error *err)
{
    bool rules = false;
    for (size_t i = 0; i < w->plan.n; i++)
        rules |= w->plan.items[i].kind != DM_CHANGE_TEXT;
    if (w->target == NULL || w->undone || !rules)
        return DM_OK;
    uint32_t dataset = w->target->state.id;
    if (w->columns != NULL && !w->recreate &&
        dm_quarantine_names_change(db, dataset, w->target->schema, w->columns, err) != DM_OK)
        return DM_FAIL;
    return dm_quarantine_ask_again(db, dataset, err);
}

static enum dm_status save(void *ctx, struct sqlite3 *db, struct dm_error *err)
{
    struct declare *d = ctx;
    enum dm_status status = dm_suppression_save(d->m->suppression, db, err);
    for (size_t i = 0; i < d->n && status == DM_OK; i++) {
        struct work *w = &d->work[i];
        status = change_quarantine(w, db, err);
        if (status != DM_OK)
            break;
        if (w->plan.n > 0 || w->is_new)
            status = dm_registry_put(db, w->schema, err);
        if (status == DM_OK && w->undone)
            status = remove_dataset(w->target, w->schema->name, db, err);
        if (status != DM_OK || !w->is_new || w->mirrored)
            continue;
        struct dm_dataset_state state = {.source = (char[]){""},
                                         .namespace = w->namespace,
                                         .name = w->name,
                                         .source_schema = (char[]){""},
                                         .source_table = (char[]){""},
                                         .state = (char[]){"declared"},
                                         .copied_at = 1};
        status = dm_state_put_dataset(db, &state, err);
    }
    return status;
}

/* Before the commit, so that a crash at any moment leaves an index that is seen to be missing. */
static enum dm_status forget_indexes(struct declare *d, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < d->n && status == DM_OK; i++) {
        struct work *w = &d->work[i];
        if (!w->reindex || w->target == NULL)
            continue;
        status = dm_keyindex_begin(d->m->index, err);
        if (status == DM_OK)
            status = dm_versioned_forget(d->m->index, w->target, err);
        if (status == DM_OK)
            status = dm_keyindex_commit(d->m->index, err);
        else
            dm_keyindex_abort(d->m->index);
    }
    return status;
}

static enum dm_status commit(struct declare *d, struct dm_error *err)
{
    struct dm_commit *c = NULL;
    struct dm_commit_summary summary = {.source = "schema", .position = "schema apply"};
    enum dm_status status = forget_indexes(d, err);
    if (status == DM_OK)
        status = dm_commit_begin(d->m->lake, &c, err);
    for (size_t i = 0; i < d->n && status == DM_OK; i++) {
        status = stage(d, c, &d->work[i], err);
        follow_suppression(d, &d->work[i]);
    }
    if (status == DM_OK)
        status = dm_commit_write(c, &summary, err);
    dm_crash_point("declare-before-publish");
    if (status == DM_OK)
        status = dm_commit_publish(c, save, d, err);
    dm_suppression_settle(d->m->suppression, status == DM_OK);
    dm_crash_point("declare-after-publish");
    dm_commit_free(c);
    return status;
}

static void tell_all(const struct declare *d)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct work *w = &d->work[i];
        for (size_t k = 0; k < w->plan.n; k++)
            tell(d, w, w->plan.items[k].what);
        for (size_t k = 0; k < w->beside.said.n; k++)
            tell(d, w, w->beside.said.items[k]);
        if (w->plan.n == 0)
            tell(d, w, "unchanged");
    }
}

enum dm_status dm_declare(struct dm_mirror *m, struct dm_relational_schemas *wanted,
                          const struct dm_declare_options *options, struct dm_error *err)
{
    struct declare d = {.m = m, .options = options};
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = plan(&d, wanted, err);
    bool change = false, catch_up = false;
    for (size_t i = 0; i < d.n; i++) {
        change |= d.work[i].plan.n > 0 || d.work[i].is_new;
        catch_up |= d.work[i].reindex || d.work[i].beside.begins;
    }
    if (status == DM_OK)
        tell_all(&d);
    if (status == DM_OK && change && !options->dry_run)
        status = commit(&d, err);
    if (catch_up && !options->dry_run) { /* also after a failure: the indexes were forgotten */
        struct dm_error why = {0};
        enum dm_status caught_up = dm_declared_catch_up(m, status == DM_OK ? err : &why);
        status = status == DM_OK ? caught_up : status;
    }
    release(&d);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    struct dm_error why = {0};
    if (status == DM_OK && change && !options->dry_run && dm_orphans_release(m, &why) != DM_OK)
        dm_log_error(DM_LOG_WARN, "children that wait for their parent", &why);
    return status;
}

/* ---- removal ---- */

struct removal {
    const struct dm_target *target; /* NULL: the schema is incomplete, there is no dataset */
    const char *name;               /* "sales.orders" */
};

static enum dm_status remove_rows(void *ctx, struct sqlite3 *db, struct dm_error *err)
{
    const struct removal *r = ctx;
    if (dm_registry_remove(db, r->name, err) != DM_OK)
        return DM_FAIL;
    return r->target != NULL ? remove_dataset(r->target, r->name, db, err) : DM_OK;
}

static enum dm_status check_not_referred_to(struct dm_mirror *m, const char *name, struct dm_error *err)
{
    struct dm_relational_schemas all = {0};
    enum dm_status status = dm_registry_list(dm_lake_sqlite(m->lake), &all, err);
    for (size_t i = 0; i < all.n && status == DM_OK; i++) {
        const struct dm_relational_schema *s = all.items[i];
        for (size_t k = 0; k < s->n_relationships && status == DM_OK; k++)
            if (strcmp(s->relationships[k].target, name) == 0 && strcmp(s->name, name) != 0)
                status = dm_fail(err, DM_ERROR_CONFIG, "take that relationship out first, or drop both",
                                 "%s has the relationship %s to %s", s->name, s->relationships[k].name, name);
    }
    dm_relational_schemas_release(&all);
    return status;
}

/* Everything that would be lost counts: also what its history tells, and what waits in quarantine. */
static enum dm_status has_no_rows(struct dm_mirror *m, const struct dm_target *t, const char *name,
                                  struct dm_error *err)
{
    uint64_t rows = 0, past = 0, aside = 0;
    struct dm_quarantine_choice all = {.dataset = t->state.id};
    char *tombstones = dm_tombstones_name(t);
    struct dm_family family;
    enum dm_status status = dm_family_load(m, &t->state, &family, err);
    for (size_t i = 0; i < family.n; i++) {
        const struct dm_dataset *d = family.members[i];
        if (strcmp(d->name, t->state.name) == 0)
            rows = d->live_rows;
        else if (strcmp(d->name, tombstones) != 0)
            past += d->live_rows;
    }
    dm_family_release(&family);
    if (status == DM_OK)
        status = dm_quarantine_count(dm_lake_sqlite(m->lake), &all, &aside, err);
    free(tombstones);
    if (status != DM_OK || rows + past + aside == 0)
        return status;
    return dm_fail(err, DM_ERROR_CONFLICT, NULL,
                   "the dataset of %s has %" PRIu64 " rows, %" PRIu64 " of history and %" PRIu64
                   " in quarantine",
                   name, rows, past, aside);
}

/* An incomplete schema has no dataset to look after. */
static enum dm_status is_entry_only(struct dm_mirror *m, const char *name, bool *out, struct dm_error *err)
{
    struct dm_relational_schema *s = NULL;
    enum dm_status status = dm_registry_get(dm_lake_sqlite(m->lake), name, &s, err);
    *out = s != NULL && !dm_relational_schema_is_complete(s);
    dm_relational_schema_free(s);
    return status;
}

static enum dm_status undeclare(struct dm_mirror *m, const char *name, bool keep_rows, struct dm_error *err)
{
    struct dm_target *t = NULL;
    struct dm_commit *c = NULL;
    bool entry_only = false;
    enum dm_status status = is_entry_only(m, name, &entry_only, err);
    if (status == DM_OK && entry_only) {
        struct removal r = {.name = name};
        status = check_not_referred_to(m, name, err);
        return status == DM_OK ? remove_rows(&r, dm_lake_sqlite(m->lake), err) : status;
    }
    if (status == DM_OK)
        status = dm_declared_target(m, name, &t, err);
    struct removal r = {.target = t, .name = name};
    struct dm_commit_summary summary = {.source = "schema", .position = "schema drop"};
    if (status == DM_OK)
        status = check_not_referred_to(m, name, err);
    if (status == DM_OK && keep_rows)
        status = has_no_rows(m, t, name, err);
    if (status == DM_OK)
        status = dm_keyindex_begin(m->index, err);
    if (status == DM_OK) {
        /* Its number is never given out again, so an index without a dataset is only room taken. */
        status = dm_versioned_forget(m->index, t, err);
        if (status == DM_OK)
            status = dm_commit_begin(m->lake, &c, err);
        if (status == DM_OK)
            status = drop_all(m, c, t, err);
        if (status == DM_OK)
            status = dm_commit_write(c, &summary, err);
        if (status == DM_OK)
            status = dm_commit_publish(c, remove_rows, &r, err);
        dm_commit_free(c);
        if (status == DM_OK)
            status = dm_keyindex_commit(m->index, err);
        else
            dm_keyindex_abort(m->index);
    }
    dm_target_free(t);
    return status;
}

enum dm_status dm_undeclare(struct dm_mirror *m, const char *name, bool keep_rows, struct dm_error *err)
{
    char *full = dm_declared_name(name);
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = undeclare(m, full, keep_rows, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    free(full);
    return status;
}
