/* A dataset from its files: metadata → manifest list → manifests → data files and deletion vectors. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/puffin.h"
#include "lake/lake_internal.h"

enum { MAX_METADATA = 256 << 20, MAX_MANIFEST = 1 << 30 };

enum dm_status lake_read_file(const char *path, size_t max, struct dm_buffer *out, struct dm_error *err)
{
    dm_buffer_init(out, max);
    uint64_t size = 0;
    enum dm_status status = dm_file_size(path, &size, err);
    if (status == DM_OK && size <= max)
        status = dm_buffer_reserve(out, (size_t)size + 1,
                                   err); /* one more byte, so that the end is seen without growing */
    if (status == DM_OK)
        status = dm_file_read(path, out, err);
    if (status != DM_OK)
        dm_buffer_release(out);
    return status;
}

static enum dm_status uri_path(const char *uri, char **out, struct dm_error *err)
{
    *out = dm_store_path(uri);
    if (*out == NULL)
        return dm_fail(err, DM_ERROR_DATA, "Data Mirror reads lakes in local folders only",
                       "'%s' is not a file:// path", uri);
    return DM_OK;
}

enum dm_status lake_metadata_read(const char *uri, struct dm_metadata **out, struct dm_error *err)
{
    char *path = NULL;
    struct dm_buffer text;
    if (uri_path(uri, &path, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = lake_read_file(path, MAX_METADATA, &text, err);
    if (status == DM_OK) {
        status = dm_metadata_parse((const char *)text.data, text.len, path, out, err);
        dm_buffer_release(&text);
    }
    free(path);
    return status;
}

enum dm_status lake_manifest_list_read(const char *uri, struct dm_manifest_list *out, struct dm_error *err)
{
    char *path = NULL;
    struct dm_buffer bytes;
    if (uri_path(uri, &path, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = lake_read_file(path, MAX_MANIFEST, &bytes, err);
    if (status == DM_OK) {
        status = dm_manifest_list_decode(bytes.data, bytes.len, out, err);
        dm_buffer_release(&bytes);
        if (status != DM_OK)
            dm_error_prefix(err, "%s", path);
    }
    free(path);
    return status;
}

/* Iceberg spec, "Sequence Number Inheritance" and "First Row ID Inheritance". */
static void inherit(const struct dm_manifest_file *file, struct dm_manifest *m)
{
    int64_t row_id = file->first_row_id;
    for (size_t i = 0; i < m->n_entries; i++) {
        struct dm_manifest_entry *e = &m->entries[i];
        if (e->snapshot_id <= 0)
            e->snapshot_id = file->added_snapshot_id;
        if (e->status == DM_ENTRY_ADDED && e->sequence_number < 0)
            e->sequence_number = file->sequence_number;
        if (e->status == DM_ENTRY_ADDED && e->file_sequence_number < 0)
            e->file_sequence_number = file->sequence_number;
        if (file->first_row_id >= 0 && e->status != DM_ENTRY_DELETED && e->first_row_id < 0) {
            e->first_row_id = row_id;
            row_id += e->record_count;
        }
    }
}

enum dm_status lake_manifest_read(const struct dm_manifest_file *file, struct dm_manifest *out,
                                  struct dm_error *err)
{
    char *path = NULL;
    struct dm_buffer bytes;
    if (uri_path(file->path, &path, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = lake_read_file(path, MAX_MANIFEST, &bytes, err);
    if (status == DM_OK) {
        status = dm_manifest_decode(bytes.data, bytes.len, out, err);
        dm_buffer_release(&bytes);
        if (status != DM_OK)
            dm_error_prefix(err, "%s", path);
        else if (file->content == DM_CONTENT_DATA)
            inherit(file, out);
        else
            inherit(&(struct dm_manifest_file){.added_snapshot_id = file->added_snapshot_id,
                                               .sequence_number = file->sequence_number,
                                               .first_row_id = -1},
                    out);
    }
    free(path);
    return status;
}

uint32_t lake_file_number(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    char *end = NULL;
    if (*base < '0' || *base > '9')
        return 0;
    unsigned long number = strtoul(base, &end, 10);
    return *end == '-' && number <= UINT32_MAX ? (uint32_t)number : 0;
}

uint32_t lake_metadata_version(const char *uri)
{
    return lake_file_number(uri);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct dm_data_file *)a)->number;
    uint32_t y = ((const struct dm_data_file *)b)->number;
    return (x > y) - (x < y);
}

struct dm_data_file *lake_dataset_find(struct lake_dataset *ds, uint32_t number)
{
    struct dm_data_file key = {.number = number};
    if (ds->pub.n_files == 0)
        return NULL;
    return bsearch(&key, ds->pub.files, ds->pub.n_files, sizeof key, by_number);
}

const struct dm_data_file *dm_dataset_file(const struct dm_dataset *d, uint32_t number)
{
    struct dm_data_file key = {.number = number};
    return d->n_files == 0 ? NULL : bsearch(&key, d->files, d->n_files, sizeof key, by_number);
}

static enum dm_status add_data_files(struct lake_dataset *ds, size_t *room, const struct dm_manifest *m,
                                     uint32_t key, struct dm_error *err)
{
    struct dm_dataset *d = &ds->pub;
    for (size_t i = 0; i < m->n_entries; i++) {
        const struct dm_manifest_entry *e = &m->entries[i];
        if (e->status == DM_ENTRY_DELETED)
            continue;
        uint32_t number = lake_file_number(e->file_path);
        if (number == 0 || e->record_count < 0 || e->record_count > UINT32_MAX)
            return dm_fail(err, DM_ERROR_DATA,
                           "only the mirror may write the tables of its lake; resync the dataset",
                           "%s was not written by Data Mirror", e->file_path);
        char *path = NULL;
        if (uri_path(e->file_path, &path, err) != DM_OK)
            return DM_FAIL;
        if (d->n_files == *room) {
            *room = *room == 0 ? 16 : *room * 2;
            d->files = dm_xrealloc(d->files, *room, sizeof *d->files);
        }
        d->files[d->n_files++] = (struct dm_data_file){.number = number,
                                                       .path = path,
                                                       .rows = (uint64_t)e->record_count,
                                                       .bytes = (uint64_t)e->file_bytes,
                                                       .day = e->day,
                                                       .sequence_number = e->sequence_number,
                                                       .added_snapshot = e->snapshot_id,
                                                       .first_row_id = e->first_row_id,
                                                       .manifest = key};
    }
    return DM_OK;
}

static enum dm_status read_range(const char *path, int64_t offset, int64_t size, uint8_t *out,
                                 struct dm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dm_fail_errno(err, "cannot open %s", path);
    int64_t at = 0;
    enum dm_status status = DM_OK;
    while (at < size && status == DM_OK) {
        ssize_t n = pread(fd, out + at, (size_t)(size - at), offset + at);
        if (n > 0)
            at += n;
        else if (n == 0)
            status = dm_fail(err, DM_ERROR_DATA, NULL, "%s ends before the deletion vector at byte %lld",
                             path, (long long)offset);
        else if (errno != EINTR)
            status = dm_fail_errno(err, "cannot read %s", path);
    }
    close(fd);
    return status;
}

static enum dm_status load_vector(struct dm_data_file *f, const struct dm_manifest_entry *e,
                                  struct dm_error *err)
{
    char *path = NULL;
    if (e->content_offset < 0 || e->content_size <= 0 || e->content_size > MAX_MANIFEST)
        return dm_fail(err, DM_ERROR_DATA,
                       "only the mirror may write the tables of its lake; resync the dataset",
                       "%s: a delete file that is not a deletion vector", e->file_path);
    if (uri_path(e->file_path, &path, err) != DM_OK)
        return DM_FAIL;
    uint8_t *blob = dm_xalloc((size_t)e->content_size);
    enum dm_status status = read_range(path, e->content_offset, e->content_size, blob, err);
    if (status == DM_OK &&
        dm_puffin_vector_decode(blob, (size_t)e->content_size, &f->deleted, err) != DM_OK) {
        dm_error_prefix(err, "%s, byte %lld", path, (long long)e->content_offset);
        status = DM_FAIL;
    }
    if (status == DM_OK) {
        f->deleted_rows = roaring_bitmap_get_cardinality(f->deleted);
        if (f->deleted_rows > 0 && roaring_bitmap_maximum(f->deleted) >= f->rows)
            status =
                dm_fail(err, DM_ERROR_DATA, NULL, "%s: the deletion vector of %s reaches past its %llu rows",
                        path, f->path, (unsigned long long)f->rows);
    }
    free(blob);
    free(path);
    return status;
}

static enum dm_status add_vectors(struct lake_dataset *ds, const struct dm_manifest *m, uint32_t key,
                                  struct dm_error *err)
{
    for (size_t i = 0; i < m->n_entries; i++) {
        const struct dm_manifest_entry *e = &m->entries[i];
        if (e->status == DM_ENTRY_DELETED)
            continue;
        struct dm_data_file *f = e->referenced_data_file == NULL
                                     ? NULL
                                     : lake_dataset_find(ds, lake_file_number(e->referenced_data_file));
        if (f == NULL)
            return dm_fail(err, DM_ERROR_DATA,
                           "only the mirror may write the tables of its lake; resync the dataset",
                           "%s: a delete file for no live data file", e->file_path);
        if (f->deleted != NULL)
            return dm_fail(err, DM_ERROR_DATA, NULL, "%s has two deletion vectors", f->path);
        f->vector_manifest = key;
        if (load_vector(f, e, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* Takes the list's manifests over, data manifests first. */
static void take_manifests(struct lake_dataset *ds, struct dm_manifest_list *list)
{
    ds->manifests = dm_xzalloc(list->n + 1, sizeof *ds->manifests);
    for (int content = DM_CONTENT_DATA; content <= DM_CONTENT_POSITION_DELETES; content++)
        for (size_t i = 0; i < list->n; i++)
            if ((int)list->files[i].content == content) {
                struct lake_manifest *m = &ds->manifests[ds->n_manifests++];
                *m = (struct lake_manifest){.key = ds->next_key++, .file = list->files[i]};
                m->file.path = dm_xstrdup(list->files[i].path);
            }
}

static enum dm_status load_files(struct lake_dataset *ds, struct dm_error *err)
{
    size_t room = 0;
    bool sorted = false;
    for (size_t i = 0; i < ds->n_manifests; i++) {
        const struct lake_manifest *lm = &ds->manifests[i];
        bool data = lm->file.content == DM_CONTENT_DATA;
        if (!data && !sorted) {
            if (ds->pub.n_files > 1)
                qsort(ds->pub.files, ds->pub.n_files, sizeof *ds->pub.files, by_number);
            sorted = true;
        }
        struct dm_manifest m = {0};
        if (lake_manifest_read(&lm->file, &m, err) != DM_OK)
            return DM_FAIL;
        enum dm_status status =
            data ? add_data_files(ds, &room, &m, lm->key, err) : add_vectors(ds, &m, lm->key, err);
        dm_manifest_release(&m);
        if (status != DM_OK)
            return status;
    }
    if (!sorted && ds->pub.n_files > 1)
        qsort(ds->pub.files, ds->pub.n_files, sizeof *ds->pub.files, by_number);
    for (size_t i = 0; i < ds->pub.n_files; i++) {
        if (i > 0 && ds->pub.files[i].number == ds->pub.files[i - 1].number)
            return dm_fail(err, DM_ERROR_DATA, NULL, "%s and %s have the same number",
                           ds->pub.files[i - 1].path, ds->pub.files[i].path);
        ds->pub.live_rows += ds->pub.files[i].rows - ds->pub.files[i].deleted_rows;
    }
    return DM_OK;
}

enum dm_status lake_dataset_load_snapshot(const char *namespace, const char *name,
                                          const struct dm_metadata *m, const struct dm_snapshot *s,
                                          const struct dm_schema *schema, struct lake_dataset **out,
                                          struct dm_error *err)
{
    struct lake_dataset *ds = dm_xzalloc(1, sizeof *ds);
    struct dm_dataset *d = &ds->pub;
    ds->next_key = 1;
    d->namespace = dm_xstrdup(namespace);
    d->name = dm_xstrdup(name);
    d->schema = dm_schema_ref(schema);
    d->last_column_id = m->last_column_id;
    d->format_version = m->format_version;
    d->day_field = m->day_source_id;
    d->snapshot_id = s != NULL ? s->id : 0;
    d->sequence_number =
        s == NULL || s->id == m->current_snapshot_id ? m->last_sequence_number : s->sequence_number;
    enum dm_status status = uri_path(m->location, &d->location, err);
    if (status == DM_OK && s != NULL) {
        struct dm_manifest_list list = {0};
        if (s > m->snapshots)
            d->parent_snapshot_id = s[-1].id;
        status = lake_manifest_list_read(s->manifest_list, &list, err);
        if (status == DM_OK) {
            take_manifests(ds, &list);
            dm_manifest_list_release(&list);
            status = load_files(ds, err);
        }
    }
    if (status != DM_OK) {
        dm_error_prefix(err, "dataset %s.%s", namespace, name);
        lake_dataset_free(ds);
        return status;
    }
    *out = ds;
    return DM_OK;
}

enum dm_status lake_dataset_load(const char *namespace, const char *name, const struct dm_metadata *m,
                                 struct lake_dataset **out, struct dm_error *err)
{
    return lake_dataset_load_snapshot(namespace, name, m, dm_metadata_snapshot(m, m->current_snapshot_id),
                                      dm_metadata_schema(m), out, err);
}

void lake_dataset_free(struct lake_dataset *ds)
{
    if (ds == NULL)
        return;
    for (size_t i = 0; i < ds->pub.n_files; i++) {
        free(ds->pub.files[i].path);
        if (ds->pub.files[i].deleted != NULL)
            roaring_bitmap_free(ds->pub.files[i].deleted);
    }
    for (size_t i = 0; i < ds->n_manifests; i++)
        free(ds->manifests[i].file.path);
    free(ds->manifests);
    free(ds->pub.files);
    free(ds->pub.namespace);
    free(ds->pub.name);
    free(ds->pub.location);
    dm_schema_unref(ds->pub.schema);
    free(ds);
}

void dm_dataset_free(struct dm_dataset *d)
{
    lake_dataset_free((struct lake_dataset *)(void *)d); /* pub is its first member */
}
