#include "mirror/dataset_match.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

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

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

struct dm_dataset_wanted dm_dataset_name_of(const char *source, const char *schema, const char *table)
{
    bool kept = ends_with(table, "__history") || ends_with(table, "__tombstones");
    bool plain = schema == NULL || schema[0] == '\0' || strcmp(schema, "public") == 0;
    return (struct dm_dataset_wanted){plain ? dm_xstrdup(source) : dm_xasprintf("%s_%s", source, schema),
                                      dm_xasprintf("%s%s", table, kept ? "_table" : "")};
}

void dm_dataset_wanted_release(struct dm_dataset_wanted *w)
{
    free(w->namespace);
    free(w->name);
    *w = (struct dm_dataset_wanted){0};
}

bool dm_dataset_has_name(const struct dm_dataset_state *d, const struct dm_dataset_wanted *w)
{
    return strcmp(d->namespace, w->namespace) == 0 && strcmp(d->name, w->name) == 0;
}

bool dm_dataset_is_named(const struct dm_dataset_state *d, const char *dataset)
{
    size_t n = strlen(d->namespace);
    return strncmp(dataset, d->namespace, n) == 0 && dataset[n] == '.' &&
           strcmp(dataset + n + 1, d->name) == 0;
}
