/* committer.h — applies commit units to the lake: the four numbered steps of a commit.
 *
 *   1. data files, deletion vectors, manifests and metadata, all durable, under names that nothing refers to
 *   2. one catalog transaction: all metadata pointers + source position + counters + quarantine (this is the commit)
 *   3. the key index commits its write transaction, tagged with the datasets' new sequence numbers
 *   4. the source is acknowledged (by the caller, through `committed`)
 *
 * One committer a source, used by one thread. It holds the mirror's lake mutex from the first unit of a commit to its end, so that commits of several
 * sources follow each other.
 */
#ifndef DM_MIRROR_COMMITTER_H
#define DM_MIRROR_COMMITTER_H

#include "mirror/commit_unit.h"

struct dm_committer;

struct dm_committer_options {
    struct dm_mirror *mirror;
    const struct dm_source_config *source;
    const struct dm_source_type *type;
};

struct dm_committer *dm_committer_new(const struct dm_committer_options *options);
/* Abandons a commit in progress. */
void dm_committer_free(struct dm_committer *c);

/* Applies the unit (which stays the caller's). When it closes: publishes. On failure everything since the last publication is abandoned: the stream has to start again from
 * the published position. */
enum dm_status dm_committer_apply(struct dm_committer *c, struct dm_unit *unit,
                                  struct dm_error *err) DM_MUST_USE;
/* The dataset whose step made the last dm_committer_apply fail; 0: the failure was not one dataset's. */
uint32_t dm_committer_failed_dataset(const struct dm_committer *c);

#endif
