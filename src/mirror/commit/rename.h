/* rename.h — datasets follow the names of their tables, also when tables exchange them.
 *
 * The stream tells of one renamed table after the other. Where the name that a dataset should get is another one's, it depends: if that one is to be renamed,
 * too, and what stands in its way in turn, and so on, until a name is free or the circle closes, all of them are renamed in this commit, with their histories.
 * Else the dataset keeps its name, its reason says so, and it is tried again with the next rename of the source.
 *
 * Commit thread, in an open commit (lake mutex held).
 */
#ifndef DM_MIRROR_RENAME_H
#define DM_MIRROR_RENAME_H

#include "mirror/commit/apply_rows.h"
#include "mirror/target_list.h"

struct dm_renaming {
    struct dm_apply_context *apply;
    const struct dm_target_list *all; /* of the source; borrowed */
    void (*renamed)(void *ctx,
                    struct dm_target *t); /* its state changed: it is to be saved with the commit */
    void *ctx;
};

/* The source's table of `t` is now called as `table` says. */
enum dm_status dm_rename_follow(const struct dm_renaming *r, struct dm_target *t,
                                const struct dm_table *table, struct dm_error *err) DM_MUST_USE;

#endif
