#include "base/sha256.h"

#include <nettle/version.h>

void dm_hmac_key_init(struct dm_hmac_key *key, const void *secret, size_t n)
{
    hmac_sha256_set_key(&key->begun, n, secret);
}

void dm_hmac(const struct dm_hmac_key *key, const void *bytes, size_t n, uint8_t out[DM_SHA256_BYTES])
{
    struct hmac_sha256_ctx h = key->begun;
    hmac_sha256_update(&h, n, bytes);
#if NETTLE_VERSION_MAJOR >= 4
    hmac_sha256_digest(&h, out);
#else
    hmac_sha256_digest(&h, DM_SHA256_BYTES, out);
#endif
}
