#include "engine/change_unavailable.h"

#include <stdio.h>
#include <string.h>

#include "base/json_scan.h"
#include "column/row_json.h"
#include "column/value_parse_number.h"

static bool is_base64(const char *placeholder, size_t len, const char *text, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while (n > 0 && text[n - 1] == '=')
        n--;
    if (n != (len * 4 + 2) / 3)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t bit = i * 6, at = bit / 8;
        unsigned two =
            (unsigned)(uint8_t)placeholder[at] << 8 | (at + 1 < len ? (uint8_t)placeholder[at + 1] : 0);
        char wanted = digits[two >> (10 - bit % 8) & 63];
        bool same =
            text[i] == wanted || (wanted == '+' && text[i] == '-') || (wanted == '/' && text[i] == '_');
        if (!same)
            return false;
    }
    return true;
}

static bool is_hex(const char *placeholder, size_t len, const char *text, size_t n)
{
    if (n == 2 * len + 2 && text[0] == '\\' && (text[1] == 'x' || text[1] == 'X')) {
        text += 2;
        n -= 2;
    }
    if (n != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char wanted[3];
        (void)snprintf(wanted, sizeof wanted, "%02x", (uint8_t)placeholder[i]);
        for (size_t k = 0; k < 2; k++) {
            char c = text[2 * i + k];
            if ((c >= 'A' && c <= 'F' ? (char)(c + 'a' - 'A') : c) != wanted[k])
                return false;
        }
    }
    return true;
}

static bool is_text(const struct dm_json_slice *v, const char *placeholder, size_t len)
{
    return v->kind == DM_JSON_STRING && !v->escaped && v->n == len && memcmp(v->text, placeholder, len) == 0;
}

/* ["placeholder"], or its bytes as integers. */
static bool is_list(const char *placeholder, size_t len, const char *text, size_t n)
{
    struct dm_json_scan s = dm_json_scan_of(text, n);
    struct dm_json_slice v;
    bool first = true, more = true, alone = false;
    size_t count = 0, same = 0;
    if (!dm_json_scan_open(&s, '['))
        return false;
    while (count <= len && dm_json_scan_element(&s, &first, &more, &v) && more) {
        int64_t byte = -1;
        alone = count == 0 && is_text(&v, placeholder, len);
        same += count < len && v.kind == DM_JSON_NUMBER && dm_parse_int64(v.text, v.n, &byte) == DM_PARSED &&
                byte == (uint8_t)placeholder[count];
        count++;
    }
    return !more && ((count == 1 && alone) || (count == len && same == len));
}

/* {"placeholder": "placeholder"} */
static bool is_map(const char *placeholder, size_t len, const char *text, size_t n)
{
    struct dm_json_scan s = dm_json_scan_of(text, n);
    struct dm_json_slice key, v;
    bool first = true, more = true;
    if (!dm_json_scan_open(&s, '{') || !dm_json_scan_member(&s, &first, &more, &key, &v) || !more)
        return false;
    key.kind = DM_JSON_STRING;
    return is_text(&key, placeholder, len) && is_text(&v, placeholder, len) &&
           dm_json_scan_member(&s, &first, &more, &key, &v) && !more;
}

static bool is_placeholder(const char *placeholder, const char *text, size_t n)
{
    size_t len = strlen(placeholder);
    if (n < len || len == 0 || n > 8 * len + 16)
        return false;
    if (n == len && memcmp(text, placeholder, len) == 0)
        return true;
    if (text[0] == '[')
        return is_list(placeholder, len, text, n);
    if (text[0] == '{')
        return is_map(placeholder, len, text, n);
    return is_base64(placeholder, len, text, n) || is_hex(placeholder, len, text, n);
}

bool dm_change_unavailable(const struct dm_change_options *options, const char *text, size_t n)
{
    return is_placeholder(DM_UNAVAILABLE_VALUE, text, n) ||
           (options->unavailable != NULL && is_placeholder(options->unavailable, text, n));
}

/* A value of a column that did not come as text. */
static bool value_is(const struct dm_change_options *options, const struct dm_column *c, size_t row)
{
    if (c->type.id == DM_STRING || c->type.id == DM_BINARY) {
        size_t n;
        const uint8_t *bytes = dm_column_bytes_at(c, row, &n);
        return dm_change_unavailable(options, (const char *)bytes, n);
    }
    const struct dm_column *child = c->child;
    const char *names[] = {DM_UNAVAILABLE_VALUE, options->unavailable};
    uint32_t first = c->offsets[row], n = c->offsets[row + 1] - first;
    if (n == 1 && (child->type.id == DM_STRING || child->type.id == DM_BINARY))
        return child->state[first] == DM_VALID && value_is(options, child, first);
    for (size_t k = 0; k < 2; k++) {
        size_t same = 0, len = names[k] != NULL ? strlen(names[k]) : 0;
        for (uint32_t i = 0; len > 0 && n == len && i < n && child->state[first + i] == DM_VALID; i++)
            same +=
                (child->type.id == DM_INT32 && dm_column_int32(child, first + i) == (uint8_t)names[k][i]) ||
                (child->type.id == DM_INT64 && dm_column_int64(child, first + i) == (uint8_t)names[k][i]);
        if (len > 0 && same == len)
            return true;
    }
    return false;
}

void dm_change_mark_unavailable(const struct dm_change_options *options, struct dm_column *column, size_t n)
{
    if (column->type.id != DM_STRING && column->type.id != DM_BINARY && column->type.id != DM_LIST)
        return;
    for (size_t i = column->length - n; i < column->length; i++)
        if (column->state[i] == DM_VALID && value_is(options, column, i)) {
            column->state[i] = DM_UNCHANGED;
            column->unchanged++;
        }
}
