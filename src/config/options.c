#include "config/options.h"

#include <string.h>

#include "config/config.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define DAY_MS (INT64_C(24) * 3600 * 1000)

static const char *const compressions[] = {"zstd", "snappy", "uncompressed", NULL};
static const char *const source_types[] = {"postgres", "sqlite", "files", NULL};
static const char *const file_formats[] = {"auto", "csv", "json", "parquet", NULL};
static const char *const bad_file_rules[] = {"stop", "skip", NULL};
static const char *const file_modes[] = {"0600", "0640", "0644", NULL};
static const char *const time_types[] = {"time", "string", NULL};

#define TOP(member) .offset = offsetof(struct dm_config, member)
static const struct dm_option top[] = {
    {.name = "lake",
     .kind = DM_OPTION_TEXT,
     TOP(lake),
     .fallback = "./lake",
     .help =
         "The folder of the lake. It is made when it is not there. A relative path counts from the folder of "
         "the configuration file.",
     .example = "lake: /srv/lake"},
    {.name = "sources",
     .kind = DM_OPTION_SOURCES,
     TOP(sources),
     .count_offset = offsetof(struct dm_config, n_sources),
     .help =
         "Where changes come from, by name: databases to mirror, folders to watch. The name of a database's "
         "source becomes the namespace of its datasets, so choose it with care: a lower-case letter, then "
         "lower-case letters, digits and `_`, at most 40 characters. Without any, the lake holds declared "
         "datasets only, which commands and the HTTP server feed.",
     .example = "sources: {shop: {type: sqlite, path: shop.db}}"},
    {.name = "commit_interval",
     .kind = DM_OPTION_DURATION,
     TOP(commit_interval_ms),
     .fallback = "1s",
     .min = 10,
     .max = 3600 * 1000,
     .help =
         "How long changes are gathered before they become visible together. Shorter: fresher data, more and "
         "smaller files. A commit always ends at a transaction boundary of the source.",
     .example = "commit_interval: 500ms"},
    {.name = "commit_bytes",
     .kind = DM_OPTION_SIZE,
     TOP(commit_bytes),
     .fallback = "64MiB",
     .min = 64 * KIB,
     .max = 16 * GIB,
     .help =
         "A commit closes early when it holds this much. Not more than half of `memory_limit`; the default "
         "shrinks to an eighth of it when that is less.",
     .example = "commit_bytes: 32MiB"},
    {.name = "memory_limit",
     .kind = DM_OPTION_SIZE,
     TOP(memory_limit),
     .fallback = "512MiB",
     .min = 128 * MIB,
     .max = 1024 * GIB,
     .help =
         "The most memory that the mirror uses. Pages of the key index that the operating system may drop do "
         "not count. A row may have a sixteenth of it (32 MiB by default); a larger one goes to quarantine, "
         "`row_too_large`.",
     .example = "memory_limit: 1GiB"},
    {.name = "condition_timeout",
     .kind = DM_OPTION_DURATION,
     TOP(condition_timeout_ms),
     .fallback = "1m",
     .min = 100,
     .max = 24 * 3600 * 1000,
     .help = "The longest time that the condition (`where`) of a record delete may take. It is answered by a "
             "process of its own, with an eighth of "
             "`memory_limit` and as much temporary space as `memory_limit`; commits go on meanwhile.",
     .example = "condition_timeout: 10m"},
    {.name = "target_file_bytes",
     .kind = DM_OPTION_SIZE,
     TOP(target_file_bytes),
     .fallback = "128MiB",
     .min = MIB,
     .max = 4 * GIB,
     .help = "The size of data file that is aimed at.",
     .example = "target_file_bytes: 256MiB"},
    {.name = "compression",
     .kind = DM_OPTION_CHOICE,
     TOP(compression),
     .fallback = "zstd",
     .choices = compressions,
     .help = "Compression of the Parquet files.",
     .example = "compression: snappy"},
    {.name = "format_version",
     .kind = DM_OPTION_INT,
     TOP(format_version),
     .fallback = "3",
     .min = 3,
     .max = 3,
     .help = "The Iceberg format version of new tables. 3, with deletion vectors, is the only one: PyIceberg "
             "and Spark "
             "read it.",
     .example = "format_version: 3"},
    {.name = "file_mode",
     .kind = DM_OPTION_CHOICE,
     TOP(file_mode),
     .fallback = "0600",
     .choices = file_modes,
     .help =
         "Who may read the lake's files beside the user that the mirror runs as: nobody (0600), its group "
         "(0640), or everybody on the machine (0644). Folders are made passable to match. Holds for what "
         "is made from then on; the secret, spills and the mirror's own state are always private.",
     .example = "file_mode: 0640"},
    {.name = "catalog_name",
     .kind = DM_OPTION_TEXT,
     TOP(catalog_name),
     .fallback = "datamirror",
     .help = "The name that readers give the catalog; it stands in the column `catalog_name` of "
             "`iceberg_tables`.",
     .example = "catalog_name: warehouse"},
    {.name = "metadata_versions",
     .kind = DM_OPTION_INT,
     TOP(metadata_versions),
     .fallback = "100",
     .min = 1,
     .max = 100000,
     .help = "How many metadata files are kept for each dataset, and the most snapshots: every commit writes "
             "their list, so "
             "it has a limit (see `snapshot_retention`).",
     .example = "metadata_versions: 20"},
    {.name = "snapshot_retention",
     .kind = DM_OPTION_DURATION,
     TOP(snapshot_retention_ms),
     .fallback = "7d",
     .min = 60 * 1000,
     .max = 36500 * DAY_MS,
     .help =
         "Snapshots older than this are expired, and with them the files that only they need: how far back "
         "readers can travel in time. The newest three quarters of `metadata_versions` snapshots are those "
         "of the "
         "latest commits; the last quarter is spread evenly over this time, by default one for about seven "
         "hours "
         "(from 8 `metadata_versions` on). Raise `metadata_versions` for more; each costs every commit about "
         "700 "
         "bytes. Readers find the older ones by snapshot id; time travel by a moment (`AS OF`) reaches as "
         "far back as "
         "no commit is missing.",
     .example = "snapshot_retention: 30d"},
    {.name = "retry_max",
     .kind = DM_OPTION_DURATION,
     TOP(retry_max_ms),
     .fallback = "60s",
     .min = 100,
     .max = DAY_MS,
     .help = "The longest wait between two tries to reach a source that is away. Waits grow up to it.",
     .example = "retry_max: 10s"},
    {.name = "http",
     .kind = DM_OPTION_TEXT,
     TOP(http),
     .help = "Address and port of the HTTP server, for programs that push changes and ask for the status. "
             "None is started "
             "without it. There is no encryption: put a proxy in front when others than this machine are to "
             "reach it.",
     .example = "http: 127.0.0.1:8181"},
    {.name = "http_token",
     .kind = DM_OPTION_TEXT,
     TOP(http_token),
     .secret = true,
     .help = "What clients have to send as `Authorization: Bearer …`. Wanted when `http` is not an address "
             "of this machine alone.",
     .example = "http_token: ${DATAMIRROR_TOKEN}"},
    {.name = "http_hosts",
     .kind = DM_OPTION_LIST,
     TOP(http_hosts),
     .count_offset = offsetof(struct dm_config, n_http_hosts),
     .help = "The names that clients reach the HTTP server by. Addresses and `localhost` need none; requests "
             "that ask "
             "for another name are refused, since a web page can give any name this machine's address.",
     .example = "http_hosts: [mirror.example.com]"},
    {.name = "http_max_body",
     .kind = DM_OPTION_SIZE,
     TOP(http_max_body),
     .fallback = "1GiB",
     .min = KIB,
     .max = 1024 * GIB,
     .help = "The largest body of a request. A body is kept in a file while it arrives, so memory is not "
             "what limits it.",
     .example = "http_max_body: 100MiB"},
    {.name = "http_max_unpacked",
     .kind = DM_OPTION_SIZE,
     TOP(http_max_unpacked),
     .fallback = "1GiB",
     .min = KIB,
     .max = 1024 * GIB,
     .help = "The most bytes that the body of a push may hold when it is unpacked (gzip, zstd, Parquet). A "
             "few kilobytes can unpack to "
             "gigabytes.",
     .example = "http_max_unpacked: 10GiB"},
    {.name = "http_max_quarantined",
     .kind = DM_OPTION_INT,
     TOP(http_max_quarantined),
     .fallback = "10000",
     .min = 0,
     .max = 1000000000,
     .help =
         "How many rows of one push may go to quarantine; with more, nothing of it is taken. A number as a "
         "schema's own `max_quarantined` comes first; a share holds beside it. 0: any number.",
     .example = "http_max_quarantined: 100"},
};

