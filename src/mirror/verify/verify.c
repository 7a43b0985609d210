/* verify.c — source and lake compared row by row at one position while both keep running.
 *
 * 1. A pin request holds the running mirror's stream (without a running mirror, one is started in this process for the time being).
 * 2. A source snapshot is pinned: it stands at some position X beyond everything that the mirror has received.
 * 3. The mirror is told X, goes on, and closes a commit exactly at X; the metadata files of that commit are recorded.
 *    (A source that reads states instead of a log can stop at X only while nobody writes: its writers are held until the commit, for two
 *    seconds at most, then the pin is tried again.)
 * 4. Each table's rows under the snapshot are written to a Parquet file; one SQL full outer join by key against the dataset at the pin
 *    finds every difference, out of core.
 */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/sql.h"
#include "lake/dataset_scan.h"
#include "lake/lake.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/dataset_match.h"
#include "mirror/lake_lock.h"
#include "mirror/mirror.h"
#include "mirror/state.h"
#include "mirror/verify/verify_reason.h"
#include "mirror/verify/verify_rows.h"
#include "mirror/verify/verify_sql.h"
#include "source/source.h"

enum { wait_step_ms = 20, settle_steps = 10, hold_writers_us = 2000000 };

/* A mirror in this process, when no other runs. */
struct own_mirror {
    const struct dm_config *config;
    atomic_int stop;
    struct dm_thread thread;
    struct dm_error error; /* why it ended, when `ended` */
    atomic_bool ended;     /* by itself: something is wrong */
};

struct verify {
    const struct dm_config *config;
    struct own_mirror *own;       /* NULL: another process mirrors */
    const struct own_mirror *was; /* that ended */
    const char *const *wanted;
    size_t n_wanted;
    size_t max_differences;
    int64_t timeout_ms;  /* of each source */
    int64_t deadline_us; /* monotonic */
    const struct dm_verify_callbacks *callbacks;
    const atomic_int *stop;
    enum dm_verify_result worst;
    bool *seen; /* of wanted: reported */
    size_t reported;
    struct dm_error silent; /* class set: why a source without datasets could not be asked */
    sqlite3 *db;
    struct dm_lake *lake;
    struct dm_engine *engine;
    char *folder; /* temporary Parquet files */

    /* of the source at hand */
    const struct dm_source_type *type;
    struct dm_source *source;
    struct dm_copy *copy;
    struct dm_table_list tables;
    int64_t request;
    int64_t pinned_us; /* wall clock, before the pin */
    char position[32];
};

static void worsen(struct verify *v, enum dm_verify_result r)
{
    /* different beats unknown beats equal: a proven difference is the stronger answer */
    if (r == DM_VERIFY_DIFFERENT || (r == DM_VERIFY_UNKNOWN && v->worst == DM_VERIFY_EQUAL))
        v->worst = r;
}

static void report(struct verify *v, struct dm_verify_dataset *d)
{
    d->position = v->position[0] != '\0' ? v->position : NULL;
    for (size_t i = 0; i < v->n_wanted; i++)
        v->seen[i] |= strcmp(v->wanted[i], d->dataset) == 0;
    v->reported += d->result != DM_VERIFY_DROPPED;
    worsen(v, d->result);
    if (v->callbacks->dataset != NULL)
        v->callbacks->dataset(v->callbacks->ctx, d);
}

/* Somebody still mirrors. Our own mirror ends at once when another process was about to take the lake: then that one answers. */
static bool is_mirrored(struct verify *v)
{
    struct dm_lake_holder holder;
    if (v->own != NULL && !v->own->ended)
        return true;
    if (v->own != NULL)
        v->was = v->own;
    v->own = NULL;
    return dm_lake_lock_held(v->config->lake, &holder) && (holder.mirror || holder.pid == 0);
}

static bool stopped(const struct verify *v)
{
    return v->stop != NULL && *v->stop != 0;
}

static enum dm_status wait_step(struct verify *v, const char *what, struct dm_error *err)
{
    if (stopped(v))
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "stopped while waiting for %s", what);
    bool mirrored = is_mirrored(v);
    if (!mirrored && v->was != NULL && v->was->error.class != DM_ERROR_NONE) {
        *err = v->was->error;
        return DM_FAIL;
    }
    if (!mirrored)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the mirror ended while waiting for %s", what);
    if (dm_clock_monotonic_us() > v->deadline_us)
        return dm_fail(err, DM_ERROR_TRANSIENT, "look at `datamirror status`; give more time with --timeout",
                       "timed out while waiting for %s", what);
    dm_clock_sleep_ms(wait_step_ms);
    return DM_OK;
}

