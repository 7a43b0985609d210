/* `datamirror status`: what the mirror does and where each dataset stands. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/stop_signal.h"
#include "cli/report_table.h"
#include "mirror/mirror.h"

#define WATCH_EVERY_MS 2000

static int code_of_report(const struct dm_status_report *r)
{
    if (!r->running)
        return DM_EXIT_STOPPED;
    for (size_t i = 0; i < r->n_sources; i++)
        if (strcmp(r->sources[i].state, "stopped") == 0)
            return DM_EXIT_STOPPED;
    for (size_t i = 0; i < r->n_datasets; i++)
        if (strcmp(r->datasets[i].state, "stopped") == 0)
            return DM_EXIT_STOPPED;
    return DM_EXIT_OK;
}

static const char *bytes_text(uint64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1024 && unit < 4; unit++)
        v /= 1024;
    (void)snprintf(out, size, unit == 0 ? "%.0f %s" : "%.1f %s", v, units[unit]);
    return out;
}

/* SQLite has no log to measure: its lag is counted in changes. */
static const char *lag_text(const struct dm_source_status *s, char *out, size_t size)
{
    char amount[32] = "", age[32];
    bool changes = strcmp(s->type, "sqlite") == 0;
    if (changes && s->lag_bytes >= 0)
        dm_progress_count((uint64_t)s->lag_bytes, amount, sizeof amount);
    else if (s->lag_bytes >= 0)
        bytes_text((uint64_t)s->lag_bytes, amount, sizeof amount);
    if (s->lag_us < 0)
        (void)snprintf(out, size, "unknown");
    else if (!s->followed)
        (void)snprintf(out, size, "up to %s", dm_progress_duration(s->lag_us / 1000000, age, sizeof age));
    else if (s->lag_us == 0 && s->lag_bytes == 0)
        (void)snprintf(out, size, "none");
    else
        (void)snprintf(out, size, "%.1f s, %s%s", (double)s->lag_us / 1e6, amount, changes ? " changes" : "");
    return out;
}

static void print_sources(const struct dm_status_report *r, FILE *out)
{
    struct dm_report_table t = {.n_columns = 6};
    dm_report_table_row(&t,
                        (const char *[]){"SOURCE", "TYPE", "STATE", "POSITION", "LAG", "LAST COMMIT THERE"});
    for (size_t i = 0; i < r->n_sources; i++) {
        const struct dm_source_status *s = &r->sources[i];
        char lag[64], when[40] = "";
        if (s->commit_time_us != 0)
            dm_clock_format_us(s->commit_time_us, when, sizeof when);
        dm_report_table_row(&t, (const char *[]){s->name, s->type, s->state, s->position,
                                                 lag_text(s, lag, sizeof lag), when});
    }
    dm_report_table_print(&t, out);
    dm_report_table_release(&t);
    for (size_t i = 0; i < r->n_sources; i++)
        if (r->sources[i].error != NULL)
            (void)dm_print(out, "  %s: %s\n", r->sources[i].name, r->sources[i].error);
}

static bool is_declared(const struct dm_dataset_status *d)
{
    return d->source[0] == '\0';
}

static size_t count_declared(const struct dm_status_report *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_datasets; i++)
        n += is_declared(&r->datasets[i]);
    return n;
}

static void print_mirrored(const struct dm_status_report *r, FILE *out)
{
    struct dm_report_table t = {.n_columns = 9};
    for (size_t i = 2; i < t.n_columns; i++)
        t.right[i] = true;
    dm_report_table_row(&t, (const char *[]){"DATASET", "STATE", "ROWS", "INSERTED", "UPDATED", "DELETED",
                                             "QUARANTINED", "FILES", "SIZE"});
    for (size_t i = 0; i < r->n_datasets; i++) {
        const struct dm_dataset_status *d = &r->datasets[i];
        char n[6][32], size[32];
        if (is_declared(d))
            continue;
        dm_report_table_row(&t, (const char *[]){d->dataset, d->state,
                                                 dm_progress_count(d->rows, n[0], sizeof n[0]),
                                                 dm_progress_count(d->inserted, n[1], sizeof n[1]),
                                                 dm_progress_count(d->updated, n[2], sizeof n[2]),
                                                 dm_progress_count(d->deleted, n[3], sizeof n[3]),
                                                 dm_progress_count(d->quarantined, n[4], sizeof n[4]),
                                                 dm_progress_count(d->files, n[5], sizeof n[5]),
                                                 bytes_text(d->bytes, size, sizeof size)});
    }
    dm_report_table_print(&t, out);
    dm_report_table_release(&t);
}

