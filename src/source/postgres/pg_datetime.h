/* pg_datetime.h — dates and times out of PostgreSQL's text form (DateStyle ISO, TimeZone UTC) and back into
 * it. Proleptic Gregorian, years BC as the server writes them ("0044-03-15 BC"). Pure functions, thread safe.
 * */
#ifndef DM_SOURCE_POSTGRES_PG_DATETIME_H
#define DM_SOURCE_POSTGRES_PG_DATETIME_H

#include "source/postgres/pg_value.h"

#define PG_EPOCH_DAYS 10957             /* 2000-01-01 in days since 1970-01-01 */
#define PG_EPOCH_MICROS 946684800000000 /* the same in microseconds */

/* Dates are days since 1970-01-01. */
enum pg_value_result pg_date_from_text(const char *s, size_t n, int32_t *out) DM_MUST_USE;
enum pg_value_result pg_time_from_text(const char *s, size_t n, int64_t *out) DM_MUST_USE;
/* A zone offset, when there is one, is applied; the result is UTC. */
enum pg_value_result pg_timestamp_from_text(const char *s, size_t n, int64_t *out) DM_MUST_USE;
enum pg_value_result pg_date_from_binary(const uint8_t *p, size_t n, int32_t *out) DM_MUST_USE;
enum pg_value_result pg_timestamp_from_binary(const uint8_t *p, size_t n, int64_t *out) DM_MUST_USE;
/* The server's spelling into out (>= 64 bytes); returns out. */
const char *pg_date_spell(int64_t days, char *out, size_t size);
const char *pg_timestamp_spell(int64_t micros, bool zone, char *out, size_t size);
const char *pg_time_spell(int64_t micros, char *out, size_t size);

#endif
