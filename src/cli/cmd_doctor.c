/* `datamirror doctor`: checks everything that a mirror needs and says how to mend what is missing. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "apply/keyindex.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "engine/engine.h"
#include "http/http_server.h"
#include "lake/lake.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/deep_check.h"
#include "mirror/hygiene/lake_secret.h"
#include "mirror/intake/folder_scan.h"
#include "mirror/lake_lock.h"
#include "mirror/mirror.h"
#include "mirror/plan.h"

#define FINDINGS_MAX 50 /* damaged files that are listed one by one */

/* What has been found so far; checks are shown as they are made, since some take a while. */
struct doctor {
    bool json;
    size_t n[DM_CHECK_FAIL + 1];   /* by result */
    enum dm_error_class ends_with; /* of the first thing that `run` would end at; NONE: it runs */
};

static void print_line(const struct doctor *d, const char *area, enum dm_check_result result,
                       const char *what, const char *hint, int run_code)
{
    static const char *const names[] = {"ok", "warn", "refused", "fail"};
    static const char *const marks[] = {"ok", "warn", "left", "FAIL"};
    if (d->json) {
        json_t *o = json_object();
        dm_json_text(o, "area", area);
        dm_json_text(o, "result", names[result]);
        dm_json_text(o, "what", what);
        dm_json_text(o, "hint", hint);
        if (run_code >= 0)
            (void)json_object_set_new(o, "run", json_integer(run_code));
        dm_json_print(o, stdout);
    } else {
        (void)dm_print(stdout, "%-4s  %s: %s%s\n", marks[result], area,
                       result == DM_CHECK_REFUSED ? "left out: " : "", what);
        if (hint != NULL && hint[0] != '\0')
            (void)dm_print(stdout, "      how to mend it: %s\n", hint);
    }
    (void)fflush(stdout);
}

static void show_check(struct doctor *d, const char *area, const struct dm_check *check)
{
    d->n[check->result]++;
    if (check->result == DM_CHECK_FAIL && d->ends_with == DM_ERROR_NONE)
        d->ends_with = check->class;
    print_line(d, area, check->result, check->what, check->hint, -1);
}

static void show(struct doctor *d, const char *area, enum dm_check_result result, const char *what,
                 const char *hint)
{
    d->n[result]++;
    print_line(d, area, result, what, hint, -1);
}

static void showf(struct doctor *d, const char *area, enum dm_check_result result, const char *hint,
                  const char *fmt, ...) DM_PRINTF(5, 6);
