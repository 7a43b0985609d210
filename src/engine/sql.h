/* sql.h — SQL over the current state of datasets, for `query`, `sql`, `check` and `verify`.
 *
 * A session is one in-memory DuckDB database with the engine's options (so the memory limit counts once a session).
 * dm_sql_add_dataset makes a dataset visible as "namespace"."table" (a view over its files by field id, deletion vectors applied while
 * scanning). Names are equal without regard to case in DuckDB: a dataset, or a column, whose name is taken gets "_2", "_<field id>"
 * appended. Bitmaps are borrowed until the session is closed (the array of files is not). One thread a session.
 */
#ifndef DM_ENGINE_SQL_H
#define DM_ENGINE_SQL_H

#include <stdatomic.h>
#include <stdio.h>

#include "engine/parquet_read.h"

struct dm_sql;

enum dm_sql_format { DM_SQL_TABLE, DM_SQL_CSV, DM_SQL_JSON, DM_SQL_SHEET };

enum dm_status dm_sql_open(struct dm_engine *e, struct dm_sql **out, struct dm_error *err) DM_MUST_USE;
void dm_sql_close(struct dm_sql *s);

enum dm_status dm_sql_add_dataset(struct dm_sql *s, const char *namespace, const char *table,
                                  const struct dm_schema *schema, const struct dm_scan_file *files,
                                  size_t n_files, struct dm_error *err) DM_MUST_USE;
/* The name of a dataset's view within its namespace (its own, or with "_2" appended). NULL: no such dataset. Borrowed. */
const char *dm_sql_view_of(const struct dm_sql *s, const char *namespace, const char *table);
/* A view of the caller's over datasets: "namespace"."name" AS select. A name that is taken gets "_2" appended, as with datasets. */
enum dm_status dm_sql_add_view(struct dm_sql *s, const char *namespace, const char *name, const char *select,
                               struct dm_error *err) DM_MUST_USE;
/* Forbids everything but one SELECT (also WITH, FROM, DESCRIBE, SUMMARIZE, SHOW) at a time over the datasets that were added: no other
 * files, not even the raw data files, no settings, no extensions, no table functions but harmless ones. Irrevocable; a second call is fine. */
enum dm_status dm_sql_lock(struct dm_sql *s, struct dm_error *err) DM_MUST_USE;
/* The same lock, but files may be read, too, with the rights and in the folder of this process: read_csv, read_parquet, read_json and their kin, and a
 * file's name in place of a table's. */
enum dm_status dm_sql_lock_files(struct dm_sql *s, struct dm_error *err) DM_MUST_USE;

struct dm_sql_limits {
    int64_t timeout_ms;     /* from this call on; 0: none */
    const atomic_int *stop; /* > 0 ends what runs; NULL: nobody asks */
};
/* What runs when the time is over, or somebody asks for an end, fails (TRANSIENT), and so does all that follows. Called again it sets the clock anew.
 * Memory and threads are limited by the engine's options. */
enum dm_status dm_sql_limit(struct dm_sql *s, const struct dm_sql_limits *limits,
                            struct dm_error *err) DM_MUST_USE;

/* What DuckDB would guess of the text files that a query reads: types from the first rows (decimals become DOUBLE, "007" becomes 7), and where the rows
 * begin. A query that only takes columns of one CSV file (SELECT *, columns, casts; no condition, no order) is given all its values as texts, so that
 * nothing is guessed; one that would skip rows in front is a CONFIG error. */
struct dm_sql_guess {
    char *query;  /* what is to be run */
    char *reader; /* for messages: the reader whose types are guessed; NULL: none are */
    char *note;   /* for people: columns that it reads as DOUBLE; NULL: none */
};
enum dm_status dm_sql_guess(struct dm_sql *s, const char *query, struct dm_sql_guess *out,
                            struct dm_error *err) DM_MUST_USE;
void dm_sql_guess_release(struct dm_sql_guess *g);

/* `query` with other names for its columns, one for each (CONFIG error when there are more or fewer). *out is malloc'ed. */
enum dm_status dm_sql_rename(struct dm_sql *s, const char *query, const char *const *names, size_t n,
                             char **out, struct dm_error *err) DM_MUST_USE;
/* Writes the result of one query into a Parquet file, in its order. Types that Parquet does not have (HUGEINT, INTERVAL, …) become exact texts. */
enum dm_status dm_sql_save(struct dm_sql *s, const char *query, const char *path, uint64_t *rows,
                           struct dm_error *err) DM_MUST_USE;

/* Runs statements; no result wanted. */
enum dm_status dm_sql_execute(struct dm_sql *s, const char *sql, struct dm_error *err) DM_MUST_USE;
/* Runs one query and prints its rows: an aligned table (cut to the terminal's width when it is one), CSV with header (RFC 4180: CRLF;
 * NULL is empty, an empty text is ""; binary is \x and hexadecimal digits), or NDJSON (see value_text.h: exact numbers, ISO 8601,
 * binary as hexadecimal digits).
 * *rows (may be NULL): rows printed. A SQL mistake is a CONFIG error with DuckDB's text. */
enum dm_status dm_sql_print(struct dm_sql *s, const char *sql, enum dm_sql_format format, FILE *out,
                            uint64_t *rows, struct dm_error *err) DM_MUST_USE;
/* Runs one query; each row arrives as n texts as DuckDB casts to VARCHAR (NULL for null; binary is \x and hexadecimal digits), borrowed for
 * the call. */
typedef enum dm_status (*dm_sql_row)(void *ctx, size_t n, const char *const *values, struct dm_error *err);
enum dm_status dm_sql_each(struct dm_sql *s, const char *sql, dm_sql_row fn, void *ctx,
                           struct dm_error *err) DM_MUST_USE;

#endif
