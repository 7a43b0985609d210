/* sha256.h — HMAC-SHA-256 (RFC 2104), for what must not be computed back: keys of deleted rows. Computed by nettle.
 *
 * Values; no memory, no failure. A key that is set once may be used by any number of threads.
 *
 *     struct dm_hmac_key key;
 *     dm_hmac_key_init(&key, secret, sizeof secret);
 *     dm_hmac(&key, bytes, n, digest);
 */
#ifndef DM_BASE_SHA256_H
#define DM_BASE_SHA256_H

#include <nettle/hmac.h>
#include <stddef.h>
#include <stdint.h>

enum { DM_SHA256_BYTES = SHA256_DIGEST_SIZE };

struct dm_hmac_key {
    struct hmac_sha256_ctx begun; /* nothing hashed yet */
};

void dm_hmac_key_init(struct dm_hmac_key *key, const void *secret, size_t n);
void dm_hmac(const struct dm_hmac_key *key, const void *bytes, size_t n, uint8_t out[DM_SHA256_BYTES]);

#endif
