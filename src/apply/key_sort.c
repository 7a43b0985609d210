/* Least-significant-digit radix sort on eight key bytes after the prefix that all keys share; what is equal in those
 * is then sorted by comparison. Bytes that are the same in all keys cost no pass, so that integers out of a
 * table of ten million rows take three passes. */
#include "apply/key_sort.h"

#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

struct entry {
    uint64_t digits; /* the eight bytes, big endian, zeros after the key's end */
    const uint8_t *key;
    uint32_t key_len;
    uint32_t index;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = dm_key_compare(x->key, x->key_len, y->key, y->key_len);
    if (order != 0)
        return order;
    return (x->index > y->index) - (x->index < y->index); /* stable whatever qsort does */
}

static const struct dm_keyed *item_at(const void *items, size_t i, size_t stride)
{
    return (const void *)((const uint8_t *)items + i * stride);
}

static bool is_sorted(const void *items, size_t n, size_t stride)
{
    for (size_t i = 1; i < n; i++) {
        const struct dm_keyed *a = item_at(items, i - 1, stride);
        const struct dm_keyed *b = item_at(items, i, stride);
        if (dm_key_compare(a->key, a->key_len, b->key, b->key_len) > 0)
            return false;
    }
    return true;
}

/* Length of the prefix that all keys share. */
static size_t shared_prefix(const void *items, size_t n, size_t stride)
{
    const struct dm_keyed *first = item_at(items, 0, stride);
    size_t shared = first->key_len;
    for (size_t i = 1; i < n && shared > 0; i++) {
        const struct dm_keyed *it = item_at(items, i, stride);
        if (it->key_len < shared)
            shared = it->key_len;
        if (memcmp(first->key, it->key, shared) == 0)
            continue;
        size_t same = 0;
        while (first->key[same] == it->key[same])
            same++;
        shared = same;
    }
    return shared;
}

static uint64_t load_digits(const uint8_t *key, size_t len)
{
    uint64_t v = 0;
    if (len > 0)
        memcpy(&v, key, len < 8 ? len : 8);
    return be64toh(v);
}

/* Sorts by digits; returns which of the two arrays holds the result. */
static struct entry *radix(struct entry *from, struct entry *to, size_t n)
{
    static const size_t radixes = 256;
    size_t(*counts)[256] = dm_xzalloc(8, sizeof *counts);
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < 8; d++)
            counts[d][from[i].digits >> (8 * d) & 0xff]++;
    for (size_t d = 0; d < 8; d++) {
        size_t *count = counts[d];
        if (count[from[0].digits >> (8 * d) & 0xff] == n)
            continue; /* the same in all keys */
        size_t at = 0;
        for (size_t v = 0; v < radixes; v++) {
            size_t here = count[v];
            count[v] = at;
            at += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[from[i].digits >> (8 * d) & 0xff]++] = from[i];
        struct entry *swap = from;
        from = to;
        to = swap;
    }
    free(counts);
    return from;
}

static void sort_equal_digits(struct entry *e, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && e[end].digits == e[i].digits)
            end++;
        if (end - i > 1)
            qsort(e + i, end - i, sizeof *e, compare_entries);
        i = end;
    }
}

void dm_key_sort(void *items, size_t n, size_t stride)
{
    if (n < 2 || is_sorted(items, n, stride))
        return;
    size_t shared = shared_prefix(items, n, stride);
    struct entry *entries = dm_xzalloc(n, 2 * sizeof *entries);
    bool all_in_digits =
        true; /* no key is longer than the digits, so equal digits of equal length are equal keys */
    uint32_t first_len = item_at(items, 0, stride)->key_len;
    for (size_t i = 0; i < n; i++) {
        const struct dm_keyed *it = item_at(items, i, stride);
        entries[i] = (struct entry){.digits = load_digits(it->key + shared, it->key_len - shared),
                                    .key = it->key,
                                    .key_len = it->key_len,
                                    .index = (uint32_t)i};
        all_in_digits &= it->key_len - shared <= 8 && it->key_len == first_len;
    }
    struct entry *sorted = entries;
    if (n < 64)
        qsort(entries, n, sizeof *entries, compare_entries);
    else
        sorted = radix(entries, entries + n, n);
    if (n >= 64 && !all_in_digits)
        sort_equal_digits(sorted, n);
    uint8_t *copy = dm_xalloc(n * stride);
    memcpy(copy, items, n * stride);
    for (size_t i = 0; i < n; i++)
        memcpy((uint8_t *)items + i * stride, copy + sorted[i].index * stride, stride);
    free(copy);
    free(entries);
}
