/* Removes files that nothing refers to any more.
 *
 * For each dataset: everything that the current metadata, its log and its snapshots refer to is marked; what else lies in the data and metadata
 * folders is garbage. A file is removed min_age_ms after a sweep first found it so (the table datamirror_garbage remembers): it may have been
 * referred to until a moment ago, and a reader may be at it. Folders of dropped datasets go as a whole after the retention.
 * Nothing outside the data and metadata folders of datasets that the catalog knows, or knew, is ever looked at.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "lake/lake_internal.h"
#include "lake/path_set.h"

struct sweep {
    struct dm_lake *lake;
    int64_t now_ms;
    int64_t min_age_ms;
    bool durable; /* what is removed must not be back after a power cut */
    uint64_t removed;
    uint64_t removed_bytes;
    struct dm_path_set used;    /* of the dataset at hand */
    struct dm_path_set garbage; /* all garbage seen and left, to clean up the table */
};

static void mark(struct sweep *w, const char *uri)
{
    char *path = dm_store_path(uri);
    if (path != NULL)
        (void)dm_path_set_add(&w->used, path);
    free(path);
}

static enum dm_status mark_manifest(struct sweep *w, const struct dm_manifest_file *file,
                                    struct dm_error *err)
{
    struct dm_manifest m = {0};
    if (dm_path_set_has(&w->used, file->path)) /* the URI stands for "read already" */
        return DM_OK;
    if (lake_manifest_read(file, &m, err) != DM_OK)
        return DM_FAIL;
    mark(w, file->path);
    (void)dm_path_set_add(&w->used, file->path);
    for (size_t i = 0; i < m.n_entries; i++)
        if (m.entries[i].status != DM_ENTRY_DELETED)
            mark(w, m.entries[i].file_path);
    dm_manifest_release(&m);
    return DM_OK;
}

static enum dm_status mark_snapshot(struct sweep *w, const struct dm_snapshot *s, struct dm_error *err)
{
    struct dm_manifest_list list = {0};
    mark(w, s->manifest_list);
    if (lake_manifest_list_read(s->manifest_list, &list, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < list.n && status == DM_OK; i++)
        status = mark_manifest(w, &list.files[i], err);
    dm_manifest_list_release(&list);
    return status;
}

static void mark_hint(struct sweep *w, const char *folder, const char *metadata_uri)
{
    char *path = dm_xasprintf("%s/metadata/v%u.metadata.json", folder, lake_metadata_version(metadata_uri));
    (void)dm_path_set_add(&w->used, path);
    free(path);
}

static enum dm_status mark_table(struct sweep *w, const struct lake_table *t, const struct dm_metadata *m,
                                 struct dm_error *err)
{
    const char *folder = t->ds->pub.location;
    mark(w, t->metadata_location);
    mark_hint(w, folder, t->metadata_location);
    for (size_t i = 0; i < m->n_metadata_log; i++) {
        mark(w, m->metadata_log[i].file);
        mark_hint(w, folder, m->metadata_log[i].file);
    }
    char *hint = dm_xasprintf("%s/metadata/version-hint.text", folder);
    (void)dm_path_set_add(&w->used, hint);
    free(hint);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < m->n_snapshots && status == DM_OK; i++)
        status = mark_snapshot(w, &m->snapshots[i], err);
    return status;
}

/* Since when the file is known as garbage; notes it when it is not. */
static enum dm_status garbage_since(struct sweep *w, const char *path, int64_t *since, struct dm_error *err)
{
    struct dm_catalog *catalog = &w->lake->catalog;
    sqlite3_stmt *s = NULL;
    const char *texts[] = {path};
    *since = w->now_ms;
    if (dm_catalog_prepare(catalog, &s, "SELECT since_ms FROM datamirror_garbage WHERE path = ?1", texts, 1,
                           err) != DM_OK)
        return DM_FAIL;
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *since = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    if (rc == SQLITE_ROW)
        return DM_OK;
    if (rc != SQLITE_DONE)
        return dm_catalog_fail(catalog, "cannot read datamirror_garbage", err);
    char *now = dm_xasprintf("%lld", (long long)w->now_ms);
    const char *row[] = {path, now};
    enum dm_status status = dm_catalog_run(
        catalog, "INSERT INTO datamirror_garbage VALUES (?1, CAST(?2 AS INTEGER))", row, 2, NULL, err);
    free(now);
    return status;
}

