/* `datamirror verify`: is the lake equal to the source? */
#include <inttypes.h>
#include <stdlib.h>

#include "base/progress.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/stop_signal.h"
#include "mirror/mirror.h"

_Static_assert((int)DM_VERIFY_EQUAL == (int)DM_EXIT_OK && (int)DM_VERIFY_DIFFERENT == (int)DM_EXIT_NEGATIVE &&
                   (int)DM_VERIFY_UNKNOWN == (int)DM_EXIT_USAGE,
               "the result of verify is its exit code");

static const char *result_name(enum dm_verify_result result)
{
    static const char *const names[] = {"equal", "different", "unknown", "dropped"};
    return names[result];
}

/* What the callbacks count for the last line. */
struct tally {
    size_t of[4]; /* by enum dm_verify_result */
    uint64_t quarantined;
};

static void count(void *ctx, const struct dm_verify_dataset *d)
{
    struct tally *t = ctx;
    t->of[d->result]++;
    t->quarantined += d->quarantined;
}

static void difference_text(void *ctx, const struct dm_verify_difference *d)
{
    (void)ctx;
    (void)dm_print(stdout, "  %s %s: %s\n", d->dataset, d->key, d->what);
    if (d->source_values != NULL)
        (void)dm_print(stdout, "    source: %s\n", d->source_values);
    if (d->lake_values != NULL)
        (void)dm_print(stdout, "    lake:   %s\n", d->lake_values);
}

static void dataset_text(void *ctx, const struct dm_verify_dataset *d)
{
    count(ctx, d);
    char source[32], lake[32], n[32];
    if (d->result == DM_VERIFY_DROPPED) {
        (void)dm_print(stdout, "%s: dropped; its last state is kept and was not compared\n", d->dataset);
        return;
    }
    if (d->result == DM_VERIFY_UNKNOWN) {
        (void)dm_print(stdout, "%s: could not tell: %s\n", d->dataset,
                       d->reason != NULL ? d->reason : "no reason given");
        return;
    }
    (void)dm_print(stdout, "%s: %s at %s, %s rows in the source, %s in the lake", d->dataset,
                   result_name(d->result), d->position != NULL ? d->position : "?",
                   dm_progress_count(d->source_rows, source, sizeof source),
                   dm_progress_count(d->lake_rows, lake, sizeof lake));
    if (d->differences > 0)
        (void)dm_print(stdout, ", %s different", dm_progress_count(d->differences, n, sizeof n));
    if (d->quarantined > 0)
        (void)dm_print(stdout, ", %s in quarantine", dm_progress_count(d->quarantined, n, sizeof n));
    if (d->suppressed > 0)
        (void)dm_print(stdout, ", %s more deleted by order", dm_progress_count(d->suppressed, n, sizeof n));
    if (d->expired > 0)
        (void)dm_print(stdout, ", %s more past their expiry", dm_progress_count(d->expired, n, sizeof n));
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
}

static void difference_json(void *ctx, const struct dm_verify_difference *d)
{
    (void)ctx;
    json_t *o = json_object();
    dm_json_text(o, "kind", "difference");
    dm_json_text(o, "dataset", d->dataset);
    json_t *key = d->key != NULL ? json_loads(d->key, 0, NULL) : NULL;
    if (key != NULL)
        json_object_set_new(o, "key", key);
    else
        dm_json_text(o, "key", d->key);
    dm_json_text(o, "what", d->what);
    dm_json_text(o, "source_values", d->source_values);
    dm_json_text(o, "lake_values", d->lake_values);
    dm_json_print(o, stdout);
}

static void dataset_json(void *ctx, const struct dm_verify_dataset *d)
{
    count(ctx, d);
    json_t *o = json_object();
    dm_json_text(o, "kind", "dataset");
    dm_json_text(o, "dataset", d->dataset);
    dm_json_text(o, "result", result_name(d->result));
    dm_json_count(o, "source_rows", d->source_rows);
    dm_json_count(o, "lake_rows", d->lake_rows);
    dm_json_count(o, "differences", d->differences);
    dm_json_count(o, "quarantined", d->quarantined);
    dm_json_count(o, "suppressed", d->suppressed);
    dm_json_count(o, "expired", d->expired);
    dm_json_text(o, "position", d->position);
    dm_json_text(o, "reason", d->reason);
    dm_json_print(o, stdout);
    (void)fflush(stdout);
}

