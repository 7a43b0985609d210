/* lake_secret.h — the secret of a lake, by which keys of deleted rows become hashes that nobody computes back without it.
 *
 * 32 random bytes in `<lake>/.secret` (mode 0600), made when the lake is. Hashes are the first 128 bits of HMAC-SHA-256. The catalog, which others may read and
 * copy, holds only a check value, by which another lake's secret is recognised.
 *
 * Lakes of older versions hashed by XXH3 with a seed that stood in the catalog, from which short keys can be computed back. The first time such a lake is
 * opened for writing, its hashes are hashed again, and the seed moves from the catalog behind the secret: from then on a key's hash is
 * HMAC(secret, XXH3(seed, key)).
 *
 *     dm_lake_secret_open(db, lake, create, &secret, err);
 *     dm_lake_secret_hash(&secret, key, len, hash);
 */
#ifndef DM_MIRROR_HYGIENE_LAKE_SECRET_H
#define DM_MIRROR_HYGIENE_LAKE_SECRET_H

#include <stdbool.h>

#include "base/error.h"
#include "base/sha256.h"

struct sqlite3;

enum { DM_KEY_HASH_BYTES = 16, DM_OLD_SEED_BYTES = 192 };

struct dm_lake_secret {
    bool keyed;   /* false: an older lake that was not converted yet, opened for reading */
    bool chained; /* `seed` comes first */
    struct dm_hmac_key key;
    uint8_t seed[DM_OLD_SEED_BYTES];
};

/* create: makes what is missing (the tables of suppressed keys are there), and converts. Without it, a lake without suppressed keys may have no secret.
 * CONFIG when suppressed keys are there and their secret is not: nothing could keep them out. */
enum dm_status dm_lake_secret_open(struct sqlite3 *db, const char *lake, bool create,
                                   struct dm_lake_secret *out, struct dm_error *err) DM_MUST_USE;
/* What dm_lake_secret_open with `create` would refuse; changes nothing. */
enum dm_status dm_lake_secret_check(struct sqlite3 *db, const char *lake, struct dm_error *err) DM_MUST_USE;
void dm_lake_secret_hash(const struct dm_lake_secret *s, const uint8_t *key, size_t n,
                         uint8_t out[DM_KEY_HASH_BYTES]);

#endif
