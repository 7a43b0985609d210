#include "apply/index_env.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "apply/index_sum.h"
#include "base/boot.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

#define FORMAT 2
#define MAP_WANTED (UINT64_C(1) << 40) /* 1 TiB: 25 thousand million keys */
#define MAP_LEAST (UINT64_C(8) << 20)
#define MAX_DATASETS 65536
#define FILE_SLACK \
    (UINT64_C(1) << 30) /* sparse length behind the granted blocks, in case an estimate is short */
#define FREE_DISK_KEPT (UINT64_C(16) << 20) /* or a sixteenth of a small file system */
#define ENV_FLAGS (MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_NOTLS | MDB_NOLOCK | MDB_NORDAHEAD)

static char *path_of(const struct dm_index_env *e, const char *name)
{
    return dm_xasprintf("%s/%s", e->folder, name);
}

/* The next opening makes a new index. */
static void forget_state(const struct dm_index_env *e)
{
    char *path = path_of(e, "state");
    (void)unlink(path);
    free(path);
}

static bool damage(int code)
{
    return code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_PANIC || code == MDB_INVALID ||
           code == MDB_VERSION_MISMATCH;
}

enum dm_status dm_index_env_fail(const struct dm_index_env *e, int code, const char *what,
                                 struct dm_error *err)
{
    if (code == MDB_MAP_FULL)
        return dm_fail(err, DM_ERROR_TRANSIENT, "raise the limit of address space (ulimit -v)",
                       "the key index %s: %s: all %" PRIu64 " bytes of its map are used", e->folder, what,
                       e->map_bytes);
    if (code > 0) {
        errno = code;
        return dm_fail_errno(err, "the key index %s: %s", e->folder, what);
    }
    if (damage(code))
        forget_state(e);
    return dm_fail(err, DM_ERROR_FATAL, "start again: the index is rebuilt from the lake",
                   "the key index %s: %s: %s", e->folder, what, mdb_strerror(code));
}

/* ---- state ---- */

/* As the file `state` has it. */
struct state {
    int format;
    int clean;
    char boot[DM_BOOT_SIZE];
    uint64_t inode;
    uint64_t length; /* clean: of data.mdb … */
    char sum[20];    /* … and its checksum, or "none": too large for one */
};

static bool read_state(const struct dm_index_env *e, struct state *s)
{
    *s = (struct state){0};
    char *path = path_of(e, "state");
    struct dm_buffer text;
    dm_buffer_init(&text, 4096);
    bool ok =
        dm_file_exists(path) && dm_file_read(path, &text, NULL) == DM_OK && dm_buffer_text(&text) != NULL;
    if (ok)
        ok = sscanf((const char *)text.data,
                    "format %d\nclean %d\ninode %" SCNu64 "\nlength %" SCNu64 "\nsum %19s\nboot %63s",
                    &s->format, &s->clean, &s->inode, &s->length, s->sum, s->boot) >= 5;
    dm_buffer_release(&text);
    free(path);
    return ok;
}

static enum dm_status sum_text(int fd, uint64_t length, char *text, size_t size, struct dm_error *err)
{
    uint64_t sum = 0;
    (void)snprintf(text, size, "none");
    if (length > DM_INDEX_SUM_MOST)
        return DM_OK;
    if (dm_index_sum(fd, length, &sum, err) != DM_OK)
        return DM_FAIL;
    (void)snprintf(text, size, "%016" PRIx64, sum);
    return DM_OK;
}

static enum dm_status write_state(struct dm_index_env *e, bool clean, struct dm_error *err)
{
    struct stat st;
    char sum[20] = "unknown";
    if (fstat(e->data_fd, &st) != 0)
        return dm_fail_errno(err, "cannot look at the key index %s", e->folder);
    if (clean && sum_text(e->data_fd, (uint64_t)st.st_size, sum, sizeof sum, err) != DM_OK)
        return DM_FAIL;
    char text[256];
    int n = snprintf(text, sizeof text,
                     "format %d\nclean %d\ninode %" PRIu64 "\nlength %" PRIu64 "\nsum %s\nboot %s\n", FORMAT,
                     clean, (uint64_t)st.st_ino, (uint64_t)st.st_size, sum, e->boot);
    char *path = path_of(e, "state");
    enum dm_status status = dm_file_replace(path, text, (size_t)n, err);
    free(path);
    return status;
}