#define SOURCE(member) .offset = offsetof(struct dm_source_config, member)
static const struct dm_option source[] = {
    {.name = "type",
     .kind = DM_OPTION_CHOICE,
     SOURCE(type),
     .choices = source_types,
     .required = true,
     .help = "What it is: a database, or a folder of files with changes for a declared dataset.",
     .example = "type: postgres"},
    {.name = "url",
     .kind = DM_OPTION_TEXT,
     SOURCE(url),
     .only = "postgres",
     .required = true,
     .secret = true,
     .connection = true,
     .help =
         "Where the database is: a connection URL or libpq keywords. Keep the password out of the file: take "
         "it from the environment, or from `~/.pgpass`. A value of `${NAME}` stands for itself: in a URL it "
         "is "
         "percent-encoded where it is user, password, path or the value of a parameter.",
     .example = "url: postgresql://mirror:${SHOP_PASSWORD}@db.example/shop"},
    {.name = "path",
     .kind = DM_OPTION_TEXT,
     SOURCE(path),
     .only = "sqlite, files",
     .required = true,
     .help = "The database file, or the folder to watch. A relative path counts from the folder of the "
             "configuration file.",
     .example = "path: shop.db"},
    {.name = "dataset",
     .kind = DM_OPTION_TEXT,
     SOURCE(dataset),
     .only = "files",
     .required = true,
     .help =
         "The declared dataset (`datamirror schema apply`) that the files hold changes of. Several sources "
         "may feed one dataset.",
     .example = "dataset: sales.orders"},
    {.name = "pattern",
     .kind = DM_OPTION_TEXT,
     SOURCE(pattern),
     .fallback = "*",
     .only = "files",
     .help =
         "Which files of the folder are taken: a glob of their names. Names that begin with a dot or end in "
         "`.tmp` never are, so write under such a name and rename when the file is complete.",
     .example = "pattern: \"orders-*.csv.gz\""},
    {.name = "format",
     .kind = DM_OPTION_CHOICE,
     SOURCE(format),
     .fallback = "auto",
     .only = "files",
     .choices = file_formats,
     .help = "What the files are; `auto` goes by name, else by content. `json` is one object a line, or one "
             "array.",
     .example = "format: csv"},
    {.name = "delimiter",
     .kind = DM_OPTION_TEXT,
     SOURCE(delimiter),
     .only = "files",
     .help = "What separates the fields of CSV: one character. Without it, it is found out.",
     .example = "delimiter: \";\""},
    {.name = "null_text",
     .kind = DM_OPTION_TEXT,
     SOURCE(null_text),
     .only = "files",
     .help = "A field of CSV with this text is null, besides the empty unquoted one.",
     .example = "null_text: \"\\\\N\""},
    {.name = "strict_columns",
     .kind = DM_OPTION_BOOL,
     SOURCE(strict_columns),
     .fallback = "false",
     .only = "files",
     .help =
         "`true`: a file with a column that the dataset does not have is a bad file. `false`: the column is "
         "left out.",
     .example = "strict_columns: true"},
    {.name = "poll_interval",
     .kind = DM_OPTION_DURATION,
     SOURCE(poll_interval_ms),
     .fallback = "2s",
     .min = 10,
     .max = DAY_MS,
     .only = "files",
     .help = "How often the folder is looked at. A file is taken when it has not changed for that long.",
     .example = "poll_interval: 10s"},
    {.name = "follow_links",
     .kind = DM_OPTION_BOOL,
     SOURCE(follow_links),
     .fallback = "false",
     .only = "files",
     .help = "Takes files that symbolic links lead to, as long as they are below the folder. Without it, "
             "links are passed "
             "over: whoever may write into the folder could have the mirror read what only it may read.",
     .example = "follow_links: true"},
    {.name = "on_bad_file",
     .kind = DM_OPTION_CHOICE,
     SOURCE(on_bad_file),
     .fallback = "stop",
     .only = "files",
     .choices = bad_file_rules,
     .help =
         "What happens at a file that cannot be read as a whole. `stop`: the files after it wait, and the "
         "status says why; it is tried again when it changes. `skip`: the files after it are taken, and it "
         "is "
         "tried again when it changes. (A bad row never stops a file: it goes to quarantine.)",
     .example = "on_bad_file: skip"},
    {.name = "tables",
     .kind = DM_OPTION_TABLES,
     SOURCE(tables),
     .count_offset = offsetof(struct dm_source_config, n_tables),
     .only = "postgres, sqlite",
     .help =
         "Which tables are mirrored: a list of globs, or of maps with `name:` and the settings of a table. "
         "The "
         "first entry that matches a table gives its settings. `*` stands for any run of characters, `?` for "
         "one. In PostgreSQL a glob without a dot means the schema `public`. Without this option, all "
         "tables.",
     .example = "tables: [\"public.*\", \"sales.order_*\"]"},
    {.name = "exclude",
     .kind = DM_OPTION_LIST,
     SOURCE(exclude),
     .count_offset = offsetof(struct dm_source_config, n_exclude),
     .only = "postgres, sqlite",
     .help = "Globs of tables that are not mirrored, whatever `tables` says.",
     .example = "exclude: [\"*.tmp_*\"]"},
    {.name = "history",
     .kind = DM_OPTION_BOOL,
     SOURCE(history),
     .fallback = "false",
     .only = "postgres, sqlite",
     .help = "`true`: for each table also keep `<table>__history`, append-only, one row per change.",
     .example = "history: true"},
    {.name = "slot",
     .kind = DM_OPTION_TEXT,
     SOURCE(slot),
     .fallback = "datamirror_<name>",
     .only = "postgres",
     .help = "The logical replication slot; the mirror makes and owns it.",
     .example = "slot: lake_slot"},
    {.name = "publication",
     .kind = DM_OPTION_TEXT,
     SOURCE(publication),
     .fallback = "datamirror_<name>",
     .only = "postgres",
     .help = "The publication; the mirror makes and owns it.",
     .example = "publication: lake_publication"},
    {.name = "publish_via_root",
     .kind = DM_OPTION_BOOL,
     SOURCE(publish_via_root),
     .fallback = "true",
     .only = "postgres",
     .help = "`true`: a partitioned table is one dataset. `false`: each leaf partition is a dataset.",
     .example = "publish_via_root: false"},
    {.name = "failover",
     .kind = DM_OPTION_BOOL,
     SOURCE(failover),
     .fallback = "false",
     .only = "postgres",
     .help = "`true`: make the slot so that it survives a failover to a standby (PostgreSQL 17 and later).",
     .example = "failover: true"},
    {.name = "heartbeat_interval",
     .kind = DM_OPTION_DURATION,
     SOURCE(heartbeat_interval_ms),
     .fallback = "10s",
     .only = "postgres",
     .min = 0,
     .max = DAY_MS,
     .help = "How often an idle database is given a small message, so that its log is not kept for ever. `0` "
             "switches it off.",
     .example = "heartbeat_interval: 1m"},
    {.name = "copy_workers",
     .kind = DM_OPTION_INT,
     SOURCE(copy_workers),
     .fallback = "2",
     .min = 1,
     .max = 64,
     .help = "How many connections read a table at once during the first copy.",
     .example = "copy_workers: 4"},
    {.name = "time_as",
     .kind = DM_OPTION_CHOICE,
     SOURCE(time_as),
     .fallback = "time",
     .only = "postgres",
     .choices = time_types,
     .help =
         "The Iceberg type of columns that hold a time of day (`time`, and arrays of it). Spark has no such "
         "type and refuses every table that has one: give it `string`, the server's text, such as "
         "`12:34:56.789` or `24:00:00`, whose order is that of the times. Changing it later copies the "
         "tables concerned again.",
     .example = "time_as: string"},
};

