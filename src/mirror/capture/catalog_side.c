#include "mirror/capture/catalog_side.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/memory.h"
#include "mirror/state.h"

enum dm_status dm_catalog_side_open(const char *lake, sqlite3 **out, struct dm_error *err)
{
    char *path = dm_xasprintf("%s/catalog.db", lake);
    *out = NULL;
    enum dm_status status = DM_OK;
    if (sqlite3_open_v2(path, out, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        status = dm_fail(err, DM_ERROR_CONFIG, "run `datamirror run` first: it makes the lake",
                         "there is no lake at %s: %s", lake,
                         *out != NULL ? sqlite3_errmsg(*out) : "out of memory");
    } else {
        (void)sqlite3_busy_timeout(*out, 10000);
        status = dm_state_create_tables(*out, err);
    }
    if (status != DM_OK) {
        (void)sqlite3_close(*out);
        *out = NULL;
    }
    free(path);
    return status;
}
