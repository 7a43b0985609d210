/* file_writes.h — rows of a batch into data files of an open commit, by other threads while the caller goes on.
 *
 * Where each row will stand is known before any of them is written, so the key index can take the places meanwhile. A dataset divided by day gets a
 * file a day; many rows get several files, which are written side by side. Few rows are written by begin itself.
 * The batch and the names are borrowed until end, which must follow a begin that gave DM_OK. Only the caller's thread touches the commit.
 * Failure: that of begin leaves nothing behind; that of end is the first one of a file. Either way the commit is to be abandoned.
 *
 *     dm_file_writes_begin(a, "sales", "orders", batch, rows, n, places, &w, err);
 *     … dm_keyindex_apply with places[row] …
 *     dm_file_writes_end(w, err);
 */
#ifndef DM_MIRROR_FILE_WRITES_H
#define DM_MIRROR_FILE_WRITES_H

#include "mirror/commit/apply_rows.h"

struct dm_file_writes;

/* rows: n rows of the batch, in the order they are to have; places[row of the batch] (NULL: not wanted): where each will stand. n 0: *out is NULL. */
enum dm_status dm_file_writes_begin(struct dm_apply_context *a, const char *namespace, const char *name,
                                    const struct dm_batch *batch, const uint32_t *rows, size_t n,
                                    struct dm_place *places, struct dm_file_writes **out,
                                    struct dm_error *err) DM_MUST_USE;
/* Waits until all are written and adds them to the commit. `status` is what the caller's own work came to: a failure is handed on, with its error in err. NULL is fine. */
enum dm_status dm_file_writes_end(struct dm_file_writes *w, enum dm_status status,
                                  struct dm_error *err) DM_MUST_USE;

#endif
