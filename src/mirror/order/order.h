/* order.h — work on a lake that a command asks for: done in the command's own process when nobody holds the lake, else by the running mirror.
 *
 * A lake has one writer. `ingest`, `sql`, `delete`, `schema apply`, `quarantine replay` and so on write, and must work beside a running mirror, too. So
 * each is an order: a kind and a JSON object. dm_order_run takes the lake lock and does it; when a mirror holds the lock, the order goes into
 * table dm_order (order_table.h), the mirror's order thread does it, and the answer comes back the same way. Either way the same function runs (order_kinds.c).
 * When the mirror ends or dies meanwhile, the asker takes the lock itself and does the order, or the mirror that takes over does; each kind
 * is safe to repeat. When another command holds the lock, the asker waits for it.
 * Paths in orders are absolute; standard input is spooled into the lake's `.orders/` folder first, and the order lists such files as
 * "spooled": [path, …]: they are removed when the order is done. An order whose asker is gone is still done.
 *
 *     json_t *order = json_pack("{s:s, s:[s]}", "dataset", "sales.orders", "files", path);
 *     dm_order_run(config, "ingest", order, &hooks, &result, err);
 */
#ifndef DM_MIRROR_ORDER_H
#define DM_MIRROR_ORDER_H

#include <jansson.h>

#include "mirror/mirror_open.h"

/* What an order's function may use while it works. */
struct dm_order_hooks {
    void (*progress)(void *ctx, uint64_t rows, uint64_t done, uint64_t total); /* may be NULL */
    void *ctx;
    const atomic_int *stop;  /* may be NULL; > 0: end early, leaving nothing half done */
    bool (*gone)(void *ctx); /* may be NULL; true: nobody waits for the result any more */
};

/* *result: a new object. Must leave all or nothing, and be safe to run twice. Lake mutex not held. */
typedef enum dm_status (*dm_order_fn)(struct dm_mirror *m, const json_t *order,
                                      const struct dm_order_hooks *hooks, json_t **result,
                                      struct dm_error *err);
struct dm_order_kind {
    const char *name;
    dm_order_fn run;
};
/* To add a kind: a file that defines it, and one line in order_kinds.c. Ends with NULL. */
extern const struct dm_order_kind *const dm_order_kinds[];
const struct dm_order_kind *dm_order_kind_find(const char *name); /* or NULL */

/* Runs the order here or through the running mirror. `order` stays the caller's; *result is a new reference. hooks may be NULL. */
enum dm_status dm_order_run(const struct dm_config *config, const char *kind, const json_t *order,
                            const struct dm_order_hooks *hooks, json_t **result,
                            struct dm_error *err) DM_MUST_USE;
/* The files of the order's "spooled" list are removed (only such as are in <lake>/.orders/). */
void dm_order_remove_spooled(const struct dm_config *config, const json_t *order);

/* The running mirror's side: one thread that takes orders from the catalog. */
struct dm_order_desk;
enum dm_status dm_order_desk_start(struct dm_mirror *m, struct dm_order_desk **out,
                                   struct dm_error *err) DM_MUST_USE;
/* There has been a moment since the start when no order waited. */
bool dm_order_desk_idle(const struct dm_order_desk *desk);
void dm_order_desk_stop(struct dm_order_desk *desk); /* finishes the order in hand; NULL is fine */

#endif
