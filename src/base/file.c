#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum dm_status dm_file_read(const char *path, struct dm_buffer *out, struct dm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dm_fail_errno(err, "cannot open %s", path);
    enum dm_status status = DM_OK;
    for (;;) {
        status = dm_buffer_reserve(out, 1, err);
        if (status != DM_OK) {
            /* full: fine only when the file ends exactly here */
            char extra;
            if (out->len == out->max && read(fd, &extra, 1) == 0)
                status = DM_OK;
            else
                dm_error_prefix(err, "%s is larger than expected", path);
            break;
        }
        ssize_t n = read(fd, out->data + out->len, out->capacity - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = dm_fail_errno(err, "cannot read %s", path);
        if (n <= 0)
            break;
        out->len += (size_t)n;
    }
    close(fd);
    return status;
}

static enum dm_status write_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return DM_FAIL;
        at += done;
        n -= (size_t)done;
    }
    return DM_OK;
}

static enum dm_status write_file(const char *path, int flags, mode_t mode, const void *bytes, size_t n,
                                 struct dm_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, mode);
    if (fd < 0)
        return dm_fail_errno(err, "cannot create %s", path);
    enum dm_status status = DM_OK;
    if (write_all(fd, bytes, n) != DM_OK || fsync(fd) != 0)
        status = dm_fail_errno(err, "cannot write %s", path);
    if (close(fd) != 0 && status == DM_OK)
        status = dm_fail_errno(err, "cannot close %s", path);
    return status;
}

enum dm_status dm_file_write(const char *path, const void *bytes, size_t n, struct dm_error *err)
{
    return write_file(path, O_TRUNC, 0644, bytes, n, err);
}

enum dm_status dm_file_sync(const char *path, struct dm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dm_fail_errno(err, "cannot open %s to sync it", path);
    enum dm_status status = DM_OK;
    if (fsync(fd) != 0)
        status = dm_fail_errno(err, "cannot sync %s", path);
    close(fd);
    return status;
}

static enum dm_status sync_parent(const char *path, struct dm_error *err)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash == NULL   ? dm_xstrdup(".")
                   : slash == path ? dm_xstrdup("/")
                                   : dm_xstrndup(path, (size_t)(slash - path));
    enum dm_status status = dm_file_sync(parent, err);
    free(parent);
    return status;
}

static enum dm_status replace(const char *path, bool private, const void *bytes, size_t n,
                              struct dm_error *err)
{
    char *temporary = dm_xasprintf("%s.tmp", path);
    enum dm_status status = DM_OK;
    if (private) {
        (void)unlink(temporary);
        status = write_file(temporary, O_EXCL | O_NOFOLLOW, 0600, bytes, n, err);
    } else {
        status = dm_file_write(temporary, bytes, n, err);
    }
    if (status == DM_OK && rename(temporary, path) != 0)
        status = dm_fail_errno(err, "cannot rename %s to %s", temporary, path);
    if (status == DM_OK)
        status = sync_parent(path, err);
    free(temporary);
    return status;
}

enum dm_status dm_file_replace(const char *path, const void *bytes, size_t n, struct dm_error *err)
{
    return replace(path, false, bytes, n, err);
}

enum dm_status dm_file_replace_private(const char *path, const void *bytes, size_t n, struct dm_error *err)
{
    return replace(path, true, bytes, n, err);
}

void dm_file_set_mode(unsigned mode)
{
    mode_t folders = (mode_t)(mode | (mode & 0444) >> 2);
    (void)umask(~folders & 0777);
}

enum dm_status dm_file_make_folders(const char *path, struct dm_error *err)
{
    char *copy = dm_xstrdup(path[0] != '\0' ? path : ".");
    enum dm_status status = DM_OK;
    for (char *at = copy + 1; status == DM_OK; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char old = *at;
        *at = '\0';
        const char *slash = strrchr(copy, '/');
        bool own = (slash != NULL ? slash[1] : copy[0]) == '.';
        if (mkdir(copy, own ? 0700 : 0755) != 0 && errno != EEXIST)
            status = dm_fail_errno(err, "cannot create the folder %s", copy);
        *at = old;
        if (old == '\0')
            break;
    }
    free(copy);
    return status;
}

enum dm_status dm_file_size(const char *path, uint64_t *bytes, struct dm_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return dm_fail_errno(err, "cannot look at %s", path);
    *bytes = (uint64_t)st.st_size;
    return DM_OK;
}

bool dm_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

enum dm_status dm_file_remove_tree(const char *path, struct dm_error *err)
{
    if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return dm_fail_errno(err, "cannot remove %s", path);
    return DM_OK;
}
