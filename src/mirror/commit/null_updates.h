/* null_updates.h — values of declared datasets that an upsert leaves to the row that is there: those that came as UNCHANGED, and with
 * `ignore_null_updates` nulls, too.
 *
 * A null keeps what is there when it arrives, as if the changes had come one by one, so that a set of changes has one result however it is cut into files
 * and batches. A change that is older than the stored row is dropped, and matters to a history by version only: there it keeps the values of the row that
 * was valid at its version. What was left out as UNCHANGED, however, is what the source had at the version below: within a batch it is taken from there,
 * whatever came first. A delete ends both. Where nothing has a value a null stays null, and an UNCHANGED one makes the upsert a bad row
 * (unchanged_value_unknown), which takes no further part. Key and version columns are never left out.
 * A batch too large for the stored values to fit into memory comes in slices, and each is looked at for itself, as batches are.
 * Call it before the rule judges the rows, which looks at what they say. Replaces the batch's columns.
 */
#ifndef DM_MIRROR_NULL_UPDATES_H
#define DM_MIRROR_NULL_UPDATES_H

#include "mirror/commit/version_pass.h"

enum dm_status dm_null_updates_resolve(struct dm_version_pass *p, struct dm_error *err) DM_MUST_USE;
/* What these columns of the batch would be then, given the rows that wait (p->waits), which give nothing to others but are filled themselves. filled[i]: out[i] is the
 * column, the caller's to release; else the batch's own has all its values. Changes nothing. On failure what is filled is the caller's, too. */
enum dm_status dm_null_updates_peek(struct dm_version_pass *p, const uint32_t *columns, size_t n,
                                    struct dm_column *out, bool *filled, struct dm_error *err) DM_MUST_USE;

#endif
