/* change_unavailable.h — inside engine/ only: the text that stands where a value was left out because it did not change.
 *
 * PostgreSQL does not log a large value that an update left alone, and Debezium then writes its "unavailable.value.placeholder" in its place, in the form
 * that the column's type asks for: the text itself; its bytes in base64 or hexadecimal digits; a list with the text as its only element, or with
 * its bytes as integers; a map (hstore) of the text to itself. A cell that is one of these means the value that the row has, whatever format
 * brought it: events that were flattened do not say that they are Debezium's. Pure functions.
 */
#ifndef DM_ENGINE_CHANGE_UNAVAILABLE_H
#define DM_ENGINE_CHANGE_UNAVAILABLE_H

#include "column/column.h"
#include "engine/change_reader.h"

/* Is the cell's text (JSON for lists and objects) the placeholder: Debezium's own, or the one that the options name? */
bool dm_change_unavailable(const struct dm_change_options *options, const char *text, size_t n);
/* The column's last n values: those that are become DM_UNCHANGED. */
void dm_change_mark_unavailable(const struct dm_change_options *options, struct dm_column *column, size_t n);

#endif
