#include "mirror/commit/compact.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/crash_point.h"
#include "base/memory.h"
#include "column/key.h"
#include "engine/parquet_read.h"
#include "mirror/commit/history.h"
#include "mirror/commit/interval_history.h"
#include "mirror/commit/tombstones.h"

enum {
    files_per_class = 16,
    most_files = 256, /* of one portion */
    most_rows = 1 << 20,
    most_raw_bytes = 96 << 20, /* in memory, of one portion */
    no_class = -1,
};

/* The class of a file by its live bytes; no_class: large enough to be left alone. */
static int size_class(const struct dm_data_file *f)
{
    static const uint64_t limits[] = {256 << 10, 2 << 20, 16 << 20, 64 << 20};
    uint64_t live = f->rows > 0 ? f->bytes / f->rows * (f->rows - f->deleted_rows) : 0;
    for (int i = 0; i < (int)(sizeof limits / sizeof *limits); i++)
        if (live < limits[i])
            return i;
    return no_class;
}

static bool mostly_deleted(const struct dm_data_file *f)
{
    return f->deleted_rows * 2 > f->rows;
}

/* The files of the next portion: of the smallest class that is full, oldest first; else one large file of mostly deleted rows. */
static size_t choose(const struct dm_dataset *d, const struct dm_data_file **chosen)
{
    size_t count[8] = {0};
    for (size_t i = 0; i < d->n_files; i++)
        if (size_class(&d->files[i]) != no_class)
            count[size_class(&d->files[i])]++;
    int class = 0;
    while (class < 4 && count[class] < files_per_class)
        class ++;
    size_t n = 0;
    uint64_t rows = 0;
    for (size_t i = 0; i < d->n_files && n < most_files; i++) {
        const struct dm_data_file *f = &d->files[i];
        bool wanted =
            class < 4 ? size_class(f) == class : mostly_deleted(f) && f->bytes > (1 << 20) && n == 0;
        if (!wanted)
            continue;
        uint64_t live = f->rows - f->deleted_rows;
        if (rows + live > most_rows)
            break;
        rows += live;
        chosen[n++] = f;
    }
    bool worth = class < 4 ? n >= 2 : n == 1;
    return worth ? n : 0;
}

/* The visible rows of the chosen files, and where each stood. */
struct gathered {
    struct dm_batch *batch;
    struct dm_place *places;
    size_t capacity;
    bool too_wide; /* more than memory allows: fewer files next time */
};

static enum dm_status gather(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                             const uint32_t *positions, struct dm_error *err)
{
    struct gathered *g = ctx;
    if (g->batch->rows + batch->rows > g->capacity) {
        g->capacity = (g->batch->rows + batch->rows) * 2;
        g->places = dm_xrealloc(g->places, g->capacity, sizeof *g->places);
    }
    for (size_t i = 0; i < batch->rows; i++) {
        g->places[g->batch->rows] = (struct dm_place){.file = files[i], .position = positions[i]};
        if (dm_batch_append_row(g->batch, batch, i, err) != DM_OK)
            return DM_FAIL;
    }
    g->too_wide = dm_batch_bytes(g->batch) > most_raw_bytes;
    return g->too_wide ? DM_END : DM_OK; /* DM_END ends the scan */
}

static enum dm_status move_keys(const struct dm_compact_job *job, const struct gathered *g, uint32_t file,
                                struct dm_error *err)
{
    struct dm_key_list keys = {0};
    enum dm_status status = dm_key_list_encode(&keys, g->batch, err);
    size_t n = g->batch->rows;
    struct dm_index_change *changes = dm_xzalloc(n, sizeof *changes);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        changes[i] = (struct dm_index_change){.key = keys.bytes.data + keys.offsets[i],
                                              .key_len = (uint32_t)(keys.offsets[i + 1] - keys.offsets[i]),
                                              .row = (uint32_t)i,
                                              .place = {.file = file, .position = (uint32_t)i}};
    if (status == DM_OK) {
        dm_index_changes_sort(changes, n);
        status = dm_keyindex_move(job->mirror->index, job->index_dataset, changes, n, err);
    }
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        const struct dm_place *was = &g->places[changes[i].row];
        if (changes[i].old.file != was->file || changes[i].old.position != was->position)
            status =
                dm_fail(err, DM_ERROR_FATAL,
                        "stop the mirror, remove <lake>/.index and start again: it is rebuilt from the lake",
                        "%s.%s: the key index and the data files disagree about a row of file %u",
                        job->namespace, job->name, was->file);
    }
    free(changes);
    dm_key_list_release(&keys);
    return status;
}

