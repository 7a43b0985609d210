/* The command line: parsing, help of every command, mistakes and their exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/command.h"

/* Runs the program; what it wrote to stdout or stderr (which: 1 or 2) is in `text`. */
static int run_command(int which, char *text, size_t size, int argc, const char *const *argv)
{
    char *copy[16] = {0};
    for (int i = 0; i < argc; i++)
        copy[i] = strdup(argv[i]);
    FILE *file = tmpfile();
    (void)fflush(stdout);
    (void)fflush(stderr);
    int saved = dup(which);
    dup2(fileno(file), which);
    int code = dm_command_main(argc, copy);
    (void)fflush(stdout);
    (void)fflush(stderr);
    dup2(saved, which);
    close(saved);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    for (int i = 0; i < argc; i++)
        free(copy[i]);
    return code;
}

#define RUN(which, text, ...) \
    run_command(which, text, sizeof(text), \
                (int)(sizeof((const char *const[]){"datamirror", __VA_ARGS__}) / sizeof(char *)), \
                (const char *const[]){"datamirror", __VA_ARGS__})

static void contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", text, part);
}

static void test_every_command_teaches(void **state)
{
    (void)state;
    static char text[65536];
    for (size_t i = 0; dm_commands[i] != NULL; i++) {
        assert_int_equal(RUN(1, text, dm_commands[i]->name, "--help"), DM_EXIT_OK);
        contains(text, "usage: datamirror ");
        contains(text, dm_commands[i]->about);
        contains(text, "examples:\n  datamirror ");
        contains(text, "exit codes:");
        size_t options = 0;
        for (; dm_commands[i]->options[options].name != NULL; options++)
            contains(text, dm_commands[i]->options[options].help);
        assert_true(options < DM_COMMAND_OPTIONS_MAX);
        assert_int_equal(RUN(1, text, "help", dm_commands[i]->name), DM_EXIT_OK);
        contains(text, dm_commands[i]->about);
    }
    assert_int_equal(RUN(1, text, "--help"), DM_EXIT_OK);
    contains(text, "datamirror COMMAND");
    assert_int_equal(RUN(1, text, "version"), DM_EXIT_OK);
    contains(text, "datamirror " DM_VERSION "\nduckdb v");
}

static void test_mistakes(void **state)
{
    (void)state;
    static char text[65536];
    assert_int_equal(RUN(2, text, "statsu"), DM_EXIT_USAGE);
    contains(text, "there is no command \"statsu\"; did you mean \"status\"?");
    assert_int_equal(RUN(2, text, "xyzzy"), DM_EXIT_USAGE);
    contains(text, "there is no command \"xyzzy\"\n");
    assert_int_equal(RUN(2, text, "run", "--until-caughtup"), DM_EXIT_USAGE);
    contains(text, "did you mean --until-caught-up?");
    assert_int_equal(RUN(2, text, "run", "-x"), DM_EXIT_USAGE);
    contains(text, "unknown option -x");
    assert_int_equal(RUN(2, text, "run", "-c"), DM_EXIT_USAGE);
    contains(text, "-c needs a value: FILE");
    assert_int_equal(RUN(2, text, "run", "--json=yes"), DM_EXIT_USAGE);
    contains(text, "--json takes no value");
    assert_int_equal(RUN(2, text, "run", "shop"), DM_EXIT_USAGE);
    contains(text, "\"shop\" is one argument too many");
    assert_int_equal(RUN(2, text, "run", "--for", "soon"), DM_EXIT_USAGE);
    contains(text, "--for cannot be \"soon\"");
    assert_int_equal(RUN(2, text, "verify", "-n", "-1"), DM_EXIT_USAGE);
    contains(text, "--differences cannot be \"-1\"");
    assert_int_equal(RUN(2, text, "query", "--format", "jsno", "select 1"), DM_EXIT_USAGE);
    contains(text, "allowed are: table, csv, json, sheet; did you mean --format json");
    assert_int_equal(RUN(2, text, "resync"), DM_EXIT_USAGE);
    contains(text, "name the datasets, or say --all");
    assert_int_equal(RUN(2, text, "init", "--lake", "x", "-o", "/nonexistent/m.yaml"), DM_EXIT_USAGE);
    contains(text, "need --source");
}

static void test_missing_configuration(void **state)
{
    (void)state;
    static char text[65536];
    static const char *const commands[] = {"run", "status", "verify", "query", "resync"};
    for (size_t i = 0; i < 5; i++) {
        const char *extra = i == 4 ? "--all" : "--verbose";
        assert_int_equal(RUN(2, text, commands[i], "--config=/nonexistent/mirror.yaml", extra),
                         DM_EXIT_USAGE);
        contains(text, "there is no configuration file /nonexistent/mirror.yaml");
        contains(text, "hint: ");
    }
    assert_int_equal(RUN(1, text, "doctor", "-vc/nonexistent/mirror.yaml"), DM_EXIT_NEGATIVE);
    contains(text, "FAIL  configuration: there is no configuration file /nonexistent/mirror.yaml");
}

static void test_no_arguments(void **state)
{
    (void)state;
    static char text[65536];
    assert_int_equal(run_command(2, text, sizeof text, 1, (const char *const[]){"datamirror"}),
                     DM_EXIT_USAGE);
    contains(text, "usage: datamirror COMMAND");
}

static void test_reference_names_all(void **state)
{
    (void)state;
    static char text[1 << 17];
    assert_int_equal(RUN(1, text, "help", "--commands"), DM_EXIT_OK);
    for (size_t i = 0; dm_commands[i] != NULL; i++) {
        char heading[64];
        (void)snprintf(heading, sizeof heading, "\n## %s\n", dm_commands[i]->name);
        contains(text, heading);
    }
    contains(text, "\n| 70 | ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_teaches), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_missing_configuration), cmocka_unit_test(test_no_arguments),
        cmocka_unit_test(test_reference_names_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
