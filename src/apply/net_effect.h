/* net_effect.h — a batch of changes reduced to what is left of it: one final state per key.
 *
 * Resolves UNCHANGED values from earlier rows of the same batch (same key, or the REKEY row's key); what cannot be resolved inside
 * the batch is listed for the caller to fetch from the stored row. Rows that are superseded inside the batch are neither written
 * nor indexed. Memory is of the order of the batch; the batch's columns are rewritten in place for resolved values (dm_net_effect works on a
 * batch that it may modify). Streamed transactions: rows of `aborted` subtransactions are ignored.
 */
#ifndef DM_APPLY_NET_EFFECT_H
#define DM_APPLY_NET_EFFECT_H

#include "column/key.h"

/* The final state of one key. */
struct dm_net_change {
    const uint8_t *key; /* points into `keys` */
    uint32_t key_len;
    uint32_t row;       /* the batch row that decides: its upsert, or its delete */
    bool live;          /* true: the row is visible after the batch; false: the key is gone */
    bool fresh;         /* the first change of this key in the batch was an INSERT (the index need hold nothing, but may) */
};

/* A row whose UNCHANGED values must come from the stored row of `key`. */
struct dm_net_missing {
    uint32_t row;
    const uint8_t *key;
    uint32_t key_len;
};

struct dm_net_effect {
    struct dm_key_list keys;       /* keys of all batch rows */
    size_t n_changes;
    struct dm_net_change *changes; /* sorted by key */
    size_t n_missing;
    struct dm_net_missing *missing;
    size_t n_upserts, n_deletes, n_superseded;
};

/* Zeroed struct is ready; reuse keeps memory. */
void dm_net_effect_release(struct dm_net_effect *net);
/* aborted: sorted subxids whose rows are void; n_aborted 0 normally. A row with a null key is a DATA error (sources send
 * them to quarantine before). */
enum dm_status dm_net_effect_compute(struct dm_net_effect *net, struct dm_batch *batch, const uint32_t *aborted,
                                     size_t n_aborted, struct dm_error *err) DM_MUST_USE;
/* Replaces the UNCHANGED values of batch row `row` by those of `stored` row `stored_row` (same schema); rows of the batch that took
 * their unchanged values from `row` get them too. */
enum dm_status dm_net_effect_fill(struct dm_net_effect *net, struct dm_batch *batch, uint32_t row,
                                  const struct dm_batch *stored, size_t stored_row,
                                  struct dm_error *err) DM_MUST_USE;

#endif
