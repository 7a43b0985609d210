/* local_store.h — files of the lake on a local disk: names, URIs, and writes that become durable together.
 *
 * A batch writes any number of files and makes them durable in one go: all of them are synced side by side, so that a
 * commit that touches many tables pays the disk's latency a few times, not once a file. Until dm_store_sync returns,
 * nothing that was written may be referred to. The batch remembers the paths that it wrote, so that a commit that comes to nothing can remove them.
 * Not thread safe; the caller owns the batch. Paths are copied. Errors name the path.
 *
 *     struct dm_store_batch b = {0};
 *     dm_store_write(&b, path, bytes, n, err);
 *     dm_store_folder(&b, folder);               // its entries shall be durable too
 *     dm_store_sync(&b, err);
 *     dm_store_release(&b);
 */
#ifndef DM_LAKE_STORE_LOCAL_STORE_H
#define DM_LAKE_STORE_LOCAL_STORE_H

#include <stdbool.h>

#include "base/buffer.h"

struct dm_store_batch {
    size_t n_open;
    int open[128];
    size_t n_folders;
    char **folders;
    size_t n_written;
    char **written;
};

/* Creates the file (it must not exist) and queues it for dm_store_sync. */
enum dm_status dm_store_write(struct dm_store_batch *b, const char *path, const void *bytes, size_t n,
                              struct dm_error *err) DM_MUST_USE;
void dm_store_folder(struct dm_store_batch *b, const char *path);
enum dm_status dm_store_sync(struct dm_store_batch *b, struct dm_error *err) DM_MUST_USE;
/* Removes every file that the batch wrote (best effort). */
void dm_store_remove_written(struct dm_store_batch *b);
void dm_store_release(struct dm_store_batch *b);

/* "file:///lake/ns/t" for an absolute path; malloc. */
char *dm_store_uri(const char *path);
/* The absolute path of a file: URI or of a plain absolute path; malloc. NULL when it is neither. */
char *dm_store_path(const char *uri);
/* A folder name for a namespace or table: names of ASCII letters, digits, '_', '-' and '.' stay as they are; in others every
 * other character becomes '_' and a hash of the whole name is added, so that different names never meet; malloc. Readers disagree on
 * how "%", "#", "?" and spaces in file URIs are to be taken, so none of them ever occurs below the lake's own folder. */
char *dm_store_folder_name(const char *name);
/* n random bytes as 2n lower-case hex digits into out (2n + 1 bytes); returns out. */
char *dm_store_random_hex(char *out, size_t n);

#endif
