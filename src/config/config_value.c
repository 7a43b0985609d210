#include "config/config_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

#define VALUE_MAX (64 * 1024) /* bytes of one value after ${…} */

enum dm_status dm_config_fail(struct dm_config_place at, struct dm_error *err, const char *hint,
                              const char *fmt, ...)
{
    char message[900];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    return dm_fail(err, DM_ERROR_CONFIG, hint, "%s:%zu: %s", at.file, at.line, message);
}

bool dm_value_bool(const char *text, bool *out)
{
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return false;
    *out = yes;
    return true;
}

bool dm_value_int(const char *text, int64_t *out)
{
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return false; /* strtoll would skip spaces and take a plus sign */
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        return false;
    *out = v;
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"TB", UINT64_C(1000000000000)},
    {"GB", UINT64_C(1000000000)},
    {"MB", UINT64_C(1000000)},
    {"KB", UINT64_C(1000)},
    {"kB", UINT64_C(1000)},
    {"B", 1},
    {"", 1},
};
static const struct unit duration_units[] = {
    {"d", UINT64_C(86400000)}, {"h", UINT64_C(3600000)}, {"m", UINT64_C(60000)},
    {"min", UINT64_C(60000)},  {"s", UINT64_C(1000)},    {"ms", 1},
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Digits, spaces, a unit. Numbers that pass 2^63 are refused. */
static bool parse_measure(const char *text, const struct unit *units, size_t n_units, uint64_t *out)
{
    uint64_t v = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        uint64_t digit = (uint64_t)(*c - '0');
        if (v > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (c == text)
        return false;
    while (*c == ' ')
        c++;
    for (size_t i = 0; i < n_units; i++) {
        if (strcmp(c, units[i].name) == 0) {
            if (v > (uint64_t)INT64_MAX / units[i].factor)
                return false;
            *out = v * units[i].factor;
            return true;
        }
    }
    return false;
}

bool dm_value_size(const char *text, uint64_t *out)
{
    return parse_measure(text, size_units, COUNT(size_units), out);
}

bool dm_value_duration(const char *text, int64_t *out)
{
    if (strcmp(text, "0") == 0) { /* the one duration that needs no unit */
        *out = 0;
        return true;
    }
    uint64_t ms;
    if (!parse_measure(text, duration_units, COUNT(duration_units), &ms))
        return false;
    *out = (int64_t)ms;
    return true;
}

bool dm_value_decimal(const char *text, int *precision, int *scale)
{
    const char *comma = strchr(text, ',');
    if (comma == NULL || comma == text || comma - text > 2)
        return false;
    char first[4] = {0};
    memcpy(first, text, (size_t)(comma - text));
    const char *rest = comma + 1;
    while (*rest == ' ')
        rest++;
    int64_t p, s;
    if (!dm_value_int(first, &p) || !dm_value_int(rest, &s) || p < 1 || p > 38 || s < 0 || s > p)
        return false;
    *precision = (int)p;
    *scale = (int)s;
    return true;
}

static const char *measure_text(uint64_t v, const struct unit *units, size_t n_units, char *out, size_t size)
{
    for (size_t i = 0; i < n_units; i++)
        if (v >= units[i].factor && v % units[i].factor == 0) {
            (void)snprintf(out, size, "%" PRIu64 "%s", v / units[i].factor, units[i].name);
            return out;
        }
    (void)snprintf(out, size, "%" PRIu64, v);
    return out;
}

const char *dm_value_size_text(uint64_t bytes, char *out, size_t size)
{
    return measure_text(bytes, size_units, 4, out, size); /* the binary units only */
}

const char *dm_value_duration_text(int64_t ms, char *out, size_t size)
{
    return measure_text((uint64_t)ms, duration_units, COUNT(duration_units), out, size);
}

static bool is_name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* `text` stands behind "${". Appends the variable's value; *used is what was read, the brace included. */
static enum dm_status expand_name(const char *text, struct dm_config_place at,
                                  enum dm_connection_spelling how, struct dm_buffer *out, size_t *used,
                                  struct dm_error *err)
{
    size_t n = 0;
    while (is_name_char(text[n], n == 0))
        n++;
    if (n == 0 || text[n] != '}')
        return dm_config_fail(at, err, "write ${NAME} with letters, digits and _; a plain ${ is written $${",
                              "\"${\" is not followed by the name of an environment variable and \"}\"");
    if (n >= 128)
        return dm_config_fail(at, err, NULL, "the name of the environment variable is too long");
    char name[128];
    memcpy(name, text, n);
    name[n] = '\0';
    const char *value = getenv(name);
    if (value == NULL) {
        (void)dm_config_fail(at, err, NULL, "the environment variable %s is not set", name);
        dm_error_hint(err, "set it where the command runs: export %s=…", name);
        return DM_FAIL;
    }
    *used = n + 1;
    return dm_connection_spell(how, value, out, err);
}

static enum dm_status expand(const char *text, struct dm_config_place at, bool connection, char **out,
                             struct dm_error *err)
{
    struct dm_buffer b;
    dm_buffer_init(&b, VALUE_MAX);
    enum dm_status status = DM_OK;
    for (const char *c = text; *c != '\0' && status == DM_OK;) {
        if (strncmp(c, "$${", 3) == 0) {
            status = dm_buffer_append(&b, "${", 2, err);
            c += 3;
        } else if (strncmp(c, "${", 2) == 0) {
            size_t used = 0;
            enum dm_connection_spelling how =
                connection ? dm_connection_spelling_at(text, c) : DM_SPELL_AS_IS;
            status = expand_name(c + 2, at, how, &b, &used, err);
            c += 2 + used;
        } else {
            status = dm_buffer_append_byte(&b, (uint8_t)*c, err);
            c++;
        }
    }
    if (status == DM_OK)
        status = dm_buffer_append_byte(&b, 0, err);
    if (status != DM_OK) {
        dm_buffer_release(&b);
        if (err != NULL && err->class != DM_ERROR_CONFIG)
            return dm_config_fail(at, err, NULL, "the value is longer than %d bytes", VALUE_MAX - 1);
        return DM_FAIL;
    }
    *out = (char *)b.data; /* the caller frees it; dm_buffer uses malloc */
    return DM_OK;
}

enum dm_status dm_value_expand(const char *text, struct dm_config_place at, char **out, struct dm_error *err)
{
    return expand(text, at, false, out, err);
}

enum dm_status dm_value_expand_connection(const char *text, struct dm_config_place at, char **out,
                                          struct dm_error *err)
{
    return expand(text, at, true, out, err);
}