/* Is data.mdb what it was when it was closed? It may have become longer: an opening does that before it says that it writes. */
static bool unchanged(const struct state *s, int fd, uint64_t length)
{
    char sum[20];
    struct dm_error err;
    return length >= s->length && sum_text(fd, s->length, sum, sizeof sum, &err) == DM_OK &&
           strcmp(sum, s->sum) == 0;
}

enum dm_index_trust dm_index_env_trust(const struct dm_index_env *e)
{
    struct state s;
    struct stat st;
    if (!read_state(e, &s) || s.format != FORMAT)
        return DM_INDEX_UNKNOWN;
    char *path = path_of(e, "data.mdb");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    enum dm_index_trust trust = DM_INDEX_UNKNOWN;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        trust = s.clean == 1 ? DM_INDEX_DAMAGED : DM_INDEX_UNKNOWN;
    else if (s.clean == 1)
        trust = unchanged(&s, fd, (uint64_t)st.st_size) ? DM_INDEX_TRUSTED : DM_INDEX_DAMAGED;
    else if (e->boot[0] != '\0' && strcmp(e->boot, s.boot) == 0 && s.inode == (uint64_t)st.st_ino)
        trust = DM_INDEX_TRUSTED;
    if (fd >= 0)
        close(fd);
    return trust;
}

enum dm_status dm_index_env_mark_dirty(struct dm_index_env *e, struct dm_error *err)
{
    if (e->dirty)
        return DM_OK;
    if (write_state(e, false, err) != DM_OK)
        return DM_FAIL;
    e->dirty = true;
    return DM_OK;
}

/* ---- opening ---- */

static enum dm_status take_lock(struct dm_index_env *e, struct dm_error *err)
{
    char *path = path_of(e, "lock");
    enum dm_status status = DM_OK;
    e->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (e->lock_fd < 0)
        status = dm_fail_errno(err, "cannot open %s", path);
    else if (flock(e->lock_fd, LOCK_EX | LOCK_NB) != 0)
        status = errno == EWOULDBLOCK
                     ? dm_fail(err, DM_ERROR_CONFLICT, "stop the other process that uses this lake",
                               "the key index %s is in use by another process", e->folder)
                     : dm_fail_errno(err, "cannot lock %s", path);
    free(path);
    return status;
}

/* One try with a map of this size. */
static int open_map(struct dm_index_env *e, const char *path, uint64_t bytes)
{
    int rc = mdb_env_create(&e->env);
    if (rc != 0) {
        e->env = NULL;
        return rc;
    }
    rc = mdb_env_set_maxdbs(e->env, MAX_DATASETS);
    if (rc == 0)
        rc = mdb_env_set_mapsize(e->env, bytes);
    if (rc == 0)
        rc = mdb_env_open(e->env, path, MDB_NOSUBDIR | ENV_FLAGS, 0644);
    if (rc != 0) {
        mdb_env_close(e->env);
        e->env = NULL;
    }
    return rc;
}

static bool map_too_large(int rc)
{
    return rc == ENOMEM || rc == EFBIG || rc == EINVAL || rc == EOVERFLOW;
}

static int open_env(struct dm_index_env *e, const char *path)
{
    int rc = ENOMEM;
    uint64_t most = MAP_WANTED;
    struct rlimit limit; /* beyond it ftruncate would raise SIGXFSZ */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        while (most > limit.rlim_cur && most > MAP_LEAST)
            most /= 2;
    for (uint64_t bytes = most; bytes >= MAP_LEAST && map_too_large(rc); bytes /= 2)
        rc = open_map(e, path, bytes);
    if (rc != 0)
        return rc;
    MDB_envinfo info;
    MDB_stat st;
    rc = mdb_env_info(e->env, &info);
    if (rc == 0)
        rc = mdb_env_stat(e->env, &st);
    if (rc == 0)
        rc = mdb_env_get_fd(e->env, &e->data_fd);
    if (rc != 0) {
        mdb_env_close(e->env);
        e->env = NULL;
        return rc;
    }
    e->map_bytes = info.me_mapsize;
    e->page_size = st.ms_psize;
    return 0;
}

