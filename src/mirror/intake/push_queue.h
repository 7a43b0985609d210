/* push_queue.h — where requests wait for their commit: whoever pushes waits, one thread hands what is waiting to the intake together.
 *
 * While a commit is under way the next requests gather; how many of them share the next one is the intake's matter (intake.h). Each
 * job keeps its own outcome (its counts, its receipt, its error).
 * Threads: dm_push from any number; start and stop from one. When dm_push returns DM_OK the job is durable or job->error says why not.
 *
 *     dm_push_queue_start(mirror, &q, err);
 *     dm_push(q, &job, err);            // in a request's thread
 *     dm_push_queue_stop(q);            // jobs that wait still get in; later ones are refused
 */
#ifndef DM_MIRROR_PUSH_QUEUE_H
#define DM_MIRROR_PUSH_QUEUE_H

#include "mirror/intake/intake.h"

struct dm_push_queue;

enum dm_status dm_push_queue_start(struct dm_mirror *m, struct dm_push_queue **out,
                                   struct dm_error *err) DM_MUST_USE;
/* TRANSIENT when the queue is stopped or nothing could be committed (nothing of the job was taken). */
enum dm_status dm_push(struct dm_push_queue *q, struct dm_intake_job *job, struct dm_error *err) DM_MUST_USE;
void dm_push_queue_stop(struct dm_push_queue *q); /* NULL is fine */

#endif
