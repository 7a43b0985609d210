/* `datamirror version`: this program and the parts that it runs with. */
#include <libpq-fe.h>
#include <sqlite3.h>

#include "base/shown.h"
#include "cli/commands.h"
#include "engine/engine.h"

static int run(const struct dm_invocation *in)
{
    (void)in;
    int pq = PQlibVersion();
    (void)dm_print(stdout, "datamirror %s\nduckdb %s\nsqlite %s\nlibpq %d.%d\n", DM_VERSION,
                   dm_engine_version(), sqlite3_libversion(), pq / 10000, pq % 10000);
    return dm_command_finish(DM_EXIT_OK);
}

static const struct dm_command_option options[] = {{NULL, 0, NULL, NULL}};

const struct dm_command dm_command_version = {
    .name = "version",
    .arguments = "",
    .summary = "Show the version, and those of the libraries",
    .about = "The first line is the version of Data Mirror; the others are the libraries that it runs with.",
    .options = options,
    .examples = "  datamirror version\n",
    .run = run,
};
