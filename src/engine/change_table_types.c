#include "engine/change_table.h"

#include <stdio.h>
#include <string.h>

#include "engine/value_bare.h"
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
    {DUCKDB_TYPE_TIME_NS, TIMES, "TIME_NS"},
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

/* Values that DuckDB gives as they stand in a Parquet file. */
static const struct {
    enum family family;
    const char *name;
} meanings[] = {
    [DM_MEANS_NULL] = {TEXTS, "NULL"},
    [DM_MEANS_UNSIGNED] = {NUMBERS, "UINTEGER"},
    [DM_MEANS_DATE] = {MOMENTS, "DATE"},
    [DM_MEANS_TIME] = {TIMES, "TIME"},
    [DM_MEANS_MOMENT] = {MOMENTS, "TIMESTAMP"},
    [DM_MEANS_INT96] = {MOMENTS, "TIMESTAMP"},
    [DM_MEANS_DECIMAL] = {NUMBERS, "DECIMAL"},
    [DM_MEANS_TEXT] = {TEXTS, "VARCHAR"},
    [DM_MEANS_UUID] = {UUIDS, "UUID"},
    [DM_MEANS_HALF] = {NUMBERS, "FLOAT"},
    [DM_MEANS_INTERVAL] = {NO_FAMILY, "INTERVAL"},
};

static enum family family_of(const struct dm_value_type *type)
{
    if (type->meaning != DM_MEANS_ITSELF)
        return meanings[type->meaning].family;
    for (size_t i = 0; i < sizeof duckdb_types / sizeof duckdb_types[0]; i++)
        if (duckdb_types[i].id == type->id)
            return duckdb_types[i].family;
    return NO_FAMILY;
}

