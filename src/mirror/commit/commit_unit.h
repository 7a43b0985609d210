/* commit_unit.h — what the stream thread hands to the commit thread: steps in order, and where the source stands after them.
 *
 * A unit with `closes` ends at a source transaction boundary and is published; one without is a part of a transaction too large for one
 * unit: its data files are written and its keys indexed (uncommitted), and publication waits for the unit that closes.
 * Ownership: a unit owns its steps, batches, schema references and bad rows; passing it on passes everything.
 */
#ifndef DM_MIRROR_COMMIT_UNIT_H
#define DM_MIRROR_COMMIT_UNIT_H

#include "mirror/commit/bad_rows.h"

/* A file that a copy wrote, not yet part of the dataset. */
struct dm_copied_file {
    char *path;
    struct dm_parquet_result result;
};

/* An owned dm_bad_row. */
struct dm_kept_row {
    struct dm_target *target;
    uint32_t txn; /* index into the unit's (or spool's) transactions */
    uint32_t subxid;
    size_t bytes; /* of its content */
    struct dm_bad_row row;
};

/* A finished copy of one table. */
struct dm_copied_table {
    const struct dm_schema *schema; /* owned reference, ids assigned */
    int32_t last_column_id;
    dm_position at;
    int32_t day_field; /* of the schema: the column whose day divides the dataset; 0: none */
    size_t n_files;
    struct dm_copied_file *files;
    uint64_t rows;
    size_t n_bad;
    struct dm_kept_row *bad;
    uint64_t suppression; /* generation of the suppressed keys whose rows were left out … */
    uint64_t suppressed;  /* … and how many these were */
};
void dm_copied_table_free(struct dm_copied_table *c); /* also removes files that nobody took */

enum dm_step_kind {
    DM_STEP_ROWS,     /* batch */
    DM_STEP_TRUNCATE, /* txn; schema: the dataset's at that point */
    DM_STEP_SCHEMA,   /* schema, rekey */
    DM_STEP_ATTACH,   /* copied: replaces the whole dataset */
    DM_STEP_STATE,    /* text: new state, reason (may be NULL) */
    DM_STEP_RENAME,   /* table: the new source name (schema.name) */
};

struct dm_step {
    enum dm_step_kind kind;
    struct dm_target *target;
    struct dm_batch *batch;
    const struct dm_schema *schema;
    bool rekey; /* the schema has another key than the rows so far */
    struct dm_copied_table *copied;
    const char *state; /* a literal */
    char *reason;
    struct dm_table *table;
    uint32_t txn; /* TRUNCATE: index into the unit's transactions */
};

struct dm_unit {
    size_t n_steps;
    struct dm_step *steps;
    size_t n_txns;
    struct dm_txn *txns;
    size_t n_bad;
    struct dm_kept_row *bad;
    struct dm_bad_rows unread; /* of an intake: rows that could not even be read, maybe very many */
    size_t n_pins;
    int64_t pins[16]; /* requests that are satisfied by this commit */
    bool closes;
    const char *source; /* of an intake: who brings it, and … */
    const char *
        origin; /* … what closes with it ("orders.csv"), for the snapshot summary; borrowed; NULL: a source's log, the position says it */
    dm_position
        position; /* of the last complete transaction, or idle position; 0: no source's position moves */
    struct dm_log_mark mark; /* of the source's log at `position` */
    int64_t commit_time_us;  /* of the last complete transaction; 0: none in this unit */
    int64_t
        waiting_since_us; /* source commit time of its first transaction with changes; 0: none is complete */
    int64_t started_us;   /* monotonic: when the first thing was put in; 0: empty */
    uint64_t rows;
    size_t bytes; /* of its rows, good and bad, when it was handed on */
};

struct dm_unit *dm_unit_new(void);
void dm_unit_free(struct dm_unit *u);
struct dm_step *dm_unit_add(struct dm_unit *u, enum dm_step_kind kind, struct dm_target *target);
size_t dm_unit_bytes(const struct dm_unit *u);
bool dm_unit_empty(const struct dm_unit *u); /* nothing to apply, no pin */
/* Appends a copy of the bad row. */
void dm_kept_rows_add(struct dm_kept_row **rows, size_t *n, struct dm_target *target, uint32_t txn,
                      const struct dm_bad_row *row);
void dm_kept_rows_free(struct dm_kept_row *rows, size_t n);

#endif
