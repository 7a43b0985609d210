/* column_stats.h — inside engine/ only: statistics of one leaf column, gathered chunk by chunk while its values are written.
 *
 * The gatherer sees values after they were laid out for DuckDB: dense arrays, which makes the loops short. `state` may be NULL
 * (no nulls among the n values). It keeps at most 64 bytes of a text, which is all that a bound needs.
 *
 *     struct dm_stats_gatherer g;
 *     dm_stats_init(&g, type, with_bounds);
 *     dm_stats_fixed(&g, values, state, n);      // any number of times
 *     dm_stats_finish(&g, field_id, &stats);
 */
#ifndef DM_ENGINE_COLUMN_STATS_H
#define DM_ENGINE_COLUMN_STATS_H

#include "engine/parquet_write.h"

/* The beginning of a text or binary value: enough for a bound of 16 code points or 16 bytes. */
struct dm_stats_prefix {
    uint8_t bytes[64];
    uint8_t len;
    bool cut;      /* the value goes on */
    uint64_t head; /* first 8 bytes as a big-endian number, zero padded */
};

struct dm_stats_gatherer {
    struct dm_type type;
    bool with_bounds;
    bool seen; /* some value entered the bounds */
    uint64_t values, nulls, nans;
    union {
        struct {
            int64_t min, max;
        } i;
        struct {
            dm_int128 min, max;
        } w;
        struct {
            double min, max;
        } f;
        struct {
            struct dm_stats_prefix min, max;
        } s;
    } u;
};

void dm_stats_init(struct dm_stats_gatherer *g, struct dm_type type, bool with_bounds);
/* Values as in struct dm_column's data (a DECIMAL as dm_int128, a UUID as 16 bytes). */
void dm_stats_fixed(struct dm_stats_gatherer *g, const void *values, const uint8_t *state, size_t n);
/* One value of STRING or BINARY; the caller counts it with dm_stats_count. */
void dm_stats_bytes_slow(struct dm_stats_gatherer *g, const uint8_t *bytes, size_t n, uint64_t head);
void dm_stats_finish(const struct dm_stats_gatherer *g, int32_t field_id, struct dm_column_stats *out);

static inline void dm_stats_count(struct dm_stats_gatherer *g, uint64_t values, uint64_t nulls)
{
    g->values += values;
    g->nulls += nulls;
}

/* `head`: the first 8 bytes as a big-endian number, zero padded. Most values lie strictly between the bounds and end here. */
static inline void dm_stats_bytes(struct dm_stats_gatherer *g, const uint8_t *bytes, size_t n, uint64_t head)
{
    if (g->with_bounds && !(g->seen && head > g->u.s.min.head && head < g->u.s.max.head))
        dm_stats_bytes_slow(g, bytes, n, head);
}

#endif
