/* All help texts: the list of commands, the page of one command, and docs/commands.md. */
#include <string.h>

#include "cli/command.h"

#define EXIT_ROW(name, code, meaning) {DM_EXIT_##name, (meaning)},
static const struct dm_command_exit every_exit[] = {DM_EXIT_CODES(EXIT_ROW){0, NULL}};

static const char opening[] =
    "# Commands\n\n"
    "<!-- Made by `datamirror help --commands` from the tables in src/cli: change it there. -->\n\n"
    "Every command has `--help`. Messages and progress go to stderr, results to stdout.\n\n";

static void option_head(const struct dm_command_option *o, char *out, size_t size)
{
    char letter[8] = "";
    if (o->letter != '\0')
        (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    (void)snprintf(out, size, "%s--%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
}

void dm_usage_program(FILE *out)
{
    (void)fputs(
        "Data Mirror keeps a live, exact copy of PostgreSQL and SQLite databases as Iceberg tables.\n\n"
        "usage: datamirror COMMAND [OPTIONS]\n\n",
        out);
    for (size_t i = 0; dm_commands[i] != NULL; i++)
        (void)fprintf(out, "  %-10s %s\n", dm_commands[i]->name, dm_commands[i]->summary);
    (void)fputs("\nThe first steps:\n"
                "  datamirror init --source postgresql://user@host/db   write mirror.yaml\n"
                "  datamirror doctor                                    see what is missing\n"
                "  datamirror run                                       mirror until Ctrl-C\n\n"
                "`datamirror COMMAND --help` explains one command.\n",
                out);
}

void dm_usage_command(FILE *out, const struct dm_command *c)
{
    (void)fprintf(out, "datamirror %s: %s\n\nusage: datamirror %s%s%s [OPTIONS]\n\n%s\n\noptions:\n", c->name,
                  c->summary, c->name, c->arguments[0] ? " " : "", c->arguments, c->about);
    char head[80];
    for (const struct dm_command_option *o = c->options; o->name != NULL; o++) {
        option_head(o, head, sizeof head);
        (void)fprintf(out, "  %-26s %s\n", head, o->help);
    }
    (void)fprintf(out, "  %-26s %s\n\nexamples:\n%s", "-h, --help", "this text", c->examples);
    if (c->exits == NULL) {
        (void)fputs("\nexit codes: 0 done; others: datamirror help --commands\n", out);
        return;
    }
    (void)fputs("\nexit codes:\n", out);
    for (const struct dm_command_exit *e = c->exits; e->meaning != NULL; e++)
        (void)fprintf(out, "  %-3d %s\n", e->code, e->meaning);
    (void)fputs("  others: datamirror help --commands\n", out);
}

static enum dm_status write_exits(struct dm_buffer *out, const struct dm_command_exit *exits,
                                  struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(out, err, "\n| code | meaning |\n|---|---|\n");
    for (const struct dm_command_exit *e = exits; e->meaning != NULL && status == DM_OK; e++)
        status = dm_buffer_printf(out, err, "| %d | %s |\n", e->code, e->meaning);
    return status;
}

static enum dm_status write_command(struct dm_buffer *out, const struct dm_command *c, struct dm_error *err)
{
    if (dm_buffer_printf(out, err, "\n## %s\n\n%s.\n\n```\ndatamirror %s%s%s [OPTIONS]\n```\n\n%s\n", c->name,
                         c->summary, c->name, c->arguments[0] ? " " : "", c->arguments, c->about) != DM_OK)
        return DM_FAIL;
    if (c->options[0].name != NULL &&
        dm_buffer_printf(out, err, "\n| option | meaning |\n|---|---|\n") != DM_OK)
        return DM_FAIL;
    char head[80];
    for (const struct dm_command_option *o = c->options; o->name != NULL; o++) {
        option_head(o, head, sizeof head);
        if (dm_buffer_printf(out, err, "| `%s` | ", head) != DM_OK)
            return DM_FAIL;
        for (const char *h = o->help; *h != '\0'; h++) /* a bar would end the cell */
            if (dm_buffer_append(out, *h == '|' ? "\\|" : h, *h == '|' ? 2 : 1, err) != DM_OK)
                return DM_FAIL;
        if (dm_buffer_printf(out, err, " |\n") != DM_OK)
            return DM_FAIL;
    }
    if (dm_buffer_printf(out, err, "\n```\n%s```\n", c->examples) != DM_OK)
        return DM_FAIL;
    return c->exits != NULL ? write_exits(out, c->exits, err) : DM_OK;
}

enum dm_status dm_usage_reference(struct dm_buffer *out, struct dm_error *err)
{
    if (dm_buffer_append(out, opening, sizeof opening - 1, err) != DM_OK ||
        dm_buffer_printf(out, err, "| command | what it does |\n|---|---|\n") != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; dm_commands[i] != NULL; i++)
        if (dm_buffer_printf(out, err, "| [`%s`](#%s) | %s |\n", dm_commands[i]->name, dm_commands[i]->name,
                             dm_commands[i]->summary) != DM_OK)
            return DM_FAIL;
    if (dm_buffer_printf(out, err, "\n## Exit codes\n") != DM_OK ||
        write_exits(out, every_exit, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; dm_commands[i] != NULL; i++)
        if (write_command(out, dm_commands[i], err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}
