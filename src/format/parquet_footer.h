/* parquet_footer.h — what a Parquet footer says of its columns, and the footer that says less. Bytes only, no I/O.
 *
 * A footer is a Thrift struct FileMetaData in the compact protocol. Its field 2 lists the schema's elements, a tree in the order of a walk; its
 * leaves are the columns that hold values, in a physical type (INT64) that may be annotated (TIMESTAMP of milliseconds in UTC): by a logical
 * type, or by a converted type, the older form of the same. Its field 4 says where the pages of each leaf are.
 *
 * Whoever reads the file by a footer without a leaf's annotation gets the bare physical values, whatever they are. That is what
 * dm_parquet_footer_bare makes. INT96, which is an annotation by itself, becomes FIXED_LEN_BYTE_ARRAY(12): its values are 12 bytes, in dictionaries
 * as well.
 *
 * The lists belong to struct dm_parquet_schema; names are borrowed from the footer. No state; thread safe. Failure: a DATA error.
 * Source: parquet-format, parquet.thrift (FileMetaData, SchemaElement, LogicalType, ConvertedType, RowGroup, ColumnMetaData).
 *
 *     struct dm_parquet_schema s;
 *     if (dm_parquet_schema_read(&s, footer, n, err) != DM_OK) ...
 *     s.leaves[3].bare = true;
 *     n = dm_parquet_footer_bare(footer, n, &s, out);
 *     dm_parquet_schema_release(&s);
 */
#ifndef DM_FORMAT_PARQUET_FOOTER_H
#define DM_FORMAT_PARQUET_FOOTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum dm_parquet_physical {
    DM_PARQUET_BOOLEAN = 0,
    DM_PARQUET_INT32 = 1,
    DM_PARQUET_INT64 = 2,
    DM_PARQUET_INT96 = 3,
    DM_PARQUET_FLOAT = 4,
    DM_PARQUET_DOUBLE = 5,
    DM_PARQUET_BYTE_ARRAY = 6,
    DM_PARQUET_FIXED = 7,
};

enum dm_parquet_logical {
    DM_PARQUET_NONE = 0,
    DM_PARQUET_STRING, /* also ENUM */
    DM_PARQUET_JSON,
    DM_PARQUET_BSON,
    DM_PARQUET_UUID,
    DM_PARQUET_HALF,
    DM_PARQUET_NULL, /* all are null, whatever the physical type */
    DM_PARQUET_DATE,
    DM_PARQUET_TIME,
    DM_PARQUET_TIMESTAMP,
    DM_PARQUET_INTERVAL,
    DM_PARQUET_INTEGER,
    DM_PARQUET_DECIMAL,
    DM_PARQUET_OTHER, /* one that is not known here, or that says nothing about bytes */
};

struct dm_parquet_leaf {
    size_t column; /* which of the root's children it is or is below, from 0 */
    const char *name;
    size_t name_n;
    int64_t physical; /* enum dm_parquet_physical, or what stands there */
    int64_t length;   /* FIXED */
    enum dm_parquet_logical logical;
    int64_t scale, precision; /* DECIMAL */
    int64_t per_second;       /* TIME, TIMESTAMP; 0: a unit that is not known */
    bool utc;                 /* TIME, TIMESTAMP: said to be adjusted; converted types say nothing */
    int64_t bits;             /* INTEGER */
    bool is_signed;
    bool contradictory; /* logical and converted type say different things: the logical one is taken */
    bool bare;          /* for dm_parquet_footer_bare: set by the caller */
    size_t begin, end;  /* its element in the footer */
    int64_t repetition, field_id;
    bool has_repetition, has_field_id;
};

struct dm_parquet_schema {
    size_t n_columns; /* children of the root */
    size_t n, capacity;
    struct dm_parquet_leaf *leaves;
};

enum dm_status dm_parquet_schema_read(struct dm_parquet_schema *s, const uint8_t *footer, size_t n,
                                      struct dm_error *err) DM_MUST_USE;
void dm_parquet_schema_release(struct dm_parquet_schema *s);

enum { DM_PARQUET_BARE_GROWTH = 4 }; /* bytes by which one leaf makes the footer longer, at most */

/* Writes the footer without the annotations of the leaves that are `bare`. The schema is this very footer's. `out` has room for
 * n + schema->n * DM_PARQUET_BARE_GROWTH bytes. Returns how many it has now. */
size_t dm_parquet_footer_bare(const uint8_t *footer, size_t n, const struct dm_parquet_schema *schema,
                              uint8_t *out);

/* The pages of one leaf in one row group; offset and bytes are what the footer says, whatever that is. */
struct dm_parquet_chunk {
    uint64_t row_group;
    uint64_t leaf;
    int64_t offset, bytes;
    int64_t values; /* of all its data pages, nulls included */
    bool elsewhere; /* in another file */
};

typedef enum dm_status (*dm_parquet_chunk_fn)(void *ctx, const struct dm_parquet_chunk *chunk,
                                              struct dm_error *err);
enum dm_status dm_parquet_footer_chunks(const uint8_t *footer, size_t n, dm_parquet_chunk_fn fn, void *ctx,
                                        struct dm_error *err) DM_MUST_USE;

#endif
