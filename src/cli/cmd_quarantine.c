/* `datamirror quarantine`: the rows that could not be applied — look at them, try them again, let them go. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/shown.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/report_table.h"
#include "cli/stop_signal.h"
#include "config/config_value.h"
#include "config/nearest_word.h"
#include "lake/lake.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/quarantine/quarantine.h"
#include "mirror/quarantine/quarantine_line.h"

enum { MOST_IDS = 1000000, SHOWN_BY_DEFAULT = 20, SHOWN_RAW = 2000 };

/* What the command line asks for. */
struct ask {
    const struct dm_invocation *in;
    const struct dm_config *config;
    struct sqlite3 *db;
    bool json;
    struct dm_dataset_states datasets;
    struct dm_dataset_state dataset; /* the one that is named; id 0: none */
    struct dm_quarantine_choice choice;
    int64_t *ids;
    int code;
};

static const char *op_text(enum dm_op op)
{
    switch (op) {
    case DM_OP_COPY: return "copy";
    case DM_OP_INSERT: return "insert";
    case DM_OP_UPDATE: return "upsert";
    case DM_OP_DELETE: return "delete";
    case DM_OP_REKEY: return "key change";
    }
    return "?";
}

static const struct dm_dataset_state *dataset_by_id(const struct ask *a, uint32_t id)
{
    for (size_t i = 0; i < a->datasets.n; i++)
        if (a->datasets.items[i].id == id)
            return &a->datasets.items[i];
    return NULL;
}

static char *dataset_name(const struct ask *a, uint32_t id)
{
    const struct dm_dataset_state *d = dataset_by_id(a, id);
    return d != NULL ? dm_xasprintf("%s.%s", d->namespace, d->name) : dm_xasprintf("dataset %u, dropped", id);
}

/* ---- list ---- */

struct listing {
    struct ask *a;
    struct dm_report_table table;
    uint64_t rows;
};

static enum dm_status list_json(void *ctx, const struct dm_quarantine_group *g, struct dm_error *err)
{
    struct listing *l = ctx;
    (void)err;
    char *name = dataset_name(l->a, g->dataset);
    json_t *o = json_object();
    dm_json_text(o, "dataset", name);
    dm_json_text(o, "reason", g->reason);
    dm_json_count(o, "rows", g->rows);
    dm_json_time(o, "first", g->first_us);
    dm_json_time(o, "last", g->last_us);
    dm_json_text(o, "message", g->message);
    json_object_set_new(o, "waiting", json_boolean(g->waiting));
    dm_json_print(o, stdout);
    free(name);
    return DM_OK;
}

static enum dm_status list_text(void *ctx, const struct dm_quarantine_group *g, struct dm_error *err)
{
    struct listing *l = ctx;
    (void)err;
    char first[40], last[40], n[32];
    char *name = dataset_name(l->a, g->dataset);
    char *message = dm_xasprintf("%.100s%s", g->message, strlen(g->message) > 100 ? "…" : "");
    dm_report_table_row(&l->table,
                        (const char *[]){name, g->reason, dm_progress_count(g->rows, n, sizeof n),
                                         dm_clock_format_us(g->first_us, first, sizeof first),
                                         dm_clock_format_us(g->last_us, last, sizeof last), message});
    l->rows += g->rows;
    free(message);
    free(name);
    return DM_OK;
}

static enum dm_status list(struct ask *a, struct dm_error *err)
{
    struct listing l = {.a = a, .table = {.n_columns = 6, .right = {[2] = true}}};
    if (a->json)
        return dm_quarantine_groups(a->db, a->choice.dataset, list_json, &l, err);
    dm_report_table_row(&l.table,
                        (const char *[]){"DATASET", "REASON", "ROWS", "FIRST", "LAST", "FOR EXAMPLE"});
    enum dm_status status = dm_quarantine_groups(a->db, a->choice.dataset, list_text, &l, err);
    if (status == DM_OK && l.rows == 0)
        (void)puts("Nothing is in quarantine.");
    else if (status == DM_OK)
        dm_report_table_print(&l.table, stdout);
    dm_report_table_release(&l.table);
    return status;
}

/* ---- show ---- */

