/* file_writes.h — rows of a batch into data files of an open commit, by other threads while the caller goes on.
 *
 * Where each row will stand is known before any of them is written, so the key index can take the places meanwhile. A dataset divided by day gets a
 * file a day; many rows get several files, which are written side by side. Few rows are written by begin itself.
 * What is not done when the batch is done goes on beside the next one: `leave` puts it, with its batch, into a->writing, and whatever needs the
 * files (the next begin, reading a stored row, any other step, the publication) settles it first. One batch at most is on its way so.
 * The names are borrowed until then. Only the caller's thread touches the commit.
 * Failure: that of begin leaves nothing of its own behind; that of leave and settle is the first one of a file. Either way the commit is to be abandoned.
 *
 *     dm_file_writes_begin(a, "sales", "orders", batch, rows, n, places, &w, err);
 *     … dm_keyindex_apply with places[row] …
 *     dm_file_writes_leave(w, status, &batch, err);
 *     …
 *     dm_file_writes_settle(a, err);
 */
#ifndef DM_MIRROR_FILE_WRITES_H
#define DM_MIRROR_FILE_WRITES_H

#include "mirror/commit/apply_rows.h"

struct dm_file_writes;

/* Settles what is in a->writing. rows: n rows of the batch, in the order they are to have; places[row of the batch] (NULL: not wanted): where each will stand. n 0: *out is NULL.
 * The batch is borrowed until leave, which must follow. */
enum dm_status dm_file_writes_begin(struct dm_apply_context *a, const char *namespace, const char *name,
                                    const struct dm_batch *batch, const uint32_t *rows, size_t n,
                                    struct dm_place *places, struct dm_file_writes **out,
                                    struct dm_error *err) DM_MUST_USE;
/* `status` is what the caller's own work came to: a failure is handed on, with its error in err, and nothing goes on. Takes the batch (*batch becomes NULL)
 * if threads still write its rows. w NULL is fine. */
enum dm_status dm_file_writes_leave(struct dm_file_writes *w, enum dm_status status, struct dm_batch **batch,
                                    struct dm_error *err) DM_MUST_USE;
/* Waits until all of a->writing is written and adds it to the commit. Fine when there is nothing. */
enum dm_status dm_file_writes_settle(struct dm_apply_context *a, struct dm_error *err) DM_MUST_USE;
/* Waits for the threads only: the commit is given up. */
void dm_file_writes_drop(struct dm_apply_context *a);

#endif
