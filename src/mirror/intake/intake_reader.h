/* intake_reader.h — reads the inputs of an intake in a thread of its own and hands them over in parts: commit units of one job each, in order.
 *
 * A bounded queue lies between, so memory holds a few parts only, whatever the size of a file. A job's last part (unit NULL) says how its reading
 * ended; a job that fails has handed over whole parts only, so a small one nothing at all.
 * One caller thread: start, next …, stop. Schema, rules and job are borrowed until then.
 */
#ifndef DM_MIRROR_INTAKE_READER_H
#define DM_MIRROR_INTAKE_READER_H

#include "mirror/commit/commit_unit.h"
#include "mirror/intake/intake.h"

/* One input. */
struct dm_intake_input {
    size_t job; /* the caller's number, handed through */
    const struct dm_intake_job *what;
    struct dm_target *target; /* of its rows; only handed through */
    const struct dm_schema *schema;
    struct dm_change_options options; /* with version field and rules */
    uint64_t max_bad;                 /* 0: no limit */
    double max_bad_share;             /* 0: no limit */
};

struct dm_intake_part {
    size_t job;
    struct dm_unit *unit; /* owned by who takes the part; NULL: the job's end, and: */
    enum dm_status status;
    struct dm_error error;
    uint64_t bad; /* rows of the whole job that could not be read */
    size_t n_notes;
    char **notes; /* owned by who takes the part */
};
void dm_intake_part_release(struct dm_intake_part *part);

struct dm_intake_reader;

enum dm_status dm_intake_reader_start(struct dm_mirror *m, const struct dm_intake_input *inputs, size_t n,
                                      struct dm_intake_reader **out, struct dm_error *err) DM_MUST_USE;
/* DM_TIMEOUT: nothing yet (after timeout_ms). DM_END: all jobs have ended. */
enum dm_status dm_intake_reader_next(struct dm_intake_reader *r, struct dm_intake_part *part,
                                     int64_t timeout_ms) DM_MUST_USE;
void dm_intake_reader_progress(const struct dm_intake_reader *r, uint64_t *rows, uint64_t *done,
                               uint64_t *total);
void dm_intake_reader_stop(struct dm_intake_reader *r); /* NULL is fine */

#endif
