#include "../column/random_values.h"

#include <errno.h>

#include "base/error.h"

static void fills_and_prefixes(void **state)
{
    (void)state;
    struct dm_error err = {0};
    assert_int_equal(dm_fail(&err, DM_ERROR_DATA, "do %d", "row %d: %s", 7, "bad"), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_DATA);
    assert_string_equal(err.message, "row 7: bad");
    assert_string_equal(err.hint, "do %d"); /* a hint is no format */
    dm_error_prefix(&err, "table %s", "t");
    assert_string_equal(err.message, "table t: row 7: bad");
    dm_error_hint(&err, "try %d", 3);
    assert_string_equal(err.hint, "try 3");
    dm_fail(&err, DM_ERROR_FATAL, NULL, "new");
    assert_string_equal(err.hint, ""); /* nothing of the old one stays */
}

static void cuts_what_is_too_long(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    dm_fail(&err, DM_ERROR_DATA, text, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_int_equal(strlen(err.hint), sizeof err.hint - 1);
    dm_error_prefix(&err, "%s", "front");
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_memory_equal(err.message, "front: xxx", 10);
    errno = ENOSPC;
    dm_fail_errno(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    dm_error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void classes_of_system_errors(void **state)
{
    (void)state;
    struct dm_error err = {0};
    static const struct {
        int code;
        enum dm_error_class class;
    } cases[] = {
        {ENOSPC, DM_ERROR_TRANSIENT}, {EINTR, DM_ERROR_TRANSIENT}, {EACCES, DM_ERROR_CONFIG},
        {ENOENT, DM_ERROR_CONFIG},    {EBADF, DM_ERROR_FATAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        errno = cases[i].code;
        assert_int_equal(dm_fail_errno(&err, "open"), DM_FAIL);
        assert_int_equal(err.class, cases[i].class);
        assert_memory_equal(err.message, "open: ", 6);
        assert_string_equal(err.message + 6, strerror(cases[i].code));
    }
    assert_int_equal(dm_fail_memory(&err, 12), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_TRANSIENT);
    assert_non_null(strstr(err.message, "12 bytes"));
}

static void null_error_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(dm_fail(NULL, DM_ERROR_DATA, NULL, "x"), DM_FAIL);
    assert_int_equal(dm_fail_errno(NULL, "x"), DM_FAIL);
    dm_error_prefix(NULL, "x");
    dm_error_hint(NULL, "x");
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(dm_error_class_name(DM_ERROR_TRANSIENT), "transient");
    assert_string_equal(dm_error_class_name(DM_ERROR_FATAL), "fatal");
    assert_string_equal(dm_error_class_name((enum dm_error_class)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_prefixes),
        cmocka_unit_test(cuts_what_is_too_long),
        cmocka_unit_test(classes_of_system_errors),
        cmocka_unit_test(null_error_is_allowed),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
