/* dataset_match.h — which source table a dataset is of, and whether a name that a person typed means it.
 * Tables go by the source's stable id where there is one, so a rename keeps the match, else by name. */
#ifndef DM_MIRROR_DATASET_MATCH_H
#define DM_MIRROR_DATASET_MATCH_H

#include "mirror/state.h"
#include "source/source.h"

bool dm_dataset_is_of(const struct dm_dataset_state *d, const struct dm_table *table);
/* The dataset's table in the list; NULL: it is not there. Borrowed. */
const struct dm_table *dm_dataset_table(const struct dm_dataset_state *d, const struct dm_table_list *tables);
/* The name that the dataset of a table should have: <source>.<table>, or <source>_<schema>.<table> outside of the default schema. Names that end in __history or
 * __tombstones are kept for what belongs to a dataset: such a table's is <table>_table. */
struct dm_dataset_wanted {
    char *namespace, *name; /* owned */
};
struct dm_dataset_wanted dm_dataset_name_of(const char *source, const char *schema, const char *table);
void dm_dataset_wanted_release(struct dm_dataset_wanted *w);
bool dm_dataset_has_name(const struct dm_dataset_state *d, const struct dm_dataset_wanted *w);
/* "namespace.name" */
bool dm_dataset_is_named(const struct dm_dataset_state *d, const char *dataset);

#endif
