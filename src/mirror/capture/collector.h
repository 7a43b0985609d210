/* collector.h — the sink of one source's stream: turns events into commit units.
 *
 * Lives in the stream thread. Closes a unit at a transaction boundary when it is old enough, large enough or somebody waits; a transaction
 * that outgrows a unit is handed on in parts. Streamed transactions and tables being copied are spooled (spool.h).
 */
#ifndef DM_MIRROR_COLLECTOR_H
#define DM_MIRROR_COLLECTOR_H

#include "mirror/commit/commit_unit.h"

/* Takes the unit; DM_END when the commit thread is gone. */
typedef enum dm_status (*dm_unit_push)(void *ctx, struct dm_unit *take_unit, struct dm_error *err);
/* A table that no target is known for appeared in the stream: returns its target, or NULL when it is not mirrored. */
typedef enum dm_status (*dm_target_find)(void *ctx, const struct dm_table *table, struct dm_target **target,
                                         struct dm_error *err);

struct dm_collector_options {
    struct dm_mirror *mirror;
    const char *spool_folder;
    size_t unit_bytes; /* closes (or hands on a part) at about this size */
    int64_t commit_interval_ms;
    dm_unit_push push;
    dm_target_find find;
    struct dm_log_mark mark; /* of the position that it begins with */
    bool (*busy)(void *ctx); /* a commit is under way: an aged unit may grow on meanwhile; NULL: never */
    void *ctx;
};

struct dm_collector;

struct dm_collector *dm_collector_new(const struct dm_collector_options *options, dm_position position);
void dm_collector_free(struct dm_collector *c);
const struct dm_sink *dm_collector_sink(struct dm_collector *c);

/* Between polls: closes the unit when it is due and no transaction is open. Age alone does not close it while a
 * commit is under way: the slower commits are, the more goes into one. */
enum dm_status dm_collector_tick(struct dm_collector *c, struct dm_error *err) DM_MUST_USE;
/* Closes now if between transactions (DM_TIMEOUT if inside one). `even_empty` publishes the position alone. */
enum dm_status dm_collector_close_unit(struct dm_collector *c, bool even_empty,
                                       struct dm_error *err) DM_MUST_USE;
/* Up to where everything has been delivered (complete transactions or idle). */
dm_position dm_collector_position(const struct dm_collector *c);
bool dm_collector_in_transaction(const struct dm_collector *c);
/* Source commit time of the oldest transaction whose changes are gathered and not handed on yet; 0: there is none. */
int64_t dm_collector_waiting_since(const struct dm_collector *c);

/* From now on the target's changes are spooled (its copy starts). */
void dm_collector_spool(struct dm_collector *c, struct dm_target *t);
/* The copy came to nothing: what was spooled is of no use. */
void dm_collector_unspool(struct dm_collector *c, struct dm_target *t);
/* Between transactions, position >= copied->at: replaces the dataset by the copy and replays the spool behind it. */
enum dm_status dm_collector_attach(struct dm_collector *c, struct dm_target *t,
                                   struct dm_copied_table *take_copied, const struct dm_table *table,
                                   struct dm_error *err) DM_MUST_USE;
/* The dataset's state in the catalog changes with the next commit: copying, or one that stops it (refused, stopped, dropped). */
enum dm_status dm_collector_set_state(struct dm_collector *c, struct dm_target *t, const char *state,
                                      const char *reason, struct dm_error *err) DM_MUST_USE;

/* A pin: the unit closes exactly at `position`, and the commit answers the request. One at a time. */
void dm_collector_pin(struct dm_collector *c, int64_t request, dm_position position);
bool dm_collector_pinned(const struct dm_collector *c); /* one is waited for */

#endif
