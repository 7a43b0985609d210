/* sha256.h — SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), for what must not be computed back: keys of deleted rows.
 *
 * Values; no memory, no failure. A key that is set once may be used by any number of threads.
 *
 *     struct dm_hmac_key key;
 *     dm_hmac_key_init(&key, secret, sizeof secret);
 *     dm_hmac(&key, bytes, n, digest);
 */
#ifndef DM_BASE_SHA256_H
#define DM_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { DM_SHA256_BYTES = 32 };

struct dm_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};

void dm_sha256_init(struct dm_sha256 *s);
void dm_sha256_add(struct dm_sha256 *s, const void *bytes, size_t n);
void dm_sha256_end(struct dm_sha256 *s, uint8_t out[DM_SHA256_BYTES]);

struct dm_hmac_key {
    struct dm_sha256 inner, outer; /* after their first block */
};

void dm_hmac_key_init(struct dm_hmac_key *key, const void *secret, size_t n);
void dm_hmac(const struct dm_hmac_key *key, const void *bytes, size_t n, uint8_t out[DM_SHA256_BYTES]);

#endif
