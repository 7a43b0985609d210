#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/declare/declared.h"

void dm_dataset_rules_free(struct dm_dataset_rules *rules)
{
    if (rules == NULL)
        return;
    dm_relational_schema_free(rules->schema);
    free(rules);
}

char *dm_declared_name(const char *name)
{
    return strchr(name, '.') != NULL ? dm_xstrdup(name) : dm_xasprintf("default.%s", name);
}
