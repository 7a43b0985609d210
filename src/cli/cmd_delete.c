/* `datamirror delete`: rows out of the lake for good, and the orders that did it. */
#include <inttypes.h>
#include <pwd.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/report_table.h"
#include "cli/stop_signal.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/order/order.h"
#include "mirror/hygiene/work_order.h"

#define KEY_FILE_MAX ((size_t)256 << 20)
#define KEY_SEPARATOR '\x1e' /* between the values of a repeated option (command.h) */

static uint64_t count_of(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

/* ---- the order ---- */

/* Pieces of `text` at the separator; a CR before a line's end is no part of it, empty lines are none. */
static void add_pieces(json_t *keys, const char *text, size_t n, char separator)
{
    while (n > 0) {
        const char *end = memchr(text, separator, n);
        size_t piece = end != NULL ? (size_t)(end - text) : n;
        size_t kept = piece > 0 && separator == '\n' && text[piece - 1] == '\r' ? piece - 1 : piece;
        if (kept > 0)
            json_array_append_new(keys, json_stringn(text, kept));
        piece += end != NULL;
        text += piece;
        n -= piece;
    }
}

static enum dm_status read_keys(const struct dm_invocation *in, json_t *keys, struct dm_error *err)
{
    const char *repeated = dm_invocation_value(in, "key"), *path = dm_invocation_value(in, "key-file");
    for (size_t i = 1; i < in->n_arguments; i++)
        json_array_append_new(keys, json_string(in->arguments[i]));
    if (repeated != NULL)
        add_pieces(keys, repeated, strlen(repeated), KEY_SEPARATOR);
    if (path == NULL)
        return DM_OK;
    struct dm_buffer bytes;
    dm_buffer_init(&bytes, KEY_FILE_MAX);
    enum dm_status status = dm_file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &bytes, err);
    size_t before = json_array_size(keys);
    if (status == DM_OK)
        add_pieces(keys, (const char *)bytes.data, bytes.len, '\n');
    if (status == DM_OK && json_array_size(keys) == before)
        status = dm_fail(err, DM_ERROR_CONFIG, "one key a line", "%s holds no keys", path);
    dm_buffer_release(&bytes);
    return status;
}

static void put_text(json_t *order, const struct dm_invocation *in, const char *option)
{
    if (dm_invocation_has(in, option))
        json_object_set_new(order, option, json_string(dm_invocation_value(in, option)));
}

/* For the log and the report: who gave the order. */
static void put_asker(json_t *order)
{
    struct passwd entry, *found = NULL;
    char space[4096];
    (void)getpwuid_r(getuid(), &entry, space, sizeof space, &found);
    json_object_set_new(
        order, "by",
        json_sprintf("user %s (%ld), by command", found != NULL ? found->pw_name : "?", (long)getuid()));
}

static enum dm_status make_order(const struct dm_invocation *in, json_t *order, struct dm_error *err)
{
    uint64_t r[2] = {(uint64_t)getpid(), (uint64_t)(uintptr_t)order};
    (void)!getrandom(r, sizeof r, 0);
    char *token = dm_xasprintf("%016" PRIx64 "%016" PRIx64, r[0], r[1]);
    json_t *keys = json_array();
    json_object_set_new(order, "dataset", json_string(in->arguments[0]));
    json_object_set_new(order, "token", json_string(token));
    put_asker(order);
    put_text(order, in, "where");
    put_text(order, in, "name");
    put_text(order, in, "description");
    json_object_set_new(order, "related", json_boolean(dm_invocation_has(in, "related")));
    json_object_set_new(order, "until_erased", json_boolean(dm_invocation_has(in, "until-erased")));
    enum dm_status status = read_keys(in, keys, err);
    if (!dm_invocation_has(in, "where"))
        json_object_set(order, "keys", keys);
    json_decref(keys);
    free(token);
    return status;
}

/* ---- words ---- */

