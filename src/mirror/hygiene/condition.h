/* condition.h — which rows meet a person's SQL condition, found out by a process of its own.
 *
 * A condition is somebody else's program: it may run for ever, want all memory, fill the disk, or (while it is planned) take no notice of being asked to
 * end. So another process of this program answers it, from one state of the lake that it reads by itself, with a time limit (condition_timeout), an eighth of
 * memory_limit, and as much temporary space as memory_limit. It is killed when the time is over, when nobody wants the answer any more (hooks), or
 * when the mirror ends. The lake mutex is not held meanwhile: commits go on. One condition at a time; others wait for their turn.
 *
 *     struct dm_condition c = {.namespace = "s", .name = "items", .keys = keys, .where = "total > 5"};
 *     if (dm_condition_answer(m, &c, hooks, batch_of_keys, err) != DM_OK) …
 */
#ifndef DM_MIRROR_CONDITION_H
#define DM_MIRROR_CONDITION_H

#include "mirror/order/order.h"
#include "mirror/target.h"

struct dm_condition {
    const char *namespace, *name; /* the dataset */
    const struct dm_schema *keys; /* its key columns */
    const char *where;
};

/* Appends the keys of the rows that meet it, as they come. The lake mutex is not held. CONFIG: it cannot be answered (a mistake, too long, too much). */
enum dm_status dm_condition_answer(struct dm_mirror *m, const struct dm_condition *c,
                                   const struct dm_order_hooks *hooks, struct dm_batch *out,
                                   struct dm_error *err) DM_MUST_USE;

/* The first argument of the other process, and its main function: `job` is the file that says what to do; keys go to stdout. */
#define DM_CONDITION_ARGUMENT "--answer-condition"
int dm_condition_main(const char *job);

#endif
