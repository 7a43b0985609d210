/* target.h — one dataset as a running mirror knows it, and what all parts of one running mirror share.
 *
 * Who touches what: `state` is changed by the committing thread only (under the lake mutex); `schema`, `last_column_id`, `copied_at`, `basis` and `phase`
 * belong to the stream thread of the source. `job` results are handed over through an atomic flag (copy_job.h).
 */
#ifndef DM_MIRROR_TARGET_H
#define DM_MIRROR_TARGET_H

#include <pthread.h>
#include <stdatomic.h>

#include "apply/keyindex.h"
#include "config/config.h"
#include "engine/engine.h"
#include "lake/lake.h"
#include "mirror/state.h"
#include "source/source.h"

enum dm_phase {
    DM_PHASE_WAITING,   /* needs a copy */
    DM_PHASE_COPYING,   /* a copy runs; its changes are spooled */
    DM_PHASE_STREAMING, /* changes are applied */
    DM_PHASE_STOPPED,   /* refused, stopped or dropped: changes are not wanted */
};

struct dm_orphan_watch;
struct dm_orphan_promises;
struct dm_spool;
struct dm_suppression;
struct dm_dataset_rules;

struct dm_target {
    struct dm_dataset_state state;
    const struct dm_schema *
        schema; /* owned reference; as of the last change handed to the committer; NULL before the first copy */
    int32_t last_column_id;
    struct dm_table *table; /* the last definition that the stream or discovery gave; owned */
    enum dm_phase phase;
    dm_position copied_at; /* transactions that its copy already holds have visible_at below this */
    bool history;
    bool history_ready;     /* the history dataset exists with the dataset's columns (commit thread) */
    bool copy_again;        /* must be copied (again); taken up by the next copy job */
    struct dm_spool *spool; /* changes that arrived while copying; NULL otherwise */
    size_t route;           /* its number in the collector */
    struct dm_basis basis;  /* what the dataset rests on, as stored; the stream thread's (target_basis.h) */
    struct dm_basis basis_seen; /* another one, that the last look showed … */
    int64_t basis_seen_us;      /* … since when, monotonic */
    dm_position basis_seen_at;  /* … and where the source's log ended then */
    struct dm_dataset_rules
        *rules; /* declared datasets: version, settings (declared.h); owned; NULL: a mirrored table */
    size_t n_old_texts;
    char **old_texts;
};

/* Shared by all sources of one `datamirror run`. */
struct dm_mirror {
    const struct dm_config *config;
    struct dm_lake *lake;
    struct dm_engine *engine;
    struct dm_keyindex *index;
    struct dm_orphan_watch
        *orphan_watch; /* of dm_orphans_release (orphan.h), under the lake mutex; NULL at first */
    const struct dm_orphan_promises
        *orphan_promises; /* of a release of rows in circles (orphan.h), under the lake mutex; NULL: none */
    struct dm_suppression *suppression; /* keys that must not come back (suppression.h); NULL: none */
    pthread_mutex_t
        lake_mutex; /* held for a whole commit, and for every use of the lake's SQLite connection */
    const atomic_int *stop;
    atomic_bool erase_wanted;           /* an order is erasing: the order desk shall not wait for its time */
    _Atomic int64_t condition_since_us; /* monotonic: a condition is being answered (condition.h); 0: none */
    atomic_bool ending;                 /* some source failed for good, or the time is over */
};

/* A share of memory_limit: how many bytes of rows a step may hold at once. */
uint64_t dm_mirror_portion(const struct dm_mirror *m, unsigned sixteenths);

/* Replaces a text of t->state. The old one lives on until dm_target_free, since the stream thread may be reading it. */
void dm_target_set_text(struct dm_target *t, char **text, const char *value);
struct dm_target *dm_target_new(void);
void dm_target_free(struct dm_target *t);

#endif
