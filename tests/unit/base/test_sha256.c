/* Published vectors: RFC 4231. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"

static void same(const uint8_t *digest, const char *expected)
{
    char text[2 * DM_SHA256_BYTES + 1];
    for (int i = 0; i < DM_SHA256_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, expected);
}

static void keyed(void **state)
{
    (void)state;
    uint8_t secret[131], digest[DM_SHA256_BYTES];
    struct dm_hmac_key key;
    memset(secret, 0x0b, 20);
    dm_hmac_key_init(&key, secret, 20);
    dm_hmac(&key, "Hi There", 8, digest);
    same(digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    dm_hmac_key_init(&key, "Jefe", 4);
    for (int again = 0; again < 2; again++) {
        dm_hmac(&key, "what do ya want for nothing?", 28, digest);
        same(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
    memset(secret, 0xaa, sizeof secret);
    dm_hmac_key_init(&key, secret, sizeof secret);
    dm_hmac(&key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, digest);
    same(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    static const char text[] =
        "This is a test using a larger than block-size key and a larger than block-size data. "
        "The key needs to be hashed before being used by the HMAC algorithm.";
    dm_hmac(&key, text, sizeof text - 1, digest);
    same(digest, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keyed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
