#include "column/type.h"

#include <stdio.h>

size_t dm_type_width(enum dm_type_id id)
{
    switch (id) {
    case DM_BOOL: return 1;
    case DM_INT32:
    case DM_FLOAT32:
    case DM_DATE: return 4;
    case DM_INT64:
    case DM_FLOAT64:
    case DM_TIME:
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS: return 8;
    case DM_DECIMAL:
    case DM_UUID: return 16;
    case DM_STRING:
    case DM_BINARY:
    case DM_LIST: return 0;
    }
    return 0;
}

const char *dm_type_name(struct dm_type type, char *out, size_t size)
{
    static const char *const names[] = {
        [DM_BOOL] = "boolean",   [DM_INT32] = "int",
        [DM_INT64] = "long",     [DM_FLOAT32] = "float",
        [DM_FLOAT64] = "double", [DM_DATE] = "date",
        [DM_TIME] = "time",      [DM_TIMESTAMP] = "timestamp",
        [DM_STRING] = "string",  [DM_TIMESTAMPTZ] = "timestamptz",
        [DM_BINARY] = "binary",  [DM_TIMESTAMP_NS] = "timestamp_ns",
        [DM_UUID] = "uuid",
    };
    if (type.id == DM_DECIMAL) {
        (void)snprintf(out, size, "decimal(%u, %u)", type.precision, type.scale);
    } else if (type.id == DM_LIST) {
        char element[32];
        (void)snprintf(out, size, "list<%s>", dm_type_name(dm_type_element(type), element, sizeof element));
    } else {
        bool known = type.id < sizeof names / sizeof *names && names[type.id] != NULL;
        (void)snprintf(out, size, "%s", known ? names[type.id] : "?");
    }
    return out;
}

bool dm_type_widens(struct dm_type from, struct dm_type to)
{
    if (dm_type_equal(from, to))
        return true;
    if (from.id == DM_LIST && to.id == DM_LIST)
        return dm_type_widens(dm_type_element(from), dm_type_element(to));
    if (from.id == DM_INT32 && to.id == DM_INT64)
        return true;
    if (from.id == DM_FLOAT32 && to.id == DM_FLOAT64)
        return true;
    return from.id == DM_DECIMAL && to.id == DM_DECIMAL && from.scale == to.scale &&
           to.precision > from.precision;
}
