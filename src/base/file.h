/* file.h — files and folders with durability spelled out.
 *
 * "Durable" here means: the bytes and the directory entry survive a power cut (fsync of file and folder).
 * Paths are NUL-terminated. Errors name the path. Thread safe.
 */
#ifndef DM_BASE_FILE_H
#define DM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Reads a whole file into `out` (appended; at most out->max). */
enum dm_status dm_file_read(const char *path, struct dm_buffer *out, struct dm_error *err) DM_MUST_USE;
/* Creates or replaces the file with the bytes and fsyncs it (not its folder). */
enum dm_status dm_file_write(const char *path, const void *bytes, size_t n, struct dm_error *err) DM_MUST_USE;
/* As dm_file_write through a temporary name and rename, then fsyncs the folder: old or new, never half. */
enum dm_status dm_file_replace(const char *path, const void *bytes, size_t n,
                               struct dm_error *err) DM_MUST_USE;
/* The same for a secret: only the user may read it, and nobody could have put another file in its way. */
enum dm_status dm_file_replace_private(const char *path, const void *bytes, size_t n,
                                       struct dm_error *err) DM_MUST_USE;
/* fsyncs a file that somebody else wrote (Parquet from the engine), or a folder. */
enum dm_status dm_file_sync(const char *path, struct dm_error *err) DM_MUST_USE;
/* mkdir -p. A folder whose name begins with a dot is the mirror's own (spools, spills, bodies, the key index): nobody else may enter it, whatever the mode. */
enum dm_status dm_file_make_folders(const char *path, struct dm_error *err) DM_MUST_USE;
/* Who may read the files that the process makes from now on: 0600, 0640, 0644; folders to match. */
void dm_file_set_mode(unsigned mode);
enum dm_status dm_file_size(const char *path, uint64_t *bytes, struct dm_error *err) DM_MUST_USE;
bool dm_file_exists(const char *path);
/* Removes a file or a whole folder tree; a missing path is fine. */
enum dm_status dm_file_remove_tree(const char *path, struct dm_error *err) DM_MUST_USE;

#endif
