/* net_effect.h — a batch of changes reduced to what is left of it: one final state per key.
 *
 * Rows that are superseded inside the batch are neither written nor indexed. UNCHANGED values are taken from earlier rows
 * of the same batch (same key, or the REKEY row's key); what the batch does not hold is listed as missing, for the
 * caller to fetch from the stored row. Order of calls:
 *
 *     struct dm_net_effect net = {0};                          // reuse keeps memory
 *     net.resolve_all = history;                               // superseded rows are written too
 *     dm_net_effect_compute(&net, batch, NULL, 0, err);
 *     for (i < net.n_missing) fetch the row of net.missing[i].key as it stands before the batch, then
 *         dm_net_effect_fill(&net, batch, net.missing[i].row, stored, stored_row, err);
 *     if (net.needs_finish) dm_net_effect_finish(&net, batch, err);  // rewrites the batch's columns, once
 *     ... write the rows changes[].row that are live, apply net.changes to the key index ...
 *     dm_net_effect_release(&net);
 *
 * The key of `missing` is the one whose stored row is meant: the old key for an UPDATE behind a REKEY.
 * After compute, memory is of the order of the batch; resolved values add their own size.
 * Key columns must hold values in every applied row (a source replaces an UNCHANGED key column itself).
 * One thread at a time. Pointers into `keys` are valid until the next compute or release.
 */
#ifndef DM_APPLY_NET_EFFECT_H
#define DM_APPLY_NET_EFFECT_H

#include "column/key.h"

/* The final state of one key. */
struct dm_net_change {
    const uint8_t *key; /* points into `keys` */
    uint32_t key_len;
    uint32_t
        row; /* the batch row that decides: its upsert, or its delete (REKEY is the delete of the old key) */
    bool live; /* true: the row is visible after the batch; false: the key is gone */
    bool
        fresh; /* the first change of this key in the batch was an INSERT (the index need hold nothing, but may) */
};

/* A row whose UNCHANGED values must come from the stored row of `key`. */
struct dm_net_missing {
    uint32_t row;
    const uint8_t *key;
    uint32_t key_len;
};

struct dm_net_effect {
    bool resolve_all; /* in: resolve superseded rows too (history); otherwise only rows that stay live */
    struct dm_key_list keys; /* keys of all batch rows */
    size_t n_changes;
    struct dm_net_change *changes; /* sorted by key */
    size_t n_missing;
    struct dm_net_missing *missing; /* in row order */
    /* n_upserts + n_deletes == n_changes; all three: the rows that are not of aborted subtransactions */
    size_t n_upserts, n_deletes, n_superseded;
    bool needs_finish; /* some row to be resolved holds UNCHANGED values */

    /* private */
    size_t changes_capacity, missing_capacity;
    size_t n_slots;
    uint64_t *slots; /* hash table: high half of the hash, index of the change + 1 */
    size_t links_capacity;
    uint32_t *from;          /* per row: the batch row that its UNCHANGED values come from, or a mark */
    uint32_t *filled_row;    /* per row that takes from the stored row: its row in `filled`, or a mark */
    struct dm_batch *filled; /* stored values */
    size_t n_given_up;
    uint32_t *given_up; /* rows */
};

/* Zeroed struct is ready; reuse keeps memory. */
void dm_net_effect_release(struct dm_net_effect *net);
/* aborted: sorted subxids whose rows are void; n_aborted 0 normally. A row with a null key is a DATA error (sources send
 * them to quarantine before). A REKEY row must be followed by its UPDATE in the same batch. */
enum dm_status dm_net_effect_compute(struct dm_net_effect *net, struct dm_batch *batch,
                                     const uint32_t *aborted, size_t n_aborted,
                                     struct dm_error *err) DM_MUST_USE;
/* Gives the stored row for the UNCHANGED values of batch row `row`, a row of `missing` (the schemas have the same columns). The
 * values are copied; rows of the batch that took their unchanged values from `row` get them too. Takes effect with finish. */
enum dm_status dm_net_effect_fill(struct dm_net_effect *net, struct dm_batch *batch, uint32_t row,
                                  const struct dm_batch *stored, size_t stored_row,
                                  struct dm_error *err) DM_MUST_USE;
size_t dm_net_effect_filled_bytes(const struct dm_net_effect *net); /* of the values filled in so far */
/* The stored row is not there: the row's UNCHANGED values become null, and dm_net_effect_lost says which rows rest on them. */
enum dm_status dm_net_effect_give_up(struct dm_net_effect *net, struct dm_batch *batch, uint32_t row,
                                     struct dm_error *err) DM_MUST_USE;
/* After finish: does the row hold values that were given up? */
bool dm_net_effect_lost(const struct dm_net_effect *net, uint32_t row);
/* Replaces UNCHANGED values in the batch. A missing row that was not filled is a DATA error that names the key. Rows that need no
 * values (deletes, aborted, superseded without resolve_all) may keep UNCHANGED ones. */
enum dm_status dm_net_effect_finish(struct dm_net_effect *net, struct dm_batch *batch,
                                    struct dm_error *err) DM_MUST_USE;

#endif