static void showf(struct doctor *d, const char *area, enum dm_check_result result, const char *hint,
                  const char *fmt, ...)
{
    char what[1200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    show(d, area, result, what, hint);
}

/* What a mirror would end with. */
static void show_error(struct doctor *d, const char *area, const struct dm_error *err)
{
    struct dm_check_list one = {0};
    dm_check_add_error(&one, err);
    show_check(d, area, &one.checks[0]);
    dm_check_list_release(&one);
}

static void show_checks(struct doctor *d, const char *area, const struct dm_check_list *checks)
{
    for (size_t i = 0; i < checks->n; i++)
        show_check(d, area, &checks->checks[i]);
}

struct findings {
    struct doctor *doctor;
    const struct dm_config *config;
    size_t n;
};

/* A dataset of a source can be copied anew: its namespace is the source's name, or begins with it. */
static bool is_mirrored(const struct dm_config *config, const char *namespace)
{
    for (size_t i = 0; i < config->n_sources; i++) {
        size_t n = strlen(config->sources[i].name);
        if (dm_source_type_find(config->sources[i].type) != NULL &&
            strncmp(namespace, config->sources[i].name, n) == 0 &&
            (namespace[n] == '\0' || namespace[n] == '_'))
            return true;
    }
    return false;
}

static void on_finding(void *ctx, const char *namespace, const char *name, const char *path, const char *what)
{
    struct findings *f = ctx;
    if (f->n++ >= FINDINGS_MAX)
        return;
    char *hint =
        is_mirrored(f->config, namespace) && strstr(name, "__history") == NULL
            ? dm_xasprintf("restore the file from a backup and copy the dataset anew, or only copy it "
                           "anew: datamirror resync %s.%s",
                           namespace, name)
            : dm_xstrdup("restore the file from a backup");
    showf(f->doctor, "lake", DM_CHECK_FAIL, hint, "%s.%s: %s: %s", namespace, name, path, what);
    free(hint);
}

static void check_catalog(struct doctor *d, struct dm_lake *lake)
{
    struct dm_error err = {0};
    char *problem = NULL;
    if (dm_lake_check_catalog(lake, &problem, &err) != DM_OK)
        show_error(d, "lake", &err);
    else if (problem != NULL)
        showf(d, "lake", DM_CHECK_FAIL,
              "stop the mirror and restore catalog.db from a backup of the whole lake, or begin with a new "
              "lake folder: "
              "`datamirror run` copies everything again",
              "catalog.db is damaged: %s", problem);
    free(problem);
}

static void check_secret(struct doctor *d, const struct dm_config *config, struct dm_lake *lake)
{
    struct dm_error err = {0};
    if (dm_lake_secret_check(dm_lake_sqlite(lake), config->lake, &err) != DM_OK)
        show_error(d, "lake", &err);
}

/* Reads every data file; false: it could not. */
static bool check_deep(struct dm_lake *lake, struct findings *findings, struct dm_error *err)
{
    struct dm_engine_options options = {.memory_limit = findings->config->memory_limit / 2, .threads = 1};
    struct dm_engine *engine = NULL;
    bool done = dm_engine_open(&options, &engine, err) == DM_OK &&
                dm_deep_check(lake, engine, on_finding, findings, err) == DM_OK;
    dm_engine_close(engine);
    return done;
}

/* The one thing that doctor mends by itself. */
static void check_hints(struct doctor *d, struct dm_lake *lake)
{
    struct dm_error err = {0};
    size_t mended = 0;
    if (dm_lake_mend_hints(lake, &mended, &err) != DM_OK)
        show(d, "lake", DM_CHECK_WARN, err.message, err.hint);
    else if (mended > 0)
        showf(d, "lake", DM_CHECK_OK, NULL,
              "%zu hint%s for readers without the catalog (version-hint.text) %s behind it: mended", mended,
              mended == 1 ? "" : "s", mended == 1 ? "was" : "were");
}

/* What follows from the datasets. A running mirror looked after it when it started, and is at it now. */
static void check_derived(struct doctor *d, const struct dm_config *config, struct dm_lake *lake)
{
    struct dm_lake_lock lock = {.fd = -1};
    struct dm_error err = {0};
    if (dm_lake_lock_try(config->lake, false, &lock, NULL, &err) != DM_OK)
        return;
    check_hints(d, lake);
    char *index = dm_xasprintf("%s/.index", config->lake);
    if (dm_keyindex_damaged(index))
        showf(d, "lake", DM_CHECK_WARN,
              "nothing to do: the next start notices it, too, and rebuilds it from the lake",
              "the key index %s is damaged", index);
    free(index);
    dm_lake_lock_release(&lock);
}

static void check_files(struct doctor *d, const struct dm_config *config, bool deep)
{
    struct dm_lake_options options = {
        .folder = config->lake,
        .catalog_name = config->catalog_name,
        .format_version = config->format_version,
        .metadata_versions = config->metadata_versions,
        .snapshot_retention_ms = config->snapshot_retention_ms,
        .read_only = true,
    };
    char *catalog = dm_xasprintf("%s/catalog.db", config->lake);
    bool there = dm_file_exists(catalog);
    free(catalog);
    if (!there) {
        show(d, "lake", DM_CHECK_OK, "empty: the first `datamirror run` makes the catalog", NULL);
        return;
    }
    struct dm_lake *lake = NULL;
    struct dm_error err = {0};
    struct dm_dataset_name *names = NULL;
    size_t n = 0;
    struct findings findings = {.doctor = d, .config = config};
    if (dm_lake_open(&options, &lake, &err) != DM_OK || dm_lake_list(lake, &names, &n, &err) != DM_OK ||
        dm_lake_check(lake, on_finding, &findings, &err) != DM_OK ||
        (deep && !check_deep(lake, &findings, &err))) {
        show_error(d, "lake", &err);
    } else if (findings.n == 0) {
        showf(d, "lake", DM_CHECK_OK, NULL, "all files of %zu dataset%s are there and %s", n,
              n == 1 ? "" : "s", deep ? "could be read to their ends" : "have their sizes");
    } else if (findings.n > FINDINGS_MAX) {
        showf(d, "lake", DM_CHECK_FAIL, NULL, "%zu findings more", findings.n - FINDINGS_MAX);
    }
    dm_dataset_names_free(names, n);
    if (lake != NULL) {
        check_catalog(d, lake);
        check_secret(d, config, lake);
        check_derived(d, config, lake);
    }
    dm_lake_close(lake);
}

static void check_engine(struct doctor *d)
{
    struct dm_engine_options options = {.memory_limit = UINT64_C(64) << 20, .threads = 1};
    struct dm_engine *engine = NULL;
    struct dm_error err = {0};
    if (dm_engine_open(&options, &engine, &err) != DM_OK)
        show_error(d, "engine", &err);
    else
        showf(d, "engine", DM_CHECK_OK, NULL, "DuckDB %s works", dm_engine_version());
    dm_engine_close(engine);
}

static void check_folder(struct doctor *d, const struct dm_config *config)
{
    struct dm_check_list checks = {0};
    struct dm_error ignored;
    (void)!dm_plan_lake(config->lake, &checks, &ignored);
    show_checks(d, "lake", &checks);
    dm_check_list_release(&checks);
}

static void check_watched_folder(struct doctor *d, const struct dm_source_config *config)
{
    struct dm_error err = {0};
    struct dm_folder_scan scan = {0};
    if (dm_folder_scan(&scan, config->path, config->pattern, config->follow_links, config->poll_interval_ms,
                       &err) == DM_OK)
        showf(d, config->name, DM_CHECK_OK, NULL, "the folder %s can be read", config->path);
    else
        show_error(d, config->name, &err);
    dm_folder_scan_release(&scan);
}

static enum dm_status plan(const struct dm_source_config *config, const char *lake, struct dm_plan *p,
                           struct dm_error *err)
{
    const struct dm_source_type *type = dm_source_type_find(config->type);
    struct dm_source *source = NULL;
    struct sqlite3 *db = NULL;
    if (type == NULL)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "type %s is not built in", config->type);
    char *catalog = dm_xasprintf("%s/catalog.db", lake);
    enum dm_status status = dm_file_exists(catalog) ? dm_catalog_side_open(lake, &db, err) : DM_OK;
    free(catalog);
    if (status == DM_OK)
        status = dm_plan_start(db, config, p, err);
    (void)sqlite3_close(db);
    if (status == DM_OK)
        status = type->open(config, &source, err);
    if (status != DM_OK)
        return status;
    struct dm_error shown; /* it is among the checks */
    (void)!dm_plan_source(p, type, source, &shown);
    type->close(source);
    return DM_OK;
}

