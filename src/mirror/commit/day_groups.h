/* day_groups.h — rows of a batch ordered by the day of a time column, those of a day in the order given: what becomes a data file each.
 *
 * The groups own their memory; the column is borrowed by init only. No failure.
 *
 *     dm_day_groups_init(&g, &batch->columns[c], rows, n);
 *     for (size_t from = 0; from < n; from = end) { end = dm_day_groups_end(&g, from); … g.rows[from … end) … }
 *     dm_day_groups_release(&g);
 */
#ifndef DM_MIRROR_COMMIT_DAY_GROUPS_H
#define DM_MIRROR_COMMIT_DAY_GROUPS_H

#include "column/column.h"

struct dm_day_groups {
    size_t n;
    uint32_t *rows;
    int32_t *days; /* of rows, ascending; DM_NO_DAY for nulls */
};

void dm_day_groups_init(struct dm_day_groups *g, const struct dm_column *times, const uint32_t *rows,
                        size_t n);
/* Behind the last row of the group that starts at `from`. */
size_t dm_day_groups_end(const struct dm_day_groups *g, size_t from);
void dm_day_groups_release(struct dm_day_groups *g);

#endif