static void print_notes(const json_t *report)
{
    const json_t *notes = json_object_get(report, "notes");
    for (size_t i = 0; i < json_array_size(notes); i++)
        (void)dm_print(stdout, "note: %s\n", json_string_value(json_array_get(notes, i)));
}

static void print_moved(const json_t *d)
{
    char rows[32];
    if (count_of(d, "moved_rows") > 0)
        (void)dm_print(
            stdout,
            "%s rows of %s referred to them once, and to others now: they stay, what they were goes\n",
            dm_progress_count(count_of(d, "moved_rows"), rows, sizeof rows), text_of(d, "dataset"));
}

static void print_datasets(const json_t *report)
{
    static const char *const counts[] = {"keys", "rows", "history_rows", "quarantine_rows"};
    enum { n_counts = 4 };
    const json_t *list = json_object_get(report, "datasets");
    struct dm_report_table t = {.n_columns = n_counts + 2};
    dm_report_table_row(&t, (const char *[]){"DATASET", "KEYS", "ROWS", "HISTORY", "QUARANTINE", "THROUGH"});
    for (size_t i = 1; i <= n_counts; i++)
        t.right[i] = true;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *d = json_array_get(list, i);
        char texts[n_counts][32];
        for (size_t k = 0; k < n_counts; k++)
            (void)dm_progress_count(count_of(d, counts[k]), texts[k], sizeof texts[k]);
        dm_report_table_row(&t, (const char *[]){text_of(d, "dataset"), texts[0], texts[1], texts[2],
                                                 texts[3], text_of(d, "via")});
    }
    dm_report_table_print(&t, stdout);
    dm_report_table_release(&t);
    for (size_t i = 0; i < json_array_size(list); i++)
        print_moved(json_array_get(list, i));
}

static void print_not_covered(const json_t *report)
{
    const json_t *list = json_object_get(report, "not_covered");
    if (json_array_size(list) > 0)
        (void)puts("not covered:");
    for (size_t i = 0; i < json_array_size(list); i++)
        (void)dm_print(stdout, "  - %s\n", json_string_value(json_array_get(list, i)));
}

static void print_references(const json_t *report, bool related)
{
    const json_t *list = json_object_get(report, "references");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *r = json_array_get(list, i);
        char rows[32];
        (void)dm_print(stdout, "%s rows of %s refer to them (%s) and stay%s\n",
                       dm_progress_count(count_of(r, "rows"), rows, sizeof rows), text_of(r, "dataset"),
                       text_of(r, "relationship"), related ? "" : "; --related deletes them, too");
    }
}

static uint64_t sum(const json_t *report, const char *key)
{
    const json_t *list = json_object_get(report, "datasets");
    uint64_t n = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        n += count_of(json_array_get(list, i), key);
    return n;
}

static void print_erased(const json_t *report)
{
    char files[32], removed[32], bytes[32];
    (void)dm_print(
        stdout,
        "erased: the last byte was gone at %s: %s data files written anew, %s files (%s bytes) removed\n",
        text_of(report, "erased_at"), dm_progress_count(sum(report, "files_rewritten"), files, sizeof files),
        dm_progress_count(sum(report, "files_removed"), removed, sizeof removed),
        dm_progress_count(sum(report, "bytes_removed"), bytes, sizeof bytes));
}

static void print_report(const json_t *report, bool related)
{
    print_datasets(report);
    print_references(report, related);
    print_notes(report);
    if (count_of(report, "order") == 0) {
        (void)puts("nothing was deleted");
        return;
    }
    (void)dm_print(stdout, "order %" PRIu64 ": deleted at %s; the source cannot bring these rows back\n",
                   count_of(report, "order"), text_of(report, "deleted_at"));
    const char *status = text_of(report, "status");
    if (strcmp(status, "erased") == 0)
        print_erased(report);
    else if (strcmp(status, "erasing") == 0)
        (void)dm_print(stdout, "still being erased: %s\n", text_of(report, "detail"));
    else
        (void)puts("older files and snapshots may still hold their bytes until they expire; --until-erased "
                   "removes them "
                   "at once");
    print_not_covered(report);
}

