/* record_writes.c — a library to preload that logs every change a process makes below given folders, in order and with its data.
 *
 * From the log, tests/oracle/power.py makes the states that a power cut at any moment could have left (which says what is and what
 * is not promised to be on the disk). The records of all threads and processes that share one log are in the order of the calls:
 * a call and its record happen under one lock (a mutex, and flock on the log between processes).
 *
 *   DM_RECORD_LOG    the log, appended to; without it nothing is recorded
 *   DM_RECORD_ROOTS  absolute folders, separated by ':'; only what is below them is logged
 *   DM_RECORD_BOOT   a file that is read in place of /proc/sys/kernel/random/boot_id: a pretended reboot
 *   DM_RECORD_SYNC   set: fsync is passed on; otherwise it is only logged, which is all that a test needs, and much faster
 *
 * Record: struct record, then path, second path, data. A file is named by its inode number; a CREATE gives a number to a new file
 * (numbers are used again). A mapping that is shared and writable cannot be followed store by store: MAPPED says that there is
 * one, and each fsync of such a file, or of its folder, and each rename in that folder, logs its WHOLE content first (its length, and the bytes up
 * to the last that was written). What programs tell PostgreSQL of their progress (a standby status
 * update) is an ACK with its flush position, for that is what must not run ahead of the disk.
 *
 * Calls go to the kernel directly: no table of the real functions is needed, and nothing recurses. Not seen: writes that the C library makes
 * inside its own streams (fwrite), which the program uses for temporary files only; the test of the recorder would find others.
 */
#undef _FILE_OFFSET_BITS /* with it the headers give one name to open and open64: here both are defined */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum op {
    OP_CREATE = 1,
    OP_WRITE,
    OP_TRUNCATE,
    OP_RENAME,
    OP_UNLINK,
    OP_MKDIR,
    OP_RMDIR,
    OP_LINK,
    OP_FSYNC,
    OP_MARK, /* written by tests */
    OP_ACK,
    OP_MAPPED,
    OP_WHOLE
};

struct record {
    uint32_t op;
    uint32_t path_len;
    uint32_t path2_len;
    uint32_t zero;
    uint64_t inode;
    uint64_t offset; /* or length, or position */
    uint64_t data_len;
};

