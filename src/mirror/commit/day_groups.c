#include "mirror/commit/day_groups.h"

#include <stdlib.h>

#include "base/memory.h"
#include "column/day.h"

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int32_t day_of_row(const struct dm_column *times, uint32_t row)
{
    return times->state[row] == DM_VALID
               ? dm_day_of(times->type, ((const int64_t *)(const void *)times->data)[row])
               : DM_NO_DAY;
}

void dm_day_groups_init(struct dm_day_groups *g, const struct dm_column *times, const uint32_t *rows,
                        size_t n)
{
    *g = (struct dm_day_groups){
        .n = n, .rows = dm_xalloc((n + 1) * sizeof *g->rows), .days = dm_xalloc((n + 1) * sizeof *g->days)};
    /* The day above the place in `rows`: sorting these keeps the order within a day. */
    uint64_t *order = dm_xalloc((n + 1) * sizeof *order);
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        uint32_t day = (uint32_t)day_of_row(times, rows[i]) ^ UINT32_C(0x80000000);
        order[i] = (uint64_t)day << 32 | i;
        sorted = sorted && (i == 0 || order[i - 1] < order[i]);
    }
    if (!sorted)
        qsort(order, n, sizeof *order, compare);
    for (size_t i = 0; i < n; i++) {
        g->rows[i] = rows[(uint32_t)order[i]];
        g->days[i] = (int32_t)((uint32_t)(order[i] >> 32) ^ UINT32_C(0x80000000));
    }
    free(order);
}

size_t dm_day_groups_end(const struct dm_day_groups *g, size_t from)
{
    size_t end = from;
    while (end < g->n && g->days[end] == g->days[from])
        end++;
    return end;
}

void dm_day_groups_release(struct dm_day_groups *g)
{
    free(g->rows);
    free(g->days);
    *g = (struct dm_day_groups){0};
}