/* DM_TIMEOUT: the mirror gave the pin up, since the stream that stood still for it was lost. */
static enum dm_status wait_request(struct verify *v, enum dm_request_state state, const char *what,
                                   struct dm_error *err)
{
    for (;;) {
        struct dm_request r;
        enum dm_status status = dm_request_get(v->db, v->request, &r, err);
        if (status == DM_END)
            return DM_TIMEOUT;
        if (status != DM_OK || r.state >= state)
            return status;
        if (wait_step(v, what, err) != DM_OK)
            return DM_FAIL;
    }
}

static bool is_wanted(const struct verify *v, const struct dm_dataset_state *d)
{
    for (size_t i = 0; i < v->n_wanted; i++)
        if (dm_dataset_is_named(d, v->wanted[i]))
            return true;
    return v->n_wanted == 0;
}

/* ---- one dataset ---- */

static enum dm_status compare(struct verify *v, const struct dm_dataset_state *d,
                              const struct dm_dataset *pinned, const struct dm_table *table,
                              const struct dm_schema *schema, struct dm_verify_dataset *result,
                              struct dm_error *err)
{
    struct dm_left_out left_out = {0};
    struct dm_verify_rows source = {.type = v->type,
                                    .copy = v->copy,
                                    .engine = v->engine,
                                    .folder = v->folder,
                                    .left_out = &left_out,
                                    .stop = v->stop};
    struct dm_scan_file *files = dm_dataset_scan(pinned);
    struct dm_sql *sql = NULL;
    struct dm_schema *plain = dm_verify_plain_schema(schema);
    enum dm_status status =
        dm_left_out_load(v->db, v->config->lake, result->dataset, d->id, schema, &left_out, err);
    if (status == DM_OK)
        status = dm_verify_rows_read(&source, v->db, d->id, table, schema, plain, err);
    if (status == DM_OK)
        status = dm_left_out_hide(&left_out, v->engine, files, pinned->n_files, schema, err);
    if (status == DM_OK)
        status = dm_sql_open(v->engine, &sql, err);
    if (status == DM_OK)
        status = dm_sql_add_dataset(sql, "verify", "lake", plain, files, pinned->n_files, err);
    if (status == DM_OK)
        status = dm_sql_add_dataset(sql, "verify", "source", plain, &source.all.file, source.all.n, err);
    if (status == DM_OK && source.put_aside.n > 0)
        status = dm_sql_add_dataset(sql, "verify", "put_aside", source.key_columns, &source.put_aside.file,
                                    source.put_aside.n, err);
    if (status == DM_OK) {
        result->source_rows = source.rows + source.unfit;
        result->lake_rows = pinned->live_rows - left_out.hidden;
        result->suppressed = left_out.suppressed;
        result->expired = left_out.expired;
        result->quarantined = source.unfit;
        struct dm_verify_compare c = {.sql = sql,
                                      .put_aside = source.put_aside.n > 0,
                                      .schema = schema,
                                      .dataset = result->dataset,
                                      .max_differences = v->max_differences,
                                      .callbacks = v->callbacks,
                                      .append_only = d->append_only};
        status = dm_verify_compare(&c, result, err);
        if (left_out.latest_us > v->pinned_us && result->result == DM_VERIFY_DIFFERENT) {
            result->result = DM_VERIFY_UNKNOWN;
            result->reason = "rows were deleted by order while it was compared: verify it again";
        }
    }
    dm_sql_close(sql);
    dm_left_out_release(&left_out);
    dm_schema_unref(plain);
    dm_verify_rows_release(&source);
    free(files);
    return status;
}

