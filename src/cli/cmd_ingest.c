/* `datamirror ingest`: files of changes into a declared dataset. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/stop_signal.h"
#include "mirror/order/order.h"

/* ---- which files ---- */

static bool add_file(json_t *files, const char *path)
{
    char *absolute = realpath(path, NULL);
    if (absolute == NULL)
        return false;
    json_array_append_new(files, json_pack("{s:s, s:s}", "path", absolute, "origin", path));
    free(absolute);
    return true;
}

/* A pattern that the shell did not expand (quoted, or too many files for it). */
static enum dm_status add_pattern(json_t *files, const char *pattern, struct dm_error *err)
{
    glob_t found = {0};
    int code = strpbrk(pattern, "*?[") != NULL ? glob(pattern, 0, NULL, &found) : GLOB_NOMATCH;
    enum dm_status status = DM_OK;
    if (code != 0)
        status = dm_fail(
            err, DM_ERROR_CONFIG, NULL,
            strpbrk(pattern, "*?[") != NULL ? "no file matches \"%s\"" : "there is no file \"%s\"", pattern);
    for (size_t i = 0; code == 0 && i < found.gl_pathc && status == DM_OK; i++)
        if (!add_file(files, found.gl_pathv[i]))
            status = dm_fail_errno(err, "cannot look at %s", found.gl_pathv[i]);
    globfree(&found);
    return status;
}

static enum dm_status copy_stdin(int to, const char *path, struct dm_error *err)
{
    enum { chunk_bytes = 1 << 20 };
    char *chunk = dm_xalloc(chunk_bytes);
    enum dm_status status = DM_OK;
    while (status == DM_OK) {
        ssize_t n = read(STDIN_FILENO, chunk, chunk_bytes);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            status = dm_fail_errno(err, "cannot read standard input");
        for (ssize_t at = 0; n > 0 && at < n && status == DM_OK;) {
            ssize_t k = write(to, chunk + at, (size_t)(n - at));
            if (k < 0 && errno != EINTR)
                status = dm_fail_errno(err, "cannot write %s", path);
            at += k > 0 ? k : 0;
        }
    }
    free(chunk);
    return status;
}

/* A running mirror cannot read our standard input, so it goes through a file. */
static enum dm_status spool_stdin(const struct dm_config *config, json_t *order, json_t *files,
                                  struct dm_error *err)
{
    if (json_object_get(order, "spooled") != NULL)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "- can be given once only");
    char *lake = NULL;
    char *folder = NULL;
    char *path = NULL;
    enum dm_status status = dm_file_make_folders(config->lake, err);
    if (status == DM_OK && (lake = realpath(config->lake, NULL)) == NULL)
        status = dm_fail_errno(err, "cannot look at %s", config->lake);
    if (status == DM_OK) {
        folder = dm_xasprintf("%s/.orders", lake);
        path = dm_xasprintf("%s/stdin-%ld-XXXXXX", folder, (long)getpid());
        status = dm_file_make_folders(folder, err);
    }
    int fd = status == DM_OK ? mkostemp(path, O_CLOEXEC) : -1;
    if (status == DM_OK && fd < 0)
        status = dm_fail_errno(err, "cannot create %s", path);
    if (status == DM_OK) {
        json_object_set_new(order, "spooled", json_pack("[s]", path));
        json_array_append_new(files, json_pack("{s:s, s:s}", "path", path, "origin", "standard input"));
        status = copy_stdin(fd, path, err);
        close(fd);
        if (status != DM_OK)
            (void)unlink(path);
    }
    free(lake);
    free(folder);
    free(path);
    return status;
}

static enum dm_status find_files(const struct dm_invocation *in, const struct dm_config *config,
                                 json_t *order, json_t *files, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 1; i < in->n_arguments && status == DM_OK; i++)
        if (strcmp(in->arguments[i], "-") != 0 && !add_file(files, in->arguments[i]))
            status = add_pattern(files, in->arguments[i], err);
    for (size_t i = 1; i < in->n_arguments && status == DM_OK;
         i++) /* last: the others are known to be there */
        if (strcmp(in->arguments[i], "-") == 0)
            status = spool_stdin(config, order, files, err);
    return status;
}

/* ---- the order ---- */

static char *random_id(void)
{
    uint64_t r[2];
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r) {
        r[0] = (uint64_t)getpid();
        r[1] = (uint64_t)dm_clock_wall_us();
    }
    return dm_xasprintf("%016" PRIx64 "%016" PRIx64, r[0], r[1]);
}

