#include "mirror/intake/folder_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/memory.h"
#include "config/config.h"

static bool wanted_name(const char *name, const char *pattern)
{
    size_t n = strlen(name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (n >= 4 && strcmp(name + n - 4, ".tmp") == 0))
        return false;
    return dm_glob_match(pattern, name);
}

/* Unless the pattern asks for such names. */
static bool is_marker(const char *name, const char *pattern)
{
    return (name[0] == '_' || name[0] == '.') && pattern[0] != name[0];
}

static int by_name(const void *a, const void *b)
{
    const struct dm_watched_file *x = a;
    const struct dm_watched_file *y = b;
    return strcmp(x->name, y->name);
}

static void add(struct dm_folder_scan *scan, size_t *room, const char *name, const struct stat *st)
{
    if (scan->n == *room) {
        *room = *room * 2 + 16;
        scan->files = dm_xrealloc(scan->files, *room, sizeof *scan->files);
    }
    scan->files[scan->n++] = (struct dm_watched_file){.name = dm_xstrdup(name),
                                                      .bytes = (uint64_t)st->st_size,
                                                      .changed_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
                                                                    st->st_mtim.tv_nsec};
}

/* Does the link lead to a file below the folder? */
static bool leads_inside(const char *folder, const char *name)
{
    char *link = dm_xasprintf("%s/%s", folder, name), *to = realpath(link, NULL),
         *in = realpath(folder, NULL);
    size_t n = in != NULL ? strlen(in) : 0;
    bool inside = to != NULL && n > 0 && strncmp(to, in, n) == 0 && (to[n] == '/' || in[n - 1] == '/');
    free(link);
    free(to);
    free(in);
    return inside;
}

/* false: it is no file. */
static bool look(int dir, const char *folder, const char *name, bool links, struct stat *st, bool *refused)
{
    *refused = false;
    if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) != 0)
        return false; /* just gone */
    if (S_ISLNK(st->st_mode)) {
        *refused = !links || !leads_inside(folder, name);
        return *refused || (fstatat(dir, name, st, 0) == 0 && S_ISREG(st->st_mode));
    }
    return S_ISREG(st->st_mode);
}

static enum dm_status list(struct dm_folder_scan *out, const char *folder, const char *pattern, bool links,
                           struct dm_error *err)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        (void)dm_fail_errno(err, "cannot read the folder %s", folder);
        err->class = DM_ERROR_TRANSIENT; /* it may be made, or mounted, at any time */
        return DM_FAIL;
    }
    size_t room = 0;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        struct stat st;
        bool refused;
        if (wanted_name(e->d_name, pattern) && look(dirfd(dir), folder, e->d_name, links, &st, &refused)) {
            add(out, &room, e->d_name, &st);
            if (is_marker(e->d_name, pattern))
                out->files[out->n - 1].state = DM_WATCHED_MARKER;
            else if (refused)
                out->files[out->n - 1].state = DM_WATCHED_LINK;
        }
    }
    (void)closedir(dir);
    if (out->n > 0)
        qsort(out->files, out->n, sizeof *out->files, by_name);
    return DM_OK;
}

/* Takes over what is known of the file. */
static void carry_over(struct dm_watched_file *now, struct dm_watched_file *before)
{
    if (now->bytes != before->bytes || now->changed_ns != before->changed_ns)
        return;
    now->settled = true;
    now->state = before->state;
    now->problem = before->problem;
    now->tried_us = before->tried_us;
    now->told = before->told;
    before->problem = NULL;
}

enum dm_status dm_folder_scan(struct dm_folder_scan *scan, const char *folder, const char *pattern,
                              bool links, int64_t settled_after_ms, struct dm_error *err)
{
    struct dm_folder_scan now = {0};
    if (list(&now, folder, pattern, links, err) != DM_OK)
        return DM_FAIL;
    int64_t settled_ns = (dm_clock_wall_us() - settled_after_ms * 1000) * 1000;
    for (size_t i = 0, k = 0; i < now.n; i++) {
        struct dm_watched_file *f = &now.files[i];
        f->settled = f->changed_ns <= settled_ns;
        while (k < scan->n && strcmp(scan->files[k].name, f->name) < 0)
            k++;
        if (k < scan->n && strcmp(scan->files[k].name, f->name) == 0)
            carry_over(f, &scan->files[k]);
    }
    dm_folder_scan_release(scan);
    *scan = now;
    return DM_OK;
}

void dm_folder_scan_release(struct dm_folder_scan *scan)
{
    for (size_t i = 0; i < scan->n; i++) {
        free(scan->files[i].name);
        free(scan->files[i].problem);
    }
    free(scan->files);
    *scan = (struct dm_folder_scan){0};
}