static enum dm_status verify_dataset(struct verify *v, const struct dm_dataset_state *d, struct dm_error *err)
{
    char *name = dm_xasprintf("%s.%s", d->namespace, d->name);
    struct dm_verify_dataset result = {.dataset = name, .result = DM_VERIFY_UNKNOWN};
    char *location = NULL;
    char *reason = NULL;
    struct dm_dataset *pinned = NULL;
    struct dm_schema *schema = NULL;
    const struct dm_table *table = dm_dataset_table(d, &v->tables);
    enum dm_status status = dm_pin_location(v->db, v->request, d->namespace, d->name, &location, err);
    if (status == DM_OK && (reason = dm_verify_why_not(d, table, location)) == NULL)
        status = dm_lake_dataset_at(v->lake, location, &pinned, err);
    if (pinned != NULL) {
        int32_t last_id = pinned->last_column_id;
        struct dm_error why = {0};
        if (dm_schema_evolve(pinned->schema, table->columns, &last_id, &schema, &why) != DM_OK)
            reason = dm_xstrdup(why.message);
        else if ((reason = dm_verify_column_difference(pinned->schema, schema)) != NULL)
            result.result = DM_VERIFY_DIFFERENT;
        else
            status = compare(v, d, pinned, table, schema, &result, err);
    }
    if (status == DM_FAIL && !stopped(v)) { /* it alone: a damaged file, a value that cannot be read */
        result = (struct dm_verify_dataset){.dataset = name, .result = DM_VERIFY_UNKNOWN};
        reason = dm_xasprintf("%s%s%s", err->message, err->hint[0] != '\0' ? "; " : "", err->hint);
        status = DM_OK;
    }
    if (status == DM_OK) {
        if (table == NULL && strcmp(d->state, "dropped") == 0 && v->n_wanted == 0)
            result.result = DM_VERIFY_DROPPED; /* nobody asked for it: it shall not be in the way for ever */
        if (reason != NULL)
            result.reason = reason;
        report(v, &result);
    }
    dm_schema_unref(schema);
    dm_dataset_free(pinned);
    free(location);
    free(reason);
    free(name);
    return status;
}

/* ---- one source ---- */

static bool is_known(const struct dm_dataset_states *states, const struct dm_table *t)
{
    for (size_t i = 0; i < states->n; i++)
        if (dm_dataset_is_of(&states->items[i], t))
            return true;
    return false;
}

/* Is there a table that the mirror has not noticed yet, or a dataset that is being copied? */
static enum dm_status is_settled(struct verify *v, const char *source, bool *settled, struct dm_error *err)
{
    struct dm_dataset_states states = {0};
    struct dm_table_list tables = {0};
    enum dm_status status = v->type->tables(v->source, &tables, err);
    if (status == DM_OK)
        status = dm_state_datasets(v->db, source, &states, err);
    *settled = status == DM_OK;
    for (size_t i = 0; i < tables.n && status == DM_OK; i++)
        *settled &= is_known(&states, tables.tables[i]);
    for (size_t i = 0; i < states.n && status == DM_OK; i++)
        *settled &= !is_wanted(v, &states.items[i]) || (strcmp(states.items[i].state, "waiting") != 0 &&
                                                        strcmp(states.items[i].state, "copying") != 0);
    dm_table_list_release(&tables);
    dm_dataset_states_release(&states);
    return status;
}

/* For half of the time at most: a table that is not ready by then is named as not compared, and does not keep the others from it. */
static enum dm_status wait_until_settled(struct verify *v, const char *source, struct dm_error *err)
{
    bool settled = false;
    int64_t deadline_us = v->deadline_us;
    int64_t half_us = dm_clock_monotonic_us() + v->timeout_ms * 500;
    v->deadline_us = half_us;
    enum dm_status status = is_settled(v, source, &settled, err);
    while (status == DM_OK && !settled) {
        for (int i = 0; i < settle_steps && status == DM_OK; i++)
            status = wait_step(v, "new tables to be copied", err);
        if (status == DM_OK)
            status = is_settled(v, source, &settled, err);
    }
    v->deadline_us = deadline_us;
    return status == DM_FAIL && dm_clock_monotonic_us() > half_us && is_mirrored(v) ? DM_OK : status;
}

