#include "engine/change_table.h"

#include <string.h>

#include "engine/vector_read.h"

/* ---- which way ---- */

enum family { NO_FAMILY, BOOLS, NUMBERS, MOMENTS, TIMES, TEXTS, BYTES, UUIDS, LISTS, NESTED };

static const struct {
    duckdb_type id;
    enum family family;
    const char *name;
} duckdb_types[] = {
    {DUCKDB_TYPE_BOOLEAN, BOOLS, "BOOLEAN"},
    {DUCKDB_TYPE_TINYINT, NUMBERS, "TINYINT"},
    {DUCKDB_TYPE_SMALLINT, NUMBERS, "SMALLINT"},
    {DUCKDB_TYPE_INTEGER, NUMBERS, "INTEGER"},
    {DUCKDB_TYPE_BIGINT, NUMBERS, "BIGINT"},
    {DUCKDB_TYPE_UTINYINT, NUMBERS, "UTINYINT"},
    {DUCKDB_TYPE_USMALLINT, NUMBERS, "USMALLINT"},
    {DUCKDB_TYPE_UINTEGER, NUMBERS, "UINTEGER"},
    {DUCKDB_TYPE_UBIGINT, NUMBERS, "UBIGINT"},
    {DUCKDB_TYPE_HUGEINT, NUMBERS, "HUGEINT"},
    {DUCKDB_TYPE_UHUGEINT, NUMBERS, "UHUGEINT"},
    {DUCKDB_TYPE_FLOAT, NUMBERS, "FLOAT"},
    {DUCKDB_TYPE_DOUBLE, NUMBERS, "DOUBLE"},
    {DUCKDB_TYPE_DECIMAL, NUMBERS, "DECIMAL"},
    {DUCKDB_TYPE_DATE, MOMENTS, "DATE"},
    {DUCKDB_TYPE_TIMESTAMP, MOMENTS, "TIMESTAMP"},
    {DUCKDB_TYPE_TIMESTAMP_S, MOMENTS, "TIMESTAMP_S"},
    {DUCKDB_TYPE_TIMESTAMP_MS, MOMENTS, "TIMESTAMP_MS"},
    {DUCKDB_TYPE_TIMESTAMP_NS, MOMENTS, "TIMESTAMP_NS"},
    {DUCKDB_TYPE_TIMESTAMP_TZ, MOMENTS, "TIMESTAMP WITH TIME ZONE"},
    {DUCKDB_TYPE_TIME, TIMES, "TIME"},
    {DUCKDB_TYPE_VARCHAR, TEXTS, "VARCHAR"},
    {DUCKDB_TYPE_ENUM, TEXTS, "ENUM"},
    {DUCKDB_TYPE_BLOB, BYTES, "BLOB"},
    {DUCKDB_TYPE_UUID, UUIDS, "UUID"},
    {DUCKDB_TYPE_LIST, LISTS, "LIST"},
    {DUCKDB_TYPE_ARRAY, LISTS, "ARRAY"},
    {DUCKDB_TYPE_STRUCT, NESTED, "STRUCT"},
    {DUCKDB_TYPE_MAP, NESTED, "MAP"},
    {DUCKDB_TYPE_INTERVAL, NO_FAMILY, "INTERVAL"},
    {DUCKDB_TYPE_TIME_TZ, NO_FAMILY, "TIME WITH TIME ZONE"},
    {DUCKDB_TYPE_SQLNULL, TEXTS, "NULL"},
};

static const enum family our_families[] = {
    [DM_BOOL] = BOOLS,           [DM_INT32] = NUMBERS,       [DM_INT64] = NUMBERS, [DM_FLOAT32] = NUMBERS,
    [DM_FLOAT64] = NUMBERS,      [DM_DECIMAL] = NUMBERS,     [DM_DATE] = MOMENTS,  [DM_TIME] = TIMES,
    [DM_TIMESTAMP] = MOMENTS,    [DM_TIMESTAMPTZ] = MOMENTS, [DM_STRING] = TEXTS,  [DM_BINARY] = BYTES,
    [DM_TIMESTAMP_NS] = MOMENTS, [DM_UUID] = UUIDS,          [DM_LIST] = LISTS,
};

static enum family family_of(const struct dm_value_type *type)
{
    if (type->int96)
        return MOMENTS;
    for (size_t i = 0; i < sizeof duckdb_types / sizeof duckdb_types[0]; i++)
        if (duckdb_types[i].id == type->id)
            return duckdb_types[i].family;
    return NO_FAMILY;
}

