#include "base/utf8.h"

#include <string.h>

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
