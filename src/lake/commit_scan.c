#include "lake/commit_scan.h"

#include <stdlib.h>

#include "base/memory.h"
#include "lake/commit_internal.h"

static void put(struct dm_commit_scan *out, const struct dm_data_file *f, const roaring_bitmap_t *deleted,
                roaring_bitmap_t *own)
{
    out->vectors[out->n] = own;
    out->files[out->n++] = (struct dm_scan_file){
        .path = f->path, .number = f->number, .rows = f->rows, .deleted = own != NULL ? own : deleted};
}

static enum dm_status put_live(struct dm_commit_scan *out, const struct table_commit *t, size_t i,
                               struct dm_error *err)
{
    const struct dm_data_file *f = &t->live[i];
    const roaring_bitmap_t *more = t->live_deleted != NULL ? t->live_deleted[i] : NULL;
    roaring_bitmap_t *both = NULL;
    if (more != NULL) {
        both = f->deleted != NULL ? roaring_bitmap_or(f->deleted, more) : roaring_bitmap_copy(more);
        if (both == NULL)
            return dm_fail_memory(err, sizeof *both);
    }
    put(out, f, f->deleted, both);
    return DM_OK;
}

enum dm_status dm_commit_scan_make(struct dm_commit *c, const char *namespace, const char *name,
                                   struct dm_commit_scan *out, struct dm_error *err)
{
    const struct table_commit *t = NULL;
    *out = (struct dm_commit_scan){0};
    if (lake_commit_table(c, namespace, name, &t, err) != DM_OK)
        return DM_FAIL;
    out->files = dm_xzalloc(t->n_live + t->n_added + 1, sizeof *out->files);
    out->vectors = dm_xzalloc(t->n_live + t->n_added + 1, sizeof *out->vectors);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < t->n_live && status == DM_OK; i++)
        if (t->live_removed == NULL || !t->live_removed[i])
            status = put_live(out, t, i, err);
    for (size_t i = 0; i < t->n_added && status == DM_OK; i++)
        if (!t->added[i].gone)
            put(out, &t->added[i].file, t->added[i].file.deleted, NULL);
    if (status != DM_OK)
        dm_commit_scan_release(out);
    return status;
}

void dm_commit_scan_release(struct dm_commit_scan *scan)
{
    for (size_t i = 0; i < scan->n; i++)
        if (scan->vectors[i] != NULL)
            roaring_bitmap_free(scan->vectors[i]);
    free(scan->vectors);
    free(scan->files);
    *scan = (struct dm_commit_scan){0};
}
