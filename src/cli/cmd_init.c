/* `datamirror init`: looks at a source and writes a starter mirror.yaml. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/shown.h"
#include "cli/commands.h"
#include "cli/starter.h"

#define FILE_MAX_BYTES (1024 * 1024) /* what the parser takes */

/* The starter is of use without a source, too: it shows the shape. */
static const char example[] =
    "# Written by `datamirror init`. All options: datamirror help --reference\n"
    "# Better: `datamirror init --source URL` looks at the database and lists its tables.\n\n"
    "lake: ./lake # the folder of the lake\n\n"
    "sources:\n"
    "  shop: # datasets are named shop.<table>\n"
    "    type: postgres # or sqlite, with path: instead of url:\n"
    "    url: postgresql://user@localhost/shop\n"
    "    tables: [\"public.*\"] # globs\n";

/* advice: of the source; malloc'ed; NULL: none. */
static enum dm_status discover(const struct dm_starter *s, struct dm_table_list *tables, char **advice,
                               struct dm_error *err)
{
    struct dm_config *config = NULL;
    if (dm_starter_config(s, &config, err) != DM_OK)
        return DM_FAIL;
    const struct dm_source_type *type = dm_source_type_find(s->type);
    struct dm_source *source = NULL;
    enum dm_status status = type != NULL
                                ? type->open(&config->sources[0], &source, err)
                                : dm_fail(err, DM_ERROR_FATAL, NULL, "type %s is not built in", s->type);
    if (status == DM_OK) {
        status = type->tables(source, tables, err);
        if (status == DM_OK && type->advice != NULL)
            status = type->advice(source, advice, err);
        type->close(source);
    }
    dm_config_free(config);
    return status;
}

/* A SQLite path is read from the folder of the file that we write: a relative one is only right when that is here. */
static char *usable_path(const char *source, const char *output)
{
    const char *path = strncmp(source, "sqlite:", 7) == 0 ? source + 7 : source;
    if (strchr(output, '/') == NULL || path[0] == '/' || !dm_file_exists(path))
        return dm_xstrdup(source);
    char *absolute = realpath(path, NULL);
    return absolute != NULL ? absolute : dm_xstrdup(source);
}

static void tell(const struct dm_starter *s, const struct dm_table_list *tables, const char *advice,
                 const char *output)
{
    size_t good = 0, of_rights = 0;
    for (size_t i = 0; i < tables->n; i++) {
        good += tables->tables[i]->problem == NULL || tables->tables[i]->of_rights;
        of_rights += tables->tables[i]->of_rights;
    }
    (void)dm_print(stdout, "%s written: %zu table%s", output, good, good == 1 ? "" : "s");
    if (tables->n > good)
        (void)dm_print(stdout, ", and %zu that cannot be mirrored as they are; the file shows the ways out",
                       tables->n - good);
    (void)puts(".");
    if (of_rights > 0)
        (void)dm_print(stdout,
                       "%zu of them the source does not let this user mirror yet; `datamirror doctor` says "
                       "what is missing.\n",
                       of_rights);
    if (s->password_variable != NULL)
        (void)dm_print(stdout,
                       "\nThe password is not in the file. Set it where the commands run, as it is (not "
                       "percent-encoded):\n"
                       "  export %s='...'\n",
                       s->password_variable);
    if (advice != NULL)
        (void)dm_print(stdout, "\nNote: %s\n", advice);
    const char *c = strcmp(output, "mirror.yaml") == 0 ? "" : " -c ";
    const char *file = c[0] != '\0' ? output : "";
    (void)dm_print(stdout, "\nNext:\n  datamirror doctor%s%s\n  datamirror run%s%s\n", c, file, c, file);
}

static enum dm_status write_starter(const char *source, const char *name, const char *lake,
                                    const char *output, struct dm_buffer *text, struct dm_error *err)
{
    struct dm_starter starter = {0};
    struct dm_table_list tables = {0};
    char *place = usable_path(source, output), *advice = NULL;
    enum dm_status status = dm_starter_init(&starter, place, name, err);
    if (status == DM_OK && strcmp(starter.type, "sqlite") == 0 && !dm_file_exists(starter.place))
        status =
            dm_fail(err, DM_ERROR_CONFIG, "give the path of the database, or postgresql://user@host/database",
                    "there is no file %s", starter.place);
    if (status == DM_OK)
        status = discover(&starter, &tables, &advice, err);
    if (status == DM_OK)
        status = dm_starter_write(&starter, lake, &tables, text, err);
    if (status == DM_OK)
        status = dm_file_replace_private(output, text->data, text->len, err);
    if (status == DM_OK)
        tell(&starter, &tables, advice, output);
    free(advice);
    dm_table_list_release(&tables);
    dm_starter_release(&starter);
    free(place);
    return status;
}

static int run(const struct dm_invocation *in)
{
    const char *output = dm_invocation_value(in, "output");
    const char *source = dm_invocation_value(in, "source");
    const char *lake = dm_invocation_value(in, "lake");
    if (output == NULL)
        output = "mirror.yaml";
    if (dm_file_exists(output) && !dm_invocation_has(in, "force"))
        return dm_command_usage_error(
            in->command, "%s is there already; --force replaces it, -o writes another file", output);
    if (source == NULL && (lake != NULL || dm_invocation_has(in, "name")))
        return dm_command_usage_error(in->command, "--lake and --name need --source");
    struct dm_error err = {0};
    struct dm_buffer text;
    dm_buffer_init(&text, FILE_MAX_BYTES);
    enum dm_status status;
    if (source != NULL) {
        status = write_starter(source, dm_invocation_value(in, "name"), lake != NULL ? lake : "./lake",
                               output, &text, &err);
    } else {
        status = dm_file_replace_private(output, example, sizeof example - 1, &err);
        if (status == DM_OK)
            (void)dm_print(stdout,
                           "%s written. Change url: (or use `datamirror init --force --source URL`), then:\n"
                           "  datamirror doctor\n  datamirror run\n",
                           output);
    }
    dm_buffer_release(&text);
    return status == DM_OK ? dm_command_finish(DM_EXIT_OK) : dm_command_fail(&err);
}

static const struct dm_command_option options[] = {
    {"source", 's', "URL", "postgresql://user@host/db, or the path of a SQLite file (also sqlite:PATH)"},
    {"name", 0, "NAME", "what to call the source (default: the database's name)"},
    {"lake", 0, "DIR", "the folder of the lake (default ./lake)"},
    {"output", 'o', "FILE", "where to write it (default mirror.yaml)"},
    {"force", 0, NULL, "replace a file that is there"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};

const struct dm_command dm_command_init = {
    .name = "init",
    .arguments = "",
    .summary = "Write a starter mirror.yaml for a database",
    .about = "Connects to the source, lists its tables with their rows, keys and relationships as comments, "
             "and shows the ways\n"
             "out for tables that have no key. Nothing is changed in the source. A password in the URL is "
             "not written to the\n"
             "file: a reference to an environment variable stands there instead.",
    .options = options,
    .examples = "  datamirror init --source postgresql://me:secret@localhost/shop\n"
                "  datamirror init --source shop.db --lake /srv/lake\n",
    .run = run,
};
