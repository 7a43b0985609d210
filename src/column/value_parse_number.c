#include "column/value_parse_number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

typedef unsigned __int128 u128;

enum { DIGITS_64 = 18, DIGITS_128 = 38, EXPONENT_MAX = 1000000 };

static const uint64_t powers[] = {1u,
                                  10u,
                                  100u,
                                  1000u,
                                  10000u,
                                  100000u,
                                  1000000u,
                                  10000000u,
                                  100000000u,
                                  1000000000u,
                                  10000000000u,
                                  100000000000u,
                                  1000000000000u,
                                  10000000000000u,
                                  100000000000000u,
                                  1000000000000000u,
                                  10000000000000000u,
                                  100000000000000000u,
                                  1000000000000000000u,
                                  10000000000000000000u};

/* n <= 38 */
static u128 power_of_ten(unsigned n)
{
    return n <= 19 ? powers[n] : (u128)powers[19] * powers[n - 19];
}

/* A number taken apart: (negative ? - : +) digits × 10^exponent, where `digits` does not end in zero (unless it is zero). */
struct number {
    u128 digits;
    unsigned count; /* significant digits */
    int64_t exponent;
    bool negative;
    bool too_long; /* more than 38 significant digits: `digits` is not the value */
};

/* The exponent behind 'e'. */
static bool parse_exponent(const char *p, const char *end, int64_t *out)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end)
        return false;
    int64_t v = 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        v = v < EXPONENT_MAX ? v * 10 + (*p - '0') : v;
    }
    *out = negative ? -v : v;
    return true;
}

static void add_digit(struct number *out, unsigned digit, unsigned *zeros)
{
    if (digit == 0 && out->count == 0)
        return;
    if (digit == 0) {
        ++*zeros;
        return;
    }
    if (*zeros >= DIGITS_128 || out->count + *zeros + 1 > DIGITS_128) {
        out->too_long = true;
        return;
    }
    out->digits = out->digits * power_of_ten(*zeros + 1) + digit;
    out->count += *zeros + 1;
    *zeros = 0;
}

static bool take_apart(const char *text, size_t n, struct number *out)
{
    const char *p = text, *end = text + n;
    *out = (struct number){.negative = n > 0 && *p == '-'};
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    unsigned zeros = 0; /* behind the digits so far: they count when another digit follows */
    bool point = false, any = false;
    int64_t places = 0;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9')
            return false;
        any = true;
        places += point;
        add_digit(out, (unsigned)(*p - '0'), &zeros);
    }
    int64_t exponent = 0;
    if (!any || (p < end && !parse_exponent(p + 1, end, &exponent)))
        return false;
    out->exponent = out->count == 0 ? 0 : exponent - places + zeros;
    return true;
}

enum dm_parsed dm_parse_decimal(const char *text, size_t n, unsigned precision, unsigned scale,
                                dm_int128 *out)
{
    /* The usual case: at most 18 digits, a point at most. */
    if (n > 0 && n <= DIGITS_64) {
        const char *p = text, *end = text + n;
        bool negative = *p == '-';
        p += negative;
        uint64_t v = 0;
        const char *point = NULL;
        for (; p < end; p++) {
            unsigned digit = (unsigned)((unsigned char)*p - '0');
            if (digit <= 9)
                v = v * 10 + digit;
            else if (*p == '.' && point == NULL)
                point = p;
            else
                break;
        }
        size_t places = point != NULL ? (size_t)(end - point) - 1 : 0;
        if (p == end && n - negative - (point != NULL) > 0 && places <= scale) {
            u128 scaled;
            if (__builtin_mul_overflow((u128)v, power_of_ten(scale - (unsigned)places), &scaled) ||
                scaled >= power_of_ten(precision))
                return DM_PARSED_BEYOND;
            *out = negative ? -(dm_int128)scaled : (dm_int128)scaled;
            return DM_PARSED;
        }
    }
    struct number v;
    if (!take_apart(text, n, &v))
        return DM_PARSED_WRONG;
    int64_t shift = v.exponent + (int64_t)scale;
    if (v.count == 0) {
        *out = 0;
        return DM_PARSED;
    }
    if (v.too_long || shift < 0 || (int64_t)v.count + shift > (int64_t)precision)
        return DM_PARSED_BEYOND;
    dm_int128 whole = (dm_int128)(v.digits * power_of_ten((unsigned)shift));
    *out = v.negative ? -whole : whole;
    return DM_PARSED;
}

