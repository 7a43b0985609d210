/* random_values.h — for unit tests: cmocka, a seeded random source whose seed is printed, and random column values that
 * prefer the edges (few distinct values, so that equal ones meet). DM_SEED=n repeats a run. Header only. */
#ifndef DM_TEST_RANDOM_VALUES_H
#define DM_TEST_RANDOM_VALUES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "column/batch.h"

#define assert_ok(call, err) \
    do { \
        enum dm_status status_ = (call); \
        if (status_ != DM_OK) \
            fail_msg("%s: status %d: %s", #call, (int)status_, (err)->message); \
    } while (0)

static uint64_t random_state;

static inline uint64_t random_next(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline size_t random_below(size_t n)
{
    return (size_t)(random_next() % n);
}

static inline void random_start(void)
{
    const char *seed = getenv("DM_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("DM_SEED=%llu\n", (unsigned long long)random_state);
    (void)fflush(stdout);
}

/* A 64-bit integer: small, extreme, or any. */
static inline int64_t random_int(void)
{
    static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, INT32_MIN, -256, -255, -1,        0,
                                    1,         127,           128,       255,  256,  INT32_MAX, INT64_MAX - 1,
                                    INT64_MAX};
    switch (random_below(3)) {
    case 0: return edges[random_below(sizeof edges / sizeof *edges)];
    case 1: return (int64_t)random_below(7) - 3;
    default: return (int64_t)(random_next() >> random_below(64));
    }
}

static inline double random_double(void)
{
    static const double edges[] = {
        0.0, -0.0, 1.0, -1.0, 1e-310, -1e-310, 1e308, -1e308, __builtin_inf(), -__builtin_inf()};
    switch (random_below(4)) {
    case 0: { /* NaNs of different bits */
        uint64_t bits = UINT64_C(0x7ff8000000000001) | (uint64_t)random_below(2) << 63 | random_below(9);
        double nan;
        memcpy(&nan, &bits, sizeof nan);
        return nan;
    }
    case 1: return edges[random_below(sizeof edges / sizeof *edges)];
    default: return (double)random_int() / (double)(1 + random_below(9));
    }
}

/* Short bytes over an alphabet that holds 0x00 and 0xff. */
static inline size_t random_bytes(uint8_t *out, size_t most)
{
    static const uint8_t alphabet[] = {0x00, 0x00, 0x01, 0x02, 'a', 'b', 0xc3, 0xfe, 0xff};
    size_t n = random_below(most + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = alphabet[random_below(sizeof alphabet)];
    return n;
}

/* A valid value of the column's type. */
static inline void append_random(struct dm_column *c)
{
    uint8_t bytes[16];
    int32_t i32 = (int32_t)random_int();
    int64_t i64 = random_int();
    double f64 = random_double();
    float f32 = (float)f64;
    dm_int128 i128 =
        (dm_int128)i64 * (dm_int128)(random_below(2) ? 1 : INT64_C(1000000007)) + (dm_int128)random_below(3);
    struct dm_error err = {0};
    switch ((enum dm_type_id)c->type.id) {
    case DM_BOOL:
        bytes[0] = (uint8_t)random_below(2);
        dm_column_append_fixed(c, bytes);
        return;
    case DM_INT32:
    case DM_DATE: dm_column_append_fixed(c, &i32); return;
    case DM_INT64:
    case DM_TIME:
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS: dm_column_append_fixed(c, &i64); return;
    case DM_FLOAT32: dm_column_append_fixed(c, &f32); return;
    case DM_FLOAT64: dm_column_append_fixed(c, &f64); return;
    case DM_DECIMAL: dm_column_append_fixed(c, &i128); return;
    case DM_UUID:
        memset(bytes, (int)random_below(2), sizeof bytes);
        bytes[random_below(16)] = (uint8_t)random_next();
        dm_column_append_fixed(c, bytes);
        return;
    case DM_STRING:
    case DM_BINARY: assert_ok(dm_column_append_bytes(c, bytes, random_bytes(bytes, 5), &err), &err); return;
    case DM_LIST:
        for (size_t n = random_below(4); n > 0; n--) {
            if (random_below(4) == 0)
                dm_column_append_null(c->child);
            else
                append_random(c->child);
        }
        dm_column_close_list(c);
        return;
    }
}

#endif
