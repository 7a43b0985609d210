/* value_parse.h — text from outside into typed values, strictly: a text is the value exactly, or it is refused. Nothing is rounded, cut, clamped or
 * replaced; a number with more digits than the type holds is out of range, not rounded.
 *
 * Accepted spellings (docs/files.md lists them for people): bool true/false/t/f/1/0/yes/no (any case); integers in decimal; floats incl. NaN, Infinity, -inf,
 * exponent; decimals with trailing zeros beyond the scale but no other digits; dates and times ISO 8601 ('T' or space, zone Z, ±hh, ±hh:mm; none means
 * UTC for timestamptz; a zone is refused for timestamp); binary as \x or hexadecimal digits; uuid with hyphens or without; lists as JSON arrays.
 *
 * Threads: no state. The problem's text names the value (cut to 60 bytes) and what is allowed.
 */
#ifndef DM_COLUMN_VALUE_PARSE_H
#define DM_COLUMN_VALUE_PARSE_H

#include "column/column.h"

struct dm_value_problem {
    const char *reason; /* a literal: wrong_type, value_out_of_range, invalid_utf8 */
    char message[256];
};

/* Appends one value, or appends nothing and fills `problem` (returns false). */
bool dm_value_parse(struct dm_column *c, const char *text, size_t n, struct dm_value_problem *problem);

/* The value in quotes for a message: cut to 60 bytes, what cannot be printed as \xNN; valid UTF-8. `size` of at least 80. Returns out. */
const char *dm_value_show(const char *text, size_t n, char *out, size_t size);

#endif
