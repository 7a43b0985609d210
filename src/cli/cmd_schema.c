/* `datamirror schema`: relational schemas declared, listed, shown, compared and dropped. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_shorten.h"
#include "base/memory.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/schema_report.h"
#include "cli/stop_signal.h"
#include "config/nearest_word.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/order/order.h"
#include "registry/registry.h"
#include "registry/schema_json.h"
#include "registry/schema_print.h"
#include "registry/schema_rules.h"

enum { print_max = 1 << 30 };

/* What every subcommand works with. */
struct work {
    const struct dm_invocation *in;
    const struct dm_config *config;
    struct dm_relational_schemas known;  /* the registry */
    struct dm_relational_schemas wanted; /* the files */
    enum dm_ddl_dialect dialect;
    enum dm_schema_format format;
};

/* The registry as it is; none when there is no lake yet. */
static enum dm_status load_known(struct work *w, struct dm_error *err)
{
    char *path = dm_xasprintf("%s/catalog.db", w->config->lake);
    bool there = dm_file_exists(path);
    free(path);
    sqlite3 *db = NULL;
    if (!there)
        return DM_OK;
    if (dm_catalog_side_open(w->config->lake, &db, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_registry_list(db, &w->known, err);
    (void)sqlite3_close(db);
    return status;
}

static const struct dm_relational_schema *find(const struct work *w, const char *name, struct dm_error *err)
{
    const struct dm_relational_schema *s = dm_relational_schemas_find(&w->known, name);
    if (s != NULL)
        return s;
    const char **names = dm_xzalloc(w->known.n + 1, sizeof *names);
    for (size_t i = 0; i < w->known.n; i++)
        names[i] = w->known.items[i]->name;
    const char *near = dm_nearest_word(name, names, w->known.n);
    (void)dm_fail(err, DM_ERROR_CONFIG, "`datamirror schema list` shows all there are",
                  "there is no schema \"%s\"", name);
    if (near != NULL)
        dm_error_hint(err, "did you mean \"%s\"?", near);
    free(names);
    return NULL;
}

/* ---- apply and diff ---- */

static enum dm_status read_stdin(const struct dm_schema_read_options *o, struct dm_relational_schemas *out,
                                 struct dm_names *notes, struct dm_error *err)
{
    struct dm_buffer b;
    dm_buffer_init(&b, DM_SCHEMA_TEXT_MAX + 1);
    enum dm_status status = DM_OK;
    for (size_t n = 1; n > 0 && status == DM_OK;) {
        status = dm_buffer_reserve(&b, 65536, err);
        n = status == DM_OK ? fread(b.data + b.len, 1, 65536, stdin) : 0;
        b.len += n;
    }
    struct dm_schema_read_options named = *o;
    named.file = "standard input";
    if (status == DM_OK)
        status = dm_schema_text_read((const char *)b.data, b.len, &named, out, notes, err);
    dm_buffer_release(&b);
    return status;
}

static void print_notes(const struct dm_names *notes)
{
    for (size_t i = 0; i < notes->n; i++)
        (void)dm_print(stderr, "note: %s\n", notes->items[i]);
}

/* All files as one set, so that their schemas may refer to each other. */
static enum dm_status read_files(struct work *w, struct dm_error *err)
{
    struct dm_schema_read_options o = {.format = w->format,
                                       .dialect = w->dialect,
                                       .version = dm_invocation_value(w->in, "version"),
                                       .timestamp = dm_invocation_value(w->in, "timestamp"),
                                       .namespace = dm_invocation_value(w->in, "namespace"),
                                       .known = &w->known};
    enum dm_status status = DM_OK;
    for (size_t i = 1; i < w->in->n_arguments && status == DM_OK; i++) {
        const char *path = w->in->arguments[i];
        struct dm_names notes = {0};
        status = strcmp(path, "-") == 0 ? read_stdin(&o, &w->wanted, &notes, err)
                                        : dm_schema_file_read(path, &o, &w->wanted, &notes, err);
        print_notes(&notes);
        dm_names_release(&notes);
    }
    for (size_t i = 0; i < w->wanted.n && dm_invocation_has(w->in, "drop-columns"); i++)
        dm_names_add(&w->wanted.items[i]->dropped, "*");
    if (status == DM_OK)
        status = dm_schemas_resolve(&w->wanted, &w->known, err);
    return status == DM_OK ? dm_schemas_check(&w->wanted, &w->known, err) : status;
}

static enum dm_status check_refusals(struct work *w, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < w->wanted.n && status == DM_OK; i++) {
        struct dm_schema_changes plan;
        const struct dm_relational_schema *s = w->wanted.items[i];
        dm_schema_diff(dm_relational_schemas_find(&w->known, s->name), s, &plan);
        status = dm_schema_changes_refused(&plan, s, err);
        dm_schema_changes_release(&plan);
    }
    return status;
}

static void print_changes(const json_t *result, bool dry_run)
{
    const json_t *changes = json_object_get(result, "changes");
    for (size_t i = 0; i < json_array_size(changes); i++)
        (void)dm_print(stdout, "%s: %s\n",
                       json_string_value(json_object_get(json_array_get(changes, i), "schema")),
                       json_string_value(json_object_get(json_array_get(changes, i), "what")));
    if (dry_run)
        (void)puts("A dry run: nothing was changed.");
}

static enum dm_status apply(struct work *w, int *code, struct dm_error *err)
{
    (void)code;
    if (read_files(w, err) != DM_OK || check_refusals(w, err) != DM_OK)
        return DM_FAIL;
    bool dry_run = dm_invocation_has(w->in, "dry-run");
    json_t *order = json_pack("{s:o, s:b}", "schemas", dm_schemas_to_json(&w->wanted), "dry_run", dry_run);
    json_t *result = NULL;
    struct dm_order_hooks hooks = {.stop = dm_stop_signal_install()};
    enum dm_status status = dm_order_run(w->config, "schema_apply", order, &hooks, &result, err);
    json_decref(order);
    if (status == DM_OK && dm_invocation_has(w->in, "json"))
        dm_json_print(json_incref(result), stdout);
    else if (status == DM_OK)
        print_changes(result, dry_run);
    json_decref(result);
    return status;
}

static json_t *plan_json(const struct dm_schema_changes *plan)
{
    static const char *const verdicts[] = {
        [DM_CHANGE_FREE] = "free", [DM_CHANGE_CHECKED] = "checked", [DM_CHANGE_REFUSED] = "refused"};
    json_t *changes = json_array();
    for (size_t i = 0; i < plan->n; i++) {
        json_t *o = json_object();
        dm_json_text(o, "what", plan->items[i].what);
        dm_json_text(o, "verdict", verdicts[plan->items[i].verdict]);
        dm_json_text(o, "hint", plan->items[i].hint);
        json_array_append_new(changes, o);
    }
    return json_pack("{s:s, s:o}", "schema", plan->schema, "changes", changes);
}

/* Exit 1 when there is a difference, as diff does. */
static enum dm_status diff(struct work *w, int *code, struct dm_error *err)
{
    if (read_files(w, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < w->wanted.n; i++) {
        struct dm_schema_changes plan;
        dm_schema_diff(dm_relational_schemas_find(&w->known, w->wanted.items[i]->name), w->wanted.items[i],
                       &plan);
        if (dm_invocation_has(w->in, "json"))
            dm_json_print(plan_json(&plan), stdout);
        else
            dm_schema_report_plan(&plan, stdout);
        if (plan.n > 0)
            *code = DM_EXIT_NEGATIVE;
        dm_schema_changes_release(&plan);
    }
    return DM_OK;
}

/* ---- list, show, drop ---- */

static json_t *list_json(const struct dm_relational_schema *s)
{
    json_t *o = json_object(), *key = json_array(), *relationships = json_array();
    char missing[DM_MISSING_MAX];
    for (size_t i = 0; i < s->key.n; i++)
        json_array_append_new(key, json_string(s->key.items[i]));
    for (size_t i = 0; i < s->n_relationships; i++) {
        const struct dm_relationship *r = &s->relationships[i];
        json_t *columns = json_array(), *to = json_array();
        for (size_t k = 0; k < r->columns.n; k++)
            json_array_append_new(columns, json_string(r->columns.items[k]));
        for (size_t k = 0; k < r->target_columns.n; k++)
            json_array_append_new(to, json_string(r->target_columns.items[k]));
        json_array_append_new(relationships,
                              json_pack("{s:s, s:o, s:s, s:o, s:s, s:b}", "name", r->name, "columns", columns,
                                        "target", r->target, "target_columns", to, "cardinality",
                                        dm_cardinality_text(r->cardinality), "discovered", r->discovered));
    }
    dm_json_text(o, "schema", s->name);
    dm_json_text(o, "origin", s->origin);
    dm_json_text(o, "behavior", s->behavior == DM_BEHAVIOR_TIME_SERIES ? "time-series" : "record");
    dm_json_count(o, "columns", s->n_columns);
    json_object_set_new(o, "key", key);
    dm_json_text(o, "version",
                 s->version != NULL || dm_relational_schema_is_declared(s) ? s->version : "(position)");
    dm_json_text(o, "timestamp", s->timestamp);
    json_object_set_new(o, "relationships", relationships);
    json_object_set_new(o, "complete", json_boolean(dm_relational_schema_is_complete(s)));
    dm_json_text(o, "missing",
                 dm_relational_schema_is_complete(s) ? NULL : dm_relational_schema_missing(s, missing));
    return o;
}

static enum dm_status list(struct work *w, int *code, struct dm_error *err)
{
    (void)code;
    (void)err;
    if (dm_invocation_has(w->in, "json")) {
        for (size_t i = 0; i < w->known.n; i++)
            dm_json_print(list_json(w->known.items[i]), stdout);
        return DM_OK;
    }
    if (w->known.n == 0)
        (void)puts("No schemas yet. Declare some: datamirror schema apply FILE; a mirrored table appears by "
                   "itself.");
    else
        dm_schema_report_list(&w->known, stdout);
    return DM_OK;
}

/* `show --ddl NAME mysql` is meant as a dialect, unless there is a schema of that name. */
static bool is_dialect_argument(struct work *w, const char *word)
{
    enum dm_ddl_dialect dialect;
    if (!dm_invocation_has(w->in, "ddl") || dm_relational_schemas_find(&w->known, word) != NULL ||
        !dm_ddl_dialect_find(word, &dialect))
        return false;
    w->dialect = dialect;
    return true;
}

static enum dm_status choose(struct work *w, struct dm_error *err)
{
    if (dm_invocation_has(w->in, "all"))
        for (size_t i = 0; i < w->known.n; i++)
            dm_relational_schemas_add(&w->wanted, dm_relational_schema_copy(w->known.items[i]));
    for (size_t i = 1; i < w->in->n_arguments; i++) {
        if (is_dialect_argument(w, w->in->arguments[i]))
            continue;
        const struct dm_relational_schema *s = find(w, w->in->arguments[i], err);
        if (s == NULL)
            return DM_FAIL;
        if (dm_relational_schemas_find(&w->wanted, s->name) == NULL)
            dm_relational_schemas_add(&w->wanted, dm_relational_schema_copy(s));
    }
    return DM_OK;
}

static enum dm_status show_text(struct work *w, struct dm_error *err)
{
    struct dm_buffer b;
    dm_buffer_init(&b, print_max);
    enum dm_status status = DM_OK;
    if (dm_invocation_has(w->in, "mermaid"))
        status = dm_schemas_print_mermaid(&w->wanted, &b, err);
    for (size_t i = 0; i < w->wanted.n && status == DM_OK && dm_invocation_has(w->in, "ddl"); i++) {
        if (i > 0)
            status = dm_buffer_printf(&b, err, "\n");
        if (status == DM_OK)
            status = dm_schema_print_ddl(w->wanted.items[i], w->dialect, &b, err);
    }
    if (status == DM_OK && b.len > 0)
        (void)fwrite(b.data, 1, b.len, stdout);
    dm_buffer_release(&b);
    return status;
}

static enum dm_status show(struct work *w, int *code, struct dm_error *err)
{
    if (w->in->n_arguments < 2 && !dm_invocation_has(w->in, "all")) {
        *code = dm_command_usage_error(w->in->command, "name the schemas to show, or say --all");
        return DM_OK;
    }
    if (choose(w, err) != DM_OK)
        return DM_FAIL;
    if (dm_invocation_has(w->in, "ddl") || dm_invocation_has(w->in, "mermaid"))
        return show_text(w, err);
    if (dm_invocation_has(w->in, "json")) {
        json_t *all = dm_schemas_to_json(&w->wanted);
        dm_json_print_as(all, JSON_INDENT(2), stdout);
        return DM_OK;
    }
    for (size_t i = 0; i < w->wanted.n; i++) {
        if (i > 0)
            (void)putchar('\n');
        dm_schema_report_one(w->wanted.items[i], stdout);
    }
    return DM_OK;
}

/* All names are looked up before anything is dropped. */
static enum dm_status drop(struct work *w, int *code, struct dm_error *err)
{
    (void)code;
    for (size_t i = 1; i < w->in->n_arguments; i++) {
        const struct dm_relational_schema *s = find(w, w->in->arguments[i], err);
        if (s == NULL)
            return DM_FAIL;
        if (!dm_relational_schema_is_declared(s))
            return dm_fail(err, DM_ERROR_CONFIG,
                           "leave its table out of the source's `tables:` to end the mirroring",
                           "%s is mirrored from source %s and cannot be dropped here", s->name, s->origin);
    }
    for (size_t i = 1; i < w->in->n_arguments; i++) {
        const struct dm_relational_schema *s = find(w, w->in->arguments[i], err);
        if (s == NULL)
            return DM_FAIL;
        json_t *order = json_pack("{s:s, s:b}", "schema", s->name, "drop_rows",
                                  dm_invocation_has(w->in, "drop-rows")),
               *result = NULL;
        struct dm_order_hooks hooks = {.stop = dm_stop_signal_install()};
        enum dm_status status = dm_order_run(w->config, "schema_drop", order, &hooks, &result, err);
        json_decref(order);
        json_decref(result);
        if (status != DM_OK)
            return status;
        (void)dm_print(stdout, "%s: dropped, with its dataset\n", s->name);
    }
    return DM_OK;
}

/* ---- the command ---- */

static const struct subcommand {
    const char *name;
    size_t least; /* arguments behind it */
    enum dm_status (*run)(struct work *w, int *code, struct dm_error *err);
} subcommands[] = {
    {"apply", 1, apply}, {"diff", 1, diff}, {"list", 0, list}, {"show", 0, show}, {"drop", 1, drop},
};
enum { n_subcommands = sizeof subcommands / sizeof *subcommands };

static const struct subcommand *find_subcommand(const struct dm_invocation *in, int *code)
{
    const char *names[n_subcommands];
    for (size_t i = 0; i < n_subcommands; i++) {
        names[i] = subcommands[i].name;
        if (strcmp(names[i], in->arguments[0]) != 0)
            continue;
        if (in->n_arguments - 1 >= subcommands[i].least)
            return &subcommands[i];
        *code = dm_command_usage_error(in->command, "schema %s needs %s", names[i],
                                       strcmp(names[i], "drop") == 0 ? "the name of a schema" : "a file");
        return NULL;
    }
    const char *near = dm_nearest_word(in->arguments[0], names, n_subcommands);
    *code = near != NULL ? dm_command_usage_error(in->command,
                                                  "there is no \"schema %s\"; did you mean \"schema %s\"?",
                                                  in->arguments[0], near)
                         : dm_command_usage_error(in->command,
                                                  "there is no \"schema %s\"; there are: apply, diff, list, "
                                                  "show, drop",
                                                  in->arguments[0]);
    return NULL;
}

static bool read_words(struct work *w, int *code)
{
    const char *dialect = dm_invocation_value(w->in, "dialect"),
               *format = dm_invocation_value(w->in, "format");
    if (dialect != NULL && !dm_ddl_dialect_find(dialect, &w->dialect)) {
        *code = dm_command_usage_error(
            w->in->command,
            "--dialect cannot be \"%s\"; it is one of: postgres, mysql, snowflake, databricks, "
            "bigquery",
            dialect);
        return false;
    }
    if (format != NULL && !dm_schema_format_find(format, &w->format)) {
        *code = dm_command_usage_error(w->in->command,
                                       "--format cannot be \"%s\"; it is one of: yaml, json, ddl", format);
        return false;
    }
    return true;
}

static int run(const struct dm_invocation *in)
{
    int code = DM_EXIT_OK;
    struct dm_config *config = NULL;
    struct work w = {.in = in};
    struct dm_error err = {0};
    const struct subcommand *sub = find_subcommand(in, &code);
    if (sub == NULL || !read_words(&w, &code) || !dm_command_config(in, &config, &code))
        return code;
    w.config = config;
    enum dm_status status = load_known(&w, &err);
    if (status == DM_OK)
        status = sub->run(&w, &code, &err);
    if (status != DM_OK)
        code = dm_command_fail(&err);
    dm_relational_schemas_release(&w.known);
    dm_relational_schemas_release(&w.wanted);
    dm_config_free(config);
    return dm_command_finish(code);
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"dry-run", 'n', NULL, "apply: check everything, also against the data; change nothing"},
    {"drop-columns", 0, NULL,
     "apply, diff: columns that the file does not have any more may go, with their values"},
    {"drop-rows", 0, NULL,
     "drop: with all rows, their history and what is in quarantine; without it such a dataset stays"},
    {"format", 'f', "FORMAT", "apply, diff: yaml, json or ddl; default: by name, else by content"},
    {"dialect", 0, "DIALECT",
     "of DDL: postgres, mysql, snowflake, databricks, bigquery; default: found out (show: postgres)"},
    {"version", 0, "COLUMN", "DDL: the version column of every table that has it"},
    {"timestamp", 0, "COLUMN", "DDL: tables with this time column are time-series by it"},
    {"namespace", 0, "NAME", "DDL: of tables whose name has none (default \"default\")"},
    {"all", 0, NULL, "show: all schemas"},
    {"ddl", 0, NULL, "show: as CREATE TABLE"},
    {"mermaid", 0, NULL, "show: as a Mermaid diagram of entities and relationships"},
    {"json", 0, NULL,
     "list, diff: one JSON object a line; show: schema and descriptor bodies, which apply reads back"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};

static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "done; diff: no difference"},
    {DM_EXIT_NEGATIVE, "diff: there are differences"},
    {DM_EXIT_USAGE, "the command, a file or a rule is broken: the message names file, line, field and rule"},
    {DM_EXIT_TRY_AGAIN, "the lake cannot be written now"},
    {DM_EXIT_CONFLICT, "drop: the dataset has rows, and --drop-rows was not said"},
    {0, NULL},
};

