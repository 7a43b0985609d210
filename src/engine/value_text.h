/* value_text.h — inside engine/ only: values of any DuckDB type as text. No conversion of DuckDB's own is called: some of them throw C++ exceptions
 * for values that a file may hold, which end a C program.
 *
 * Numbers are exact, however long; floats the shortest text that reads back the same. moment_text.h has the three spellings:
 * PLAIN: what DuckDB's cast to VARCHAR gives, except that binary is \x and hexadecimal digits; lists [a, b], structs {'k': v}.
 * FIELD: the same, but dates and times as value_parse.h reads them.
 * JSON: floats that are no numbers "NaN", "Infinity", "-Infinity"; dates and times in ISO 8601 (years beyond 0…9999 with sign and at least four
 * digits; infinite ones "infinity", "-infinity"; what is in UTC with Z); binary as a text of hexadecimal digits; UUID, INTERVAL and the rest as text;
 * lists as arrays, structs as objects, maps as arrays of {"key", "value"}; bytes of a text that are not UTF-8 as \udcXX.
 */
#ifndef DM_ENGINE_VALUE_TEXT_H
#define DM_ENGINE_VALUE_TEXT_H

#include <duckdb.h>
#include <stdbool.h>

#include "engine/moment_text.h"

/* What the values of a Parquet file mean that DuckDB gives as they are in the file (change_parquet.h, value_bare.h). */
enum dm_meaning {
    DM_MEANS_ITSELF = 0,
    DM_MEANS_NULL,     /* any integer: there should be none */
    DM_MEANS_UNSIGNED, /* INTEGER, BIGINT */
    DM_MEANS_DATE,     /* INTEGER: days */
    DM_MEANS_TIME,     /* INTEGER, BIGINT: units since midnight of which per_second are a second */
    DM_MEANS_MOMENT,   /* BIGINT, TIMESTAMP_NS: the same since 1970 */
    DM_MEANS_INT96,    /* BLOB: nanoseconds of the day (8 bytes), Julian day (4) */
    DM_MEANS_DECIMAL,  /* INTEGER, BIGINT, or BLOB: two's complement from its highest byte; × 10^-scale */
    DM_MEANS_TEXT,     /* BLOB: UTF-8, not checked */
    DM_MEANS_UUID,     /* BLOB of 16 */
    DM_MEANS_HALF,     /* BLOB of 2: a float of 16 bits */
    DM_MEANS_INTERVAL, /* BLOB of 12: months, days, milliseconds, 4 bytes each */
};

/* A DuckDB type, taken apart once a query. */
struct dm_value_type {
    duckdb_type id;
    duckdb_type internal;  /* DECIMAL, ENUM: how it is stored */
    unsigned scale, width; /* DECIMAL */
    uint64_t array_size;   /* ARRAY */
    enum dm_meaning meaning;
    int64_t per_second; /* MEANS_TIME, MEANS_MOMENT */
    bool zoned;         /* MEANS_TIME, MEANS_MOMENT: in UTC */
    size_t n;           /* nested: number of children */
    struct dm_value_type *children;
    char **names;             /* STRUCT: of the children */
    duckdb_logical_type type; /* owned */
};

enum dm_status dm_value_type_init(struct dm_value_type *t, duckdb_logical_type take_type,
                                  struct dm_error *err) DM_MUST_USE;
void dm_value_type_release(struct dm_value_type *t);
bool dm_value_type_is_number(const struct dm_value_type *t);

bool dm_value_is_null(duckdb_vector vector, uint64_t row);
enum dm_status dm_value_text(struct dm_buffer *out, const struct dm_value_type *t, duckdb_vector vector,
                             uint64_t row, enum dm_spelling how, struct dm_error *err) DM_MUST_USE;
/* An unscaled integer with its decimal point. */
enum dm_status dm_value_integer(struct dm_buffer *out, unsigned __int128 size, bool negative, unsigned scale,
                                struct dm_error *err) DM_MUST_USE;
/* A JSON string with its quotes. */
enum dm_status dm_json_string(struct dm_buffer *out, const char *text, size_t n,
                              struct dm_error *err) DM_MUST_USE;

#endif
