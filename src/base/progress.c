#include "base/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define DRAW_EVERY_US INT64_C(250000)
#define LOG_EVERY_US INT64_C(5000000)
#define SMOOTHING 0.3 /* weight of the newest measurement */

const char *dm_progress_count(uint64_t n, char *out, size_t size)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

const char *dm_progress_duration(int64_t seconds, char *out, size_t size)
{
    int64_t hours = seconds / 3600, minutes = seconds / 60 % 60;
    if (hours > 0)
        (void)snprintf(out, size, "%" PRId64 ":%02" PRId64 ":%02" PRId64, hours, minutes, seconds % 60);
    else
        (void)snprintf(out, size, "%" PRId64 ":%02" PRId64, minutes, seconds % 60);
    return out;
}

const char *dm_progress_line(const struct dm_progress *p, int64_t now_us, char *out, size_t size)
{
    char done[32], total[32], rate[32], left[32];
    dm_progress_count(p->done, done, sizeof done);
    size_t n = (size_t)snprintf(out, size, "%s  %s", p->what, done);
    if (p->total > 0 && n < size) /* the total is an estimate: it may be passed */
        n += (size_t)snprintf(out + n, size - n, " of ~%s", dm_progress_count(p->total, total, sizeof total));
    if (n < size)
        n += (size_t)snprintf(out + n, size - n, " %s", p->unit);
    if (p->total > 0 && n < size) {
        double share = (double)p->done * 100.0 / (double)p->total;
        n += (size_t)snprintf(out + n, size - n, " (%d %%)", share > 99.0 ? 99 : (int)share);
    }
    if (p->rate >= 0.5 && n < size) {
        n += (size_t)snprintf(out + n, size - n, "  %s %s/s",
                              dm_progress_count((uint64_t)p->rate, rate, sizeof rate), p->unit);
        if (p->total > p->done && n < size) {
            int64_t seconds = (int64_t)((double)(p->total - p->done) / p->rate) + 1;
            n += (size_t)snprintf(out + n, size - n, "  %s left",
                                  dm_progress_duration(seconds, left, sizeof left));
        }
    } else if (n < size) {
        (void)snprintf(out + n, size - n, "  %s so far",
                       dm_progress_duration((now_us - p->began_us) / 1000000, left, sizeof left));
    }
    return out;
}

static void write_stderr(const char *text, size_t n)
{
    ssize_t ignored = write(STDERR_FILENO, text, n);
    (void)ignored; /* progress is a courtesy: without a stderr it has no reader */
}

static size_t terminal_width(void)
{
    struct winsize window;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20)
        return window.ws_col;
    return 80;
}

static void draw(struct dm_progress *p, int64_t now_us)
{
    char line[256], screen[300];
    dm_progress_line(p, now_us, line, sizeof line);
    if (!p->terminal) {
        dm_log(DM_LOG_INFO, "%s", line);
        return;
    }
    size_t width = terminal_width() - 1; /* a full line would wrap, and a wrapped one cannot be cleared */
    if (strlen(line) > width)
        line[width] = '\0';
    int n = snprintf(screen, sizeof screen, "\r\033[K%s", line);
    write_stderr(screen, (size_t)n);
    p->drawn = true;
}

static void measure(struct dm_progress *p, int64_t now_us)
{
    double seconds = (double)(now_us - p->drawn_us) / 1e6;
    if (seconds <= 0 || p->done < p->drawn_done)
        return;
    double rate = (double)(p->done - p->drawn_done) / seconds;
    p->rate = p->rate > 0 ? SMOOTHING * rate + (1 - SMOOTHING) * p->rate : rate;
}

void dm_progress_begin(struct dm_progress *p, const char *what, const char *unit, uint64_t total,
                       bool terminal)
{
    *p = (struct dm_progress){.total = total, .terminal = terminal};
    pthread_mutex_init(&p->mutex, NULL);
    (void)snprintf(p->what, sizeof p->what, "%s", what);
    (void)snprintf(p->unit, sizeof p->unit, "%s", unit);
    p->began_us = p->drawn_us = dm_clock_monotonic_us();
}

void dm_progress_update(struct dm_progress *p, uint64_t done, uint64_t total)
{
    int64_t now = dm_clock_monotonic_us();
    pthread_mutex_lock(&p->mutex);
    if (!p->has_first) {
        p->has_first = true;
        p->first = p->drawn_done = done;
    }
    p->done = done;
    p->total = total;
    if (now - p->drawn_us >= (p->terminal ? DRAW_EVERY_US : LOG_EVERY_US)) {
        measure(p, now);
        draw(p, now);
        p->drawn_us = now;
        p->drawn_done = p->done;
    }
    pthread_mutex_unlock(&p->mutex);
}

void dm_progress_drop(struct dm_progress *p)
{
    if (p->drawn)
        write_stderr("\r\033[K", 4);
    pthread_mutex_destroy(&p->mutex);
}

void dm_progress_end(struct dm_progress *p)
{
    int64_t took_us = dm_clock_monotonic_us() - p->began_us;
    uint64_t moved = p->done - (p->has_first ? p->first : 0);
    double seconds = (double)took_us / 1e6;
    char done[32], rate[32], took[32];
    dm_log(DM_LOG_INFO, "%s: %s %s in %s (%s %s/s)", p->what, dm_progress_count(p->done, done, sizeof done),
           p->unit, dm_progress_duration(took_us / 1000000, took, sizeof took),
           dm_progress_count(seconds > 0 ? (uint64_t)((double)moved / seconds) : 0, rate, sizeof rate),
           p->unit);
    dm_progress_drop(p);
}
