/* parquet_footer.h — finds in a Parquet footer the timestamps that DuckDB 1.5 reads inexactly. Bytes only, no I/O.
 *
 * A footer is a Thrift struct FileMetaData in the compact protocol; its field 2 lists the schema's elements, a tree in the order of a walk
 * (num_children says how many of those behind are an element's own). Two kinds of leaves matter:
 *   - TIMESTAMP(isAdjustedToUTC = true, NANOS), which DuckDB cuts to microseconds, while it reads one that is not adjusted as it is. The
 *     flag is the low half of one byte, the header of a Thrift bool: with it turned to `false` the file's values come in exactly;
 *   - INT96, the older form of the same, which DuckDB cuts, too. A value is 12 bytes, in dictionaries as well, and so is one of
 *     FIXED_LEN_BYTE_ARRAY(12): with that as its type DuckDB gives the bytes. The footer grows, for that type has a length.
 *
 * What is handed to the function is borrowed for the call. No state, no allocation; thread safe. Failure: a DATA error for bytes that are
 * no footer, or what the function returns.
 * Source: parquet-format, parquet.thrift (FileMetaData, SchemaElement, LogicalType); Thrift compact protocol specification.
 *
 *     if (dm_parquet_footer_moments(footer, n, take, ctx, err) != DM_OK) ...
 *     n = dm_parquet_footer_exact(footer, n, moments, n_moments, out);
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
    bool raw; /* INT96: its column holds nothing else and has no further annotation, so it may become bytes */
    size_t at;  /* where in the footer its flag is, or INT96 */
    size_t end; /* INT96: where its element ends in the footer */
};

typedef enum dm_status (*dm_parquet_moment_fn)(void *ctx, const struct dm_parquet_moment *moment,
                                               struct dm_error *err);

enum dm_status dm_parquet_footer_moments(const uint8_t *footer, size_t n, dm_parquet_moment_fn fn, void *ctx,
                                         struct dm_error *err) DM_MUST_USE;

enum { DM_PARQUET_MOMENT_GROWTH = 3 }; /* bytes by which one moment makes the footer longer, at most */

/* Writes the footer so that DuckDB reads these moments exactly: flags false, INT96 (only `raw` ones) as FIXED_LEN_BYTE_ARRAY(12). They
 * are some of those found in this very footer, in that order. `out` has room for n + n_moments * DM_PARQUET_MOMENT_GROWTH bytes. Returns how
 * many it has now. */
size_t dm_parquet_footer_exact(const uint8_t *footer, size_t n, const struct dm_parquet_moment *moments,
                               size_t n_moments, uint8_t *out);

#endif