static enum dm_status show_json(void *ctx, const struct dm_quarantine_row *row, struct dm_error *err)
{
    struct ask *a = ctx;
    (void)err;
    char *name = dataset_name(a, row->dataset);
    json_t *o = json_object();
    json_object_set_new(o, "id", json_integer(row->id));
    dm_json_text(o, "dataset", name);
    dm_json_text(o, "reason", row->reason);
    dm_json_text(o, "message", row->message);
    dm_json_text(o, "operation", op_text(row->op));
    dm_json_text(o, "source", row->source);
    dm_json_text(o, "position", row->position);
    dm_json_time(o, "time", row->time_us);
    dm_json_text(o, "key", row->key);
    json_object_set_new(o, "waiting", json_boolean(row->waiting));
    dm_json_text(o, "raw", row->raw);
    json_object_set_new(o, "raw_bytes",
                        row->raw_bytes != 0 ? json_integer((json_int_t)row->raw_bytes) : json_null());
    dm_json_print(o, stdout);
    free(name);
    return DM_OK;
}

static enum dm_status show_text(void *ctx, const struct dm_quarantine_row *row, struct dm_error *err)
{
    struct ask *a = ctx;
    (void)err;
    char when[40];
    char *name = dataset_name(a, row->dataset);
    (void)dm_print(stdout, "#%" PRId64 "  %s  %s of %s, %s\n", row->id, row->reason, op_text(row->op), name,
                   dm_clock_format_us(row->time_us, when, sizeof when));
    (void)dm_print(stdout, "  %s\n", row->message);
    (void)dm_print(stdout, "  from %s%s%s%s%s\n", row->source != NULL ? row->source : "?",
                   row->position != NULL && row->position[0] != '\0' ? ", " : "",
                   row->position != NULL ? row->position : "", row->key != NULL ? ", key " : "",
                   row->key != NULL ? row->key : "");
    if (row->waiting)
        (void)dm_print(stdout, "  it is applied when its parent comes\n");
    if (row->raw != NULL) {
        size_t n = strlen(row->raw), shown = n > SHOWN_RAW ? dm_utf8_whole(row->raw, SHOWN_RAW) : n;
        (void)dm_print(stdout, "  %.*s%s\n", (int)shown, row->raw, n > shown ? "… (--json shows all)" : "");
    }
    if (row->raw_bytes != 0)
        (void)dm_print(stdout, "  the row has %" PRIu64 " bytes; only its beginning is kept\n",
                       row->raw_bytes);
    (void)putchar('\n');
    free(name);
    return DM_OK;
}