/* Their changes may come in any order, so there is more to count. */
static void print_declared(const struct dm_status_report *r, FILE *out)
{
    struct dm_report_table t = {.n_columns = 10};
    for (size_t i = 1; i < t.n_columns; i++)
        t.right[i] = true;
    dm_report_table_row(&t, (const char *[]){"DECLARED DATASET", "ROWS", "UPSERTED", "DELETED", "STALE",
                                             "TIES", "NO-OP DELETES", "QUARANTINED", "FILES", "SIZE"});
    for (size_t i = 0; i < r->n_datasets; i++) {
        const struct dm_dataset_status *d = &r->datasets[i];
        char n[8][32], size[32];
        if (!is_declared(d))
            continue;
        dm_report_table_row(&t,
                            (const char *[]){d->dataset, dm_progress_count(d->rows, n[0], sizeof n[0]),
                                             dm_progress_count(d->inserted + d->updated, n[1], sizeof n[1]),
                                             dm_progress_count(d->deleted, n[2], sizeof n[2]),
                                             dm_progress_count(d->stale, n[3], sizeof n[3]),
                                             dm_progress_count(d->ties, n[4], sizeof n[4]),
                                             dm_progress_count(d->noop_deletes, n[5], sizeof n[5]),
                                             dm_progress_count(d->quarantined, n[6], sizeof n[6]),
                                             dm_progress_count(d->files, n[7], sizeof n[7]),
                                             bytes_text(d->bytes, size, sizeof size)});
    }
    dm_report_table_print(&t, out);
    dm_report_table_release(&t);
}

static void print_datasets(const struct dm_status_report *r, FILE *out)
{
    size_t declared = count_declared(r);
    if (declared < r->n_datasets)
        print_mirrored(r, out);
    if (declared > 0 && declared < r->n_datasets)
        (void)fputc('\n', out);
    if (declared > 0)
        print_declared(r, out);
    for (size_t i = 0; i < r->n_datasets; i++)
        if (r->datasets[i].reason != NULL)
            (void)dm_print(out, "  %s is %s: %s\n", r->datasets[i].dataset, r->datasets[i].state,
                           r->datasets[i].reason);
    for (size_t i = 0; i < r->n_datasets; i++) {
        char n[2][32];
        if (r->datasets[i].suppressed_keys > 0)
            (void)dm_print(out, "  %s: %s keys were deleted by order; %s changes of them were left out\n",
                           r->datasets[i].dataset,
                           dm_progress_count(r->datasets[i].suppressed_keys, n[0], sizeof n[0]),
                           dm_progress_count(r->datasets[i].suppressed, n[1], sizeof n[1]));
    }
}

static void print_report(const struct dm_status_report *r, FILE *out)
{
    if (r->running)
        (void)dm_print(out, "The mirror runs (process %d).\n\n", r->pid);
    else
        (void)fputs("The mirror does not run. Start it with: datamirror run\n\n", out);
    if (r->n_sources > 0)
        print_sources(r, out);
    if (r->n_datasets == 0) {
        (void)fputs("\nNo datasets yet.\n", out);
        return;
    }
    (void)fputc('\n', out);
    print_datasets(r, out);
}

static json_t *source_json(const struct dm_source_status *s)
{
    json_t *o = json_object();
    dm_json_text(o, "name", s->name);
    dm_json_text(o, "type", s->type);
    dm_json_text(o, "state", s->state);
    dm_json_text(o, "position", s->position);
    dm_json_time(o, "commit_time", s->commit_time_us);
    dm_json_time(o, "updated", s->updated_us);
    json_object_set_new(o, "lag_bytes", s->lag_bytes >= 0 ? json_integer(s->lag_bytes) : json_null());
    dm_json_seconds(o, "lag_seconds", s->lag_us);
    dm_json_text(o, "error", s->error);
    return o;
}

