/* source.h — what every source implements. To add a source: a folder here and one line in source.c.
 *
 * A source is opened once; it discovers tables, prepares its own change capture (publication and slot,
 * triggers), copies tables under one pinned snapshot, and streams transactions in commit order.
 *
 * Threads: open, tables, check, prepare, copy_open and the copy's close run in one thread. dm_copy readers run in parallel,
 * one thread each. One stream, polled by one thread; stream_ack and stream_lag may be called from another thread.
 * Ownership: what `open` functions give is closed by the matching close. Tables are owned by their list.
 * Failure: DM_FAIL with a class; TRANSIENT means "close the stream or copy, wait, open again".
 *
 *     const struct dm_source_type *type = dm_source_type_find("postgres");
 *     type->open(&config, &source, err);
 *     type->prepare(source, err);
 *     type->copy_open(source, &copy, &at, err); …
 *     type->stream_open(source, from, &stream, err);
 *     while (running) type->stream_poll(stream, &sink, 100, err);
 */
#ifndef DM_SOURCE_SOURCE_H
#define DM_SOURCE_SOURCE_H

#include "column/batch.h"
#include "config/config.h"
#include "source/basis.h"

struct dm_foreign_key {
    char *name;
    size_t n_columns;
    char **columns; /* n_columns names in this table */
    char *target_schema;
    char *target_table;
    char **target_columns; /* n_columns names in the target */
    bool mandatory;        /* none of its columns may be null there */
    bool unique;           /* a unique constraint there lets no two rows refer to the same */
};

/* One source table as it is now. */
struct dm_table {
    char *schema; /* "public"; "" for sources without schemas */
    char *name;
    uint64_t id; /* the source's stable id (PostgreSQL: oid of the published relation); 0 none */
    struct dm_schema *columns; /* ids 0, source_ref set, keys set (n_keys 0: no usable key) */
    bool
        default_namespace; /* its schema is the source's default one ("public"): dataset is <source>.<name> */
    char *timestamp;       /* configured: the column whose day divides the dataset; NULL: none */
    bool append_only;      /* configured append-only: every change is one appended row */
    bool
        rewritten; /* the stored rows changed without row events (ALTER TABLE that rewrites): copy it again */
    bool
        uncertain; /* which column is which was guessed: never to be followed, a copy brings the table beyond this definition */
    char *problem; /* NULL, or why it cannot be mirrored: "has no primary key" */
    char *hint;    /* with problem: the ways out */
    bool
        rekeyable; /* the stream says from which change on its key holds: another one than the dataset's can be followed without a copy */
    struct dm_basis
        basis; /* what its rows rest on, as of this look; empty when the table comes from a message of the stream */
    bool of_rights; /* with problem: it is one of privileges in the source, not of the table itself */
    uint64_t estimated_rows;
    uint64_t estimated_bytes;
    size_t n_foreign_keys;
    struct dm_foreign_key *foreign_keys;
};

struct dm_table_list {
    size_t n;
    struct dm_table **tables;
};
struct dm_table *dm_table_new(const char *schema, const char *name);
void dm_table_free(struct dm_table *t);
struct dm_table *dm_table_copy(const struct dm_table *t);
/* What `timestamp:` says of a table whose columns are known: the column, a fact of its basis, a problem when it cannot be. `config` may be NULL. */
void dm_table_divide(struct dm_table *t, const struct dm_table_config *config);
void dm_table_list_add(struct dm_table_list *list, struct dm_table *take_table);
void dm_table_list_release(struct dm_table_list *list);
/* The selection of `tables:` / `exclude:` globs, shared by all sources: true when schema.name (or name alone
 * when schema is "") is wanted. */
bool dm_table_wanted(const struct dm_source_config *config, const char *schema, const char *name);

/* One thing that was looked at before a mirror starts: a line of `doctor`, and what `run` goes by. */
enum dm_check_result {
    DM_CHECK_OK,
    DM_CHECK_WARN,    /* it works, and somebody should know */
    DM_CHECK_REFUSED, /* one table is left out; the others go on */
    DM_CHECK_FAIL,    /* the mirror ends here */
};
struct dm_check {
    enum dm_check_result result;
    enum dm_error_class class; /* of DM_CHECK_FAIL: how the mirror ends; NONE: it goes on, and is not sound */
    char *what;                /* "wal_level is logical" */
    char *hint;                /* how to mend it; NULL when ok */
};
struct dm_check_list {
    size_t n;
    struct dm_check *checks;
};
void dm_check_add(struct dm_check_list *list, enum dm_check_result result, const char *hint, const char *fmt,
                  ...) DM_PRINTF(4, 5);                                          /* FAIL: of class CONFIG */
void dm_check_add_error(struct dm_check_list *list, const struct dm_error *why); /* DM_CHECK_FAIL */
/* The first that the mirror ends at, as an error; DM_OK: none. */
enum dm_status dm_check_first_failure(const struct dm_check_list *list, struct dm_error *err) DM_MUST_USE;
void dm_check_list_release(struct dm_check_list *list);

