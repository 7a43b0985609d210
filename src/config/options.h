/* options.h — the one declaration of every option of mirror.yaml.
 *
 * Parser (config_read.c), defaults, error messages and the reference page (config_reference.c) all come from these
 * tables. To add an option: a member in config.h and one line in options.c.
 * Everything here is constant and shared by all threads.
 *
 *     const struct dm_option *o = dm_option_find(&dm_options_source, "slot");
 */
#ifndef DM_CONFIG_OPTIONS_H
#define DM_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is written in the file, and the C type of the member at `offset`. */
enum dm_option_kind {
    DM_OPTION_TEXT,     /* char * */
    DM_OPTION_CHOICE,   /* char *, one of `choices` */
    DM_OPTION_BOOL,     /* bool */
    DM_OPTION_TRISTATE, /* int: -1 not given, 0 false, 1 true */
    DM_OPTION_INT,      /* int, min..max */
    DM_OPTION_SIZE,     /* uint64_t bytes, min..max: 512MiB */
    DM_OPTION_DURATION, /* int64_t milliseconds, min..max: 500ms, 7d */
    DM_OPTION_LIST,     /* char ** and the size_t at count_offset */
    DM_OPTION_SOURCES,  /* name → section of a source */
    DM_OPTION_TABLES,   /* list of globs or sections of a table */
    DM_OPTION_DECIMALS, /* column → "precision,scale" */
};

struct dm_option {
    const char *name;
    enum dm_option_kind kind;
    size_t offset;
    size_t count_offset;
    const char
        *fallback; /* the default as it would be written; <name> stands for the source's name; NULL: none */
    const char *const *choices; /* CHOICE: NULL-terminated */
    int64_t min;
    int64_t max;
    const char *only; /* the types of source that have it, "sqlite, files"; NULL: every type */
    bool required;
    bool secret;         /* its value is never shown */
    bool connection;     /* TEXT: a connection string, in which variables stand for themselves */
    const char *help;    /* sentences for the reference page */
    const char *example; /* one line of YAML, or NULL */
};

#define DM_OPTIONS_MAX 32 /* options in one section */

struct dm_option_section {
    const char *what;  /* in messages: "a source" */
    const char *title; /* of its chapter in the reference */
    const char *intro;
    const struct dm_option *options;
    size_t n;
};

extern const struct dm_option_section dm_options_top;
extern const struct dm_option_section dm_options_source;
extern const struct dm_option_section dm_options_table;

/* Whether a source of the type (may be NULL: no source) has the option. */
bool dm_option_applies(const struct dm_option *o, const char *type);
const struct dm_option *dm_option_find(const struct dm_option_section *section,
                                       const char *name); /* or NULL */

#endif
