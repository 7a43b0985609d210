/* parquet_footer.h — finds in a Parquet footer the timestamps that DuckDB 1.5 reads inexactly. Bytes only, no I/O.
 *
 * A footer is a Thrift struct FileMetaData in the compact protocol; its field 2 lists the schema's elements, a tree in the order of a walk
 * (num_children says how many of those behind are an element's own). Two kinds of leaves matter:
 *   - TIMESTAMP(isAdjustedToUTC = true, NANOS), which DuckDB cuts to microseconds, while it reads one that is not adjusted as it is. The
 *     flag is the low half of one byte, the header of a Thrift bool: with it turned to `false` the file's values come in exactly;
 *   - INT96, the older form of the same, which DuckDB cuts, too, and for which nothing can be done.
 *
 * What is handed to the function is borrowed for the call. No state, no allocation; thread safe. Failure: a DATA error for bytes that are
 * no footer, or what the function returns.
 * Source: parquet-format, parquet.thrift (FileMetaData, SchemaElement, LogicalType); Thrift compact protocol specification.
 *
 *     if (dm_parquet_footer_moments(footer, n, take, ctx, err) != DM_OK) ...
 *     footer[moment->at] = dm_parquet_not_adjusted(footer[moment->at]);
 */
#ifndef DM_FORMAT_PARQUET_FOOTER_H
#define DM_FORMAT_PARQUET_FOOTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct dm_parquet_moment {
    const char
        *name; /* of the column, a child of the root, that the leaf is or is part of; not ended by a NUL */
    size_t name_n;
    size_t column; /* its number among the root's children, from 0 */
    bool int96;
    size_t at; /* not INT96: where in the footer its flag is */
};

typedef enum dm_status (*dm_parquet_moment_fn)(void *ctx, const struct dm_parquet_moment *moment,
                                               struct dm_error *err);

enum dm_status dm_parquet_footer_moments(const uint8_t *footer, size_t n, dm_parquet_moment_fn fn, void *ctx,
                                         struct dm_error *err) DM_MUST_USE;

/* The byte of the flag, false. */
static inline uint8_t dm_parquet_not_adjusted(uint8_t flag)
{
    return (uint8_t)((flag & 0xf0) | 2);
}

#endif
