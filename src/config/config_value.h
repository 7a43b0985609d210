/* config_value.h — the text of one value into what it means: sizes, durations, numbers, `${NAME}`.
 *
 * The parse functions are pure: they return false (and leave *out) when the text is not of the kind. The caller says where
 * the text stands and what is allowed. Thread safe, except that dm_value_expand reads the environment.
 */
#ifndef DM_CONFIG_CONFIG_VALUE_H
#define DM_CONFIG_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* A line in the configuration file, for messages. */
struct dm_config_place {
    const char *file;
    size_t line;
};

/* CONFIG error "file:line: …" with a hint (may be NULL). Returns DM_FAIL. */
enum dm_status dm_config_fail(struct dm_config_place at, struct dm_error *err, const char *hint,
                              const char *fmt, ...) DM_PRINTF(4, 5);

bool dm_value_bool(const char *text, bool *out);        /* true, false */
bool dm_value_int(const char *text, int64_t *out);      /* 42, -1 */
bool dm_value_size(const char *text, uint64_t *out);    /* 512MiB, 1GB, 4096 */
bool dm_value_duration(const char *text, int64_t *out); /* 500ms, 1s, 10m, 2h, 7d, 0: milliseconds */
bool dm_value_decimal(const char *text, int *precision, int *scale); /* "38,10" */

/* Replaces each ${NAME} by the environment variable; $${ stands for a plain ${. *out is malloc'ed. */
enum dm_status dm_value_expand(const char *text, struct dm_config_place at, char **out,
                               struct dm_error *err) DM_MUST_USE;

/* The same for a connection string, in which a value stands for itself: it is percent-encoded where it is user, password, path or the value of a
 * parameter of a postgresql:// URL, and quoted where it is the value of a keyword (connection_value.c). Elsewhere (the whole string, a host
 * with its port) it is taken as it is. */
enum dm_status dm_value_expand_connection(const char *text, struct dm_config_place at, char **out,
                                          struct dm_error *err) DM_MUST_USE;

/* How a value that stands at `at` in the connection string `text` (as written) is to be spelled. */
enum dm_connection_spelling { DM_SPELL_AS_IS, DM_SPELL_PERCENT, DM_SPELL_KEYWORD };
enum dm_connection_spelling dm_connection_spelling_at(const char *text, const char *at);
enum dm_status dm_connection_spell(enum dm_connection_spelling how, const char *value, struct dm_buffer *out,
                                   struct dm_error *err) DM_MUST_USE;

/* As a person would write it, for messages and the reference: "512MiB", "1s". Return out. */
const char *dm_value_size_text(uint64_t bytes, char *out, size_t size);
const char *dm_value_duration_text(int64_t ms, char *out, size_t size);

/* Nesting beyond what any of our files has: libyaml's time grows with its square, and its loader recurses. Looks at the events alone, before anything is built.
 * false: *line says where (counted from 1). Text that is no YAML is left to the parser. */
bool dm_yaml_is_shallow(const char *text, size_t n, size_t *line);

#endif