/* ---- running it ---- */

static void show_progress(void *ctx, uint64_t rows, uint64_t done, uint64_t total)
{
    (void)rows;
    if (total == 0)
        return;
    *(bool *)ctx = true;
    (void)dm_print(stderr, "\rerasing: dataset %" PRIu64 " of %" PRIu64 " ", done + 1, total);
}

static enum dm_status run_order(const struct dm_config *config, const char *kind, json_t *order, bool dry_run,
                                json_t **result, struct dm_error *err)
{
    struct dm_order_hooks hooks = {.stop = dm_stop_signal_install()};
    bool shown = false;
    if (isatty(STDERR_FILENO)) {
        hooks.progress = show_progress;
        hooks.ctx = &shown;
    }
    json_object_set_new(order, "dry_run", json_boolean(dry_run));
    enum dm_status status = dm_order_run(config, kind, order, &hooks, result, err);
    if (shown)
        (void)fputs("\r\033[K", stderr);
    return status;
}

static bool confirmed(const json_t *preview)
{
    char answer[16] = "", rows[32];
    (void)dm_print(stdout, "Delete these %s rows for good? [y/N] ",
                   dm_progress_count(sum(preview, "rows"), rows, sizeof rows));
    (void)fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Shows what would be hit. */
static enum dm_status preview(const struct dm_invocation *in, const struct dm_config *config, json_t *order,
                              json_t **result, struct dm_error *err)
{
    if (run_order(config, "delete", order, true, result, err) != DM_OK)
        return DM_FAIL;
    if (dm_invocation_has(in, "json"))
        return DM_OK;
    print_datasets(*result);
    print_references(*result, dm_invocation_has(in, "related"));
    print_notes(*result);
    print_not_covered(*result);
    return DM_OK;
}

static int delete_rows(const struct dm_invocation *in, const struct dm_config *config, json_t *order)
{
    struct dm_error err = {0};
    json_t *result = NULL;
    bool dry_run = dm_invocation_has(in, "dry-run"), json = dm_invocation_has(in, "json");
    if (dry_run || !dm_invocation_has(in, "yes")) {
        if (preview(in, config, order, &result, &err) != DM_OK)
            return dm_command_fail(&err);
        if (dry_run && json)
            dm_json_print(json_incref(result), stdout);
        bool go_on = !dry_run && confirmed(result);
        json_decref(result);
        result = NULL;
        if (!go_on) {
            if (!json)
                (void)puts(dry_run ? "A dry run: nothing was changed." : "Nothing was changed.");
            return DM_EXIT_OK;
        }
    }
    if (run_order(config, "delete", order, false, &result, &err) != DM_OK)
        return dm_command_fail(&err);
    bool erasing = strcmp(text_of(result, "status"), "erasing") == 0;
    if (json)
        dm_json_print(json_incref(result), stdout);
    else
        print_report(result, dm_invocation_has(in, "related"));
    json_decref(result);
    return erasing ? DM_EXIT_TRY_AGAIN : DM_EXIT_OK;
}

static int unsuppress(const struct dm_invocation *in, const struct dm_config *config, json_t *order)
{
    struct dm_error err = {0};
    json_t *result = NULL;
    if (run_order(config, "unsuppress", order, false, &result, &err) != DM_OK)
        return dm_command_fail(&err);
    if (dm_invocation_has(in, "json"))
        dm_json_print(json_incref(result), stdout);
    else
        (void)dm_print(stdout,
                       "%s: %" PRIu64 " of %" PRIu64
                       " keys were suppressed and are not any more. Their rows are not back "
                       "yet: the next change of\nthe row, a resync or a repeated ingest brings them.\n",
                       text_of(result, "dataset"), count_of(result, "unsuppressed"),
                       count_of(result, "keys"));
    json_decref(result);
    return DM_EXIT_OK;
}

/* ---- looking at orders ---- */

static void print_orders(const struct dm_work_orders *list)
{
    struct dm_report_table t = {.n_columns = 6, .right = {true, false, false, true, false, false}};
    dm_report_table_row(&t, (const char *[]){"ORDER", "STATUS", "DATASETS", "ROWS", "DELETED AT", "NAME"});
    for (size_t i = 0; i < list->n; i++) {
        json_t *o = dm_work_order_json(&list->items[i]);
        const json_t *datasets = json_object_get(o, "datasets");
        char id[24], rows[32];
        (void)snprintf(id, sizeof id, "%" PRId64, list->items[i].id);
        char *names = dm_xstrdup("");
        for (size_t k = 0; k < json_array_size(datasets); k++) {
            char *more = dm_xasprintf("%s%s%s", names, k > 0 ? ", " : "",
                                      text_of(json_array_get(datasets, k), "dataset"));
            free(names);
            names = more;
        }
        dm_report_table_row(&t, (const char *[]){id, list->items[i].status, names,
                                                 dm_progress_count(sum(o, "rows"), rows, sizeof rows),
                                                 text_of(o, "deleted_at"), list->items[i].name});
        free(names);
        json_decref(o);
    }
    dm_report_table_print(&t, stdout);
    dm_report_table_release(&t);
}

static int look(const struct dm_invocation *in, const struct dm_config *config)
{
    const char *show = dm_invocation_value(in, "show");
    int64_t id = 0;
    struct dm_error err = {0};
    struct sqlite3 *db = NULL;
    struct dm_work_orders list = {0};
    if (show != NULL) {
        char *end = NULL;
        id = strtoll(show, &end, 10);
        if (end == show || *end != '\0' || id <= 0)
            return dm_command_usage_error(in->command, "--show needs the number of an order, not \"%s\"",
                                          show);
    }
    enum dm_status status = dm_catalog_side_open(config->lake, &db, &err);
    if (status == DM_OK)
        status = dm_work_order_list(db, id, NULL, NULL, &list, &err);
    if (status == DM_OK && show != NULL && list.n == 0)
        status = dm_fail(&err, DM_ERROR_CONFIG, "datamirror delete --list", "there is no order %s", show);
    if (status == DM_OK && dm_invocation_has(in, "json")) {
        for (size_t i = 0; i < list.n; i++)
            dm_json_print(dm_work_order_json(&list.items[i]), stdout);
    } else if (status == DM_OK && show != NULL) {
        json_t *o = dm_work_order_json(&list.items[0]);
        if (list.items[0].name != NULL)
            (void)dm_print(stdout, "%s\n", list.items[0].name);
        if (list.items[0].description != NULL)
            (void)dm_print(stdout, "%s\n", list.items[0].description);
        print_report(o, true);
        json_decref(o);
    } else if (status == DM_OK) {
        print_orders(&list);
    }
    dm_work_orders_release(&list);
    (void)sqlite3_close(db);
    return status == DM_OK ? DM_EXIT_OK : dm_command_fail(&err);
}

/* ---- the command ---- */

/* 0, or an exit code. */
static int check_words(const struct dm_invocation *in)
{
    bool looking = dm_invocation_has(in, "list") || dm_invocation_has(in, "show");
    bool keys = in->n_arguments > 1 || dm_invocation_has(in, "key") || dm_invocation_has(in, "key-file");
    bool where = dm_invocation_has(in, "where");
    if (looking)
        return in->n_arguments == 0
                   ? 0
                   : dm_command_usage_error(in->command, "--list and --show take no dataset");
    if (in->n_arguments == 0)
        return dm_command_usage_error(in->command, "name a dataset (or say --list)");
    if (keys == where)
        return dm_command_usage_error(in->command, "say which rows: their keys, or --where \"condition\"");
    if (dm_invocation_has(in, "unsuppress"))
        return where ? dm_command_usage_error(in->command,
                                              "--unsuppress takes keys: suppressed rows are not there to "
                                              "meet a condition")
                     : 0;
    bool unasked = dm_invocation_has(in, "yes") || dm_invocation_has(in, "dry-run");
    if (!unasked && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || dm_invocation_has(in, "json")))
        return dm_command_usage_error(in->command,
                                      "nobody can be asked here: add --yes, or --dry-run to see what it "
                                      "would do");
    return 0;
}

