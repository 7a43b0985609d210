/* `datamirror sql`: the results of queries into declared datasets. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/lake_session.h"
#include "cli/sql_check.h"
#include "cli/sql_report.h"
#include "cli/stop_signal.h"
#include "mirror/order/order.h"
#include "mirror/intake/sql_script.h"

#define SQL_MAX (16 * 1024 * 1024)

/* What every statement is run with. */
struct work {
    const struct dm_invocation *in;
    const struct dm_config *config;
    struct dm_session_limits limits;
    struct dm_order_hooks hooks;
    struct dm_progress *progress; /* NULL: no terminal */
    const char *name;             /* of the file; "SQL" for a text */
    size_t samples;
    bool dry_run;
    char *folder; /* <lake>/.orders, absolute */
    struct dm_sql_script script;
    struct dm_lake_session session; /* open from one statement's checks to its query's end */
};

/* ---- reading ---- */

static enum dm_status read_all(FILE *in, const char *name, struct dm_buffer *sql, struct dm_error *err)
{
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0)
        if (dm_buffer_append(sql, chunk, n, err) != DM_OK)
            return dm_fail(err, DM_ERROR_CONFIG, "split it", "%s is longer than %d bytes", name, SQL_MAX);
    return ferror(in) ? dm_fail_errno(err, "cannot read %s", name) : DM_OK;
}

/* The argument is a file when there is one of that name, else SQL. */
static enum dm_status read_sql(struct work *w, struct dm_buffer *sql, struct dm_error *err)
{
    const char *word = w->in->n_arguments > 0 ? w->in->arguments[0] : "-";
    if (strcmp(word, "-") == 0) {
        w->name = "standard input";
        if (isatty(STDIN_FILENO))
            (void)fputs("SQL, ended by Ctrl-D:\n", stderr);
        return read_all(stdin, w->name, sql, err);
    }
    size_t n = strlen(word);
    bool looks_like_file =
        strpbrk(word, " \t\r\n(") == NULL || (n > 4 && strcasecmp(word + n - 4, ".sql") == 0);
    FILE *in = fopen(word, "re");
    if (in == NULL && looks_like_file)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "cannot read %s: %s", word, strerror(errno));
    if (in == NULL) {
        w->name = "SQL";
        return dm_buffer_append(sql, word, n, err);
    }
    w->name = word;
    enum dm_status status = read_all(in, word, sql, err);
    (void)fclose(in);
    return status;
}

/* ---- one statement ---- */

static enum dm_status open_session(struct work *w, struct dm_error *err)
{
    if (w->session.sql != NULL) /* left open by the checks: nothing was committed since */
        return dm_sql_limit(
            w->session.sql,
            &(struct dm_sql_limits){.timeout_ms = w->limits.timeout_ms, .stop = w->limits.stop}, err);
    return dm_lake_session_open(w->config, &w->limits, true, &w->session, err);
}

/* A new file in the orders' folder, listed as spooled. */
static enum dm_status new_file(struct work *w, json_t *spooled, char **out, struct dm_error *err)
{
    char *path = dm_xasprintf("%s/sql-%ld-XXXXXX", w->folder, (long)getpid());
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        enum dm_status status = dm_fail_errno(err, "cannot create %s", path);
        free(path);
        return status;
    }
    close(fd);
    json_array_append_new(spooled, json_string(path));
    *out = path;
    return DM_OK;
}

static enum dm_status save_samples(struct work *w, const char *path, uint64_t rows, json_t *order,
                                   json_t *texts, struct dm_error *err)
{
    json_t *spooled = json_object_get(order, "spooled");
    json_t *samples = json_array();
    json_object_set_new(order, "samples", samples);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < w->samples && i < rows && status == DM_OK; i++) {
        char *row = NULL, *text = NULL;
        size_t n = 0;
        uint64_t saved = 0;
        char *query = dm_xasprintf("SELECT * FROM read_parquet('%s') LIMIT 1 OFFSET %zu", path,
                                   i); /* our own path: no quote in it */
        FILE *out = open_memstream(&text, &n);
        if (out == NULL)
            abort();
        status = new_file(w, spooled, &row, err);
        if (status == DM_OK)
            status = dm_sql_save(w->session.sql, query, row, &saved, err);
        if (status == DM_OK)
            status = dm_sql_print(w->session.sql, query, DM_SQL_JSON, out, NULL, err);
        (void)fclose(out);
        if (status == DM_OK) {
            json_array_append_new(samples, json_string(row));
            json_array_append_new(texts,
                                  json_stringn(text, n > 0 ? n - 1 : 0)); /* a text: numbers stay exact */
        }
        free(text);
        free(query);
        free(row);
    }
    return status;
}

