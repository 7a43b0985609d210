#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dm_buffer_init(struct dm_buffer *b, size_t max)
{
    *b = (struct dm_buffer){.max = max};
}

void dm_buffer_release(struct dm_buffer *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->capacity = 0;
}

void dm_buffer_clear(struct dm_buffer *b)
{
    b->len = 0;
}

enum dm_status dm_buffer_reserve(struct dm_buffer *b, size_t more, struct dm_error *err)
{
    if (more <= b->capacity - b->len)
        return DM_OK;
    if (more > b->max || b->len > b->max - more)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a value needs more than the allowed %zu bytes", b->max);
    size_t want = b->len + more;
    size_t grown = b->capacity < 256 ? 256 : b->capacity + b->capacity / 2;
    if (grown < want)
        grown = want;
    if (grown > b->max)
        grown = b->max;
    uint8_t *data = realloc(b->data, grown);
    if (data == NULL)
        return dm_fail_memory(err, grown);
    b->data = data;
    b->capacity = grown;
    return DM_OK;
}

enum dm_status dm_buffer_append(struct dm_buffer *b, const void *bytes, size_t n, struct dm_error *err)
{
    if (n == 0)
        return DM_OK;
    if (dm_buffer_reserve(b, n, err) != DM_OK)
        return DM_FAIL;
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
    return DM_OK;
}

enum dm_status dm_buffer_append_byte(struct dm_buffer *b, uint8_t byte, struct dm_error *err)
{
    return dm_buffer_append(b, &byte, 1, err);
}

enum dm_status dm_buffer_printf(struct dm_buffer *b, struct dm_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    enum dm_status status = DM_FAIL;
    if (n < 0)
        status = dm_fail(err, DM_ERROR_FATAL, NULL, "a message could not be formatted");
    else if (dm_buffer_reserve(b, (size_t)n + 1, err) == DM_OK) {
        (void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
        status = DM_OK;
    }
    va_end(again);
    return status;
}

const char *dm_buffer_text(struct dm_buffer *b)
{
    if (dm_buffer_reserve(b, 1, NULL) != DM_OK)
        return NULL;
    b->data[b->len] = '\0';
    return (const char *)b->data;
}
