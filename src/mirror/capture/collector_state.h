/* collector_state.h — the insides of the collector, shared by its two files: collector.c (events and units) and
 * collector_replay.c (what was spooled comes into the unit). Nobody else includes it. */
#ifndef DM_MIRROR_COLLECTOR_STATE_H
#define DM_MIRROR_COLLECTOR_STATE_H

#include "mirror/capture/collector.h"
#include "mirror/capture/spool.h"

/* What the source holds as handle: one per target. */
struct dm_route {
    struct dm_target *target;
    /* What the source told last, owned: the shape of its next rows. It may be that of a transaction in progress, so only a row outside
     * of such a one, or one that was committed, says that it is the table's. */
    struct dm_table *table;
    bool applied;           /* target->schema covers `table` */
    struct dm_batch *batch; /* open batch, belongs to the unit's step; NULL: none */
    size_t bytes_seen;      /* of it */
    uint64_t spool_id;      /* the spool that spool_table is a number of; 0: none */
    size_t spool_table;
};

/* A streamed transaction in progress. */
struct dm_staged {
    uint64_t xid;
    struct dm_spool *spool;
    uint32_t txn;    /* its number in the spool */
    uint32_t subxid; /* current subtransaction */
    struct dm_staged *next;
};

struct dm_collector {
    struct dm_collector_options options;
    struct dm_sink sink;
    struct dm_unit *unit;
    size_t n_routes;
    struct dm_route **routes;
    struct dm_txn txn;  /* the open transaction */
    bool open;          /* between begin and commit */
    uint32_t unit_txn;  /* number of `txn` in the unit; UINT32_MAX: not entered yet */
    bool parts_pending; /* parts of a transaction were handed on: a commit is open and must be closed soon */
    size_t n_spooled;   /* targets whose changes are spooled */
    dm_position position;
    struct dm_log_mark mark; /* of the source's log at `position` */
    int64_t commit_time_us;
    struct dm_staged *staged;  /* all in progress */
    struct dm_staged *current; /* between stream_start and stream_stop */
    struct dm_batch *discard;  /* rows of transactions that a copy already holds go here */
    size_t bytes_grown;        /* rows put in since the unit's size was looked at */
    int64_t pin_request;       /* 0: none */
    dm_position pin_position;
};

enum dm_status dm_collector_push(struct dm_collector *c, bool closes, struct dm_error *err) DM_MUST_USE;
bool dm_collector_unit_is_large(struct dm_collector *c);
struct dm_route *dm_collector_route(struct dm_collector *c, struct dm_target *t);
/* Brings the dataset's schema to the definition, or asks for a new copy. */
enum dm_status dm_collector_apply_table(struct dm_collector *c, struct dm_route *r,
                                        const struct dm_table *table, struct dm_error *err) DM_MUST_USE;
/* The open transaction's number in a table's spool; between two, the one that stands for the stream's position. */
uint32_t dm_collector_spool_txn(struct dm_collector *c, struct dm_spool *s);
void dm_collector_add_truncate(struct dm_collector *c, struct dm_target *t, uint32_t txn);
/* attach: the spool is what arrived while the table was copied; rows of transactions with visible_at < after are left out. */
enum dm_status dm_collector_replay(struct dm_collector *c, struct dm_spool *spool, bool attach,
                                   dm_position after, struct dm_error *err) DM_MUST_USE;

#endif
