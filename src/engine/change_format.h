/* change_format.h — inside engine/ only: what each format of change_reader.h implements, and what they share.
 *
 * A format is opened with the input (NULL: it has its own) standing at its first byte, and its `state`; `next` appends rows until one of the
 * limits is reached, through reader->row. `name` is the file's for messages; the reader puts it in front of errors that do not name it.
 */
#ifndef DM_ENGINE_CHANGE_FORMAT_H
#define DM_ENGINE_CHANGE_FORMAT_H

#include "engine/change_columns.h"
#include "engine/change_input.h"

struct dm_change_limits {
    size_t rows, bytes; /* of the batch's growth in this call */
};

struct dm_change_format_type {
    enum dm_status (*next)(struct dm_change_reader *r, struct dm_batch *batch, struct dm_change_limits limits,
                           struct dm_error *err);
    void (*close)(struct dm_change_reader *r);
};

struct dm_change_reader {
    const struct dm_change_format_type *format;
    void *state;
    char *name;
    struct dm_change_options options;
    struct dm_change_input input; /* text formats */
    struct dm_change_row row;
    struct dm_change_notes notes;
    uint64_t rows_done, rows_total; /* formats without an input */
    bool ended;
};

/* On failure the state is released by `close` all the same. */
enum dm_status dm_change_csv_open(struct dm_change_reader *r, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_change_json_open(struct dm_change_reader *r, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_change_parquet_open(struct dm_change_reader *r, struct dm_engine *e, const char *path,
                                      struct dm_error *err) DM_MUST_USE;
enum dm_status dm_change_query_open(struct dm_change_reader *r, struct dm_sql *sql, const char *query,
                                    struct dm_error *err) DM_MUST_USE;

#endif
