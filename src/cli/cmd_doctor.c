/* `datamirror doctor`: checks everything that a mirror needs and says how to mend what is missing. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "apply/keyindex.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "engine/engine.h"
#include "lake/lake.h"
#include "mirror/deep_check.h"
#include "mirror/lake_lock.h"
#include "mirror/mirror.h"
#include "source/source.h"

#define ROOM_FAIL (UINT64_C(256) << 20) /* bytes free below which a mirror soon stands still */
#define ROOM_WARN (UINT64_C(2) << 30)
#define FINDINGS_MAX 50 /* damaged files that are listed one by one */

/* What has been found so far; checks are shown as they are made, since some take a while. */
struct doctor {
    bool json;
    size_t fails;
    size_t warnings;
};

static const char *result_name(enum dm_check_result result)
{
    static const char *const names[] = {"ok", "warn", "FAIL"};
    return names[result];
}

static void show(struct doctor *d, const char *area, enum dm_check_result result, const char *what,
                 const char *hint)
{
    d->fails += result == DM_CHECK_FAIL;
    d->warnings += result == DM_CHECK_WARN;
    if (d->json) {
        json_t *o = json_object();
        dm_json_text(o, "area", area);
        dm_json_text(o, "result", result == DM_CHECK_FAIL ? "fail" : result_name(result));
        dm_json_text(o, "what", what);
        dm_json_text(o, "hint", hint);
        dm_json_print(o, stdout);
    } else {
        (void)printf("%-4s  %s: %s\n", result_name(result), area, what);
        if (hint != NULL && hint[0] != '\0')
            (void)printf("      how to mend it: %s\n", hint);
    }
    (void)fflush(stdout);
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

static void show_error(struct doctor *d, const char *area, const struct dm_error *err)
{
    show(d, area, DM_CHECK_FAIL, err->message, err->hint);
}

/* The nearest folder that exists: the lake, or where it would be made. */
static char *existing_folder(const char *path)
{
    char *folder = dm_xstrdup(path);
    while (!dm_file_exists(folder)) {
        char *slash = strrchr(folder, '/');
        if (slash == NULL || slash == folder) {
            bool absolute = folder[0] == '/';
            free(folder);
            return dm_xstrdup(absolute ? "/" : ".");
        }
        *slash = '\0';
    }
    return folder;
}

static void check_folder(struct doctor *d, const char *lake)
{
    char *folder = existing_folder(lake);
    bool there = strcmp(folder, lake) == 0;
    if (access(folder, W_OK | X_OK) != 0)
        showf(d, "lake", DM_CHECK_FAIL,
              "change the owner or the permissions, or choose another folder with lake:",
              "the folder %s cannot be written: %s", folder, strerror(errno));
    else
        showf(d, "lake", DM_CHECK_OK, NULL,
              there ? "the folder %s can be written" : "the folder %s will be made", lake);
    struct statvfs room;
    if (statvfs(folder, &room) == 0) {
        uint64_t bytes = (uint64_t)room.f_bavail * room.f_frsize;
        enum dm_check_result result = bytes < ROOM_FAIL   ? DM_CHECK_FAIL
                                      : bytes < ROOM_WARN ? DM_CHECK_WARN
                                                          : DM_CHECK_OK;
        showf(d, "lake", result,
              result == DM_CHECK_OK ? NULL : "free some room, or move the lake to a larger disk",
              "%.1f GiB free on its disk", (double)bytes / (double)(UINT64_C(1) << 30));
    }
    free(folder);
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

static void check_watched_folder(struct doctor *d, const struct dm_source_config *config)
{
    if (access(config->path, R_OK | X_OK) == 0)
        showf(d, config->name, DM_CHECK_OK, NULL, "the folder %s can be read", config->path);
    else
        showf(d, config->name, DM_CHECK_FAIL,
              "make it, change its permissions, or correct path:", "the folder %s cannot be read: %s",
              config->path, strerror(errno));
}

static void check_source(struct doctor *d, const struct dm_source_config *config)
{
    struct dm_error err = {0};
    if (strcmp(config->type, "files") == 0) {
        check_watched_folder(d, config);
        return;
    }
    const struct dm_source_type *type = dm_source_type_find(config->type);
    struct dm_source *source = NULL;
    if (type == NULL) {
        showf(d, config->name, DM_CHECK_FAIL, NULL, "type %s is not built in", config->type);
        return;
    }
    if (type->open(config, &source, &err) != DM_OK) {
        show_error(d, config->name, &err);
        return;
    }
    struct dm_check_list checks = {0};
    enum dm_status status = type->check(source, &checks, &err);
    for (size_t i = 0; i < checks.n; i++)
        show(d, config->name, checks.checks[i].result, checks.checks[i].what, checks.checks[i].hint);
    dm_check_list_release(&checks);
    if (status != DM_OK)
        show_error(d, config->name, &err);
    type->close(source);
}

static void check_instance(struct doctor *d, const struct dm_config *config)
{
    struct dm_status_report report = {0};
    struct dm_error err = {0};
    if (dm_mirror_status(config, &report, &err) != DM_OK)
        return; /* the lake's own checks have said why */
    for (size_t i = 0; i < report.n_datasets; i++)
        if (strcmp(report.datasets[i].state, "stopped") == 0)
            showf(d, "mirror", DM_CHECK_FAIL, report.datasets[i].reason, "dataset %s is stopped",
                  report.datasets[i].dataset);
    for (size_t i = 0; i < report.n_sources; i++)
        if (report.sources[i].error != NULL)
            showf(d, "mirror", DM_CHECK_WARN, NULL, "source %s: %s", report.sources[i].name,
                  report.sources[i].error);
    if (report.running)
        showf(d, "mirror", DM_CHECK_OK, NULL, "runs as process %d", report.pid);
    else
        show(d, "mirror", DM_CHECK_OK, "does not run now", NULL);
    dm_status_report_release(&report);
}

static int run(const struct dm_invocation *in)
{
    struct doctor d = {.json = dm_invocation_has(in, "json")};
    struct dm_config *config = NULL;
    struct dm_error err = {0};
    const char *path = dm_invocation_value(in, "config");
    if (dm_config_load(path != NULL ? path : "mirror.yaml", &config, &err) != DM_OK) {
        show_error(&d, "configuration", &err);
        return dm_command_finish(DM_EXIT_NEGATIVE);
    }
    showf(&d, "configuration", DM_CHECK_OK, NULL, "%s is good", config->file);
    check_engine(&d);
    check_folder(&d, config->lake);
    check_files(&d, config, dm_invocation_has(in, "deep"));
    if (dm_file_exists(config->lake))
        check_instance(&d, config);
    for (size_t i = 0; i < config->n_sources; i++)
        check_source(&d, &config->sources[i]);
    dm_config_free(config);
    if (!d.json)
        (void)printf("\n%s\n", d.fails > 0      ? "Something must be mended before the mirror can work."
                               : d.warnings > 0 ? "The mirror can work; look at the warnings."
                                                : "All is well.");
    return dm_command_finish(d.fails > 0 ? DM_EXIT_NEGATIVE : DM_EXIT_OK);
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"deep", 0, NULL, "also read every data file to its end"},
    {"json", 0, NULL, "one JSON object a check: area, result, what, hint"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "all is well, or there are only warnings"},
    {DM_EXIT_NEGATIVE, "something must be mended first"},
    {0, NULL},
};

const struct dm_command dm_command_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "Check everything that a mirror needs, and say how to mend it",
    .about = "Checks the configuration, the lake (writable, room on the disk, its catalog, every file there, "
             "of its size and with its ends; --deep:\n"
             "every value can be read), the DuckDB library, and each source: connection, settings, "
             "privileges, tables. It changes nothing but\n"
             "hints for readers without the catalog that a killed mirror left behind.",
    .options = options,
    .examples = "  datamirror doctor\n"
                "  datamirror doctor --deep\n"
                "  datamirror doctor --json | jq 'select(.result != \"ok\")'\n",
    .exits = exits,
    .run = run,
};
