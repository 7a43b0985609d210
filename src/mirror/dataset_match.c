#include "mirror/dataset_match.h"

#include <string.h>

bool dm_dataset_is_of(const struct dm_dataset_state *d, const struct dm_table *table)
{
    if (table->id != 0 && d->source_id != 0)
        return table->id == d->source_id;
    return strcmp(table->name, d->source_table) == 0 && strcmp(table->schema, d->source_schema) == 0;
}

const struct dm_table *dm_dataset_table(const struct dm_dataset_state *d, const struct dm_table_list *tables)
{
    for (size_t i = 0; i < tables->n; i++)
        if (dm_dataset_is_of(d, tables->tables[i]))
            return tables->tables[i];
    return NULL;
}

bool dm_dataset_is_named(const struct dm_dataset_state *d, const char *dataset)
{
    size_t n = strlen(d->namespace);
    return strncmp(dataset, d->namespace, n) == 0 && dataset[n] == '.' &&
           strcmp(dataset + n + 1, d->name) == 0;
}
