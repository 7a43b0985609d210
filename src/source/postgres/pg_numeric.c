#include "source/postgres/pg_numeric.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

typedef unsigned __int128 uint128;

static uint128 power_of_ten(int exponent)
{
    static const uint64_t small[] = {1ull,
                                     10ull,
                                     100ull,
                                     1000ull,
                                     10000ull,
                                     100000ull,
                                     1000000ull,
                                     10000000ull,
                                     100000000ull,
                                     1000000000ull,
                                     10000000000ull,
                                     100000000000ull,
                                     1000000000000ull,
                                     10000000000000ull,
                                     100000000000000ull,
                                     1000000000000000ull,
                                     10000000000000000ull,
                                     100000000000000000ull,
                                     1000000000000000000ull,
                                     10000000000000000000ull};
    return exponent < 20 ? small[exponent] : (uint128)small[19] * small[exponent - 19];
}

enum pg_value_result pg_int_from_text(const char *s, size_t n, int64_t min, int64_t max, int64_t *out)
{
    size_t i = n > 0 && s[0] == '-';
    bool negative = i == 1;
    if (i == n || n - i > 19)
        return PG_VALUE_MALFORMED;
    uint64_t magnitude = 0; /* 19 digits fit in 64 bits */
    for (; i < n; i++) {
        unsigned digit = (unsigned)((unsigned char)s[i] - '0');
        if (digit > 9)
            return PG_VALUE_MALFORMED;
        magnitude = magnitude * 10 + digit;
    }
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return PG_VALUE_MALFORMED;
    int64_t value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (value < min || value > max)
        return PG_VALUE_MALFORMED;
    *out = value;
    return PG_VALUE_OK;
}

/* ---- floats ---- */

static bool equals(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(s, word, n) == 0;
}

/* The exact short way: digits that fit the mantissa times a power of ten that a float holds exactly is one
 * correctly rounded operation. Everything else goes to strtod, which is exact and slower. */
struct simple_float {
    bool negative;
    uint64_t digits;
    int exponent;
};

static bool simple_float(const char *s, size_t n, struct simple_float *f)
{
    size_t i = n > 0 && s[0] == '-';
    f->negative = i == 1;
    f->digits = 0;
    f->exponent = 0;
    int count = 0;
    bool fraction = false;
    for (; i < n && s[i] != 'e'; i++) {
        if (s[i] == '.' && !fraction) {
            fraction = true;
            continue;
        }
        unsigned digit = (unsigned)((unsigned char)s[i] - '0');
        if (digit > 9 || ++count > 18)
            return false;
        f->digits = f->digits * 10 + digit;
        f->exponent -= fraction;
    }
    if (count == 0)
        return false;
    if (i == n)
        return true;
    int64_t exponent;
    bool plus = i + 1 < n && s[i + 1] == '+'; /* "1e+20" */
    i += plus ? 2 : 1;
    if (plus && i < n && s[i] == '-')
        return false;
    if (pg_int_from_text(s + i, n - i, -400, 400, &exponent) != PG_VALUE_OK)
        return false;
    f->exponent += (int)exponent;
    return true;
}

/* strtod follows the process's locale, which may write a comma. */
static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Text that is not NUL-terminated, for the strtod family; floats are short. */
static bool terminated(const char *s, size_t n, char out[64])
{
    if (n == 0 || n >= 64 || !(s[0] == '-' || (s[0] >= '0' && s[0] <= '9') || s[0] == '.'))
        return false;
    for (size_t i = 0; i < n; i++)
        if (memchr("0123456789.+-eE", s[i], 15) == NULL)
            return false;
    memcpy(out, s, n);
    out[n] = '\0';
    (void)pthread_once(&c_locale_once, make_c_locale);
    return true;
}