static void result_text(enum dm_verify_result result, const struct tally *t)
{
    char n[32];
    size_t all = t->of[DM_VERIFY_EQUAL] + t->of[DM_VERIFY_DIFFERENT] + t->of[DM_VERIFY_UNKNOWN];
    if (all == 0)
        (void)fputs("Nothing to compare: there is no dataset that a database fills.", stdout);
    else if (result == DM_VERIFY_EQUAL)
        (void)fputs("The lake equals the source", stdout);
    else if (result == DM_VERIFY_DIFFERENT)
        (void)fputs("The lake differs from the source.", stdout);
    else
        (void)fputs("Could not tell for every dataset.", stdout);
    if (result == DM_VERIFY_EQUAL && t->quarantined > 0)
        (void)dm_print(stdout, ", but for %s row%s in quarantine (datamirror quarantine list)",
                       dm_progress_count(t->quarantined, n, sizeof n), t->quarantined == 1 ? "" : "s");
    if (result == DM_VERIFY_EQUAL)
        (void)fputc('.', stdout);
    if (t->of[DM_VERIFY_UNKNOWN] > 0)
        (void)dm_print(stdout, " %zu of %zu datasets could not be compared.", t->of[DM_VERIFY_UNKNOWN], all);
    (void)fputc('\n', stdout);
}

static void result_json(enum dm_verify_result result, const struct tally *t)
{
    json_t *o = json_object();
    dm_json_text(o, "kind", "result");
    dm_json_text(o, "result", result_name(result));
    for (int i = DM_VERIFY_EQUAL; i <= DM_VERIFY_DROPPED; i++)
        dm_json_count(o, result_name((enum dm_verify_result)i), t->of[i]);
    dm_json_print(o, stdout);
}

static int run(const struct dm_invocation *in)
{
    struct dm_config *config = NULL;
    int code = 0;
    int64_t timeout_ms = 0;
    size_t most = 0;
    if (!dm_command_duration(in, "timeout", 5 * 60 * 1000, &timeout_ms, &code) ||
        !dm_command_count(in, "differences", 20, &most, &code) || !dm_command_config(in, &config, &code))
        return code;
    bool json = dm_invocation_has(in, "json");
    struct tally tally = {0};
    struct dm_verify_callbacks callbacks = {
        .ctx = &tally,
        .difference = json ? difference_json : difference_text,
        .dataset = json ? dataset_json : dataset_text,
    };
    enum dm_verify_result result = DM_VERIFY_UNKNOWN;
    struct dm_error err = {0};
    enum dm_status status = dm_mirror_verify(config, in->arguments, in->n_arguments, most, timeout_ms,
                                             &callbacks, dm_stop_signal_install(), &result, &err);
    dm_config_free(config);
    if (status != DM_OK) {
        (void)dm_command_fail(&err);
        return DM_EXIT_USAGE; /* whatever went wrong: nobody could tell */
    }
    if (json)
        result_json(result, &tally);
    else
        result_text(result, &tally);
    int written = dm_command_finish((int)result);
    return written == (int)result ? written : DM_EXIT_USAGE;
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"json", 0, NULL, "as JSON, one object a line: difference, dataset, result"},
    {"differences", 'n', "COUNT", "show at most so many differences of a dataset (default 20)"},
    {"timeout", 0, "DURATION", "for each source: give up waiting for the mirror to catch up (default 5m)"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "equal"},
    {DM_EXIT_NEGATIVE, "different; the differing keys are printed"},
    {DM_EXIT_USAGE,
     "could not tell for every dataset: refused, stopped, being copied, not caught up in time; its "
     "source away; dropped, when asked for by name; or nothing to compare at all; each is named with its "
     "reason"},
    {0, NULL},
};

const struct dm_command dm_command_verify = {
    .name = "verify",
    .arguments = "[DATASET...]",
    .max_arguments = 10000,
    .summary = "Compare every value in the lake with the source",
    .about =
        "Pins one position of the source, waits until the lake has reached it, and compares all rows and all "
        "values\n"
        "there, while the source and the mirror go on. Works beside a running mirror; without one it catches "
        "up by\n"
        "itself first. Without names, all datasets that a database fills; one that could not be compared is "
        "never equal.\n"
        "Datasets of tables that the source has no more are told (`dropped`) and not counted, unless they "
        "are named.\n"
        "Rows in quarantine are counted apart and are no differences: source_rows = lake_rows + quarantined.",
    .options = options,
    .examples = "  datamirror verify\n"
                "  datamirror verify shop.orders shop.customers\n"
                "  datamirror verify --json --timeout 1m\n",
    .exits = exits,
    .run = run,
};
