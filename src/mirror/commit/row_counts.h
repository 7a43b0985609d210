/* row_counts.h — what became of the rows of one input (a file, a request), counted while its commit is made.
 *
 * Rows of several inputs share a commit and its batches (intake.h). Each row names its transaction, and the transaction of an intake points to these
 * counts; a source's log has none. Plain data, owned by the intake's caller; one thread.
 */
#ifndef DM_MIRROR_ROW_COUNTS_H
#define DM_MIRROR_ROW_COUNTS_H

#include "column/batch.h"

/* By the version rule. */
struct dm_row_counts {
    uint64_t received; /* rows, bad ones included */
    uint64_t upserted, deleted;
    uint64_t
        inserted; /* of the upserted: their keys had no row yet; the others replace one, be it of the same input */
    uint64_t stale;        /* lower version than what is there */
    uint64_t ties;         /* equal version, applied or not */
    uint64_t noop_deletes; /* deletes of keys that were not there */
    uint64_t suppressed;   /* upserts of keys whose deletion a person ordered */
    uint64_t quarantined;
    uint64_t
        waiting; /* of the quarantined: children that wait for their parent (orphan.h); no limit counts them */
};

/* Adds n to a count of the transaction's input, if it has one. */
#define DM_ROW_COUNT(txn, what, n) \
    do { \
        if ((txn)->counts != NULL) \
            (txn)->counts->what += (n); \
    } while (0)

#endif