#define TABLE(member) .offset = offsetof(struct dm_table_config, member)
static const struct dm_option table[] = {
    {.name = "name",
     .kind = DM_OPTION_TEXT,
     TABLE(glob),
     .required = true,
     .help = "The table, or a glob of tables that share these settings.",
     .example = "name: public.orders"},
    {.name = "key",
     .kind = DM_OPTION_LIST,
     TABLE(key),
     .count_offset = offsetof(struct dm_table_config, n_key),
     .help = "The primary key by declaration, for a table that has none. You promise that these columns are "
             "unique "
             "and never null; a row that breaks it goes to quarantine.",
     .example = "key: [region, number]"},
    {.name = "append_only",
     .kind = DM_OPTION_BOOL,
     TABLE(append_only),
     .fallback = "false",
     .help = "`true`: the table has no key and rows are only ever added to it.",
     .example = "append_only: true"},
    {.name = "columns",
     .kind = DM_OPTION_LIST,
     TABLE(columns),
     .count_offset = offsetof(struct dm_table_config, n_columns),
     .help = "The only columns that are mirrored. Key columns must be among them.",
     .example = "columns: [id, name, city]"},
    {.name = "exclude_columns",
     .kind = DM_OPTION_LIST,
     TABLE(exclude_columns),
     .count_offset = offsetof(struct dm_table_config, n_exclude_columns),
     .help = "Columns that are not mirrored. Not together with `columns`.",
     .example = "exclude_columns: [password_hash]"},
    {.name = "filter",
     .kind = DM_OPTION_TEXT,
     TABLE(filter),
     .help = "Only rows for which this SQL condition (in the source's dialect) holds, in the copy and in the "
             "stream alike.",
     .example = "filter: \"region = 'EU'\""},
    {.name = "timestamp",
     .kind = DM_OPTION_TEXT,
     TABLE(timestamp),
     .help = "The column that says when an event happened: the dataset is partitioned by its day (UTC), "
             "so that a query over a week reads the files of that week. A timestamp; rows without one have a "
             "partition of their own.",
     .example = "timestamp: happened_at"},
    {.name = "history",
     .kind = DM_OPTION_TRISTATE,
     TABLE(history),
     .help = "As the source's `history`, for this table only.",
     .example = "history: true"},
    {.name = "decimals",
     .kind = DM_OPTION_DECIMALS,
     TABLE(decimals),
     .count_offset = offsetof(struct dm_table_config, n_decimals),
     .help = "Columns of unbounded numeric type that become decimals of this precision (1 to 38) and scale, "
             "instead "
             "of text. A value that does not fit goes to quarantine with its row.",
     .example = "decimals: {price: \"38,10\"}"},
};

