#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/shown.h"
#include "base/utf8.h"

enum { message_bytes = 2047, line_bytes = 2 * message_bytes + 256 };

static _Atomic int lowest_level = DM_LOG_INFO;
static _Atomic bool as_json = false;

void dm_log_set_level(enum dm_log_level lowest)
{
    lowest_level = (int)lowest;
}

void dm_log_set_json(bool json)
{
    as_json = json;
}

static const char *level_name(enum dm_log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return names[level];
}

/* What dm_shown leaves that JSON does not allow: quotes and backslashes. */
static void json_escape(const char *text, char *out)
{
    for (; *text != '\0'; *out++ = *text++)
        if (*text == '"' || *text == '\\')
            *out++ = '\\';
    *out = '\0';
}

void dm_log(enum dm_log_level level, const char *fmt, ...)
{
    if ((int)level < lowest_level)
        return;
    va_list args;
    va_start(args, fmt);
    char *message = dm_vshown_format(fmt, args);
    va_end(args);
    char when[40];
    dm_clock_format_us(dm_clock_wall_us(), when, sizeof when);
    char line[line_bytes];
    int n;
    if (strlen(message) > message_bytes)
        message[dm_utf8_whole(message, message_bytes)] = '\0';
    if (as_json) {
        char escaped[2 * message_bytes + 8];
        json_escape(message, escaped);
        n = snprintf(line, sizeof line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"%s\"}\n", when,
                     level_name(level), escaped);
    } else {
        const char *clear = isatty(STDERR_FILENO) ? "\r\033[K" : "";
        n = snprintf(line, sizeof line, "%s%s %-5s %s\n", clear, when, level_name(level), message);
    }
    free(message);
    if (n > 0) {
        size_t len = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
        ssize_t ignored = write(STDERR_FILENO, line, len);
        (void)ignored; /* there is nowhere left to report that stderr is gone */
    }
}

void dm_log_error(enum dm_log_level level, const char *what, const struct dm_error *err)
{
    dm_log(level, "%s: %s", what, err->message);
    if (err->hint[0] != '\0')
        dm_log(level, "hint: %s", err->hint);
}
