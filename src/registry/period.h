/* period.h — ISO-8601 periods of time: "P3M", "P1Y6M", "P90D", "PT12H". For `expire:`.
 *
 *     struct dm_period p;
 *     if (dm_period_parse("P3M", &p)) cutoff_us = dm_period_before(now_us, p);
 */
#ifndef DM_REGISTRY_PERIOD_H
#define DM_REGISTRY_PERIOD_H

#include <stdbool.h>
#include <stdint.h>

struct dm_period {
    int32_t months; /* years included; calendar months */
    int64_t days;   /* weeks included */
    int64_t seconds;
};

/* False: not a period, zero, with fractions, or longer than 1000 years. */
bool dm_period_parse(const char *text, struct dm_period *out);
/* The moment that long before `wall_us`, in UTC: months first (31 May minus P3M is 28 or 29 February), then days and seconds. */
int64_t dm_period_before(int64_t wall_us, struct dm_period p);

#endif
