/* intake.h — changes that do not come from a source's log: files, requests, queries, replays. Reads them and commits them; the one way in for all of these.
 *
 * A commit costs some milliseconds whatever its size, so jobs that wait together share commits: in their order, until a commit is as old as
 * commit_interval or as large as commit_bytes; a job is never divided. A large one goes through the committer in parts. When it returns DM_OK
 * the changes are durable, and so are the receipts, in the same catalog transaction:
 *   - a job with a `receipt` leaves (kind, key) → result in dm_receipt. A later job with the same receipt is not applied again: it gets the stored
 *     result (exactly once for files and resent requests).
 * Bad rows go to quarantine in the same commit, with their place; a job whose bad rows pass the dataset's limit (max_quarantined) fails as a whole,
 * by itself: the commit is made again without it.
 * Threads: any; commits follow each other by the mirror's lake mutex, which the caller must not hold.
 */
#ifndef DM_MIRROR_INTAKE_H
#define DM_MIRROR_INTAKE_H

#include <stdatomic.h>

#include "engine/change_reader.h"
#include "mirror/commit/row_counts.h"
#include "mirror/declare/declared.h"

struct dm_intake_job {
    const char *dataset; /* "sales.orders" */
    const char *
        source; /* who brings it: "ingest", "push", "sql", "replay", or a files source's name; snapshot summary's datamirror.source */
    const char *
        origin; /* what it is: file name, request id; snapshot summary's datamirror.position, and the place of bad rows: "<origin>:<line>" */
    const char *path;                 /* the file to read … */
    const char *query;                /* … or the SQL to run over the lake */
    struct dm_change_options options; /* version_field and rules are filled in by the intake */
    const char *receipt_kind;         /* "file", "request"; NULL: none */
    const char *receipt_key;          /* unique within its kind and dataset */
    const char *
        receipt_check; /* hash of the content, kept with the receipt: a receipt with another one is a CONFLICT error; NULL: not compared */
    bool dry_run;      /* counts only; nothing is committed */
    bool halts;        /* when it fails, the jobs behind it are not tried */
    bool no_limits;    /* the dataset's max_quarantined does not count: the rows are in quarantine already */
    dm_commit_extra
        extra; /* runs in the commit's catalog transaction, when its bad rows are in quarantine; NULL: nothing */
    void *extra_ctx;
    uint64_t max_bad; /* bad rows that are too many when the dataset says nothing about it; 0: no limit */
    const atomic_int *stop; /* > 0: give up (TRANSIENT), all jobs; NULL: nobody asks */
    bool (*gone)(
        void *
            ctx); /* true: nobody waits for this job any more, and it is given up by itself (TRANSIENT); NULL: nobody asks */
    void *gone_ctx;
    /* out */
    bool done;            /* it is durable, was repeated, or failed by itself */
    bool unknown_dataset; /* with `error`: there is no declared dataset of that name */
    bool repeated;        /* the receipt was there already; counts are those of the first time */
    struct dm_row_counts counts;
    double seconds; /* its share, by rows, of the time that its commit took */
    size_t n_notes; /* owned texts; dm_intake_job_release */
    char **notes;
    struct dm_error error; /* this job's own failure (bad file, limit passed); class NONE when fine */
};
void dm_intake_job_release(struct dm_intake_job *job);

/* Progress for people, called now and then: rows so far, bytes done and total (0 unknown), of all jobs. NULL is fine. */
typedef void (*dm_intake_progress)(void *ctx, uint64_t rows, uint64_t done, uint64_t total);

/* A job that fails by itself (DATA, CONFIG, CONFLICT) has its error in job->error and takes no part; the others are committed. DM_FAIL: those that are not
 * done left nothing. Dry runs are read as one commit that nobody makes, so each sees what those before it would have done. */
enum dm_status dm_intake(struct dm_mirror *m, struct dm_intake_job *jobs, size_t n, dm_intake_progress told,
                         void *ctx, struct dm_error *err) DM_MUST_USE;
/* Is it the failure of one input, and not of the lake or the machine? */
bool dm_intake_own_failure(const struct dm_error *err);

#endif