_Static_assert(COUNT(top) <= DM_OPTIONS_MAX, "raise DM_OPTIONS_MAX");
_Static_assert(COUNT(source) <= DM_OPTIONS_MAX, "raise DM_OPTIONS_MAX");
_Static_assert(COUNT(table) <= DM_OPTIONS_MAX, "raise DM_OPTIONS_MAX");

const struct dm_option_section dm_options_top = {.what = "the configuration",
                                                 .title = "Top level",
                                                 .intro = "These stand at the left margin of the file.",
                                                 .options = top,
                                                 .n = COUNT(top)};
const struct dm_option_section dm_options_source = {
    .what = "a source",
    .title = "A source",
    .intro = "These stand under `sources:` and the name of the source.",
    .options = source,
    .n = COUNT(source)};
const struct dm_option_section dm_options_table = {.what = "a table",
                                                   .title = "A table",
                                                   .intro =
                                                       "An entry of `tables:` is a glob, or a map of these.",
                                                   .options = table,
                                                   .n = COUNT(table)};

bool dm_option_applies(const struct dm_option *o, const char *type)
{
    if (o->only == NULL)
        return true;
    size_t n = type != NULL ? strlen(type) : 0;
    for (const char *at = n > 0 ? strstr(o->only, type) : NULL; at != NULL; at = strstr(at + 1, type))
        if ((at == o->only || at[-1] == ' ') && (at[n] == '\0' || at[n] == ','))
            return true;
    return false;
}

const struct dm_option *dm_option_find(const struct dm_option_section *section, const char *name)
{
    for (size_t i = 0; i < section->n; i++)
        if (strcmp(section->options[i].name, name) == 0)
            return &section->options[i];
    return NULL;
}
