#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "lake/lake.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/lake_lock.h"
#include "mirror/mirror.h"
#include "mirror/state.h"
#include "mirror/hygiene/suppression.h"
#include "registry/registry.h"

static char *text(sqlite3_stmt *st, int i)
{
    return dm_xstrdup((const char *)sqlite3_column_text(st, i));
}

/* A source tells where it stands every second, unless a long commit or a full queue keeps it from that: then what it said last may have changed at once.
 * One that is not followed may have changed at once, too. */
static int64_t lag_now(const struct dm_source_status *s, int64_t lag_us)
{
    enum { fresh_us = 3 * 1000 * 1000 };
    int64_t age = dm_clock_wall_us() - s->updated_us;
    if (s->updated_us == 0)
        return -1;
    return lag_us + (!s->followed || age > fresh_us ? age : 0);
}

static bool is_configured(const struct dm_config *config, const char *source)
{
    for (size_t i = 0; i < config->n_sources; i++)
        if (strcmp(config->sources[i].name, source) == 0)
            return true;
    return false;
}

static struct dm_source_status source_status(sqlite3_stmt *st, const struct dm_config *config, bool running)
{
    const char *state = (const char *)sqlite3_column_text(st, 2);
    if (!is_configured(config, (const char *)sqlite3_column_text(st, 0)))
        state = "not configured"; /* any more: its datasets stay */
    bool cut_off = !running && (strcmp(state, "running") == 0 || strcmp(state, "starting") == 0 ||
                                strcmp(state, "waiting") == 0 || strcmp(state, "retrying") == 0);
    struct dm_source_status s = {
        .name = text(st, 0),
        .type = text(st, 1),
        .state = dm_xstrdup(cut_off ? "stopped" : state),
        .position = text(st, 3),
        .commit_time_us = sqlite3_column_int64(st, 4),
        .updated_us = sqlite3_column_int64(st, 5),
        .followed = running && strcmp(state, "running") == 0,
        .lag_bytes = -1,
        .error = text(st, 8),
    };
    if (cut_off && s.error == NULL)
        s.error = dm_xstrdup("its process ended without a clean end (killed, or the machine went down)");
    if (s.followed)
        s.lag_bytes = sqlite3_column_int64(st, 6);
    s.lag_us = lag_now(&s, sqlite3_column_int64(st, 7));
    return s;
}

static enum dm_status read_sources(sqlite3 *db, const struct dm_config *config, struct dm_status_report *out,
                                   struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db,
                           "SELECT name, type, state, coalesce(position_text, ''), commit_time_us, "
                           "updated_us, lag_bytes, lag_us,"
                           " iif(error IS NULL, NULL, error || ' (since ' || datetime(error_since_us / "
                           "1000000, 'unixepoch') || ' UTC)')"
                           " FROM dm_source ORDER BY name",
                           -1, &st, NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        out->sources = dm_xrealloc(out->sources, out->n_sources + 1, sizeof *out->sources);
        out->sources[out->n_sources++] = source_status(st, config, out->running);
    }
    sqlite3_finalize(st);
    return DM_OK;
}

static enum dm_status read_files(struct dm_lake *lake, struct dm_dataset_status *d,
                                 const struct dm_dataset_state *s, struct dm_error *err)
{
    const struct dm_dataset *dataset = NULL;
    if (dm_lake_dataset(lake, s->namespace, s->name, &dataset, err) != DM_OK &&
        err->class == DM_ERROR_TRANSIENT)
        return DM_FAIL;
    if (dataset == NULL) /* none, or not readable: its state says so, when a mirror has seen it */
        return DM_OK;
    d->rows = dataset->live_rows;
    d->files = dataset->n_files;
    for (size_t i = 0; i < dataset->n_files; i++) {
        d->bytes += dataset->files[i].bytes;
        d->deleted_in_files += dataset->files[i].deleted_rows;
    }
    return DM_OK;
}

/* A source that fills the dataset; `name` is "sales.orders". */
static bool fills(const struct dm_config *config, const struct dm_source_status *s,
                  const struct dm_dataset_state *d, const char *name)
{
    if (d->source[0] != '\0')
        return strcmp(d->source, s->name) == 0;
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct dm_source_config *c = &config->sources[i];
        if (strcmp(c->name, s->name) != 0 || c->dataset == NULL)
            continue;
        char *full = dm_relational_schema_name(c->dataset);
        bool same = strcmp(full, name) == 0;
        free(full);
        return same;
    }
    return false;
}

/* All datasets of a source move together. What comes by requests and commands is there when it is answered. */
static int64_t dataset_lag(const struct dm_config *config, const struct dm_status_report *report,
                           const struct dm_dataset_state *d, const char *name)
{
    int64_t lag = d->source[0] != '\0' ? -1 : 0;
    bool follows = strcmp(d->state, "streaming") == 0 || strcmp(d->state, "append-only") == 0 ||
                   strcmp(d->state, "declared") == 0;
    for (size_t i = 0; i < report->n_sources; i++) {
        const struct dm_source_status *s = &report->sources[i];
        if (!fills(config, s, d, name))
            continue;
        if (!follows || s->lag_us < 0)
            return -1;
        lag = s->lag_us > lag ? s->lag_us : lag;
    }
    return lag;
}

