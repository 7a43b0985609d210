/* index_env.h — the LMDB environment under the key index: opening, trust, room, closing. Private to apply/.
 *
 * Files in the folder: `data.mdb` (LMDB), `state` (text, durable: format, boot id, clean or dirty, inode, length and checksum of data.mdb),
 * `lock` (flock: one opener at a time; LMDB's own lock file is not used).
 *
 * Trust. LMDB runs without sync, so data.mdb is what the page cache holds: right after a killed process, unknown after a killed
 * machine. `state` is made dirty, durably, before the first write, and clean only after the data was synced. The index is
 * trusted when it is clean and its bytes are those it was closed with (index_sum.h), or dirty in this very boot and still the same file (inode). Otherwise
 * data.mdb is removed unread, since LMDB must not be shown a torn file. After a process that was killed in this boot the page cache
 * has what was committed, but no checksum is there: of such a file only the length is looked at, and what LMDB itself notices. An error of LMDB that
 * means damage removes `state`, so that the next opening makes a new index.
 *
 * Room. With MDB_WRITEMAP the map cannot grow inside a transaction, so a large one is reserved at the start (address space
 * only; halved until the system grants it). A store into a page that the disk has no room for would kill the process (SIGBUS), so
 * dm_index_env_reserve gets the blocks from the file system first (fallocate) and fails cleanly when there are none. The file's
 * length is kept near what is used, and cut to it when closed.
 *
 * Failure: TRANSIENT for no room, CONFLICT when somebody else has it open, FATAL for damage (delete the folder; it is rebuilt).
 */
#ifndef DM_APPLY_INDEX_ENV_H
#define DM_APPLY_INDEX_ENV_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/boot.h"
#include "base/error.h"

struct dm_index_env {
    MDB_env *env;
    char *folder;
    char boot[DM_BOOT_SIZE]; /* of this machine now; "" unknown */
    int lock_fd;
    int data_fd; /* LMDB's, borrowed */
    uint64_t page_size;
    uint64_t map_bytes;
    uint64_t file_bytes;    /* the file's length */
    uint64_t granted_bytes; /* the file system gave blocks up to here */
    bool dirty;             /* `state` says so already */
};

enum dm_index_trust {
    DM_INDEX_TRUSTED,
    DM_INDEX_UNKNOWN, /* there is none, or nobody knows: it is made anew */
    DM_INDEX_DAMAGED, /* not the bytes that it was closed with: said, and made anew */
};
/* What an opening would think of it; reads the whole file. Of `e` only folder and boot are used. */
enum dm_index_trust dm_index_env_trust(const struct dm_index_env *e);
/* Opens or creates. *trusted false: it is empty now. */
enum dm_status dm_index_env_open(struct dm_index_env *e, const char *folder, bool *trusted,
                                 struct dm_error *err) DM_MUST_USE;
/* No transaction may be open. clean: everything was committed; sync it and say so. */
void dm_index_env_close(struct dm_index_env *e, bool clean);
/* Durably marks the index as being written to; before every write transaction. */
enum dm_status dm_index_env_mark_dirty(struct dm_index_env *e, struct dm_error *err) DM_MUST_USE;
/* Before a write transaction: more address space if more than half of it is used. */
enum dm_status dm_index_env_widen(struct dm_index_env *e, struct dm_error *err) DM_MUST_USE;
/* Makes sure that the pages [0, pages) of the file can be written. */
enum dm_status dm_index_env_reserve(struct dm_index_env *e, uint64_t pages, struct dm_error *err) DM_MUST_USE;
/* Pages in use by the last committed state. */
uint64_t dm_index_env_used_pages(const struct dm_index_env *e);
/* Its entries, and nothing else that its pages hold, in a fresh file that takes the place of the old one (index_rewrite.c). No transaction may
 * be open; handles of databases are invalid afterwards. When it fails after the old file was closed, env is NULL. */
enum dm_status dm_index_env_rewrite(struct dm_index_env *e, struct dm_error *err) DM_MUST_USE;
/* index_rewrite.c: only the new file; `path` is made. */
enum dm_status dm_index_env_write_anew(const struct dm_index_env *e, const char *path, unsigned max_dbs,
                                       struct dm_error *err) DM_MUST_USE;
/* LMDB's code as an error; returns DM_FAIL. */
enum dm_status dm_index_env_fail(const struct dm_index_env *e, int code, const char *what,
                                 struct dm_error *err);

#endif