enum { MAX_FDS = 65536, MAX_ROOTS = 8 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *boot_file;
static bool pass_sync;
static size_t n_roots;
static char *roots[MAX_ROOTS];
static uint64_t inode_of[MAX_FDS]; /* of open files below the roots; 0: none */
static size_t n_mapped;
static struct {
    uint64_t inode;
    uint64_t folder; /* inode */
    int fd; /* ours, kept: closing any descriptor of a file drops all locks that the process has on it (SQLite's) */
} mapped[256];

#define EXPORT __attribute__((visibility("default")))

__attribute__((constructor)) static void start(void)
{
    const char *log = getenv("DM_RECORD_LOG");
    const char *list = getenv("DM_RECORD_ROOTS");
    boot_file = getenv("DM_RECORD_BOOT");
    pass_sync = getenv("DM_RECORD_SYNC") != NULL;
    if (log == NULL || list == NULL)
        return;
    char *copy = strdup(list);
    for (char *at = copy, *root; (root = strsep(&at, ":")) != NULL && n_roots < MAX_ROOTS;)
        if (*root == '/')
            roots[n_roots++] = root;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    log_fd = fd < 0 ? -1 : (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 700);
    if (log_fd < 0)
        log_fd = fd;
    else
        syscall(SYS_close, fd);
    if (log_fd < 0) {
        (void)dprintf(2, "record_writes: cannot open %s\n", log);
        _exit(99);
    }
}

/* ---- names ---- */

static void clean(char *path) /* "//", "/./" and a slash at the end */
{
    char *to = path;
    for (const char *at = path; *at != '\0';) {
        if (at[0] == '/' && (at[1] == '/' || at[1] == '\0') && at != path) {
            at++;
        } else if (at[0] == '/' && at[1] == '.' && (at[2] == '/' || at[2] == '\0')) {
            at += 2;
        } else if (at[0] == '/' && at[1] == '/') {
            at++;
        } else {
            *to++ = *at++;
        }
    }
    *to = '\0';
}

static bool absolute(int dir, const char *path, char *out)
{
    char base[PATH_MAX] = "";
    if (path == NULL)
        return false;
    if (path[0] != '/') {
        if (dir == AT_FDCWD) {
            if (syscall(SYS_getcwd, base, sizeof base) < 0)
                return false;
        } else {
            char link[64];
            (void)snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
            ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
            if (n < 0)
                return false;
            base[n] = '\0';
        }
    }
    int n = snprintf(out, PATH_MAX, "%s%s%s", base, path[0] != '/' ? "/" : "", path);
    if (n < 0 || n >= PATH_MAX)
        return false;
    clean(out);
    return true;
}

/* The absolute path if it is below a root of a process that records. */
static bool tracked(int dir, const char *path, char *out)
{
    if (log_fd < 0 || !absolute(dir, path, out))
        return false;
    for (size_t i = 0; i < n_roots; i++) {
        size_t n = strlen(roots[i]);
        if (strncmp(out, roots[i], n) == 0 && (out[n] == '/' || out[n] == '\0'))
            return true;
    }
    return false;
}

/* ---- the log ---- */

static int saved_errno;

static void begin(void)
{
    pthread_mutex_lock(&mutex);
    while (syscall(SYS_flock, log_fd, LOCK_EX) != 0 && errno == EINTR)
        continue;
}

static void end(void)
{
    saved_errno = errno;
    syscall(SYS_flock, log_fd, LOCK_UN);
    errno = saved_errno;
    pthread_mutex_unlock(&mutex);
}

static void note(enum op op, uint64_t inode, uint64_t offset, const char *path, const char *path2,
                 const void *data, size_t n)
{
    int before = errno;
    struct record r = {.op = op,
                       .path_len = path == NULL ? 0 : (uint32_t)strlen(path),
                       .path2_len = path2 == NULL ? 0 : (uint32_t)strlen(path2),
                       .inode = inode,
                       .offset = offset,
                       .data_len = n};
    union {
        const void *from;
        void *to;
    } parts[3] = {{.from = path}, {.from = path2}, {.from = data}};
    struct iovec v[4] = {
        {&r, sizeof r}, {parts[0].to, r.path_len}, {parts[1].to, r.path2_len}, {parts[2].to, n}};
    for (int i = 0; i < 4;) {
        ssize_t done = syscall(SYS_writev, log_fd, v + i, 4 - i);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            (void)dprintf(2, "record_writes: the log cannot be written: %s\n", strerror(errno));
            _exit(99);
        }
        for (; i < 4 && (size_t)done >= v[i].iov_len; i++)
            done -= (ssize_t)v[i].iov_len;
        if (i < 4) {
            v[i].iov_base = (char *)v[i].iov_base + done;
            v[i].iov_len -= (size_t)done;
        }
    }
    errno = before;
}

static uint64_t inode(int fd)
{
    return fd >= 0 && fd < MAX_FDS && log_fd >= 0 ? __atomic_load_n(&inode_of[fd], __ATOMIC_RELAXED) : 0;
}

static void set_inode(int fd, uint64_t number)
{
    if (fd >= 0 && fd < MAX_FDS)
        __atomic_store_n(&inode_of[fd], number, __ATOMIC_RELAXED);
}