/* The merged file of a side dataset takes the time of its youngest part: tombstones expire by it (tombstones.c). */
static void keep_time(const char *path, const struct dm_data_file **chosen, size_t n)
{
    struct timespec youngest = {0};
    struct stat st;
    for (size_t i = 0; i < n; i++)
        if (stat(chosen[i]->path, &st) == 0 &&
            (st.st_mtim.tv_sec > youngest.tv_sec ||
             (st.st_mtim.tv_sec == youngest.tv_sec && st.st_mtim.tv_nsec > youngest.tv_nsec)))
            youngest = st.st_mtim;
    const struct timespec times[2] = {youngest, youngest};
    if (youngest.tv_sec != 0)
        (void)utimensat(AT_FDCWD, path, times, 0); /* when it fails, they only stay longer */
}

static enum dm_status write_merged(const struct dm_compact_job *job, struct dm_commit *commit,
                                   const struct gathered *g, const struct dm_data_file **chosen, size_t n,
                                   struct dm_error *err)
{
    uint32_t number = 0;
    char *path = NULL;
    struct dm_parquet_options options = {.compression = job->mirror->config->compression};
    struct dm_parquet_result result = {0};
    enum dm_status status = dm_commit_new_file(commit, job->namespace, job->name, &number, &path, err);
    if (status == DM_OK)
        status = dm_parquet_write_batch(job->mirror->engine, path, g->batch->schema, &options, g->batch, NULL,
                                        0, &result, err);
    if (status == DM_OK)
        status = dm_commit_add_file(commit, job->namespace, job->name, number, path, &result, err);
    if (status == DM_OK && job->files_tag != 0) {
        keep_time(path, chosen, n);
        status = dm_index_files_flip(job->mirror->index, job->files_tag, number, err);
    }
    if (status == DM_OK && job->index_dataset != 0)
        status = move_keys(job, g, number, err);
    dm_parquet_result_release(&result);
    free(path);
    return status;
}

static enum dm_status merge(const struct dm_compact_job *job, struct dm_commit *commit,
                            const struct dm_dataset *d, const struct dm_data_file **chosen, size_t n,
                            struct dm_error *err)
{
    struct gathered g = {.batch = dm_batch_new(d->schema)};
    struct dm_scan_file *files = dm_xzalloc(n, sizeof *files);
    for (size_t i = 0; i < n; i++)
        files[i] = (struct dm_scan_file){.path = chosen[i]->path,
                                         .number = chosen[i]->number,
                                         .rows = chosen[i]->rows,
                                         .deleted = chosen[i]->deleted};
    struct dm_scan_options options = {0};
    enum dm_status status =
        dm_parquet_scan(job->mirror->engine, files, n, d->schema, &options, gather, &g, err);
    if (status == DM_OK && g.too_wide)
        status = DM_END;
    if (status == DM_OK && g.batch->rows > 0)
        status = write_merged(job, commit, &g, chosen, n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++) {
        status = dm_commit_remove_file(commit, job->namespace, job->name, chosen[i]->number, err);
        if (status == DM_OK && job->files_tag != 0)
            status = dm_index_files_flip(job->mirror->index, job->files_tag, chosen[i]->number, err);
    }
    free(files);
    free(g.places);
    dm_batch_free(g.batch);
    return status;
}

