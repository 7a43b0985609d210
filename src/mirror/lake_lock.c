#include "mirror/lake_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

static int read_pid(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? (int)strtol(text, NULL, 10) : 0;
}

enum dm_status dm_lake_lock_take(const char *lake, struct dm_lake_lock *lock, struct dm_error *err)
{
    lock->fd = -1;
    if (dm_file_make_folders(lake, err) != DM_OK)
        return DM_FAIL;
    char *path = dm_xasprintf("%s/.lock", lake);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    enum dm_status status = DM_OK;
    if (fd < 0) {
        status = dm_fail_errno(err, "cannot open %s", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            status =
                dm_fail(err, DM_ERROR_CONFLICT,
                        "stop that process first, or give this mirror another lake: one lake has one writer",
                        "the lake %s is in use by another datamirror (pid %d)", lake, read_pid(fd));
        else
            status = dm_fail_errno(err, "cannot lock %s", path);
        close(fd);
    } else {
        char text[32];
        int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
            status = dm_fail_errno(err, "cannot write %s", path);
        if (status == DM_OK)
            lock->fd = fd;
        else
            close(fd);
    }
    free(path);
    return status;
}

void dm_lake_lock_release(struct dm_lake_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}

bool dm_lake_lock_held(const char *lake, int *pid)
{
    *pid = 0;
    char *path = dm_xasprintf("%s/.lock", lake);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (held)
        *pid = read_pid(fd);
    close(fd);
    return held;
}
