/* value_parse_time.h — dates and times from ISO 8601 text: inside column/, behind value_parse.h.
 *
 * Date: 2026-11-21; years of more than four digits, and those before 0, with a sign (+12026-01-01, -0044-03-15). Time: 10:05, 10:05:59,
 * 10:05:59.123456789 (point or comma). Between them 'T' or a space. Zone: Z, ±hh, ±hh:mm, ±hhmm, UTC, with or without a space before.
 * A date alone is its midnight; a timestamp of midnight is a date. "infinity" and "-infinity" are the infinite dates and timestamps.
 */
#ifndef DM_COLUMN_VALUE_PARSE_TIME_H
#define DM_COLUMN_VALUE_PARSE_TIME_H

#include "column/value_parse_number.h"

enum dm_parsed dm_parse_date(const char *text, size_t n, int32_t *days);
enum dm_parsed dm_parse_time(const char *text, size_t n, int64_t *us); /* 24:00:00 is a time, too */
/* zoned: TIMESTAMPTZ, where a text without zone is UTC; otherwise a text with a zone is WRONG. */
enum dm_parsed dm_parse_timestamp(const char *text, size_t n, bool zoned, int64_t *us);
/* TIMESTAMP_NS, which has no zone: a text with one is converted to UTC. */
enum dm_parsed dm_parse_timestamp_ns(const char *text, size_t n, int64_t *ns);

#endif
