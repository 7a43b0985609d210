/* pg_decoder.h — pgoutput messages into calls of the sink; no I/O.
 *
 * Protocol version 2 (PostgreSQL manual, "Logical Replication Message Formats"): transactions whole, or
 * streamed while they run. What needs the catalog (Relation messages) is asked through `resolve`. Relations of
 * a streamed transaction are kept apart until it commits: it may see columns that nobody else ever will.
 *
 * A transaction is opened at the sink with its first change; one without changes for us only moves the
 * position (sink->idle). The decoder owns its relations. One thread. Bytes that are not the protocol are a
 * FATAL error, never a crash.
 *
 *     pg_decoder_init(&d, resolve, ctx, from);
 *     pg_decoder_feed(&d, &sink, message, n, err);
 *     pg_decoder_release(&d);
 */
#ifndef DM_SOURCE_POSTGRES_PG_DECODER_H
#define DM_SOURCE_POSTGRES_PG_DECODER_H

#include "source/postgres/pg_align.h"
#include "source/postgres/pg_row.h"
#include "source/source.h"

struct pg_relation_message {
    uint32_t oid;
    char *schema, *name;
    char identity;
    uint32_t xid;     /* of the transaction it came in; 0 unknown */
    bool uncommitted; /* came inside a streamed transaction */
    size_t n;
    struct pg_message_column *columns;
};

/* What the sink was told of a table last, and its answer. */
struct pg_told {
    uint32_t oid;
    struct dm_table *table;   /* owned */
    void *handle;             /* NULL: not mirrored */
    dm_position truncated_at; /* of the last truncate that passed; 0: none */
    uint64_t asked;           /* the transaction in which a NULL was answered last: the next one asks again */
    uint64_t version; /* changes with every definition that is told, and when a streamed one takes effect */
};

/* A relation as the messages describe it. */
struct pg_relation {
    uint32_t oid;
    uint64_t xid;                       /* 0: committed; else the streamed transaction that sees it so */
    struct dm_table *table;             /* owned */
    struct pg_codec *codecs;            /* per field of table->columns, owned */
    size_t n_message;                   /* columns in the message */
    uint32_t *source;                   /* per field: index of the message column, owned */
    struct pg_relation_message message; /* owned copy, to see whether the next one is the same */
    struct dm_batch *scratch;           /* a single row, for key changes */
};

/* Makes table, codecs and source of `out` (oid and message are set). previous: how the relation was known, or
 * NULL. */
typedef enum dm_status (*pg_resolve_fn)(void *ctx, const struct pg_relation_message *m,
                                        const struct pg_relation *previous, struct pg_relation *out,
                                        struct dm_error *err);

struct pg_decoder {
    pg_resolve_fn resolve;
    void *resolve_ctx;
    const struct pg_charset *charset; /* of names; borrowed */
    uint64_t max_row_bytes;           /* a larger row does not fit; 0: no limit */
    dm_position from;                 /* transactions before it are passed over */
    dm_position position;             /* everything before it has been delivered */
    int64_t commit_time_us;           /* of the last transaction */
    bool in_transaction;              /* between Begin and Commit */
    bool in_block;                    /* between Stream Start and Stream Stop */
    bool skipping;                    /* the transaction is before `from` */
    bool open;                        /* the sink knows the transaction or block */
    struct dm_txn txn;
    uint32_t subxid;      /* of the rows that follow, as the sink knows it */
    uint32_t message_xid; /* of the current message */
    size_t n_streamed;    /* streamed transactions the sink knows */
    uint64_t *streamed;
    size_t n_relations;
    struct pg_relation **relations;
    size_t n_told;
    struct pg_told **told;
    struct pg_told *last_told;
    uint64_t versions;        /* counts what pg_told.version counts */
    uint64_t serial;          /* counts transactions and blocks */
    struct pg_relation *last; /* the relation of the previous change: mostly it is the same again */
    size_t capacity;          /* of the two tuples */
    struct pg_raw_value *new_values, *old_values;
    struct pg_raw_value *by_field; /* values in field order, for quarantine */
    uint64_t changes;              /* delivered so far */
    bool boundary;                 /* the last message ended a transaction */
};

void pg_decoder_init(struct pg_decoder *d, pg_resolve_fn resolve, void *ctx, dm_position from);
void pg_decoder_release(struct pg_decoder *d);
enum dm_status pg_decoder_feed(struct pg_decoder *d, const struct dm_sink *sink, const uint8_t *bytes,
                               size_t n, struct dm_error *err) DM_MUST_USE;
/* A keepalive: the server has nothing more for us before `end`. */
enum dm_status pg_decoder_keepalive(struct pg_decoder *d, const struct dm_sink *sink, dm_position end,
                                    struct dm_error *err) DM_MUST_USE;
/* Tells the sink about a table whose columns or name changed without a message. */
enum dm_status pg_decoder_tell(struct pg_decoder *d, const struct dm_sink *sink, const struct dm_table *table,
                               struct dm_error *err) DM_MUST_USE;
enum dm_status pg_decoder_drop(struct pg_decoder *d, const struct dm_sink *sink, uint32_t oid,
                               struct dm_error *err) DM_MUST_USE;
struct pg_told *pg_decoder_told(const struct pg_decoder *d, uint32_t oid); /* NULL: never */
/* Same name, columns (attnum, name, type, required) and key. */
bool pg_same_table(const struct dm_table *a, const struct dm_table *b);
/* A column of `now` is another one than that of its name before: it was dropped and added again, or two swapped their names. */
bool pg_made_again(const struct dm_table *before, const struct dm_table *now);

/* pg_change.c: a change of one row, values cut already. */
enum pg_old_kind { PG_OLD_NONE = 0, PG_OLD_KEY = 'K', PG_OLD_ROW = 'O' };
enum dm_status pg_deliver_change(struct pg_decoder *d, const struct dm_sink *sink, struct pg_relation *rel,
                                 void *handle, enum dm_op op, enum pg_old_kind old,
                                 struct dm_error *err) DM_MUST_USE;

/* pg_relation.c */
void pg_relation_free(struct pg_relation *r);
void pg_relation_message_release(struct pg_relation_message *m);

#endif
