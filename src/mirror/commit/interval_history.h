/* interval_history.h — `<table>__history` with `history: scd2`: how each row of a declared dataset was, from version to version.
 *
 * Columns: _op (upsert, delete), _valid_from (the change's version), _valid_to (the next version of this key, of any kind; null: still so), then the dataset's
 * columns. One row per (key, version); deletes are rows too. Late changes are here as well and split the interval that they fall into, so that the
 * result does not depend on the order of arrival: _valid_to is lead(_valid_from) over (partition by key order by _valid_from). Among changes of an equal
 * version a delete beats upserts, and the later upsert the earlier. It begins with the rows that are there when it is switched on (history_begin.h).
 *
 * The rows are found through the key index, under a dataset number of their own (DM_INDEX_HISTORY): key = primary key and version in order-preserving
 * bytes, at most DM_INDEX_KEY_WHOLE of them (else the change goes to quarantine: history_key_too_long); value = place and one byte, the
 * operation. Key and index are those of the history dataset's own schema, whose primary key is (key, _valid_from), so merging its files and
 * rebuilding its index need nothing else.
 */
#ifndef DM_MIRROR_INTERVAL_HISTORY_H
#define DM_MIRROR_INTERVAL_HISTORY_H

#include "mirror/commit/version_pass.h"

bool dm_interval_history_kept(const struct dm_target *t);
/* Is a history dataset with this schema of that kind? (Settings may have changed since it was written.) */
bool dm_interval_history_has(const struct dm_schema *history);
/* Before the rule looks at rows: can the history take this one? `key_len` is that of its primary key. */
bool dm_interval_history_fits(const struct dm_version_pass *p, uint32_t row, size_t key_len);
struct dm_schema *dm_interval_history_schema(const struct dm_schema *schema, int version);
/* The keys of the batch's rows as the history has them: primary key and version. */
enum dm_status dm_interval_history_keys(const struct dm_version_pass *p, struct dm_key_list *out,
                                        struct dm_error *err) DM_MUST_USE;
bool dm_interval_history_is_delete(const struct dm_index_entry *entry);
/* Rows of the history (with its key, and _op in column `op`) into the index, each with its place. `keys`: room for their keys. */
enum dm_status dm_interval_history_put(struct dm_mirror *m, uint32_t dataset, const struct dm_batch *batch,
                                       int op, const uint32_t *files, const uint32_t *positions,
                                       struct dm_key_list *keys, struct dm_error *err) DM_MUST_USE;
/* All good rows of the batch, stale ones too. In an open commit and index transaction; what `p->stored` points to in the index is void afterwards. */
enum dm_status dm_interval_history_append(struct dm_version_pass *p, struct dm_error *err) DM_MUST_USE;
/* The lake's; NULL: there is none of this kind. */
enum dm_status dm_interval_history_dataset(struct dm_mirror *m, const struct dm_target *t,
                                           const struct dm_dataset **out, struct dm_error *err) DM_MUST_USE;
/* In an open index transaction: its part of the index from the lake, with the tag; nothing when the settings do not keep one (any more). */
enum dm_status dm_interval_history_load(struct dm_mirror *m, const struct dm_target *t,
                                        struct dm_error *err) DM_MUST_USE;

#endif
