/* change_reader.h — changes from files and queries into batches: CSV, NDJSON and JSON, Parquet (each also gzip or zstd), and the result of a SQL query.
 *
 * Columns are matched by name with those of `schema` (the dataset's). A column that tells the kind of change is recognised, taken for it, and not stored
 * (unless the schema itself has a column of that name): `_change_request_type` (u/U/d/D; null or absent: upsert), `__rowMarker__` (0 insert, 1 update,
 * 2 delete, 4 upsert), `_CHANGE_TYPE` (INSERT, UPDATE/UPSERT, DELETE); a Debezium envelope (before/after/op, also inside "payload") is unwrapped, and a row that
 * Debezium flattened is recognised by `__op` (c, r, u, d) or `__deleted` (true, false): its other columns that begin with __ are not stored, unless the schema has them.
 * Batch rows are DM_OP_UPDATE (upsert) or DM_OP_DELETE; batch->subxids[row] is the row's line (text formats) or number (others), from 1.
 * A row that cannot be read as a change of this schema goes to `bad_row` with reason, line and raw content, and reading goes on:
 *   corrupt_row, ragged_row, wrong_type, value_out_of_range, invalid_utf8, missing_required, null_key, missing_version, unknown_change_type,
 *   row_too_large, not_allowed_value, value_too_long, value_too_short
 * Its raw content is JSON that reads back as a change of the same meaning (through this reader): an object of the values as they were spelled;
 * where there is no such object, an array (ragged row) or a text (corrupt, too large: cut) that stays bad. Bytes that are not UTF-8 stand in it as \udcXX.
 * A cell that holds a placeholder for "unchanged" (change_unavailable.h) becomes a value of state DM_UNCHANGED; of a key or version it is unchanged_value_unknown.
 * A delete needs its key (and version, when `version_field` is set) only; its other values may be absent or malformed.
 * A file that cannot be read as a whole (truncated gzip, not the format, a required column is missing from the header) fails with a DATA error that names file
 * and remedy; rows delivered before are the caller's to discard.
 *
 * One thread a reader; the rows come in the order of the file. Ownership: the reader borrows schema and engine until closed.
 *
 *     struct dm_change_options options = {.version_field = 3};
 *     dm_change_reader_open(engine, "orders.csv.gz", schema, &options, &r, err);
 *     do status = dm_change_reader_next(r, batch, 65536, 16 << 20, bad, ctx, err); … while (status == DM_OK);   // DM_END: done
 *     dm_change_reader_close(r);
 */
#ifndef DM_ENGINE_CHANGE_READER_H
#define DM_ENGINE_CHANGE_READER_H

#include "engine/engine.h"
#include "engine/sql.h"

enum dm_change_format { DM_CHANGES_AUTO = 0, DM_CHANGES_CSV, DM_CHANGES_JSON, DM_CHANGES_PARQUET };

/* What a text column may hold beyond its type; by index of the schema's field. */
struct dm_column_rule {
    size_t n_allowed;
    char *const *allowed;
    uint32_t min_length, max_length; /* code points; 0: no limit */
};

struct dm_change_options {
    enum dm_change_format format; /* AUTO: by file name, else by content */
    char delimiter;               /* CSV; 0: found out */
    const char *null_text; /* CSV: what means null besides nothing; NULL: only the empty unquoted field */
    bool
        strict_columns; /* a column that the schema does not have is an error (default: ignored, and said so in notes) */
    bool
        untyped_nulls; /* an INTEGER column may be an untyped NULL: fine for a column of any type, as long as its values are null */
    const char *guessed; /* queries: the reader of a text file whose types DuckDB guessed; NULL: none */
    const char *
        unavailable; /* what stands for a value that did not change, besides DM_UNAVAILABLE_VALUE; NULL: nothing */
    int version_field;                  /* index in the schema; -1: none */
    const struct dm_column_rule *rules; /* one per field; NULL: none */
    size_t max_row_bytes;               /* default 0: 16 MiB; longer rows are row_too_large */
    uint64_t
        max_unpacked_bytes; /* text formats: an input that unpacks to more is a DATA error; 0: no limit */
};

struct dm_change_reader;

/* Called for each row that does not fit; row->place is NULL, `line` says where. */
typedef enum dm_status (*dm_bad_change_fn)(void *ctx, uint64_t line, const struct dm_bad_row *row,
                                           struct dm_error *err);

/* path: a file. For standard input the caller spools it to a file first. */
enum dm_status dm_change_reader_open(struct dm_engine *e, const char *path, const struct dm_schema *schema,
                                     const struct dm_change_options *options, struct dm_change_reader **out,
                                     struct dm_error *err) DM_MUST_USE;
/* The rows of a query in an open session (format and delimiter are ignored). */
enum dm_status dm_change_reader_query(struct dm_sql *sql, const char *query, const struct dm_schema *schema,
                                      const struct dm_change_options *options, struct dm_change_reader **out,
                                      struct dm_error *err) DM_MUST_USE;
/* CSV or JSON in memory (a request, a row of the quarantine); the bytes are copied, `name` is for messages. */
enum dm_status dm_change_reader_open_memory(const char *name, const void *bytes, size_t n,
                                            const struct dm_schema *schema,
                                            const struct dm_change_options *options,
                                            struct dm_change_reader **out, struct dm_error *err) DM_MUST_USE;
/* Appends up to max_rows rows or about max_bytes. DM_OK: there may be more; DM_END: the input is done (the batch may hold rows). */
enum dm_status dm_change_reader_next(struct dm_change_reader *r, struct dm_batch *batch, size_t max_rows,
                                     size_t max_bytes, dm_bad_change_fn bad, void *ctx,
                                     struct dm_error *err) DM_MUST_USE;
/* For people: "column \"_change_request_type\" tells the kind of change and is not stored", "columns not in the schema: x, y". Borrowed. */
const char *const *dm_change_reader_notes(const struct dm_change_reader *r, size_t *n);
/* How much of the input was read, for progress; total 0: unknown. */
void dm_change_reader_progress(const struct dm_change_reader *r, uint64_t *done, uint64_t *total);
void dm_change_reader_close(struct dm_change_reader *r);

#endif
