#include "engine/column_stats.h"

#include <string.h>

#include "base/bytes.h"

enum { BOUND_CODE_POINTS = 16, BOUND_BYTES = 16 };

void dm_stats_init(struct dm_stats_gatherer *g, struct dm_type type, bool with_bounds)
{
    *g = (struct dm_stats_gatherer){.type = type, .with_bounds = with_bounds};
}

/* Branch-free over the dense case, so that the compiler makes vector code of it. */
#define DM_STATS_INTEGERS(name, ctype) \
    static bool name(const void *values, const uint8_t *state, size_t n, int64_t *min_out, int64_t *max_out) \
    { \
        const ctype *v = values; \
        size_t i = 0; \
        while (state != NULL && i < n && state[i] != DM_VALID) \
            i++; \
        if (i == n) \
            return false; \
        ctype min = v[i], max = v[i]; \
        if (state == NULL) { \
            for (; i < n; i++) { \
                min = v[i] < min ? v[i] : min; \
                max = v[i] > max ? v[i] : max; \
            } \
        } else { \
            for (; i < n; i++) { \
                ctype x = state[i] == DM_VALID ? v[i] : min; /* a null repeats a value that was seen */ \
                min = x < min ? x : min; \
                max = x > max ? x : max; \
            } \
        } \
        *min_out = min; \
        *max_out = max; \
        return true; \
    }
DM_STATS_INTEGERS(integers8, uint8_t)
DM_STATS_INTEGERS(integers32, int32_t)
DM_STATS_INTEGERS(integers64, int64_t)
#undef DM_STATS_INTEGERS

static void add_integers(struct dm_stats_gatherer *g, const void *values, const uint8_t *state, size_t n)
{
    int64_t min, max;
    bool any = g->type.id == DM_BOOL                             ? integers8(values, state, n, &min, &max)
               : g->type.id == DM_INT32 || g->type.id == DM_DATE ? integers32(values, state, n, &min, &max)
                                                                 : integers64(values, state, n, &min, &max);
    if (!any)
        return;
    if (!g->seen || min < g->u.i.min)
        g->u.i.min = min;
    if (!g->seen || max > g->u.i.max)
        g->u.i.max = max;
    g->seen = true;
}

static void add_wide(struct dm_stats_gatherer *g, const dm_int128 *v, const uint8_t *state, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (state != NULL && state[i] != DM_VALID)
            continue;
        if (!g->seen || v[i] < g->u.w.min)
            g->u.w.min = v[i];
        if (!g->seen || v[i] > g->u.w.max)
            g->u.w.max = v[i];
        g->seen = true;
    }
}

static void add_float(struct dm_stats_gatherer *g, double x)
{
    if (x != x) {
        g->nans++;
        return;
    }
    if (!g->with_bounds)
        return;
    if (!g->seen || x < g->u.f.min)
        g->u.f.min = x;
    if (!g->seen || x > g->u.f.max)
        g->u.f.max = x;
    g->seen = true;
}

/* UUIDs order as 16 unsigned bytes. */
static void add_uuids(struct dm_stats_gatherer *g, const uint8_t *v, const uint8_t *state, size_t n)
{
    for (size_t i = 0; i < n; i++, v += 16) {
        if (state != NULL && state[i] != DM_VALID)
            continue;
        if (!g->seen || memcmp(v, g->u.s.min.bytes, 16) < 0)
            memcpy(g->u.s.min.bytes, v, 16);
        if (!g->seen || memcmp(v, g->u.s.max.bytes, 16) > 0)
            memcpy(g->u.s.max.bytes, v, 16);
        g->seen = true;
    }
}

void dm_stats_fixed(struct dm_stats_gatherer *g, const void *values, const uint8_t *state, size_t n)
{
    g->values += n;
    for (size_t i = 0; state != NULL && i < n; i++)
        g->nulls += state[i] != DM_VALID;
    if (g->type.id == DM_FLOAT32 || g->type.id == DM_FLOAT64) {
        for (size_t i = 0; i < n; i++)
            if (state == NULL || state[i] == DM_VALID)
                add_float(g, g->type.id == DM_FLOAT32 ? (double)((const float *)values)[i]
                                                      : ((const double *)values)[i]);
        return;
    }
    if (!g->with_bounds)
        return;
    if (g->type.id == DM_DECIMAL)
        add_wide(g, values, state, n);
    else if (g->type.id == DM_UUID)
        add_uuids(g, values, state, n);
    else
        add_integers(g, values, state, n);
}

