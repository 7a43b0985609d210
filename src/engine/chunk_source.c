/* The table function dm_pull_<number>(): our batches as DuckDB's chunks. It is scanned by one thread only, which is what keeps
 * the rows in order (row positions in the file are stored in the key index). */
#include "engine/chunk_source.h"

#include <stdio.h>

#include "engine/duckdb_type.h"
#include "engine/handoff.h"

static void bind(duckdb_bind_info info)
{
    struct dm_chunk_source **slot = duckdb_bind_get_extra_info(info);
    struct dm_chunk_source *source = *slot;
    if (source == NULL) {
        duckdb_bind_set_error(info, "no source");
        return;
    }
    for (size_t i = 0; i < source->schema->n_fields; i++) {
        duckdb_logical_type type = dm_duckdb_type_new(source->schema->fields[i].type);
        duckdb_bind_add_result_column(info, source->names[i], type);
        duckdb_destroy_logical_type(&type);
    }
    duckdb_bind_set_bind_data(info, source, NULL);
}

static void start(duckdb_init_info info)
{
    duckdb_init_set_max_threads(info, 1);
}

static void next(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct dm_chunk_source *source = duckdb_function_get_bind_data(info);
    dm_handoff_take(source);
    enum dm_status status = source->fill(source, chunk);
    dm_handoff_give(source);
    if (status != DM_OK)
        duckdb_function_set_error(info, "the source of the rows failed");
}

enum dm_status dm_chunk_source_register(duckdb_connection c, unsigned number, struct dm_chunk_source **slot,
                                        struct dm_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "dm_pull_%u", number);
    duckdb_table_function f = duckdb_create_table_function();
    duckdb_table_function_set_name(f, name);
    duckdb_table_function_set_extra_info(f, slot, NULL);
    duckdb_table_function_set_bind(f, bind);
    duckdb_table_function_set_init(f, start);
    duckdb_table_function_set_function(f, next);
    duckdb_state state = duckdb_register_table_function(c, f);
    duckdb_destroy_table_function(&f);
    if (state != DuckDBSuccess)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "cannot register %s with DuckDB", name);
    return DM_OK;
}