static void check_source(struct doctor *d, const struct dm_config *config,
                         const struct dm_source_config *source, bool running)
{
    struct dm_error err = {0};
    if (strcmp(source->type, "files") == 0) {
        check_watched_folder(d, source);
        return;
    }
    struct dm_plan p = {.running = running, .rehearse = !running};
    enum dm_status status = plan(source, config->lake, &p, &err);
    show_checks(d, source->name, &p.checks);
    if (status != DM_OK)
        show_error(d, source->name, &err);
    dm_plan_release(&p);
}

/* A running mirror's own port is its own. */
static void check_http(struct doctor *d, const struct dm_config *config, bool running)
{
    struct dm_error err = {0};
    if (config->http == NULL)
        return;
    if (dm_http_server_check(config, !running, &err) != DM_OK)
        show_error(d, "http", &err);
    else
        showf(d, "http", DM_CHECK_OK, NULL, running ? "the address %s is good" : "the address %s is free",
              config->http);
}

static void check_instance(struct doctor *d, const struct dm_config *config)
{
    struct dm_status_report report = {0};
    struct dm_error err = {0};
    if (dm_mirror_status(config, &report, &err) != DM_OK)
        return; /* the lake's own checks have said why */
    for (size_t i = 0; i < report.n_datasets; i++)
        if (strcmp(report.datasets[i].state, "stopped") == 0)
            showf(d, "mirror", DM_CHECK_REFUSED, report.datasets[i].reason, "dataset %s is stopped",
                  report.datasets[i].dataset);
    for (size_t i = 0; i < report.n_sources; i++)
        if (report.sources[i].error != NULL)
            showf(d, "mirror", DM_CHECK_WARN, NULL, "source %s: %s", report.sources[i].name,
                  report.sources[i].error);
    if (report.running)
        showf(d, "mirror", DM_CHECK_OK, NULL, "runs as process %d; another one would be refused", report.pid);
    else
        show(d, "mirror", DM_CHECK_OK, "does not run now", NULL);
    dm_status_report_release(&report);
}

/* Who else may read what should be private. */
static void check_modes(struct doctor *d, const struct dm_config *config)
{
    struct stat st;
    if (config->holds_secret && config->file != NULL && stat(config->file, &st) == 0 &&
        (st.st_mode & 077) != 0)
        showf(d, "configuration", DM_CHECK_WARN,
              "chmod 600 it, or take the secret from the environment: ${NAME}",
              "%s has a secret in it, and others may read it (mode %04o)", config->file, st.st_mode & 0777);
    static const char *const names[] = {"catalog.db", ".secret", ".index"};
    unsigned wanted = (unsigned)strtoul(config->file_mode, NULL, 8);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = dm_xasprintf("%s/%s", config->lake, names[i]);
        unsigned allowed = i == 0 ? wanted : 0700;
        if (stat(path, &st) == 0 && (st.st_mode & 0777 & ~allowed & 077) != 0)
            showf(d, "lake", DM_CHECK_WARN,
                  i == 0 ? "chmod -R go= the lake folder, or say whom it is for: file_mode"
                         : "chmod -R go= it: it is the mirror's own",
                  "%s can be read by others than the mirror's user (mode %04o)", path, st.st_mode & 0777);
        free(path);
    }
}

