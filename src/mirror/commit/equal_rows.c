#include "mirror/commit/equal_rows.h"

#include <stdlib.h>

#include "base/memory.h"
#include "engine/parquet_read.h"

static bool same(const struct dm_batch *a, size_t row_a, const struct dm_batch *b, size_t row_b)
{
    for (size_t i = 0; i < a->n_columns; i++)
        if (!dm_column_value_equal(&a->columns[i], row_a, &b->columns[i], row_b))
            return false;
    return true;
}

bool dm_equal_rows(const struct dm_batch *batch, uint32_t a, uint32_t b)
{
    return same(batch, a, batch, b);
}

static int by_place(const void *a, const void *b)
{
    const struct dm_tie *x = a, *y = b;
    if (x->place.file != y->place.file)
        return x->place.file < y->place.file ? -1 : 1;
    return (x->place.position > y->place.position) - (x->place.position < y->place.position);
}

/* Ties of one file. */
static enum dm_status compare(struct dm_apply_context *a, const struct dm_batch *batch, const char *path,
                              const struct dm_schema *schema, const struct dm_tie *ties, size_t n,
                              bool *equal, struct dm_error *err)
{
    uint32_t *positions = dm_xalloc(n * sizeof *positions);
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++)
        if (distinct == 0 || positions[distinct - 1] != ties[i].place.position)
            positions[distinct++] = ties[i].place.position;
    struct dm_batch *stored = dm_batch_new(schema);
    enum dm_status status =
        dm_parquet_fetch(a->mirror->engine, path, positions, distinct, schema, stored, err);
    for (size_t i = 0, k = 0; i < n && status == DM_OK; i++) {
        k += positions[k] != ties[i].place.position;
        equal[ties[i].row] = same(batch, ties[i].row, stored, k);
    }
    dm_batch_free(stored);
    free(positions);
    return status;
}

enum dm_status dm_equal_rows_find(struct dm_apply_context *a, const struct dm_batch *batch,
                                  const char *namespace, const char *name, const struct dm_schema *schema,
                                  struct dm_tie *ties, size_t n, bool *equal, struct dm_error *err)
{
    size_t at_once = 0;
    if (dm_apply_rows_that_fit(a, namespace, name, &at_once, err) != DM_OK)
        return DM_FAIL;
    at_once /=
        4; /* they come beside the batch; a portion is a range of the file, so small ones cost little */
    if (n > 0)
        qsort(ties, n, sizeof *ties, by_place);
    enum dm_status status = DM_OK;
    for (size_t i = 0, end; i < n && status == DM_OK; i = end) {
        const char *path;
        if (dm_apply_indexed_file(a, namespace, name, ties[i].place.file, &path, err) != DM_OK)
            return DM_FAIL;
        for (end = i + 1; end < n && end - i < at_once && ties[end].place.file == ties[i].place.file;)
            end++;
        status = compare(a, batch, path, schema, ties + i, end - i, equal, err);
    }
    return status;
}