enum pg_value_result pg_float8_from_text(const char *s, size_t n, double *out)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct simple_float f;
    if (simple_float(s, n, &f) && f.digits <= (1ull << 53) && f.exponent >= -22 && f.exponent <= 22) {
        double v = (double)f.digits;
        v = f.exponent < 0 ? v / powers[-f.exponent] : v * powers[f.exponent];
        *out = f.negative ? -v : v;
        return PG_VALUE_OK;
    }
    char text[64];
    if (terminated(s, n, text)) {
        char *end;
        *out = strtod_l(text, &end, c_locale);
        return *end == '\0' ? PG_VALUE_OK : PG_VALUE_MALFORMED;
    }
    if (equals(s, n, "NaN"))
        *out = (double)NAN;
    else if (equals(s, n, "Infinity"))
        *out = (double)INFINITY;
    else if (equals(s, n, "-Infinity"))
        *out = -(double)INFINITY;
    else
        return PG_VALUE_MALFORMED;
    return PG_VALUE_OK;
}

/* Not through double: rounding twice is not rounding once. */
enum pg_value_result pg_float4_from_text(const char *s, size_t n, float *out)
{
    static const float powers[] = {1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f, 1e6f, 1e7f, 1e8f, 1e9f, 1e10f};
    struct simple_float f;
    if (simple_float(s, n, &f) && f.digits <= (1u << 24) && f.exponent >= -10 && f.exponent <= 10) {
        float v = (float)f.digits;
        v = f.exponent < 0 ? v / powers[-f.exponent] : v * powers[f.exponent];
        *out = f.negative ? -v : v;
        return PG_VALUE_OK;
    }
    char text[64];
    if (terminated(s, n, text)) {
        char *end;
        *out = strtof_l(text, &end, c_locale);
        return *end == '\0' ? PG_VALUE_OK : PG_VALUE_MALFORMED;
    }
    double special;
    if (pg_float8_from_text(s, n, &special) != PG_VALUE_OK)
        return PG_VALUE_MALFORMED;
    *out = (float)special;
    return PG_VALUE_OK;
}

/* ---- decimals ---- */

static enum pg_value_result finish_decimal(uint128 magnitude, bool negative, int precision, dm_int128 *out)
{
    if (magnitude >= power_of_ten(precision))
        return PG_VALUE_DECIMAL_RANGE;
    *out = negative ? -(dm_int128)magnitude : (dm_int128)magnitude;
    return PG_VALUE_OK;
}

/* Adds `count` digits at the right; false when it passes 38 digits. */
static bool shift_in(uint128 *magnitude, int count, uint64_t digits)
{
    if (*magnitude == 0) {
        *magnitude = digits;
        return true;
    }
    if (count > 38 || *magnitude >= power_of_ten(38 - count))
        return false;
    *magnitude = *magnitude * power_of_ten(count) + digits;
    return true;
}

enum pg_value_result pg_decimal_from_text(const char *s, size_t n, int precision, int scale, dm_int128 *out)
{
    size_t i = n > 0 && s[0] == '-';
    bool negative = i == 1;
    uint128 magnitude = 0;
    uint64_t chunk = 0; /* up to 18 digits wait here: 128-bit steps are slow */
    int waiting = 0, fraction = -1;
    bool any = false, excess = false;
    for (; i < n; i++) {
        if (s[i] == '.' && fraction < 0) {
            fraction = 0;
            continue;
        }
        unsigned digit = (unsigned)((unsigned char)s[i] - '0');
        if (digit > 9)
            goto special;
        any = true;
        if (fraction >= scale) {
            excess = excess || digit != 0;
            continue;
        }
        fraction += fraction >= 0;
        chunk = chunk * 10 + digit;
        if (++waiting == 18) {
            if (!shift_in(&magnitude, waiting, chunk))
                return PG_VALUE_DECIMAL_RANGE;
            chunk = 0;
            waiting = 0;
        }
    }
    if (!any)
        return PG_VALUE_MALFORMED;
    if (excess || !shift_in(&magnitude, waiting, chunk))
        return PG_VALUE_DECIMAL_RANGE;
    if (fraction < 0)
        fraction = 0;
    if (!shift_in(&magnitude, scale - fraction, 0))
        return PG_VALUE_DECIMAL_RANGE;
    return finish_decimal(magnitude, negative, precision, out);
special:
    if (equals(s, n, "NaN"))
        return PG_VALUE_NAN;
    if (equals(s, n, "Infinity") || equals(s, n, "-Infinity"))
        return PG_VALUE_INFINITE;
    return PG_VALUE_MALFORMED;
}

