/* history.h — `<table>__history`: one row per change.
 *
 * Of a mirrored table: append-only. Columns: _op (copy, insert, update, delete, rekey, truncate), _position (long), _committed_at (timestamptz, source
 * commit time), _xid (long), then the dataset's columns as they are after the change (a delete carries what the source sent: the key at least).
 *
 * Of a declared dataset (settings.history):
 *   changes  the same with `_version`, one row per applied change, as if the changes had come one by one in the order of arrival. A delete of a key that was
 *            not there is applied, too (it leaves a tombstone); stale changes and ties that lost are not.
 *   scd2     _op (upsert, delete), _valid_from, _valid_to: interval_history.h
 * How it begins, follows its dataset's schema, and ends: history_begin.h.
 */
#ifndef DM_MIRROR_HISTORY_H
#define DM_MIRROR_HISTORY_H

#include "mirror/commit/apply_rows.h"

/* The schema of the history of a dataset: ids of the dataset's columns are kept (so renames follow); the added columns have ids from 1 000 000. */
struct dm_schema *dm_history_schema(const struct dm_schema *schema);
/* The name of the history dataset; malloc'ed. */
char *dm_history_name(const struct dm_target *t);
/* Brings the history dataset of the target to the schema: created when it is not there. */
enum dm_status dm_history_set_schema(struct dm_apply_context *a, struct dm_target *t,
                                     const struct dm_schema *schema, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_history_append(struct dm_apply_context *a, struct dm_target *t,
                                 const struct dm_batch *batch, struct dm_error *err) DM_MUST_USE;
/* One row with _op truncate; `schema` is the dataset's. */
enum dm_status dm_history_truncate(struct dm_apply_context *a, struct dm_target *t,
                                   const struct dm_schema *schema, const struct dm_txn *txn,
                                   struct dm_error *err) DM_MUST_USE;

/* ---- declared datasets ---- */

#define DM_HISTORY_FIRST_ID \
    1000000 /* field ids of the added columns; each name has its own in all kinds of history */
enum {
    DM_HISTORY_OP,
    DM_HISTORY_POSITION,
    DM_HISTORY_COMMITTED_AT,
    DM_HISTORY_XID,
    DM_HISTORY_VERSION,
    DM_HISTORY_VALID_FROM,
    DM_HISTORY_VALID_TO
};

/* The dataset's columns behind the added ones, all optional. */
void dm_history_add_columns(struct dm_schema *s, const struct dm_schema *schema);
struct dm_schema *dm_history_applied_schema(const struct dm_schema *schema, int version);
struct dm_version_pass;
/* settings.history == DM_HISTORY_CHANGES: the applied changes of the batch. */
enum dm_status dm_history_append_applied(struct dm_version_pass *p, struct dm_error *err) DM_MUST_USE;

#endif
