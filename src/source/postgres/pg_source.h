/* pg_source.h — the opened PostgreSQL source: its connection, its names, and its operations file by file.
 *
 * struct dm_source is owned by whoever opened it; one thread at a time, except that copy readers and the
 * stream have connections of their own.
 */
#ifndef DM_SOURCE_POSTGRES_PG_SOURCE_H
#define DM_SOURCE_POSTGRES_PG_SOURCE_H

#include "source/postgres/pg_table.h"

struct dm_source {
    const struct dm_source_config *config; /* borrowed */
    const struct dm_source_waiter *waiter; /* borrowed; NULL: nobody */
    PGconn *conn;                          /* opened when first needed, again when broken */
    struct pg_type_cache types;
    char *slot;
    char *publication;         /* all changes */
    char *inserts_publication; /* append-only tables without identity: inserts and truncates */
    bool inserts_unread;       /* the stream that was opened does not name it, since it was not there */
};

/* The working connection. */
enum dm_status pg_source_connection(struct dm_source *s, PGconn **out, struct dm_error *err) DM_MUST_USE;
/* What discovery needs, over the given connection; sets the encoding check of the type cache. */
enum dm_status pg_source_catalog(const struct dm_source_config *config, PGconn *conn,
                                 struct pg_type_cache *types, struct pg_catalog *out,
                                 struct dm_error *err) DM_MUST_USE;
/* Moves the tables out of a pg list into a plain list. */
void pg_tables_take(struct pg_table_list *from, struct dm_table_list *to);

/* pg_basis.c: the server's, which takes a replication connection for a moment. */
enum dm_status pg_basis(struct dm_source *s, struct dm_basis *out, struct dm_error *err);
/* pg_publication.c */
/* prepare(), rolled back, and without the slot. */
enum dm_status pg_rehearse(struct dm_source *s, const struct dm_table_list *tables,
                           struct dm_error *err) DM_MUST_USE;
enum dm_status pg_prepare(struct dm_source *s, const struct dm_table_list *tables, struct dm_error *err);
enum dm_status pg_forget(struct dm_source *s, struct dm_error *err);
/* pg_slot.c */
enum dm_status pg_slot_create(struct dm_source *s, PGconn *conn, struct dm_error *err);
enum dm_status pg_slot_drop(struct dm_source *s, PGconn *conn, struct dm_error *err);
struct pg_slot_state {
    bool exists, lost, active;
    int active_pid;
    uint64_t confirmed;
    char plugin[64];
    char wal_status[16];
    char database[64];
};
enum dm_status pg_slot_read(PGconn *conn, const char *slot, struct pg_slot_state *out, struct dm_error *err);
/* Can a mirror go on with it whose lake stands at `from` (0: it begins)? A slot that does not exist can be made when it begins. */
enum dm_status pg_slot_judge(const struct dm_source *s, PGconn *conn, const struct pg_slot_state *slot,
                             dm_position from, struct dm_error *err) DM_MUST_USE;
/* The TRANSIENT error for one that somebody reads. */
enum dm_status pg_slot_in_use(const struct dm_source *s, const struct pg_slot_state *slot,
                              struct dm_error *err);
/* pg_check.c */
enum dm_status pg_check(struct dm_source *s, const struct dm_source_start *start,
                        const struct dm_table_list *tables, struct dm_check_list *out, struct dm_error *err);
/* pg_copy.c */
enum dm_status pg_copy_open(struct dm_source *s, struct dm_copy **out, dm_position *at, struct dm_error *err);
void pg_copy_close(struct dm_copy *c);
enum dm_status pg_copy_tables(struct dm_copy *c, struct dm_table_list *out, struct dm_error *err);
enum dm_status pg_copy_parts(struct dm_copy *c, const struct dm_table *t, size_t workers, size_t *parts,
                             struct dm_error *err);
enum dm_status pg_copy_read(struct dm_copy *c, const struct dm_table *t, size_t part, size_t parts,
                            struct dm_copy_reader **out, struct dm_error *err);
enum dm_status pg_copy_next(struct dm_copy_reader *r, struct dm_batch *batch, size_t max_rows,
                            size_t max_bytes, dm_bad_row_fn bad_row, void *ctx, struct dm_error *err);
void pg_copy_reader_close(struct dm_copy_reader *r);
/* pg_stream.c */
enum dm_status pg_stream_open(struct dm_source *s, dm_position from, struct dm_stream **out,
                              struct dm_error *err);
enum dm_status pg_stream_poll(struct dm_stream *st, const struct dm_sink *sink, int timeout_ms,
                              struct dm_error *err);
void pg_stream_ack(struct dm_stream *st, dm_position position);
uint64_t pg_stream_lag(struct dm_stream *st, dm_position position);
enum dm_status pg_stream_keepalive(struct dm_stream *st, struct dm_error *err) DM_MUST_USE;
void pg_stream_close(struct dm_stream *st);

#endif
