#include "base/json_quote.h"

enum dm_status dm_json_quote(struct dm_buffer *out, const void *bytes, size_t n, struct dm_error *err)
{
    const uint8_t *p = bytes;
    size_t start = 0;
    enum dm_status status = dm_buffer_append_byte(out, '"', err);
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        if (p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
            continue;
        if (i > start)
            status = dm_buffer_append(out, p + start, i - start, err);
        if (status == DM_OK)
            status = p[i] < 0x20 ? dm_buffer_printf(out, err, "\\u%04x", p[i])
                                 : dm_buffer_printf(out, err, "\\%c", p[i]);
        start = i + 1;
    }
    if (status == DM_OK && n > start)
        status = dm_buffer_append(out, p + start, n - start, err);
    return status == DM_OK ? dm_buffer_append_byte(out, '"', err) : status;
}