/* Runs the query into a file; `order` is then ready. */
static enum dm_status run_query(struct work *w, size_t i, json_t *order, json_t *texts, char **note,
                                struct dm_error *err)
{
    const struct dm_sql_statement *s = &w->script.statements[i];
    char *origin = w->script.n > 1 ? dm_xasprintf("%s, statement %zu", w->name, i + 1) : dm_xstrdup(w->name);
    char *path = NULL;
    char *query = NULL;
    uint64_t rows = 0;
    json_object_set_new(order, "dataset", json_string(s->dataset));
    json_object_set_new(order, "origin", json_string(origin));
    json_object_set_new(order, "dry_run", json_boolean(w->dry_run));
    json_object_set_new(order, "spooled", json_array());
    enum dm_status status = open_session(w, err);
    if (status == DM_OK)
        status = dm_sql_check(&w->session, s, &query, note, err);
    if (status == DM_OK)
        status = new_file(w, json_object_get(order, "spooled"), &path, err);
    if (status == DM_OK)
        status = dm_sql_save(w->session.sql, query, path, &rows, err);
    if (status == DM_OK) {
        char *id =
            dm_xasprintf("%s@%lld", path, (long long)dm_clock_wall_us()); /* the name was new at that time */
        json_object_set_new(order, "path", json_string(path));
        json_object_set_new(order, "id", json_string(id));
        free(id);
    }
    if (status == DM_OK && w->dry_run)
        status = save_samples(w, path, rows, order, texts, err);
    dm_lake_session_close(&w->session);
    free(query);
    free(path);
    free(origin);
    return status;
}

static void add_texts(json_t *result, const json_t *texts)
{
    json_t *samples = json_object_get(result, "samples");
    for (size_t i = 0; i < json_array_size(samples); i++)
        json_object_set(json_array_get(samples, i), "row", json_array_get(texts, i));
}

static enum dm_status run_statement(struct work *w, size_t i, json_t **result, struct dm_error *err)
{
    const struct dm_sql_statement *s = &w->script.statements[i];
    json_t *order = json_object();
    json_t *texts = json_array();
    char *note = NULL;
    enum dm_status status = run_query(w, i, order, texts, &note, err);
    if (status == DM_OK)
        status = dm_order_run(w->config, "sql", order, &w->hooks, result, err);
    else
        dm_order_remove_spooled(w->config, order);
    if (status == DM_OK) {
        json_object_set_new(*result, "statement", json_integer((json_int_t)i + 1));
        json_object_set_new(*result, "line", json_integer((json_int_t)s->line));
        json_object_set_new(*result, "dataset", json_string(s->dataset));
        add_texts(*result, texts);
        if (note != NULL)
            json_array_append_new(json_object_get(*result, "notes"), json_string(note));
    } else {
        dm_sql_place_error(s, i, err);
    }
    free(note);
    json_decref(texts);
    json_decref(order);
    return status;
}

/* ---- all ---- */

/* Every statement is looked at before the first one writes: names, columns, types. */
static enum dm_status check_all(struct work *w, struct dm_error *err)
{
    enum dm_status status = open_session(w, err);
    for (size_t i = 0; i < w->script.n && status == DM_OK; i++) {
        char *query = NULL;
        status = dm_sql_check(&w->session, &w->script.statements[i], &query, NULL, err);
        free(query);
        if (status != DM_OK)
            dm_sql_place_error(&w->script.statements[i], i, err);
    }
    return status;
}

static enum dm_status make_folder(struct work *w, struct dm_error *err)
{
    char *lake = realpath(w->config->lake, NULL);
    if (lake == NULL)
        return dm_fail_errno(err, "cannot look at %s", w->config->lake);
    w->folder = dm_xasprintf("%s/.orders", lake);
    free(lake);
    return dm_file_make_folders(w->folder, err);
}

