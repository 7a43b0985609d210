/* pg_copy_binary.h — COPY's binary format, bytes to rows; no I/O (PostgreSQL manual, COPY, "Binary Format").
 *
 *   header   "PGCOPY\n\377\r\n\0", int32 flags, int32 length of an extension, the extension
 *   row      int16 number of fields, per field int32 length (-1 null) and bytes
 *   trailer  int16 -1
 *
 * The server happens to send whole rows, but the protocol does not promise it: what is left of a row waits in
 * the parser for the next bytes. Every length is checked. The parser owns its left-over bytes (init, release);
 * shape and batch are borrowed.
 *
 *     pg_copy_parser_init(&p, &shape);
 *     while (bytes come) { pg_copy_parser_feed(&p, bytes, n, batch, bad_row, ctx, err) … }
 */
#ifndef DM_SOURCE_POSTGRES_PG_COPY_BINARY_H
#define DM_SOURCE_POSTGRES_PG_COPY_BINARY_H

#include "source/postgres/pg_row.h"
#include "source/source.h"

struct pg_copy_parser {
    const struct pg_row_shape *shape;
    struct dm_buffer rest;       /* the beginning of a row */
    struct pg_raw_value *values; /* of the row that does not fit, n_fields */
    bool guarded; /* one field more: the size of a row whose long values were left with the server, or null */
    bool header_seen;
    bool ended; /* the trailer came */
};

void pg_copy_parser_init(struct pg_copy_parser *p, const struct pg_row_shape *shape);
void pg_copy_parser_release(struct pg_copy_parser *p);
/* Appends the complete rows to `batch` as DM_OP_COPY. Bytes that are not this format are a FATAL error. */
enum dm_status pg_copy_parser_feed(struct pg_copy_parser *p, const uint8_t *bytes, size_t n,
                                   struct dm_batch *batch, dm_bad_row_fn bad_row, void *ctx,
                                   struct dm_error *err) DM_MUST_USE;

#endif
