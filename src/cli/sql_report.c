#include "cli/sql_report.h"

#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/memory.h"
#include "base/shown.h"
#include "cli/json_output.h"

static uint64_t count_of(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL ? text : "";
}

/* ---- one statement ---- */

/* What happened to a row alone. */
static const char *outcome(const json_t *sample)
{
    static const struct {
        const char *count, *word;
    } words[] = {{"quarantined", "quarantined"},
                 {"suppressed", "suppressed: its deletion was ordered"},
                 {"upserted", "upserted"},
                 {"deleted", "deleted"},
                 {"noop_deletes", "deleted, but was not there"},
                 {"ties", "of an equal version"},
                 {"stale", "stale: there is a higher version"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (count_of(sample, words[i].count) > 0)
            return words[i].word;
    return "nothing";
}

static void print_counts(const json_t *r)
{
    static const struct {
        const char *name, *words;
        bool always;
    } parts[] = {{"upserted", "upserted", true},
                 {"deleted", "deleted", true},
                 {"stale", "stale", true},
                 {"ties", "of an equal version", false},
                 {"noop_deletes", "deletes of rows that were not there", false},
                 {"suppressed", "suppressed", false},
                 {"quarantined", "quarantined", true}};
    char text[32];
    uint64_t received = count_of(r, "received");
    (void)dm_print(stdout, "%s row%s: ", dm_progress_count(received, text, sizeof text),
                   received == 1 ? "" : "s");
    for (size_t i = 0, said = 0; i < sizeof parts / sizeof *parts; i++) {
        uint64_t n = count_of(r, parts[i].name);
        if (n == 0 && !parts[i].always)
            continue;
        (void)dm_print(stdout, "%s%s %s", said++ > 0 ? ", " : "", dm_progress_count(n, text, sizeof text),
                       parts[i].words);
    }
    (void)fputc('\n', stdout);
}

void dm_sql_report_print(const char *name, size_t n, const json_t *r)
{
    const json_t *error = json_object_get(r, "error");
    char place[64] = "";
    if (n > 1)
        (void)snprintf(place, sizeof place, ", statement %llu (line %llu)",
                       (unsigned long long)count_of(r, "statement"), (unsigned long long)count_of(r, "line"));
    if (!json_is_null(error)) {
        (void)fflush(stdout);
        char *text = dm_xasprintf("%s%s: nothing of it is in: %s", name, place, text_of(error, "message"));
        dm_print_lines(stderr, "error: ", text);
        free(text);
        if (text_of(error, "hint")[0] != '\0')
            dm_print_lines(stderr, "hint: ", text_of(error, "hint"));
        return;
    }
    (void)dm_print(stdout, "%s%s into %s: ", name, place, text_of(r, "dataset"));
    print_counts(r);
    const json_t *notes = json_object_get(r, "notes"), *samples = json_object_get(r, "samples");
    for (size_t i = 0; i < json_array_size(notes); i++)
        (void)dm_print(stdout, "  note: %s\n", json_string_value(json_array_get(notes, i)));
    for (size_t i = 0; i < json_array_size(samples); i++) {
        const json_t *sample = json_array_get(samples, i);
        (void)dm_print(stdout, "  %s: %s\n", outcome(sample), text_of(sample, "row"));
    }
    (void)fflush(stdout);
}

/* ---- all ---- */

static int code_of(const struct dm_sql_report *report)
{
    if (report->failure != NULL)
        return dm_command_exit_code(report->failure);
    int code = DM_EXIT_OK;
    for (size_t i = 0; i < json_array_size(report->results); i++) {
        const json_t *r = json_array_get(report->results, i);
        const json_t *error = json_object_get(r, "error");
        if (!json_is_null(error)) {
            struct dm_error err = {
                .class = (enum dm_error_class)json_integer_value(json_object_get(error, "class"))};
            return dm_command_exit_code(&err);
        }
        if (count_of(r, "quarantined") > 0)
            code = DM_EXIT_QUARANTINED;
    }
    return code;
}

static json_t *failure_json(const struct dm_error *err)
{
    if (err == NULL)
        return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "class", json_integer(err->class));
    dm_json_text(o, "message", err->message);
    dm_json_text(o, "hint", err->hint);
    return o;
}

int dm_sql_report_finish(const struct dm_invocation *in, const struct dm_sql_report *report)
{
    int code = code_of(report);
    if (dm_invocation_has(in, "json")) {
        json_t *o = json_object();
        json_object_set(o, "statements", report->results);
        json_object_set_new(o, "error", failure_json(report->failure));
        json_object_set_new(o, "not_tried", json_integer((json_int_t)report->not_tried));
        json_object_set_new(o, "dry_run", json_boolean(report->dry_run));
        dm_json_print(o, stdout);
        return code;
    }
    if (report->failure != NULL)
        (void)dm_command_fail(report->failure);
    if (report->not_tried > 0 && json_array_size(report->results) > 0)
        (void)dm_print(stderr, "%zu of %zu statements %s not done\n", report->not_tried, report->n,
                       report->not_tried == 1 ? "was" : "were");
    for (size_t i = 0; i < json_array_size(report->results) && !report->dry_run; i++) {
        const json_t *r = json_array_get(report->results, i);
        if (count_of(r, "quarantined") > 0)
            (void)dm_print(stdout, "Some rows cannot be used; see: datamirror quarantine show %s\n",
                           text_of(r, "dataset"));
    }
    if (report->dry_run)
        (void)dm_print(stdout, "A dry run: nothing was changed.%s\n",
                       report->n > 1
                           ? " Each statement was tried on the lake as it is now, without those before it."
                           : "");
    return code;
}
