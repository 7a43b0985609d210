/* net_links.h — where UNCHANGED values come from: the private half of net_effect.
 *
 * Each upsert row with UNCHANGED values links to the row that holds the entity's values before it: a row of the batch, or the
 * stored row. The first row of a chain that leads to the stored row is its root; roots are what is missing. Rows are
 * seen in order, so a link always points backwards, and finish resolves column by column, following each link once.
 * Memory: two numbers a row, only when the batch has UNCHANGED values at all.
 */
#ifndef DM_APPLY_NET_LINKS_H
#define DM_APPLY_NET_LINKS_H

#include "apply/net_effect.h"

#define DM_NET_NONE UINT32_MAX              /* no link: nothing to resolve, or not to be resolved */
#define DM_NET_FROM_STORED (UINT32_MAX - 1) /* from: the stored row */

enum dm_net_where { DM_NET_STORED, DM_NET_IN_BATCH, DM_NET_GONE };

/* The state of an entity before a row. */
struct dm_net_origin {
    enum dm_net_where where;
    uint32_t row; /* IN_BATCH */
    const uint8_t *key;
    uint32_t key_len;
};

void dm_net_links_release(struct dm_net_effect *net);
/* False: no value of the batch is UNCHANGED and no link need be kept. */
bool dm_net_links_prepare(struct dm_net_effect *net, const struct dm_batch *batch);
/* Row `row` is an upsert of the entity whose state before is `origin`. */
enum dm_status dm_net_links_add(struct dm_net_effect *net, const struct dm_batch *batch, uint32_t row,
                                const struct dm_net_origin *origin, struct dm_error *err) DM_MUST_USE;
/* After all rows: decides which rows are resolved, and lists what is missing for them. */
void dm_net_links_collect(struct dm_net_effect *net, const struct dm_batch *batch);

#endif