static uint64_t inode_at(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static uint64_t size_at(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* ---- opening and closing ---- */

static int open_file(int dir, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    if (boot_file != NULL && path != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        path = boot_file;
    if (!tracked(dir, path, full))
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    begin();
    bool there = syscall(SYS_faccessat, AT_FDCWD, full, F_OK) == 0;
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0) {
        uint64_t number = inode_at(fd);
        set_inode(fd, number);
        if ((flags & O_CREAT) != 0 && !there)
            note(OP_CREATE, number, 0, full, NULL, NULL, 0);
        if ((flags & O_TRUNC) != 0 && there)
            note(OP_TRUNCATE, number, 0, NULL, NULL, NULL, 0);
    }
    end();
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

#define OPEN(name) \
    EXPORT int name(const char *path, int flags, ...) \
    { \
        va_list args; \
        va_start(args, flags); \
        mode_t mode = mode_of(flags, args); \
        va_end(args); \
        return open_file(AT_FDCWD, path, flags, mode); \
    }
#define OPENAT(name) \
    EXPORT int name(int dir, const char *path, int flags, ...) \
    { \
        va_list args; \
        va_start(args, flags); \
        mode_t mode = mode_of(flags, args); \
        va_end(args); \
        return open_file(dir, path, flags, mode); \
    }
/* The C library's headers turn some of these names into others, or into macros. */
#undef open
#undef open64
#undef openat
#undef openat64
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

EXPORT int __open_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags)
{
    return open_file(AT_FDCWD, path, flags, 0);
}
EXPORT int __open64_2(const char *path, int flags)
{
    return open_file(AT_FDCWD, path, flags, 0);
}
EXPORT int creat(const char *path, mode_t mode)
{
    return open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
EXPORT int creat64(const char *path, mode_t mode)
{
    return creat(path, mode);
}

EXPORT int close(int fd)
{
    set_inode(fd, 0);
    return (int)syscall(SYS_close, fd);
}

static int copied(int from, int to)
{
    if (to >= 0)
        set_inode(to, inode(from));
    return to;
}
EXPORT int dup(int fd)
{
    return copied(fd, (int)syscall(SYS_dup, fd));
}
EXPORT int dup2(int fd, int to)
{
    return fd == to ? to : copied(fd, (int)syscall(SYS_dup3, fd, to, 0));
}
EXPORT int dup3(int fd, int to, int flags)
{
    return copied(fd, (int)syscall(SYS_dup3, fd, to, flags));
}

/* ---- content ---- */

static ssize_t write_at(int fd, const struct iovec *v, int n, int64_t at)
{
    uint64_t file = inode(fd);
    if (file == 0)
        return at < 0 ? syscall(SYS_writev, fd, v, n) : syscall(SYS_pwritev, fd, v, n, at, 0);
    begin();
    ssize_t done = at < 0 ? syscall(SYS_writev, fd, v, n) : syscall(SYS_pwritev, fd, v, n, at, 0);
    uint64_t offset = at >= 0 ? (uint64_t)at : (uint64_t)(syscall(SYS_lseek, fd, 0, SEEK_CUR) - done);
    size_t left = done > 0 ? (size_t)done : 0;
    for (int i = 0; left > 0; i++) {
        size_t part = v[i].iov_len < left ? v[i].iov_len : left;
        if (part > 0)
            note(OP_WRITE, file, offset, NULL, NULL, v[i].iov_base, part);
        offset += part;
        left -= part;
    }
    end();
    return done;
}

static ssize_t write_one(int fd, const void *bytes, size_t n, int64_t at)
{
    union {
        const void *from;
        void *to;
    } b = {.from = bytes};
    struct iovec v = {b.to, n};
    return write_at(fd, &v, 1, at);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t n)
{
    return inode(fd) == 0 ? syscall(SYS_write, fd, bytes, n) : write_one(fd, bytes, n, -1);
}
EXPORT ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return inode(fd) == 0 ? syscall(SYS_pwrite64, fd, bytes, n, at) : write_one(fd, bytes, n, at);
}
EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    return pwrite(fd, bytes, n, at);
}
EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
    return write_at(fd, v, n, -1);
}
EXPORT ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    return write_at(fd, v, n, at);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
    return write_at(fd, v, n, at);
}
EXPORT ssize_t copy_file_range(int from, off64_t *in, int to, off64_t *out, size_t n, unsigned flags)
{
    if (inode(to) == 0)
        return syscall(SYS_copy_file_range, from, in, to, out, n, flags);
    errno = EXDEV; /* callers have another way, which is seen */
    return -1;
}
EXPORT ssize_t sendfile(int to, int from, off_t *in, size_t n)
{
    if (inode(to) == 0)
        return syscall(SYS_sendfile, to, from, in, n);
    static char bytes[1 << 16];
    begin(); /* for the buffer */
    ssize_t got = syscall(SYS_pread64, from, bytes, n < sizeof bytes ? n : sizeof bytes,
                          in != NULL ? *in : syscall(SYS_lseek, from, 0, SEEK_CUR));
    uint64_t offset = (uint64_t)syscall(SYS_lseek, to, 0, SEEK_CUR);
    ssize_t done = got <= 0 ? got : syscall(SYS_write, to, bytes, got);
    if (done > 0) {
        note(OP_WRITE, inode(to), offset, NULL, NULL, bytes, (size_t)done);
        if (in != NULL)
            *in += done;
        else
            syscall(SYS_lseek, from, done, SEEK_CUR);
    }
    end();
    return done;
}
EXPORT ssize_t sendfile64(int to, int from, off64_t *in, size_t n)
{
    return sendfile(to, from, in, n);
}

