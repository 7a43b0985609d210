#include "engine/duckdb_stream.h"

#include <stddef.h>

#include "engine/connection.h"

enum dm_status dm_stream_open(struct dm_stream *s, duckdb_connection c, const char *sql,
                              enum dm_error_class fallback, struct dm_error *err)
{
    *s = (struct dm_stream){.fallback = fallback};
    if (duckdb_prepare(c, sql, &s->statement) != DuckDBSuccess) {
        (void)dm_duckdb_fail(err, DUCKDB_ERROR_INVALID, duckdb_prepare_error(s->statement), fallback);
        duckdb_destroy_prepare(&s->statement);
        return DM_FAIL;
    }
    if (duckdb_execute_prepared_streaming(s->statement, &s->result) != DuckDBSuccess) {
        (void)dm_duckdb_fail(err, duckdb_result_error_type(&s->result), duckdb_result_error(&s->result),
                             fallback);
        dm_stream_close(s);
        return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_stream_next(struct dm_stream *s, duckdb_data_chunk *chunk, struct dm_error *err)
{
    *chunk = duckdb_fetch_chunk(s->result);
    if (*chunk != NULL)
        return DM_OK;
    const char *text = duckdb_result_error(&s->result);
    if (text != NULL && text[0] != 0)
        return dm_duckdb_fail(err, duckdb_result_error_type(&s->result), text, s->fallback);
    return DM_END;
}

void dm_stream_close(struct dm_stream *s)
{
    duckdb_destroy_result(&s->result);
    duckdb_destroy_prepare(&s->statement);
}
