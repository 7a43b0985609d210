/* parquet_stream.h — inside engine/ only: the rows of a Parquet file, chunk by chunk and in order, from a DuckDB session of its own.
 *
 * What DuckDB says of a file here is about the file, even when it calls it an internal error (which makes the session unusable, no more): a DATA error. Where it
 * refuses the file for a value, the caller goes on with dm_parquet_stream_bare, and reads that value itself.
 *
 *     struct dm_parquet_stream s;
 *     if (dm_parquet_stream_open(&s, engine, path, err) != DM_OK) ...
 *     … s.stream.result has the columns; dm_change_parquet_type(&s.file, i, &type) what they mean …
 *     while ((status = dm_parquet_stream_next(&s, &chunk, err)) == DM_OK) …
 *     dm_parquet_stream_close(&s);
 */
#ifndef DM_ENGINE_PARQUET_STREAM_H
#define DM_ENGINE_PARQUET_STREAM_H

#include "engine/change_parquet.h"
#include "engine/duckdb_stream.h"
#include "engine/sql.h"

struct dm_parquet_stream {
    struct dm_engine *engine;
    char *path;
    struct dm_change_parquet file;
    struct dm_sql *session; /* it keeps the order of the rows, which the engine's does not */
    struct dm_stream stream;
    bool open;
    bool asked;    /* DuckDB has seen the file */
    bool bare;     /* no column has DuckDB's conversion any more */
    uint64_t rows; /* in all, as the footer says */
};

/* On failure nothing is left to close. */
enum dm_status dm_parquet_stream_open(struct dm_parquet_stream *s, struct dm_engine *e, const char *path,
                                      struct dm_error *err) DM_MUST_USE;
/* DM_OK: *chunk is the caller's (duckdb_destroy_data_chunk). DM_END: no more. */
enum dm_status dm_parquet_stream_next(struct dm_parquet_stream *s, duckdb_data_chunk *chunk,
                                      struct dm_error *err) DM_MUST_USE;
/* After a failure of `next` with `err`: goes on behind the first `skip` rows, without any conversion of DuckDB's. The columns' types are others then. Fails
 * with the error that is there already where that is no way out. */
enum dm_status dm_parquet_stream_bare(struct dm_parquet_stream *s, uint64_t skip,
                                      struct dm_error *err) DM_MUST_USE;
void dm_parquet_stream_close(struct dm_parquet_stream *s);

#endif
