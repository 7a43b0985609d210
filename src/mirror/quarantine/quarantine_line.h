/* quarantine_line.h — a row of the quarantine as a line of a file that can be edited and taken in again.
 *
 * NDJSON: the row as it is kept, with "_change_request_type" when it is a delete. A row that is no JSON object (a corrupt line of a file) becomes
 * {"_raw": "…"}, which no dataset takes.
 * CSV: one column for each column of the dataset; nothing is null, "" is an empty text; numbers keep their spelling, lists are JSON.
 * No state; failure: the buffer is full.
 */
#ifndef DM_MIRROR_QUARANTINE_LINE_H
#define DM_MIRROR_QUARANTINE_LINE_H

#include "base/buffer.h"
#include "column/schema.h"
#include "mirror/quarantine/quarantine_table.h"

/* Does the content hold a row by the names of its columns? What could not even be split does not, nor what was cut. */
bool dm_quarantine_line_is_row(const struct dm_quarantine_row *row);
/* One line with its end. With `why`, members "_quarantine_id", "_quarantine_reason" and "_quarantine_message" come first. */
enum dm_status dm_quarantine_line_json(struct dm_buffer *out, const struct dm_quarantine_row *row, bool why,
                                       struct dm_error *err) DM_MUST_USE;
enum dm_status dm_quarantine_line_csv_header(struct dm_buffer *out, const struct dm_schema *schema, bool why,
                                             bool sheet, struct dm_error *err) DM_MUST_USE;
/* sheet: base/csv_field.h. *no_object: the row is no JSON object and cannot be a line of CSV; nothing was appended. */
enum dm_status dm_quarantine_line_csv(struct dm_buffer *out, const struct dm_quarantine_row *row,
                                      const struct dm_schema *schema, bool why, bool sheet, bool *no_object,
                                      struct dm_error *err) DM_MUST_USE;

#endif
