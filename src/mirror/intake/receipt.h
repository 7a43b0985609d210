/* receipt.h — table dm_receipt: what was taken in already, so that a file or a resent request is taken exactly once.
 *
 * A receipt is written in the catalog transaction of the commit that holds its changes; it keeps the outcome, so that who asks again hears the same answer.
 * Receipts of requests and orders are kept for a week, those of files for good. Callers hold the mirror's lake mutex.
 *
 * Names of files and keys of requests may say who is in them, and receipts outlive an erasure. So they are kept as keyed hashes (suppression.h). Of a file's key,
 * "<source>/<name>/<bytes>/<changed>/<hash>", the last three parts stand as they are.
 */
#ifndef DM_MIRROR_RECEIPT_H
#define DM_MIRROR_RECEIPT_H

#include "mirror/hygiene/suppression.h"
#include "mirror/intake/intake.h"

struct sqlite3;

/* Makes the table; receipts of an older version get their hashes. */
enum dm_status dm_receipt_create_table(struct sqlite3 *db, const struct dm_suppression *hasher,
                                       struct dm_error *err) DM_MUST_USE;
/* Looks for the receipt that the job would leave. Found: fills job->counts and job->repeated; a job with another receipt_check gets job->error (CONFLICT). */
enum dm_status dm_receipt_look(struct sqlite3 *db, const struct dm_suppression *hasher,
                               struct dm_intake_job *job, struct dm_error *err) DM_MUST_USE;
/* In a commit: the receipt of the job. */
enum dm_status dm_receipt_put(struct sqlite3 *db, const struct dm_suppression *hasher,
                              const struct dm_intake_job *job, struct dm_error *err) DM_MUST_USE;
/* Calls fn with "<bytes>/<changed>/<hash>" of every receipt of the file that is called so in the source. */
typedef void (*dm_receipt_file_fn)(void *ctx, const char *state);
enum dm_status dm_receipt_files(struct sqlite3 *db, const struct dm_suppression *hasher, const char *dataset,
                                const char *source, const char *name, dm_receipt_file_fn fn, void *ctx,
                                struct dm_error *err) DM_MUST_USE;
/* Of requests and orders: those older than a week, and all but the newest DM_RECEIPTS_MAX. */
enum { DM_RECEIPTS_MAX = 100000 };
enum dm_status dm_receipt_remove_old(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;

#endif
