/* intake_reader.h — reads the inputs of an intake in a thread of its own and hands them over in parts, in order.
 *
 * Small inputs of one dataset gather in one unit, whose transactions say which row is whose; a large one comes in several units of its own. A bounded
 * queue lies between, so memory holds a few parts only, whatever the size of a file. How the reading of an input ended comes with the
 * part that holds its last rows; one that fails has handed over whole units only, so a small one nothing at all.
 * Reading ends early, between two inputs, when the commit is as old or as large as the options allow, at an input that halts, or at trouble that
 * is nobody's own (memory, a full disk). Inputs without an end were not reached.
 * One caller thread: start, next …, stop. Schema, rules and job are borrowed until then.
 */
#ifndef DM_MIRROR_INTAKE_READER_H
#define DM_MIRROR_INTAKE_READER_H

#include "mirror/commit/commit_unit.h"
#include "mirror/intake/intake.h"

#define DM_INTAKE_RAISE_OF_SCHEMA "mend the input, or raise max_quarantined of the schema"

/* One input. */
struct dm_intake_input {
    size_t job; /* the caller's number, handed through */
    const struct dm_intake_job *what;
    struct dm_row_counts *counts; /* for the transaction of its rows; only handed through */
    struct dm_target *target;     /* of its rows; only handed through */
    const struct dm_schema *schema;
    struct dm_change_options options; /* with version field and rules */
    uint64_t max_bad;                 /* 0: no limit */
    const char *max_bad_hint;         /* how to have more */
    double max_bad_share;             /* 0: no limit */
};

struct dm_intake_reader_options {
    bool apart;           /* each input in units of its own */
    int64_t close_age_us; /* no further input is begun when reading is so old; 0: no limit */
    uint64_t close_bytes; /* … or when so many bytes of rows were read; 0: no limit */
};

struct dm_intake_end {
    size_t job;
    enum dm_status status;
    struct dm_error error;
    size_t n_notes;
    char **notes;
};

/* Everything is owned by who takes the part. */
struct dm_intake_part {
    struct dm_unit *unit; /* NULL: no rows */
    size_t n_jobs;
    size_t *jobs; /* whose rows: one a transaction of the unit */
    size_t n_ends;
    struct dm_intake_end *ends;
};
void dm_intake_part_release(struct dm_intake_part *part);

struct dm_intake_reader;

enum dm_status dm_intake_reader_start(struct dm_mirror *m, const struct dm_intake_input *inputs, size_t n,
                                      const struct dm_intake_reader_options *options,
                                      struct dm_intake_reader **out, struct dm_error *err) DM_MUST_USE;
/* DM_TIMEOUT: nothing yet (after timeout_ms). DM_END: reading has ended. */
enum dm_status dm_intake_reader_next(struct dm_intake_reader *r, struct dm_intake_part *part,
                                     int64_t timeout_ms) DM_MUST_USE;
/* Of all inputs: rows so far, and bytes of the files; total 0: nobody knows. */
void dm_intake_reader_progress(const struct dm_intake_reader *r, uint64_t *rows, uint64_t *done,
                               uint64_t *total);
void dm_intake_reader_stop(struct dm_intake_reader *r); /* NULL is fine */

#endif
