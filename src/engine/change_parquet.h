/* change_parquet.h — inside engine/ only: a Parquet file as DuckDB must be given it so that every value comes in as it is in the file.
 *
 * DuckDB 1.5 converts while it reads, and what it makes is not always what was there: it wraps narrow integers and decimals around, makes doubles of
 * decimals of more than 38 digits, cuts nanoseconds, takes the ends of 64 bits of milliseconds for infinite; and for one value that it cannot convert
 * (a text that is not UTF-8, JSON that is none, a time out of its range) it refuses the whole file. So where its type of a column is not exactly the bits in the
 * file (parquet_leaf.c has the list) the file is copied into an unnamed temporary file whose footer does not say what the column means
 * (format/parquet_footer.h): DuckDB gives the bare integers or bytes, and value_bare.h makes values of them. Files that need none of that
 * are read where they are.
 *
 * `everything`: no column keeps its annotation, so no value can fail; for a second try, after DuckDB refused the file.
 * Page checksums are verified on the way (parquet_pages.h).
 *
 *     struct dm_change_parquet p;
 *     if (dm_change_parquet_init(&p, path, temp_folder, false, err) != DM_OK) ...
 *     … read p.path; for column i of the result: if (!dm_change_parquet_type(&p, i, &types[i])) nobody can tell what its values are …
 *     dm_change_parquet_release(&p);
 */
#ifndef DM_ENGINE_CHANGE_PARQUET_H
#define DM_ENGINE_CHANGE_PARQUET_H

#include "engine/parquet_leaf.h"

struct dm_change_parquet {
    char *path; /* to be read */
    int fd;     /* of the copy; -1: there is none */
    size_t n;
    struct dm_parquet_meaning *leaves; /* in the order of the schema */
};

/* On failure there is nothing to release. temp_folder may be NULL: the system's. */
enum dm_status dm_change_parquet_init(struct dm_change_parquet *p, const char *path, const char *temp_folder,
                                      bool everything, struct dm_error *err) DM_MUST_USE;
void dm_change_parquet_release(struct dm_change_parquet *p);
/* Writes into DuckDB's type of a column what its values mean. False: that is not known. */
bool dm_change_parquet_type(const struct dm_change_parquet *p, size_t column, struct dm_value_type *type);

#endif
