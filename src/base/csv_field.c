#include "base/csv_field.h"

#include <string.h>

/* -7, +1.5e3: what a spreadsheet reads as the number that it is. */
static bool is_number(const char *text, size_t n)
{
    size_t i = n > 0 && (text[0] == '-' || text[0] == '+'), digits = 0;
    for (; i < n && ((text[i] >= '0' && text[i] <= '9') || (digits > 0 && text[i] == '.')); i++)
        digits += text[i] != '.';
    if (digits > 0 && i + 1 < n && (text[i] == 'e' || text[i] == 'E')) {
        i += text[i + 1] == '-' || text[i + 1] == '+' ? 2 : 1;
        size_t from = i;
        while (i < n && text[i] >= '0' && text[i] <= '9')
            i++;
        digits = i - from;
    }
    return digits > 0 && i == n;
}

static bool is_formula(const char *text, size_t n)
{
    return n > 0 && memchr("=+-@\t\r", text[0], 6) != NULL && !is_number(text, n);
}

enum dm_status dm_csv_field(struct dm_buffer *out, const char *text, size_t n, bool sheet,
                            struct dm_error *err)
{
    bool formula = sheet && is_formula(text, n), quote = n == 0;
    for (size_t i = 0; i < n && !quote; i++)
        quote = text[i] == '"' || text[i] == ',' || text[i] == '\n' || text[i] == '\r';
    quote = quote || text[0] == ' ' || text[n - 1] == ' '; /* n > 0, or it is quoted already */
    if (quote && dm_buffer_append_byte(out, '"', err) != DM_OK)
        return DM_FAIL;
    if (formula && dm_buffer_append_byte(out, '\'', err) != DM_OK)
        return DM_FAIL;
    if (!quote)
        return dm_buffer_append(out, text, n, err);
    for (size_t i = 0; i < n; i++)
        if ((text[i] == '"' && dm_buffer_append_byte(out, '"', err) != DM_OK) ||
            dm_buffer_append_byte(out, (uint8_t)text[i], err) != DM_OK)
            return DM_FAIL;
    return dm_buffer_append_byte(out, '"', err);
}
