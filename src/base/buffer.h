/* buffer.h — a growing byte buffer with a mandatory maximum.
 *
 * The buffer owns its memory. A zeroed struct with `max` set is ready to use; dm_buffer_init does just that.
 * Appending past `max` fails with a DATA error and leaves the buffer as it was. dm_buffer_clear keeps the memory for
 * reuse, dm_buffer_release gives it back. Not thread safe.
 *
 *     struct dm_buffer b;
 *     dm_buffer_init(&b, 64 << 20);
 *     if (dm_buffer_append(&b, bytes, n, err) != DM_OK) ...
 *     dm_buffer_release(&b);
 */
#ifndef DM_BASE_BUFFER_H
#define DM_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct dm_buffer {
    uint8_t *data; /* NULL until the first append */
    size_t len;
    size_t capacity;
    size_t max; /* never grows beyond this many bytes */
};

void dm_buffer_init(struct dm_buffer *b, size_t max);
void dm_buffer_release(struct dm_buffer *b);
void dm_buffer_clear(struct dm_buffer *b);

/* Makes room for `more` bytes after len (contents undefined, len unchanged). */
enum dm_status dm_buffer_reserve(struct dm_buffer *b, size_t more, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_buffer_append(struct dm_buffer *b, const void *bytes, size_t n,
                                struct dm_error *err) DM_MUST_USE;
enum dm_status dm_buffer_append_byte(struct dm_buffer *b, uint8_t byte, struct dm_error *err) DM_MUST_USE;
/* Text without the terminating NUL. */
enum dm_status dm_buffer_printf(struct dm_buffer *b, struct dm_error *err, const char *fmt, ...)
    DM_PRINTF(3, 4) DM_MUST_USE;
/* NUL-terminates (the NUL is not counted in len) and returns the text; NULL when the maximum is reached. */
const char *dm_buffer_text(struct dm_buffer *b);

#endif