EXPORT int ftruncate(int fd, off_t length)
{
    uint64_t file = inode(fd);
    if (file == 0)
        return (int)syscall(SYS_ftruncate, fd, length);
    begin();
    int rc = (int)syscall(SYS_ftruncate, fd, length);
    if (rc == 0)
        note(OP_TRUNCATE, file, (uint64_t)length, NULL, NULL, NULL, 0);
    end();
    return rc;
}
EXPORT int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}
EXPORT int truncate(const char *path, off_t length)
{
    int fd = open_file(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int rc = ftruncate(fd, length);
    int why = errno;
    close(fd);
    errno = why;
    return rc;
}
EXPORT int truncate64(const char *path, off64_t length)
{
    return truncate(path, length);
}

EXPORT int fallocate(int fd, int mode, off_t at, off_t n)
{
    uint64_t file = inode(fd);
    if (file == 0)
        return (int)syscall(SYS_fallocate, fd, mode, at, n);
    if (mode != 0 &&
        mode !=
            FALLOC_FL_KEEP_SIZE) { /* punching holes: nobody does; better an error than a gap in the log */
        errno = EOPNOTSUPP;
        return -1;
    }
    begin();
    uint64_t before = size_at(fd);
    int rc = (int)syscall(SYS_fallocate, fd, mode, at, n);
    uint64_t after = size_at(fd);
    if (rc == 0 && after != before)
        note(OP_TRUNCATE, file, after, NULL, NULL, NULL, 0);
    end();
    return rc;
}
EXPORT int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
    return fallocate(fd, mode, at, n);
}
EXPORT int posix_fallocate(int fd, off_t at, off_t n)
{
    return fallocate(fd, 0, at, n) == 0 ? 0 : errno;
}
EXPORT int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return posix_fallocate(fd, at, n);
}

/* ---- mappings ---- */

static bool is_mapped(uint64_t file)
{
    for (size_t i = 0; i < n_mapped; i++)
        if (mapped[i].inode == file)
            return true;
    return false;
}

static bool path_of(int fd, char *path)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static uint64_t folder_of(const char *path)
{
    char folder[PATH_MAX];
    struct stat st;
    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    return fstatat(AT_FDCWD, folder, &st, 0) == 0 ? st.st_ino : 0;
}

/* Files that are gone are forgotten. */
static void forget_unlinked(void)
{
    struct stat st;
    for (size_t i = n_mapped; i-- > 0;)
        if (fstat(mapped[i].fd, &st) != 0 || st.st_nlink == 0) {
            syscall(SYS_close, mapped[i].fd);
            mapped[i] = mapped[--n_mapped];
        }
}

static void remember_mapped(int fd, uint64_t file)
{
    char path[PATH_MAX];
    forget_unlinked();
    if (is_mapped(file) || !path_of(fd, path))
        return;
    int own =
        n_mapped < sizeof mapped / sizeof *mapped ? (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 700) : -1;
    if (own < 0) {
        (void)dprintf(2, "record_writes: too many mapped files\n");
        _exit(99);
    }
    mapped[n_mapped].inode = file;
    mapped[n_mapped].folder = folder_of(path);
    mapped[n_mapped++].fd = own;
}

