#include "cli/command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/shown.h"
#include "config/config_value.h"
#include "config/nearest_word.h"
#include "mirror/hygiene/condition.h"

const struct dm_command *dm_command_find(const char *name)
{
    for (size_t i = 0; dm_commands[i] != NULL; i++)
        if (strcmp(dm_commands[i]->name, name) == 0)
            return dm_commands[i];
    return NULL;
}

static size_t option_index(const struct dm_command *command, const char *name)
{
    size_t i = 0;
    while (command->options[i].name != NULL && strcmp(command->options[i].name, name) != 0)
        i++;
    return i;
}

const char *dm_invocation_value(const struct dm_invocation *in, const char *option)
{
    return in->values[option_index(in->command, option)];
}

bool dm_invocation_has(const struct dm_invocation *in, const char *option)
{
    return dm_invocation_value(in, option) != NULL;
}

int dm_command_usage_error(const struct dm_command *command, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)dm_print(stderr, "datamirror%s%s: ", command != NULL ? " " : "",
                   command != NULL ? command->name : "");
    char *text = dm_vshown_format(fmt, args);
    (void)fputs(text, stderr);
    free(text);
    va_end(args);
    (void)dm_print(stderr, "\nhelp: datamirror %s%s--help\n", command != NULL ? command->name : "",
                   command != NULL ? " " : "");
    return DM_EXIT_USAGE;
}

int dm_command_exit_code(const struct dm_error *err)
{
    switch (err->class) {
    case DM_ERROR_CONFIG: return DM_EXIT_USAGE;
    case DM_ERROR_MEMORY: /* others may have taken much of it */
    case DM_ERROR_TRANSIENT: return DM_EXIT_TRY_AGAIN;
    case DM_ERROR_CONFLICT: return DM_EXIT_CONFLICT;
    case DM_ERROR_DATA: return DM_EXIT_DATA;
    case DM_ERROR_NONE:
    case DM_ERROR_FATAL: break;
    }
    return DM_EXIT_INTERNAL;
}

int dm_command_fail(const struct dm_error *err)
{
    (void)fflush(stdout);
    dm_print_lines(stderr, "error: ", err->message);
    if (err->hint[0] != '\0')
        dm_print_lines(stderr, "hint: ", err->hint);
    return dm_command_exit_code(err);
}

bool dm_command_config(const struct dm_invocation *in, struct dm_config **out, int *code)
{
    const char *path = dm_invocation_value(in, "config");
    struct dm_error err = {0};
    if (dm_config_load(path != NULL ? path : "mirror.yaml", out, &err) == DM_OK) {
        dm_file_set_mode((unsigned)strtoul((*out)->file_mode, NULL, 8));
        return true;
    }
    *code = dm_command_fail(&err);
    return false;
}

bool dm_command_duration(const struct dm_invocation *in, const char *option, int64_t fallback, int64_t *ms,
                         int *code)
{
    const char *text = dm_invocation_value(in, option);
    *ms = fallback;
    if (text == NULL || dm_value_duration(text, ms))
        return true;
    *code = dm_command_usage_error(
        in->command, "--%s cannot be \"%s\"; it is a duration such as 500ms, 30s or 5m", option, text);
    return false;
}

bool dm_command_count(const struct dm_invocation *in, const char *option, size_t fallback, size_t *out,
                      int *code)
{
    const char *text = dm_invocation_value(in, option);
    int64_t n = 0;
    *out = fallback;
    if (text == NULL)
        return true;
    if (dm_value_int(text, &n) && n >= 0) {
        *out = (size_t)n;
        return true;
    }
    *code = dm_command_usage_error(in->command, "--%s cannot be \"%s\"; it is a whole number", option, text);
    return false;
}

int dm_command_finish(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    if (errno != EPIPE) /* a reader that has seen enough is no failure worth words */
        (void)dm_print(stderr, "error: the output could not be written: %s\n", strerror(errno));
    return DM_EXIT_TRY_AGAIN;
}

/* ---- parsing ---- */

static int unknown_option(const struct dm_command *command, const char *word)
{
    const char *names[DM_COMMAND_OPTIONS_MAX];
    size_t n = 0;
    for (; command->options[n].name != NULL; n++)
        names[n] = command->options[n].name;
    const char *near = word[0] == '-' && word[1] == '-' ? dm_nearest_word(word + 2, names, n) : NULL;
    if (near != NULL)
        return dm_command_usage_error(command, "unknown option %s; did you mean --%s?", word, near);
    return dm_command_usage_error(command, "unknown option %s", word);
}

/* Where parsing stands. */
struct parse {
    struct dm_invocation *in;
    char **words;
    size_t n;
    size_t next;
    const char **arguments;
};