static enum dm_status sweep_file(struct sweep *w, const char *path, struct dm_error *err)
{
    struct stat st;
    if (dm_path_set_has(&w->used, path) || lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return DM_OK;
    int64_t since = w->now_ms;
    if (w->min_age_ms > 0 && garbage_since(w, path, &since, err) != DM_OK)
        return DM_FAIL;
    if (w->now_ms - since < w->min_age_ms) {
        (void)dm_path_set_add(&w->garbage, path);
        return DM_OK;
    }
    if (unlink(path) == 0) {
        w->removed++;
        w->removed_bytes += (uint64_t)st.st_size;
    } else if (errno != ENOENT)
        return dm_fail_errno(err, "cannot remove %s", path);
    return DM_OK;
}

static enum dm_status sweep_folder(struct sweep *w, const char *location, const char *part,
                                   struct dm_error *err)
{
    char *folder = dm_xasprintf("%s/%s", location, part);
    DIR *d = opendir(folder);
    enum dm_status status = DM_OK;
    if (d == NULL && errno != ENOENT)
        status = dm_fail_errno(err, "cannot list %s", folder);
    for (struct dirent *e; d != NULL && status == DM_OK && (e = readdir(d)) != NULL;) {
        char *path = dm_xasprintf("%s/%s", folder, e->d_name);
        status = sweep_file(w, path, err);
        free(path);
    }
    if (d != NULL && status == DM_OK && w->durable &&
        fsync(dirfd(d)) != 0) /* also for what was removed before */
        status = dm_fail_errno(err, "cannot sync %s", folder);
    if (d != NULL)
        closedir(d);
    free(folder);
    return status;
}

/* One catalog transaction a dataset: many small ones would wait for the disk each, a single one would hold others up for long. */
static enum dm_status sweep_folders(struct sweep *w, const char *location, struct dm_error *err)
{
    struct dm_catalog *catalog = &w->lake->catalog;
    if (dm_catalog_exec(catalog, "BEGIN IMMEDIATE", err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = sweep_folder(w, location, "data", err);
    if (status == DM_OK)
        status = sweep_folder(w, location, "metadata", err);
    if (sqlite3_exec(catalog->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return status; /* what was noted is worth keeping also after a failure */
    if (status == DM_OK)
        status = dm_catalog_fail(catalog, "cannot commit", err);
    (void)sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static enum dm_status sweep_table(struct sweep *w, const struct dm_catalog_table *row, struct dm_error *err)
{
    struct lake_table *t = NULL;
    struct dm_metadata *m = NULL;
    enum dm_status status = lake_table_get(w->lake, row->namespace, row->name, &t, err);
    if (status == DM_OK && t != NULL)
        status = lake_table_meta(w->lake, t, &m, err);
    if (status == DM_OK && t != NULL)
        status = mark_table(w, t, m, err);
    if (status == DM_OK && t != NULL)
        status = sweep_folders(w, t->ds->pub.location, err);
    dm_path_set_release(&w->used);
    if (status != DM_OK)
        dm_error_prefix(err, "sweep of %s.%s", row->namespace, row->name);
    return status;
}

/* The folders of datasets that were dropped before `before_ms`; malloc'ed URIs. */
static enum dm_status list_dropped(struct sweep *w, int64_t before_ms, char ***out, size_t *n,
                                   struct dm_error *err)
{
    sqlite3_stmt *s = NULL;
    if (dm_catalog_prepare(&w->lake->catalog, &s,
                           "SELECT location FROM datamirror_dropped WHERE dropped_ms <= ?1", NULL, 0,
                           err) != DM_OK)
        return DM_FAIL;
    sqlite3_bind_int64(s, 1, before_ms);
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        *out = dm_xrealloc(*out, *n + 1, sizeof **out);
        (*out)[(*n)++] = dm_xstrdup((const char *)sqlite3_column_text(s, 0));
    }
    sqlite3_finalize(s);
    return rc == SQLITE_DONE ? DM_OK
                             : dm_catalog_fail(&w->lake->catalog, "cannot read datamirror_dropped", err);
}

static uint64_t count_files(const char *location, const char *part)
{
    char *folder = dm_xasprintf("%s/%s", location, part);
    DIR *d = opendir(folder);
    uint64_t n = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d != NULL)
        closedir(d);
    free(folder);
    return n;
}

/* The folder is empty or gone. */
static enum dm_status sync_removal(const char *path, struct dm_error *err)
{
    if (dm_file_exists(path))
        return dm_file_sync(path, err);
    char *parent = dm_xstrndup(path, (size_t)(strrchr(path, '/') - path));
    enum dm_status status = dm_file_sync(parent, err);
    free(parent);
    return status;
}

static enum dm_status remove_dropped(struct sweep *w, const char *uri, struct dm_error *err)
{
    char *path = dm_store_path(uri);
    const char *folder = w->lake->folder;
    size_t n = strlen(folder);
    enum dm_status status = DM_OK;
    if (path != NULL && strncmp(path, folder, n) == 0 && path[n] == '/') {
        w->removed += count_files(path, "data") + count_files(path, "metadata");
        static const char *const parts[] = {"data", "metadata"};
        for (size_t i = 0; i < 2 && status == DM_OK; i++) {
            char *part = dm_xasprintf("%s/%s", path, parts[i]);
            status = dm_file_remove_tree(part, err);
            free(part);
        }
        (void)rmdir(path);   /* not when somebody put files of their own there */
        if (status == DM_OK) /* before the catalog forgets it: a folder that came back would stay for ever */
            status = sync_removal(path, err);
    }
    const char *texts[] = {uri};
    if (status == DM_OK)
        status = dm_catalog_run(&w->lake->catalog, "DELETE FROM datamirror_dropped WHERE location = ?1",
                                texts, 1, NULL, err);
    free(path);
    return status;
}

static enum dm_status sweep_dropped(struct sweep *w, struct dm_error *err)
{
    char **uris = NULL;
    size_t n = 0;
    int64_t age = w->min_age_ms == 0                               ? 0
                  : w->lake->snapshot_retention_ms > w->min_age_ms ? w->lake->snapshot_retention_ms
                                                                   : w->min_age_ms;
    enum dm_status status = list_dropped(w, w->now_ms - age, &uris, &n, err);
    for (size_t i = 0; i < n; i++) {
        if (status == DM_OK)
            status = remove_dropped(w, uris[i], err);
        free(uris[i]);
    }
    free(uris);
    return status;
}

/* Is the folder of this URI one that dm_commit_create gives to datasets of the name? "<base>" or "<base>~2" … */
static bool is_folder_of(const char *uri, const char *base)
{
    char *path = dm_store_path(uri);
    size_t n = strlen(base);
    bool is = path != NULL && strncmp(path, base, n) == 0 && (path[n] == '\0' || path[n] == '~');
    free(path);
    return is;
}

static enum dm_status sweep_dropped_of(struct sweep *w, const char *namespace, const char *name,
                                       struct dm_error *err)
{
    char **uris = NULL;
    size_t n = 0;
    char *namespace_folder = dm_store_folder_name(namespace);
    char *name_folder = dm_store_folder_name(name);
    char *base = dm_xasprintf("%s/%s/%s", w->lake->folder, namespace_folder, name_folder);
    enum dm_status status = list_dropped(w, w->now_ms, &uris, &n, err);
    for (size_t i = 0; i < n; i++) {
        if (status == DM_OK && is_folder_of(uris[i], base))
            status = remove_dropped(w, uris[i], err);
        free(uris[i]);
    }
    free(uris);
    free(base);
    free(name_folder);
    free(namespace_folder);
    return status;
}

/* Forgets lines of datamirror_garbage whose files are gone or in use again. */
static enum dm_status clean_garbage_table(struct sweep *w, struct dm_error *err)
{
    sqlite3_stmt *s = NULL;
    char **paths = NULL;
    size_t n = 0;
    if (dm_catalog_prepare(&w->lake->catalog, &s, "SELECT path FROM datamirror_garbage", NULL, 0, err) !=
        DM_OK)
        return DM_FAIL;
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *path = (const char *)sqlite3_column_text(s, 0);
        if (dm_path_set_has(&w->garbage, path))
            continue;
        paths = dm_xrealloc(paths, n + 1, sizeof *paths);
        paths[n++] = dm_xstrdup(path);
    }
    sqlite3_finalize(s);
    enum dm_status status = n > 0 ? dm_catalog_exec(&w->lake->catalog, "BEGIN IMMEDIATE", err) : DM_OK;
    for (size_t i = 0; i < n; i++) {
        const char *texts[] = {paths[i]};
        if (status == DM_OK)
            status = dm_catalog_run(&w->lake->catalog, "DELETE FROM datamirror_garbage WHERE path = ?1",
                                    texts, 1, NULL, err);
        free(paths[i]);
    }
    free(paths);
    if (n > 0 && !sqlite3_get_autocommit(w->lake->catalog.db))
        (void)sqlite3_exec(w->lake->catalog.db, "COMMIT", NULL, NULL,
                           NULL); /* lines that stay cost nothing */
    return status;
}

static enum dm_status sweep_all(struct sweep *w, struct dm_error *err)
{
    struct dm_catalog_table *rows = NULL;
    size_t n = 0;
    if (dm_catalog_tables(&w->lake->catalog, NULL, NULL, &rows, &n, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    struct dm_error why;
    for (size_t i = 0; i < n; i++) /* a dataset with damage does not hold up the others */
        if (sweep_table(w, &rows[i], status == DM_OK ? err : &why) != DM_OK)
            status = DM_FAIL;
    dm_catalog_tables_free(rows, n);
    if (sweep_dropped(w, status == DM_OK ? err : &why) != DM_OK)
        status = DM_FAIL;
    return status == DM_OK ? clean_garbage_table(w, err) : status;
}

enum dm_status dm_lake_sweep(struct dm_lake *lake, int64_t min_age_ms, uint64_t *removed,
                             struct dm_error *err)
{
    struct sweep w = {.lake = lake, .now_ms = dm_clock_wall_us() / 1000, .min_age_ms = min_age_ms};
    if (lake->read_only || lake->open_commit != NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a sweep of a read-only lake or while a commit is open");
    lake_lock(lake);
    enum dm_status status = sweep_all(&w, err);
    lake_unlock(lake);
    dm_path_set_release(&w.used);
    dm_path_set_release(&w.garbage);
    if (removed != NULL)
        *removed = w.removed;
    return status;
}

enum dm_status dm_lake_sweep_dataset(struct dm_lake *lake, const char *namespace, const char *name,
                                     uint64_t *files, uint64_t *bytes, struct dm_error *err)
{
    struct sweep w = {.lake = lake, .now_ms = dm_clock_wall_us() / 1000, .durable = true};
    if (lake->read_only || lake->open_commit != NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a sweep of a read-only lake or while a commit is open");
    lake_lock(lake);
    struct dm_catalog_table *rows = NULL;
    size_t n = 0;
    enum dm_status status = dm_catalog_tables(&lake->catalog, namespace, name, &rows, &n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = sweep_table(&w, &rows[i], err);
    dm_catalog_tables_free(rows, n);
    if (status == DM_OK)
        status = sweep_dropped_of(&w, namespace, name, err);
    lake_unlock(lake);
    dm_path_set_release(&w.used);
    dm_path_set_release(&w.garbage);
    if (files != NULL)
        *files += w.removed;
    if (bytes != NULL)
        *bytes += w.removed_bytes;
    return status;
}
