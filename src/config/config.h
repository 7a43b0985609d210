/* config.h — mirror.yaml as typed values. One table of options (options.c) yields parser, help and reference page.
 *
 * dm_config_load owns everything it hands out until dm_config_free. Errors are CONFIG class and name file, line,
 * the word found and what is allowed. `${NAME}` in any value takes an environment variable (an error when unset).
 * Read-only after loading, so threads share it.
 */
#ifndef DM_CONFIG_CONFIG_H
#define DM_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Per-table settings; an element of `tables:` is a glob, or a map with `name:` and these. */
struct dm_table_config {
    char *glob;       /* "public.*", "orders", "sales.order_?" */
    bool append_only; /* append_only: true */
    size_t n_key;     /* key: [a, b] — the primary key by declaration */
    char **key;
    size_t n_columns; /* columns: [..] — the only columns mirrored; 0: all */
    char **columns;
    size_t n_exclude_columns; /* exclude_columns: [..] */
    char **exclude_columns;
    char *filter;      /* filter: SQL condition in the source's dialect; NULL: none */
    char *timestamp;   /* timestamp: the column whose day divides the dataset; NULL: none */
    int history;       /* history: -1 as the source says, 0 false, 1 true */
    size_t n_decimals; /* decimals: {column: "38,10"} — unbounded numeric as decimal */
    struct dm_decimal_config {
        char *column;
        int precision;
        int scale;
    } * decimals;
};

struct dm_source_config {
    char *name; /* the key under sources: */
    char *type; /* postgres | sqlite | files */
    char *url;  /* postgres: connection URI or keywords */
    char *
        path; /* sqlite: the file; files: the folder; usable as it is (a relative one was joined to the folder of mirror.yaml) */
    size_t n_tables;
    struct dm_table_config *tables; /* default: one glob that matches all */
    size_t n_exclude;
    char **exclude; /* globs */
    bool history;
    char *slot;                    /* postgres; default datamirror_<name> */
    char *publication;             /* postgres; default datamirror_<name> */
    bool publish_via_root;         /* postgres; default true: a partitioned table is one dataset */
    bool failover;                 /* postgres 17: create the slot with failover */
    int64_t heartbeat_interval_ms; /* default 10000; 0 off */
    int copy_workers;              /* default 2 */
    char *dataset;                 /* files: the declared dataset, "sales.orders" */
    char *pattern;                 /* files: glob of file names; default * */
    char *format;                  /* files: auto (default), csv, json, parquet */
    char *delimiter;               /* files, CSV: one character; NULL: found out */
    char *null_text;               /* files, CSV; NULL: the empty unquoted field only */
    bool strict_columns;           /* files */
    int64_t poll_interval_ms;      /* files: default 2000 */
    bool follow_links;             /* files: symbolic links to files below the folder */
    char *on_bad_file;             /* files: stop (default) or skip */
    char *time_as;          /* postgres: "time" (default) or "string", the column type of a time of day */
    uint64_t max_row_bytes; /* that of the whole configuration; 0: no limit */
};

/* How many times the largest row must fit into memory_limit: what the engine needs to write it is five times its size, what a
 * connection holds of it four, its batch and those around it the rest. */
enum { DM_ROWS_IN_MEMORY = 16 };

struct dm_config {
    char *file;                 /* path of mirror.yaml; NULL when built in memory */
    bool holds_secret;          /* the file itself has a token or a password */
    char *folder;               /* its folder, "." when none */
    char *lake;                 /* usable as it is (a relative one was joined to the folder of mirror.yaml) */
    char *catalog_name;         /* default "datamirror": catalog_name in iceberg_tables */
    int format_version;         /* 3 (default) or 2 */
    int64_t commit_interval_ms; /* default 1000 */
    uint64_t commit_bytes;      /* default 64 MiB: closes a commit early */
    uint64_t memory_limit;      /* default 512 MiB */
    uint64_t
        max_row_bytes; /* a larger row goes to quarantine: a sixteenth of memory_limit (ARCHITECTURE.md: Memory) */
    uint64_t target_file_bytes;    /* default 128 MiB: data file size aimed at */
    char *file_mode;               /* of the lake's files: 0600 (default), 0640, 0644 */
    char *compression;             /* zstd (default), snappy, uncompressed */
    int metadata_versions;         /* default 100: metadata files kept per dataset */
    int64_t snapshot_retention_ms; /* default 7 days: older snapshots are expired */
    int64_t condition_timeout_ms;  /* default 60000: of the condition of a record delete */
    int64_t retry_max_ms;          /* default 60000: longest wait between two tries */
    char *http;                    /* "127.0.0.1:8181"; NULL: no server */
    char *http_token;              /* NULL: none wanted */
    size_t n_http_hosts;
    char **http_hosts;          /* names of the server beside its addresses and localhost */
    uint64_t http_max_body;     /* bytes; default 1 GiB */
    uint64_t http_max_unpacked; /* bytes; default 1 GiB */
    int http_max_quarantined;   /* default 10000; 0: any number */
    size_t n_sources;
    struct dm_source_config *sources;
};

/* Reads and checks the file. */
enum dm_status dm_config_load(const char *path, struct dm_config **out, struct dm_error *err) DM_MUST_USE;
/* Same from memory; `name` stands for the path in messages. For tests and fuzzing. */
enum dm_status dm_config_parse(const char *text, size_t n, const char *name, struct dm_config **out,
                               struct dm_error *err) DM_MUST_USE;
void dm_config_free(struct dm_config *config);
const struct dm_source_config *dm_config_source(const struct dm_config *config,
                                                const char *name); /* or NULL */
/* The first table setting whose glob matches, or NULL. `schema` "" for sources without schemas. */
const struct dm_table_config *dm_config_table(const struct dm_source_config *source, const char *schema,
                                              const char *table);
/* "*" any run, "?" one character (of UTF-8). */
bool dm_glob_match(const char *glob, const char *text);
/* A glob of tables:/exclude: against a table. A source without schemas ("") matches the whole glob against the table's
 * name. Else "schema.table" globs match both parts (cut at the first dot), and a glob without a dot means the schema
 * "public". */
bool dm_table_glob_match(const char *glob, const char *schema, const char *table);

/* The URL (or keyword string) with any password replaced by ***, into out; returns out. */
const char *dm_url_redact(const char *url, char *out, size_t size);
/* The same with another text in the place of each password; true when there was one. */
bool dm_url_replace_secrets(const char *url, const char *with, char *out, size_t size);

/* The reference page of all options (Markdown), from the one declaration. */
enum dm_status dm_config_reference(struct dm_buffer *out, struct dm_error *err) DM_MUST_USE;

#endif
