/* history.h — `<table>__history`: append-only, one row per change.
 *
 * Columns: _op (copy, insert, update, delete, rekey, truncate), _position (long), _committed_at (timestamptz, source commit time), _xid
 * (long), then the dataset's columns as they are after the change (a delete carries what the source sent: the key at least).
 */
#ifndef DM_MIRROR_HISTORY_H
#define DM_MIRROR_HISTORY_H

#include "mirror/apply_rows.h"

/* The schema of the history of a dataset: ids of the dataset's columns are kept (so renames follow); the added columns have ids from 1 000 000. */
struct dm_schema *dm_history_schema(const struct dm_schema *schema);
/* The name of the history dataset; malloc'ed. */
char *dm_history_name(const struct dm_target *t);
/* Brings the history dataset of the target to the schema: created when it is not there. */
enum dm_status dm_history_set_schema(struct dm_apply_context *a, struct dm_target *t,
                                     const struct dm_schema *schema, struct dm_error *err) DM_MUST_USE;
/* Follows a rename of the dataset, when there is a history. */
enum dm_status dm_history_rename(struct dm_apply_context *a, const struct dm_target *t, const char *namespace,
                                 const char *name, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_history_append(struct dm_apply_context *a, struct dm_target *t,
                                 const struct dm_batch *batch, struct dm_error *err) DM_MUST_USE;
/* One row with _op truncate; `schema` is the dataset's. */
enum dm_status dm_history_truncate(struct dm_apply_context *a, struct dm_target *t,
                                   const struct dm_schema *schema, const struct dm_txn *txn,
                                   struct dm_error *err) DM_MUST_USE;

#endif
