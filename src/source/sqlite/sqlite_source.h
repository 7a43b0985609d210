/* sqlite_source.h — what the files of the SQLite source share: the opened source, and the functions behind
 * dm_source_sqlite.
 *
 * A source holds no connection: copy and stream open their own, so nothing is shared between threads. See
 * source/source.h for contracts.
 */
#ifndef DM_SOURCE_SQLITE_SOURCE_H
#define DM_SOURCE_SQLITE_SOURCE_H

#include "source/source.h"

struct dm_source {
    const struct dm_source_config *config; /* borrowed, lives as long as the source */
    dm_position recognised;                /* the log was recognised as the one read up to here … */
    struct dm_log_mark mark;               /* … by this */
};

enum dm_status dm_sqlite_copy_open_held(struct dm_source *s, struct dm_copy **out, dm_position *at,
                                        struct dm_error *err) DM_MUST_USE;
void dm_sqlite_copy_let_writers(struct dm_copy *c);
enum dm_status dm_sqlite_copy_open(struct dm_source *s, struct dm_copy **out, dm_position *at,
                                   struct dm_error *err);
void dm_sqlite_copy_close(struct dm_copy *c);
enum dm_status dm_sqlite_copy_tables(struct dm_copy *c, struct dm_table_list *out, struct dm_error *err);
enum dm_status dm_sqlite_copy_parts(struct dm_copy *c, const struct dm_table *t, size_t workers,
                                    size_t *parts, struct dm_error *err);
enum dm_status dm_sqlite_copy_read(struct dm_copy *c, const struct dm_table *t, size_t part, size_t parts,
                                   struct dm_copy_reader **out, struct dm_error *err);
enum dm_status dm_sqlite_copy_next(struct dm_copy_reader *r, struct dm_batch *batch, size_t max_rows,
                                   size_t max_bytes, dm_bad_row_fn bad_row, void *ctx, struct dm_error *err);
void dm_sqlite_copy_reader_close(struct dm_copy_reader *r);

enum dm_status dm_sqlite_stream_open(struct dm_source *s, dm_position from, struct dm_stream **out,
                                     struct dm_error *err);
enum dm_status dm_sqlite_stream_poll(struct dm_stream *st, const struct dm_sink *sink, int timeout_ms,
                                     struct dm_error *err);
void dm_sqlite_stream_ack(struct dm_stream *st, dm_position position);
uint64_t dm_sqlite_stream_lag(struct dm_stream *st, dm_position position);
void dm_sqlite_stream_close(struct dm_stream *st);

enum dm_status dm_sqlite_advice(struct dm_source *s, char **text, struct dm_error *err);
enum dm_status dm_sqlite_check(struct dm_source *s, const struct dm_source_start *start,
                               const struct dm_table_list *tables, struct dm_check_list *out,
                               struct dm_error *err);

#endif