static enum dm_status publish(const struct dm_compact_job *job, struct dm_commit *commit,
                              struct dm_error *err)
{
    struct dm_keyindex *index = job->mirror->index;
    dm_crash_point("compact-before-publish");
    if (dm_commit_write(commit, &job->summary, err) != DM_OK ||
        dm_commit_publish(commit, NULL, NULL, err) != DM_OK)
        return DM_FAIL;
    dm_crash_point("compact-after-publish");
    if (job->index_dataset != 0 && job->files_tag == 0 &&
        dm_keyindex_tag_set(index, job->index_dataset, dm_commit_snapshot(commit, job->namespace, job->name),
                            err) != DM_OK)
        return DM_FAIL;
    return dm_keyindex_commit(index, err);
}

enum dm_status dm_compact(const struct dm_compact_job *job, bool *did, struct dm_error *err)
{
    *did = false;
    const struct dm_dataset *d = NULL;
    if (dm_lake_dataset(job->mirror->lake, job->namespace, job->name, &d, err) != DM_OK)
        return DM_FAIL;
    if (d == NULL || d->n_files == 0)
        return DM_OK;
    const struct dm_data_file *chosen[most_files];
    size_t n = choose(d, chosen);
    if (n == 0)
        return DM_OK;
    struct dm_commit *commit = NULL;
    if (dm_commit_begin(job->mirror->lake, &commit, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_END;
    /* A portion that proves too large for memory is tried again with half the files; one file alone is left as it is. */
    for (; status == DM_END && n > 0; n = status == DM_END ? n / 2 : n) {
        status = dm_keyindex_begin(job->mirror->index, err);
        if (status == DM_OK)
            status = merge(job, commit, d, chosen, n, err);
        if (status == DM_END)
            dm_keyindex_abort(job->mirror->index);
    }
    if (status == DM_OK)
        status = publish(job, commit, err);
    if (status == DM_FAIL)
        dm_keyindex_abort(job->mirror->index);
    *did = status == DM_OK;
    dm_commit_free(commit);
    if (status == DM_FAIL)
        dm_error_prefix(err, "%s.%s: merging small files", job->namespace, job->name);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

static enum dm_status compact_history(struct dm_compact_job *job, const struct dm_target *t,
                                      struct dm_error *err)
{
    char *name = dm_history_name(t);
    const struct dm_dataset *d = NULL;
    bool did = false;
    enum dm_status status = dm_lake_dataset(job->mirror->lake, job->namespace, name, &d, err);
    if (status == DM_OK && d != NULL) {
        job->name = name;
        if (dm_interval_history_has(d->schema))
            job->index_dataset = job->files_tag = t->state.id | DM_INDEX_HISTORY;
        /* A history by version that is not kept any more is not kept in the index either. */
        if (!dm_interval_history_has(d->schema) || dm_interval_history_kept(t))
            status = dm_compact(job, &did, err);
    }
    free(name);
    return status;
}

enum dm_status dm_compact_target(struct dm_mirror *m, const struct dm_target *t,
                                 const struct dm_commit_summary *summary, struct dm_error *err)
{
    const struct dm_dataset_state *state = &t->state;
    struct dm_compact_job job = {.mirror = m,
                                 .namespace = state->namespace,
                                 .name = state->name,
                                 .index_dataset = state->append_only ? 0 : state->id,
                                 .summary = *summary};
    bool did = false;
    enum dm_status status = dm_compact(&job, &did, err);
    job.index_dataset = 0;
    if (status == DM_OK && (t->history || t->rules != NULL))
        status = compact_history(&job, t, err);
    if (status == DM_OK && t->rules != NULL) {
        char *name = dm_tombstones_name(t);
        job.name = name;
        job.index_dataset = 0;
        job.files_tag = state->id | DM_INDEX_TOMBSTONES;
        status = dm_compact(&job, &did, err);
        free(name);
    }
    return status;
}
