/* Layout, all little endian: a cookie; the number of containers; (key, cardinality - 1) of each; the offset
 * of each; the containers. cookie 12346 (32 bits): no run containers; the number of containers follows as 32
 * bits. cookie 12347 (16 bits): the number of containers - 1 in the upper 16 bits; then one bit a container:
 * it holds runs. The offsets are left out when the cookie is 12347 and there are fewer than 4 containers. A
 * container is: runs (a count, then first value and length - 1 of each); else with cardinality <= 4096 the
 * sorted 16-bit values; else 65536 bits. Keys ascend, values ascend, runs ascend and do not touch. */
#include "format/roaring_check.h"

#include <stdbool.h>

#include "base/bytes.h"

#define COOKIE_NO_RUNS 12346u
#define COOKIE_RUNS 12347u
#define OFFSETS_FROM 4u
#define MAX_CONTAINERS 65536u
#define MAX_ARRAY 4096u
#define BITSET_BYTES 8192u

struct layout {
    uint32_t containers;
    const uint8_t *run_flags; /* NULL: no runs at all */
    const uint8_t *headers;   /* key and cardinality - 1 */
    const uint8_t *offsets;   /* NULL: none */
    size_t at;                /* the first container */
};

static enum dm_status damaged(struct dm_error *err, const char *what)
{
    return dm_fail(err, DM_ERROR_DATA, NULL, "bitmap: %s", what);
}

/* Moves *at over `more` bytes when they are there. */
static bool take(size_t n, size_t *at, size_t more)
{
    if (more > n - *at)
        return false;
    *at += more;
    return true;
}

static enum dm_status read_layout(const uint8_t *bytes, size_t n, struct layout *l, struct dm_error *err)
{
    size_t at = 0;
    *l = (struct layout){0};
    if (!take(n, &at, 4))
        return damaged(err, "it is cut off");
    uint32_t cookie = dm_get_le32(bytes);
    if ((cookie & 0xffff) == COOKIE_RUNS) {
        l->containers = (cookie >> 16) + 1;
        l->run_flags = bytes + at;
        if (!take(n, &at, (l->containers + 7) / 8))
            return damaged(err, "it is cut off");
    } else if (cookie == COOKIE_NO_RUNS) {
        if (!take(n, &at, 4))
            return damaged(err, "it is cut off");
        l->containers = dm_get_le32(bytes + 4);
        if (l->containers > MAX_CONTAINERS)
            return damaged(err, "it has too many containers");
    } else {
        return damaged(err, "its cookie is unknown");
    }
    l->headers = bytes + at;
    if (!take(n, &at, (size_t)l->containers * 4))
        return damaged(err, "it is cut off");
    if (l->run_flags == NULL || l->containers >= OFFSETS_FROM) {
        l->offsets = bytes + at;
        if (!take(n, &at, (size_t)l->containers * 4))
            return damaged(err, "it is cut off");
    }
    l->at = at;
    return DM_OK;
}

static bool array_is_sound(const uint8_t *values, uint32_t cardinality)
{
    for (uint32_t i = 1; i < cardinality; i++)
        if (dm_get_le16(values + 2 * (size_t)(i - 1)) >= dm_get_le16(values + 2 * (size_t)i))
            return false;
    return true;
}

static bool bitset_is_sound(const uint8_t *words, uint32_t cardinality)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < BITSET_BYTES; i += 8)
        bits += (uint32_t)__builtin_popcountll(dm_get_le64(words + i));
    return bits == cardinality;
}

static bool runs_are_sound(const uint8_t *runs, uint32_t n_runs, uint32_t cardinality)
{
    uint32_t next = 0; /* the lowest value that a run may begin with */
    uint32_t values = 0;
    for (uint32_t i = 0; i < n_runs; i++) {
        uint32_t first = dm_get_le16(runs + 4 * (size_t)i);
        uint32_t last = first + dm_get_le16(runs + 4 * (size_t)i + 2);
        if (first < next || last > 0xffff)
            return false;
        values += last - first + 1;
        next = last + 2;
    }
    return values == cardinality;
}

/* Container `i`, which begins at *at. */
static enum dm_status check_container(const uint8_t *bytes, size_t n, const struct layout *l, uint32_t i,
                                      size_t *at, struct dm_error *err)
{
    const uint8_t *header = l->headers + 4 * (size_t)i;
    uint32_t cardinality = (uint32_t)dm_get_le16(header + 2) + 1;
    const uint8_t *data = bytes + *at;
    bool sound;
    if (i > 0 && dm_get_le16(header) <= dm_get_le16(header - 4))
        return damaged(err, "its keys do not ascend");
    if (l->offsets != NULL && dm_get_le32(l->offsets + 4 * (size_t)i) != *at)
        return damaged(err, "an offset is wrong");
    if (l->run_flags != NULL && (l->run_flags[i / 8] >> (i % 8) & 1) != 0) {
        if (!take(n, at, 2))
            return damaged(err, "it is cut off");
        uint32_t n_runs = dm_get_le16(data);
        if (!take(n, at, (size_t)n_runs * 4))
            return damaged(err, "it is cut off");
        sound = runs_are_sound(data + 2, n_runs, cardinality);
    } else if (cardinality <= MAX_ARRAY) {
        if (!take(n, at, (size_t)cardinality * 2))
            return damaged(err, "it is cut off");
        sound = array_is_sound(data, cardinality);
    } else {
        if (!take(n, at, BITSET_BYTES))
            return damaged(err, "it is cut off");
        sound = bitset_is_sound(data, cardinality);
    }
    return sound ? DM_OK : damaged(err, "a container's values do not ascend, or their number is wrong");
}

enum dm_status dm_roaring_check(const uint8_t *bytes, size_t n, size_t *used, struct dm_error *err)
{
    struct layout l;
    if (read_layout(bytes, n, &l, err) != DM_OK)
        return DM_FAIL;
    size_t at = l.at;
    for (uint32_t i = 0; i < l.containers; i++)
        if (check_container(bytes, n, &l, i, &at, err) != DM_OK)
            return DM_FAIL;
    *used = at;
    return DM_OK;
}