/* Where a source delivers changes to: implemented by mirror/. All calls come from the thread in stream_poll.
 * A non-OK answer is returned by stream_poll at once.
 *
 * Order of calls:   begin (row | truncate | table | bad_row)* commit
 * in between also:  idle
 * A streamed (in progress, not yet committed) transaction:
 *     stream_start(xid) (row | truncate | table | bad_row)* stream_stop … again …
 *     stream_abort(xid, subxid)   only the subtransaction's rows are void; subxid == xid: all of it
 *     commit(txn) with txn->xid == xid: the rows take effect now
 */
struct dm_sink {
    void *ctx;
    enum dm_status (*begin)(void *ctx, const struct dm_txn *txn, struct dm_error *err);
    enum dm_status (*commit)(void *ctx, const struct dm_txn *txn, struct dm_error *err);
    /* A table is seen for the first time in this stream, or its columns or name changed. The sink answers with a handle that
     * the source passes back with every row; NULL: the table is not mirrored, do not decode its rows. `table` is
     * borrowed. The handle is valid until the next call for the same table or the stream's end. */
    enum dm_status (*table)(void *ctx, const struct dm_table *table, void **handle, struct dm_error *err);
    /* Where the next row of the table goes. Ask again for every row (two rows for REKEY + UPDATE): the sink
     * changes batches when one is full. Set no txn or subxid: the sink did. */
    enum dm_status (*rows)(void *ctx, void *handle, struct dm_batch **batch, struct dm_error *err);
    enum dm_status (*truncate)(void *ctx, void *handle, struct dm_error *err);
    /* The row was not appended (dm_batch_undo_row was called). */
    enum dm_status (*bad_row)(void *ctx, void *handle, const struct dm_bad_row *row, struct dm_error *err);
    /* The table disappeared in the source (dropped). */
    enum dm_status (*dropped)(void *ctx, void *handle, struct dm_error *err);
    /* Everything up to `position` has been delivered and no transaction is open. Where marks matter it is the last transaction's. */
    enum dm_status (*idle)(void *ctx, dm_position position, struct dm_error *err);
    enum dm_status (*stream_start)(void *ctx, uint64_t xid, uint32_t subxid, struct dm_error *err);
    enum dm_status (*stream_stop)(void *ctx, struct dm_error *err);
    enum dm_status (*stream_abort)(void *ctx, uint64_t xid, uint32_t subxid, struct dm_error *err);
    /* The rows that follow belong to this subtransaction of the streamed transaction. */
    enum dm_status (*subtransaction)(void *ctx, uint32_t subxid, struct dm_error *err);
};

/* What the lake has of a source when a mirror starts: what is needed of the source depends on it. */
struct dm_source_start {
    dm_position from; /* everything up to here is in the lake; 0: nothing is, the capture begins */
    bool afresh;      /* forget() comes first: what an earlier capture left is no fault */
    bool copies;      /* tables are to be copied */
    bool running;     /* a mirror of this lake runs: what it holds at the source is no fault */
    bool rehearse;    /* prepare() does not follow: find out whether it would work, and leave no trace */
};

/* Whoever opened a source, asked while the source waits for something that may take long, in the thread that waits. */
struct dm_source_waiter {
    void *ctx;
    bool (*stopping)(void *ctx); /* true: give up; the call fails as TRANSIENT */
    /* What is waited for, when that is known or changes; NULL: the waiting is over. */
    void (*waiting)(void *ctx, const char *for_what);
};

bool dm_source_stopping(const struct dm_source_waiter *w); /* w may be NULL */

struct dm_source;
struct dm_copy;
struct dm_copy_reader;
struct dm_stream;

/* Called for each row of a copy that does not fit; the row was not appended. */
typedef enum dm_status (*dm_bad_row_fn)(void *ctx, const struct dm_bad_row *row, struct dm_error *err);

struct dm_source_type {
    const char *name; /* the word in `type:` */

    enum dm_status (*open)(const struct dm_source_config *config, struct dm_source **out,
                           struct dm_error *err);
    void (*close)(struct dm_source *s);

