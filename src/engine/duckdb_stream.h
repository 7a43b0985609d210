/* duckdb_stream.h — inside engine/ only: the rows of a query chunk by chunk, without holding all of them. */
#ifndef DM_ENGINE_DUCKDB_STREAM_H
#define DM_ENGINE_DUCKDB_STREAM_H

#include <duckdb.h>

#include "base/error.h"

struct dm_stream {
    duckdb_prepared_statement statement;
    duckdb_result result;
    enum dm_error_class fallback; /* class of errors in the SQL itself */
};

/* On failure nothing is left to close. */
enum dm_status dm_stream_open(struct dm_stream *s, duckdb_connection c, const char *sql,
                              enum dm_error_class fallback, struct dm_error *err) DM_MUST_USE;
/* DM_OK: *chunk is owned by the caller (duckdb_destroy_data_chunk). DM_END: no more. */
enum dm_status dm_stream_next(struct dm_stream *s, duckdb_data_chunk *chunk,
                              struct dm_error *err) DM_MUST_USE;
void dm_stream_close(struct dm_stream *s);

#endif
