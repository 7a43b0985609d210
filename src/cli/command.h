/* command.h — the declarative command line: one table of commands gives parsing, `--help` and docs/commands.md.
 *
 * To add a command: a file cmd_<name>.c that defines a `const struct dm_command`, and one line in commands.c.
 * Everything here is constant; struct dm_invocation borrows argv. One thread.
 *
 *     static int run(const struct dm_invocation *in) { … return DM_EXIT_OK; }
 *     const struct dm_command dm_command_example = {.name = "example", .run = run, …};
 */
#ifndef DM_CLI_COMMAND_H
#define DM_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buffer.h"
#include "cli/exit_code.h"
#include "config/config.h"

struct dm_invocation;

/* An option of a command. The array ends with an entry whose name is NULL. */
struct dm_command_option {
    const char *name; /* "config": --config */
    char letter;      /* 'c': -c; 0 none */
    const char *
        value; /* "FILE": it takes a value; "KEY...": it may be repeated, values are joined by \x1e; NULL: a flag */
    const char *help;
};
#define DM_COMMAND_OPTIONS_MAX 16

struct dm_command_exit {
    int code;
    const char *meaning;
};

struct dm_command {
    const char *name;
    const char *arguments; /* "[DATASET...]" or "" */
    size_t min_arguments;
    size_t max_arguments;
    const char *summary; /* one line for the list of commands */
    const char *about;   /* paragraphs that teach */
    const struct dm_command_option *options;
    const char *examples;                /* lines */
    const struct dm_command_exit *exits; /* its special ones; ends with meaning NULL; NULL: none */
    int (*run)(const struct dm_invocation *in);
};

/* One parsed command line. */
struct dm_invocation {
    const struct dm_command *command;
    size_t n_arguments;
    const char *const *arguments;
    const char *values[DM_COMMAND_OPTIONS_MAX +
                       1]; /* by index in command->options; "" for a given flag; NULL: not given */
};

#define DM_OPTION_CONFIG \
    { \
        "config", 'c', "FILE", "the configuration (default mirror.yaml)" \
    }
#define DM_OPTION_VERBOSE \
    { \
        "verbose", 'v', NULL, "also log details" \
    }

/* NULL-terminated. */
extern const struct dm_command *const dm_commands[];
const struct dm_command *dm_command_find(const char *name); /* or NULL */

/* The whole program: parses argv, runs the command, returns the exit code. */
int dm_command_main(int argc, char **argv);

/* The value of an option by name; NULL: not given. */
const char *dm_invocation_value(const struct dm_invocation *in, const char *option);
bool dm_invocation_has(const struct dm_invocation *in, const char *option);

/* Prints "datamirror COMMAND: …" and how to get help on stderr; returns DM_EXIT_USAGE. */
int dm_command_usage_error(const struct dm_command *command, const char *fmt, ...) DM_PRINTF(2, 3);
/* The exit code of an error by its class. */
int dm_command_exit_code(const struct dm_error *err);
/* Prints error and hint on stderr; returns the exit code of its class. */
int dm_command_fail(const struct dm_error *err);
/* Loads the configuration that -c names. false: printed, *code says how to end. */
bool dm_command_config(const struct dm_invocation *in, struct dm_config **out, int *code);
/* A duration or whole number given as an option; `fallback` when not given. false: printed, *code is set. */
bool dm_command_duration(const struct dm_invocation *in, const char *option, int64_t fallback, int64_t *ms,
                         int *code);
bool dm_command_count(const struct dm_invocation *in, const char *option, size_t fallback, size_t *out,
                      int *code);
/* Flushes stdout and turns a failed write (full disk, closed pipe) into an exit code. */
int dm_command_finish(int code);

/* Help texts, made of the tables (usage.c). */
void dm_usage_program(FILE *out);
void dm_usage_command(FILE *out, const struct dm_command *command);
enum dm_status dm_usage_reference(struct dm_buffer *out,
                                  struct dm_error *err) DM_MUST_USE; /* docs/commands.md */

#endif
