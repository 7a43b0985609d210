/* Files for readers that open a table by its folder, without the catalog: metadata/version-hint.text names N, vN.metadata.json is
 * a hard link of the current metadata file.
 *
 * They are written after the commit, one after the other and without waiting for the disk: what a crash leaves in between is an older hint, whose
 * complete state readers see, until the next commit of the table, or until a mirror or doctor looks (dm_lake_mend_hints). The number is written in
 * place, without truncation: it never gets shorter, so one small write replaces it whole, and ext4 does not wait for the disk as it does for a
 * rename over a file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "lake/lake_internal.h"

/* <folder of the metadata file>/name; NULL when the location is not a path. */
static char *beside(const char *metadata_location, const char *name)
{
    char *path = dm_store_path(metadata_location);
    if (path == NULL)
        return NULL;
    char *out = dm_xasprintf("%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
    free(path);
    return out;
}

char *lake_hint_link_path(const char *metadata_location)
{
    char name[40];
    (void)snprintf(name, sizeof name, "v%u.metadata.json", lake_metadata_version(metadata_location));
    return beside(metadata_location, name);
}

static bool write_number(const char *path, uint32_t version)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%u", version);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    bool done = fd >= 0 && pwrite(fd, text, (size_t)n, 0) == n;
    if (fd >= 0)
        done = close(fd) == 0 && done;
    return done;
}

enum dm_status lake_hint_write(const char *metadata_location, struct dm_error *err)
{
    char *target = dm_store_path(metadata_location);
    char *link_path = lake_hint_link_path(metadata_location);
    char *hint = beside(metadata_location, "version-hint.text");
    enum dm_status status = DM_OK;
    if (link_path != NULL)
        (void)unlink(link_path);
    if (target == NULL || link(target, link_path) != 0 ||
        !write_number(hint, lake_metadata_version(metadata_location)))
        status = dm_fail_errno(err, "cannot update %s", hint != NULL ? hint : metadata_location);
    free(target);
    free(link_path);
    free(hint);
    return status;
}

static bool names_version(const char *hint, uint32_t version)
{
    char text[16], wanted[16];
    (void)snprintf(wanted, sizeof wanted, "%u", version);
    int fd = open(hint, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(wanted) && memcmp(text, wanted, (size_t)n) == 0;
}

static bool is_current(const char *metadata_location)
{
    char *target = dm_store_path(metadata_location);
    char *link_path = lake_hint_link_path(metadata_location);
    char *hint = beside(metadata_location, "version-hint.text");
    struct stat a, b;
    bool same = target != NULL && stat(target, &a) == 0 && stat(link_path, &b) == 0 && a.st_ino == b.st_ino &&
                a.st_dev == b.st_dev && names_version(hint, lake_metadata_version(metadata_location));
    free(target);
    free(link_path);
    free(hint);
    return same;
}

static enum dm_status mend(const char *metadata_location, struct dm_error *err)
{
    char *hint = beside(metadata_location, "version-hint.text");
    if (hint != NULL)
        (void)unlink(hint); /* whatever a power cut left in it */
    free(hint);
    return lake_hint_write(metadata_location, err);
}

enum dm_status dm_lake_mend_hints(struct dm_lake *lake, size_t *mended, struct dm_error *err)
{
    struct dm_catalog_table *rows = NULL;
    size_t n = 0;
    *mended = 0;
    if (dm_catalog_tables(&lake->catalog, NULL, NULL, &rows, &n, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        char *target = dm_store_path(rows[i].metadata_location);
        bool there = target != NULL && dm_file_exists(target); /* else there is more to mend than a hint */
        free(target);
        if (!there || is_current(rows[i].metadata_location))
            continue;
        status = mend(rows[i].metadata_location, err);
        *mended += status == DM_OK;
    }
    dm_catalog_tables_free(rows, n);
    return status;
}