static void *map(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    long rc = syscall(SYS_mmap, at, n, protection, flags, fd, offset);
    uint64_t file = rc == -1 ? 0 : inode(fd);
    if (file != 0 && (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0) {
        begin();
        remember_mapped(fd, file);
        note(OP_MAPPED, file, 0, NULL, NULL, NULL, 0);
        end();
    }
    return (void *)rc; /* NOLINT: an address */
}
EXPORT void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    return map(at, n, protection, flags, fd, offset);
}
EXPORT void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
    return map(at, n, protection, flags, fd, offset);
}

/* ---- durability ---- */

/* Where the last written extent ends: what follows in a sparse file is nothing but length. */
static uint64_t written_end(int fd)
{
    off_t end = 0;
    for (off_t data = 0; (data = (off_t)syscall(SYS_lseek, fd, end, SEEK_DATA)) >= 0;)
        end = (off_t)syscall(SYS_lseek, fd, data, SEEK_HOLE);
    return (uint64_t)end;
}

static void note_whole(int fd, uint64_t file)
{
    uint64_t n = written_end(fd), size = size_at(fd);
    if (n > size)
        n = size;
    /* Read, not mapped: another thread may cut the file meanwhile, and a look behind its end would kill the process. */
    char *bytes = n == 0 ? NULL : malloc(n);
    uint64_t got = 0;
    for (long r = 1; bytes != NULL && got < n && r > 0; got += r > 0 ? (uint64_t)r : 0)
        r = syscall(SYS_pread64, fd, bytes + got, n - got, got);
    if (n == 0 || bytes != NULL)
        note(OP_WHOLE, file, size, NULL, NULL, bytes, got);
    free(bytes);
}

/* Something becomes durable in the folder, or takes another name: what its mappings hold now is looked at, since files beside them (one that
 * says whether they can be trusted) have an order that counts. */
static void look_at_mapped(uint64_t folder)
{
    forget_unlinked();
    for (size_t i = 0; i < n_mapped; i++)
        if (mapped[i].folder == folder)
            note_whole(mapped[i].fd, mapped[i].inode);
}

/* Of a descriptor that the C library opened by itself (opendir). */
static uint64_t inode_by_path(int fd)
{
    char path[PATH_MAX], full[PATH_MAX];
    return log_fd >= 0 && path_of(fd, path) && tracked(AT_FDCWD, path, full) ? inode_at(fd) : 0;
}

static int sync_file(long call, int fd)
{
    uint64_t file = inode(fd) != 0 ? inode(fd) : inode_by_path(fd);
    if (file == 0)
        return (int)syscall(call, fd);
    begin();
    int rc = pass_sync ? (int)syscall(call, fd) : 0;
    if (rc == 0) {
        if (is_mapped(file))
            note_whole(fd, file);
        look_at_mapped(file);
        note(OP_FSYNC, file, 0, NULL, NULL, NULL, 0);
    }
    end();
    return rc;
}
EXPORT int fsync(int fd)
{
    return sync_file(SYS_fsync, fd);
}
EXPORT int fdatasync(int fd)
{
    return sync_file(SYS_fdatasync, fd);
}

/* ---- folders ---- */

static int change(long rc, enum op op, const char *path, const char *path2)
{
    if (rc == 0)
        note(op, 0, 0, path, path2, NULL, 0);
    end();
    return (int)rc;
}

static int rename_file(int dir, const char *from, int dir2, const char *to, unsigned flags)
{
    char a[PATH_MAX], b[PATH_MAX];
    bool first = tracked(dir, from, a), second = tracked(dir2, to, b);
    if (!first && !second)
        return (int)syscall(SYS_renameat2, dir, from, dir2, to, flags);
    if (first != second || flags != 0) { /* into or out of what is recorded: callers copy then */
        errno = EXDEV;
        return -1;
    }
    begin();
    look_at_mapped(folder_of(b));
    return change(syscall(SYS_renameat2, dir, from, dir2, to, 0), OP_RENAME, a, b);
}
EXPORT int rename(const char *from, const char *to)
{
    return rename_file(AT_FDCWD, from, AT_FDCWD, to, 0);
}
EXPORT int renameat(int dir, const char *from, int dir2, const char *to)
{
    return rename_file(dir, from, dir2, to, 0);
}
EXPORT int renameat2(int dir, const char *from, int dir2, const char *to, unsigned flags)
{
    return rename_file(dir, from, dir2, to, flags);
}

