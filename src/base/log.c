#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

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

/* Escapes into `out` what JSON does not allow raw; truncates rather than overflows. */
static void json_escape(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0' && n + 7 < size; c++) {
        if (*c == '"' || *c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)*c;
        } else if (*c < 0x20) {
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", *c);
        } else {
            out[n++] = (char)*c;
        }
    }
    out[n] = '\0';
}

void dm_log(enum dm_log_level level, const char *fmt, ...)
{
    if ((int)level < lowest_level)
        return;
    char message[2048];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    char when[40];
    dm_clock_format_us(dm_clock_wall_us(), when, sizeof when);
    char line[4096 + 128];
    int n;
    if (as_json) {
        char escaped[4096];
        json_escape(message, escaped, sizeof escaped);
        n = snprintf(line, sizeof line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"%s\"}\n", when,
                     level_name(level), escaped);
    } else {
        const char *clear = isatty(STDERR_FILENO) ? "\r\033[K" : "";
        n = snprintf(line, sizeof line, "%s%s %-5s %s\n", clear, when, level_name(level), message);
    }
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
