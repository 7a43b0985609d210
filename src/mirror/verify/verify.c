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
#include "mirror/verify/verify_left_out.h"
#include "mirror/verify/verify_sql.h"
#include "source/source.h"

enum {
    wait_step_ms = 20,
    settle_steps = 10,
    batch_rows = 16384,
    batch_bytes = 4 << 20,
    hold_writers_us = 2000000
};

/* A mirror in this process, when no other runs. */
struct own_mirror {
    const struct dm_config *config;
    atomic_int stop;
    struct dm_thread thread;
    atomic_bool ended; /* by itself: something is wrong */
};

struct verify {
    const struct dm_config *config;
    struct own_mirror *own; /* NULL: another process mirrors */
    const char *const *wanted;
    size_t n_wanted;
    size_t max_differences;
    int64_t deadline_us; /* monotonic */
    const struct dm_verify_callbacks *callbacks;
    const atomic_int *stop;
    enum dm_verify_result worst;
    bool *seen; /* of wanted: reported */
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

static void report(struct verify *v, struct dm_verify_dataset *d, bool counts)
{
    d->position = v->position;
    for (size_t i = 0; i < v->n_wanted; i++)
        v->seen[i] |= strcmp(v->wanted[i], d->dataset) == 0;
    if (counts)
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
    v->own = NULL;
    return dm_lake_lock_held(v->config->lake, &holder) && (holder.mirror || holder.pid == 0);
}

static enum dm_status wait_step(struct verify *v, const char *what, struct dm_error *err)
{
    if (v->stop != NULL && *v->stop != 0)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "stopped while waiting for %s", what);
    if (!is_mirrored(v))
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the mirror ended while waiting for %s", what);
    if (dm_clock_monotonic_us() > v->deadline_us)
        return dm_fail(err, DM_ERROR_TRANSIENT, "look at `datamirror status`; give more time with --timeout",
                       "timed out while waiting for %s", what);
    dm_clock_sleep_ms(wait_step_ms);
    return DM_OK;
}

static enum dm_status wait_request(struct verify *v, enum dm_request_state state, const char *what,
                                   struct dm_error *err)
{
    for (;;) {
        struct dm_request r;
        enum dm_status status = dm_request_get(v->db, v->request, &r, err);
        if (status == DM_END)
            return dm_fail(err, DM_ERROR_TRANSIENT, "try again",
                           "the mirror gave up waiting for this verify");
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

struct source_files {
    size_t n;
    struct dm_scan_file *files;
    char **paths;
    uint64_t rows;
    uint64_t quarantined;
};

static void source_files_release(struct source_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        (void)unlink(f->paths[i]);
        free(f->paths[i]);
    }
    free(f->paths);
    free(f->files);
}

struct table_pull {
    struct verify *v;
    struct dm_copy_reader *reader;
    struct dm_batch *batch;
    uint64_t *quarantined;
    struct dm_left_out *left_out;
    uint32_t *selection; /* room for batch_rows, or what the batch has */
    size_t selection_room;
    bool ended;
};

static enum dm_status count_bad_row(void *ctx, const struct dm_bad_row *row, struct dm_error *err)
{
    struct table_pull *p = ctx;
    (void)row;
    (void)err;
    ++*p->quarantined;
    return DM_OK;
}

static enum dm_status pull(void *ctx, const struct dm_batch **batch, const uint32_t **selection, size_t *n,
                           struct dm_error *err)
{
    struct table_pull *p = ctx;
    *batch = p->batch;
    *selection = NULL;
    *n = 0;
    if (p->ended)
        return DM_END;
    if (p->v->stop != NULL && *p->v->stop != 0)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "stopped");
    dm_batch_clear(p->batch);
    enum dm_status status =
        p->v->type->copy_next(p->reader, p->batch, batch_rows, batch_bytes, count_bad_row, p, err);
    if (status == DM_FAIL)
        return status;
    p->ended = status == DM_END;
    if (p->selection_room < p->batch->rows) {
        p->selection_room = p->batch->rows;
        p->selection = dm_xrealloc(p->selection, p->selection_room, sizeof *p->selection);
    }
    *selection = p->selection;
    if (dm_left_out_select(p->left_out, p->batch, p->selection, n, err) != DM_OK)
        return DM_FAIL;
    return p->ended && p->batch->rows == 0 ? DM_END : DM_OK;
}

