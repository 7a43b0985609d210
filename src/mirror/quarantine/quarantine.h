/* quarantine.h — what commands do with rows in quarantine (quarantine_table.h): look, try again, let go.
 *
 * Looking uses a connection of its own beside a running mirror. Trying again and letting go are orders (order.h):
 *
 *   quarantine_replay   {"dataset": "sales.orders", "ids": [1, 2] | "reason": "wrong_type" | nothing: all}
 *                       → {"replayed": n, "applied": n, "stale": n, "left": n, "stayed": n, "cut": n, …}
 *   quarantine_discard  the same → {"discarded": n}
 *
 * A replay hands the rows to the intake again (source "replay"). Rows that are applied, or that a newer version has overtaken, leave the quarantine in the
 * same commit; the others stay, with the reason that they have now. Only declared datasets can be replayed: rows of a source's log have their place
 * in its order.
 */
#ifndef DM_MIRROR_QUARANTINE_H
#define DM_MIRROR_QUARANTINE_H

#include "mirror/order/order.h"
#include "mirror/quarantine/quarantine_table.h"

extern const struct dm_order_kind dm_order_quarantine_replay;
extern const struct dm_order_kind dm_order_quarantine_discard;

/* The dataset called "namespace.name" ("name": in namespace "default"); CONFIG error with the nearest name when there is none. The caller releases
 * it (dm_dataset_state_release). */
enum dm_status dm_quarantine_dataset(struct sqlite3 *db, const char *name, struct dm_dataset_state *out,
                                     struct dm_error *err) DM_MUST_USE;

/* What became of a replay. */
struct dm_replay_result {
    uint64_t replayed; /* rows that were tried */
    uint64_t applied;  /* upserted or deleted */
    uint64_t stale;    /* overtaken by a newer version, or a tie */
    uint64_t stayed;   /* still bad */
    uint64_t cut;      /* only their beginning is kept: not tried */
};
/* Rows of one declared dataset. */
struct dm_replay_part {
    const struct dm_dataset_state *dataset;
    struct dm_quarantine_choice choice;
    struct dm_replay_result result;
    struct dm_error
        error; /* what kept its rows as they are, and not those of other parts; class NONE: nothing */
};
/* What the rows of a replay come with; malloc'ed, never twice the same. */
char *dm_quarantine_origin(void);
/* Tries rows again, in one commit as far as a commit takes that many. A row that stays is judged anew. Lake mutex not held. */
enum dm_status dm_quarantine_replay(struct dm_mirror *m, struct dm_replay_part *parts, size_t n,
                                    const char *origin, const struct dm_order_hooks *hooks,
                                    struct dm_error *err) DM_MUST_USE;

#endif