enum dm_parsed dm_parse_int64(const char *text, size_t n, int64_t *out)
{
    if (n > 0 && n <= DIGITS_64) {
        bool negative = *text == '-';
        size_t i = negative;
        int64_t v = 0;
        for (; i < n; i++) {
            unsigned digit = (unsigned)((unsigned char)text[i] - '0');
            if (digit > 9)
                break;
            v = v * 10 + (int64_t)digit;
        }
        if (i == n && n > negative) {
            *out = negative ? -v : v;
            return DM_PARSED;
        }
    }
    dm_int128 wide;
    enum dm_parsed parsed = dm_parse_decimal(text, n, DIGITS_128, 0, &wide);
    if (parsed == DM_PARSED && (wide > INT64_MAX || wide < INT64_MIN))
        return DM_PARSED_BEYOND;
    if (parsed == DM_PARSED)
        *out = (int64_t)wide;
    return parsed;
}

/* NaN and the infinities; WRONG: none of them. */
static enum dm_parsed parse_special(const char *text, size_t n, double *out)
{
    bool negative = n > 0 && *text == '-';
    if (n > 0 && (*text == '-' || *text == '+')) {
        text++;
        n--;
    }
    if (n == 3 && strncasecmp(text, "nan", 3) == 0) {
        *out = (double)NAN;
        return DM_PARSED;
    }
    if ((n == 3 && strncasecmp(text, "inf", 3) == 0) || (n == 8 && strncasecmp(text, "infinity", 8) == 0)) {
        *out = negative ? -(double)INFINITY : (double)INFINITY;
        return DM_PARSED;
    }
    return DM_PARSED_WRONG;
}

/* The text is known to be a number. The C locale is in force: the program never sets another. */
static double library_parse(const char *text, size_t n, bool single)
{
    char small[128];
    char *copy = n < sizeof small ? small : dm_xalloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    double v = single ? (double)strtof(copy, NULL) : strtod(copy, NULL);
    if (copy != small)
        free(copy);
    return v;
}

/* Digits and power of ten that the type holds exactly: one multiplication or division of them rounds once, so it is the nearest value.
 * (W. D. Clinger, How to Read Floating Point Numbers Accurately, 1990.) */
static bool exact_parts(const struct number *v, uint64_t max_digits, int64_t max_exponent)
{
    return !v->too_long && v->digits <= max_digits && v->exponent >= -max_exponent &&
           v->exponent <= max_exponent;
}

enum dm_parsed dm_parse_float64(const char *text, size_t n, double *out)
{
    struct number v;
    if (!take_apart(text, n, &v))
        return parse_special(text, n, out);
    if (exact_parts(&v, UINT64_C(1) << 53, 22)) {
        static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        double d = (double)(uint64_t)v.digits;
        d = v.exponent < 0 ? d / tens[-v.exponent] : d * tens[v.exponent];
        *out = v.negative ? -d : d;
        return DM_PARSED;
    }
    *out = library_parse(text, n, false);
    return isinf(*out) || (*out == 0 && v.count != 0) ? DM_PARSED_BEYOND : DM_PARSED;
}

enum dm_parsed dm_parse_float32(const char *text, size_t n, float *out)
{
    struct number v;
    if (!take_apart(text, n, &v)) {
        double special = 0;
        enum dm_parsed parsed = parse_special(text, n, &special);
        *out = (float)special;
        return parsed;
    }
    if (exact_parts(&v, UINT64_C(1) << 24, 10)) {
        static const float tens[] = {1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f, 1e6f, 1e7f, 1e8f, 1e9f, 1e10f};
        float f = (float)(uint64_t)v.digits;
        f = v.exponent < 0 ? f / tens[-v.exponent] : f * tens[v.exponent];
        *out = v.negative ? -f : f;
        return DM_PARSED;
    }
    *out = (float)library_parse(text, n, true);
    return isinf(*out) || (*out == 0 && v.count != 0) ? DM_PARSED_BEYOND : DM_PARSED;
}
