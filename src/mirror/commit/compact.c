#include "mirror/commit/compact.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crash_point.h"
#include "base/memory.h"
#include "column/key.h"
#include "engine/parquet_read.h"
#include "lake/dataset_scan.h"
#include "mirror/commit/history.h"
#include "mirror/commit/interval_history.h"
#include "mirror/commit/tombstones.h"

enum {
    files_per_class = 16,
    most_files = 256,    /* of one portion */
    most_rows = 1 << 20, /* of all portions */
    no_class = -1,
};

/* What one portion may take in memory. */
static uint64_t portion_bytes(const struct dm_mirror *m)
{
    return dm_mirror_portion(m, 3);
}

/* The class of a file by its live bytes; no_class: large enough to be left alone, or so large that no two of its class fit into a portion (in memory they
 * take more than in the file). */
static int size_class(const struct dm_data_file *f, uint64_t portion)
{
    static const uint64_t limits[] = {256 << 10, 2 << 20, 16 << 20, 64 << 20};
    uint64_t live = f->rows > 0 ? f->bytes / f->rows * (f->rows - f->deleted_rows) : 0;
    for (int i = 0; i < (int)(sizeof limits / sizeof *limits) && live * 2 < portion; i++)
        if (live < limits[i])
            return i;
    return no_class;
}

static bool mostly_deleted(const struct dm_data_file *f)
{
    return f->deleted_rows * 2 > f->rows;
}

struct candidate {
    int class;
    const struct dm_data_file *file;
};

/* By class, then by day (a data file holds one), then oldest first. */
static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    if (x->file->day != y->file->day)
        return x->file->day < y->file->day ? -1 : 1;
    return x->file->number < y->file->number ? -1 : x->file->number > y->file->number;
}

/* What one compaction merges: portions of files that become one file each. */
struct choice {
    const struct dm_data_file **files; /* of all portions, one after the other; malloc'ed */
    size_t n_portions;
    size_t *ends; /* of each portion in `files`; malloc'ed */
};

/* Adds a portion from a full class of one day; false: the budget of rows is used up. */
static bool add_portion(struct choice *c, const struct candidate *of, size_t n, uint64_t *rows)
{
    size_t begin = c->n_portions == 0 ? 0 : c->ends[c->n_portions - 1], at = begin;
    for (size_t i = 0; i < n && at - begin < most_files; i++) {
        uint64_t live = of[i].file->rows - of[i].file->deleted_rows;
        if (*rows + live > most_rows)
            break;
        *rows += live;
        c->files[at++] = of[i].file;
    }
    if (at - begin < 2)
        return false;
    c->ends[c->n_portions++] = at;
    return true;
}

/* Of the smallest classes that are full, a portion each (late events may fill many days at once); else one large file of mostly deleted rows. */
static void choose(const struct dm_dataset *d, uint64_t portion, struct choice *c)
{
    struct candidate *all = dm_xalloc((d->n_files + 1) * sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < d->n_files; i++)
        if (size_class(&d->files[i], portion) != no_class)
            all[n++] = (struct candidate){size_class(&d->files[i], portion), &d->files[i]};
    qsort(all, n, sizeof *all, compare_candidates);
    *c = (struct choice){.files = dm_xalloc((d->n_files + 1) * sizeof *c->files),
                         .ends = dm_xalloc((d->n_files + 1) * sizeof *c->ends)};
    uint64_t rows = 0;
    for (size_t from = 0, end; from < n; from = end) {
        for (end = from;
             end < n && all[end].class == all[from].class && all[end].file->day == all[from].file->day;)
            end++;
        if (end - from >= files_per_class && !add_portion(c, all + from, end - from, &rows))
            break;
    }
    for (size_t i = 0; i < d->n_files && c->n_portions == 0; i++) {
        const struct dm_data_file *f = &d->files[i];
        if (mostly_deleted(f) && f->bytes > (1 << 20) && f->rows - f->deleted_rows <= most_rows) {
            c->files[0] = f;
            c->ends[c->n_portions++] = 1;
        }
    }
    free(all);
}

/* The visible rows of the chosen files, and where each stood. */
struct gathered {
    struct dm_batch *batch;
    struct dm_place *places;
    size_t capacity;
    uint64_t most_bytes;
    bool full; /* more than memory allows */
};

