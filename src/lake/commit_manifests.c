/* The manifests of a new snapshot.
 *
 * A manifest all of whose files stay is taken over as it is. One that holds a file (or vector) that goes is written anew: what stays as
 * EXISTING, what goes as DELETED. New entries go into the same new manifest. DELETED entries of earlier snapshots are left out, and a manifest that
 * has nothing else vanishes. When the past is to be forgotten, every manifest with DELETED entries is written anew, and what goes leaves its
 * statistics and its day behind: they are values of rows. When more than MAX_SMALL small manifests have gathered, they are merged: planning a scan reads few files, and a
 * file is rewritten about log(n) times.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lake/commit_internal.h"

enum { MAX_SMALL = 20, SMALL_ENTRIES = 1000, MAX_ENTRIES = 4000, MAX_MANIFEST_BYTES = 1 << 30 };

struct entries {
    size_t n;
    size_t room;
    struct dm_manifest_entry *list;
};

static void push(struct entries *e, const struct dm_manifest_entry *entry)
{
    if (e->n == e->room) {
        e->room = e->room == 0 ? 16 : e->room * 2;
        e->list = dm_xrealloc(e->list, e->room, sizeof *e->list);
    }
    e->list[e->n++] = *entry;
}

static void release_entries(struct entries *e)
{
    struct dm_manifest m = {.n_entries = e->n, .entries = e->list};
    dm_manifest_release(&m);
    *e = (struct entries){0};
}

/* Does the entry of live file i go in this snapshot? A replaced vector is a vector that goes and one that comes. */
static bool entry_goes(const struct manifest_job *job, size_t i)
{
    const struct table_commit *t = job->t;
    if (t->live_removed != NULL && t->live_removed[i])
        return true;
    return job->content != DM_CONTENT_DATA && t->live_deleted != NULL && t->live_deleted[i] != NULL;
}

static uint32_t entry_manifest(const struct manifest_job *job, size_t i)
{
    return job->content == DM_CONTENT_DATA ? job->t->live[i].manifest : job->t->live[i].vector_manifest;
}

static size_t manifest_index(const struct lake_dataset *ds, uint32_t key, size_t guess)
{
    if (guess < ds->n_manifests && ds->manifests[guess].key == key)
        return guess;
    for (size_t i = 0; i < ds->n_manifests; i++)
        if (ds->manifests[i].key == key)
            return i;
    return ds->n_manifests;
}

static int64_t live_entries(const struct lake_manifest *m)
{
    return (int64_t)m->file.added_files + m->file.existing_files;
}

/* rewrite[i]: manifest i of the dataset is written anew. */
static bool *choose_rewrites(const struct manifest_job *job, const struct lake_dataset *ds)
{
    bool *rewrite = dm_xzalloc(ds->n_manifests + 1, sizeof *rewrite);
    size_t at = 0, small = 0;
    for (size_t i = 0; i < job->t->n_live; i++) {
        uint32_t key = entry_manifest(job, i);
        if (key == 0 || !entry_goes(job, i))
            continue;
        at = manifest_index(ds, key, at);
        rewrite[at] = true; /* one element more than there are manifests, for a key that is not there */
    }
    for (size_t i = 0; i < ds->n_manifests; i++)
        if (job->t->expire && ds->manifests[i].file.content == job->content &&
            ds->manifests[i].file.deleted_files > 0)
            rewrite[i] = true;
    for (size_t i = 0; i < ds->n_manifests; i++)
        if (ds->manifests[i].file.content == job->content && !rewrite[i] &&
            live_entries(&ds->manifests[i]) < SMALL_ENTRIES)
            small++;
    for (size_t i = 0; i < ds->n_manifests && small >= MAX_SMALL; i++)
        if (ds->manifests[i].file.content == job->content && live_entries(&ds->manifests[i]) < SMALL_ENTRIES)
            rewrite[i] = true;
    return rewrite;
}

static uint32_t entry_number(enum dm_content content, const struct dm_manifest_entry *e)
{
    const char *path = content == DM_CONTENT_DATA ? e->file_path : e->referenced_data_file;
    return path == NULL ? 0 : lake_file_number(path);
}