static size_t code_point_bytes(uint8_t lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* How much of the value a bound keeps. */
static size_t prefix_len(struct dm_type type, const uint8_t *bytes, size_t n)
{
    if (type.id == DM_BINARY)
        return n < BOUND_BYTES ? n : BOUND_BYTES;
    size_t at = 0;
    for (int i = 0; i < BOUND_CODE_POINTS && at < n; i++)
        at += code_point_bytes(bytes[at]);
    return at < n ? at : n;
}

static int prefix_compare(const struct dm_stats_prefix *a, const uint8_t *bytes, size_t n)
{
    size_t common = a->len < n ? a->len : n;
    int c = common != 0 ? memcmp(a->bytes, bytes, common) : 0;
    return c != 0 ? c : a->len < n ? -1 : a->len > n;
}

void dm_stats_bytes_slow(struct dm_stats_gatherer *g, const uint8_t *bytes, size_t n, uint64_t head)
{
    struct dm_stats_prefix p = {.len = (uint8_t)prefix_len(g->type, bytes, n), .head = head};
    p.cut = p.len < n;
    if (p.len != 0)
        memcpy(p.bytes, bytes, p.len);
    int to_max = g->seen ? prefix_compare(&g->u.s.max, p.bytes, p.len) : -1;
    if (!g->seen || prefix_compare(&g->u.s.min, p.bytes, p.len) > 0)
        g->u.s.min = p;
    if (to_max < 0 || (to_max == 0 && p.cut))
        g->u.s.max = p;
    g->seen = true;
}

/* The smallest text of at most that length that is above every text with this prefix. */
static bool increase_text(struct dm_stats_prefix *p)
{
    while (p->len > 0) {
        size_t at = p->len - 1u;
        while (at > 0 && (p->bytes[at] & 0xc0) == 0x80)
            at--;
        size_t n = p->len - at;
        uint32_t cp = n == 1 ? p->bytes[at] : p->bytes[at] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++)
            cp = cp << 6 | (p->bytes[at + i] & 0x3fu);
        p->len = (uint8_t)at;
        if (cp >= 0x10ffff)
            continue; /* the highest code point: raise the one before */
        cp = cp == 0xd7ff ? 0xe000 : cp + 1;
        uint8_t *o = p->bytes + at;
        n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        for (size_t i = n - 1; i > 0; i--, cp >>= 6)
            o[i] = (uint8_t)(0x80 | (cp & 0x3f));
        o[0] = (uint8_t)(n == 1 ? cp : (0xf00u >> n & 0xffu) | cp);
        p->len = (uint8_t)(at + n); /* may be one byte more; there is room, the buffer holds 16 * 4 */
        return true;
    }
    return false;
}

static bool increase_binary(struct dm_stats_prefix *p)
{
    while (p->len > 0 && p->bytes[p->len - 1] == 0xff)
        p->len--;
    if (p->len == 0)
        return false;
    p->bytes[p->len - 1]++;
    return true;
}

static uint8_t put_decimal(uint8_t *out, dm_int128 v)
{
    uint8_t bytes[16];
    for (int i = 15; i >= 0; i--, v >>= 8)
        bytes[i] = (uint8_t)(v & 0xff);
    size_t from = 0; /* leading bytes that only repeat the sign say nothing */
    while (from < 15 && ((bytes[from] == 0x00 && bytes[from + 1] < 0x80) ||
                         (bytes[from] == 0xff && bytes[from + 1] >= 0x80)))
        from++;
    memcpy(out, bytes + from, 16 - from);
    return (uint8_t)(16 - from);
}

static uint8_t put_float(struct dm_type type, uint8_t *out, double v)
{
    if (type.id == DM_FLOAT32) {
        float f = (float)v;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        dm_put_le32(out, bits);
        return 4;
    }
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    dm_put_le64(out, bits);
    return 8;
}

static uint8_t put_integer(struct dm_type type, uint8_t *out, int64_t v)
{
    if (type.id == DM_BOOL) {
        out[0] = v != 0;
        return 1;
    }
    if (type.id == DM_INT32 || type.id == DM_DATE) {
        dm_put_le32(out, (uint32_t)v);
        return 4;
    }
    dm_put_le64(out, (uint64_t)v);
    return 8;
}

static void finish_prefixes(const struct dm_stats_gatherer *g, struct dm_column_stats *out)
{
    struct dm_stats_prefix max = g->u.s.max;
    if (max.cut)
        out->has_bounds = g->type.id == DM_STRING ? increase_text(&max) : increase_binary(&max);
    if (!out->has_bounds)
        return;
    out->lower_len = g->u.s.min.len;
    memcpy(out->lower, g->u.s.min.bytes, out->lower_len);
    out->upper_len = max.len;
    memcpy(out->upper, max.bytes, out->upper_len);
}

void dm_stats_finish(const struct dm_stats_gatherer *g, int32_t field_id, struct dm_column_stats *out)
{
    *out = (struct dm_column_stats){
        .field_id = field_id, .values = g->values, .nulls = g->nulls, .nans = g->nans};
    out->is_float = g->type.id == DM_FLOAT32 || g->type.id == DM_FLOAT64;
    out->has_bounds = g->seen;
    if (!g->seen)
        return;
    switch (g->type.id) {
    case DM_STRING:
    case DM_BINARY: finish_prefixes(g, out); break;
    case DM_UUID:
        out->lower_len = out->upper_len = 16;
        memcpy(out->lower, g->u.s.min.bytes, 16);
        memcpy(out->upper, g->u.s.max.bytes, 16);
        break;
    case DM_DECIMAL:
        out->lower_len = put_decimal(out->lower, g->u.w.min);
        out->upper_len = put_decimal(out->upper, g->u.w.max);
        break;
    case DM_FLOAT32:
    case DM_FLOAT64: /* -0 and +0 compare equal: a bound of zero covers both */
        out->lower_len = put_float(g->type, out->lower, g->u.f.min == 0 ? -0.0 : g->u.f.min);
        out->upper_len = put_float(g->type, out->upper, g->u.f.max == 0 ? 0.0 : g->u.f.max);
        break;
    default:
        out->lower_len = put_integer(g->type, out->lower, g->u.i.min);
        out->upper_len = put_integer(g->type, out->upper, g->u.i.max);
    }
}
