#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t ahead_us;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
    const char *text = getenv("DM_CLOCK_AHEAD");
    ahead_us = text != NULL ? strtoll(text, NULL, 10) * 1000000 : 0;
}

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t dm_clock_wall_us(void)
{
    (void)pthread_once(&once, read_environment);
    return read_clock(CLOCK_REALTIME) + ahead_us;
}

int64_t dm_clock_monotonic_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void dm_clock_sleep_ms(int64_t ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    (void)nanosleep(&ts, NULL); /* an early wake by a signal is what callers want */
}

char *dm_clock_format_us(int64_t wall_us, char *out, size_t size)
{
    int64_t seconds = wall_us / 1000000;
    int64_t micros = wall_us % 1000000;
    if (micros < 0) {
        micros += 1000000;
        seconds--;
    }
    time_t t = (time_t)seconds;
    struct tm tm;
    char date[32] = "";
    if (gmtime_r(&t, &tm) != NULL)
        (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out, size, "%s.%06dZ", date, (int)micros);
    return out;
}
