#include "mirror/commit/evolved.h"

#include <stdlib.h>

#include "base/memory.h"
#include "mirror/quarantine/quarantine_names.h"
#include "mirror/quarantine/quarantine_table.h"

void dm_evolved_note(struct dm_evolved *list, uint32_t dataset, const struct dm_schema *before,
                     const struct dm_schema *after)
{
    size_t i = 0;
    while (i < list->n && list->items[i].dataset != dataset)
        i++;
    if (i == list->n) {
        list->items = dm_xrealloc(list->items, ++list->n, sizeof *list->items);
        list->items[i].dataset = dataset;
        list->items[i].before = before != NULL ? dm_schema_ref(before) : NULL;
        list->items[i].after = NULL;
    }
    dm_schema_unref(list->items[i].after);
    list->items[i].after = after != NULL ? dm_schema_ref(after) : NULL;
}

enum dm_status dm_evolved_save(const struct dm_evolved *list, struct sqlite3 *db, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < list->n && status == DM_OK; i++) {
        if (list->items[i].before != NULL && list->items[i].after != NULL)
            status = dm_quarantine_names_change(db, list->items[i].dataset, list->items[i].before,
                                                list->items[i].after, err);
        if (status == DM_OK) /* children of other datasets: the key may be another one */
            status = dm_quarantine_ask_again(db, list->items[i].dataset, err);
    }
    return status;
}

void dm_evolved_clear(struct dm_evolved *list)
{
    for (size_t i = 0; i < list->n; i++) {
        dm_schema_unref(list->items[i].before);
        dm_schema_unref(list->items[i].after);
    }
    free(list->items);
    *list = (struct dm_evolved){0};
}
