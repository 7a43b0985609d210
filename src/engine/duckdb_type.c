#include "engine/duckdb_type.h"

#include <stdio.h>

size_t dm_duckdb_decimal_width(unsigned precision)
{
    return precision <= 4 ? 2 : precision <= 9 ? 4 : precision <= 18 ? 8 : 16;
}

static const struct {
    const char *sql;
    duckdb_type id;
} types[] = {
    [DM_BOOL] = {"BOOLEAN", DUCKDB_TYPE_BOOLEAN},
    [DM_INT32] = {"INTEGER", DUCKDB_TYPE_INTEGER},
    [DM_INT64] = {"BIGINT", DUCKDB_TYPE_BIGINT},
    [DM_FLOAT32] = {"FLOAT", DUCKDB_TYPE_FLOAT},
    [DM_FLOAT64] = {"DOUBLE", DUCKDB_TYPE_DOUBLE},
    [DM_DECIMAL] = {"DECIMAL", DUCKDB_TYPE_DECIMAL},
    [DM_DATE] = {"DATE", DUCKDB_TYPE_DATE},
    [DM_TIME] = {"TIME", DUCKDB_TYPE_TIME},
    [DM_TIMESTAMP] = {"TIMESTAMP", DUCKDB_TYPE_TIMESTAMP},
    [DM_TIMESTAMPTZ] = {"TIMESTAMPTZ", DUCKDB_TYPE_TIMESTAMP_TZ},
    [DM_TIMESTAMP_NS] = {"TIMESTAMP_NS", DUCKDB_TYPE_TIMESTAMP_NS},
    [DM_STRING] = {"VARCHAR", DUCKDB_TYPE_VARCHAR},
    [DM_BINARY] = {"BLOB", DUCKDB_TYPE_BLOB},
    [DM_UUID] = {"UUID", DUCKDB_TYPE_UUID},
};

duckdb_logical_type dm_duckdb_type_new(struct dm_type type)
{
    if (type.id == DM_LIST) {
        duckdb_logical_type element = dm_duckdb_type_new(dm_type_element(type));
        duckdb_logical_type list = duckdb_create_list_type(element);
        duckdb_destroy_logical_type(&element);
        return list;
    }
    if (type.id == DM_DECIMAL)
        return duckdb_create_decimal_type(type.precision, type.scale);
    return duckdb_create_logical_type(types[type.id].id);
}

const char *dm_duckdb_type_sql(struct dm_type type, char *out, size_t size)
{
    const char *list = type.id == DM_LIST ? "[]" : "";
    if (type.id == DM_LIST)
        type = dm_type_element(type);
    if (type.id == DM_DECIMAL)
        snprintf(out, size, "DECIMAL(%u,%u)%s", (unsigned)type.precision, (unsigned)type.scale, list);
    else
        snprintf(out, size, "%s%s", types[type.id].sql, list);
    return out;
}
