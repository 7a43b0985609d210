/* orphan_circle.h — inside orphan*.c only: waiting rows that miss only each other.
 *
 * A row waits in a circle when each parent that it misses is a waiting row that waits in one, too: its own parent, one of two that refer to each other, a longer ring, also across datasets, and
 * what hangs on those. They are the largest set of waiting rows of which none misses anything outside of it.
 */
#ifndef DM_MIRROR_ORPHAN_CIRCLE_H
#define DM_MIRROR_ORPHAN_CIRCLE_H

#include "mirror/relationship/orphan_list.h"

struct dm_orphan_row {
    uint32_t dataset;
    int64_t id; /* in dm_quarantine */
};
struct dm_orphan_rows {
    size_t n, capacity;
    struct dm_orphan_row *items;
};
void dm_orphan_rows_add(struct dm_orphan_rows *rows, uint32_t dataset, int64_t id);

/* Cheap when no row above *until can have closed a circle; *until then is the last row of now. Rows that wait and whose version is behind what
 * is stored make no circle, since they will not be there. Lake mutex held, no commit open. */
enum dm_status dm_orphan_circles_find(struct dm_mirror *m, int64_t *until, struct dm_orphan_rows *rows,
                                      struct dm_orphan_promises *promises, struct dm_error *err) DM_MUST_USE;

#endif
