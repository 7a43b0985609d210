/* connection.h — inside engine/ only: pooled DuckDB connections and DuckDB's errors as ours.
 *
 * A connection costs more to make than a small query, so the engine keeps some. dm_connection_take lends one to the calling
 * thread until dm_connection_give. Each connection has two functions of its own, registered once:
 *   table function  dm_pull_<number>()                      hands out the chunks of `source` (see parquet_write.c)
 *   scalar function dm_visible_<number>(file_index, row)    looks into `filter` (see scan_filter.h)
 * Both read what the borrower has put into the connection; without it they fail.
 */
#ifndef DM_ENGINE_CONNECTION_H
#define DM_ENGINE_CONNECTION_H

#include <duckdb.h>

#include "engine/engine.h"

struct dm_chunk_source;
struct dm_scan_filter;

struct dm_connection {
    duckdb_connection handle;
    unsigned number;
    struct dm_chunk_source *source;      /* set by the borrower around a query; see chunk_source.h */
    const struct dm_scan_filter *filter; /* likewise; see scan_filter.h */
    struct dm_connection *next;          /* in the pool */
};

enum dm_status dm_connection_take(struct dm_engine *e, struct dm_connection **out,
                                  struct dm_error *err) DM_MUST_USE;
void dm_connection_give(struct dm_engine *e, struct dm_connection *c); /* NULL is fine */

/* Opens an in-memory database with the engine's options. */
enum dm_status dm_engine_open_database(const struct dm_engine_options *options, duckdb_database *out,
                                       struct dm_error *err) DM_MUST_USE;
const struct dm_engine_options *dm_engine_options_of(const struct dm_engine *e);

/* Writing a row takes DuckDB several times its size, so rows that are large for the memory limit are written by one at a time: begin
 * waits for the others. Any thread may end it. */
uint64_t dm_engine_large_row(const struct dm_engine *e); /* from here on a row is large */
void dm_engine_large_begin(struct dm_engine *e);
void dm_engine_large_end(struct dm_engine *e);

/* Runs a statement whose result nobody wants. */
enum dm_status dm_connection_run(duckdb_connection c, const char *sql, struct dm_error *err) DM_MUST_USE;
/* Runs one long statement; *changed: rows that COPY wrote. Does not turn on the spot, as duckdb_query does, while one of DuckDB's threads has the last
 * task: that would take a processor from somebody. */
enum dm_status dm_connection_copy(duckdb_connection c, const char *sql, uint64_t *changed,
                                  struct dm_error *err) DM_MUST_USE;
/* Turns DuckDB's error into ours. `fallback` is the class of errors that are neither memory, disk nor internal. */
enum dm_status dm_duckdb_fail(struct dm_error *err, duckdb_error_type type, const char *text,
                              enum dm_error_class fallback);

struct dm_buffer;
/* Appends 'text' or "text" with the quotes inside doubled. */
enum dm_status dm_sql_quote(struct dm_buffer *b, char quote, const char *text,
                            struct dm_error *err) DM_MUST_USE;

#endif
