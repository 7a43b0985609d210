#include "../column/random_values.h"

#include "base/bytes.h"
#include "base/clock.h"

static void byte_order(void **state)
{
    (void)state;
    uint8_t b[9];
    uint8_t *odd = b + 1; /* unaligned */
    dm_put_be16(odd, 0x0102);
    assert_memory_equal(odd, "\x01\x02", 2);
    dm_put_le32(odd, 0x01020304);
    assert_memory_equal(odd, "\x04\x03\x02\x01", 4);
    dm_put_be64(odd, UINT64_C(0x0102030405060708));
    assert_memory_equal(odd, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_int_equal(dm_get_be16(odd), 0x0102);
    assert_int_equal(dm_get_be32(odd), 0x01020304);
    assert_true(dm_get_be64(odd) == UINT64_C(0x0102030405060708));
    assert_int_equal(dm_get_le16(odd), 0x0201);
    assert_int_equal(dm_get_le32(odd), 0x04030201);
    assert_true(dm_get_le64(odd) == UINT64_C(0x0807060504030201));
}

static void format_of_moments(void **state)
{
    (void)state;
    char text[40];
    assert_string_equal(dm_clock_format_us(0, text, sizeof text), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(dm_clock_format_us(-1, text, sizeof text), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(dm_clock_format_us(INT64_C(951782400000001), text, sizeof text),
                        "2000-02-29T00:00:00.000001Z");
    assert_string_equal(dm_clock_format_us(-1000000, text, sizeof text), "1969-12-31T23:59:59.000000Z");
}

static void clocks_go_on(void **state)
{
    (void)state;
    int64_t start = dm_clock_monotonic_us(), wall = dm_clock_wall_us();
    dm_clock_sleep_ms(20);
    assert_true(dm_clock_monotonic_us() - start >= 20000);
    assert_true(wall > INT64_C(1600000000) * 1000000);
    dm_clock_sleep_ms(0);
    dm_clock_sleep_ms(-5); /* no wait, no trouble */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_order),
        cmocka_unit_test(format_of_moments),
        cmocka_unit_test(clocks_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
