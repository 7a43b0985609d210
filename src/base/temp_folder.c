#include "base/temp_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

static const char prefix[] = "datamirror-";
enum { grace_seconds = 60 }; /* between a folder and its lock */

static const char *place(void)
{
    const char *temp = getenv("TMPDIR");
    return temp != NULL && temp[0] != '\0' ? temp : "/tmp";
}

/* Ours, a folder, and its owner is gone. */
static bool is_left_behind(int parent, const char *name)
{
    struct stat st;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0 ||
        fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode) ||
        st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return false;
    char *lock = dm_xasprintf("%s/.lock", name);
    int fd = openat(parent, lock, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    free(lock);
    if (fd < 0)
        return time(NULL) - st.st_mtime > grace_seconds;
    bool gone = flock(fd, LOCK_EX | LOCK_NB) == 0;
    (void)close(fd);
    return gone;
}

static void sweep(const char *parent)
{
    DIR *dir = opendir(parent);
    if (dir == NULL)
        return;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (!is_left_behind(dirfd(dir), e->d_name))
            continue;
        char *path = dm_xasprintf("%s/%s", parent, e->d_name);
        struct dm_error ignored;
        (void)!dm_file_remove_tree(path, &ignored); /* the next one tries again */
        free(path);
    }
    (void)closedir(dir);
}

/* The file gets its name when the lock is held: under that name it is never free while its owner lives. */
static int lock_in(const char *folder)
{
    char *path = dm_xasprintf("%s/.lock", folder), *made = dm_xasprintf("%s.new", path);
    int fd = open(made, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)flock(fd, LOCK_EX | LOCK_NB); /* it is new */
        (void)rename(made, path);
    }
    free(made);
    free(path);
    return fd;
}

void dm_temp_folder_make(struct dm_temp_folder *out)
{
    sweep(place());
    *out = (struct dm_temp_folder){.path = dm_xasprintf("%s/%sXXXXXX", place(), prefix), .lock = -1};
    if (mkdtemp(out->path) != NULL) {
        out->lock = lock_in(out->path);
    } else {
        free(out->path);
        out->path = dm_xstrdup("/dev/null/none");
    }
}

void dm_temp_folder_remove(struct dm_temp_folder *t)
{
    struct dm_error ignored;
    if (t->path == NULL)
        return;
    (void)!dm_file_remove_tree(t->path, &ignored); /* the next one made tries again */
    if (t->lock >= 0)
        (void)close(t->lock);
    free(t->path);
    *t = (struct dm_temp_folder){.lock = -1};
}
