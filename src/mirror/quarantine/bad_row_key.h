/* bad_row_key.h — which keys a row in quarantine may be of, as the key index has them: its content is text, and of some of it only the key is known.
 *
 *     dm_bad_row_keys(schema, row->raw, row->key, fn, ctx);    // fn(ctx, key, len) for each reading; true ends it
 */
#ifndef DM_MIRROR_BAD_ROW_KEY_H
#define DM_MIRROR_BAD_ROW_KEY_H

#include "column/batch.h"

typedef bool (*dm_key_fn)(void *ctx, const uint8_t *key, size_t len);
/* Did fn say true for one? `raw` and `key` may be NULL. */
bool dm_bad_row_keys(const struct dm_schema *schema, const char *raw, const char *key, dm_key_fn fn,
                     void *ctx);

#endif