/* Where writers are held this waits for a moment only, and lets them go. DM_TIMEOUT: try again. */
static enum dm_status wait_for_commit(struct verify *v, struct dm_error *err)
{
    static const char what[] = "the lake to reach the pinned position";
    if (v->type->copy_let_writers == NULL)
        return wait_request(v, DM_REQUEST_DONE, what, err);
    int64_t deadline_us = v->deadline_us, hold_until_us = dm_clock_monotonic_us() + hold_writers_us;
    bool last = hold_until_us >= deadline_us;
    if (!last)
        v->deadline_us = hold_until_us;
    enum dm_status status = wait_request(v, DM_REQUEST_DONE, what, err);
    v->deadline_us = deadline_us;
    v->type->copy_let_writers(v->copy);
    bool too_long = status == DM_FAIL && !last && dm_clock_monotonic_us() >= hold_until_us;
    return too_long ? DM_TIMEOUT : status;
}

static enum dm_status pin_once(struct verify *v, const char *source, struct dm_error *err)
{
    dm_position at = 0;
    bool held = v->type->copy_open_held != NULL;
    v->pinned_us = dm_clock_wall_us();
    enum dm_status status = dm_request_add(v->db, DM_REQUEST_PIN, source, "", &v->request, err);
    if (status == DM_OK)
        status = wait_request(v, DM_REQUEST_HELD, "the mirror to hold its stream", err);
    if (status == DM_OK)
        status = (held ? v->type->copy_open_held : v->type->copy_open)(v->source, &v->copy, &at, err);
    if (status == DM_OK)
        status = dm_request_set(v->db, v->request, DM_REQUEST_POSITIONED, at, err);
    if (status == DM_OK)
        status = wait_for_commit(v, err);
    if (status == DM_OK)
        v->type->position_format(at, v->position, sizeof v->position);
    if (status != DM_TIMEOUT)
        return status;
    if (v->copy != NULL)
        v->type->copy_close(v->copy);
    v->copy = NULL;
    return dm_request_remove(v->db, v->request, err) == DM_OK ? DM_TIMEOUT : DM_FAIL;
}

static enum dm_status pin(struct verify *v, const char *source, struct dm_error *err)
{
    enum dm_status status = pin_once(v, source, err);
    while (status == DM_TIMEOUT) {
        for (int i = 0; i < settle_steps; i++) /* writers catch their breath, the mirror catches up */
            if (wait_step(v, "the lake to reach the pinned position", err) != DM_OK)
                return DM_FAIL;
        status = pin_once(v, source, err);
    }
    return status;
}

/* Nobody could be asked about any dataset of the source; what is wanted of them is reported so. The other sources are compared all the same. */
static enum dm_status source_failed(struct verify *v, const struct dm_source_config *config,
                                    const struct dm_error *why, struct dm_error *err)
{
    struct dm_dataset_states states = {0};
    if (dm_state_datasets(v->db, config->name, &states, err) != DM_OK)
        return DM_FAIL;
    char *reason = dm_xasprintf("%s%s%s", why->message, why->hint[0] != '\0' ? "; " : "", why->hint);
    size_t before = v->reported;
    for (size_t i = 0; i < states.n; i++) {
        if (!is_wanted(v, &states.items[i]))
            continue;
        char *name = dm_xasprintf("%s.%s", states.items[i].namespace, states.items[i].name);
        struct dm_verify_dataset d = {.dataset = name, .result = DM_VERIFY_UNKNOWN, .reason = reason};
        report(v, &d);
        free(name);
    }
    if (v->reported == before && v->silent.class == DM_ERROR_NONE)
        v->silent = *why;
    free(reason);
    dm_dataset_states_release(&states);
    return DM_OK;
}

/* The table is there, and the mirror has not made a dataset of it in the time that it had. */
static void report_unknown_tables(struct verify *v, const struct dm_source_config *config,
                                  const struct dm_dataset_states *states)
{
    for (size_t i = 0; i < v->tables.n && v->n_wanted == 0; i++) {
        const struct dm_table *t = v->tables.tables[i];
        if (is_known(states, t))
            continue;
        char *name = t->default_namespace ? dm_xasprintf("%s.%s", config->name, t->name)
                                          : dm_xasprintf("%s_%s.%s", config->name, t->schema, t->name);
        struct dm_verify_dataset d = {.dataset = name,
                                      .result = DM_VERIFY_UNKNOWN,
                                      .reason = "the mirror has not taken the table up yet"};
        report(v, &d);
        free(name);
    }
}

