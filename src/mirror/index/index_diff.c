#include "mirror/index/index_diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Up to so many rows of a large file are fetched by position; more of them are filtered out of a pass over the file. So are those of small files,
 * which a single query reads all together. */
enum { fetch_most = 4096, small_file = 32768 };

static roaring_bitmap_t *less(const roaring_bitmap_t *a, const roaring_bitmap_t *b)
{
    if (a == NULL)
        return NULL;
    roaring_bitmap_t *left = b == NULL ? roaring_bitmap_copy(a) : roaring_bitmap_andnot(a, b);
    if (roaring_bitmap_is_empty(left)) {
        roaring_bitmap_free(left);
        return NULL;
    }
    return left;
}

static void add(struct dm_index_diff *diff, struct dm_diff_file f)
{
    if ((diff->n_files & (diff->n_files - 1)) == 0) /* a power of two, or none */
        diff->files =
            dm_xrealloc(diff->files, diff->n_files > 0 ? diff->n_files * 2 : 1, sizeof *diff->files);
    diff->files[diff->n_files++] = f;
}

static void add_whole(struct dm_index_diff *diff, enum dm_diff_side side, const struct dm_data_file *file)
{
    struct dm_diff_file f = {.whole = true};
    f.file[side] = file;
    diff->rows[side] += file->rows - file->deleted_rows;
    add(diff, f);
}

static enum dm_status add_changed(struct dm_index_diff *diff, const struct dm_data_file *before,
                                  const struct dm_data_file *after, struct dm_error *err)
{
    if (strcmp(before->path, after->path) != 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "file number %u was %s and is %s", after->number,
                       before->path, after->path);
    struct dm_diff_file f = {.file = {before, after}};
    f.rows[DM_DIFF_VANISHED] = less(after->deleted, before->deleted);
    f.rows[DM_DIFF_APPEARED] = less(before->deleted, after->deleted);
    for (int side = 0; side < 2; side++)
        if (f.rows[side] != NULL)
            diff->rows[side] += roaring_bitmap_get_cardinality(f.rows[side]);
    if (f.rows[0] != NULL || f.rows[1] != NULL)
        add(diff, f);
    return DM_OK;
}

enum dm_status dm_index_diff_make(struct dm_index_diff *diff, const struct dm_dataset *before,
                                  const struct dm_dataset *after, struct dm_error *err)
{
    *diff = (struct dm_index_diff){0};
    size_t n_before = before == NULL ? 0 : before->n_files;
    enum dm_status status = DM_OK;
    for (size_t i = 0, k = 0; (i < n_before || k < after->n_files) && status == DM_OK;) {
        const struct dm_data_file *b = i < n_before ? &before->files[i] : NULL;
        const struct dm_data_file *a = k < after->n_files ? &after->files[k] : NULL;
        if (a == NULL || (b != NULL && b->number < a->number)) {
            add_whole(diff, DM_DIFF_VANISHED, b);
            i++;
        } else if (b == NULL || a->number < b->number) {
            add_whole(diff, DM_DIFF_APPEARED, a);
            k++;
        } else {
            status = add_changed(diff, b, a, err);
            i++;
            k++;
        }
    }
    return status;
}

void dm_index_diff_release(struct dm_index_diff *diff)
{
    for (size_t i = 0; i < diff->n_files; i++)
        for (int side = 0; side < 2; side++)
            if (diff->files[i].rows[side] != NULL)
                roaring_bitmap_free(diff->files[i].rows[side]);
    free(diff->files);
    *diff = (struct dm_index_diff){0};
}

static uint32_t number_of(const struct dm_diff_file *f)
{
    return f->file[0] != NULL ? f->file[0]->number : f->file[1]->number;
}

static int by_number(const void *key, const void *file)
{
    uint32_t a = *(const uint32_t *)key, b = number_of(file);
    return (a > b) - (a < b);
}

