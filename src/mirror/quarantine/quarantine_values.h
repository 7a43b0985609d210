/* quarantine_values.h — what rows in quarantine say of some of their columns, as far as their content can be read: who asks which rows belong to a key, or refer to one.
 *
 *     dm_quarantine_values_each(db, dataset, schema, columns, n, fn, ctx, err);
 */
#ifndef DM_MIRROR_QUARANTINE_VALUES_H
#define DM_MIRROR_QUARANTINE_VALUES_H

#include "column/batch.h"

struct sqlite3;

struct dm_quarantine_values {
    int64_t id;
    /* One row of the columns that were asked for, in that order; null: there is no such value, or it is none of the column's type. */
    const struct dm_batch *row;
    bool unreadable; /* its content is no row by names of columns: nothing but perhaps its key is known */
};
typedef enum dm_status (*dm_quarantine_values_fn)(void *ctx, const struct dm_quarantine_values *v,
                                                  struct dm_error *err);
/* All rows of the dataset in quarantine, waiting ones, too. `columns`: indexes into the schema. */
enum dm_status dm_quarantine_values_each(struct sqlite3 *db, uint32_t dataset, const struct dm_schema *schema,
                                         const uint32_t *columns, size_t n, dm_quarantine_values_fn fn,
                                         void *ctx, struct dm_error *err) DM_MUST_USE;

#endif