const char *dm_table_type_name(const struct dm_value_type *type)
{
    if (type->zoned)
        return "TIMESTAMP WITH TIME ZONE";
    if (type->int96)
        return "TIMESTAMP";
    for (size_t i = 0; i < sizeof duckdb_types / sizeof duckdb_types[0]; i++)
        if (duckdb_types[i].id == type->id)
            return duckdb_types[i].name;
    return "another type";
}

/* Bytes of an integer that is read as it is; unsigned ones count as one more, 0: none such. */
static unsigned integer_rank(duckdb_type id)
{
    switch (id) {
    case DUCKDB_TYPE_TINYINT: return 1;
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_SMALLINT: return 2;
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_INTEGER: return 4;
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_BIGINT: return 8;
    default: return 0;
    }
}

static bool is_same(const struct dm_value_type *from, struct dm_type to)
{
    switch ((enum dm_type_id)to.id) {
    case DM_BOOL: return from->id == DUCKDB_TYPE_BOOLEAN;
    case DM_INT32: return from->id == DUCKDB_TYPE_INTEGER;
    case DM_INT64: return from->id == DUCKDB_TYPE_BIGINT;
    case DM_FLOAT32: return from->id == DUCKDB_TYPE_FLOAT;
    case DM_FLOAT64: return from->id == DUCKDB_TYPE_DOUBLE;
    case DM_DECIMAL:
        return from->id == DUCKDB_TYPE_DECIMAL && from->width == to.precision && from->scale == to.scale;
    case DM_DATE: return from->id == DUCKDB_TYPE_DATE;
    case DM_TIME: return from->id == DUCKDB_TYPE_TIME;
    case DM_TIMESTAMP: return from->id == DUCKDB_TYPE_TIMESTAMP;
    case DM_TIMESTAMPTZ: /* without zone means UTC, as in text */
        return from->id == DUCKDB_TYPE_TIMESTAMP_TZ || from->id == DUCKDB_TYPE_TIMESTAMP;
    case DM_TIMESTAMP_NS: return from->id == DUCKDB_TYPE_TIMESTAMP_NS;
    case DM_STRING: return from->id == DUCKDB_TYPE_VARCHAR;
    case DM_BINARY: return from->id == DUCKDB_TYPE_BLOB && !from->int96;
    case DM_UUID: return from->id == DUCKDB_TYPE_UUID;
    case DM_LIST: return from->id == DUCKDB_TYPE_LIST && is_same(&from->children[0], dm_type_element(to));
    }
    return false;
}

/* Is the text of a value of the one type, where it fits, a value of the other? */
static bool text_will_do(const struct dm_value_type *from, struct dm_type to)
{
    enum family a = family_of(from), b = our_families[to.id];
    if (a == TEXTS)
        return true;
    if (b == TEXTS)
        return a != BYTES;
    if (to.id == DM_TIMESTAMP || to.id == DM_DATE)
        return a == MOMENTS && from->id != DUCKDB_TYPE_TIMESTAMP_TZ && !from->zoned;
    if (to.id == DM_BOOL && a == NUMBERS) /* 0 and 1 */
        return true;
    return a == b && a != NO_FAMILY;
}

enum dm_table_mode dm_table_mode(const struct dm_value_type *from, struct dm_type to)
{
    if (is_same(from, to))
        return DM_TABLE_SAME;
    unsigned rank = integer_rank(from->id);
    if (rank != 0 && ((to.id == DM_INT32 && rank <= 4) || to.id == DM_INT64))
        return DM_TABLE_INTEGER;
    if (from->id == DUCKDB_TYPE_FLOAT && to.id == DM_FLOAT64)
        return DM_TABLE_FLOAT;
    if (from->id == DUCKDB_TYPE_DECIMAL && to.id == DM_DECIMAL && from->scale == to.scale &&
        from->width <= to.precision)
        return DM_TABLE_DECIMAL;
    if (!text_will_do(from, to))
        return DM_TABLE_NEVER;
    enum family family = family_of(from);
    return family == LISTS || family == NESTED ? DM_TABLE_JSON : DM_TABLE_TEXT;
}

/* ---- widening ---- */

static int64_t integer_at(duckdb_type id, const void *data, size_t row)
{
    switch (id) {
    case DUCKDB_TYPE_TINYINT: return ((const int8_t *)data)[row];
    case DUCKDB_TYPE_UTINYINT: return ((const uint8_t *)data)[row];
    case DUCKDB_TYPE_SMALLINT: return ((const int16_t *)data)[row];
    case DUCKDB_TYPE_USMALLINT: return ((const uint16_t *)data)[row];
    case DUCKDB_TYPE_INTEGER: return ((const int32_t *)data)[row];
    case DUCKDB_TYPE_UINTEGER: return ((const uint32_t *)data)[row];
    default: return ((const int64_t *)data)[row];
    }
}

