/* progress.h — how far a long job is: one line that is redrawn on a terminal, a log line every few seconds elsewhere.
 *
 *     copying shop  1,250,000 of ~5,000,000 rows (25 %)  512,000 rows/s  0:07 left
 *
 * The struct is embedded and owns nothing. Any thread may update; updates are cheap (a clock read) and draw at most four
 * times a second. dm_log clears the line before it writes; the next update draws it again. Nothing here fails.
 *
 *     struct dm_progress p;
 *     dm_progress_begin(&p, "copying shop", "rows", estimated_rows, options->progress);
 *     while (…)
 *         dm_progress_update(&p, rows_so_far, estimated_rows);
 *     dm_progress_end(&p);
 */
#ifndef DM_BASE_PROGRESS_H
#define DM_BASE_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dm_progress {
    pthread_mutex_t mutex;
    char what[96];
    char unit[16];
    bool terminal;
    bool drawn; /* a line of ours may stand on the terminal */
    uint64_t done;
    uint64_t total; /* 0: unknown */
    uint64_t first; /* done at the first update: a job that goes on where it stopped */
    bool has_first;
    double rate; /* per second, smoothed; 0 unknown */
    int64_t began_us;
    int64_t drawn_us; /* when it was last shown */
    uint64_t drawn_done;
};

/* total 0: unknown. terminal: draw a line on stderr instead of writing log lines. */
void dm_progress_begin(struct dm_progress *p, const char *what, const char *unit, uint64_t total,
                       bool terminal);
/* done: in all, not since the last call. total may change (estimates do). */
void dm_progress_update(struct dm_progress *p, uint64_t done, uint64_t total);
/* Removes the line and logs one closing line: how much, how long, how fast. */
void dm_progress_end(struct dm_progress *p);
/* The same without the closing line, for a command that prints its outcome anyway. */
void dm_progress_drop(struct dm_progress *p);

/* The texts, for tests and other tables: "1,250,000" and "1:02:03"; return out. */
const char *dm_progress_count(uint64_t n, char *out, size_t size);
const char *dm_progress_duration(int64_t seconds, char *out, size_t size);
/* The line as it would be drawn at a moment of the monotonic clock; returns out. */
const char *dm_progress_line(const struct dm_progress *p, int64_t now_us, char *out, size_t size);

#endif