static void check_all(struct doctor *d, const struct dm_config *config, bool running, bool deep)
{
    check_engine(d);
    check_folder(d, config);
    check_files(d, config, deep);
    if (dm_file_exists(config->lake))
        check_instance(d, config);
    check_http(d, config, running);
    check_modes(d, config);
    for (size_t i = 0; i < config->n_sources; i++)
        check_source(d, config, &config->sources[i], running);
}

/* What `run` would end with when it is caught up. */
static int verdict(struct doctor *d, bool running)
{
    struct dm_error would = {.class = running ? DM_ERROR_CONFLICT : d->ends_with};
    int code = would.class != DM_ERROR_NONE ? dm_command_exit_code(&would) : DM_EXIT_OK;
    enum dm_check_result result = d->n[DM_CHECK_FAIL] > 0                            ? DM_CHECK_FAIL
                                  : d->n[DM_CHECK_WARN] + d->n[DM_CHECK_REFUSED] > 0 ? DM_CHECK_WARN
                                                                                     : DM_CHECK_OK;
    const char *what = d->n[DM_CHECK_FAIL] > 0      ? "Something must be mended before the mirror can work."
                       : d->n[DM_CHECK_REFUSED] > 0 ? "The mirror can work; look at what is left out."
                       : d->n[DM_CHECK_WARN] > 0    ? "The mirror can work; look at the warnings."
                                                    : "All is well.";
    if (d->json)
        print_line(d, "verdict", result, what, NULL, code);
    else if (code != DM_EXIT_OK && !running)
        (void)dm_print(stdout, "\n%s `datamirror run` would end with code %d.\n", what, code);
    else
        (void)dm_print(stdout, "\n%s\n", what);
    return dm_command_finish(d->n[DM_CHECK_FAIL] > 0 ? DM_EXIT_NEGATIVE : DM_EXIT_OK);
}

static int run(const struct dm_invocation *in)
{
    struct doctor d = {.json = dm_invocation_has(in, "json")};
    struct dm_config *config = NULL;
    struct dm_error err = {0};
    bool running = false;
    const char *path = dm_invocation_value(in, "config");
    if (dm_config_load(path != NULL ? path : "mirror.yaml", &config, &err) != DM_OK) {
        show_error(&d, "configuration", &err);
    } else {
        struct dm_lake_holder holder;
        showf(&d, "configuration", DM_CHECK_OK, NULL, "%s is good", config->file);
        dm_file_set_mode((unsigned)strtoul(config->file_mode, NULL, 8));
        running = dm_lake_lock_held(config->lake, &holder) && holder.mirror;
        check_all(&d, config, running, dm_invocation_has(in, "deep"));
    }
    dm_config_free(config);
    return verdict(&d, running);
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"deep", 0, NULL, "also read every data file to its end"},
    {"json", 0, NULL, "one JSON object a check: area, result, what, hint; the last one is the verdict"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "the mirror can work; there may be warnings, and tables that are left out"},
    {DM_EXIT_NEGATIVE, "something must be mended first"},
    {0, NULL},
};

const struct dm_command dm_command_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "Check everything that a mirror needs, and say how to mend it",
    .about = "Checks the configuration, the lake (writable, room on the disk, its catalog, every file there, "
             "of its size and "
             "with its\n"
             "ends; --deep: every value can be read), the DuckDB library, the address of `http:`, and each "
             "source: connection,\n"
             "settings, privileges, slot, publication, tables. `datamirror run` starts with the same checks, "
             "so what stands here "
             "is how it\n"
             "would end: with --json, the last line (area \"verdict\") has its exit code as \"run\". A table "
             "that is left out\n"
             "(\"refused\") does not keep the others from being mirrored. It changes nothing but hints for "
             "readers without the\n"
             "catalog that a killed mirror left behind; what a mirror would change in a source is tried and "
             "rolled back.",
    .options = options,
    .examples = "  datamirror doctor\n"
                "  datamirror doctor --deep\n"
                "  datamirror doctor --json | jq 'select(.result != \"ok\")'\n",
    .exits = exits,
    .run = run,
};
