#include "engine/scan_filter.h"

#include <stdio.h>

#include "engine/handoff.h"

static void look_up(const struct dm_scan_filter *filter, duckdb_function_info info, duckdb_data_chunk input,
                    duckdb_vector output)
{
    bool one_file = duckdb_data_chunk_get_column_count(input) == 1;
    const uint64_t *files = one_file ? NULL : duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
    const int64_t *rows = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, one_file ? 0 : 1));
    bool *out = duckdb_vector_get_data(output);
    idx_t n = duckdb_data_chunk_get_size(input);
    uint64_t last = UINT64_MAX;
    const roaring_bitmap_t *bitmap = NULL;
    dm_vector_write_begin();
    for (idx_t i = 0; i < n; i++) {
        uint64_t file = one_file ? 0 : files[i];
        if (file != last) {
            last = file;
            if (last >= filter->n_files) {
                duckdb_scalar_function_set_error(info, "file index out of range");
                break;
            }
            bitmap = filter->positions[last];
        }
        bool listed = bitmap != NULL && rows[i] >= 0 && rows[i] <= UINT32_MAX &&
                      roaring_bitmap_contains(bitmap, (uint32_t)rows[i]);
        out[i] = listed == filter->keep;
    }
    dm_vector_write_end();
}

static void visible(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
    const struct dm_scan_filter **slot = duckdb_scalar_function_get_extra_info(info);
    dm_handoff_take(slot);
    if (*slot == NULL)
        duckdb_scalar_function_set_error(info, "no filter");
    else
        look_up(*slot, info, input, output);
    dm_handoff_give(slot);
}

static duckdb_scalar_function function_new(const char *name, bool one_file,
                                           const struct dm_scan_filter **slot)
{
    duckdb_scalar_function f = duckdb_create_scalar_function();
    duckdb_logical_type file = duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT);
    duckdb_logical_type row = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
    duckdb_logical_type boolean = duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
    duckdb_scalar_function_set_name(f, name);
    if (!one_file)
        duckdb_scalar_function_add_parameter(f, file);
    duckdb_scalar_function_add_parameter(f, row);
    duckdb_scalar_function_set_return_type(f, boolean);
    duckdb_scalar_function_set_extra_info(f, slot, NULL);
    duckdb_scalar_function_set_function(f, visible);
    duckdb_destroy_logical_type(&file);
    duckdb_destroy_logical_type(&row);
    duckdb_destroy_logical_type(&boolean);
    return f;
}

/* Not declared volatile: within one query the answer depends on the arguments only, and DuckDB keeps volatile functions out of scans. */
enum dm_status dm_scan_filter_register(duckdb_connection c, unsigned number,
                                       const struct dm_scan_filter **slot, struct dm_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "dm_visible_%u", number);
    duckdb_scalar_function_set set = duckdb_create_scalar_function_set(name);
    duckdb_scalar_function one = function_new(name, true, slot);
    duckdb_scalar_function two = function_new(name, false, slot);
    bool good = duckdb_add_scalar_function_to_set(set, one) == DuckDBSuccess &&
                duckdb_add_scalar_function_to_set(set, two) == DuckDBSuccess &&
                duckdb_register_scalar_function_set(c, set) == DuckDBSuccess;
    duckdb_destroy_scalar_function(&one);
    duckdb_destroy_scalar_function(&two);
    duckdb_destroy_scalar_function_set(&set);
    return good ? DM_OK : dm_fail(err, DM_ERROR_FATAL, NULL, "cannot register %s with DuckDB", name);
}
