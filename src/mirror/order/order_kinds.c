/* The table of all kinds of orders. */
#include <string.h>

#include "mirror/order/order_kinds.h"
#include "mirror/hygiene/expire.h"
#include "mirror/quarantine/quarantine.h"
#include "mirror/hygiene/record_delete.h"

const struct dm_order_kind *const dm_order_kinds[] = {
    &dm_order_ingest,
    &dm_order_schema_apply,
    &dm_order_schema_drop,
    &dm_order_quarantine_replay,
    &dm_order_quarantine_discard,
    &dm_order_delete,
    &dm_order_unsuppress,
    &dm_order_expire,
    &dm_order_sql,
    NULL,
};

const struct dm_order_kind *dm_order_kind_find(const char *name)
{
    for (size_t i = 0; dm_order_kinds[i] != NULL; i++)
        if (strcmp(dm_order_kinds[i]->name, name) == 0)
            return dm_order_kinds[i];
    return NULL;
}
