/* day.h — the day of a moment: what divides a time-series dataset into partitions.
 *
 * Days count from 1970-01-01 in UTC, rounded down (Iceberg's transform "day"). */
#ifndef DM_COLUMN_DAY_H
#define DM_COLUMN_DAY_H

#include "column/type.h"

/* No time, or no days: also the partition value null. No moment has it as its day. */
#define DM_NO_DAY INT32_MIN

/* `value` as the column's type holds it: TIMESTAMP, TIMESTAMPTZ, TIMESTAMP_NS. */
static inline int32_t dm_day_of(struct dm_type type, int64_t value)
{
    const int64_t day = type.id == DM_TIMESTAMP_NS ? INT64_C(86400000000000) : INT64_C(86400000000);
    return (int32_t)(value / day - (value % day < 0));
}

static inline bool dm_day_has(struct dm_type type)
{
    return type.id == DM_TIMESTAMP || type.id == DM_TIMESTAMPTZ || type.id == DM_TIMESTAMP_NS;
}

#endif
