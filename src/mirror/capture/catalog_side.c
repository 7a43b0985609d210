#include "mirror/capture/catalog_side.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/state.h"

enum dm_status dm_catalog_side_open(const char *lake, sqlite3 **out, struct dm_error *err)
{
    char *path = dm_xasprintf("%s/catalog.db", lake);
    *out = NULL;
    enum dm_status status =
        dm_file_exists(path) ? dm_sql_open_catalog(path, false, out, err)
                             : dm_fail(err, DM_ERROR_CONFIG, "run `datamirror run` first: it makes the lake",
                                       "there is no lake at %s", lake);
    if (status == DM_OK && sqlite3_db_readonly(*out, "main") == 0)
        status = dm_state_create_tables(*out, err);
    if (status != DM_OK) {
        (void)sqlite3_close(*out);
        *out = NULL;
    }
    free(path);
    return status;
}