static enum dm_status gather(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                             const uint32_t *positions, struct dm_error *err)
{
    struct gathered *g = ctx;
    if (g->batch->rows + batch->rows > g->capacity) {
        g->capacity = (g->batch->rows + batch->rows) * 2;
        g->places = dm_xrealloc(g->places, g->capacity, sizeof *g->places);
    }
    for (size_t i = 0; i < batch->rows; i++)
        g->places[g->batch->rows + i] = (struct dm_place){.file = files[i], .position = positions[i]};
    if (dm_batch_append_rows(g->batch, batch, 0, batch->rows, err) != DM_OK)
        return DM_FAIL;
    enum { key_bytes_guess = 24 }; /* for the key index, after the rows were written */
    g->full =
        dm_batch_bytes(g->batch) + g->batch->rows * (sizeof *g->places + key_bytes_guess) > g->most_bytes;
    return g->full ? DM_END : DM_OK; /* DM_END ends the scan */
}

/* As many of the files as fit, in order; *n: how many that are. */
static enum dm_status gather_files(const struct dm_compact_job *job, const struct dm_dataset *d,
                                   const struct dm_data_file **chosen, size_t *n, struct gathered *g,
                                   struct dm_error *err)
{
    struct dm_scan_options options = {0};
    for (size_t i = 0; i < *n; i++) {
        size_t before = g->batch->rows;
        struct dm_scan_file file = dm_data_file_scan(chosen[i]);
        if (dm_parquet_scan(job->mirror->engine, &file, 1, d->schema, &options, gather, g, err) != DM_OK)
            return DM_FAIL;
        if (g->full) { /* without this one, then */
            g->batch->rows = before;
            dm_batch_undo_row(g->batch);
            *n = i;
        }
    }
    return DM_OK;
}

/* Rows [first, first + n) of what was gathered. */
static enum dm_status move_some(const struct dm_compact_job *job, const struct gathered *g,
                                const struct dm_key_list *keys, uint32_t file, size_t first, size_t n,
                                struct dm_index_change *changes, struct dm_error *err)
{
    for (size_t k = 0; k < n; k++) {
        size_t i = first + k;
        changes[k] = (struct dm_index_change){.key = keys->bytes.data + keys->offsets[i],
                                              .key_len = (uint32_t)(keys->offsets[i + 1] - keys->offsets[i]),
                                              .row = (uint32_t)i,
                                              .place = {.file = file, .position = (uint32_t)i}};
    }
    dm_index_changes_sort(changes, n);
    enum dm_status status = dm_keyindex_move(job->mirror->index, job->index_dataset, changes, n, err);
    for (size_t k = 0; k < n && status == DM_OK; k++) {
        const struct dm_place *was = &g->places[changes[k].row];
        if (changes[k].old.file != was->file || changes[k].old.position != was->position)
            status =
                dm_fail(err, DM_ERROR_FATAL,
                        "stop the mirror, remove <lake>/.index and start again: it is rebuilt from the lake",
                        "%s.%s: the key index and the data files disagree about a row of file %u",
                        job->namespace, job->name, was->file);
    }
    return status;
}

/* In pieces: an index change takes more memory than a narrow row. */
static enum dm_status move_keys(const struct dm_compact_job *job, const struct gathered *g, uint32_t file,
                                struct dm_error *err)
{
    enum { piece = 1 << 17 };
    struct dm_key_list keys = {0};
    enum dm_status status = dm_key_list_encode(&keys, g->batch, err);
    size_t rows = g->batch->rows;
    struct dm_index_change *changes = dm_xzalloc(rows < piece ? rows : piece, sizeof *changes);
    for (size_t i = 0; i < rows && status == DM_OK; i += piece)
        status = move_some(job, g, &keys, file, i, rows - i < piece ? rows - i : piece, changes, err);
    free(changes);
    dm_key_list_release(&keys);
    return status;
}

/* A merged file without keys in the index takes the time of its youngest part: tombstones expire by it (tombstones.c). */
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
    if (status == DM_OK && job->index_dataset == 0)
        keep_time(path, chosen, n);
    if (status == DM_OK && job->index_dataset != 0)
        status = move_keys(job, g, number, err);
    dm_parquet_result_release(&result);
    free(path);
    return status;
}

