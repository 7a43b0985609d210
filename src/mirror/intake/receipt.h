/* receipt.h — table dm_receipt: what was taken in already, so that a file or a resent request is taken exactly once.
 *
 * A receipt is written in the catalog transaction of the commit that holds its changes; it keeps the outcome, so that who asks again hears the same answer.
 * Receipts of requests and orders are kept for a week, those of files for good. Callers hold the mirror's lake mutex.
 */
#ifndef DM_MIRROR_RECEIPT_H
#define DM_MIRROR_RECEIPT_H

#include "mirror/intake/intake.h"

struct sqlite3;

enum dm_status dm_receipt_create_table(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;
/* Looks for the receipt that the job would leave. Found: fills job->counts and job->repeated; a job with another receipt_check gets job->error (CONFLICT). */
enum dm_status dm_receipt_look(struct sqlite3 *db, struct dm_intake_job *job,
                               struct dm_error *err) DM_MUST_USE;
/* In a commit: the receipt of the job. */
enum dm_status dm_receipt_put(struct sqlite3 *db, const struct dm_intake_job *job,
                              struct dm_error *err) DM_MUST_USE;
/* Calls fn with every key of the kind that begins with `prefix`. */
typedef void (*dm_receipt_key_fn)(void *ctx, const char *key);
enum dm_status dm_receipt_keys(struct sqlite3 *db, const char *kind, const char *dataset, const char *prefix,
                               dm_receipt_key_fn fn, void *ctx, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_receipt_remove_old(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;

#endif
