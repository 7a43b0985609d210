/* change_parquet.h — inside engine/ only: a Parquet file as DuckDB must be given it so that its timestamps come in exactly.
 *
 * DuckDB 1.5 cuts timestamps that are adjusted to UTC and count nanoseconds to microseconds (format/parquet_footer.h). A file with such
 * a column that the dataset has is copied into an unnamed temporary file whose footer says "not adjusted"; `path` is that file's then,
 * and the columns are remembered, for their values are moments. Other files are read where they are.
 *
 *     struct dm_change_parquet p;
 *     if (dm_change_parquet_init(&p, path, temp_folder, schema, notes, err) != DM_OK) ...
 *     … read p.path; p.zoned[i] says of column i …
 *     dm_change_parquet_release(&p);
 */
#ifndef DM_ENGINE_CHANGE_PARQUET_H
#define DM_ENGINE_CHANGE_PARQUET_H

#include "engine/change_columns.h"

struct dm_change_parquet {
    char *path;  /* to be read */
    int fd;      /* of the copy; -1: there is none */
    size_t n;    /* columns up to the last that is zoned */
    bool *zoned; /* read as TIMESTAMP_NS, and in UTC */
};

/* On failure there is nothing to release. temp_folder may be NULL: the system's. */
enum dm_status dm_change_parquet_init(struct dm_change_parquet *p, const char *path, const char *temp_folder,
                                      const struct dm_schema *schema, struct dm_change_notes *notes,
                                      struct dm_error *err) DM_MUST_USE;
void dm_change_parquet_release(struct dm_change_parquet *p);

#endif
