#include "engine/field_names.h"

#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"

static bool taken(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return false;
}

char **dm_field_names_new(const struct dm_schema *schema)
{
    char **names = dm_xzalloc(schema->n_fields, sizeof *names);
    for (size_t i = 0; i < schema->n_fields; i++) {
        names[i] = dm_xstrdup(schema->fields[i].name);
        while (names[i][0] == 0 || strcasecmp(names[i], "__duckdb_field_id") == 0 ||
               taken(names, i, names[i])) {
            char *longer = dm_xasprintf("%s_%d", names[i], (int)schema->fields[i].id);
            free(names[i]);
            names[i] = longer;
        }
    }
    return names;
}

void dm_field_names_free(char **names, size_t n)
{
    for (size_t i = 0; names != NULL && i < n; i++)
        free(names[i]);
    free(names);
}
