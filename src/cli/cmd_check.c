/* `datamirror check`: do the rows of the lake keep the relationships between its schemas? */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/report_table.h"
#include "cli/stop_signal.h"
#include "mirror/relationship/relationship.h"

static const char *verdict_text(enum dm_check_verdict verdict)
{
    static const char *const texts[] = {"fine", "violated", "unknown"};
    return texts[verdict];
}

/* ---- for people ---- */

static void print_table(const struct dm_check_report *report)
{
    struct dm_report_table t = {.n_columns = 8};
    for (size_t i = 4; i < 8; i++)
        t.right[i] = true;
    dm_report_table_row(&t, (const char *[]){"RELATIONSHIP", "CHILD", "PARENT", "KIND", "CHILDREN", "NULL",
                                             "ORPHANS", "VIOLATIONS"});
    for (size_t i = 0; i < report->n; i++) {
        const struct dm_check_result *r = &report->results[i];
        char n[4][32];
        char *columns = dm_names_joined(&r->columns), *targets = dm_names_joined(&r->parent_columns);
        char *child = dm_xasprintf("%s (%s)", r->child, columns);
        char *parent = dm_xasprintf("%s (%s)", r->parent, targets);
        bool known = r->verdict != DM_CHECK_UNKNOWN;
        dm_report_table_row(
            &t, (const char *[]){r->name, child, parent, dm_cardinality_text(r->cardinality),
                                 known ? dm_progress_count(r->children, n[0], sizeof n[0]) : "?",
                                 known ? dm_progress_count(r->null_references, n[1], sizeof n[1]) : "?",
                                 known ? dm_progress_count(r->orphans, n[2], sizeof n[2]) : "?",
                                 known ? dm_progress_count(r->violations, n[3], sizeof n[3]) : "?"});
        free(columns);
        free(targets);
        free(child);
        free(parent);
    }
    dm_report_table_print(&t, stdout);
    dm_report_table_release(&t);
}

static void print_sample(const struct dm_check_result *r, const struct dm_check_sample *s)
{
    if (strcmp(s->what, "orphan") == 0)
        (void)dm_print(stdout, "  orphan: %s %s refers to %s, which is not in %s\n", r->child, s->key,
                       s->reference, r->parent);
    else if (strcmp(s->what, "null_reference") == 0)
        (void)dm_print(stdout, "  no reference: %s %s must have one: %s\n", r->child, s->key, s->reference);
    else if (strcmp(s->what, "crowded_parent") == 0)
        (void)dm_print(stdout, "  too many: %" PRIu64 " rows of %s refer to %s\n", s->rows, r->child,
                       s->reference);
    else if (strcmp(s->what, "ambiguous_parent") == 0)
        (void)dm_print(stdout, "  not unique: %" PRIu64 " rows of %s have %s\n", s->rows, r->parent,
                       s->reference);
    else
        (void)dm_print(stdout, "  alone: nothing in %s refers to %s %s\n", r->child, r->parent, s->reference);
}

static void print_details(const struct dm_check_result *r)
{
    if (r->verdict == DM_CHECK_FINE && r->waiting == 0)
        return;
    (void)dm_print(stdout, "\n%s of %s: %s", r->name, r->child, verdict_text(r->verdict));
    if (r->verdict == DM_CHECK_UNKNOWN)
        (void)dm_print(stdout, ": %s", r->reason);
    (void)fputc('\n', stdout);
    if (r->waiting > 0)
        (void)dm_print(stdout, "  %" PRIu64 " more rows of %s wait in quarantine for their parent\n",
                       r->waiting, r->child);
    for (size_t i = 0; i < r->n_samples; i++)
        print_sample(r, &r->samples[i]);
}