/* Takes the value of option `index`: what follows "=", or the next word. Returns 0, or an exit code. */
static int take_value(struct parse *p, size_t index, const char *word, const char *attached)
{
    const struct dm_command_option *o = &p->in->command->options[index];
    if (o->value == NULL) {
        if (attached != NULL)
            return dm_command_usage_error(p->in->command, "--%s takes no value", o->name);
        p->in->values[index] = "";
        return 0;
    }
    if (attached == NULL) {
        if (p->next >= p->n)
            return dm_command_usage_error(p->in->command, "%s needs a value: %s", word, o->value);
        attached = p->words[p->next++];
    }
    size_t n = strlen(o->value);
    bool repeats = n > 3 && strcmp(o->value + n - 3, "...") == 0 && p->in->values[index] != NULL;
    p->in->values[index] = repeats ? dm_xasprintf("%s\x1e%s", p->in->values[index], attached) : attached;
    return 0;
}

static int parse_long(struct parse *p, const char *word)
{
    const struct dm_command *command = p->in->command;
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word - 2) : strlen(word + 2);
    for (size_t i = 0; command->options[i].name != NULL; i++)
        if (strlen(command->options[i].name) == length &&
            strncmp(command->options[i].name, word + 2, length) == 0)
            return take_value(p, i, word, equals != NULL ? equals + 1 : NULL);
    return unknown_option(command, word);
}

/* -v, -vc FILE, -cFILE */
static int parse_short(struct parse *p, const char *word)
{
    const struct dm_command *command = p->in->command;
    for (const char *c = word + 1; *c != '\0'; c++) {
        size_t i = 0;
        while (command->options[i].name != NULL && command->options[i].letter != *c)
            i++;
        if (command->options[i].name == NULL)
            return unknown_option(command, word);
        bool rest_is_value = command->options[i].value != NULL && c[1] != '\0';
        int code = take_value(p, i, word, rest_is_value ? c + 1 : NULL);
        if (code != 0 || rest_is_value)
            return code;
    }
    return 0;
}

/* Fills `in`; 0, or an exit code. `arguments` has room for all words. */
static int parse_words(struct dm_invocation *in, char **words, size_t n, const char **arguments, bool *help)
{
    struct parse p = {.in = in, .words = words, .n = n, .arguments = arguments};
    bool only_arguments = false;
    while (p.next < p.n) {
        const char *word = p.words[p.next++];
        int code = 0;
        if (only_arguments || word[0] != '-' || word[1] == '\0') {
            arguments[in->n_arguments++] = word;
        } else if (strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *help = true;
            return 0;
        } else {
            code = word[1] == '-' ? parse_long(&p, word) : parse_short(&p, word);
        }
        if (code != 0)
            return code;
    }
    in->arguments = arguments;
    if (in->n_arguments < in->command->min_arguments)
        return dm_command_usage_error(in->command, "something is missing: datamirror %s %s",
                                      in->command->name, in->command->arguments);
    if (in->n_arguments > in->command->max_arguments)
        return dm_command_usage_error(in->command, "\"%s\" is one argument too many",
                                      arguments[in->command->max_arguments]);
    return 0;
}

static int unknown_command(const char *word)
{
    const char *names[32];
    size_t n = 0;
    for (; n < 32 && dm_commands[n] != NULL; n++)
        names[n] = dm_commands[n]->name;
    const char *near = dm_nearest_word(word, names, n);
    if (near != NULL)
        return dm_command_usage_error(NULL, "there is no command \"%s\"; did you mean \"%s\"?", word, near);
    return dm_command_usage_error(NULL, "there is no command \"%s\"", word);
}

/* A file that may not grow is an error like a full disk, not a signal that ends the process; and of open files all that the system allows are ours. */
static void meet_limits(void)
{
    struct rlimit files;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (getenv("DATAMIRROR_CORE") == NULL) { /* rows, passwords and the secret are in memory */
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        (void)prctl(PR_SET_DUMPABLE, 0);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* without it there are smaller batches */
    }
}

int dm_command_main(int argc, char **argv)
{
    meet_limits();
    if (argc == 3 && strcmp(argv[1], DM_CONDITION_ARGUMENT) == 0)
        return dm_condition_main(argv[2]);
    if (argc < 2) {
        dm_usage_program(stderr);
        return DM_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    struct dm_invocation in = {.command = dm_command_find(name)};
    if (in.command == NULL)
        return unknown_command(name);
    const char **arguments = calloc((size_t)argc, sizeof *arguments);
    if (arguments == NULL)
        return DM_EXIT_INTERNAL;
    bool help = false;
    int code = parse_words(&in, argv + 2, (size_t)argc - 2, arguments, &help);
    if (code == 0 && help) {
        dm_usage_command(stdout, in.command);
        code = dm_command_finish(DM_EXIT_OK);
    } else if (code == 0) {
        if (dm_invocation_has(&in, "verbose"))
            dm_log_set_level(DM_LOG_DEBUG);
        code = in.command->run(&in);
    }
    free(arguments);
    return code;
}
