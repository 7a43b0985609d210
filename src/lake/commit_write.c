/* Step 1 of a commit for one table: deletion vectors, manifests, manifest list, metadata file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/memory.h"
#include "format/puffin.h"
#include "lake/commit_internal.h"

enum { MAX_FILE_BYTES = 1 << 30 };

/* What one call of lake_table_write carries through its stages. */
struct table_write {
    struct dm_commit *c;
    struct table_commit *t;
    int64_t snapshot_id;
    int64_t sequence_number;
    int64_t first_row_id; /* -1: version 2 */
    struct snapshot_counts n;
    size_t n_data;
    struct dm_manifest_entry *data; /* new data files */
    size_t n_vectors;
    struct dm_manifest_entry *vectors; /* new deletion vectors */
};

static int64_t new_snapshot_id(const struct dm_metadata *m)
{
    for (;;) {
        int64_t id = 0;
        while (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
            continue;
        id &= INT64_MAX;
        if (id != 0 && dm_metadata_snapshot(m, id) == NULL)
            return id;
    }
}

/* ---- what is deleted ---- */

/* Turns the rows to delete of live file i into its new whole vector; a file without rows left goes as a whole. */
static enum dm_status merge_live(struct table_commit *t, size_t i, struct dm_error *err)
{
    roaring_bitmap_t *rows = t->live_deleted[i];
    const struct dm_data_file *f = &t->live[i];
    if (f->deleted != NULL)
        roaring_bitmap_or_inplace(rows, f->deleted);
    uint64_t n = roaring_bitmap_get_cardinality(rows);
    if (n > f->deleted_rows && n < f->rows) {
        (void)roaring_bitmap_run_optimize(rows);
        return DM_OK;
    }
    roaring_bitmap_free(rows);
    t->live_deleted[i] = NULL;
    if (n == f->rows) {
        if (t->live_removed == NULL)
            t->live_removed = dm_xzalloc(t->n_live, sizeof *t->live_removed);
        t->live_removed[i] = true;
    }
    return n > f->rows ? dm_fail(err, DM_ERROR_FATAL, NULL, "%s: more rows deleted than there are", f->path)
                       : DM_OK;
}

/* After this, live_removed, live_deleted and added[].gone say exactly what changes. */
static enum dm_status resolve_deletes(struct table_commit *t, struct dm_error *err)
{
    for (size_t i = 0; i < t->n_live && t->live_deleted != NULL; i++) {
        if (t->live_deleted[i] == NULL)
            continue;
        if (t->live_removed != NULL && t->live_removed[i]) {
            roaring_bitmap_free(t->live_deleted[i]);
            t->live_deleted[i] = NULL;
        } else if (merge_live(t, i, err) != DM_OK) {
            return DM_FAIL;
        }
    }
    for (size_t i = 0; i < t->n_added; i++) {
        struct dm_data_file *f = &t->added[i].file;
        f->deleted_rows = f->deleted == NULL ? 0 : roaring_bitmap_get_cardinality(f->deleted);
        if (f->deleted_rows == f->rows)
            t->added[i].gone = true;
        else if (f->deleted != NULL)
            (void)roaring_bitmap_run_optimize(f->deleted);
    }
    return DM_OK;
}

static int compare_days(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The days of which files or vectors come or go. */
static uint64_t changed_partitions(const struct table_commit *t)
{
    int32_t *days = dm_xalloc((t->n_live + t->n_added + 1) * sizeof *days);
    uint64_t n = 0, distinct = 0;
    for (size_t i = 0; i < t->n_live; i++)
        if ((t->live_removed != NULL && t->live_removed[i]) ||
            (t->live_deleted != NULL && t->live_deleted[i] != NULL))
            days[n++] = t->live[i].day;
    for (size_t i = 0; i < t->n_added; i++)
        if (!t->added[i].gone)
            days[n++] = t->added[i].file.day;
    qsort(days, n, sizeof *days, compare_days);
    for (uint64_t i = 0; i < n; i++)
        distinct += i == 0 || days[i] != days[i - 1];
    free(days);
    return distinct;
}

static void count_changes(struct table_write *w)
{
    struct snapshot_counts *n = &w->n;
    const struct table_commit *t = w->t;
    for (size_t i = 0; i < t->n_live; i++) {
        const struct dm_data_file *f = &t->live[i];
        bool removed = t->live_removed != NULL && t->live_removed[i];
        const roaring_bitmap_t *vector = t->live_deleted != NULL ? t->live_deleted[i] : NULL;
        if (removed) {
            n->removed_files++;
            n->removed_rows += f->rows;
            n->removed_bytes += f->bytes;
        } else {
            n->total_files++;
            n->total_rows += f->rows;
            n->total_bytes += f->bytes;
        }
        if ((removed || vector != NULL) && f->deleted != NULL) {
            n->removed_vectors++;
            n->removed_positions += f->deleted_rows;
        }
        uint64_t rows = removed          ? 0
                        : vector != NULL ? roaring_bitmap_get_cardinality(vector)
                                         : f->deleted_rows;
        n->total_vectors += rows > 0;
        n->total_positions += rows;
        n->added_vectors += vector != NULL;
        n->added_positions += vector != NULL ? rows : 0;
    }
    for (size_t i = 0; i < t->n_added; i++) {
        const struct dm_data_file *f = &t->added[i].file;
        if (t->added[i].gone)
            continue;
        n->added_files++;
        n->added_rows += f->rows;
        n->added_bytes += f->bytes;
        n->added_vectors += f->deleted_rows > 0;
        n->added_positions += f->deleted_rows;
    }
    n->changed_partitions = t->day_field != 0 ? changed_partitions(t) : 1;
    n->total_files += n->added_files;
    n->total_rows += n->added_rows;
    n->total_bytes += n->added_bytes;
    for (size_t i = 0; i < t->n_added; i++)
        if (!t->added[i].gone) {
            n->total_vectors += t->added[i].file.deleted_rows > 0;
            n->total_positions += t->added[i].file.deleted_rows;
        }
}

/* ---- deletion vectors ---- */

static enum dm_status write_puffin(struct table_write *w, struct dm_puffin_vector *vectors,
                                   const int32_t *days, size_t n, struct dm_error *err)
{
    struct dm_buffer bytes;
    dm_buffer_init(&bytes, MAX_FILE_BYTES);
    enum dm_status status = dm_puffin_encode(vectors, n, "Data Mirror " DM_VERSION, &bytes, err);
    if (status == DM_OK) {
        char random[17];
        char *path = dm_xasprintf("%s/data/dv-%" PRId64 "-%s.puffin", w->t->location, w->snapshot_id,
                                  dm_store_random_hex(random, 8));
        char *uri = dm_store_uri(path);
        status = dm_store_write(&w->c->store, path, bytes.data, bytes.len, err);
        w->vectors = dm_xzalloc(n, sizeof *w->vectors);
        w->n_vectors = n;
        for (size_t i = 0; i < n; i++)
            w->vectors[i] = (struct dm_manifest_entry){
                .status = DM_ENTRY_ADDED,
                .snapshot_id = w->snapshot_id,
                .sequence_number = -1,
                .file_sequence_number = -1,
                .content = DM_CONTENT_POSITION_DELETES,
                .day = days[i],
                .file_path = dm_xstrdup(uri),
                .file_format = dm_xstrdup("PUFFIN"),
                .record_count = (int64_t)roaring_bitmap_get_cardinality(vectors[i].deleted),
                .file_bytes = (int64_t)bytes.len,
                .first_row_id = -1,
                .referenced_data_file = dm_xstrdup(vectors[i].data_file),
                .content_offset = (int64_t)vectors[i].offset,
                .content_size = (int64_t)vectors[i].length};
        free(uri);
        free(path);
    }
    dm_buffer_release(&bytes);
    return status;
}

static enum dm_status write_vectors(struct table_write *w, struct dm_error *err)
{
    const struct table_commit *t = w->t;
    if (w->n.added_vectors == 0)
        return DM_OK;
    struct dm_puffin_vector *vectors = dm_xzalloc((size_t)w->n.added_vectors, sizeof *vectors);
    char **uris = dm_xzalloc((size_t)w->n.added_vectors, sizeof *uris);
    int32_t *days = dm_xzalloc((size_t)w->n.added_vectors, sizeof *days);
    size_t n = 0;
    for (size_t i = 0; t->live_deleted != NULL && i < t->n_live; i++)
        if (t->live_deleted[i] != NULL) {
            uris[n] = dm_store_uri(t->live[i].path);
            days[n] = t->live[i].day;
            vectors[n] = (struct dm_puffin_vector){.data_file = uris[n], .deleted = t->live_deleted[i]};
            n++;
        }
    for (size_t i = 0; i < t->n_added; i++)
        if (!t->added[i].gone && t->added[i].file.deleted_rows > 0) {
            uris[n] = dm_store_uri(t->added[i].file.path);
            days[n] = t->added[i].file.day;
            vectors[n] = (struct dm_puffin_vector){.data_file = uris[n], .deleted = t->added[i].file.deleted};
            n++;
        }
    enum dm_status status = write_puffin(w, vectors, days, n, err);
    for (size_t i = 0; i < n; i++)
        free(uris[i]);
    free(uris);
    free(days);
    free(vectors);
    return status;
}

/* ---- manifests and their list ---- */

static void make_data_entries(struct table_write *w)
{
    const struct table_commit *t = w->t;
    w->data = dm_xzalloc((size_t)w->n.added_files + 1, sizeof *w->data);
    for (size_t i = 0; i < t->n_added; i++) {
        const struct added_file *a = &t->added[i];
        if (a->gone)
            continue;
        struct dm_manifest_entry *e = &w->data[w->n_data++];
        *e = (struct dm_manifest_entry){.status = DM_ENTRY_ADDED,
                                        .snapshot_id = w->snapshot_id,
                                        .sequence_number = -1,
                                        .file_sequence_number = -1,
                                        .content = DM_CONTENT_DATA,
                                        .file_path = dm_store_uri(a->file.path),
                                        .file_format = dm_xstrdup("PARQUET"),
                                        .day = a->file.day,
                                        .record_count = (int64_t)a->file.rows,
                                        .file_bytes = (int64_t)a->file.bytes,
                                        .first_row_id = -1,
                                        .content_offset = -1,
                                        .content_size = -1,
                                        .n_stats = a->n_stats};
        if (a->n_stats > 0) {
            e->stats = dm_xzalloc(a->n_stats, sizeof *e->stats);
            memcpy(e->stats, a->stats, a->n_stats * sizeof *e->stats);
        }
    }
}

static enum dm_status write_manifests(struct table_write *w, struct dm_error *err)
{
    struct table_commit *t = w->t;
    char *schema = NULL;
    struct dm_day_spec days = {0};
    if (dm_schema_json(dm_metadata_schema(t->meta), t->meta->format_version, &schema, err) != DM_OK)
        return DM_FAIL;
    dm_day_spec_init(&days, dm_metadata_schema(t->meta), t->meta->day_source_id);
    t->live_manifest = dm_xzalloc(t->n_live + 1, sizeof *t->live_manifest);
    t->live_vector_manifest = dm_xzalloc(t->n_live + 1, sizeof *t->live_vector_manifest);
    t->next_key = t->table != NULL ? t->table->ds->next_key : 1;
    struct manifest_job data = {.commit = w->c,
                                .t = t,
                                .content = DM_CONTENT_DATA,
                                .snapshot_id = w->snapshot_id,
                                .sequence_number = w->sequence_number,
                                .schema_json = schema,
                                .days = &days,
                                .next_row_id = w->first_row_id >= 0 ? &t->meta->next_row_id : NULL,
                                .n_added = w->n_data,
                                .added = w->data};
    struct manifest_job deletes = data;
    deletes.content = DM_CONTENT_POSITION_DELETES;
    deletes.next_row_id = NULL;
    deletes.n_added = w->n_vectors;
    deletes.added = w->vectors;
    enum dm_status status = lake_manifests_write(&data, err);
    w->n_data = data.n_added;
    if (status == DM_OK) {
        status = lake_manifests_write(&deletes, err);
        w->n_vectors = deletes.n_added;
    }
    dm_day_spec_release(&days);
    free(schema);
    return status;
}

static enum dm_status write_manifest_list(struct table_write *w, char **uri, struct dm_error *err)
{
    struct table_commit *t = w->t;
    struct dm_manifest_list list = {.n = t->n_manifests,
                                    .files = dm_xzalloc(t->n_manifests + 1, sizeof *list.files)};
    for (size_t i = 0; i < t->n_manifests; i++)
        list.files[i] = t->manifests[i].file; /* paths are borrowed */
    struct dm_buffer bytes;
    dm_buffer_init(&bytes, MAX_FILE_BYTES);
    enum dm_status status =
        dm_manifest_list_encode(&list, t->meta->format_version, w->snapshot_id, t->meta->current_snapshot_id,
                                w->sequence_number, w->first_row_id, &bytes, err);
    if (status == DM_OK) {
        char random[17];
        char *path = dm_xasprintf("%s/metadata/snap-%" PRId64 "-%s.avro", t->location, w->snapshot_id,
                                  dm_store_random_hex(random, 8));
        status = dm_store_write(&w->c->store, path, bytes.data, bytes.len, err);
        *uri = dm_store_uri(path);
        free(path);
    }
    dm_buffer_release(&bytes);
    free(list.files);
    return status;
}

static void release_entries(struct dm_manifest_entry *entries, size_t n)
{
    struct dm_manifest m = {.n_entries = n, .entries = entries};
    dm_manifest_release(&m);
}

static enum dm_status write_snapshot(struct dm_commit *c, struct table_commit *t,
                                     const struct dm_commit_summary *summary, struct table_write *w,
                                     struct dm_error *err)
{
    char *list = NULL;
    w->snapshot_id = new_snapshot_id(t->meta);
    w->sequence_number = t->meta->last_sequence_number + 1;
    w->first_row_id = t->meta->format_version >= 3 ? t->meta->next_row_id : -1;
    enum dm_status status = write_vectors(w, err);
    dm_crash_point("after-deletion-vectors");
    if (status == DM_OK) {
        make_data_entries(w);
        status = write_manifests(w, err);
    }
    release_entries(w->data, w->n_data); /* what the manifests did not take */
    release_entries(w->vectors, w->n_vectors);
    if (status == DM_OK)
        status = write_manifest_list(w, &list, err);
    if (status == DM_OK) {
        t->snapshot_id = w->snapshot_id;
        status = lake_snapshot_add(t, &w->n, list, w->first_row_id, summary, err);
    }
    if (status == DM_OK && (w->n.added_files > 0 || w->n.added_vectors > 0)) {
        char *folder = dm_xasprintf("%s/data", t->location);
        dm_store_folder(&c->store, folder); /* Parquet files are synced by the engine, their folder here */
        free(folder);
    }
    free(list);
    return status;
}

/* ---- the metadata file ---- */

static void log_previous(struct table_commit *t, const struct dm_lake *lake)
{
    struct dm_metadata *m = t->meta;
    m->metadata_log = dm_xrealloc(m->metadata_log, m->n_metadata_log + 1, sizeof *m->metadata_log);
    m->metadata_log[m->n_metadata_log++] =
        (struct dm_metadata_log){m->last_updated_ms, dm_xstrdup(t->table->metadata_location)};
    size_t keep = t->expire ? 0 : (size_t)lake->metadata_versions - 1; /* the current one counts too */
    if (m->n_metadata_log <= keep)
        return;
    t->n_pruned = m->n_metadata_log - keep;
    t->pruned = dm_xzalloc(t->n_pruned, sizeof *t->pruned);
    for (size_t i = 0; i < t->n_pruned; i++)
        t->pruned[i] = m->metadata_log[i].file;
    m->n_metadata_log = keep;
    memmove(m->metadata_log, m->metadata_log + t->n_pruned, keep * sizeof *m->metadata_log);
}

static enum dm_status write_metadata(struct dm_commit *c, struct table_commit *t, struct dm_error *err)
{
    struct dm_metadata *m = t->meta;
    char number[16];
    m->next_file = t->table != NULL ? t->table->next_file : t->next_file;
    (void)snprintf(number, sizeof number, "%u", m->next_file);
    dm_metadata_set_property(m, "datamirror.next-file", number);
    int64_t now = dm_clock_wall_us() / 1000;
    int64_t oldest = c->lake->snapshot_retention_ms > 0 ? now - c->lake->snapshot_retention_ms : INT64_MIN;
    dm_metadata_expire(m, (size_t)c->lake->metadata_versions, t->expire ? INT64_MAX : oldest, now);
    struct dm_buffer text;
    dm_buffer_init(&text, MAX_FILE_BYTES);
    enum dm_status status = dm_metadata_print(m, &text, err);
    if (status == DM_OK) {
        t->version = t->table != NULL ? t->table->version + 1 : 1;
        char id[33];
        (void)dm_store_random_hex(id, 16);
        char *path = dm_xasprintf("%s/metadata/%05u-%.8s-%.4s-%.4s-%.4s-%.12s.metadata.json", t->location,
                                  t->version, id, id + 8, id + 12, id + 16, id + 20);
        status = dm_store_write(&c->store, path, text.data, text.len, err);
        dm_crash_point("after-metadata");
        t->metadata_location = dm_store_uri(path);
        free(path);
        char *folder = dm_xasprintf("%s/metadata", t->location);
        dm_store_folder(&c->store, folder);
        free(folder);
    }
    dm_buffer_release(&text);
    return status;
}

/* A copy of the table's metadata (or a new one) to change. */
static enum dm_status begin_metadata(struct dm_commit *c, struct table_commit *t, struct dm_error *err)
{
    struct dm_metadata *old = NULL;
    if (t->table != NULL) {
        if (lake_table_meta(c->lake, t->table, &old, err) != DM_OK)
            return DM_FAIL;
        t->meta = dm_metadata_copy(old);
        log_previous(t, c->lake);
    } else {
        char *location = dm_store_uri(t->location);
        t->meta = dm_metadata_new(c->lake->format_version, location);
        free(location);
        static const char *const properties[][2] = {
            {"write.format.default", "parquet"},    {"write.parquet.compression-codec", "zstd"},
            {"write.delete.mode", "merge-on-read"}, {"write.update.mode", "merge-on-read"},
            {"write.merge.mode", "merge-on-read"},  {"created-by", "Data Mirror " DM_VERSION}};
        for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
            dm_metadata_set_property(t->meta, properties[i][0], properties[i][1]);
    }
    int64_t now = dm_clock_wall_us() / 1000;
    t->meta->last_updated_ms = now > t->meta->last_updated_ms ? now : t->meta->last_updated_ms;
    if (t->schema != NULL && dm_metadata_set_schema(t->meta, t->schema, err) != DM_OK)
        return DM_FAIL;
    dm_metadata_raise_column_id(t->meta, t->highest_id);
    t->meta->day_source_id = t->day_field;
    if (t->day_field != 0 && dm_schema_find_id(dm_metadata_schema(t->meta), t->day_field) < 0)
        return dm_fail(err, DM_ERROR_CONFIG, "declare a dataset of another name and bring the rows over",
                       "the column whose days divide the dataset cannot be dropped");
    return DM_OK;
}

enum dm_status lake_table_write(struct dm_commit *c, struct table_commit *t,
                                const struct dm_commit_summary *summary, struct dm_error *err)
{
    if (resolve_deletes(t, err) != DM_OK)
        return DM_FAIL;
    struct table_write w = {.c = c, .t = t, .first_row_id = -1};
    count_changes(&w);
    bool rows = w.n.added_files > 0 || w.n.removed_files > 0 || w.n.added_vectors > 0 ||
                ((t->expire || t->marked) && t->table != NULL && t->table->ds->pub.snapshot_id != 0);
    if (!rows && t->schema == NULL && t->table != NULL && !t->expire)
        return DM_OK; /* nothing but perhaps a new name */
    if (begin_metadata(c, t, err) != DM_OK || (rows && write_snapshot(c, t, summary, &w, err) != DM_OK))
        return DM_FAIL;
    return write_metadata(c, t, err);
}