/* Reads a manifest and takes over its living entries. */
static enum dm_status take_over(const struct manifest_job *job, const struct lake_manifest *lm,
                                struct entries *out, struct dm_error *err)
{
    struct dm_manifest m = {0};
    struct entries old = {0};
    if (lake_manifest_read(&lm->file, &m, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < m.n_entries; i++) {
        struct dm_manifest_entry e = m.entries[i];
        struct dm_data_file *f = lake_dataset_find(job->t->table->ds, entry_number(job->content, &e));
        if (e.status != DM_ENTRY_DELETED && f == NULL)
            status = dm_fail(err, DM_ERROR_FATAL, NULL, "%s holds a file that the dataset does not have: %s",
                             lm->file.path, e.file_path);
        if (e.status == DM_ENTRY_DELETED || f == NULL) {
            push(&old, &e);
            continue;
        }
        bool goes = entry_goes(job, (size_t)(f - job->t->live));
        e.status = goes ? DM_ENTRY_DELETED : DM_ENTRY_EXISTING;
        if (goes)
            e.snapshot_id = job->snapshot_id;
        if (goes && job->t->expire) {
            free(e.stats);
            e.stats = NULL;
            e.n_stats = 0;
            e.day = DM_NO_DAY;
        }
        push(out, &e);
    }
    m.n_entries = 0; /* the strings have moved */
    dm_manifest_release(&m);
    release_entries(&old);
    return status;
}

static struct added_file *added_of(const struct table_commit *t, uint32_t number)
{
    for (size_t low = 0, high = t->n_added; low < high;) {
        size_t mid = low + (high - low) / 2;
        if (t->added[mid].file.number == number)
            return &t->added[mid];
        if (t->added[mid].file.number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Notes where each living entry stands now, and the row ids that the new files inherit from the manifest. */
static void place_entries(const struct manifest_job *job, const struct dm_manifest *m,
                          const struct lake_manifest *lm)
{
    struct table_commit *t = job->t;
    bool data = job->content == DM_CONTENT_DATA;
    int64_t row_id = lm->file.first_row_id;
    for (size_t i = 0; i < m->n_entries; i++) {
        const struct dm_manifest_entry *e = &m->entries[i];
        if (e->status == DM_ENTRY_DELETED)
            continue;
        uint32_t number = entry_number(job->content, e);
        struct added_file *a = added_of(t, number);
        struct dm_data_file *f = a != NULL ? NULL : lake_dataset_find(t->table->ds, number);
        if (a != NULL && data)
            a->file.manifest = lm->key;
        else if (a != NULL)
            a->file.vector_manifest = lm->key;
        else if (data)
            t->live_manifest[f - t->live] = lm->key;
        else
            t->live_vector_manifest[f - t->live] = lm->key;
        if (data && a != NULL && e->first_row_id < 0 && row_id >= 0) {
            a->file.first_row_id = row_id;
            row_id += e->record_count;
        }
    }
}

static void count_entries(const struct manifest_job *job, const struct dm_manifest *m,
                          struct dm_manifest_file *f)
{
    f->min_sequence_number = job->sequence_number;
    f->days =
        (struct dm_day_range){.by_day = job->days->source_id != 0, .first = DM_NO_DAY, .last = DM_NO_DAY};
    for (size_t i = 0; i < m->n_entries; i++) {
        const struct dm_manifest_entry *e = &m->entries[i];
        if (f->days.by_day)
            dm_day_range_add(&f->days, e->day);
        switch (e->status) {
        case DM_ENTRY_ADDED:
            f->added_files++;
            f->added_rows += e->record_count;
            break;
        case DM_ENTRY_EXISTING:
            f->existing_files++;
            f->existing_rows += e->record_count;
            if (e->sequence_number < f->min_sequence_number)
                f->min_sequence_number = e->sequence_number;
            break;
        case DM_ENTRY_DELETED:
            f->deleted_files++;
            f->deleted_rows += e->record_count;
            break;
        }
    }
}

static enum dm_status write_manifest(struct manifest_job *job, struct dm_manifest *m, struct dm_error *err)
{
    struct table_commit *t = job->t;
    struct lake_manifest *lm = &t->manifests[t->n_manifests];
    *lm = (struct lake_manifest){.key = t->next_key++,
                                 .file = {.content = job->content,
                                          .sequence_number = job->sequence_number,
                                          .added_snapshot_id = job->snapshot_id,
                                          .first_row_id = -1}};
    count_entries(job, m, &lm->file);
    if (job->next_row_id != NULL) {
        /* Existing files have their ids; the spec counts their rows all the same, so readers may rely on it. */
        lm->file.first_row_id = *job->next_row_id;
        *job->next_row_id += lm->file.added_rows + lm->file.existing_rows;
    }
    struct dm_buffer bytes;
    dm_buffer_init(&bytes, MAX_MANIFEST_BYTES);
    enum dm_status status =
        dm_manifest_encode(m, job->schema_json, t->meta->current_schema_id, job->days, &bytes, err);
    if (status == DM_OK) {
        char random[17];
        char *path = dm_xasprintf("%s/metadata/%s-%" PRId64 "-%s.avro", t->location,
                                  job->content == DM_CONTENT_DATA ? "data" : "deletes", job->snapshot_id,
                                  dm_store_random_hex(random, 8));
        status = dm_store_write(&job->commit->store, path, bytes.data, bytes.len, err);
        lm->file.path = dm_store_uri(path);
        lm->file.length = (int64_t)bytes.len;
        t->n_manifests++;
        free(path);
    }
    dm_buffer_release(&bytes);
    if (status == DM_OK)
        place_entries(job, m, lm);
    return status;
}

enum dm_status lake_manifests_write(struct manifest_job *job, struct dm_error *err)
{
    struct table_commit *t = job->t;
    const struct lake_dataset none = {0};
    const struct lake_dataset *ds = t->table != NULL ? t->table->ds : &none;
    bool *rewrite = choose_rewrites(job, ds);
    struct entries all = {0};
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < ds->n_manifests && status == DM_OK; i++)
        if (rewrite[i] && live_entries(&ds->manifests[i]) > 0)
            status = take_over(job, &ds->manifests[i], &all, err);
    for (size_t i = 0; i < job->n_added; i++)
        push(&all, &job->added[i]);
    job->n_added = 0; /* they belong to `all` now */
    size_t chunks = all.n / MAX_ENTRIES + 1;
    t->manifests = dm_xrealloc(t->manifests, t->n_manifests + chunks + ds->n_manifests, sizeof *t->manifests);
    for (size_t at = 0; at < all.n && status == DM_OK; at += MAX_ENTRIES) {
        struct dm_manifest m = {.format_version = t->meta->format_version,
                                .content = job->content,
                                .n_entries = all.n - at > MAX_ENTRIES ? MAX_ENTRIES : all.n - at,
                                .entries = all.list + at};
        status = write_manifest(job, &m, err);
    }
    for (size_t i = 0; i < ds->n_manifests && status == DM_OK; i++) {
        const struct lake_manifest *old = &ds->manifests[i];
        if (old->file.content != job->content || rewrite[i] || live_entries(old) == 0)
            continue;
        t->manifests[t->n_manifests] = *old;
        t->manifests[t->n_manifests++].file.path = dm_xstrdup(old->file.path);
    }
    release_entries(&all);
    free(rewrite);
    return status;
}