/* The table's rows under the pinned snapshot, as one temporary Parquet file with the columns of `plain`. */
static enum dm_status copy_source(struct verify *v, const struct dm_table *table,
                                  const struct dm_schema *schema, const struct dm_schema *plain,
                                  struct dm_left_out *left_out, struct source_files *out,
                                  struct dm_error *err)
{
    struct table_pull p = {.v = v, .quarantined = &out->quarantined, .left_out = left_out};
    if (v->type->copy_read(v->copy, table, 0, 1, &p.reader, err) != DM_OK)
        return DM_FAIL;
    p.batch = dm_batch_new(schema);
    char *path = dm_xasprintf("%s/source.parquet", v->folder);
    struct dm_parquet_options options = {.compression = "snappy"};
    struct dm_parquet_result result = {0};
    enum dm_status status = dm_parquet_write(v->engine, path, plain, &options, pull, &p, &result, NULL, err);
    v->type->copy_reader_close(p.reader);
    free(p.selection);
    dm_batch_free(p.batch);
    if (status == DM_OK && result.rows > 0) {
        out->rows = result.rows;
        out->n = 1;
        out->files = dm_xzalloc(1, sizeof *out->files);
        out->paths = dm_xzalloc(1, sizeof(char *));
        out->paths[0] = path;
        out->files[0] = (struct dm_scan_file){.path = path, .number = 1, .rows = result.rows};
        path = NULL;
    }
    dm_parquet_result_release(&result);
    free(path);
    return status;
}

/* The columns that both sides have, under the source's order; a column that only one side has is a difference in itself. */
static char *column_difference(const struct dm_schema *lake, const struct dm_schema *source)
{
    for (size_t i = 0; i < source->n_fields; i++)
        if (dm_schema_find_id(lake, source->fields[i].id) < 0)
            return dm_xasprintf("the source has a column \"%s\" that the lake lacks at this position",
                                source->fields[i].name);
    for (size_t i = 0; i < lake->n_fields; i++)
        if (dm_schema_find_id(source, lake->fields[i].id) < 0)
            return dm_xasprintf("the lake has a column \"%s\" that the source lacks at this position",
                                lake->fields[i].name);
    return NULL;
}

