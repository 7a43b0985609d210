/* A line of the log is whole, whatever was to be logged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/log.h"

/* What dm_log writes of this message. */
static json_t *logged(const char *message)
{
    char line[16384];
    int ends[2], old = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    dm_log(DM_LOG_INFO, "%s", message);
    assert_int_equal(dup2(old, STDERR_FILENO), STDERR_FILENO);
    ssize_t n = read(ends[0], line, sizeof line);
    (void)close(old);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_true(n > 0 && line[n - 1] == '\n');
    return json_loadb(line, (size_t)n, 0, NULL);
}

static void long_messages(void **state)
{
    (void)state;
    char message[4096];
    dm_log_set_json(true);
    for (size_t before = 0; before < 4; before++) { /* the cut falls between bytes of a character of four */
        memset(message, 'x', before);
        for (size_t i = before; i + 4 < sizeof message; i += 4)
            memcpy(message + i, "\xf0\x9f\x98\x80", 5);
        json_t *line = logged(message);
        const char *text = json_string_value(json_object_get(line, "message"));
        assert_non_null(text);
        assert_in_range(strlen(text), 2000, 2047);
        assert_memory_equal(text, message, strlen(text));
        json_decref(line);
    }
    memset(message, '"', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    json_t *line = logged(message);
    assert_int_equal(strlen(json_string_value(json_object_get(line, "message"))), 2047);
    json_decref(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(long_messages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
