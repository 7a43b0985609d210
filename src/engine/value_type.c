#include <stdlib.h>

#include "base/memory.h"
#include "engine/value_text.h"

static enum dm_status add_child(struct dm_value_type *t, duckdb_logical_type take_type, struct dm_error *err)
{
    t->children = dm_xrealloc(t->children, t->n + 1, sizeof *t->children);
    return dm_value_type_init(&t->children[t->n++], take_type, err);
}

static enum dm_status init_struct(struct dm_value_type *t, struct dm_error *err)
{
    uint64_t n = duckdb_struct_type_child_count(t->type);
    t->names = dm_xzalloc(n + 1, sizeof *t->names);
    for (uint64_t i = 0; i < n; i++) {
        char *name = duckdb_struct_type_child_name(t->type, i);
        t->names[i] = dm_xstrdup(name);
        duckdb_free(name);
        if (add_child(t, duckdb_struct_type_child_type(t->type, i), err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_value_type_init(struct dm_value_type *t, duckdb_logical_type take_type,
                                  struct dm_error *err)
{
    *t = (struct dm_value_type){.id = duckdb_get_type_id(take_type), .type = take_type};
    switch (t->id) {
    case DUCKDB_TYPE_DECIMAL:
        t->internal = duckdb_decimal_internal_type(t->type);
        t->width = duckdb_decimal_width(t->type);
        t->scale = duckdb_decimal_scale(t->type);
        return DM_OK;
    case DUCKDB_TYPE_ENUM: t->internal = duckdb_enum_internal_type(t->type); return DM_OK;
    case DUCKDB_TYPE_LIST: return add_child(t, duckdb_list_type_child_type(t->type), err);
    case DUCKDB_TYPE_ARRAY:
        t->array_size = duckdb_array_type_array_size(t->type);
        return add_child(t, duckdb_array_type_child_type(t->type), err);
    case DUCKDB_TYPE_MAP: /* stored as a list of (key, value) */
        if (add_child(t, duckdb_map_type_key_type(t->type), err) != DM_OK)
            return DM_FAIL;
        return add_child(t, duckdb_map_type_value_type(t->type), err);
    case DUCKDB_TYPE_STRUCT: return init_struct(t, err);
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_DATE:
    case DUCKDB_TYPE_TIME:
    case DUCKDB_TYPE_TIME_TZ:
    case DUCKDB_TYPE_TIME_NS:
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ:
    case DUCKDB_TYPE_TIMESTAMP_S:
    case DUCKDB_TYPE_TIMESTAMP_MS:
    case DUCKDB_TYPE_TIMESTAMP_NS:
    case DUCKDB_TYPE_INTERVAL:
    case DUCKDB_TYPE_UUID:
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB:
    case DUCKDB_TYPE_SQLNULL: return DM_OK;
    default:
        if (dm_value_type_is_number(t))
            return DM_OK;
        return dm_fail(err, DM_ERROR_CONFIG, "cast the column to VARCHAR in the query",
                       "a column of a type that cannot be printed (DuckDB type %d)", (int)t->id);
    }
}

void dm_value_type_release(struct dm_value_type *t)
{
    for (size_t i = 0; i < t->n; i++) {
        dm_value_type_release(&t->children[i]);
        if (t->names != NULL)
            free(t->names[i]);
    }
    free(t->names);
    free(t->children);
    if (t->type != NULL)
        duckdb_destroy_logical_type(&t->type);
    *t = (struct dm_value_type){0};
}

bool dm_value_type_is_number(const struct dm_value_type *t)
{
    switch (t->id) {
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT:
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE:
    case DUCKDB_TYPE_DECIMAL: return true;
    default: return false;
    }
}
