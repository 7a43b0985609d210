/* `datamirror expire`: rows past the expiry of their dataset are removed from the lake. */
#include <jansson.h>
#include <stdio.h>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/report_table.h"
#include "cli/stop_signal.h"
#include "mirror/order/order.h"

static void print_result(const json_t *result, bool dry_run)
{
    const json_t *list = json_object_get(result, "datasets");
    struct dm_report_table t = {.n_columns = 4, .right = {false, false, true, true}};
    if (json_array_size(list) == 0) {
        (void)puts("No dataset has an expiry; declare `expire: P3M` in a schema.");
        return;
    }
    dm_report_table_row(
        &t, (const char *[]){"DATASET", "OLDER THAN", dry_run ? "WOULD GO" : "REMOVED", "OF QUARANTINE"});
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *d = json_array_get(list, i);
        char rows[32], aside[32];
        uint64_t bad = (uint64_t)json_integer_value(json_object_get(d, "quarantined"));
        uint64_t n = (uint64_t)json_integer_value(json_object_get(d, "rows"));
        dm_report_table_row(&t, (const char *[]){json_string_value(json_object_get(d, "dataset")),
                                                 json_string_value(json_object_get(d, "before")),
                                                 dm_progress_count(n, rows, sizeof rows),
                                                 dm_progress_count(bad, aside, sizeof aside)});
    }
    dm_report_table_print(&t, stdout);
    dm_report_table_release(&t);
    if (dry_run)
        (void)puts("A dry run: nothing was changed.");
}

static enum dm_status expire(const struct dm_invocation *in, const struct dm_config *config,
                             const char *dataset, json_t *all, struct dm_error *err)
{
    struct dm_order_hooks hooks = {.stop = dm_stop_signal_install()};
    json_t *order = json_object(), *result = NULL;
    json_object_set_new(order, "dry_run", json_boolean(dm_invocation_has(in, "dry-run")));
    if (dataset != NULL)
        json_object_set_new(order, "dataset", json_string(dataset));
    enum dm_status status = dm_order_run(config, "expire", order, &hooks, &result, err);
    if (status == DM_OK)
        (void)json_array_extend(json_object_get(all, "datasets"), json_object_get(result, "datasets"));
    json_decref(order);
    json_decref(result);
    return status;
}

static int run(const struct dm_invocation *in)
{
    struct dm_config *config = NULL;
    int code = 0;
    if (!dm_command_config(in, &config, &code))
        return code;
    struct dm_error err = {0};
    json_t *all = json_pack("{s:[]}", "datasets");
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < in->n_arguments && status == DM_OK; i++)
        status = expire(in, config, in->arguments[i], all, &err);
    if (in->n_arguments == 0)
        status = expire(in, config, NULL, all, &err);
    if (status != DM_OK) {
        code = dm_command_fail(&err);
    } else if (dm_invocation_has(in, "json")) {
        json_object_set_new(all, "dry_run", json_boolean(dm_invocation_has(in, "dry-run")));
        dm_json_print(json_incref(all), stdout);
    } else {
        print_result(all, dm_invocation_has(in, "dry-run"));
    }
    json_decref(all);
    dm_config_free(config);
    return dm_command_finish(code);
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"dry-run", 'n', NULL, "say how many rows would go; change nothing"},
    {"json", 0, NULL, "the outcome as one JSON object"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};

const struct dm_command dm_command_expire = {
    .name = "expire",
    .arguments = "[DATASET...]",
    .max_arguments = 10000,
    .summary = "Remove rows that are past the expiry of their dataset",
    .about = "A schema may say `expire: P3M` (three months; P90D, P1Y, PT12H): rows whose timestamp, or else "
             "version that is a "
             "time,\n"
             "lies longer ago are removed from the lake. A running mirror does it by itself every ten "
             "minutes; this does it "
             "now.\n"
             "Nothing keeps a removed row from coming again; if it is past its expiry then, too, the next "
             "run removes it.",
    .options = options,
    .examples = "  datamirror expire --dry-run\n"
                "  datamirror expire web.events\n",
    .run = run,
};
