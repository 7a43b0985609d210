/* calendar.h — days since 1970-01-01 and dates of the proleptic Gregorian calendar, one into the other.
 *
 * Any year, 0 and those before it included (0 is 1 BC); no range is checked, but days must lie a few million years from the ends of 64 bits.
 * Both count in eras of 400 years (146097 days) that begin on 1 March, so that the leap day is the last of its year.
 *
 *     int64_t days = dm_days_of(2024, 2, 29);
 *     dm_date_of(days, &year, &month, &day);
 */
#ifndef DM_BASE_CALENDAR_H
#define DM_BASE_CALENDAR_H

#include <stdint.h>

/* The month 1 to 12; the day may be 0 or beyond the month's last and counts on. */
static inline int64_t dm_days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    unsigned month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (int64_t)((153 * month_from_march + 2) / 5) + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468; /* 0000-03-01 */
}

static inline void dm_date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day_of_era = (unsigned)(shifted - era * 146097);
    unsigned leap_days = day_of_era / 1460 - day_of_era / 36524 + day_of_era / 146096;
    unsigned year_of_era = (day_of_era - leap_days) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    *month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *year = (int64_t)year_of_era + era * 400 + (*month <= 2);
}

#endif
