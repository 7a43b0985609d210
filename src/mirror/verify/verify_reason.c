#include "mirror/verify/verify_reason.h"

#include <string.h>

#include "base/memory.h"
#include "mirror/dataset_match.h"

char *dm_verify_why_not(const struct dm_dataset_state *d, const struct dm_table *table, const char *location)
{
    bool live = strcmp(d->state, "streaming") == 0 || strcmp(d->state, "append-only") == 0;
    if (table == NULL)
        return dm_xstrdup("the table is not in the source any more, or not selected; the dataset keeps its "
                          "last state");
    if (strcmp(d->state, "waiting") == 0 || strcmp(d->state, "copying") == 0)
        return dm_xstrdup("it is being copied; verify it when `datamirror status` says that it is streaming");
    if (!live)
        return dm_xasprintf("it is not being mirrored (%s%s%s)", d->state, d->reason != NULL ? ": " : "",
                            d->reason != NULL ? d->reason : "");
    struct dm_dataset_wanted w = dm_dataset_name_of(d->source, table->schema, table->name);
    bool named = dm_dataset_has_name(d, &w) || strcmp(w.name, table->name) != 0;
    dm_dataset_wanted_release(&w);
    if (!named)
        return dm_xasprintf("it is of the table that is called %s now: it has not got that name (yet)",
                            table->name);
    return location == NULL ? dm_xstrdup("it was not in the lake yet at the pinned position") : NULL;
}

char *dm_verify_column_difference(const struct dm_schema *lake, const struct dm_schema *source)
{
    for (size_t i = 0; i < source->n_fields; i++)
        if (dm_schema_find_id(lake, source->fields[i].id) < 0)
            return dm_xasprintf("the source has a column \"%s\" that the lake lacks at this position",
                                source->fields[i].name);
    for (size_t i = 0; i < lake->n_fields; i++)
        if (dm_schema_find_id(source, lake->fields[i].id) < 0)
            return dm_xasprintf("the lake has a column \"%s\" that the source lacks at this position",
                                lake->fields[i].name);
    return NULL;
}
