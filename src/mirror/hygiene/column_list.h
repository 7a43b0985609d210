/* column_list.h — columns that stand together, by field id: those of a key, or
 * of a relationship. As text ("3,7") in catalog.db; "" is the dataset's key,
 * whichever it is. */
#ifndef DM_MIRROR_COLUMN_LIST_H
#define DM_MIRROR_COLUMN_LIST_H

#include "column/schema.h"

struct dm_column_list {
    size_t n;
    int32_t *ids; /* owned */
};
struct dm_column_list dm_column_list_copy(const struct dm_column_list *l);
struct dm_column_list dm_column_list_of_key(const struct dm_schema *s);
struct dm_column_list dm_column_list_read(const char *text);
void dm_column_list_release(struct dm_column_list *l);
void dm_column_list_add(struct dm_column_list *l, int32_t id);
bool dm_column_list_equal(const struct dm_column_list *a, const struct dm_column_list *b);
char *dm_column_list_text(const struct dm_column_list *l); /* malloc'ed */

#endif
