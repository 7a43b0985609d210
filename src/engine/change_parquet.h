/* change_parquet.h — inside engine/ only: a Parquet file as DuckDB must be given it so that its timestamps come in exactly.
 *
 * DuckDB 1.5 cuts timestamps that are adjusted to UTC and count nanoseconds to microseconds, and INT96 as well (format/parquet_footer.h).
 * A file with such a column that the dataset has is copied into an unnamed temporary file whose footer says "not adjusted", and "12 bytes";
 * `path` is that file's then, and it is remembered how the columns are read. Other files are read where they are. INT96 beside
 * other values in one column (a struct, a map) stays as DuckDB reads it, and a note says so.
 *
 *     struct dm_change_parquet p;
 *     if (dm_change_parquet_init(&p, path, temp_folder, schema, notes, err) != DM_OK) ...
 *     … read p.path; p.readings[i] says what column i is …
 *     dm_change_parquet_release(&p);
 */
#ifndef DM_ENGINE_CHANGE_PARQUET_H
#define DM_ENGINE_CHANGE_PARQUET_H

#include "engine/change_columns.h"

enum dm_parquet_reading {
    DM_PARQUET_PLAIN, /* what DuckDB says */
    DM_PARQUET_ZONED, /* TIMESTAMP_NS is in UTC */
    DM_PARQUET_INT96, /* BLOB is INT96 */
};

struct dm_change_parquet {
    char *path; /* to be read */
    int fd;     /* of the copy; -1: there is none */
    size_t n;   /* columns up to the last that is not plain */
    enum dm_parquet_reading *readings;
};

/* On failure there is nothing to release. temp_folder may be NULL: the system's. */
enum dm_status dm_change_parquet_init(struct dm_change_parquet *p, const char *path, const char *temp_folder,
                                      const struct dm_schema *schema, struct dm_change_notes *notes,
                                      struct dm_error *err) DM_MUST_USE;
void dm_change_parquet_release(struct dm_change_parquet *p);

#endif
