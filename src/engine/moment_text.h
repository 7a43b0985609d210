/* moment_text.h — inside engine/ only: dates, times, timestamps and intervals as text, whatever their number is.
 *
 * Three ways to spell a value:
 *   PLAIN   for people, as DuckDB's cast to VARCHAR gives it: 2026-11-21 10:05:59.5, 0044-03-15 (BC), infinity
 *   FIELD   for value_parse.h, which reads it back exactly: 2026-11-21 10:05:59.5, -0043-03-15, +12026-01-01, infinity
 *   JSON    ISO 8601 in quotes: "2026-11-21T10:05:59.5Z", "-0043-03-15", "infinity"
 */
#ifndef DM_ENGINE_MOMENT_TEXT_H
#define DM_ENGINE_MOMENT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

enum dm_spelling { DM_SPELL_PLAIN, DM_SPELL_FIELD, DM_SPELL_JSON };

/* Days since 1970; ±INT32_MAX are infinite. */
enum dm_status dm_date_text(struct dm_buffer *out, int32_t days, enum dm_spelling how,
                            struct dm_error *err) DM_MUST_USE;
/* Units of which per_second (a power of ten up to 10^9) are a second; hours count on beyond 24, and before 0 there is a sign. `zone` is appended. */
enum dm_status dm_time_text(struct dm_buffer *out, int64_t v, int64_t per_second, const char *zone,
                            enum dm_spelling how, struct dm_error *err) DM_MUST_USE;
/* The same since 1970; zoned: it is in UTC. */
enum dm_status dm_timestamp_text(struct dm_buffer *out, __int128 v, int64_t per_second, bool zoned,
                                 enum dm_spelling how, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_infinity_text(struct dm_buffer *out, bool positive, enum dm_spelling how,
                                struct dm_error *err) DM_MUST_USE;
/* As DuckDB does: "1 year 2 months -3 days 04:05:06.5". */
enum dm_status dm_interval_text(struct dm_buffer *out, int64_t months, int64_t days, int64_t micros,
                                enum dm_spelling how, struct dm_error *err) DM_MUST_USE;

#endif
