#include "mirror/verify/verify_left_out.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

static enum dm_status read_latest(struct sqlite3 *db, uint32_t dataset, int64_t *us, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT max(time_us) FROM dm_suppression WHERE dataset = ?", -1, &st, NULL) !=
        SQLITE_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    sqlite3_bind_int64(st, 1, dataset);
    int code = sqlite3_step(st);
    *us = code == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? DM_OK
                              : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
}

enum dm_status dm_left_out_load(struct sqlite3 *db, const char *lake, const char *name, uint32_t dataset,
                                const struct dm_schema *schema, struct dm_left_out *l, struct dm_error *err)
{
    *l = (struct dm_left_out){.expiry = {.field = -1}};
    if (dm_suppression_open(db, lake, false, &l->suppression, err) != DM_OK)
        return DM_FAIL;
    l->set = dm_suppression_of(l->suppression, dataset);
    if (l->set != NULL && read_latest(db, dataset, &l->latest_us, err) != DM_OK)
        return DM_FAIL;
    return dm_expiry_of(db, name, schema, dm_clock_wall_us(), &l->expiry, err);
}

void dm_left_out_release(struct dm_left_out *l)
{
    for (size_t i = 0; i < l->n_bitmaps; i++)
        roaring_bitmap_free(l->bitmaps[i]);
    free(l->bitmaps);
    dm_suppressed_unref(l->set);
    dm_suppression_close(l->suppression);
    *l = (struct dm_left_out){.expiry = {.field = -1}};
}

enum dm_status dm_left_out_select(struct dm_left_out *l, const struct dm_batch *batch, uint32_t *selection,
                                  size_t *n, struct dm_error *err)
{
    if (l->set != NULL) {
        if (dm_suppress_select(l->set, batch, selection, n, &l->suppressed, err) != DM_OK)
            return DM_FAIL;
    } else {
        *n = batch->rows;
        for (size_t i = 0; i < batch->rows; i++)
            selection[i] = (uint32_t)i;
    }
    size_t kept = 0;
    for (size_t i = 0; i < *n && l->expiry.field >= 0; i++) {
        bool passed = dm_expiry_passed(&l->expiry, &batch->columns[l->expiry.field], selection[i]);
        l->expired += passed;
        if (!passed)
            selection[kept++] = selection[i];
    }
    if (l->expiry.field >= 0)
        *n = kept;
    return DM_OK;
}

/* ---- the lake's side ---- */

struct hiding {
    struct dm_left_out *l;
    roaring_bitmap_t **of; /* per file; number is its index */
};

static void hide(void *ctx, uint32_t file, uint32_t position)
{
    struct hiding *h = ctx;
    h->l->hidden++;
    roaring_bitmap_add(h->of[file], position);
}

enum dm_status dm_left_out_hide(struct dm_left_out *l, struct dm_engine *engine, struct dm_scan_file *files,
                                size_t n, const struct dm_schema *schema, struct dm_error *err)
{
    if (l->expiry.field < 0 || n == 0)
        return DM_OK;
    struct dm_scan_file *numbered = dm_xalloc(n * sizeof *numbered);
    l->bitmaps = dm_xzalloc(n, sizeof *l->bitmaps);
    for (size_t i = 0; i < n; i++) {
        numbered[i] = files[i];
        numbered[i].number = (uint32_t)i;
        l->bitmaps[l->n_bitmaps++] =
            files[i].deleted != NULL ? roaring_bitmap_copy(files[i].deleted) : roaring_bitmap_create();
    }
    struct hiding h = {.l = l, .of = l->bitmaps};
    enum dm_status status = dm_expire_find(engine, numbered, n, schema, &l->expiry, hide, &h, err);
    for (size_t i = 0; i < n; i++)
        files[i].deleted = l->bitmaps[i];
    free(numbered);
    return status;
}
