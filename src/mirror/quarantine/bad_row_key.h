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

/* One value of the content: the member of that name into the column; false: there is none, or it is null or none of the column's values, and nothing was appended. */
bool dm_bad_row_value(const char *json, const char *name, struct dm_column *to);
/* The key of one column, as text: plain, or quoted as in JSON. */
bool dm_bad_row_text(const char *text, struct dm_column *to);
/* Has the content members by name? What was cut has, those before the cut. */
bool dm_bad_row_is_object(const char *json);

#endif
