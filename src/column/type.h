/* type.h — the types a mirrored column can have: the Iceberg primitive types and lists of them.
 *
 * A struct dm_type is four bytes, passed by value. Values are held as (see column.h):
 *
 *   id            storage                        meaning
 *   BOOL          uint8_t 0/1
 *   INT32, INT64  int32_t, int64_t
 *   FLOAT32/64    float, double                  NaN and infinities kept, -0 kept
 *   DECIMAL       __int128 unscaled              value = unscaled / 10^scale, precision <= 38
 *   DATE          int32_t                        days since 1970-01-01 (proleptic Gregorian)
 *   TIME          int64_t                        microseconds since midnight
 *   TIMESTAMP     int64_t                        microseconds since 1970-01-01T00:00:00, no zone
 *   TIMESTAMPTZ   int64_t                        microseconds since 1970-01-01T00:00:00Z
 *   TIMESTAMP_NS  int64_t                        nanoseconds since 1970-01-01T00:00:00, no zone; 1677 to 2262
 *   STRING        bytes                          UTF-8
 *   BINARY        bytes
 *   UUID          16 bytes                       network order
 *   LIST          offsets into a child column    elements of one scalar type, nulls inside allowed
 *
 * Infinite dates and timestamps are the extreme integers (DM_DATE_INFINITY and so on); no finite source value
 * may take them (it is out of range and goes to quarantine), so the mapping loses nothing.
 *
 * Iceberg's timestamptz_ns is not among them: DuckDB 1.5 writes no Parquet TIMESTAMP that is adjusted to UTC and counts nanoseconds,
 * and cuts one that others wrote to microseconds when it reads it.
 */
#ifndef DM_COLUMN_TYPE_H
#define DM_COLUMN_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dm_type_id {
    DM_BOOL = 1,
    DM_INT32,
    DM_INT64,
    DM_FLOAT32,
    DM_FLOAT64,
    DM_DECIMAL,
    DM_DATE,
    DM_TIME,
    DM_TIMESTAMP,
    DM_TIMESTAMPTZ,
    DM_TIMESTAMP_NS,
    DM_STRING,
    DM_BINARY,
    DM_UUID,
    DM_LIST,
};

typedef __int128 dm_int128;

struct dm_type {
    uint8_t id;        /* enum dm_type_id */
    uint8_t precision; /* DECIMAL, or LIST of DECIMAL: 1..38 */
    uint8_t scale;     /* DECIMAL, or LIST of DECIMAL: 0..precision */
    uint8_t element;   /* LIST: enum dm_type_id of its elements, never LIST */
};

#define DM_DATE_INFINITY INT32_MAX
#define DM_DATE_NEG_INFINITY (-INT32_MAX)
#define DM_TIMESTAMP_INFINITY INT64_MAX
#define DM_TIMESTAMP_NEG_INFINITY (-INT64_MAX)

static inline struct dm_type dm_type_of(enum dm_type_id id)
{
    return (struct dm_type){.id = (uint8_t)id};
}

static inline struct dm_type dm_type_decimal(int precision, int scale)
{
    return (struct dm_type){.id = DM_DECIMAL, .precision = (uint8_t)precision, .scale = (uint8_t)scale};
}

/* The list type of a scalar element type. */
static inline struct dm_type dm_type_list(struct dm_type element)
{
    return (struct dm_type){
        .id = DM_LIST, .precision = element.precision, .scale = element.scale, .element = element.id};
}

/* The element type of a list type. */
static inline struct dm_type dm_type_element(struct dm_type list)
{
    return (struct dm_type){.id = list.element, .precision = list.precision, .scale = list.scale};
}

static inline bool dm_type_equal(struct dm_type a, struct dm_type b)
{
    return a.id == b.id && a.precision == b.precision && a.scale == b.scale && a.element == b.element;
}

/* Bytes of one value in fixed-width storage; 0 for STRING, BINARY and LIST. */
size_t dm_type_width(enum dm_type_id id);

/* Iceberg's name of a scalar type, e.g. "decimal(10, 2)", into out (>= 32 bytes); returns out.
 * A LIST gives "list<…>", for messages only. */
const char *dm_type_name(struct dm_type type, char *out, size_t size);

/* True when every value of `from` is also a value of `to` by Iceberg's promotion rules
 * (int→long, float→double, decimal to higher precision of the same scale) or the types are equal. */
bool dm_type_widens(struct dm_type from, struct dm_type to);

#endif
