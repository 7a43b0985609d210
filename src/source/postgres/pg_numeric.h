/* pg_numeric.h — numbers out of PostgreSQL's text and binary forms. Pure functions, no memory, thread safe.
 *
 * Binary numeric (utils/adt/numeric.c, numeric_send): int16 count of base-10000 digits, int16 weight of the
 * first digit, uint16 sign (0x0000 +, 0x4000 -, 0xC000 NaN, 0xD000 +inf, 0xF000 -inf), uint16 display scale,
 * then digits. */
#ifndef DM_SOURCE_POSTGRES_PG_NUMERIC_H
#define DM_SOURCE_POSTGRES_PG_NUMERIC_H

#include "base/buffer.h"
#include "source/postgres/pg_value.h"

enum pg_value_result pg_int_from_text(const char *s, size_t n, int64_t min, int64_t max,
                                      int64_t *out) DM_MUST_USE;
enum pg_value_result pg_float8_from_text(const char *s, size_t n, double *out) DM_MUST_USE;
enum pg_value_result pg_float4_from_text(const char *s, size_t n, float *out) DM_MUST_USE;
/* Into the unscaled integer of decimal(precision, scale); exact or refused, never rounded. */
enum pg_value_result pg_decimal_from_text(const char *s, size_t n, int precision, int scale,
                                          dm_int128 *out) DM_MUST_USE;
enum pg_value_result pg_decimal_from_binary(const uint8_t *p, size_t n, int precision, int scale,
                                            dm_int128 *out) DM_MUST_USE;
/* The text numeric_out would give. */
enum dm_status pg_numeric_spell(const uint8_t *p, size_t n, struct dm_buffer *out,
                                struct dm_error *err) DM_MUST_USE;

#endif
