#include "engine/float_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "d.ddde±x" of so many digits. */
static void spell(double v, int digits, char *out)
{
    (void)snprintf(out, DM_FLOAT_TEXT_MAX, "%.*e", digits - 1, v);
}

static bool reads_back(const char *text, double v, bool single)
{
    return single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v;
}

/* The fewest digits. So many that every text of them is some float's own are tried first, for most numbers have fewer, and then zeros end it; where the floats lie
 * further apart than their digits (the smallest ones) fewer may do than that says. */
static void shortest(double v, bool single, char *out)
{
    const int sure = single ? 6 : 15, most = single ? 9 : 17;
    const double smallest = single ? 1.1754943508222875e-38 : 2.2250738585072014e-308;
    for (int digits = fabs(v) < smallest ? 1 : sure; digits <= most; digits++) {
        spell(v, digits, out);
        if (reads_back(out, v, single))
            return;
    }
}

/* Out of "-d.ddd…e±x" its digits without zeros at the end, and x. */
static size_t take_apart(const char *text, char *digits, int *exponent)
{
    size_t n = 0;
    for (; *text != 'e'; text++)
        if (*text >= '0' && *text <= '9')
            digits[n++] = *text;
    *exponent = (int)strtol(text + 1, NULL, 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

static size_t put_exponent(const char *digits, size_t n, int exponent, char *out)
{
    int len = n == 1 ? snprintf(out, DM_FLOAT_TEXT_MAX, "%ce%+03d", digits[0], exponent)
                     : snprintf(out, DM_FLOAT_TEXT_MAX, "%c.%.*se%+03d", digits[0], (int)n - 1, digits + 1,
                                exponent);
    return (size_t)len;
}

static size_t put_fixed(const char *digits, size_t n, int exponent, char *out)
{
    size_t len = 0;
    if (exponent < 0) {
        out[len++] = '0';
        out[len++] = '.';
        for (int i = -1; i > exponent; i--)
            out[len++] = '0';
    }
    for (size_t i = 0; i < n || (int)i <= exponent; i++) {
        if (exponent >= 0 && (int)i == exponent + 1)
            out[len++] = '.';
        out[len++] = i < n ? digits[i] : '0';
    }
    if (exponent >= 0 && (int)n <= exponent + 1) {
        out[len++] = '.';
        out[len++] = '0';
    }
    return len;
}

static size_t float_text(double v, bool single, char *out)
{
    if (isnan(v) || isinf(v)) {
        const char *text = isnan(v) ? "nan" : v < 0 ? "-inf" : "inf";
        memcpy(out, text, strlen(text));
        return strlen(text);
    }
    char text[DM_FLOAT_TEXT_MAX], digits[DM_FLOAT_TEXT_MAX];
    int exponent;
    shortest(v, single, text);
    size_t n = take_apart(text, digits, &exponent), sign = signbit(v) != 0;
    out[0] = '-';
    return sign + (exponent < -4 || exponent >= 16 ? put_exponent(digits, n, exponent, out + sign)
                                                   : put_fixed(digits, n, exponent, out + sign));
}

size_t dm_float64_text(double v, char *out)
{
    return float_text(v, false, out);
}

size_t dm_float32_text(float v, char *out)
{
    return float_text((double)v, true, out);
}
