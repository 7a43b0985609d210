/* The key sort against qsort, over shapes that take each of its ways. */
#include "../column/random_values.h"

#include "apply/key_sort.h"
#include "apply/keyindex.h"
#include "base/memory.h"

static int compare(const void *a, const void *b)
{
    const struct dm_index_change *x = a, *y = b;
    int order = dm_key_compare(x->key, x->key_len, y->key, y->key_len);
    return order != 0 ? order : (x->row > y->row) - (x->row < y->row); /* stable */
}

static uint32_t random_key(uint8_t *out, int shape)
{
    size_t n = 0;
    switch (shape) {
    case 0: /* integers of a small table */
        memset(out, 0, 8);
        out[0] = 0x80;
        out[6] = (uint8_t)random_next();
        out[7] = (uint8_t)random_next();
        return 8;
    case 1: /* any eight bytes */
        for (; n < 8; n++)
            out[n] = (uint8_t)random_next();
        return 8;
    case 2: /* text with a long shared front, longer than the digits */
        return (uint32_t)snprintf((char *)out, 40, "customer-number-%zu", random_below(100000));
    case 3: /* short bytes with zeros: lengths decide */ return (uint32_t)random_bytes(out, 3);
    case 4: /* equal in the digits, different behind */
        memset(out, 'a', 20);
        out[0] = (uint8_t)('a' + random_below(2));
        out[12 + random_below(3)] = (uint8_t)random_next();
        return (uint32_t)(9 + random_below(11));
    default: /* all the same */ memset(out, 'x', 12); return 12;
    }
}

static void equals_qsort(void **state)
{
    (void)state;
    enum { MOST = 3000, ROOM = 40 };
    uint8_t *room = dm_xalloc(MOST * ROOM);
    struct dm_index_change *a = dm_xzalloc(MOST, sizeof *a), *b = dm_xzalloc(MOST, sizeof *b);
    for (int round = 0; round < 120; round++) {
        size_t n = random_below(3) == 0 ? random_below(80) : random_below(MOST);
        for (size_t i = 0; i < n; i++) {
            uint8_t *key = room + i * ROOM;
            a[i] = (struct dm_index_change){
                .key = key, .key_len = random_key(key, round % 6), .row = (uint32_t)i};
        }
        memcpy(b, a, n * sizeof *a);
        qsort(b, n, sizeof *b, compare);
        dm_index_changes_sort(a, n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(a[i].row, b[i].row);
    }
    free(room);
    free(a);
    free(b);
}

int main(void)
{
    random_start();
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_qsort)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
