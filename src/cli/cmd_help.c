/* `datamirror help`: the same texts as --help, and the reference pages. */
#include "cli/commands.h"

#define PAGE_MAX (1024 * 1024)

static int print_page(enum dm_status (*write)(struct dm_buffer *, struct dm_error *))
{
    struct dm_buffer page;
    struct dm_error err = {0};
    dm_buffer_init(&page, PAGE_MAX);
    int code = DM_EXIT_OK;
    if (write(&page, &err) != DM_OK)
        code = dm_command_fail(&err);
    else
        (void)fwrite(page.data, 1, page.len, stdout);
    dm_buffer_release(&page);
    return dm_command_finish(code);
}

static int run(const struct dm_invocation *in)
{
    if (dm_invocation_has(in, "reference"))
        return print_page(dm_config_reference);
    if (dm_invocation_has(in, "commands"))
        return print_page(dm_usage_reference);
    if (in->n_arguments == 0) {
        dm_usage_program(stdout);
        return dm_command_finish(DM_EXIT_OK);
    }
    const struct dm_command *command = dm_command_find(in->arguments[0]);
    if (command == NULL)
        return dm_command_usage_error(NULL, "there is no command \"%s\"", in->arguments[0]);
    dm_usage_command(stdout, command);
    return dm_command_finish(DM_EXIT_OK);
}

static const struct dm_command_option options[] = {
    {"reference", 0, NULL, "print the page of all configuration options (Markdown)"},
    {"commands", 0, NULL, "print the page of all commands and exit codes (Markdown)"},
    {NULL, 0, NULL, NULL},
};

const struct dm_command dm_command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .max_arguments = 1,
    .summary = "Explain a command, or list all options of the configuration",
    .about = "Without a name it lists the commands. The reference pages are those in docs/.",
    .options = options,
    .examples = "  datamirror help verify\n"
                "  datamirror help --reference | less\n",
    .run = run,
};
