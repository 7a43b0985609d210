/* clock.h — time: microseconds since 1970-01-01T00:00:00Z for moments, a monotonic clock for durations.
 *
 * Tests of expiry and retention set DM_CLOCK_AHEAD, in seconds (also negative): all moments of the process are by so much later. */
#ifndef DM_BASE_CLOCK_H
#define DM_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t dm_clock_wall_us(void);      /* moments: may jump */
int64_t dm_clock_monotonic_us(void); /* durations: never goes back */
void dm_clock_sleep_ms(int64_t ms);
/* "2026-11-21T10:00:00.123456Z" into `out` (at least 32 bytes); returns out. */
char *dm_clock_format_us(int64_t wall_us, char *out, size_t size);

#endif
