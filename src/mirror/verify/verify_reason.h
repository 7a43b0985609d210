/* verify_reason.h — why a dataset cannot be compared, in words: every state but a live one has its reason here. Texts are malloc'ed. */
#ifndef DM_MIRROR_VERIFY_REASON_H
#define DM_MIRROR_VERIFY_REASON_H

#include "mirror/state.h"
#include "source/source.h"

/* Why there is nothing to compare; NULL: it can be compared. `table` NULL: the source does not have it; `location` NULL: nor has the lake, at the pin. */
char *dm_verify_why_not(const struct dm_dataset_state *d, const struct dm_table *table, const char *location);
/* A column that only one side has is a difference in itself; NULL: none. */
char *dm_verify_column_difference(const struct dm_schema *lake, const struct dm_schema *source);

#endif