static void print_report(const struct dm_check_report *report)
{
    char when[40];
    if (report->n == 0) {
        (void)dm_print(stdout, "There are no relationships%s.\n",
                       report->n_positions == 0 ? " in this lake (datamirror schema apply declares them)"
                                                : "");
        return;
    }
    (void)dm_print(stdout, "Checked at one commit, %s",
                   dm_clock_format_us(report->checked_us, when, sizeof when));
    for (size_t i = 0; i < report->n_positions; i++)
        (void)dm_print(stdout, "%s %s at %s", i == 0 ? ":" : ",", report->positions[i].source,
                       report->positions[i].position != NULL ? report->positions[i].position : "?");
    (void)dm_print(stdout, "\n\n");
    print_table(report);
    for (size_t i = 0; i < report->n; i++)
        print_details(&report->results[i]);
    for (size_t i = 0; i < report->n_junctions; i++)
        (void)dm_print(stdout, "%s%s joins %s and %s, many to many; query shows it as %s\n",
                       i == 0 ? "\n" : "", report->junctions[i].junction, report->junctions[i].left,
                       report->junctions[i].right, report->junctions[i].view);
}

/* ---- for machines ---- */

static json_t *names_json(const struct dm_names *names)
{
    json_t *a = json_array();
    for (size_t i = 0; i < names->n; i++)
        json_array_append_new(a, json_string(names->items[i]));
    return a;
}

static json_t *object_of(const char *text)
{
    return text != NULL ? json_loads(text, 0, NULL) : json_null();
}

static json_t *result_json(const struct dm_check_result *r)
{
    json_t *o = json_object();
    dm_json_text(o, "relationship", r->name);
    dm_json_text(o, "child", r->child);
    json_object_set_new(o, "columns", names_json(&r->columns));
    dm_json_text(o, "parent", r->parent);
    json_object_set_new(o, "parent_columns", names_json(&r->parent_columns));
    dm_json_text(o, "cardinality", dm_cardinality_text(r->cardinality));
    json_object_set_new(o, "discovered", json_boolean(r->discovered));
    json_object_set_new(o, "enforced", json_boolean(r->enforced));
    dm_json_text(o, "result", verdict_text(r->verdict));
    dm_json_text(o, "reason", r->reason);
    if (r->verdict != DM_CHECK_UNKNOWN) {
        dm_json_count(o, "children", r->children);
        dm_json_count(o, "null_references", r->null_references);
        dm_json_count(o, "orphans", r->orphans);
        dm_json_count(o, "crowded_parents", r->crowded_parents);
        dm_json_count(o, "crowded_children", r->crowded_children);
        dm_json_count(o, "ambiguous_parents", r->ambiguous_parents);
        dm_json_count(o, "childless_parents", r->childless_parents);
        dm_json_count(o, "violations", r->violations);
    }
    dm_json_count(o, "waiting", r->waiting);
    json_t *samples = json_array();
    for (size_t i = 0; i < r->n_samples; i++) {
        const struct dm_check_sample *s = &r->samples[i];
        json_t *sample = json_object();
        dm_json_text(sample, "what", s->what);
        json_object_set_new(sample, "key", object_of(s->key));
        json_object_set_new(sample, "reference", object_of(s->reference));
        dm_json_count(sample, "rows", s->rows);
        json_array_append_new(samples, sample);
    }
    json_object_set_new(o, "samples", samples);
    return o;
}

static void print_json(const struct dm_check_report *report)
{
    json_t *root = json_object();
    dm_json_time(root, "checked", report->checked_us);
    json_t *positions = json_array(), *results = json_array(), *junctions = json_array();
    for (size_t i = 0; i < report->n_positions; i++) {
        json_t *o = json_object();
        dm_json_text(o, "source", report->positions[i].source);
        dm_json_text(o, "position", report->positions[i].position);
        dm_json_time(o, "commit_time", report->positions[i].commit_time_us);
        json_array_append_new(positions, o);
    }
    for (size_t i = 0; i < report->n; i++)
        json_array_append_new(results, result_json(&report->results[i]));
    for (size_t i = 0; i < report->n_junctions; i++) {
        json_t *o = json_object();
        dm_json_text(o, "junction", report->junctions[i].junction);
        dm_json_text(o, "left", report->junctions[i].left);
        dm_json_text(o, "right", report->junctions[i].right);
        dm_json_text(o, "view", report->junctions[i].view);
        json_array_append_new(junctions, o);
    }
    json_object_set_new(root, "positions", positions);
    json_object_set_new(root, "relationships", results);
    json_object_set_new(root, "junctions", junctions);
    dm_json_print(root, stdout);
}