/* Statements up to the first that fails; those behind it may build on what it did not do. */
static int run_all(struct work *w, struct dm_error *err)
{
    json_t *results = json_array();
    bool json = dm_invocation_has(w->in, "json");
    enum dm_status status = check_all(w, err);
    if (status == DM_OK)
        status = make_folder(w, err);
    size_t done = 0;
    bool failed = false;
    for (; done < w->script.n && status == DM_OK && !failed; done++) {
        json_t *result = NULL;
        status = run_statement(w, done, &result, err);
        if (status != DM_OK)
            break;
        failed = !json_is_null(json_object_get(result, "error"));
        json_array_append_new(results, result);
        if (!json)
            dm_sql_report_print(w->name, w->script.n, result);
    }
    int code = dm_sql_report_finish(
        w->in, &(struct dm_sql_report){.results = results,
                                       .not_tried = w->script.n - json_array_size(results),
                                       .n = w->script.n,
                                       .dry_run = w->dry_run,
                                       .failure = status != DM_OK ? err : NULL});
    json_decref(results);
    return code;
}

static void show_progress(void *ctx, uint64_t rows, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    dm_progress_update(ctx, rows, 0);
}

static int run_script(struct work *w)
{
    struct dm_error err = {0};
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    enum dm_status status = read_sql(w, &sql, &err);
    if (status == DM_OK)
        status = dm_sql_script_parse((const char *)sql.data, sql.len, dm_invocation_value(w->in, "into"),
                                     &w->script, &err);
    dm_buffer_release(&sql);
    if (status != DM_OK)
        return dm_command_fail(&err);
    struct dm_progress progress;
    bool show = !dm_invocation_has(w->in, "json");
    w->hooks.stop = w->limits.stop = dm_stop_signal_install();
    if (show) {
        dm_progress_begin(&progress, "writing", "rows", 0, isatty(STDERR_FILENO) != 0);
        w->hooks.progress = show_progress;
        w->hooks.ctx = &progress;
    }
    int code = run_all(w, &err);
    if (show)
        dm_progress_drop(&progress);
    dm_lake_session_close(&w->session);
    dm_sql_script_release(&w->script);
    free(w->folder);
    return dm_command_finish(code);
}

static int run(const struct dm_invocation *in)
{
    struct dm_config *config = NULL;
    int code = 0;
    if (!dm_command_config(in, &config, &code))
        return code;
    struct work w = {.in = in, .config = config, .dry_run = dm_invocation_has(in, "dry-run")};
    if (dm_session_limits_read(in, config, &w.limits, &code) &&
        dm_command_count(in, "samples", 5, &w.samples, &code)) {
        w.samples = w.samples > 100 ? 100 : w.samples;
        code = run_script(&w);
    }
    dm_config_free(config);
    return code;
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"into", 0, "DATASET", "the dataset to write into; the SQL is then a query alone"},
    {"dry-run", 'n', NULL, "run the queries and say what would happen; change nothing"},
    {"samples", 0, "N", "dry run: show what would happen to the first N rows (default 5, at most 100)"},
    DM_OPTIONS_LIMITS,
    {"json", 0, NULL, "the outcome as one JSON object"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "every row of every statement is in, or was stale"},
    {DM_EXIT_USAGE, "the SQL, the configuration or the name of a dataset is wrong"},
    {DM_EXIT_TRY_AGAIN,
     "a limit was passed, the lake cannot be written now (disk full), or it was interrupted"},
    {DM_EXIT_DATA, "a statement failed and left nothing; those before it are in"},
    {DM_EXIT_QUARANTINED, "all is in, but some rows went to quarantine"},
    {0, NULL},
};

const struct dm_command dm_command_sql = {
    .name = "sql",
    .arguments = "[FILE|SQL]",
    .max_arguments = 1,
    .summary = "Write the results of SQL queries into datasets",
    .about = "Each statement is INSERT INTO dataset [(columns)] followed by any query of DuckDB over the "
             "datasets of the lake\n"
             "and over files (read_csv, read_parquet, read_json, 'file.csv'; relative to this folder). WITH "
             "may stand in front.\n"
             "Its rows go the way of ingest: by key and version, bad ones to quarantine. So a key that is "
             "there is replaced when\n"
             "the version is higher, and a row with 'd' AS _change_request_type deletes: there is no need "
             "for MERGE.\n"
             "Columns are matched by name, or by position to the list behind the dataset's name.\n"
             "A statement reads one commit of the lake and writes one; statements follow each other, "
             "separated by ; and all are\n"
             "checked before the first one runs. Works beside a running mirror and without one.",
    .options = options,
    .examples =
        "  datamirror sql totals.sql\n"
        "  datamirror sql \"INSERT INTO sales.orders SELECT * FROM read_csv('orders.csv')\" --dry-run\n"
        "  datamirror sql --into sales.daily \"SELECT day, sum(total) AS total, max(version) AS version\n"
        "                                      FROM sales.orders GROUP BY day\"\n",
    .exits = exits,
    .run = run,
};