const char *dm_table_type_name(const struct dm_value_type *type)
{
    if (type->meaning == DM_MEANS_MOMENT && type->zoned)
        return "TIMESTAMP WITH TIME ZONE";
    if (type->meaning != DM_MEANS_ITSELF)
        return meanings[type->meaning].name;
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
    if (from->meaning != DM_MEANS_ITSELF) /* the one whose bits are the column's, too */
        return from->meaning == DM_MEANS_MOMENT && from->per_second == 1000000000 && to.id == DM_TIMESTAMP_NS;
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
    case DM_BINARY: return from->id == DUCKDB_TYPE_BLOB;
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
    unsigned rank = from->meaning == DM_MEANS_ITSELF ? integer_rank(from->id) : 0;
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
    if (family == LISTS && to.id == DM_LIST)
        return dm_table_mode(&from->children[0], dm_type_element(to)) != DM_TABLE_NEVER ? DM_TABLE_LIST
                                                                                        : DM_TABLE_NEVER;
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

/* Of a wider integer into an int32 column, or of a timestamp into one of another unit, when it fits: the usual cases of TEXT, without the text. */
static bool narrow(const struct dm_value_type *type, duckdb_vector vector, size_t row,
                   struct dm_column *column)
{
    if (type->meaning != DM_MEANS_ITSELF)
        return dm_bare_append(type, duckdb_vector_get_data(vector), row, column);
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

/* ---- bounds ---- */

static bool bounded_decimals(const dm_int128 *v, size_t n, unsigned precision)
{
    dm_int128 most = 1;
    while (precision-- > 0)
        most *= 10;
    bool good = true;
    for (size_t i = 0; i < n; i++)
        good &= v[i] < most && v[i] > -most;
    return good;
}

bool dm_table_bounded(const struct dm_column *c, size_t from, size_t n)
{
    enum { DAY = 86400 };
    bool good = true;
    const int64_t *v = (const int64_t *)(const void *)c->data;
    switch ((enum dm_type_id)c->type.id) {
    case DM_DATE: /* the number below that of -infinity */
        for (size_t i = from; i < from + n; i++)
            good &= ((const int32_t *)(const void *)c->data)[i] != INT32_MIN;
        return good;
    case DM_TIME:
        for (size_t i = from; i < from + n; i++)
            good &= v[i] >= 0 && v[i] <= INT64_C(1000000) * DAY;
        return good;
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS:
        for (size_t i = from; i < from + n; i++)
            good &= v[i] != INT64_MIN;
        return good;
    case DM_DECIMAL:
        return bounded_decimals((const dm_int128 *)(const void *)c->data + from, n, c->type.precision);
    case DM_LIST:
        return n == 0 ||
               dm_table_bounded(c->child, c->offsets[from], c->offsets[from + n] - c->offsets[from]);
    default: return true;
    }
}

void dm_table_clear(struct dm_column *c, size_t i)
{
    if (c->child != NULL) {
        for (size_t k = c->offsets[i]; k < c->offsets[i + 1]; k++)
            if (!dm_table_bounded(c->child, k, 1))
                dm_table_clear(c->child, k);
        return;
    }
    memset(c->data + i * c->width, 0, c->width);
    c->state[i] = DM_NULL;
    c->nulls++;
}

/* ---- one value ---- */

static enum dm_status take_list(const struct dm_value_type *type, duckdb_vector vector, size_t row,
                                struct dm_column *column, struct dm_buffer *text,
                                struct dm_value_problem *problem, struct dm_error *err)
{
    bool array = type->id == DUCKDB_TYPE_ARRAY;
    duckdb_vector child =
        array ? duckdb_array_vector_get_child(vector) : duckdb_list_vector_get_child(vector);
    const duckdb_list_entry *entry = (const duckdb_list_entry *)duckdb_vector_get_data(vector) + row;
    size_t from = array ? row * type->array_size : entry->offset,
           n = array ? type->array_size : entry->length;
    enum dm_table_mode mode = dm_table_mode(&type->children[0], column->child->type);
    dm_column_reserve(column, 1);
    for (size_t i = from; i < from + n && problem->reason == NULL; i++) {
        if (dm_value_is_null(child, i))
            dm_column_append_null(column->child);
        else if (dm_table_take(mode, &type->children[0], child, i, column->child, text, problem, err) !=
                 DM_OK)
            return DM_FAIL;
    }
    if (problem->reason != NULL)
        dm_column_truncate(column, column->length);
    else
        dm_column_close_list(column);
    return DM_OK;
}

/* As it is, unless it is one of the numbers that are none. */
static enum dm_status take_as_is(enum dm_table_mode mode, const struct dm_value_type *type,
                                 duckdb_vector vector, size_t row, struct dm_column *column,
                                 struct dm_value_problem *problem, struct dm_error *err)
{
    if (dm_table_read(mode, type, vector, row, 1, column, err) != DM_OK)
        return DM_FAIL;
    if (!dm_table_bounded(column, column->length - 1, 1)) {
        dm_column_truncate(column, column->length - 1);
        dm_table_refuse(problem, "is not a value that this type holds");
    }
    return DM_OK;
}

void dm_table_refuse(struct dm_value_problem *problem, const char *why)
{
    problem->reason = "value_out_of_range";
    (void)snprintf(problem->message, sizeof problem->message, "%s", why);
}

enum dm_status dm_table_take(enum dm_table_mode mode, const struct dm_value_type *type, duckdb_vector vector,
                             size_t row, struct dm_column *column, struct dm_buffer *text,
                             struct dm_value_problem *problem, struct dm_error *err)
{
    problem->reason = NULL;
    const char *beyond = mode == DM_TABLE_LIST ? NULL : dm_value_beyond(type, vector, row);
    if (beyond != NULL) {
        dm_table_refuse(problem, beyond);
        return DM_OK;
    }
    if (mode == DM_TABLE_NEVER) {
        problem->reason = "wrong_type";
        (void)snprintf(problem->message, sizeof problem->message, "an integer is no value of this type");
        return DM_OK;
    }
    if (mode == DM_TABLE_LIST)
        return take_list(type, vector, row, column, text, problem, err);
    if (mode != DM_TABLE_TEXT && mode != DM_TABLE_JSON)
        return take_as_is(mode, type, vector, row, column, problem, err);
    if (narrow(type, vector, row, column))
        return DM_OK;
    if (type->meaning == DM_MEANS_TIME && column->type.id == DM_TIME) {
        dm_table_refuse(problem, "is not a time of day of whole microseconds");
        return DM_OK;
    }
    dm_buffer_clear(text);
    enum dm_spelling how = mode == DM_TABLE_JSON ? DM_SPELL_JSON : DM_SPELL_FIELD;
    if (dm_value_text(text, type, vector, row, how, err) != DM_OK)
        return DM_FAIL;
    (void)dm_value_parse(column, text->len != 0 ? (const char *)text->data : "", text->len, problem);
    return DM_OK;
}
