/* `datamirror resync`: a new copy of a dataset. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "config/nearest_word.h"
#include "mirror/mirror.h"

static const struct dm_dataset_status *find(const struct dm_status_report *r, const char *name)
{
    for (size_t i = 0; i < r->n_datasets; i++)
        if (strcmp(r->datasets[i].dataset, name) == 0)
            return &r->datasets[i];
    return NULL;
}

static int unknown_dataset(const struct dm_invocation *in, const struct dm_status_report *r, const char *name)
{
    const char **names = dm_xzalloc(r->n_datasets + 1, sizeof *names);
    for (size_t i = 0; i < r->n_datasets; i++)
        names[i] = r->datasets[i].dataset;
    const char *near = dm_nearest_word(name, names, r->n_datasets);
    free(names);
    if (near != NULL)
        return dm_command_usage_error(in->command, "there is no dataset \"%s\"; did you mean \"%s\"?", name,
                                      near);
    return dm_command_usage_error(in->command, "there is no dataset \"%s\"; `datamirror status` lists them",
                                  name);
}

/* Why there is nothing to copy it from; NULL: it can be copied. */
static const char *why_not(const struct dm_dataset_status *d)
{
    if (d->source[0] == '\0')
        return "it is declared: no source has its rows (send its changes again with `datamirror ingest`)";
    if (strcmp(d->state, "dropped") == 0)
        return "its table is not in the source any more, or not selected";
    return NULL;
}

static int resync(const struct dm_config *config, const char *const *datasets, size_t n, bool running)
{
    struct dm_error err = {0};
    if (dm_mirror_resync(config, datasets, n, &err) != DM_OK)
        return dm_command_fail(&err);
    for (size_t i = 0; i < n; i++)
        (void)dm_print(stdout, "%s: %s\n", datasets[i],
                       running ? "asked for; the running mirror copies it anew"
                               : "asked for; the next `datamirror run` copies it anew");
    return DM_EXIT_OK;
}

/* All names are looked up before anything is asked for: half an order is worse than none. */
static int resync_named(const struct dm_invocation *in, const struct dm_config *config,
                        const struct dm_status_report *r)
{
    for (size_t i = 0; i < in->n_arguments; i++)
        if (find(r, in->arguments[i]) == NULL)
            return unknown_dataset(in, r, in->arguments[i]);
    for (size_t i = 0; i < in->n_arguments; i++) {
        const char *why = why_not(find(r, in->arguments[i]));
        if (why != NULL)
            return dm_command_usage_error(in->command, "%s cannot be copied anew: %s", in->arguments[i], why);
    }
    return resync(config, in->arguments, in->n_arguments, r->running);
}

static int resync_all(const struct dm_config *config, const struct dm_status_report *r)
{
    const char **names = dm_xzalloc(r->n_datasets + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < r->n_datasets; i++)
        if (strcmp(r->datasets[i].state, "refused") != 0 && why_not(&r->datasets[i]) == NULL)
            names[n++] = r->datasets[i].dataset;
    int code = resync(config, names, n, r->running);
    free(names);
    return code;
}

static int run(const struct dm_invocation *in)
{
    bool all = dm_invocation_has(in, "all");
    if (all == (in->n_arguments > 0))
        return dm_command_usage_error(in->command, "name the datasets, or say --all");
    struct dm_config *config = NULL;
    int code = 0;
    if (!dm_command_config(in, &config, &code))
        return code;
    struct dm_status_report report = {0};
    struct dm_error err = {0};
    if (dm_mirror_status(config, &report, &err) != DM_OK) {
        code = dm_command_fail(&err);
    } else {
        code = all ? resync_all(config, &report) : resync_named(in, config, &report);
        dm_status_report_release(&report);
    }
    dm_config_free(config);
    return dm_command_finish(code);
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"all", 0, NULL, "all datasets that a source fills"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};

const struct dm_command dm_command_resync = {
    .name = "resync",
    .arguments = "[DATASET...]",
    .max_arguments = 10000,
    .summary = "Copy datasets anew from their source",
    .about = "Asks for a new copy: after a lost slot, a stopped dataset that was mended, or a difference "
             "that verify found.\n"
             "Readers keep the old content until the new copy takes its place in one commit; other datasets "
             "go on meanwhile.\n"
             "A running mirror takes it up at once, otherwise the next run does.",
    .options = options,
    .examples = "  datamirror resync shop.orders\n"
                "  datamirror resync --all\n",
    .run = run,
};
