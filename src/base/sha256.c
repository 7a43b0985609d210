#include "base/sha256.h"

#include <string.h>

enum { block_bytes = 64, rounds = 64 };

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t constants[rounds] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turned(uint32_t x, int n)
{
    return (x >> n) | (x << (32 - n));
}

static uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static void put_be32(uint8_t *p, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(x >> (24 - 8 * i));
}

static void schedule(const uint8_t *block, uint32_t w[rounds])
{
    for (int i = 0; i < 16; i++)
        w[i] = get_be32(block + 4 * i);
    for (int i = 16; i < rounds; i++) {
        uint32_t a = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint32_t b = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[rounds], v[8];
    schedule(block, w);
    memcpy(v, state, sizeof v);
    for (int i = 0; i < rounds; i++) {
        uint32_t one = turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t add = v[7] + one + choice + constants[i] + w[i];
        uint32_t two = turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += add;
        v[0] = add + two + majority;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

void dm_sha256_init(struct dm_sha256 *s)
{
    /* The same of the square roots of the first 8 primes. */
    *s = (struct dm_sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                                      0x1f83d9ab, 0x5be0cd19}};
}

void dm_sha256_add(struct dm_sha256 *s, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n > 0) {
        size_t there = s->length % block_bytes, part = block_bytes - there < n ? block_bytes - there : n;
        memcpy(s->block + there, at, part);
        s->length += part;
        at += part;
        n -= part;
        if (there + part == block_bytes)
            compress(s->state, s->block);
    }
}

void dm_sha256_end(struct dm_sha256 *s, uint8_t out[DM_SHA256_BYTES])
{
    static const uint8_t padding[block_bytes] = {0x80};
    uint8_t bits[8];
    put_be32(bits, (uint32_t)(s->length >> 29));
    put_be32(bits + 4, (uint32_t)(s->length << 3));
    size_t there = s->length % block_bytes;
    dm_sha256_add(s, padding, (there < 56 ? 56 : 120) - there);
    dm_sha256_add(s, bits, sizeof bits);
    for (int i = 0; i < 8; i++)
        put_be32(out + 4 * i, s->state[i]);
}

void dm_hmac_key_init(struct dm_hmac_key *key, const void *secret, size_t n)
{
    uint8_t block[block_bytes] = {0};
    if (n > block_bytes) {
        struct dm_sha256 s;
        dm_sha256_init(&s);
        dm_sha256_add(&s, secret, n);
        dm_sha256_end(&s, block);
    } else if (n > 0) {
        memcpy(block, secret, n);
    }
    dm_sha256_init(&key->inner);
    dm_sha256_init(&key->outer);
    for (size_t i = 0; i < block_bytes; i++)
        block[i] ^= 0x36;
    dm_sha256_add(&key->inner, block, block_bytes);
    for (size_t i = 0; i < block_bytes; i++)
        block[i] ^= 0x36 ^ 0x5c;
    dm_sha256_add(&key->outer, block, block_bytes);
}

void dm_hmac(const struct dm_hmac_key *key, const void *bytes, size_t n, uint8_t out[DM_SHA256_BYTES])
{
    struct dm_sha256 s = key->inner;
    dm_sha256_add(&s, bytes, n);
    dm_sha256_end(&s, out);
    s = key->outer;
    dm_sha256_add(&s, out, DM_SHA256_BYTES);
    dm_sha256_end(&s, out);
}
