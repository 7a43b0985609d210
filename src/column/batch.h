/* batch.h — changes of one table in the order they happened: typed columns plus one operation a row.
 *
 * The batch owns its columns and a reference to its schema. Columns stand in the order of schema->fields.
 * A row is appended by appending one value to every column and then calling dm_batch_end_row; a row that turns
 * out bad half-way is undone by dm_batch_undo_row. dm_batch_clear keeps capacity.
 * A DELETE row holds the key columns; the others may be null. A key update is two rows: REKEY with the old key,
 * immediately followed by UPDATE with the new row. UNCHANGED values (PostgreSQL's unchanged TOAST) mean the
 * value of the stored row of the same key, or of the REKEY row's key when one stands before.
 *
 * Not thread safe; handed from thread to thread whole.
 */
#ifndef DM_COLUMN_BATCH_H
#define DM_COLUMN_BATCH_H

#include "column/column.h"
#include "column/schema.h"

enum dm_op {
    DM_OP_COPY = 1, /* a row of the initial copy */
    DM_OP_INSERT,
    DM_OP_UPDATE,
    DM_OP_DELETE,
    DM_OP_REKEY, /* the old key of the UPDATE that follows */
};

/* A position in a source's log; totally ordered per source; 0 is "before everything". */
typedef uint64_t dm_position;

/* How a source's log is told from another one that gives out the same positions: which log it is, and what stands in it right
 * below a position. 0: not known, or the source's positions need no such thing. */
struct dm_log_mark {
    uint64_t log;
    uint64_t stamp;
};

struct dm_row_counts; /* mirror/commit/row_counts.h */

/* One source transaction, or one input of an intake (a file, a request). */
struct dm_txn {
    uint64_t xid;           /* the source's transaction id; 0 unknown */
    dm_position visible_at; /* a snapshot at X contains the transaction exactly when visible_at < X */
    dm_position position;   /* the log position after it: what is acknowledged; 0 until its commit is seen */
    int64_t commit_time_us; /* source commit time, microseconds since 1970 UTC; 0 until its commit is seen */
    const char *
        origin; /* of an intake: what it is ("orders.csv"); bad rows get the place "<origin>:<line>"; borrowed */
    struct dm_row_counts *counts; /* of an intake: where its rows are counted; borrowed; NULL: nobody asks */
    struct dm_log_mark mark;      /* of the log at `position` */
};

struct dm_batch {
    const struct dm_schema *schema; /* owned reference */
    size_t n_columns;
    struct dm_column *columns;
    size_t rows;
    size_t capacity;
    uint8_t *ops; /* enum dm_op per row */
    uint32_t *
        txns; /* per row: index of its transaction in the commit unit (mirror/ fills it in; history needs it) */
    uint32_t *
        subxids; /* per row: subtransaction id of a streamed transaction; the line of a file or request; else 0 */
    uint32_t txn;    /* value that dm_batch_end_row gives to txns */
    uint32_t subxid; /* value that dm_batch_end_row gives to subxids */
};

/* A row that cannot be applied, on its way to quarantine. All texts are borrowed for the call. */
struct dm_bad_row {
    const char *reason;  /* short code: value_out_of_range, invalid_utf8, null_key, … */
    const char *message; /* for people: column, value, rule */
    const char *key;     /* the key as text when known, else NULL */
    const char *raw;     /* the whole row as JSON text (source spelling of the values) */
    uint64_t raw_bytes;  /* 0: raw is whole; else what the row had, raw being only what is kept of it */
    const char *place;   /* "orders.csv:17"; NULL: the position of its transaction */
    enum dm_op op;
};

struct dm_batch *dm_batch_new(const struct dm_schema *schema);
void dm_batch_free(struct dm_batch *b); /* NULL is fine */
void dm_batch_clear(struct dm_batch *b);
size_t dm_batch_bytes(const struct dm_batch *b);
/* Of the values of a row, which need not be ended yet. */
size_t dm_batch_row_bytes(const struct dm_batch *b, size_t row);
/* All columns must have rows + 1 values. */
void dm_batch_end_row(struct dm_batch *b, enum dm_op op);
/* Drops the values appended after the last dm_batch_end_row. */
void dm_batch_undo_row(struct dm_batch *b);
/* The last row is a REKEY: the UPDATE that belongs to it must come into the same batch. NULL: false. */
bool dm_batch_ends_in_rekey(const struct dm_batch *b);
/* Appends row `row` of `from` (a batch of an equal schema) with op, txn and subxid. */
enum dm_status dm_batch_append_row(struct dm_batch *b, const struct dm_batch *from, size_t row,
                                   struct dm_error *err) DM_MUST_USE;
/* The same for rows first … first + n, in one go. */
enum dm_status dm_batch_append_rows(struct dm_batch *b, const struct dm_batch *from, size_t first, size_t n,
                                    struct dm_error *err) DM_MUST_USE;

#endif
