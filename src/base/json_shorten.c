#include "base/json_shorten.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { most_digits = 17, longest_number = 40 };

/* The end of the string whose opening quote is at `c`. */
static const char *end_of_string(const char *c)
{
    for (c++; *c != '\0' && *c != '"'; c++)
        if (*c == '\\' && c[1] != '\0')
            c++;
    return *c == '"' ? c + 1 : c;
}

/* A number of n bytes, shortened when it is a double whose text has more digits than needed. Returns its new length. */
static size_t shorten(const char *number, size_t n, char *out)
{
    char text[longest_number], best[longest_number];
    bool real =
        memchr(number, '.', n) != NULL || memchr(number, 'e', n) != NULL || memchr(number, 'E', n) != NULL;
    if (real && n < sizeof text) {
        memcpy(text, number, n);
        text[n] = '\0';
        double value = strtod(text, NULL);
        for (int digits = 1; digits <= most_digits; digits++) {
            (void)snprintf(best, sizeof best, "%.*g", digits, value);
            if (strtod(best, NULL) == value) /* NOLINT: the very same double */
                break;
        }
        if (strpbrk(best, ".e") == NULL) /* it stays a real number */
            (void)snprintf(best, sizeof best, "%.1f", value);
        if (strlen(best) < n) {
            memcpy(out, best, strlen(best));
            return strlen(best);
        }
    }
    memmove(out, number, n);
    return n;
}

char *dm_json_shorten(char *text)
{
    const char *c = text;
    char *out = text;
    while (*c != '\0') {
        size_t n = strspn(c, "-+.0123456789eE");
        if (*c == '"') {
            size_t length = (size_t)(end_of_string(c) - c);
            memmove(out, c, length);
            out += length;
            c += length;
        } else if ((*c == '-' || (*c >= '0' && *c <= '9')) && n > 0) {
            out += shorten(c, n, out);
            c += n;
        } else {
            *out++ = *c++;
        }
    }
    *out = '\0';
    return text;
}