uint64_t dm_index_env_used_pages(const struct dm_index_env *e)
{
    MDB_envinfo info;
    return mdb_env_info(e->env, &info) == 0 ? (uint64_t)info.me_last_pgno + 1 : 0;
}

/* LMDB made the file as long as the map; what is behind the used pages is nothing but length. */
static enum dm_status set_length(struct dm_index_env *e, uint64_t bytes, struct dm_error *err)
{
    if (bytes > e->map_bytes)
        bytes = e->map_bytes;
    if (ftruncate(e->data_fd, (off_t)bytes) != 0)
        return dm_fail_errno(err, "cannot set the length of the key index %s", e->folder);
    e->file_bytes = bytes;
    return DM_OK;
}

/* The pages that are in use are in the file, also after it was cut: a look behind its end would kill the process. (LMDB has made it as long as its map.) */
static bool long_enough(const struct dm_index_env *e, uint64_t bytes)
{
    return bytes >= dm_index_env_used_pages(e) * e->page_size;
}

static int close_again(struct dm_index_env *e, int code)
{
    mdb_env_close(e->env);
    e->env = NULL;
    e->data_fd = -1;
    return code;
}

static void tell_damage(const struct dm_index_env *e)
{
    dm_log(DM_LOG_WARN, "the key index %s is damaged: it is rebuilt from the lake", e->folder);
}

static enum dm_status open_data(struct dm_index_env *e, bool *trusted, struct dm_error *err)
{
    char *path = path_of(e, "data.mdb");
    uint64_t bytes = 0;
    enum dm_status status = *trusted ? dm_file_size(path, &bytes, err) : dm_file_remove_tree(path, err);
    if (status == DM_OK) {
        int rc = open_env(e, path);
        if (rc == 0 && *trusted && !long_enough(e, bytes))
            rc = close_again(e, MDB_CORRUPTED);
        if (*trusted && damage(rc)) {
            *trusted = false; /* not what we wrote: start anew */
            tell_damage(e);
            status = dm_file_remove_tree(path, err);
            if (status == DM_OK)
                rc = open_env(e, path);
        }
        if (status == DM_OK && rc != 0)
            status = dm_index_env_fail(e, rc, "cannot open it", err);
    }
    free(path);
    return status;
}

enum dm_status dm_index_env_open(struct dm_index_env *e, const char *folder, bool *trusted,
                                 struct dm_error *err)
{
    *e = (struct dm_index_env){.lock_fd = -1, .data_fd = -1, .folder = dm_xstrdup(folder)};
    if (dm_file_make_folders(folder, err) != DM_OK || take_lock(e, err) != DM_OK)
        goto fail;
    char *unfinished = path_of(e, "data.mdb.new"); /* of a rewrite that was killed */
    (void)unlink(unfinished);
    free(unfinished);
    dm_boot_id(e->boot);
    enum dm_index_trust trust = dm_index_env_trust(e);
    if (trust == DM_INDEX_DAMAGED)
        tell_damage(e);
    *trusted = trust == DM_INDEX_TRUSTED;
    if (open_data(e, trusted, err) != DM_OK)
        goto fail;
    if (set_length(e, dm_index_env_used_pages(e) * e->page_size + FILE_SLACK, err) != DM_OK)
        goto fail;
    return DM_OK;
fail:
    dm_index_env_close(e, false);
    return DM_FAIL;
}

void dm_index_env_close(struct dm_index_env *e, bool clean)
{
    if (e->env != NULL) {
        uint64_t used = dm_index_env_used_pages(e) * e->page_size;
        bool synced = used == 0 || used >= e->file_bytes || set_length(e, used, NULL) == DM_OK;
        synced = fsync(e->data_fd) == 0 && synced; /* the pages of the map, too */
        struct dm_error err;
        char *state = path_of(e, "state"); /* gone: damage was found meanwhile */
        if (clean && synced && e->dirty && dm_file_exists(state))
            (void)!write_state(e, true,
                               &err); /* it stays dirty then: rebuilt after a reboot, nothing worse */
        free(state);
        mdb_env_close(e->env);
    }
    if (e->lock_fd >= 0)
        close(e->lock_fd);
    free(e->folder);
    *e = (struct dm_index_env){.lock_fd = -1, .data_fd = -1};
}