static enum dm_status show(struct ask *a, struct dm_error *err)
{
    uint64_t all = 0;
    struct dm_quarantine_choice whole = a->choice;
    size_t limit = 0;
    if (!dm_command_count(a->in, "limit", SHOWN_BY_DEFAULT, &limit, &a->code))
        return DM_OK;
    a->choice.limit = limit;
    if (dm_quarantine_count(a->db, &whole, &all, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_quarantine_each(a->db, &a->choice, a->json ? show_json : show_text, a, err);
    if (status != DM_OK || a->json)
        return status;
    char n[32];
    if (all == 0)
        (void)puts("There is no such row in quarantine.");
    else if (limit != 0 && all > limit)
        (void)dm_print(stdout, "%s more; --limit 0 shows all\n", dm_progress_count(all - limit, n, sizeof n));
    return DM_OK;
}

/* ---- export ---- */

struct exporting {
    FILE *out;
    const struct dm_schema *schema; /* CSV */
    bool why, sheet;
    struct dm_buffer line;
    uint64_t rows, cut, left_out;
};

static enum dm_status write_line(struct exporting *e, struct dm_error *err)
{
    if (e->line.len > 0 && fwrite(e->line.data, 1, e->line.len, e->out) != e->line.len)
        return dm_fail_errno(err, "the output could not be written");
    return DM_OK;
}

static enum dm_status export_row(void *ctx, const struct dm_quarantine_row *row, struct dm_error *err)
{
    struct exporting *e = ctx;
    bool no_object = false;
    dm_buffer_clear(&e->line);
    enum dm_status status = e->schema != NULL ? dm_quarantine_line_csv(&e->line, row, e->schema, e->why,
                                                                       e->sheet, &no_object, err)
                                              : dm_quarantine_line_json(&e->line, row, e->why, err);
    e->cut += row->raw_bytes != 0;
    e->left_out += no_object;
    e->rows += !no_object;
    return status == DM_OK ? write_line(e, err) : status;
}

/* The columns of the dataset as they are now. One reference. */
static enum dm_status read_schema(const struct ask *a, const struct dm_schema **out, struct dm_error *err)
{
    struct dm_lake_options options = {
        .folder = a->config->lake, .catalog_name = a->config->catalog_name, .read_only = true};
    struct dm_lake *lake = NULL;
    const struct dm_dataset *d = NULL;
    enum dm_status status = dm_lake_open(&options, &lake, err);
    if (status == DM_OK)
        status = dm_lake_dataset(lake, a->dataset.namespace, a->dataset.name, &d, err);
    if (status == DM_OK && d == NULL)
        status = dm_fail(err, DM_ERROR_CONFIG, "--format ndjson needs no columns", "%s.%s has no columns yet",
                         a->dataset.namespace, a->dataset.name);
    if (status == DM_OK)
        *out = dm_schema_ref(d->schema);
    if (lake != NULL)
        dm_lake_close(lake);
    return status;
}

static enum dm_status export_to(struct ask *a, struct exporting *e, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (e->schema != NULL) {
        status = dm_quarantine_line_csv_header(&e->line, e->schema, e->why, e->sheet, err);
        if (status == DM_OK)
            status = write_line(e, err);
    }
    return status == DM_OK ? dm_quarantine_each(a->db, &a->choice, export_row, e, err) : status;
}

static enum dm_status export_rows(struct ask *a, struct dm_error *err)
{
    const char *format = dm_invocation_value(a->in, "format");
    const char *path = dm_invocation_value(a->in, "output");
    bool sheet = format != NULL && strcmp(format, "sheet") == 0;
    bool csv = sheet || (format != NULL && strcmp(format, "csv") == 0);
    if (format != NULL && !csv && strcmp(format, "ndjson") != 0) {
        a->code = dm_command_usage_error(
            a->in->command, "--format cannot be \"%s\"; allowed are: ndjson, csv, sheet", format);
        return DM_OK;
    }
    struct exporting e = {.out = stdout, .why = dm_invocation_has(a->in, "reasons"), .sheet = sheet};
    dm_buffer_init(&e.line, 8 * DM_QUARANTINE_RAW_MAX);
    enum dm_status status = csv ? read_schema(a, &e.schema, err) : DM_OK;
    bool file = path != NULL && strcmp(path, "-") != 0;
    if (status == DM_OK && file && (e.out = fopen(path, "wb")) == NULL)
        status = dm_fail_errno(err, "cannot write %s", path);
    if (status == DM_OK)
        status = export_to(a, &e, err);
    if (file && e.out != NULL && fclose(e.out) != 0 && status == DM_OK)
        status = dm_fail_errno(err, "cannot write %s", path);
    if (status == DM_OK && file)
        (void)dm_print(stdout, "%" PRIu64 " rows in %s\n", e.rows, path);
    if (status == DM_OK && e.left_out > 0)
        (void)dm_print(stderr,
                       "warning: %" PRIu64 " rows are no lines of columns (corrupt, or too long) and are "
                       "left out; --format ndjson has them\n",
                       e.left_out);
    if (status == DM_OK && e.cut > 0)
        (void)dm_print(stderr, "warning: of %" PRIu64 " rows only the beginning is kept\n", e.cut);
    dm_schema_unref(e.schema);
    dm_buffer_release(&e.line);
    return status;
}

/* ---- orders ---- */

static json_t *order_of(const struct ask *a)
{
    json_t *order = json_object();
    char *name = dm_xasprintf("%s.%s", a->dataset.namespace, a->dataset.name);
    json_object_set_new(order, "dataset", json_string(name));
    free(name);
    if (a->choice.reason != NULL)
        json_object_set_new(order, "reason", json_string(a->choice.reason));
    if (a->choice.n_ids > 0) {
        json_t *ids = json_array();
        for (size_t i = 0; i < a->choice.n_ids; i++)
            json_array_append_new(ids, json_integer(a->choice.ids[i]));
        json_object_set_new(order, "ids", ids);
    }
    return order;
}

static uint64_t number(const json_t *result, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(result, key));
}

static enum dm_status ask_for(struct ask *a, const char *kind, json_t **result, struct dm_error *err)
{
    json_t *order = order_of(a);
    struct dm_order_hooks hooks = {.stop = dm_stop_signal_install()};
    enum dm_status status = dm_order_run(a->config, kind, order, &hooks, result, err);
    json_decref(order);
    return status;
}

/* Replay and discard want to hear which rows. */
static bool choice_given(struct ask *a)
{
    if (a->choice.n_ids > 0 || a->choice.reason != NULL || dm_invocation_has(a->in, "all"))
        return true;
    a->code = dm_command_usage_error(a->in->command, "which rows? --id N,N-M, --reason R or --all");
    return false;
}

static enum dm_status replay(struct ask *a, struct dm_error *err)
{
    json_t *result = NULL;
    if (!choice_given(a))
        return DM_OK;
    if (ask_for(a, "quarantine_replay", &result, err) != DM_OK)
        return DM_FAIL;
    uint64_t stayed = number(result, "stayed"), cut = number(result, "cut");
    if (stayed > 0 || cut > 0)
        a->code = DM_EXIT_NEGATIVE;
    if (a->json) {
        dm_json_print(result, stdout);
        return DM_OK;
    }
    (void)dm_print(stdout,
                   "%" PRIu64 " rows replayed: %" PRIu64 " applied, %" PRIu64
                   " overtaken by newer versions, %" PRIu64 " stay in quarantine\n",
                   number(result, "replayed"), number(result, "applied"), number(result, "stale"), stayed);
    if (cut > 0)
        (void)dm_print(stdout, "%" PRIu64 " rows were not tried: only their beginning is kept\n", cut);
    json_decref(result);
    return DM_OK;
}

/* A terminal is asked; a script says --yes. */
static bool confirmed(struct ask *a, uint64_t rows)
{
    if (dm_invocation_has(a->in, "yes"))
        return true;
    if (!isatty(STDIN_FILENO)) {
        a->code = dm_command_usage_error(a->in->command,
                                         "this throws %" PRIu64 " rows away for good; say --yes", rows);
        return false;
    }
    (void)dm_print(stderr, "Throw %" PRIu64 " rows of %s.%s away for good? [y/N] ", rows,
                   a->dataset.namespace, a->dataset.name);
    char answer[16] = "";
    if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
        return true;
    (void)fputs("Nothing was thrown away.\n", stderr);
    a->code = DM_EXIT_NEGATIVE;
    return false;
}

static enum dm_status discard(struct ask *a, struct dm_error *err)
{
    json_t *result = NULL;
    uint64_t rows = 0;
    if (!choice_given(a))
        return DM_OK;
    if (dm_quarantine_count(a->db, &a->choice, &rows, err) != DM_OK)
        return DM_FAIL;
    if (rows > 0 && !confirmed(a, rows))
        return DM_OK;
    if (ask_for(a, "quarantine_discard", &result, err) != DM_OK)
        return DM_FAIL;
    if (a->json) {
        dm_json_print(result, stdout);
        return DM_OK;
    }
    (void)dm_print(stdout, "%" PRIu64 " rows discarded\n", number(result, "discarded"));
    json_decref(result);
    return DM_OK;
}

/* ---- the command ---- */

static const struct action {
    const char *name;
    bool needs_dataset;
    enum dm_status (*run)(struct ask *a, struct dm_error *err);
} actions[] = {
    {"list", false, list},    {"show", true, show},       {"export", true, export_rows},
    {"replay", true, replay}, {"discard", true, discard},
};
enum { N_ACTIONS = sizeof actions / sizeof *actions };

static const struct action *find_action(const struct dm_invocation *in, int *code)
{
    const char *names[N_ACTIONS];
    for (size_t i = 0; i < N_ACTIONS; i++) {
        names[i] = actions[i].name;
        if (strcmp(in->arguments[0], names[i]) == 0)
            return &actions[i];
    }
    const char *near = dm_nearest_word(in->arguments[0], names, N_ACTIONS);
    *code = dm_command_usage_error(
        in->command, "\"%s\" is not one of list, show, export, replay, discard%s%s", in->arguments[0],
        near != NULL ? "; did you mean " : "", near != NULL ? near : "");
    return NULL;
}

/* "3,7,10-12" */
static bool parse_ids(struct ask *a)
{
    const char *text = dm_invocation_value(a->in, "id");
    size_t capacity = 0, n = 0;
    while (text != NULL && *text != '\0') {
        char *end;
        errno = 0;
        long long first = strtoll(text, &end, 10), last = first;
        bool good = end != text && first > 0;
        if (good && *end == '-') {
            text = end + 1;
            last = strtoll(text, &end, 10);
            good = end != text && last >= first;
        }
        good = good && errno == 0 && (*end == ',' || *end == '\0') && last - first < MOST_IDS &&
               n + (size_t)(last - first) < MOST_IDS;
        if (!good) {
            a->code =
                dm_command_usage_error(a->in->command, "--id cannot be \"%s\"; it is a list like 3,7,10-12",
                                       dm_invocation_value(a->in, "id"));
            return false;
        }
        for (long long i = first; i <= last; i++) {
            if (n == capacity) {
                capacity = capacity == 0 ? 64 : capacity * 2;
                a->ids = dm_xrealloc(a->ids, capacity, sizeof *a->ids);
            }
            a->ids[n++] = i;
        }
        text = *end == ',' ? end + 1 : end;
    }
    a->choice.ids = a->ids;
    a->choice.n_ids = n;
    return true;
}

static enum dm_status act(struct ask *a, const struct action *action, struct dm_error *err)
{
    if (dm_catalog_side_open(a->config->lake, &a->db, err) != DM_OK ||
        dm_state_datasets(a->db, NULL, &a->datasets, err) != DM_OK)
        return DM_FAIL;
    if (a->in->n_arguments > 1 &&
        dm_quarantine_dataset(a->db, a->in->arguments[1], &a->dataset, err) != DM_OK)
        return DM_FAIL;
    a->choice.dataset = a->dataset.id;
    a->choice.reason = dm_invocation_value(a->in, "reason");
    return action->run(a, err);
}

static int run(const struct dm_invocation *in)
{
    struct dm_config *config = NULL;
    struct ask a = {.in = in, .json = dm_invocation_has(in, "json")};
    const struct action *action = find_action(in, &a.code);
    if (action == NULL)
        return a.code;
    if (action->needs_dataset && in->n_arguments < 2)
        return dm_command_usage_error(in->command, "of which dataset? datamirror quarantine %s DATASET",
                                      action->name);
    if (!parse_ids(&a) || !dm_command_config(in, &config, &a.code)) {
        free(a.ids);
        return a.code;
    }
    a.config = config;
    struct dm_error err = {0};
    if (act(&a, action, &err) != DM_OK)
        a.code = dm_command_fail(&err);
    (void)sqlite3_close(a.db);
    dm_dataset_states_release(&a.datasets);
    dm_dataset_state_release(&a.dataset);
    free(a.ids);
    dm_config_free(config);
    return dm_command_finish(a.code);
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"id", 0, "IDS", "only these rows: 3,7,10-12"},
    {"reason", 0, "REASON", "only rows with this reason"},
    {"all", 0, NULL, "replay, discard: all rows of the dataset"},
    {"limit", 'n', "N", "show: at most this many rows (default 20; 0: all)"},
    {"format", 'f', "FORMAT",
     "export: ndjson (default), csv, or sheet: csv in which no text is taken for a formula"},
    {"output", 'o', "FILE", "export: into this file instead of standard output"},
    {"reasons", 0, NULL, "export: with the number, reason and message of each row in columns of their own"},
    {"yes", 'y', NULL, "discard: without asking"},
    {"json", 0, NULL, "list, show: one JSON object a line; replay, discard: one object"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "done; replay: no row stayed in quarantine"},
    {DM_EXIT_NEGATIVE, "replay: some rows stayed in quarantine; discard: you said no"},
    {DM_EXIT_USAGE, "there is no such dataset, or its rows cannot be replayed"},
    {0, NULL},
};

