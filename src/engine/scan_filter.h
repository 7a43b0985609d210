/* scan_filter.h — inside engine/ only: leaves out rows by position while DuckDB scans files.
 *
 * dm_visible_<number>(file_index, file_row_number) is true for rows that the reader wants; file_index counts the files of the
 * read_parquet list. With the row number alone it means the only file, and DuckDB then evaluates it inside the scan. The filter is borrowed and only read, by all threads of the scan.
 */
#ifndef DM_ENGINE_SCAN_FILTER_H
#define DM_ENGINE_SCAN_FILTER_H

#include <duckdb.h>
#include <roaring/roaring.h>

#include "base/error.h"

struct dm_scan_filter {
    size_t n_files;
    const roaring_bitmap_t *const *positions; /* per file; NULL: no position */
    bool keep; /* true: only these positions are visible; false: all others are */
};

/* Registers dm_visible_<number> on the connection; it reads `*slot` at the time of each query. */
enum dm_status dm_scan_filter_register(duckdb_connection c, unsigned number,
                                       const struct dm_scan_filter **slot, struct dm_error *err) DM_MUST_USE;

#endif
