/* dm_lake_check: is everything there that the current snapshots refer to, whole and readable? */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/puffin.h"
#include "lake/lake_internal.h"
#include "lake/path_set.h"

struct check {
    struct dm_lake *lake;
    const struct dm_catalog_table *table; /* at hand */
    dm_lake_finding fn;
    void *ctx;
    struct dm_path_set seen; /* puffin files hold the vectors of many data files */
};

static void found(struct check *k, const char *path, const char *what)
{
    k->fn(k->ctx, k->table->namespace, k->table->name, path, what);
}

/* Begins and ends with PAR1: a cheap test for a file that was cut or overwritten. */
static bool has_parquet_ends(const char *path, uint64_t size)
{
    char first[4] = "", last[4] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && size >= 12 && pread(fd, first, 4, 0) == 4 &&
              pread(fd, last, 4, (off_t)size - 4) == 4 && memcmp(first, "PAR1", 4) == 0 &&
              memcmp(last, "PAR1", 4) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void check_puffin(struct check *k, const char *path, const struct dm_manifest_entry *e,
                         struct dm_error *err)
{
    struct dm_buffer bytes;
    size_t blobs = 0;
    if (lake_read_file(path, 1 << 30, &bytes, err) != DM_OK) {
        found(k, path, err->message);
        return;
    }
    if (dm_path_set_add(&k->seen, path) && dm_puffin_check(bytes.data, bytes.len, &blobs, err) != DM_OK)
        found(k, path, err->message);
    roaring_bitmap_t *rows = NULL;
    if (e->content_offset < 0 || e->content_size < 0 || (uint64_t)e->content_offset > bytes.len ||
        (uint64_t)e->content_size > bytes.len - (uint64_t)e->content_offset)
        found(k, path, "a deletion vector is outside the file");
    else if (dm_puffin_vector_decode(bytes.data + e->content_offset, (size_t)e->content_size, &rows, err) !=
             DM_OK)
        found(k, path, err->message);
    else if (roaring_bitmap_get_cardinality(rows) != (uint64_t)e->record_count)
        found(k, path, "a deletion vector has another number of rows than its manifest says");
    if (rows != NULL)
        roaring_bitmap_free(rows);
    dm_buffer_release(&bytes);
}

static void check_entry(struct check *k, const struct dm_manifest_entry *e, struct dm_error *err)
{
    char *path = dm_store_path(e->file_path);
    uint64_t size = 0;
    if (path == NULL)
        found(k, e->file_path, "not a file:// path");
    else if (dm_file_size(path, &size, err) != DM_OK)
        found(k, path, err->message);
    else if (size != (uint64_t)e->file_bytes)
        found(k, path, "the file has another size than its manifest says");
    else if (e->content != DM_CONTENT_DATA && e->content_offset >= 0)
        check_puffin(k, path, e, err);
    else if (!has_parquet_ends(path, size))
        found(k, path, "not a whole Parquet file");
    free(path);
}

static void check_snapshot(struct check *k, const struct dm_snapshot *s, struct dm_error *err)
{
    struct dm_manifest_list list = {0};
    if (lake_manifest_list_read(s->manifest_list, &list, err) != DM_OK) {
        found(k, s->manifest_list, err->message);
        return;
    }
    for (size_t i = 0; i < list.n; i++) {
        struct dm_manifest m = {0};
        if (lake_manifest_read(&list.files[i], &m, err) != DM_OK) {
            found(k, list.files[i].path, err->message);
            continue;
        }
        for (size_t j = 0; j < m.n_entries; j++)
            if (m.entries[j].status != DM_ENTRY_DELETED)
                check_entry(k, &m.entries[j], err);
        dm_manifest_release(&m);
    }
    dm_manifest_list_release(&list);
}

static void check_table(struct check *k, const struct dm_catalog_table *row)
{
    struct dm_metadata *m = NULL;
    struct dm_error err = {0}; /* every finding overwrites it */
    if (lake_metadata_read(row->metadata_location, &m, &err) != DM_OK) {
        found(k, row->metadata_location, err.message);
        return;
    }
    const struct dm_snapshot *s = dm_metadata_snapshot(m, m->current_snapshot_id);
    if (s != NULL)
        check_snapshot(k, s, &err);
    struct lake_dataset *ds = NULL;
    err.message[0] = '\0';
    if (lake_dataset_load(row->namespace, row->name, m, &ds, &err) != DM_OK)
        found(k, row->metadata_location, err.message);
    lake_dataset_free(ds);
    dm_metadata_free(m);
    dm_path_set_release(&k->seen);
}

enum dm_status dm_lake_check(struct dm_lake *lake, dm_lake_finding fn, void *ctx, struct dm_error *err)
{
    struct check k = {.lake = lake, .fn = fn, .ctx = ctx};
    struct dm_catalog_table *rows = NULL;
    size_t n = 0;
    if (dm_catalog_tables(&lake->catalog, NULL, NULL, &rows, &n, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        k.table = &rows[i];
        check_table(&k, &rows[i]);
    }
    dm_catalog_tables_free(rows, n);
    return DM_OK;
}

/* ---- a quick look ---- */

static char *look_at_file(const struct dm_data_file *f)
{
    uint64_t bytes = 0;
    struct dm_error err;
    if (dm_file_size(f->path, &bytes, &err) != DM_OK)
        return dm_xstrdup(err.message);
    return bytes == f->bytes ? NULL
                             : dm_xasprintf("%s has %llu bytes, not %llu", f->path, (unsigned long long)bytes,
                                            (unsigned long long)f->bytes);
}

enum dm_status dm_lake_look(struct dm_lake *lake, const char *namespace, const char *name, size_t *looks,
                            char **what, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    *what = NULL;
    if (dm_lake_dataset(lake, namespace, name, &d, err) != DM_OK) {
        if (err->class == DM_ERROR_TRANSIENT)
            return DM_FAIL;
        *what = dm_xstrdup(err->message); /* metadata, manifests, vectors */
        return DM_OK;
    }
    for (size_t i = 0; d != NULL && i<d->n_files && * looks> 0 && *what == NULL; i++, --*looks)
        *what = look_at_file(&d->files[i]);
    return DM_OK;
}

enum dm_status dm_lake_check_catalog(struct dm_lake *lake, char **problem, struct dm_error *err)
{
    sqlite3_stmt *s = NULL;
    *problem = NULL;
    if (dm_catalog_prepare(&lake->catalog, &s, "PRAGMA integrity_check(1)", NULL, 0, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    if (sqlite3_step(s) != SQLITE_ROW)
        status = dm_catalog_fail(&lake->catalog, "checking it", err);
    else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0)
        *problem = dm_xstrdup((const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    return status;
}
