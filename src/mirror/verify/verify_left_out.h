/* verify_left_out.h — rows that a verify leaves out on purpose: those of keys that a person ordered deleted, and those past their expiry.
 *
 * Suppressed keys are expected to be absent: the source's rows of them are left out of the comparison, the lake's are not (one there is a difference). Rows past their
 * expiry at the moment of the verify are left out on both sides: those that the lake has removed, and those that it has not removed yet.
 *
 *     dm_left_out_load(db, lake, "shop.orders", dataset, schema, &l, err);
 *     dm_left_out_select(&l, batch, selection, &n, err);      // rows of the source
 *     dm_left_out_hide(&l, engine, files, n, err);            // of the lake: `deleted` of the files is replaced
 *     dm_left_out_release(&l);
 */
#ifndef DM_MIRROR_VERIFY_LEFT_OUT_H
#define DM_MIRROR_VERIFY_LEFT_OUT_H

#include "engine/parquet_read.h"
#include "mirror/hygiene/expire.h"
#include "mirror/hygiene/suppression.h"

struct dm_left_out {
    struct dm_suppression *suppression;
    struct dm_suppressed *set;
    int64_t latest_us; /* when the last of its keys was suppressed; 0: none */
    struct dm_expiry expiry;
    uint64_t suppressed; /* rows of the source */
    uint64_t expired;    /* rows of the source */
    uint64_t hidden;     /* rows of the lake */
    size_t n_bitmaps;
    roaring_bitmap_t **bitmaps;
};

enum dm_status dm_left_out_load(struct sqlite3 *db, const char *lake, const char *name, uint32_t dataset,
                                const struct dm_schema *schema, struct dm_left_out *l,
                                struct dm_error *err) DM_MUST_USE;
void dm_left_out_release(struct dm_left_out *l);
/* `selection` has room for all rows. */
enum dm_status dm_left_out_select(struct dm_left_out *l, const struct dm_batch *batch, uint32_t *selection,
                                  size_t *n, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_left_out_hide(struct dm_left_out *l, struct dm_engine *engine, struct dm_scan_file *files,
                                size_t n, const struct dm_schema *schema, struct dm_error *err) DM_MUST_USE;

#endif
