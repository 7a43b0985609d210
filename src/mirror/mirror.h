/* mirror.h — the pipeline as the commands see it: run, verify, resync, status.
 *
 * Each call opens what it needs and closes it again. dm_mirror_run holds `<lake>/.lock` for its whole life; a second instance gets a
 * CONFLICT error that names the pid of the first. It also does the orders of commands (order.h), with or without sources. verify, resync and status work beside a running mirror (through requests in the catalog), and
 * verify also without one (it then catches up by itself).
 * `stop` is polled about ten times a second: 1 asks for a clean end (commit what is complete, acknowledge, close), 2 for an immediate one.
 */
#ifndef DM_MIRROR_MIRROR_H
#define DM_MIRROR_MIRROR_H

#include <stdatomic.h>
#include <stdio.h>

#include "config/config.h"
#include "column/batch.h"

struct dm_mirror;

struct dm_mirror_options {
    const atomic_int *stop;
    bool until_caught_up; /* end once every source's position at the start of the call is in the lake */
    bool passing;         /* of a command that mirrors for itself: others wait for its end */
    bool progress;        /* stderr is a terminal: progress line instead of periodic log lines */
    int64_t run_for_ms;   /* end cleanly after this long; 0: never (for the sample) */
    int64_t
        give_up_ms; /* end with the error of a source that could not be worked with for this long; 0: never */
    /* Called when the lake is open, and before it is closed (even if `opened` failed): what else lives in a running mirror, such as
     * the HTTP server. May be NULL. */
    enum dm_status (*opened)(void *ctx, struct dm_mirror *m, struct dm_error *err);
    void (*closing)(void *ctx);
    void *ctx;
};

enum dm_status dm_mirror_run(const struct dm_config *config, const struct dm_mirror_options *options,
                             struct dm_error *err) DM_MUST_USE;

/* ---- status ---- */

struct dm_dataset_status {
    char *dataset; /* "shop.orders" */
    char *source;  /* "": declared by people */
    char *
        state; /* waiting, copying, streaming, append-only, stopped, refused, dropped; declared, incomplete */
    char *reason;  /* why stopped or refused, with the remedy; NULL otherwise */
    uint64_t rows; /* live rows */
    uint64_t received, inserted, updated, deleted, truncated, quarantined; /* since the dataset was made */
    uint64_t stale, ties, noop_deletes;                                    /* of declared ones */
    uint64_t suppressed_keys; /* kept out by order (delete) … */
    uint64_t suppressed;      /* … and the upserts of them that were left out */
    uint64_t files, deleted_in_files, bytes;
    int64_t
        lag_us; /* how old the oldest change is that the source has and the dataset has not; 0: none; -1: unknown */
};
struct dm_source_status {
    char *name;
    char *type;
    char *
        state; /* starting, waiting (for other transactions at the source), running, retrying; stopped (after an error), ended (cleanly), never run, not configured */
    char *position;         /* "" when none */
    int64_t commit_time_us; /* source commit time of the last applied transaction; 0 unknown */
    int64_t updated_us;     /* when the mirror last said so */
    bool followed;          /* it runs, and tells where it stands */
    int64_t lag_bytes;      /* source end → lake; -1: unknown, for it is not followed */
    int64_t
        lag_us; /* how old the oldest change is that the lake lacks, 0 when caught up; not followed: at most so old; -1: unknown */
    char *error; /* why it is retrying or stopped, with since when; NULL */
};
struct dm_status_report {
    bool running;
    int pid;
    size_t n_sources;
    struct dm_source_status *sources;
    size_t n_datasets;
    struct dm_dataset_status *datasets;
};
enum dm_status dm_mirror_status(const struct dm_config *config, struct dm_status_report *out,
                                struct dm_error *err) DM_MUST_USE;
/* Its sources alone: cheap, and never waiting for a commit. */
enum dm_status dm_mirror_status_sources(const struct dm_config *config, struct dm_status_report *out,
                                        struct dm_error *err) DM_MUST_USE;
void dm_status_report_release(struct dm_status_report *r);

/* ---- verify ---- */

/* DROPPED: of a dataset only, when no names were given: the source has no such table any more, the mirror knows it, and keeps the last state. */
enum dm_verify_result {
    DM_VERIFY_EQUAL = 0,
    DM_VERIFY_DIFFERENT = 1,
    DM_VERIFY_UNKNOWN = 2,
    DM_VERIFY_DROPPED = 3
};
struct dm_verify_difference {
    const char *dataset;
    const char *key;           /* JSON object of the key columns */
    const char *what;          /* "missing in the lake", "not in the source", "differs: a, b" */
    const char *source_values; /* the differing values as text, NULL for missing */
    const char *lake_values;
};
struct dm_verify_dataset {
    const char *dataset;
    enum dm_verify_result result;
    uint64_t source_rows, lake_rows, differences; /* source_rows: with those in quarantine */
    uint64_t quarantined;         /* rows of the source that the lake lacks since they are in quarantine */
    uint64_t suppressed, expired; /* more rows of the source, left out: deleted by order, past their expiry */
    const char *position;         /* NULL: none was pinned */
    const char *reason;           /* unknown: why */
};
struct dm_verify_callbacks {
    void *ctx;
    void (*difference)(void *ctx,
                       const struct dm_verify_difference *d); /* at most max_differences per dataset */
    void (*dataset)(void *ctx, const struct dm_verify_dataset *d);
};
/* datasets: names to verify, n 0: all that a database fills. *result is the worst of all; what could not be compared, for whatever reason, is
 * reported as unknown and makes the result unknown at best (but not what is DROPPED), and so does a lake in which there is nothing to compare. timeout_ms: for each source. */
enum dm_status dm_mirror_verify(const struct dm_config *config, const char *const *datasets, size_t n,
                                size_t max_differences, int64_t timeout_ms,
                                const struct dm_verify_callbacks *callbacks, const atomic_int *stop,
                                enum dm_verify_result *result, struct dm_error *err) DM_MUST_USE;

/* ---- resync ---- */

/* Asks for new copies of the datasets, of all or of none; a running mirror takes them up at once, else the next run does. */
enum dm_status dm_mirror_resync(const struct dm_config *config, const char *const *datasets, size_t n,
                                struct dm_error *err) DM_MUST_USE;

#endif
