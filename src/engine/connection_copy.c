#include <string.h>
#include <time.h>

#include "engine/connection.h"

/* A statement that is prepared or pending tells its error as text only. */
static enum dm_status fail(struct dm_error *err, const char *text)
{
    static const struct {
        const char *begins;
        duckdb_error_type type;
    } known[] = {{"IO Error: ", DUCKDB_ERROR_IO},
                 {"Out of Memory Error: ", DUCKDB_ERROR_OUT_OF_MEMORY},
                 {"INTERRUPT Error: ", DUCKDB_ERROR_INTERRUPT},
                 {"INTERNAL Error: ", DUCKDB_ERROR_INTERNAL},
                 {"FATAL Error: ", DUCKDB_ERROR_FATAL}};
    duckdb_error_type type = DUCKDB_ERROR_INVALID;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (text != NULL && strncmp(text, known[i].begins, strlen(known[i].begins)) == 0)
            type = known[i].type;
    return dm_duckdb_fail(err, type, text, DM_ERROR_FATAL);
}

static enum dm_status run(duckdb_pending_result pending, uint64_t *changed, struct dm_error *err)
{
    static const struct timespec nap = {.tv_nsec = 50000};
    duckdb_pending_state state;
    while (!duckdb_pending_execution_is_finished(state = duckdb_pending_execute_task(pending)))
        if (state == DUCKDB_PENDING_NO_TASKS_AVAILABLE)
            (void)nanosleep(&nap, NULL);
    if (state == DUCKDB_PENDING_ERROR)
        return fail(err, duckdb_pending_error(pending));
    duckdb_result result = {0};
    enum dm_status status = DM_OK;
    if (duckdb_execute_pending(pending, &result) != DuckDBSuccess)
        status = fail(err, duckdb_result_error(&result));
    else
        *changed = duckdb_rows_changed(&result);
    duckdb_destroy_result(&result);
    return status;
}

enum dm_status dm_connection_copy(duckdb_connection c, const char *sql, uint64_t *changed,
                                  struct dm_error *err)
{
    duckdb_prepared_statement statement = NULL;
    duckdb_pending_result pending = NULL;
    enum dm_status status;
    if (duckdb_prepare(c, sql, &statement) != DuckDBSuccess)
        status = fail(err, duckdb_prepare_error(statement));
    else if (duckdb_pending_prepared(statement, &pending) != DuckDBSuccess)
        status = fail(err, duckdb_pending_error(pending));
    else
        status = run(pending, changed, err);
    duckdb_destroy_pending(&pending);
    duckdb_destroy_prepare(&statement);
    return status;
}