static enum dm_status read_datasets(const struct dm_config *config, sqlite3 *db, struct dm_status_report *out,
                                    struct dm_error *err)
{
    struct dm_dataset_states states;
    if (dm_state_datasets(db, NULL, &states, err) != DM_OK)
        return DM_FAIL;
    struct dm_lake_options options = {
        .folder = config->lake, .catalog_name = config->catalog_name, .read_only = true};
    struct dm_lake *lake = NULL;
    struct dm_suppression *suppression = NULL;
    enum dm_status status = dm_lake_open(&options, &lake, err);
    if (status == DM_OK)
        status = dm_suppression_open(db, NULL, false, &suppression, err);
    out->datasets = dm_xzalloc(states.n, sizeof *out->datasets);
    for (size_t i = 0; i < states.n && status == DM_OK; i++) {
        const struct dm_dataset_state *s = &states.items[i];
        struct dm_dataset_status *d = &out->datasets[out->n_datasets++];
        *d = (struct dm_dataset_status){
            .dataset = dm_xasprintf("%s.%s", s->namespace, s->name),
            .source = dm_xstrdup(s->source),
            .state = dm_xstrdup(s->state),
            .reason = dm_xstrdup(s->reason),
            .received = s->received,
            .inserted = s->inserted,
            .updated = s->updated,
            .deleted = s->deleted,
            .truncated = s->truncated,
            .quarantined = s->quarantined,
            .stale = s->stale,
            .ties = s->ties,
            .noop_deletes = s->noop_deletes,
            .suppressed = s->suppressed,
        };
        d->lag_us = dataset_lag(config, out, s, d->dataset);
        struct dm_suppressed *keys = dm_suppression_of(suppression, s->id);
        d->suppressed_keys = dm_suppressed_count(keys);
        dm_suppressed_unref(keys);
        status = read_files(lake, d, s, err);
    }
    dm_suppression_close(suppression);
    dm_lake_close(lake);
    dm_dataset_states_release(&states);
    return status;
}

/* Schemas whose dataset cannot be made yet. */
static enum dm_status read_incomplete(sqlite3 *db, struct dm_status_report *out, struct dm_error *err)
{
    struct dm_relational_schemas all = {0};
    if (dm_registry_list(db, &all, err) != DM_OK)
        return DM_FAIL;
    out->datasets = dm_xrealloc(out->datasets, out->n_datasets + all.n + 1, sizeof *out->datasets);
    for (size_t i = 0; i < all.n; i++) {
        char missing[DM_MISSING_MAX];
        if (dm_relational_schema_is_complete(all.items[i]))
            continue;
        out->datasets[out->n_datasets++] = (struct dm_dataset_status){
            .dataset = dm_xstrdup(all.items[i]->name),
            .source = dm_xstrdup(""),
            .state = dm_xstrdup("incomplete"),
            .lag_us = -1,
            .reason = dm_xasprintf("its schema still needs %s",
                                   dm_relational_schema_missing(all.items[i], missing)),
        };
    }
    dm_relational_schemas_release(&all);
    return DM_OK;
}

static enum dm_status read_all(const struct dm_config *config, bool datasets, struct dm_status_report *out,
                               struct dm_error *err)
{
    *out = (struct dm_status_report){0};
    struct dm_lake_holder holder;
    out->running = dm_lake_lock_held(config->lake, &holder) && holder.mirror;
    out->pid = out->running ? holder.pid : 0;
    sqlite3 *db = NULL;
    enum dm_status status = dm_catalog_side_open(config->lake, &db, err);
    if (status == DM_OK)
        status = read_sources(db, config, out, err);
    if (status == DM_OK && datasets)
        status = read_datasets(config, db, out, err);
    if (status == DM_OK && datasets)
        status = read_incomplete(db, out, err);
    (void)sqlite3_close(db);
    if (status != DM_OK)
        dm_status_report_release(out);
    return status;
}

enum dm_status dm_mirror_status(const struct dm_config *config, struct dm_status_report *out,
                                struct dm_error *err)
{
    return read_all(config, true, out, err);
}

enum dm_status dm_mirror_status_sources(const struct dm_config *config, struct dm_status_report *out,
                                        struct dm_error *err)
{
    return read_all(config, false, out, err);
}

void dm_status_report_release(struct dm_status_report *r)
{
    for (size_t i = 0; i < r->n_sources; i++) {
        free(r->sources[i].name);
        free(r->sources[i].type);
        free(r->sources[i].state);
        free(r->sources[i].position);
        free(r->sources[i].error);
    }
    for (size_t i = 0; i < r->n_datasets; i++) {
        free(r->datasets[i].dataset);
        free(r->datasets[i].source);
        free(r->datasets[i].state);
        free(r->datasets[i].reason);
    }
    free(r->sources);
    free(r->datasets);
    *r = (struct dm_status_report){0};
}