static enum dm_status make_order(const struct dm_invocation *in, const struct dm_config *config,
                                 json_t *order, struct dm_error *err)
{
    char *id = random_id();
    json_t *files = json_array();
    json_object_set_new(order, "dataset", json_string(in->arguments[0]));
    json_object_set_new(order, "id", json_string(id));
    free(id);
    static const char *const texts[] = {"format", "null"};
    const char *delimiter = dm_invocation_value(in, "delimiter");
    if (delimiter != NULL)
        json_object_set_new(order, "delimiter",
                            json_string(strcmp(delimiter, "\\t") == 0 ? "\t" : delimiter));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (dm_invocation_has(in, texts[i]))
            json_object_set_new(order, texts[i], json_string(dm_invocation_value(in, texts[i])));
    json_object_set_new(order, "strict_columns", json_boolean(dm_invocation_has(in, "strict-columns")));
    json_object_set_new(order, "dry_run", json_boolean(dm_invocation_has(in, "dry-run")));
    json_object_set_new(order, "files", files);
    return find_files(in, config, order, files, err);
}

/* How many rows there are is not known before the end, but how much of the input they took so far is. */
static void show_progress(void *ctx, uint64_t rows, uint64_t done, uint64_t total)
{
    double all = done > 0 && total >= done ? (double)rows * ((double)total / (double)done) : 0;
    dm_progress_update(ctx, rows, (uint64_t)all);
}

/* ---- the answer ---- */

static uint64_t count_of(const json_t *file, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(file, name));
}

static void print_part(const json_t *file, const char *name, const char *words, bool always, bool *first)
{
    uint64_t n = count_of(file, name);
    char text[32];
    if (n == 0 && !always)
        return;
    (void)dm_print(stdout, "%s%s %s", *first ? "" : ", ", dm_progress_count(n, text, sizeof text), words);
    *first = false;
}

static void print_file(const json_t *file, bool dry_run)
{
    const char *name = json_string_value(json_object_get(file, "file"));
    const json_t *error = json_object_get(file, "error");
    if (!json_is_null(error)) {
        (void)fflush(stdout);
        char *text = dm_xasprintf("%s: nothing of it is in: %s", name,
                                  json_string_value(json_object_get(error, "message")));
        dm_print_lines(stderr, "error: ", text);
        free(text);
        const char *hint = json_string_value(json_object_get(error, "hint"));
        if (hint != NULL && hint[0] != '\0')
            (void)dm_print(stderr, "hint: %s\n", hint);
        return;
    }
    uint64_t received = count_of(file, "received");
    double seconds = json_real_value(json_object_get(file, "seconds"));
    char rows[32], speed[32];
    bool first = true;
    (void)dm_print(stdout, "%s: %s rows: ", name, dm_progress_count(received, rows, sizeof rows));
    print_part(file, "upserted", "upserted", true, &first);
    print_part(file, "deleted", "deleted", true, &first);
    print_part(file, "stale", "stale", true, &first);
    print_part(file, "ties", "of an equal version", false, &first);
    print_part(file, "noop_deletes", "deletes of rows that were not there", false, &first);
    print_part(file, "suppressed", "suppressed", false, &first);
    print_part(file, "quarantined", "quarantined", true, &first);
    if (count_of(file, "waiting") > 0)
        (void)dm_print(stdout, " (%" PRIu64 " until their parent comes)", count_of(file, "waiting"));
    (void)dm_print(
        stdout, "; %s rows/s\n",
        dm_progress_count((uint64_t)(seconds > 0 ? (double)received / seconds : 0), speed, sizeof speed));
    uint64_t old = count_of(file, "stale") + count_of(file, "ties");
    bool changed =
        count_of(file, "upserted") + count_of(file, "deleted") + count_of(file, "noop_deletes") > 0;
    if (old > 0 && !changed && old + count_of(file, "quarantined") == received)
        (void)dm_print(stdout, "  nothing new: %s stale or of an equal version\n",
                       old == 1 ? "the row is" : "all rows are");
    uint64_t upserted = count_of(file, "upserted"), inserted = count_of(file, "inserted");
    if (dry_run && inserted < upserted) /* is the key as unique as they think? */
        (void)dm_print(stdout, "  keys: %s new, %s there already (in the dataset, or earlier in this file)\n",
                       dm_progress_count(inserted, rows, sizeof rows),
                       dm_progress_count(upserted - inserted, speed, sizeof speed));
    const json_t *notes = json_object_get(file, "notes");
    for (size_t i = 0; i < json_array_size(notes); i++)
        (void)dm_print(stdout, "  note: %s\n", json_string_value(json_array_get(notes, i)));
}

static int code_of_class(int class)
{
    struct dm_error err = {.class = (enum dm_error_class) class};
    return dm_command_exit_code(&err);
}

/* A failed file counts for more than quarantined rows. */
static int code_of(const json_t *result)
{
    const json_t *files = json_object_get(result, "files");
    int code = DM_EXIT_OK;
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const json_t *error = json_object_get(file, "error");
        if (!json_is_null(error))
            return code_of_class((int)json_integer_value(json_object_get(error, "class")));
        if (count_of(file, "quarantined") > count_of(file, "waiting"))
            code = DM_EXIT_QUARANTINED;
    }
    return code;
}