static enum dm_status compare_source(struct verify *v, const struct dm_source_config *config,
                                     struct dm_error *err)
{
    struct dm_dataset_states states = {0};
    struct dm_error why = {0};
    enum dm_status status = v->type->open(config, &v->source, &why);
    if (status == DM_OK)
        status = wait_until_settled(v, config->name, &why);
    if (status == DM_OK)
        status = pin(v, config->name, &why);
    if (status == DM_OK)
        status = v->type->copy_tables(v->copy, &v->tables, &why);
    if (status == DM_OK)
        status = dm_state_datasets(v->db, config->name, &states, &why);
    if (status != DM_OK && !stopped(v))
        return source_failed(v, config, &why, err);
    for (size_t i = 0; i < states.n && status == DM_OK; i++)
        if (is_wanted(v, &states.items[i]))
            status = verify_dataset(v, &states.items[i], &why);
    if (status == DM_OK)
        report_unknown_tables(v, config, &states);
    dm_dataset_states_release(&states);
    if (status != DM_OK)
        *err = why;
    return status;
}

static enum dm_status verify_source(struct verify *v, const struct dm_source_config *config,
                                    struct dm_error *err)
{
    v->type = dm_source_type_find(config->type);
    v->deadline_us = dm_clock_monotonic_us() + v->timeout_ms * 1000;
    v->position[0] = '\0';
    enum dm_status status = compare_source(v, config, err);
    struct dm_error ignored = {0};
    if (v->request != 0 && dm_request_remove(v->db, v->request, &ignored) != DM_OK)
        v->request = 0; /* the mirror removes it when it notices */
    v->request = 0;
    dm_table_list_release(&v->tables);
    if (v->copy != NULL)
        v->type->copy_close(v->copy);
    v->copy = NULL;
    if (v->source != NULL)
        v->type->close(v->source);
    v->source = NULL;
    return status;
}

/* Could the source have a dataset that is wanted? Its namespaces are `shop` and `shop_<schema>`. */
static bool is_asked(const struct verify *v, const struct dm_source_config *config)
{
    size_t n = strlen(config->name);
    for (size_t i = 0; i < v->n_wanted; i++)
        if (strncmp(v->wanted[i], config->name, n) == 0 && (v->wanted[i][n] == '.' || v->wanted[i][n] == '_'))
            return true;
    return v->n_wanted == 0;
}

static enum dm_status no_such(const struct verify *v, const char *dataset, struct dm_error *err)
{
    if (v->silent.class == DM_ERROR_NONE)
        return dm_fail(err, DM_ERROR_CONFIG, "`datamirror status` lists the datasets, as <namespace>.<table>",
                       "there is no dataset %s", dataset);
    *err = v->silent;
    return DM_FAIL;
}

/* Names that no source with rows has: what people declare, and what the mirror keeps beside a dataset. */
static enum dm_status report_the_rest(struct verify *v, struct dm_error *err)
{
    struct dm_dataset_states states = {0};
    enum dm_status status = dm_state_datasets(v->db, NULL, &states, err);
    for (size_t i = 0; i < v->n_wanted && status == DM_OK; i++) {
        const struct dm_dataset *kept = NULL;
        struct dm_verify_dataset d = {.dataset = v->wanted[i], .result = DM_VERIFY_UNKNOWN};
        if (v->seen[i])
            continue;
        for (size_t k = 0; k < states.n && d.reason == NULL; k++)
            if (dm_dataset_is_named(&states.items[k], v->wanted[i]))
                d.reason = states.items[k].source[0] == '\0'
                               ? "it is declared: its changes come from files, programs and queries, and no "
                                 "database has its rows"
                               : "its source is not in the configuration";
        const char *dot = strchr(v->wanted[i], '.');
        char *namespace = dot != NULL ? dm_xasprintf("%.*s", (int)(dot - v->wanted[i]), v->wanted[i]) : NULL;
        if (d.reason == NULL && dot != NULL)
            status = dm_lake_dataset(v->lake, namespace, dot + 1, &kept, err);
        free(namespace);
        if (kept != NULL)
            d.reason = "the mirror keeps it beside a dataset: the source has no rows to compare it with";
        if (status == DM_OK && d.reason == NULL)
            status = no_such(v, v->wanted[i], err);
        if (status == DM_OK)
            report(v, &d);
    }
    dm_dataset_states_release(&states);
    return status;
}