static int run(const struct dm_invocation *in)
{
    struct dm_config *config = NULL;
    int code = check_words(in);
    if (code != 0 || !dm_command_config(in, &config, &code))
        return code;
    if (in->n_arguments == 0) {
        code = look(in, config);
    } else {
        struct dm_error err = {0};
        json_t *order = json_object();
        if (make_order(in, order, &err) != DM_OK)
            code = dm_command_fail(&err);
        else
            code = dm_invocation_has(in, "unsuppress") ? unsuppress(in, config, order)
                                                       : delete_rows(in, config, order);
        json_decref(order);
    }
    dm_config_free(config);
    return dm_command_finish(code);
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"key", 'k', "KEY...", "a key (as KEY after the dataset); may be given several times"},
    {"key-file", 0, "FILE", "a file with one key a line; - is standard input"},
    {"where", 'w', "SQL", "the rows that meet this condition; subqueries may ask other datasets"},
    {"related", 0, NULL,
     "also the rows that refer to them, through the relationships of the schemas, on and on"},
    {"until-erased", 0, NULL, "and end only when no byte of the rows is left in the lake"},
    {"dry-run", 'n', NULL, "show what would be deleted; change nothing"},
    {"yes", 'y', NULL, "do not ask"},
    {"name", 0, "TEXT", "a name for the order"},
    {"description", 0, "TEXT", "why, or for whom"},
    {"unsuppress", 0, NULL, "let the source bring these keys back"},
    {"list", 'l', NULL, "the orders so far"},
    {"show", 0, "ID", "the report of one order"},
    {"json", 0, NULL, "the outcome as JSON, one object a line"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "deleted (also when the keys had no row: they are suppressed)"},
    {DM_EXIT_USAGE, "the command, the dataset, a key or the condition is wrong; nothing was changed"},
    {DM_EXIT_TRY_AGAIN,
     "deleted, but not erased yet (it goes on by itself); or the lake cannot be written now"},
    {0, NULL},
};

