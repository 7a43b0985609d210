/* row_json.h — a batch row as a JSON object from which the change can be made again: what quarantine keeps.
 *
 *     {"_change_request_type": "u", "id": 17, "amount": 12.30, "at": "2024-05-01T10:00:00Z", "tags": ["a", null]}
 *
 * Integers and decimals are exact numbers, floats the shortest number that reads back the same or "NaN", "Infinity", "-Infinity"; dates and times ISO 8601
 * (years beyond 9999 with a sign; infinite ones "infinity", "-infinity"); binary "\\x" and hexadecimal digits; uuid text; lists arrays. UNCHANGED values are DM_UNAVAILABLE_VALUE.
 * These are spellings that column/value_parse.h takes. Threads: no state. Failure: `out` is full.
 *
 *     struct dm_buffer out;
 *     dm_buffer_init(&out, 16 << 20);
 *     dm_row_json(batch, row, &out, err);   // out.data[0 .. len) is the text, with no 0 at its end
 */
#ifndef DM_COLUMN_ROW_JSON_H
#define DM_COLUMN_ROW_JSON_H

#include "base/buffer.h"
#include "column/batch.h"

#define DM_CHANGE_TYPE_COLUMN "_change_request_type"

/* Debezium's text for a value that did not change and was left out; whoever reads changes knows it. */
#define DM_UNAVAILABLE_VALUE "__debezium_unavailable_value"

enum dm_status dm_row_json(const struct dm_batch *b, size_t row, struct dm_buffer *out,
                           struct dm_error *err) DM_MUST_USE;

#endif