static enum dm_status compare(struct verify *v, const struct dm_dataset_state *d,
                              const struct dm_dataset *pinned, const struct dm_table *table,
                              const struct dm_schema *schema, struct dm_verify_dataset *result,
                              struct dm_error *err)
{
    struct source_files source = {0};
    struct dm_left_out left_out = {0};
    struct dm_scan_file *files = dm_dataset_scan(pinned);
    struct dm_sql *sql = NULL;
    struct dm_schema *plain = dm_verify_plain_schema(schema);
    enum dm_status status = dm_left_out_load(v->db, result->dataset, d->id, schema, &left_out, err);
    if (status == DM_OK)
        status = copy_source(v, table, schema, plain, &left_out, &source, err);
    if (status == DM_OK)
        status = dm_left_out_hide(&left_out, v->engine, files, pinned->n_files, schema, err);
    if (status == DM_OK)
        status = dm_sql_open(v->engine, &sql, err);
    if (status == DM_OK)
        status = dm_sql_add_dataset(sql, "verify", "lake", plain, files, pinned->n_files, err);
    if (status == DM_OK)
        status = dm_sql_add_dataset(sql, "verify", "source", plain, source.files, source.n, err);
    if (status == DM_OK) {
        result->source_rows = source.rows;
        result->lake_rows = pinned->live_rows - left_out.hidden;
        result->suppressed = left_out.suppressed;
        result->expired = left_out.expired;
        result->quarantined = source.quarantined;
        struct dm_verify_compare c = {.sql = sql,
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
    source_files_release(&source);
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
    if (status == DM_OK && location == NULL)
        reason = dm_xasprintf("it is not being mirrored (%s%s%s)", d->state, d->reason != NULL ? ": " : "",
                              d->reason != NULL ? d->reason : "");
    else if (status == DM_OK && table == NULL)
        reason = dm_xstrdup("the table is not in the source any more");
    else if (status == DM_OK)
        status = dm_lake_dataset_at(v->lake, location, &pinned, err);
    if (pinned != NULL) {
        int32_t last_id = pinned->last_column_id;
        struct dm_error why = {0};
        if (dm_schema_evolve(pinned->schema, table->columns, &last_id, &schema, &why) != DM_OK)
            reason = dm_xstrdup(why.message);
        else if ((reason = column_difference(pinned->schema, schema)) != NULL)
            result.result = DM_VERIFY_DIFFERENT;
        else
            status = compare(v, d, pinned, table, schema, &result, err);
    }
    if (status == DM_OK) {
        if (reason != NULL)
            result.reason = reason;
        /* A table that was refused is no part of the mirror: it is mentioned, and counts when it was asked for by name. */
        report(v, &result, v->n_wanted > 0 || strcmp(d->state, "refused") != 0);
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

static enum dm_status wait_until_settled(struct verify *v, const char *source, struct dm_error *err)
{
    bool settled = false;
    enum dm_status status = is_settled(v, source, &settled, err);
    while (status == DM_OK && !settled) {
        for (int i = 0; i < settle_steps && status == DM_OK; i++)
            status = wait_step(v, "new tables to be copied", err);
        if (status == DM_OK)
            status = is_settled(v, source, &settled, err);
    }
    return status;
}

/* Where writers are held this waits for a moment only; DM_TIMEOUT: they were let go, try again. */
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
    if (status == DM_OK || last || dm_clock_monotonic_us() < hold_until_us)
        return status;
    v->type->copy_close(v->copy);
    v->copy = NULL;
    return dm_request_remove(v->db, v->request, err) == DM_OK ? DM_TIMEOUT : DM_FAIL;
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
    return status;
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

static enum dm_status verify_source(struct verify *v, const struct dm_source_config *config,
                                    struct dm_error *err)
{
    v->type = dm_source_type_find(config->type);
    struct dm_dataset_states states = {0};
    enum dm_status status = v->type->open(config, &v->source, err);
    if (status == DM_OK)
        status = wait_until_settled(v, config->name, err);
    if (status == DM_OK)
        status = pin(v, config->name, err);
    if (status == DM_OK)
        status = v->type->copy_tables(v->copy, &v->tables, err);
    if (status == DM_OK)
        status = dm_state_datasets(v->db, config->name, &states, err);
    for (size_t i = 0; i < states.n && status == DM_OK; i++)
        if (is_wanted(v, &states.items[i]) &&
            (v->n_wanted > 0 || strcmp(states.items[i].state, "dropped") != 0))
            status = verify_dataset(v, &states.items[i], err);
    struct dm_error ignored = {0};
    if (v->request != 0 && dm_request_remove(v->db, v->request, &ignored) != DM_OK)
        v->request = 0; /* the mirror removes it when it notices */
    v->request = 0;
    dm_dataset_states_release(&states);
    dm_table_list_release(&v->tables);
    if (v->copy != NULL)
        v->type->copy_close(v->copy);
    v->copy = NULL;
    if (v->source != NULL)
        v->type->close(v->source);
    v->source = NULL;
    return status;
}

/* ---- a mirror of our own when none runs ---- */

static enum dm_status run_own(void *ctx, struct dm_error *err)
{
    struct own_mirror *o = ctx;
    struct dm_mirror_options options = {.stop = &o->stop};
    enum dm_status status = dm_mirror_run(o->config, &options, err);
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

enum dm_status dm_mirror_verify(const struct dm_config *config, const char *const *datasets, size_t n,
                                size_t max_differences, int64_t timeout_ms,
                                const struct dm_verify_callbacks *callbacks, const atomic_int *stop,
                                enum dm_verify_result *result, struct dm_error *err)
{
    struct verify v = {.config = config,
                       .wanted = datasets,
                       .n_wanted = n,
                       .max_differences = max_differences,
                       .deadline_us = dm_clock_monotonic_us() + timeout_ms * 1000,
                       .callbacks = callbacks,
                       .stop = stop};
    v.seen = dm_xzalloc(n, sizeof *v.seen);
    v.folder = dm_xasprintf("%s/.verify-%d", config->lake, (int)getpid());
    struct own_mirror own = {.config = config};
    enum dm_status status = ensure_mirror(&v, &own, err);
    if (status == DM_OK)
        status = open_sides(&v, err);
    for (size_t i = 0; i < config->n_sources && status == DM_OK; i++)
        if (dm_source_type_find(config->sources[i].type) !=
            NULL) /* a watched folder has no rows to compare with */
            status = verify_source(&v, &config->sources[i], err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if (!v.seen[i])
            status = dm_fail(err, DM_ERROR_CONFIG,
                             "`datamirror status` lists the datasets, as <namespace>.<table>",
                             "there is no dataset %s", datasets[i]);
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