/* Between microseconds and nanoseconds; the infinite moments are the same numbers in both. */
static bool convert_moment(duckdb_type from, int64_t v, struct dm_column *column)
{
    bool micros = from == DUCKDB_TYPE_TIMESTAMP || from == DUCKDB_TYPE_TIMESTAMP_TZ;
    bool to_nanos = micros && column->type.id == DM_TIMESTAMP_NS;
    bool to_micros = from == DUCKDB_TYPE_TIMESTAMP_NS &&
                     (column->type.id == DM_TIMESTAMP || column->type.id == DM_TIMESTAMPTZ);
    if (!to_nanos && !to_micros)
        return false;
    if (v != DM_TIMESTAMP_INFINITY && v != DM_TIMESTAMP_NEG_INFINITY) {
        if (to_nanos ? __builtin_mul_overflow(v, 1000, &v) || v <= DM_TIMESTAMP_NEG_INFINITY : v % 1000 != 0)
            return false;
        v = to_micros ? v / 1000 : v;
    }
    dm_column_append_fixed(column, &v);
    return true;
}

/* Into a column of microseconds or nanoseconds; other columns take the text. */
static bool convert_int96(duckdb_string_t value, struct dm_column *column)
{
    bool nanos = column->type.id == DM_TIMESTAMP_NS;
    if (!nanos && column->type.id != DM_TIMESTAMP && column->type.id != DM_TIMESTAMPTZ)
        return false;
    __int128 whole = dm_value_int96(value);
    if (!nanos && whole % 1000 != 0)
        return false;
    whole /= nanos ? 1 : 1000;
    if (whole <= DM_TIMESTAMP_NEG_INFINITY || whole >= DM_TIMESTAMP_INFINITY)
        return false;
    int64_t v = (int64_t)whole;
    dm_column_append_fixed(column, &v);
    return true;
}

bool dm_table_narrow(const struct dm_value_type *type, duckdb_vector vector, size_t row,
                     struct dm_column *column)
{
    if (type->int96)
        return convert_int96(((const duckdb_string_t *)duckdb_vector_get_data(vector))[row], column);
    if (family_of(type) == MOMENTS && type->id != DUCKDB_TYPE_DATE)
        return convert_moment(type->id, ((const int64_t *)duckdb_vector_get_data(vector))[row], column);
    if (column->type.id != DM_INT32 || integer_rank(type->id) == 0)
        return false;
    int64_t wide = integer_at(type->id, duckdb_vector_get_data(vector), row);
    int32_t v = (int32_t)wide;
    if (v == wide)
        dm_column_append_fixed(column, &v);
    return v == wide;
}

static dm_int128 decimal_at(duckdb_type internal, const void *data, size_t row)
{
    switch (internal) {
    case DUCKDB_TYPE_SMALLINT: return ((const int16_t *)data)[row];
    case DUCKDB_TYPE_INTEGER: return ((const int32_t *)data)[row];
    case DUCKDB_TYPE_BIGINT: return ((const int64_t *)data)[row];
    default: return ((const dm_int128 *)data)[row];
    }
}

static void read_one(enum dm_table_mode mode, const struct dm_value_type *type, const void *data, size_t row,
                     struct dm_column *column)
{
    if (mode == DM_TABLE_FLOAT) {
        double v = (double)((const float *)data)[row];
        dm_column_append_fixed(column, &v);
    } else if (mode == DM_TABLE_DECIMAL) {
        dm_int128 v = decimal_at(type->internal, data, row);
        dm_column_append_fixed(column, &v);
    } else if (column->type.id == DM_INT32) {
        int32_t v = (int32_t)integer_at(type->id, data, row);
        dm_column_append_fixed(column, &v);
    } else {
        int64_t v = integer_at(type->id, data, row);
        dm_column_append_fixed(column, &v);
    }
}

enum dm_status dm_table_read(enum dm_table_mode mode, const struct dm_value_type *type, duckdb_vector vector,
                             size_t from, size_t n, struct dm_column *column, struct dm_error *err)
{
    if (mode == DM_TABLE_SAME)
        return dm_vector_read(vector, from, n, column, err);
    const void *data = duckdb_vector_get_data(vector);
    dm_column_reserve(column, n);
    for (size_t i = from; i < from + n; i++) {
        if (dm_value_is_null(vector, i))
            dm_column_append_null(column);
        else
            read_one(mode, type, data, i, column);
    }
    return DM_OK;
}