const struct dm_command dm_command_delete = {
    .name = "delete",
    .arguments = "[DATASET [KEY...]]",
    .max_arguments = 1000000,
    .summary = "Delete rows for good: their source cannot bring them back",
    .about = "Takes rows out of a dataset, its history and its quarantine, and remembers their keys (as "
             "keyed hashes), so that "
             "no\n"
             "change, copy or file brings them back. The source itself is not touched. A key of several "
             "columns is written\n"
             "with commas: 17,2024-05-01. Rows of other datasets that refer to the deleted ones stay, unless "
             "--related is "
             "given.\n"
             "With --until-erased every file that holds the rows is written anew, older snapshots go at "
             "once, and the report "
             "says\n"
             "when the last byte was gone. Each deletion is an order with a number; see --list and --show. "
             "Works beside a "
             "running\n"
             "mirror and without one.",
    .options = options,
    .examples = "  datamirror delete shop.customers 42 --related --dry-run\n"
                "  datamirror delete shop.customers 42 --until-erased --yes --name \"request 2024-117\"\n"
                "  datamirror delete web.events --where \"visitor = 'x81'\"\n"
                "  datamirror delete --show 7 --json\n"
                "  datamirror delete shop.customers 42 --unsuppress\n",
    .exits = exits,
    .run = run,
};
