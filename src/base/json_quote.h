/* json_quote.h — bytes as a JSON string, with its quotes.
 *
 * Only what JSON does not allow raw is escaped: \" and \\, and control characters as \u000a, never as \n: what the quarantine stores reads
 * like what it has from before. Whether the bytes are UTF-8 is not checked (utf8.h). No state; the buffer is the caller's. Failure: the
 * buffer's limit.
 *
 *     dm_json_quote(&out, name, strlen(name), err)
 */
#ifndef DM_BASE_JSON_QUOTE_H
#define DM_BASE_JSON_QUOTE_H

#include "base/buffer.h"

/* `bytes` may be NULL when n is 0. */
enum dm_status dm_json_quote(struct dm_buffer *out, const void *bytes, size_t n,
                             struct dm_error *err) DM_MUST_USE;

#endif
