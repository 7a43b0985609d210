/* compact.h — keeps the number of files of a dataset in bounds: small files are merged, files of mostly deleted rows rewritten.
 *
 * A commit a second would otherwise leave a file a second. Files fall into size classes (live bytes below 256 KiB, 2 MiB, 16 MiB, 64 MiB); when a class
 * holds `files_per_class` files they are merged into one of the next class, so a row is rewritten a few times in its life at most and a
 * dataset of N bytes has a number of files of the order of log N. In a dataset that is divided by day this holds for each day. Runs in the commit thread between commits, in small portions, as a
 * commit of its own at the same source position: the visible rows do not change.
 */
#ifndef DM_MIRROR_COMPACT_H
#define DM_MIRROR_COMPACT_H

#include "mirror/target.h"

struct dm_compact_job {
    struct dm_mirror *mirror;
    const char *namespace;
    const char *name;
    uint32_t
        index_dataset;  /* 0: its rows have no places in the key index (append-only, history, tombstones) */
    uint32_t index_tag; /* which state of it the key index knows is in this tag (index_tag.h); 0: none */
    struct dm_commit_summary summary; /* of the last commit: the position stays */
};

/* Does what is due, up to a million rows; *did: something was. Lake mutex held, no commit open. */
enum dm_status dm_compact(const struct dm_compact_job *job, bool *did, struct dm_error *err) DM_MUST_USE;

/* The same for the dataset (when it is divided by day: until nothing is due) and each of its side datasets (history, tombstones). As above. */
enum dm_status dm_compact_target(struct dm_mirror *m, const struct dm_target *t,
                                 const struct dm_commit_summary *summary, struct dm_error *err) DM_MUST_USE;

#endif
