/* state.h — the mirror's own tables in the lake's catalog.db: sources, datasets, requests, pins (quarantine_table.h has the quarantine).
 *
 * They live beside iceberg_tables so that one SQLite transaction moves pointers, positions, counters and quarantine together
 * (the functions marked "in a commit" run inside dm_commit_publish's transaction). One connection, one thread at a time: callers hold the
 * mirror's lake mutex. Other processes (status, verify, resync) open their own connection.
 */
#ifndef DM_MIRROR_STATE_H
#define DM_MIRROR_STATE_H

#include "column/batch.h"
#include "source/basis.h"

struct sqlite3;

/* A row of dm_dataset. */
struct dm_dataset_state {
    uint32_t id; /* > 0; also the key index's dataset number */
    char *source;
    char *namespace;
    char *name;
    char *source_schema;
    char *source_table;
    uint64_t source_id;    /* the source's stable table id */
    char *state;           /* waiting, copying, streaming, append-only, stopped, refused, dropped */
    char *reason;          /* NULL unless stopped or refused */
    dm_position copied_at; /* position of the copy that the dataset rests on; 0: not copied yet */
    uint64_t
        storage; /* of the source table when it was copied, in a lake that has no basis of it; only read */
    bool append_only;
    uint64_t received, inserted, updated, deleted, truncated, quarantined;
    /* Datasets with versions only: dropped for a lower version; equal versions, applied or not; deletes of keys that were not there; upserts of keys whose
     * deletion a person ordered. */
    uint64_t stale, ties, noop_deletes, suppressed;
};
struct dm_dataset_states {
    size_t n;
    struct dm_dataset_state *items;
};
void dm_dataset_state_release(struct dm_dataset_state *d); /* zeroed is fine */
void dm_dataset_states_release(struct dm_dataset_states *list);

enum dm_status dm_state_create_tables(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;
/* source NULL: all. */
enum dm_status dm_state_datasets(struct sqlite3 *db, const char *source, struct dm_dataset_states *out,
                                 struct dm_error *err) DM_MUST_USE;
/* Inserts (id 0: gives it one) or updates the row. */
enum dm_status dm_state_put_dataset(struct sqlite3 *db, struct dm_dataset_state *d,
                                    struct dm_error *err) DM_MUST_USE;
/* Until it is put again it has a name that nothing else can have. */
enum dm_status dm_state_free_name(struct sqlite3 *db, uint32_t dataset, struct dm_error *err) DM_MUST_USE;

/* With its rows in quarantine. */
enum dm_status dm_state_remove_dataset(struct sqlite3 *db, uint32_t dataset,
                                       struct dm_error *err) DM_MUST_USE;

/* What a dataset (0: the source itself) rests on; empty when nothing is stored. In a commit or alone. */
enum dm_status dm_state_basis(struct sqlite3 *db, const char *source, uint32_t dataset, struct dm_basis *out,
                              struct dm_error *err) DM_MUST_USE;
enum dm_status dm_state_put_basis(struct sqlite3 *db, const char *source, uint32_t dataset,
                                  const struct dm_basis *basis, struct dm_error *err) DM_MUST_USE;

/* The dataset needs a copy, whatever becomes of this process. */
enum dm_status dm_state_mark_waiting(struct sqlite3 *db, uint32_t dataset, struct dm_error *err) DM_MUST_USE;

/* A row of dm_source. */
struct dm_source_state {
    dm_position position;
    int64_t commit_time_us;
    struct dm_log_mark mark; /* of the source's log at the position */
    bool rebooted;           /* the machine was started anew since the position moved last */
    bool known;              /* the row exists */
};
enum dm_status dm_state_source(struct sqlite3 *db, const char *source, struct dm_source_state *out,
                               struct dm_error *err) DM_MUST_USE;
/* In a commit: the source's position moves. mark NULL: none. */
enum dm_status dm_state_put_position(struct sqlite3 *db, const char *source, const char *type,
                                     dm_position position, const char *position_text,
                                     const struct dm_log_mark *mark, int64_t commit_time_us,
                                     struct dm_error *err) DM_MUST_USE;
/* What status and health show. Told while the source is followed: where it stands. `error` NULL: none; error_since stays while an error stays. */
enum dm_status dm_state_put_health(struct sqlite3 *db, const char *source, const char *type,
                                   const char *state, const char *error, uint64_t lag_bytes, int64_t lag_us,
                                   struct dm_error *err) DM_MUST_USE;
/* Told when it is not followed (starting, retrying, stopped, ended): where it stood when it last was stays, and ages. */
enum dm_status dm_state_put_trouble(struct sqlite3 *db, const char *source, const char *type,
                                    const char *state, const char *error, struct dm_error *err) DM_MUST_USE;

/* ---- requests: how other processes ask a running mirror for something ---- */

enum dm_request_kind { DM_REQUEST_RESYNC = 1, DM_REQUEST_PIN = 2 };
/* resync: asked → done.  pin: asked → held (the mirror waits) → positioned (verify says where) → done. */
enum dm_request_state { DM_REQUEST_ASKED = 1, DM_REQUEST_HELD, DM_REQUEST_POSITIONED, DM_REQUEST_DONE };
struct dm_request {
    int64_t id;
    enum dm_request_kind kind;
    enum dm_request_state state;
    char source[128];
    char dataset[256]; /* resync: "namespace.name" */
    dm_position position;
};
enum dm_status dm_request_add(struct sqlite3 *db, enum dm_request_kind kind, const char *source,
                              const char *dataset, int64_t *id, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_request_get(struct sqlite3 *db, int64_t id, struct dm_request *out,
                              struct dm_error *err) DM_MUST_USE; /* DM_END: gone */
enum dm_status dm_request_set(struct sqlite3 *db, int64_t id, enum dm_request_state state,
                              dm_position position, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_request_remove(struct sqlite3 *db, int64_t id, struct dm_error *err) DM_MUST_USE;
/* The open requests (not done) of a source, all of them; *out is malloc'ed, *n is their number. */
enum dm_status dm_request_list(struct sqlite3 *db, const char *source, struct dm_request **out, size_t *n,
                               struct dm_error *err) DM_MUST_USE;
/* In a commit or alone: remembers where all datasets of the source stand for a pin. */
enum dm_status dm_pin_record(struct sqlite3 *db, int64_t request, const char *source,
                             struct dm_error *err) DM_MUST_USE;
/* The metadata location of a dataset at a pin; malloc'ed; NULL: it had none. */
enum dm_status dm_pin_location(struct sqlite3 *db, int64_t request, const char *namespace, const char *name,
                               char **out, struct dm_error *err) DM_MUST_USE;

#endif
