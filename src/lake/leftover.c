/* Data files that lie in a dataset's folder and that its current snapshot does not refer to: of older snapshots, merged away, or left by a crash. They are there until
 * a sweep takes them. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lake/lake_internal.h"
#include "lake/path_set.h"

/* A whole Parquet file begins and ends with its mark; what a crash left of one does not. */
static bool is_whole(const char *path)
{
    static const char mark[] = "PAR1";
    char first[4], last[4];
    FILE *f = fopen(path, "rb");
    bool whole = f != NULL && fread(first, 1, 4, f) == 4 && fseek(f, -4, SEEK_END) == 0 &&
                 fread(last, 1, 4, f) == 4 && ftell(f) >= 12 && memcmp(first, mark, 4) == 0 &&
                 memcmp(last, mark, 4) == 0;
    if (f != NULL)
        (void)fclose(f);
    return whole;
}

static bool is_data_file(const char *name)
{
    static const char tail[] = ".parquet";
    size_t n = strlen(name);
    return n > strlen(tail) && strcmp(name + n - strlen(tail), tail) == 0;
}

enum dm_status dm_lake_leftovers(const struct dm_dataset *d, struct dm_leftovers *out, struct dm_error *err)
{
    *out = (struct dm_leftovers){0};
    struct dm_path_set used = {0};
    for (size_t i = 0; i < d->n_files; i++)
        (void)dm_path_set_add(&used, d->files[i].path);
    char *folder = dm_xasprintf("%s/data", d->location);
    DIR *dir = opendir(folder);
    enum dm_status status =
        dir != NULL || errno == ENOENT ? DM_OK : dm_fail_errno(err, "cannot list %s", folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char *path = dm_xasprintf("%s/%s", folder, e->d_name);
        if (!is_data_file(e->d_name) || dm_path_set_has(&used, path)) {
            free(path);
        } else if (is_whole(path)) {
            out->paths = dm_xrealloc(out->paths, out->n + 1, sizeof *out->paths);
            out->paths[out->n++] = path;
        } else {
            out->torn++;
            free(path);
        }
    }
    if (dir != NULL)
        closedir(dir);
    free(folder);
    dm_path_set_release(&used);
    return status;
}

void dm_leftovers_release(struct dm_leftovers *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->paths[i]);
    free(l->paths);
    *l = (struct dm_leftovers){0};
}
