/* copy_job.h — copies tables under one pinned snapshot, beside the running stream.
 *
 * A job has its own thread and `workers` reader threads; each part of a table becomes one or more Parquet files in the dataset's data
 * folder under names that nothing refers to. A finished table is picked up with dm_copy_job_take by the stream thread, which attaches it at a
 * transaction boundary at or after the job's position.
 * The job has its own source handle (connections are not shared with the stream).
 */
#ifndef DM_MIRROR_COPY_JOB_H
#define DM_MIRROR_COPY_JOB_H

#include "mirror/commit/commit_unit.h"

struct dm_copy_job;

/* What is wanted of one table. */
struct dm_copy_want {
    struct dm_target *target;        /* names and paths are read; nothing is changed */
    const struct dm_schema *current; /* owned reference: the dataset's schema now, or NULL */
    int32_t last_column_id;
};

enum dm_status dm_copy_job_start(struct dm_mirror *mirror, const struct dm_source_config *config,
                                 struct dm_copy_want *take_wants, size_t n, struct dm_copy_job **out,
                                 struct dm_error *err) DM_MUST_USE;
/* DM_OK: a table is finished, given away (*target says which; *table its definition in the snapshot, owned by the caller). A table that cannot
 * be copied comes with *copied NULL and err filled: CONFLICT: it changed under the copy and wants another one. DM_TIMEOUT: none is ready now. DM_END: all were taken. DM_FAIL: the job failed. */
enum dm_status dm_copy_job_take(struct dm_copy_job *job, struct dm_target **target,
                                struct dm_copied_table **copied, struct dm_table **table,
                                struct dm_error *err) DM_MUST_USE;
/* Rows copied so far and rows expected, for progress. */
void dm_copy_job_progress(struct dm_copy_job *job, uint64_t *rows, uint64_t *expected);
/* What the job waits for at the source; malloc'ed, NULL: for nothing. */
char *dm_copy_job_waits_for(struct dm_copy_job *job);
/* Stops it when it still runs, and frees it. */
void dm_copy_job_free(struct dm_copy_job *job);

#endif