/* ---- a mirror of our own when none runs ---- */

static enum dm_status run_own(void *ctx, struct dm_error *err)
{
    struct own_mirror *o = ctx;
    struct dm_mirror_options options = {.stop = &o->stop, .passing = true};
    enum dm_status status = dm_mirror_run(o->config, &options, err);
    if (status != DM_OK)
        o->error = *err;
    o->ended = true;
    return status;
}

static enum dm_status ensure_mirror(struct verify *v, struct own_mirror *own, struct dm_error *err)
{
    struct dm_lake_holder holder;
    if (dm_lake_lock_held(v->config->lake, &holder) && holder.mirror)
        return DM_OK;
    char *catalog = dm_xasprintf("%s/catalog.db", v->config->lake);
    enum dm_status status = dm_thread_start(&own->thread, "mirror", run_own, own, err);
    v->own = own;
    while (status == DM_OK && !dm_file_exists(catalog))
        status = wait_step(v, "the lake to be made", err);
    free(catalog);
    return status;
}

static enum dm_status open_sides(struct verify *v, struct dm_error *err)
{
    struct dm_lake_options lake = {
        .folder = v->config->lake, .catalog_name = v->config->catalog_name, .read_only = true};
    struct dm_engine_options engine = {
        .memory_limit = v->config->memory_limit / 2, .threads = 2, .temp_folder = v->folder};
    if (dm_file_make_folders(v->folder, err) != DM_OK ||
        dm_catalog_side_open(v->config->lake, &v->db, err) != DM_OK ||
        dm_lake_open(&lake, &v->lake, err) != DM_OK)
        return DM_FAIL;
    return dm_engine_open(&engine, &v->engine, err);
}

static enum dm_status verify_all(struct verify *v, struct dm_error *err)
{
    enum dm_status status = open_sides(v, err);
    for (size_t i = 0; i < v->config->n_sources && status == DM_OK; i++)
        if (dm_source_type_find(v->config->sources[i].type) != NULL && is_asked(v, &v->config->sources[i]))
            status = verify_source(v, &v->config->sources[i], err); /* a watched folder has no rows */
    if (status == DM_OK)
        status = report_the_rest(v, err);
    if (status == DM_OK && v->silent.class != DM_ERROR_NONE && v->n_wanted == 0) {
        worsen(v, DM_VERIFY_UNKNOWN);
        *err = v->silent;
        status = v->reported == 0 ? DM_FAIL : DM_OK;
        if (status == DM_OK)
            dm_log_error(DM_LOG_WARN, "verify", &v->silent);
    }
    if (v->reported == 0)
        worsen(v, DM_VERIFY_UNKNOWN);
    return status;
}

enum dm_status dm_mirror_verify(const struct dm_config *config, const char *const *datasets, size_t n,
                                size_t max_differences, int64_t timeout_ms,
                                const struct dm_verify_callbacks *callbacks, const atomic_int *stop,
                                enum dm_verify_result *result, struct dm_error *err)
{
    struct verify v = {.config = config,
                       .wanted = datasets,
                       .n_wanted = n,
                       .max_differences = max_differences,
                       .timeout_ms = timeout_ms,
                       .deadline_us = dm_clock_monotonic_us() + timeout_ms * 1000,
                       .callbacks = callbacks,
                       .stop = stop};
    v.seen = dm_xzalloc(n, sizeof *v.seen);
    v.folder = dm_xasprintf("%s/.verify-%d", config->lake, (int)getpid());
    struct own_mirror own = {.config = config};
    enum dm_status status = ensure_mirror(&v, &own, err);
    if (status == DM_OK)
        status = verify_all(&v, err);
    free(v.seen);
    dm_lake_close(v.lake);
    dm_engine_close(v.engine);
    (void)sqlite3_close(v.db);
    own.stop = 1;
    struct dm_error why = {0};
    if (dm_thread_join(&own.thread, &why) != DM_OK && status == DM_FAIL)
        *err = why; /* why the waiting was in vain */
    struct dm_error ignored = {0};
    if (dm_file_remove_tree(v.folder, &ignored) != DM_OK)
        dm_log_error(DM_LOG_WARN, "verify", &ignored);
    free(v.folder);
    *result = status == DM_OK ? v.worst : DM_VERIFY_UNKNOWN;
    return status;
}
