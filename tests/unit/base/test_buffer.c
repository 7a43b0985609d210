#include "../column/random_values.h"

#include "base/buffer.h"

static void grows_to_its_maximum_and_not_beyond(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_buffer b;
    dm_buffer_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        assert_ok(dm_buffer_append_byte(&b, (uint8_t)i, &err), &err);
    assert_int_equal(dm_buffer_append_byte(&b, 1, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_DATA);
    assert_int_equal(b.len, 1000); /* as it was */
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(b.data[i], (uint8_t)i);
    assert_null(dm_buffer_text(&b)); /* no room for the NUL */
    assert_ok(dm_buffer_append(&b, NULL, 0, &err), &err);
    dm_buffer_clear(&b);
    assert_int_equal(b.len, 0);
    assert_non_null(b.data);
    assert_int_equal(dm_buffer_reserve(&b, 1001, &err), DM_FAIL);
    assert_int_equal(dm_buffer_reserve(&b, SIZE_MAX, &err), DM_FAIL); /* no overflow */
    assert_ok(dm_buffer_append_byte(&b, 7, &err), &err);
    assert_int_equal(dm_buffer_reserve(&b, SIZE_MAX, &err), DM_FAIL);
    dm_buffer_release(&b);
    assert_null(b.data);
}

static void zeroed_struct_with_max_is_ready(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_buffer b = {.max = 16};
    assert_string_equal(dm_buffer_text(&b), "");
    assert_ok(dm_buffer_append(&b, "abc", 3, &err), &err);
    assert_string_equal(dm_buffer_text(&b), "abc");
    assert_int_equal(b.len, 3);
    dm_buffer_release(&b);
}

static void prints(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_buffer b = {.max = 400};
    assert_ok(dm_buffer_printf(&b, &err, "%d-%s", 42, "x"), &err);
    assert_ok(dm_buffer_printf(&b, &err, "%300s", "y"), &err); /* longer than the first allocation */
    assert_int_equal(b.len, 304);
    assert_int_equal(dm_buffer_printf(&b, &err, "%300s", "z"), DM_FAIL);
    assert_int_equal(b.len, 304);
    assert_memory_equal(dm_buffer_text(&b), "42-x ", 5);
    dm_buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_maximum_and_not_beyond),
        cmocka_unit_test(zeroed_struct_with_max_is_ready),
        cmocka_unit_test(prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
