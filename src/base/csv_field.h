/* csv_field.h — one field of a CSV line that we write (RFC 4180): quoted when it must be; an empty text is "", for NULL is nothing at all. */
#ifndef DM_BASE_CSV_FIELD_H
#define DM_BASE_CSV_FIELD_H

#include <stdbool.h>

#include "base/buffer.h"

/* sheet: for a spreadsheet, which takes a field that begins with = + - @ for a formula: such a text gets an apostrophe in front. Numbers stay. */
enum dm_status dm_csv_field(struct dm_buffer *out, const char *text, size_t n, bool sheet,
                            struct dm_error *err) DM_MUST_USE;

#endif