const struct dm_command dm_command_quarantine = {
    .name = "quarantine",
    .arguments = "list|show|export|replay|discard [DATASET]",
    .min_arguments = 1,
    .max_arguments = 2,
    .summary = "Rows that could not be applied: see, mend and replay them",
    .about = "A row that does not fit its dataset is put aside with its reason, its place and its content; "
             "the others "
             "go on.\n"
             "  list [DATASET]     how many for which reason, since when\n"
             "  show DATASET       the rows\n"
             "  export DATASET     the rows as a file, to be mended and taken in with `datamirror ingest`\n"
             "  replay DATASET     tries rows again (when the schema was mended, say): what is applied now, "
             "or is older\n"
             "                     than what is there, leaves the quarantine; the rest stays with its "
             "present reason\n"
             "  discard DATASET    throws rows away for good\n"
             "Rows of a source's log cannot be replayed out of their order: mend them in the source, or let\n"
             "`datamirror resync` copy the table anew. Replay and discard are done by the running mirror, if "
             "there is "
             "one.",
    .options = options,
    .examples = "  datamirror quarantine list\n"
                "  datamirror quarantine show sales.orders --reason wrong_type\n"
                "  datamirror quarantine export sales.orders --format csv -o mend.csv\n"
                "  datamirror quarantine replay sales.orders --all\n"
                "  datamirror quarantine discard sales.orders --id 3,7 --yes\n",
    .exits = exits,
    .run = run,
};