static int print_result(const struct dm_invocation *in, const json_t *order, json_t *result)
{
    int code = code_of(result);
    const json_t *files = json_object_get(result, "files");
    size_t wanted = json_array_size(json_object_get(order, "files"));
    size_t tried = json_array_size(files);
    if (dm_invocation_has(in, "json")) {
        json_object_set_new(result, "dry_run", json_boolean(dm_invocation_has(in, "dry-run")));
        json_object_set_new(result, "not_tried", json_integer((json_int_t)(wanted - tried)));
        dm_json_print(json_incref(result), stdout);
        return code;
    }
    for (size_t i = 0; i < tried; i++)
        print_file(json_array_get(files, i), dm_invocation_has(in, "dry-run"));
    if (wanted > tried)
        (void)dm_print(stdout, "%zu file%s not tried\n", wanted - tried,
                       wanted - tried == 1 ? " was" : "s were");
    if (code == DM_EXIT_QUARANTINED)
        (void)dm_print(stdout, "Some rows cannot be used; see: datamirror quarantine show %s\n",
                       in->arguments[0]);
    if (dm_invocation_has(in, "dry-run"))
        (void)puts("A dry run: nothing was changed.");
    return code;
}

static int ingest(const struct dm_invocation *in, const struct dm_config *config)
{
    struct dm_error err = {0};
    json_t *order = json_object();
    json_t *result = NULL;
    struct dm_progress progress;
    bool show = !dm_invocation_has(in, "json");
    enum dm_status status = make_order(in, config, order, &err);
    if (status == DM_OK) {
        struct dm_order_hooks hooks = {.stop = dm_stop_signal_install()};
        if (show) {
            dm_progress_begin(&progress, "ingesting", "rows", 0, isatty(STDERR_FILENO) != 0);
            hooks.progress = show_progress;
            hooks.ctx = &progress;
        }
        status = dm_order_run(config, "ingest", order, &hooks, &result, &err);
        if (show)
            dm_progress_drop(&progress);
    }
    int code = status == DM_OK ? print_result(in, order, result) : dm_command_fail(&err);
    json_decref(result);
    json_decref(order);
    return dm_command_finish(code);
}

static int run(const struct dm_invocation *in)
{
    struct dm_config *config = NULL;
    int code = 0;
    const char *delimiter = dm_invocation_value(in, "delimiter");
    if (delimiter != NULL && strcmp(delimiter, "\\t") != 0 && strlen(delimiter) != 1)
        return dm_command_usage_error(in->command, "--delimiter is one character, or \\t");
    if (!dm_command_config(in, &config, &code))
        return code;
    code = ingest(in, config);
    dm_config_free(config);
    return code;
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"format", 'f', "FORMAT",
     "csv, json (also one object a line) or parquet; default: by name, else by content"},
    {"delimiter", 'd', "CHAR", "CSV: what separates the fields (\\t for a tab); default: found out"},
    {"null", 0, "TEXT", "CSV: a field of this text is null, besides the empty unquoted one"},
    {"strict-columns", 0, NULL, "a column that the dataset does not have is an error; default: left out"},
    {"dry-run", 'n', NULL, "say what would happen; change nothing"},
    {"json", 0, NULL, "the outcome as one JSON object"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "every row of every file is in, or was stale"},
    {DM_EXIT_USAGE, "the command, the configuration or the name of the dataset is wrong"},
    {DM_EXIT_TRY_AGAIN, "the lake cannot be written now (disk full), or it was interrupted"},
    {DM_EXIT_DATA, "a file failed and left nothing; the others are in"},
    {DM_EXIT_QUARANTINED, "all files are in, but some of their rows went to quarantine"},
    {0, NULL},
};

const struct dm_command dm_command_ingest = {
    .name = "ingest",
    .arguments = "DATASET FILE...",
    .min_arguments = 2,
    .max_arguments = 1000000,
    .summary = "Take in files of changes: CSV, JSON, Parquet",
    .about =
        "Rows are matched to the dataset's columns by name; each is an upsert or, where a column such as\n"
        "_change_request_type says so, a delete. The version decides what wins, so the order of files and "
        "rows does "
        "not\n"
        "matter, and a file that is given again changes nothing. Of each file all is in or nothing; small "
        "files share commits. A row "
        "that\n"
        "cannot be used goes to quarantine with file and line, and the others are in. Files may be "
        "compressed with "
        "gzip or\n"
        "zstd; - is standard input. Works beside a running mirror and without one.",
    .options = options,
    .examples = "  datamirror ingest sales.orders orders.csv\n"
                "  datamirror ingest sales.orders 'incoming/*.ndjson.gz'\n"
                "  zcat dump.gz | datamirror ingest sales.orders --format csv -\n"
                "  datamirror ingest sales.orders orders.parquet --dry-run\n",
    .exits = exits,
    .run = run,
};
