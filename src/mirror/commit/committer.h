/* committer.h — applies commit units to the lake: the four numbered steps of a commit.
 *
 *   1. data files, deletion vectors, manifests and metadata, all durable, under names that nothing refers to
 *   2. one catalog transaction: all metadata pointers + source position + counters + quarantine (this is the commit)
 *   3. the key index commits its write transaction, tagged with the datasets' new sequence numbers
 *   4. the source is acknowledged (by the caller, through `committed`)
 *
 * One committer a source (or an intake), used by one thread. It holds the mirror's lake mutex from the first unit of a commit to its end, so that commits of several
 * sources follow each other.
 */
#ifndef DM_MIRROR_COMMITTER_H
#define DM_MIRROR_COMMITTER_H

#include "mirror/commit/commit_unit.h"

struct dm_committer;

struct dm_target_list;

struct dm_committer_options {
    struct dm_mirror *mirror;
    const struct dm_source_config *source; /* NULL: an intake (intake.h); its units say what they are */
    const struct dm_source_type *type;
    const struct dm_target_list *targets; /* all of the source, for renames; NULL: an intake */
    dm_commit_extra extra; /* runs in the catalog transaction of each publication; may be NULL */
    void *extra_ctx;
};

struct dm_committer *dm_committer_new(const struct dm_committer_options *options);
/* Abandons a commit in progress. */
void dm_committer_free(struct dm_committer *c);

/* Begins a commit, if none is in progress: from here to the unit that closes it (or dm_committer_abandon) the lake mutex is held, so
 * what was read of the lake stays true. dm_committer_apply begins by itself. */
enum dm_status dm_committer_begin(struct dm_committer *c, struct dm_error *err) DM_MUST_USE;
/* Gives up the commit in progress; nothing of it stays. Fine when there is none. */
void dm_committer_abandon(struct dm_committer *c);

/* Applies the unit (which stays the caller's). When it closes: publishes. On failure everything since the last publication is abandoned: the stream has to start again from
 * the published position. */
enum dm_status dm_committer_apply(struct dm_committer *c, struct dm_unit *unit,
                                  struct dm_error *err) DM_MUST_USE;
/* The last dm_committer_apply published its commit, whatever went wrong after that (the key index is then behind, and caught up when it is looked at). */
bool dm_committer_published(const struct dm_committer *c);
/* The dataset whose step made the last dm_committer_apply fail; 0: the failure was not one dataset's. */
uint32_t dm_committer_failed_dataset(const struct dm_committer *c);
/* A copy of that dataset mends what went wrong. */
bool dm_committer_wants_copy(const struct dm_committer *c);

#endif