enum pg_value_result pg_decimal_from_binary(const uint8_t *p, size_t n, int precision, int scale,
                                            dm_int128 *out)
{
    if (n < 8)
        return PG_VALUE_MALFORMED;
    int count = (int16_t)dm_get_be16(p);
    int weight = (int16_t)dm_get_be16(p + 2);
    unsigned sign = dm_get_be16(p + 4);
    if (sign == 0xC000)
        return PG_VALUE_NAN;
    if (sign == 0xD000 || sign == 0xF000)
        return PG_VALUE_INFINITE;
    if ((sign != 0 && sign != 0x4000) || count < 0 || n != 8 + 2 * (size_t)count)
        return PG_VALUE_MALFORMED;
    uint128 magnitude = 0;
    int exponent = 4 * (weight + 1) + scale; /* of the digit before the first, in unscaled units */
    for (int i = 0; i < count; i++) {
        unsigned digit = dm_get_be16(p + 8 + 2 * i);
        if (digit > 9999)
            return PG_VALUE_MALFORMED;
        exponent -= 4;
        if (exponent >= 0) {
            if (!shift_in(&magnitude, 4, digit))
                return PG_VALUE_DECIMAL_RANGE;
        } else if (exponent > -4) { /* the scale cuts through this digit */
            unsigned below = (unsigned)power_of_ten(-exponent);
            if (digit % below != 0 || !shift_in(&magnitude, 4 + exponent, digit / below))
                return PG_VALUE_DECIMAL_RANGE;
        } else if (digit != 0) {
            return PG_VALUE_DECIMAL_RANGE;
        }
    }
    if (exponent > 0 && !shift_in(&magnitude, exponent, 0))
        return PG_VALUE_DECIMAL_RANGE;
    return finish_decimal(magnitude, sign == 0x4000, precision, out);
}

enum dm_status pg_numeric_spell(const uint8_t *p, size_t n, struct dm_buffer *out, struct dm_error *err)
{
    if (n < 8 || n % 2 != 0)
        return dm_buffer_printf(out, err, "(damaged numeric)");
    int count = (int)(n - 8) / 2;
    int weight = (int16_t)dm_get_be16(p + 2);
    unsigned sign = dm_get_be16(p + 4);
    int display = dm_get_be16(p + 6);
    if (sign >= 0xC000)
        return dm_buffer_printf(out, err, "%s",
                                sign == 0xC000   ? "NaN"
                                : sign == 0xD000 ? "Infinity"
                                                 : "-Infinity");
    enum dm_status status = sign == 0x4000 ? dm_buffer_append_byte(out, '-', err) : DM_OK;
    if (status == DM_OK && weight < 0)
        status = dm_buffer_append_byte(out, '0', err);
    for (int i = 0; i <= weight && status == DM_OK; i++) {
        unsigned digit = i < count ? dm_get_be16(p + 8 + 2 * i) : 0;
        status = dm_buffer_printf(out, err, i == 0 ? "%u" : "%04u", digit);
    }
    if (display > 0 && status == DM_OK)
        status = dm_buffer_append_byte(out, '.', err);
    for (int done = 0, i = weight < 0 ? 0 : weight + 1; done < display && status == DM_OK; done += 4) {
        /* base-10000 digits between the point and the first one stored are zero */
        bool stored = done / 4 >= -weight - 1 && i < count;
        char text[16];
        (void)snprintf(text, sizeof text, "%04u", stored ? dm_get_be16(p + 8 + 2 * i) % 10000u : 0u);
        i += stored;
        int left = display - done;
        status = dm_buffer_append(out, text, left < 4 ? (size_t)left : 4, err);
    }
    return status;
}
