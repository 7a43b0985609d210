/* Published vectors: FIPS 180-4's examples and RFC 4231. */
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

static void hashes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    struct dm_sha256 s;
    uint8_t digest[DM_SHA256_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].text);
        for (size_t cut = 0; cut <= n; cut++) {
            dm_sha256_init(&s);
            dm_sha256_add(&s, cases[i].text, cut);
            dm_sha256_add(&s, cases[i].text + cut, n - cut);
            dm_sha256_end(&s, digest);
            same(digest, cases[i].digest);
        }
    }
    dm_sha256_init(&s);
    for (int i = 0; i < 1000000; i++)
        dm_sha256_add(&s, "a", 1);
    dm_sha256_end(&s, digest);
    same(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hashes), cmocka_unit_test(keyed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