static int unlink_file(int dir, const char *path, int flags)
{
    char full[PATH_MAX];
    if (!tracked(dir, path, full))
        return (int)syscall(SYS_unlinkat, dir, path, flags);
    begin();
    return change(syscall(SYS_unlinkat, dir, path, flags), (flags & AT_REMOVEDIR) != 0 ? OP_RMDIR : OP_UNLINK,
                  full, NULL);
}
EXPORT int unlink(const char *path)
{
    return unlink_file(AT_FDCWD, path, 0);
}
EXPORT int unlinkat(int dir, const char *path, int flags)
{
    return unlink_file(dir, path, flags);
}
EXPORT int rmdir(const char *path)
{
    return unlink_file(AT_FDCWD, path, AT_REMOVEDIR);
}
EXPORT int remove(const char *path)
{
    int rc = unlink(path);
    return rc != 0 && errno == EISDIR ? rmdir(path) : rc;
}

static int make_folder(int dir, const char *path, mode_t mode)
{
    char full[PATH_MAX];
    if (!tracked(dir, path, full))
        return (int)syscall(SYS_mkdirat, dir, path, mode);
    begin();
    int rc = (int)syscall(SYS_mkdirat, dir, path, mode);
    struct stat st;
    if (rc == 0 && fstatat(AT_FDCWD, full, &st, 0) == 0)
        note(OP_MKDIR, st.st_ino, 0, full, NULL, NULL, 0);
    end();
    return rc;
}
EXPORT int mkdir(const char *path, mode_t mode)
{
    return make_folder(AT_FDCWD, path, mode);
}
EXPORT int mkdirat(int dir, const char *path, mode_t mode)
{
    return make_folder(dir, path, mode);
}

static int link_file(int dir, const char *from, int dir2, const char *to, int flags)
{
    char a[PATH_MAX], b[PATH_MAX];
    bool first = tracked(dir, from, a), second = tracked(dir2, to, b);
    if (!first && !second)
        return (int)syscall(SYS_linkat, dir, from, dir2, to, flags);
    if (first != second) {
        errno = EXDEV;
        return -1;
    }
    begin();
    return change(syscall(SYS_linkat, dir, from, dir2, to, flags), OP_LINK, a, b);
}
EXPORT int link(const char *from, const char *to)
{
    return link_file(AT_FDCWD, from, AT_FDCWD, to, 0);
}
EXPORT int linkat(int dir, const char *from, int dir2, const char *to, int flags)
{
    return link_file(dir, from, dir2, to, flags);
}

/* ---- what PostgreSQL is told ---- */

/* CopyData with a standby status update: 'd', length, 'r', written, flushed, applied, clock, reply. */
static void look_for_ack(const uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at + 5 <= n;) {
        uint64_t length = (uint64_t)bytes[at + 1] << 24 | (uint64_t)bytes[at + 2] << 16 |
                          (uint64_t)bytes[at + 3] << 8 | (uint64_t)bytes[at + 4];
        if (bytes[at] == 'd' && length == 38 && at + 39 <= n && bytes[at + 5] == 'r') {
            uint64_t flushed = 0;
            for (int i = 0; i < 8; i++)
                flushed = flushed << 8 | bytes[at + 14 + (size_t)i];
            begin();
            note(OP_ACK, 0, flushed, NULL, NULL, NULL, 0);
            end();
        }
        if (length < 4 || length > n)
            return;
        at += 1 + length;
    }
}

EXPORT ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    if (log_fd >= 0)
        look_for_ack(bytes, n);
    return syscall(SYS_sendto, fd, bytes, n, flags, NULL, 0);
}
