/* pipeline.h — one source's life in a running mirror: prepare, copy, stream, commit, retry.
 *
 * Threads of one pipeline: the stream thread (this one: polls the source, decodes, collects), the commit thread (applies units), and during copies
 * the copy job's threads. dm_pipeline_run returns when the mirror stops, when it is caught up (if asked), or with the
 * error that no retry mends.
 */
#ifndef DM_MIRROR_PIPELINE_H
#define DM_MIRROR_PIPELINE_H

#include "mirror/mirror.h"
#include "mirror/target.h"

struct dm_pipeline_options {
    struct dm_mirror *mirror;
    const struct dm_source_config *config;
    bool until_caught_up;
    bool progress;
    int64_t
        give_up_ms; /* end with the error when the source could not be worked with for so long; 0: never */
};

/* Was the source away longer than give_up_ms, having been worked with at `good_us` (monotonic) last? Then *why says so. */
bool dm_pipeline_gave_up(const struct dm_pipeline_options *options, int64_t good_us, struct dm_error *why);
enum dm_status dm_pipeline_run(const struct dm_pipeline_options *options, struct dm_error *err) DM_MUST_USE;

#endif
