/* Heads of requests: which bytes are one, which are none, and that every beginning of a good one waits for more. */
#include "http/http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static enum dm_status check(const char *text)
{
    struct dm_error err = {0};
    enum dm_status status = dm_http_head_check(text, strlen(text), &err);
    assert_true((status == DM_FAIL) == (err.message[0] != '\0'));
    return status;
}

static void good_heads(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x?y=%20z HTTP/1.0\r\nhost:a:1\r\nX:\r\nY: \t b \t\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 000000000000000001\r\n\r\nx",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\nHost: a\r\nAccept: x\r\nAccept: y\r\n\r\n0\n\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct dm_error err = {0};
        size_t whole = (size_t)(strstr(heads[i], "\r\n\r\n") - heads[i]) + 4;
        assert_int_equal(check(heads[i]), DM_OK);
        for (size_t n = 0; n < whole; n++)
            assert_int_equal(dm_http_head_check(heads[i], n, &err), DM_TIMEOUT);
    }
}

static void bad_heads(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        " / HTTP/1.1\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\x7f\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1234567890123456789\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (check(heads[i]) != DM_FAIL)
            fail_msg("taken: %s", heads[i]);
}

static void zero_bytes_and_long_heads(void **state)
{
    (void)state;
    struct dm_error err = {0};
    static const char zero[] = "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_int_equal(dm_http_head_check(zero, sizeof zero - 1, &err), DM_FAIL);
    char *large = dm_xzalloc(DM_HTTP_HEAD_MAX, 1);
    memset(large, 'x', DM_HTTP_HEAD_MAX);
    assert_int_equal(dm_http_head_check(large, DM_HTTP_HEAD_MAX - 1, &err), DM_TIMEOUT);
    assert_int_equal(dm_http_head_check(large, DM_HTTP_HEAD_MAX, &err), DM_FAIL);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads),
        cmocka_unit_test(bad_heads),
        cmocka_unit_test(zero_bytes_and_long_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
