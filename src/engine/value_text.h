/* value_text.h — inside engine/ only: values of any DuckDB type as text for people (plain) or as JSON.
 *
 * Plain: what DuckDB's cast to VARCHAR gives, except that binary is \x and hexadecimal digits; lists [a, b], structs {'k': v}.
 * JSON: integers and decimals as exact numbers (however long); floats as the shortest number that reads back the same, or "NaN",
 * "Infinity", "-Infinity"; dates and times in ISO 8601 (years beyond 0…9999 with sign and at least four digits; infinite ones
 * "infinity", "-infinity"; TIMESTAMPTZ, and a zoned TIMESTAMP_NS, with Z; INT96 is a timestamp, too); binary as a text of hexadecimal digits; UUID, INTERVAL and the rest as text;
 * lists as arrays, structs as objects, maps as arrays of {"key", "value"}.
 */
#ifndef DM_ENGINE_VALUE_TEXT_H
#define DM_ENGINE_VALUE_TEXT_H

#include <duckdb.h>
#include <stdbool.h>

#include "base/buffer.h"

/* A DuckDB type, taken apart once a query. */
struct dm_value_type {
    duckdb_type id;
    duckdb_type internal;  /* DECIMAL, ENUM: how it is stored */
    unsigned scale, width; /* DECIMAL */
    uint64_t array_size;   /* ARRAY */
    bool zoned;            /* TIMESTAMP_NS: in UTC, as TIMESTAMPTZ is (change_parquet.h) */
    bool int96;            /* BLOB: a moment of nanoseconds, Parquet's INT96 (change_parquet.h) */
    size_t n;              /* nested: number of children */
    struct dm_value_type *children;
    char **names;             /* STRUCT: of the children */
    duckdb_logical_type type; /* owned */
};

enum dm_status dm_value_type_init(struct dm_value_type *t, duckdb_logical_type take_type,
                                  struct dm_error *err) DM_MUST_USE;
void dm_value_type_release(struct dm_value_type *t);
bool dm_value_type_is_number(const struct dm_value_type *t);

bool dm_value_is_null(duckdb_vector vector, uint64_t row);
/* Nanoseconds since 1970 of a BLOB that is INT96: those of the day (8 bytes), the Julian day that the date has at noon (4), little-endian. */
__int128 dm_value_int96(duckdb_string_t v);
enum dm_status dm_value_plain(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                              uint64_t row, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_value_json(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                             uint64_t row, struct dm_error *err) DM_MUST_USE;
/* A JSON string with its quotes. */
enum dm_status dm_json_string(struct dm_buffer *out, const char *text, size_t n,
                              struct dm_error *err) DM_MUST_USE;

#endif
