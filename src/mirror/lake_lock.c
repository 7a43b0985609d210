#include "mirror/lake_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

static struct dm_lake_holder read_holder(int fd)
{
    char text[64] = "";
    struct dm_lake_holder holder = {0};
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return holder;
    char *end = text;
    holder.pid = (int)strtol(text, &end, 10);
    holder.mirror = strncmp(end, " run", 4) == 0;
    holder.stays = holder.mirror && strncmp(end, " run and end", 12) != 0;
    return holder;
}

static enum dm_status write_holder(int fd, const char *path, enum dm_lake_use use, struct dm_error *err)
{
    static const char *const words[] = {"command", "run", "run and end"};
    char text[64];
    int n = snprintf(text, sizeof text, "%d %s\n", (int)getpid(), words[use]);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return dm_fail_errno(err, "cannot write %s", path);
    return DM_OK;
}

static enum dm_status lock_file(int fd, const char *path, enum dm_lake_use use, struct dm_lake_holder *holder,
                                struct dm_error *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return write_holder(fd, path, use, err);
    if (errno != EAGAIN && errno != EACCES)
        return dm_fail_errno(err, "cannot lock %s", path);
    if (holder != NULL)
        *holder = read_holder(fd);
    return DM_TIMEOUT;
}

enum dm_status dm_lake_lock_try(const char *lake, enum dm_lake_use use, struct dm_lake_lock *lock,
                                struct dm_lake_holder *holder, struct dm_error *err)
{
    lock->fd = -1;
    if (dm_file_make_folders(lake, err) != DM_OK)
        return DM_FAIL;
    char *path = dm_xasprintf("%s/.lock", lake);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    enum dm_status status =
        fd >= 0 ? lock_file(fd, path, use, holder, err) : dm_fail_errno(err, "cannot open %s", path);
    if (status == DM_OK)
        lock->fd = fd;
    else if (fd >= 0)
        close(fd);
    free(path);
    return status;
}

enum dm_status dm_lake_lock_refuse(const char *lake, const struct dm_lake_holder *holder,
                                   struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_CONFLICT,
                   "stop that process first, or give this mirror another lake: one lake has one writer",
                   "the lake %s is in use by another datamirror (pid %d)", lake, holder->pid);
}

void dm_lake_lock_release(struct dm_lake_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}

bool dm_lake_lock_held(const char *lake, struct dm_lake_holder *holder)
{
    *holder = (struct dm_lake_holder){0};
    char *path = dm_xasprintf("%s/.lock", lake);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return false;
    struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    bool held = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    if (held)
        *holder = read_holder(fd);
    close(fd);
    return held;
}