const struct dm_command dm_command_schema = {
    .name = "schema",
    .arguments = "apply FILE... | diff FILE... | list | show NAME... | drop NAME...",
    .min_arguments = 1,
    .max_arguments = 100000,
    .summary = "Declare, list, show and change relational schemas",
    .about = "A relational schema says what a dataset holds: its columns, the primary key, the version "
             "column that orders\n"
             "the changes of a row, and relationships to other schemas. Tables of a mirrored database appear "
             "by themselves;\n"
             "others are declared in YAML, as CREATE TABLE statements, or as the documented JSON "
             "(docs/schemas.md).\n\n"
             "apply   checks the files' schemas as one set, then makes or evolves their datasets in one "
             "commit: columns are\n"
             "        added, renamed (renamed_from), widened, made optional; what would lose values is "
             "refused, with the way\n"
             "        out; a new key or version is checked against the rows first. Applying twice changes "
             "nothing.\n"
             "diff    says what apply would do\n"
             "list    all schemas with key, version and relationships\n"
             "show    one or more: for people, or --ddl [DIALECT], --json, --mermaid\n"
             "drop    a declared schema and its dataset; refused when it has rows, unless --drop-rows\n\n"
             "Works beside a running mirror and without one.",
    .options = options,
    .examples = "  datamirror schema apply schemas.yaml\n"
                "  datamirror schema apply warehouse.sql --version updated_at --namespace sales\n"
                "  datamirror schema diff schemas.yaml\n"
                "  datamirror schema show sales.orders\n"
                "  datamirror schema show --all --mermaid\n"
                "  datamirror schema show sales.orders --ddl snowflake\n",
    .exits = exits,
    .run = run,
};
