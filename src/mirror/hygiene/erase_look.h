/* erase_look.h — which data files of a family hold rows that an order means.
 *
 * The long look is taken while others work, without the lake mutex: data files never change. What came meanwhile is looked at when the files are asked for.
 */
#ifndef DM_MIRROR_ERASE_LOOK_H
#define DM_MIRROR_ERASE_LOOK_H

#include "mirror/hygiene/erase.h"
#include "mirror/hygiene/erase_match.h"

#include <stdatomic.h>

/* What an order means in one dataset. */
struct dm_erase_wanted {
    struct dm_suppressed *set; /* of the order's hashes */
    size_t n_lists;
    struct dm_column_list *lists; /* tuples among them, besides the key */
};
enum dm_status dm_erase_wanted_load(struct dm_mirror *m, int64_t order, uint32_t dataset,
                                    struct dm_erase_wanted *out, struct dm_error *err) DM_MUST_USE;
void dm_erase_wanted_release(struct dm_erase_wanted *w);

/* A file that was looked at. */
struct dm_known_file {
    uint32_t member_hash; /* of its dataset's name */
    uint32_t number;
    bool dirty;
};

struct dm_erase_look {
    struct dm_mirror *m;
    const struct dm_erase_wanted *wanted;
    const atomic_int *stop; /* > 0 ends it; may be NULL */
    size_t n;
    struct dm_known_file *known;
};
void dm_erase_look_release(struct dm_erase_look *l);

/* All files of the family as it is now. Lake mutex not held. */
enum dm_status dm_erase_look_ahead(struct dm_erase_look *l, const struct dm_dataset_state *state,
                                   struct dm_error *err) DM_MUST_USE;
/* dirty[i]: file i of the member holds such rows. `dataset`: the schema of the dataset itself. Lake mutex held. */
enum dm_status dm_erase_look_member(struct dm_erase_look *l, const struct dm_schema *dataset,
                                    const struct dm_dataset *member, bool *dirty,
                                    struct dm_error *err) DM_MUST_USE;

#endif
