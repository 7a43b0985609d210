/* key_sort.h — sorting things by their key bytes, fast for short keys.
 *
 * Works on any array of structs that begin with `const uint8_t *key; uint32_t key_len;`, as struct dm_index_change
 * and struct dm_net_change do. Order: memcmp, a key that is a prefix of another comes first; stable.
 * Memory: 40 bytes an item during the call, plus a copy of the array. Threads: no state.
 */
#ifndef DM_APPLY_KEY_SORT_H
#define DM_APPLY_KEY_SORT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dm_keyed {
    const uint8_t *key;
    uint32_t key_len;
};

static inline int dm_key_compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    int order = n > 0 ? memcmp(a, b, n) : 0;
    if (order != 0)
        return order;
    return (a_len > b_len) - (a_len < b_len);
}

/* items: n structs of `stride` bytes. */
void dm_key_sort(void *items, size_t n, size_t stride);

#endif