/* ---- the command ---- */

static int code_of(const struct dm_invocation *in, const struct dm_check_report *report)
{
    bool orphans_fail = dm_invocation_has(in, "fail-on-orphans");
    bool violations_fail = dm_invocation_has(in, "fail-on-violations");
    bool unknown = false, bad = false;
    for (size_t i = 0; i < report->n; i++) {
        const struct dm_check_result *r = &report->results[i];
        unknown |= r->verdict == DM_CHECK_UNKNOWN;
        bad |= (orphans_fail || violations_fail) && (r->orphans > 0 || r->waiting > 0);
        bad |= violations_fail && r->violations > 0;
    }
    if (bad)
        return DM_EXIT_NEGATIVE;
    return unknown && (orphans_fail || violations_fail) ? DM_EXIT_USAGE : DM_EXIT_OK;
}

static int run(const struct dm_invocation *in)
{
    struct dm_config *config = NULL;
    int code = 0;
    size_t samples = 0;
    if (!dm_command_count(in, "samples", 5, &samples, &code) || !dm_command_config(in, &config, &code))
        return code;
    struct dm_check_options options = {.n_names = in->n_arguments,
                                       .names = in->arguments,
                                       .samples = samples,
                                       .stop = dm_stop_signal_install()};
    struct dm_check_report report;
    struct dm_error err = {0};
    if (dm_check_relationships(config, &options, &report, &err) != DM_OK) {
        code = dm_command_fail(&err);
    } else {
        if (dm_invocation_has(in, "json"))
            print_json(&report);
        else
            print_report(&report);
        code = dm_command_finish(code_of(in, &report));
        dm_check_report_release(&report);
    }
    dm_config_free(config);
    return code;
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"json", 0, NULL, "as one JSON object"},
    {"samples", 0, "N", "at most this many examples for each kind of trouble (default 5)"},
    {"fail-on-orphans", 0, NULL,
     "exit with 1 when there are orphans, or children that wait for their parent"},
    {"fail-on-violations", 0, NULL, "exit with 1 also when a cardinality is violated"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "it was checked; with --fail-on-…: and nothing of that kind was found"},
    {DM_EXIT_NEGATIVE, "--fail-on-…: something of that kind was found"},
    {DM_EXIT_USAGE,
     "there is no such relationship; or --fail-on-…: some relationship could not be checked, it says why"},
    {0, NULL},
};

const struct dm_command dm_command_check = {
    .name = "check",
    .arguments = "[RELATIONSHIP|DATASET...]",
    .max_arguments = 10000,
    .summary = "Check the relationships between datasets: orphans, cardinality",
    .about = "Looks at every relationship that a schema declares or a foreign key of a source shows, at one "
             "commit of "
             "the lake:\n"
             "rows whose parent is not there (orphans), and rows that break the cardinality. A null "
             "reference is no "
             "orphan.\n"
             "M:1 and M:0: many children for a parent; 1:1 and 1:0: one at most. With 1 at the end a child "
             "must refer "
             "to a parent,\n"
             "with 0 it may. 1:1 also wants a child for each parent. It works beside a running mirror.",
    .options = options,
    .examples = "  datamirror check\n"
                "  datamirror check shop.orders --samples 20\n"
                "  datamirror check --json --fail-on-orphans\n",
    .exits = exits,
    .run = run,
};