static json_t *dataset_json(const struct dm_dataset_status *d)
{
    json_t *o = json_object();
    dm_json_text(o, "dataset", d->dataset);
    dm_json_text(o, "source", is_declared(d) ? NULL : d->source);
    dm_json_text(o, "state", d->state);
    dm_json_text(o, "reason", d->reason);
    dm_json_count(o, "rows", d->rows);
    dm_json_count(o, "received", d->received);
    dm_json_count(o, "inserted", d->inserted);
    dm_json_count(o, "updated", d->updated);
    dm_json_count(o, "deleted", d->deleted);
    dm_json_count(o, "truncated", d->truncated);
    if (is_declared(d)) {
        dm_json_count(o, "upserted", d->inserted + d->updated);
        dm_json_count(o, "stale", d->stale);
        dm_json_count(o, "ties", d->ties);
        dm_json_count(o, "noop_deletes", d->noop_deletes);
    }
    dm_json_count(o, "suppressed_keys", d->suppressed_keys);
    dm_json_count(o, "suppressed", d->suppressed);
    dm_json_count(o, "quarantined", d->quarantined);
    dm_json_count(o, "files", d->files);
    dm_json_count(o, "deleted_in_files", d->deleted_in_files);
    dm_json_count(o, "bytes", d->bytes);
    dm_json_seconds(o, "lag_seconds", d->lag_us);
    return o;
}

static void print_json(const struct dm_status_report *r, FILE *out)
{
    json_t *root = json_object();
    json_object_set_new(root, "running", json_boolean(r->running));
    json_object_set_new(root, "pid", r->running ? json_integer(r->pid) : json_null());
    json_t *sources = json_array(), *datasets = json_array();
    for (size_t i = 0; i < r->n_sources; i++)
        json_array_append_new(sources, source_json(&r->sources[i]));
    for (size_t i = 0; i < r->n_datasets; i++)
        json_array_append_new(datasets, dataset_json(&r->datasets[i]));
    json_object_set_new(root, "sources", sources);
    json_object_set_new(root, "datasets", datasets);
    dm_json_print(root, out);
}

static int show(const struct dm_config *config, bool json, bool clear)
{
    struct dm_status_report report = {0};
    struct dm_error err = {0};
    char *catalog = dm_xasprintf("%s/catalog.db", config->lake);
    bool ever_run = dm_file_exists(catalog);
    free(catalog);
    if (ever_run && dm_mirror_status(config, &report, &err) != DM_OK)
        return dm_command_fail(&err);
    if (clear)
        (void)fputs("\033[H\033[2J", stdout);
    if (json)
        print_json(&report, stdout);
    else
        print_report(&report, stdout);
    int code = code_of_report(&report);
    dm_status_report_release(&report);
    return dm_command_finish(code);
}

static int run(const struct dm_invocation *in)
{
    struct dm_config *config = NULL;
    int code = 0;
    if (!dm_command_config(in, &config, &code))
        return code;
    bool json = dm_invocation_has(in, "json");
    if (!dm_invocation_has(in, "watch")) {
        code = show(config, json, false);
    } else {
        const atomic_int *stop = dm_stop_signal_install_quiet();
        bool clear = !json && isatty(STDOUT_FILENO);
        while (*stop == 0) {
            code = show(config, json, clear);
            if (code != DM_EXIT_OK && code != DM_EXIT_STOPPED)
                break;
            for (int waited = 0; waited < WATCH_EVERY_MS && *stop == 0; waited += 100)
                dm_clock_sleep_ms(100);
        }
    }
    dm_config_free(config);
    return code;
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"json", 0, NULL, "as one JSON object a line"},
    {"watch", 'w', NULL, "again every two seconds, until Ctrl-C"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "the mirror runs, and no source or dataset is stopped"},
    {DM_EXIT_STOPPED, "the mirror does not run, or a source or dataset is stopped"},
    {DM_EXIT_USAGE, "the configuration is wrong"},
    {0, NULL},
};

const struct dm_command dm_command_status = {
    .name = "status",
    .arguments = "",
    .summary = "Show each source and dataset: state, rows, position, lag",
    .about =
        "Works beside a running mirror and without one. Counters count since the dataset was made.\n"
        "A dataset is waiting, copying, streaming, append-only, stopped, refused or dropped; what is "
        "stopped or refused\n"
        "says why and what to do. Declared datasets (datamirror schema) stand in a table of their own; "
        "one whose schema lacks\n"
        "a descriptor is incomplete.\n"
        "A source is starting, waiting (for transactions at the source), running, retrying, stopped (after "
        "an error, which is shown) or ended "
        "(cleanly). The lag is how old\n"
        "the oldest change is that the source has and the lake has not; of a source that is not running it "
        "is at most as old\n"
        "as shown: it grows from when the mirror last heard where the source stood. --json tells it for each "
        "source and dataset\n"
        "(lag_seconds; null: nobody knows).",
    .options = options,
    .examples = "  datamirror status\n"
                "  datamirror status --watch\n"
                "  datamirror status --json | jq '.datasets[] | {dataset, rows}'\n",
    .exits = exits,
    .run = run,
};
