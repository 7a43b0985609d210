/* verify_rows.h — the rows of one table under a pinned snapshot, as a temporary Parquet file that verify can join with the lake.
 *
 * What is left out of the file is counted: rows that verify does not ask for (verify_left_out.h), and rows that do not fit their columns, which are in
 * quarantine. Some rows are in quarantine although reading them finds nothing wrong: only the stream could not apply them (a value that the source did not
 * send again). They are in the file, and the keys of those that may be such go into a second file, so that their absence from the lake is no difference.
 *
 *     struct dm_verify_rows rows = {.type = type, .copy = copy, .engine = engine, .folder = folder, .left_out = &left_out};
 *     dm_verify_rows_read(&rows, db, dataset, table, schema, plain, err);
 *     …
 *     dm_verify_rows_release(&rows);      // the files go
 */
#ifndef DM_MIRROR_VERIFY_ROWS_H
#define DM_MIRROR_VERIFY_ROWS_H

#include <stdatomic.h>

#include "mirror/verify/verify_left_out.h"
#include "source/source.h"

struct dm_verify_file {
    size_t n; /* 0 or 1 */
    struct dm_scan_file file;
    char *path;
};

struct dm_verify_rows {
    /* borrowed */
    const struct dm_source_type *type;
    struct dm_copy *copy;
    struct dm_engine *engine;
    const char *folder;
    struct dm_left_out *left_out;
    const atomic_int *stop; /* may be NULL */

    struct dm_verify_file all;
    struct dm_verify_file put_aside; /* the key columns of rows that the stream may have put aside */
    struct dm_schema *key_columns;   /* of put_aside: c0, c4, … of `plain` */
    uint64_t rows;                   /* in `all` */
    uint64_t unfit;                  /* not in `all`: they do not fit */
};

/* `plain` is `schema` with plain names (verify_sql.h). */
enum dm_status dm_verify_rows_read(struct dm_verify_rows *r, struct sqlite3 *db, uint32_t dataset,
                                   const struct dm_table *table, const struct dm_schema *schema,
                                   const struct dm_schema *plain, struct dm_error *err) DM_MUST_USE;
void dm_verify_rows_release(struct dm_verify_rows *r);

#endif
