/* pg_control.h — the stream's second connection: catalog look-ups, schema watch, heartbeat, the server's end
 * of log.
 *
 * Everything that repeats is asked without waiting (sent in one poll, read in a later one); only Relation
 * messages wait for an answer.
 *
 * Schema watch: a column added, a table renamed or dropped shows in the stream only with the table's next row,
 * which may never come. So the catalog (of all that was heard of or is published: tables are made while the stream runs) is compared regularly with what it was, and once the stream has passed
 * the position of the look, the sink is told. What changes rows without row events (ALTER TABLE that rewrites,
 * a partition attached with rows, detached or dropped, TRUNCATE of a single partition of a published root) is
 * told as `rewritten`.
 *
 * Owned by the stream, used by its thread; only server_end may be read by others.
 */
#ifndef DM_SOURCE_POSTGRES_PG_CONTROL_H
#define DM_SOURCE_POSTGRES_PG_CONTROL_H

#include <stdatomic.h>

#include "source/postgres/pg_decoder.h"
#include "source/postgres/pg_table.h"

struct dm_source;

/* What the catalog said of a table when last looked at. */
struct pg_known {
    uint32_t oid;
    struct pg_table *catalog; /* owned; NULL: gone */
    char *signature;          /* of its catalog rows */
    char *members;            /* partition root: its partitions, "oid:filenode:attached:bytes …" */
    bool pending;             /* the sink is to be told when the stream has passed `at` */
    bool dropped;
    bool rewritten;
    dm_position members_at; /* where the log ended when `members` was read */
    /* Filenodes of partitions changed after this position: rewritten, unless a truncate of the root did it; 0: they did not. */
    dm_position refilled_since;
    dm_position at;
    uint64_t
        told_version; /* pg_told.version when the catalog was looked at: another one now means that the look is the older of the two */
};

enum pg_control_state { PG_CONTROL_IDLE, PG_CONTROL_END, PG_CONTROL_WATCH, PG_CONTROL_HEARTBEAT };

struct pg_control {
    const struct dm_source *source;   /* borrowed */
    const struct pg_decoder *decoder; /* borrowed; NULL before the stream is open */
    PGconn *conn;
    struct pg_type_cache types;
    enum pg_control_state state;
    int64_t next_end_us, next_watch_us, next_heartbeat_us;
    uint64_t changes_seen; /* decoder's count at the last heartbeat: none since means idle */
    _Atomic uint64_t server_end;
    bool any_pending;
    size_t n_known;
    struct pg_known *known;
};

enum dm_status pg_control_open(struct pg_control *c, const struct dm_source *source,
                               struct dm_error *err) DM_MUST_USE;
void pg_control_close(struct pg_control *c);
/* Sends what is due and reads what has come; never waits, except to look closer at a table that changed. */
enum dm_status pg_control_step(struct pg_control *c, const struct pg_decoder *d,
                               struct dm_error *err) DM_MUST_USE;
/* Tells the sink what the stream has passed by now. Only between transactions. */
enum dm_status pg_control_apply(struct pg_control *c, struct pg_decoder *d, const struct dm_sink *sink,
                                struct dm_error *err) DM_MUST_USE;
/* pg_resolve_fn with a struct pg_control as ctx. */
enum dm_status pg_control_resolve(void *ctx, const struct pg_relation_message *m,
                                  const struct pg_relation *previous, struct pg_relation *out,
                                  struct dm_error *err) DM_MUST_USE;

/* Did stored rows change without row events between two looks? */
bool pg_table_rewritten(const struct pg_table *before, const struct pg_table *now);
/* The same for the partitions of a root; *refilled: only their storage is new. */
bool pg_members_rewritten(const char *before, const char *now, bool *refilled);
/* The entry of a table, made when there is none. */
struct pg_known *pg_control_known(struct pg_control *c, uint32_t oid);
/* Of what the sink was told of a table; 0: nothing. */
uint64_t pg_control_told_version(const struct pg_control *c, uint32_t oid);
/* Waits for an answer that is under way. */
enum dm_status pg_control_settle(struct pg_control *c, struct dm_error *err) DM_MUST_USE;
/* Where the server's log ends now. */
enum dm_status pg_control_end(struct pg_control *c, dm_position *out, struct dm_error *err) DM_MUST_USE;
/* Looks at one table now; *out NULL: it is gone. */
enum dm_status pg_control_look(struct pg_control *c, uint32_t oid, struct pg_table **out,
                               struct dm_error *err) DM_MUST_USE;

#endif
