/* log.h — one line per event on stderr: `2026-11-21T10:00:00.123Z info  message`.
 *
 * Thread safe: a line is written with one write(2). With dm_log_set_json(true) each line is a JSON object with
 * time, level, message. When a progress line is on the terminal (see progress.h), log lines clear it first.
 * Never log a secret: URLs go through dm_url_redact (config/).
 */
#ifndef DM_BASE_LOG_H
#define DM_BASE_LOG_H

#include <stdbool.h>

enum dm_log_level { DM_LOG_DEBUG, DM_LOG_INFO, DM_LOG_WARN, DM_LOG_ERROR };

void dm_log_set_level(enum dm_log_level lowest);
void dm_log_set_json(bool json);
void dm_log(enum dm_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct dm_error;
/* Logs "what: message" and, when there is one, "hint: …". */
void dm_log_error(enum dm_log_level level, const char *what, const struct dm_error *err);

#endif