static enum dm_status exchange(struct dm_index_env *e, const char *new_path, const char *path,
                               struct dm_error *err)
{
    mdb_env_close(e->env);
    e->env = NULL;
    e->data_fd = -1;
    e->granted_bytes = 0;
    if (rename(new_path, path) != 0)
        return dm_fail_errno(err, "cannot rename %s to %s", new_path, path);
    int rc = open_env(e, path);
    if (rc != 0)
        return dm_index_env_fail(e, rc, "cannot open it after it was written anew", err);
    if (set_length(e, dm_index_env_used_pages(e) * e->page_size + FILE_SLACK, err) != DM_OK)
        return DM_FAIL;
    e->dirty = true;
    return write_state(e, false, err); /* it knows the inode */
}

enum dm_status dm_index_env_rewrite(struct dm_index_env *e, struct dm_error *err)
{
    char *new_path = path_of(e, "data.mdb.new");
    char *path = path_of(e, "data.mdb");
    enum dm_status status = dm_index_env_write_anew(e, new_path, MAX_DATASETS, err);
    if (status == DM_OK)
        status = exchange(e, new_path, path, err);
    if (status == DM_OK)
        status = dm_file_sync(e->folder, err);
    free(new_path);
    free(path);
    return status;
}

/* ---- room ---- */

enum dm_status dm_index_env_widen(struct dm_index_env *e, struct dm_error *err)
{
    uint64_t used = dm_index_env_used_pages(e) * e->page_size;
    if (used <= e->map_bytes / 2)
        return DM_OK;
    int rc = mdb_env_set_mapsize(e->env, e->map_bytes * 2);
    if (rc != 0 && !map_too_large(rc))
        return dm_index_env_fail(e, rc, "cannot enlarge its map", err);
    if (rc == 0)
        e->map_bytes *= 2;
    return set_length(e, used + FILE_SLACK, err); /* LMDB gave the file the map's length again */
}

static enum dm_status no_room(const struct dm_index_env *e, uint64_t bytes, struct dm_error *err)
{
    errno = ENOSPC;
    dm_fail_errno(err, "the key index %s needs %" PRIu64 " more bytes", e->folder, bytes);
    return DM_FAIL;
}

enum dm_status dm_index_env_reserve(struct dm_index_env *e, uint64_t pages, struct dm_error *err)
{
    uint64_t want = pages * e->page_size;
    if (want > e->map_bytes)
        want = e->map_bytes; /* LMDB will say MDB_MAP_FULL if it really comes to that */
    if (want <= e->granted_bytes)
        return DM_OK;
    uint64_t step = e->granted_bytes / 16 + (UINT64_C(1) << 20);
    if (want < e->granted_bytes + step)
        want = e->granted_bytes + step;
    if (want > e->map_bytes)
        want = e->map_bytes;
    struct statvfs fs;
    if (fstatvfs(e->data_fd, &fs) != 0)
        return dm_fail_errno(err, "cannot ask for the free space of the key index %s", e->folder);
    struct stat st;
    if (fstat(e->data_fd, &st) != 0)
        return dm_fail_errno(err, "cannot look at the key index %s", e->folder);
    uint64_t has = (uint64_t)st.st_blocks * 512;
    uint64_t missing = want > has ? want - has : 0;
    uint64_t disk = (uint64_t)fs.f_blocks * fs.f_frsize;
    uint64_t keep = disk / 16 < FREE_DISK_KEPT ? disk / 16 : FREE_DISK_KEPT;
    if (missing + keep > (uint64_t)fs.f_bavail * fs.f_frsize && missing > 0)
        return no_room(e, missing, err);
    if (want + FILE_SLACK > e->file_bytes && e->file_bytes < e->map_bytes &&
        set_length(e, want + 2 * FILE_SLACK, err) != DM_OK)
        return DM_FAIL;
    int rc;
    do
        rc = fallocate(e->data_fd, FALLOC_FL_KEEP_SIZE, (off_t)e->granted_bytes,
                       (off_t)(want - e->granted_bytes));
    while (rc != 0 && errno == EINTR);
    if (rc != 0 && errno == ENOSPC)
        return no_room(e, missing, err);
    if (rc != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        return dm_fail_errno(err, "cannot reserve room for the key index %s", e->folder);
    e->granted_bytes = want; /* without fallocate the check of the free space must do */
    return DM_OK;
}
