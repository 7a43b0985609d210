#include "cli/json_output.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_shorten.h"
#include "base/memory.h"
#include "base/shown.h"
#include "base/utf8.h"

/* Each byte that begins no character becomes U+FFFD. */
static char *mended(const char *text)
{
    size_t n = strlen(text), out_n = 0;
    char *out = dm_xzalloc(n + 1, 3);
    for (size_t i = 0, length; i<n; i += length> 0 ? length : 1) {
        (void)dm_utf8_character((const uint8_t *)text + i, n - i, &length);
        size_t wrote = length > 0 ? length : 3;
        memcpy(out + out_n, length > 0 ? text + i : "\xEF\xBF\xBD", wrote);
        out_n += wrote;
    }
    return out;
}

void dm_json_text(json_t *object, const char *key, const char *text)
{
    if (text == NULL) {
        json_object_set_new(object, key, json_null());
        return;
    }
    json_t *value = json_string(text);
    if (value == NULL) {
        char *valid = mended(text);
        value = json_string(valid);
        free(valid);
    }
    json_object_set_new(object, key, value != NULL ? value : json_null());
}

void dm_json_count(json_t *object, const char *key, uint64_t n)
{
    json_object_set_new(object, key, json_integer((json_int_t)n));
}

void dm_json_seconds(json_t *object, const char *key, int64_t us)
{
    json_object_set_new(object, key, us >= 0 ? json_real((double)us / 1e6) : json_null());
}

void dm_json_time(json_t *object, const char *key, int64_t wall_us)
{
    char when[40];
    dm_json_text(object, key, wall_us != 0 ? dm_clock_format_us(wall_us, when, sizeof when) : NULL);
}

/* JSON allows DEL, the controls from U+0080 on and what turns text; a terminal must not get them. Between quotes only, so they may be \\u…. */
static void print_shown(const char *text, FILE *out)
{
    size_t n = strlen(text), from = 0;
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c = dm_utf8_character((const uint8_t *)text + i, n - i, &length);
        if (length == 0)
            length = 1;
        else if (c >= 0x7f && dm_shown_written(c)) {
            (void)fwrite(text + from, 1, i - from, out);
            (void)fprintf(out, "\\u%04x", (unsigned)c);
            from = i + length;
        }
    }
    (void)fwrite(text + from, 1, n - from, out);
    (void)fputc('\n', out);
}

void dm_json_print_as(json_t *take_value, size_t flags, FILE *out)
{
    char *text = json_dumps(take_value, flags);
    print_shown(text != NULL ? dm_json_shorten(text) : "{}", out);
    free(text);
    json_decref(take_value);
}

void dm_json_print(json_t *take_object, FILE *out)
{
    dm_json_print_as(take_object, JSON_COMPACT, out);
}
