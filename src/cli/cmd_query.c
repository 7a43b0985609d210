/* `datamirror query`: SQL over the current state of all datasets. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/lake_session.h"
#include "config/nearest_word.h"

#define SQL_MAX (16 * 1024 * 1024)

static bool parse_format(const struct dm_invocation *in, enum dm_sql_format *format, int *code)
{
    static const char *const names[] = {"table", "csv", "json", "sheet"};
    const char *word = dm_invocation_value(in, "format");
    *format = DM_SQL_TABLE;
    if (word == NULL)
        return true;
    for (size_t i = 0; i < 4; i++)
        if (strcmp(word, names[i]) == 0) {
            *format = (enum dm_sql_format)i;
            return true;
        }
    const char *near = dm_nearest_word(word, names, 4);
    *code = dm_command_usage_error(
        in->command, "--format cannot be \"%s\"; allowed are: table, csv, json, sheet%s%s", word,
        near != NULL ? "; did you mean --format " : "", near != NULL ? near : "");
    return false;
}
_Static_assert(DM_SQL_TABLE == 0 && DM_SQL_CSV == 1 && DM_SQL_JSON == 2 && DM_SQL_SHEET == 3,
               "the order of the names above");

static enum dm_status read_stdin(struct dm_buffer *sql, struct dm_error *err)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dm_fail_errno(err, "standard input");
        if (n == 0)
            return DM_OK;
        if (dm_buffer_append(sql, chunk, (size_t)n, err) != DM_OK)
            return dm_fail(err, DM_ERROR_CONFIG, NULL, "the SQL is longer than %d bytes", SQL_MAX);
    }
}

static enum dm_status query(const struct dm_config *config, const struct dm_session_limits *limits,
                            const char *sql, enum dm_sql_format format, struct dm_error *err)
{
    struct dm_lake_session session;
    if (dm_lake_session_open(config, limits, false, &session, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_sql_print(session.sql, sql, format, stdout, NULL, err);
    dm_lake_session_close(&session);
    return status;
}

static int run(const struct dm_invocation *in)
{
    int code = 0;
    enum dm_sql_format format;
    struct dm_config *config = NULL;
    if (!parse_format(in, &format, &code) || !dm_command_config(in, &config, &code))
        return code;
    struct dm_session_limits limits;
    if (!dm_session_limits_read(in, config, &limits, &code)) {
        dm_config_free(config);
        return code;
    }
    struct dm_error err = {0};
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    enum dm_status status = DM_OK;
    bool from_stdin = in->n_arguments == 0 || strcmp(in->arguments[0], "-") == 0;
    if (from_stdin) {
        if (isatty(STDIN_FILENO))
            (void)fputs("SQL, ended by Ctrl-D:\n", stderr);
        status = read_stdin(&sql, &err);
    } else {
        status = dm_buffer_append(&sql, in->arguments[0], strlen(in->arguments[0]), &err);
    }
    const char *text = status == DM_OK ? dm_buffer_text(&sql) : NULL;
    if (status == DM_OK)
        status = text != NULL && text[strspn(text, " \t\r\n;")] != '\0'
                     ? query(config, &limits, text, format, &err)
                     : dm_fail(&err, DM_ERROR_CONFIG, "for example: datamirror query \"show all tables\"",
                               "there is no SQL");
    code = status == DM_OK ? DM_EXIT_OK : dm_command_fail(&err);
    dm_buffer_release(&sql);
    dm_config_free(config);
    return code == DM_EXIT_OK ? dm_command_finish(code) : code;
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"format", 'f', "FORMAT",
     "table (default), csv (with header), json (one object a line), or sheet: csv in which no text is taken "
     "for a formula"},
    DM_OPTIONS_LIMITS,
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "the rows were printed"},
    {DM_EXIT_USAGE, "the SQL or the configuration is wrong"},
    {DM_EXIT_TRY_AGAIN, "it went beyond --memory-limit or --timeout"},
    {DM_EXIT_DATA, "a file of the lake is damaged; see datamirror doctor"},
    {0, NULL},
};

const struct dm_command dm_command_query = {
    .name = "query",
    .arguments = "[SQL]",
    .max_arguments = 1,
    .summary = "Run SQL over the lake as it is now",
    .about =
        "The SQL is DuckDB's. Every dataset is a table \"<namespace>\".\"<table>\"; all of them stand "
        "at one transaction\n"
        "boundary of their source. It is read-only: one SELECT over the datasets; no other files, no writes, "
        "no settings\n"
        "(datamirror sql writes, and reads files).\n"
        "A table whose key is two references (a junction) also gives a view \"<left>__<right>\" that joins "
        "the three.\n"
        "Without SQL, or with -, it is read from standard input.",
    .options = options,
    .examples = "  datamirror query \"select count(*) from shop.orders\"\n"
                "  datamirror query --format csv \"from shop.customers\" > customers.csv\n"
                "  datamirror query < report.sql\n",
    .exits = exits,
    .run = run,
};
