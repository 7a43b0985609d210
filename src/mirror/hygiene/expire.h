/* expire.h — rows that are removed from the lake when they are old: `expire: P3M` of a relational schema, by its timestamp, else by a version that is a time.
 *
 * A row is past its expiry when its time lies before now minus the period (calendar months, UTC). Rows without a time, and infinite ones, stay. Expiry is not
 * deletion by order: nothing is suppressed, and a row that comes later with an old time is removed by the next run. History keeps its rows. Of a declared dataset the
 * removed keys leave no tombstone; an older one that is still there counts again.
 * The order "expire": {"dataset": … (none: all), "dry_run": true} → {"datasets": [{"dataset", "before", "rows"}]}. A running mirror does it by itself now and then.
 */
#ifndef DM_MIRROR_EXPIRE_H
#define DM_MIRROR_EXPIRE_H

#include "engine/parquet_read.h"
#include "mirror/order/order.h"

struct sqlite3;

/* What is past its expiry now. */
struct dm_expiry {
    int field; /* of the schema; -1: nothing expires */
    struct dm_type type;
    int64_t cutoff_us; /* wall clock */
};
/* By the registry. */
enum dm_status dm_expiry_of(struct sqlite3 *db, const char *dataset, const struct dm_schema *schema,
                            int64_t now_us, struct dm_expiry *out, struct dm_error *err) DM_MUST_USE;
/* The value of the expiry's column. */
bool dm_expiry_passed(const struct dm_expiry *e, const struct dm_column *c, size_t row);

typedef void (*dm_expire_hit)(void *ctx, uint32_t file, uint32_t position);
/* Visible rows of the files that are past it. */
enum dm_status dm_expire_find(struct dm_engine *engine, const struct dm_scan_file *files, size_t n,
                              const struct dm_schema *schema, const struct dm_expiry *e, dm_expire_hit fn,
                              void *ctx, struct dm_error *err) DM_MUST_USE;

extern const struct dm_order_kind dm_order_expire;
/* All datasets that have an expiry; cheap when none has. Lake mutex not held. */
enum dm_status dm_expire_all(struct dm_mirror *m, struct dm_error *err) DM_MUST_USE;

#endif