    /* The tables that the configuration selects, as they are now, problems included. */
    enum dm_status (*tables)(struct dm_source *s, struct dm_table_list *out, struct dm_error *err);
    /* Borrowed until close; NULL: this source never waits long. */
    void (*set_waiter)(struct dm_source *s, const struct dm_source_waiter *borrow_waiter);
    /* Everything a mirror that starts so needs of this source, `tables` being those that it selects; adds to the list. DM_FAIL only
     * when it cannot even ask. */
    enum dm_status (*check)(struct dm_source *s, const struct dm_source_start *start,
                            const struct dm_table_list *tables, struct dm_check_list *out,
                            struct dm_error *err);
    /* What whoever sets up a mirror of it had better know, as sentences; malloc'ed, NULL: nothing. The function may be NULL, too. */
    enum dm_status (*advice)(struct dm_source *s, char **text, struct dm_error *err);
    /* Creates what change capture needs (idempotent) for the tables without a problem. */
    enum dm_status (*prepare)(struct dm_source *s, const struct dm_table_list *tables, struct dm_error *err);
    /* Is the log the one that was read up to `from` > 0, where `mark` is what was remembered of it? Asked before anything in the source is
     * touched. DM_OK: yes, and a stream from there checks it again. DM_END: it is that log, but what was read last is not in it (any more): *err
     * says so, and only a copy of all tables helps. DM_FAIL with CONFLICT: it is another log. NULL: not needed. */
    enum dm_status (*recognise)(struct dm_source *s, dm_position from, const struct dm_log_mark *mark,
                                struct dm_error *err);
    /* The position that a transaction committed now would be at or after. */
    enum dm_status (*current)(struct dm_source *s, dm_position *out, struct dm_error *err);
    /* What the source as a whole rests on, before anything is changed in it. NULL: nothing to tell. */
    enum dm_status (*basis)(struct dm_source *s, struct dm_basis *out, struct dm_error *err);
    /* Undoes prepare (drops slot, publication, triggers). */
    enum dm_status (*forget)(struct dm_source *s, struct dm_error *err);

    /* Pins a snapshot: readers see exactly the transactions with visible_at < *at. */
    enum dm_status (*copy_open)(struct dm_source *s, struct dm_copy **out, dm_position *at,
                                struct dm_error *err);
    void (*copy_close)(struct dm_copy *c);
    /* For a source whose stream can stand at a copy's position only while nobody writes (it reads states, not a log of them): as
     * copy_open, but writers wait until copy_let_writers or copy_close. NULL: not needed. */
    enum dm_status (*copy_open_held)(struct dm_source *s, struct dm_copy **out, dm_position *at,
                                     struct dm_error *err);
    void (*copy_let_writers)(struct dm_copy *c);
    /* The tables as the snapshot sees them (same selection as tables()). */
    enum dm_status (*copy_tables)(struct dm_copy *c, struct dm_table_list *out, struct dm_error *err);
    /* Into how many parts the table is best cut for `workers` readers (>= 1). */
    enum dm_status (*copy_parts)(struct dm_copy *c, const struct dm_table *t, size_t workers, size_t *parts,
                                 struct dm_error *err);
    /* A reader of part `part` of `parts`; together the parts hold each row exactly once. `t` is of copy_tables
     * and outlives the reader. ordered: rows in key order by bytes (for verify; parts is then 1). */
    enum dm_status (*copy_read)(struct dm_copy *c, const struct dm_table *t, size_t part, size_t parts,
                                struct dm_copy_reader **out, struct dm_error *err);
    /* Appends COPY rows to `batch` (schema with the columns of `t`) until it holds max_rows rows or max_bytes
     * bytes or the part ends. DM_OK: there may be more; DM_END: the part is done (the batch may hold rows).
     * copy_parts, copy_read and copy_next fail with CONFLICT when the table is not what the snapshot saw any more
     * (renamed, dropped, without a column): this table wants another copy, the others go on. */
    enum dm_status (*copy_next)(struct dm_copy_reader *r, struct dm_batch *batch, size_t max_rows,
                                size_t max_bytes, dm_bad_row_fn bad_row, void *ctx, struct dm_error *err);
    void (*copy_reader_close)(struct dm_copy_reader *r);

    /* Streams transactions whose position is above `from` (0: from where the capture began). */
    enum dm_status (*stream_open)(struct dm_source *s, dm_position from, struct dm_stream **out,
                                  struct dm_error *err);
    /* Delivers what there is, waiting up to timeout_ms for something. DM_OK: delivered something;
     * DM_TIMEOUT: nothing came. Returns at the latest after a few thousand rows or one transaction boundary, so
     * that the caller can look at its clock. */
    enum dm_status (*stream_poll)(struct dm_stream *st, const struct dm_sink *sink, int timeout_ms,
                                  struct dm_error *err);
    /* Everything up to `position` is durable in the lake; the source may forget it. Thread safe, cheap. */
    void (*stream_ack)(struct dm_stream *st, dm_position position);
    /* Bytes of log (or change rows, for sources without bytes) between `position` and the source's end. */
    uint64_t (*stream_lag)(struct dm_stream *st, dm_position position);
    /* Tells the source that we are alive while the sink makes the polling thread wait; that thread's. NULL: not needed. */
    enum dm_status (*stream_keepalive)(struct dm_stream *st, struct dm_error *err);
    void (*stream_close)(struct dm_stream *st);

    /* "0/16B3748" and back; format returns out (>= 32 bytes). */
    const char *(*position_format)(dm_position position, char *out, size_t size);
    enum dm_status (*position_parse)(const char *text, dm_position *out, struct dm_error *err);
};

extern const struct dm_source_type dm_source_postgres;
extern const struct dm_source_type dm_source_sqlite;

const struct dm_source_type *dm_source_type_find(const char *name); /* NULL: unknown */

#endif