/* As many of the files as fit into memory. DM_END: not even two do (or the one); nothing was done. */
static enum dm_status merge(const struct dm_compact_job *job, struct dm_commit *commit,
                            const struct dm_dataset *d, const struct dm_data_file **chosen, size_t n,
                            struct dm_error *err)
{
    struct gathered g = {.batch = dm_batch_new(d->schema), .most_bytes = portion_bytes(job->mirror)};
    size_t fewest = n > 1 ? 2 : 1;
    enum dm_status status = gather_files(job, d, chosen, &n, &g, err);
    if (status == DM_OK && n < fewest)
        status = DM_END;
    if (status == DM_OK && g.batch->rows > 0)
        status = write_merged(job, commit, &g, chosen, n, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = dm_commit_remove_file(commit, job->namespace, job->name, chosen[i]->number, err);
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
    if (job->index_tag != 0 &&
        dm_keyindex_tag_set(index, job->index_tag, dm_commit_snapshot(commit, job->namespace, job->name),
                            err) != DM_OK)
        return DM_FAIL;
    return dm_keyindex_commit(index, err);
}

static enum dm_status merge_all(const struct dm_compact_job *job, struct dm_commit *commit,
                                const struct dm_dataset *d, const struct choice *chosen, bool *did,
                                struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t p = 0, from = 0; p < chosen->n_portions && status == DM_OK; from = chosen->ends[p++]) {
        status = merge(job, commit, d, chosen->files + from, chosen->ends[p] - from, err);
        *did = *did || status == DM_OK;
        if (status == DM_END)
            status = DM_OK;
    }
    return status;
}

enum dm_status dm_compact(const struct dm_compact_job *job, bool *did, struct dm_error *err)
{
    *did = false;
    const struct dm_dataset *d = NULL;
    if (dm_lake_dataset(job->mirror->lake, job->namespace, job->name, &d, err) != DM_OK)
        return DM_FAIL;
    if (d == NULL || d->n_files == 0)
        return DM_OK;
    struct choice chosen;
    choose(d, portion_bytes(job->mirror), &chosen);
    struct dm_commit *commit = NULL;
    enum dm_status status = DM_OK;
    if (chosen.n_portions > 0) {
        status = dm_commit_begin(job->mirror->lake, &commit, err);
        if (status == DM_OK)
            status = dm_keyindex_begin(job->mirror->index, err);
        if (status == DM_OK) {
            status = merge_all(job, commit, d, &chosen, did, err);
            if (status == DM_OK && *did)
                status = publish(job, commit, err);
            if (status != DM_OK || !*did)
                dm_keyindex_abort(job->mirror->index);
        }
        dm_commit_free(commit);
    }
    free(chosen.files);
    free(chosen.ends);
    if (status == DM_FAIL)
        dm_error_prefix(err, "%s.%s: merging small files", job->namespace, job->name);
    return status;
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
            job->index_dataset = job->index_tag = t->state.id | DM_INDEX_HISTORY;
        /* A history by version that is not kept any more is not kept in the index either. */
        if (!dm_interval_history_has(d->schema) || dm_interval_history_kept(t))
            status = dm_compact(job, &did, err);
    }
    free(name);
    return status;
}

/* Its files are about to be replaced, and may be damaged. */
static bool comes_anew(const struct dm_dataset_state *state)
{
    return strcmp(state->state, "waiting") == 0 || strcmp(state->state, "copying") == 0 ||
           strcmp(state->state, "stopped") == 0;
}

enum dm_status dm_compact_target(struct dm_mirror *m, const struct dm_target *t,
                                 const struct dm_commit_summary *summary, struct dm_error *err)
{
    const struct dm_dataset_state *state = &t->state;
    if (comes_anew(state))
        return DM_OK;
    struct dm_compact_job job = {.mirror = m,
                                 .namespace = state->namespace,
                                 .name = state->name,
                                 .index_dataset = state->append_only ? 0 : state->id,
                                 .index_tag = state->append_only ? 0 : state->id,
                                 .summary = *summary};
    /* One commit may bring a file for each of many days: then what is due is done, so that it does not pile up. */
    const struct dm_dataset *d = NULL;
    enum dm_status status = dm_lake_dataset(m->lake, job.namespace, job.name, &d, err);
    bool by_day = status == DM_OK && d != NULL && d->day_field != 0, did = status == DM_OK;
    for (bool first = true; status == DM_OK && did && (first || by_day); first = false)
        status = dm_compact(&job, &did, err);
    job.index_dataset = job.index_tag = 0;
    if (status == DM_OK && (t->history || t->rules != NULL))
        status = compact_history(&job, t, err);
    if (status == DM_OK && t->rules != NULL) {
        char *name = dm_tombstones_name(t);
        job.name = name;
        job.index_dataset = 0;
        job.index_tag = state->id | DM_INDEX_TOMBSTONES;
        status = dm_compact(&job, &did, err);
        free(name);
    }
    return status;
}
