#include "base/utf8.h"

#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wctype.h>

/* Length of the well-formed sequence at `p`, 0 when there is none. */
static size_t sequence(const uint8_t *p, size_t n)
{
    uint8_t lead = p[0];
    if (lead < 0x80)
        return 1;
    size_t len = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    uint8_t low = 0x80, high = 0xbf; /* of the second byte */
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool dm_utf8_valid(const uint8_t *bytes, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= sizeof eight) {
            memcpy(&eight, bytes + i, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        size_t len = sequence(bytes + i, n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

uint32_t dm_utf8_character(const uint8_t *p, size_t n, size_t *length)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *length = sequence(p, n);
    uint32_t c = p[0] & masks[*length];
    for (size_t i = 1; i < *length; i++)
        c = c << 6 | (p[i] & 0x3fu);
    return c;
}

size_t dm_utf8_whole(const char *text, size_t most)
{
    while (most > 0 && ((uint8_t)text[most] & 0xc0) == 0x80)
        most--;
    return most;
}

/* The tables of letters; (locale_t)0: they are not installed, then only ASCII has cases. */
static locale_t letters;
static pthread_once_t letters_once = PTHREAD_ONCE_INIT;

static void open_letters(void)
{
    letters = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* The character at `p` without its case. *len: its bytes. */
static wint_t folded(const char *p, size_t n, size_t *len)
{
    const uint8_t *b = (const uint8_t *)p;
    *len = sequence(b, n);
    if (*len <= 1) {
        *len = 1;
        return b[0] >= 'A' && b[0] <= 'Z' ? (wint_t)(b[0] + 'a' - 'A')
               : b[0] < 0x80              ? b[0]
                                          : 0x110000 + (wint_t)b[0];
    }
    wint_t c = (wint_t)dm_utf8_character(b, n, len);
    /* By the capital: two small letters may share one (the two forms of sigma). */
    return letters != (locale_t)0 ? towlower_l(towupper_l(c, letters), letters) : c;
}

bool dm_utf8_same_letters(const char *a, size_t a_n, const char *b, size_t b_n)
{
    (void)pthread_once(&letters_once, open_letters);
    size_t i = 0, k = 0, a_len, b_len;
    while (i < a_n && k < b_n) {
        if (folded(a + i, a_n - i, &a_len) != folded(b + k, b_n - k, &b_len))
            return false;
        i += a_len;
        k += b_len;
    }
    return i == a_n && k == b_n;
}