bool dm_index_diff_has(const struct dm_index_diff *diff, enum dm_diff_side side, struct dm_place place)
{
    const struct dm_diff_file *f =
        diff->n_files == 0 ? NULL
                           : bsearch(&place.file, diff->files, diff->n_files, sizeof *diff->files, by_number);
    if (f == NULL || f->file[side] == NULL)
        return false;
    if (!f->whole)
        return f->rows[side] != NULL && roaring_bitmap_contains(f->rows[side], place.position);
    const roaring_bitmap_t *deleted = f->file[side]->deleted;
    return place.position < f->file[side]->rows &&
           (deleted == NULL || !roaring_bitmap_contains(deleted, place.position));
}

/* ---- reading ---- */

static bool is_fetched(const struct dm_diff_file *f, enum dm_diff_side side)
{
    return f->rows[side] != NULL && f->file[side]->rows > small_file &&
           roaring_bitmap_get_cardinality(f->rows[side]) <= fetch_most;
}

static enum dm_status fetch(const struct dm_data_file *file, const roaring_bitmap_t *rows,
                            struct dm_engine *engine, const struct dm_schema *schema, dm_scan_fn fn,
                            void *ctx, struct dm_error *err)
{
    uint32_t positions[fetch_most], numbers[fetch_most];
    size_t n = (size_t)roaring_bitmap_get_cardinality(rows);
    roaring_bitmap_to_uint32_array(rows, positions);
    for (size_t i = 0; i < n; i++)
        numbers[i] = file->number;
    struct dm_batch *batch = dm_batch_new(schema);
    enum dm_status status = dm_parquet_fetch(engine, file->path, positions, n, schema, batch, err);
    if (status == DM_OK)
        status = fn(ctx, batch, numbers, positions, err);
    dm_batch_free(batch);
    return status;
}

/* Whole files, and those of which much is wanted: the vector then names all the others. */
static enum dm_status scan(const struct dm_index_diff *diff, enum dm_diff_side side, struct dm_engine *engine,
                           const struct dm_schema *schema, dm_scan_fn fn, void *ctx, struct dm_error *err)
{
    struct dm_scan_file *files = dm_xzalloc(diff->n_files + 1, sizeof *files);
    roaring_bitmap_t **others = dm_xzalloc(diff->n_files + 1, sizeof *others);
    size_t n = 0;
    for (size_t i = 0; i < diff->n_files; i++) {
        const struct dm_diff_file *f = &diff->files[i];
        const struct dm_data_file *file = f->file[side];
        if (file == NULL || is_fetched(f, side) || (!f->whole && f->rows[side] == NULL))
            continue;
        if (!f->whole)
            others[i] = roaring_bitmap_flip(f->rows[side], 0, file->rows);
        files[n++] = (struct dm_scan_file){.path = file->path,
                                           .number = file->number,
                                           .rows = file->rows,
                                           .deleted = f->whole ? file->deleted : others[i]};
    }
    struct dm_scan_options options = {.order_by_key = true};
    enum dm_status status = dm_parquet_scan(engine, files, n, schema, &options, fn, ctx, err);
    for (size_t i = 0; i < diff->n_files; i++)
        if (others[i] != NULL)
            roaring_bitmap_free(others[i]);
    free(others);
    free(files);
    return status;
}

enum dm_status dm_index_diff_read(const struct dm_index_diff *diff, enum dm_diff_side side,
                                  struct dm_engine *engine, const struct dm_schema *schema, dm_scan_fn fn,
                                  void *ctx, struct dm_error *err)
{
    enum dm_status status = scan(diff, side, engine, schema, fn, ctx, err);
    for (size_t i = 0; i < diff->n_files && status == DM_OK; i++)
        if (is_fetched(&diff->files[i], side))
            status =
                fetch(diff->files[i].file[side], diff->files[i].rows[side], engine, schema, fn, ctx, err);
    return status;
}
