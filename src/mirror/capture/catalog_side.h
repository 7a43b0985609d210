/* catalog_side.h — how status, verify and resync look at a lake that another process may be writing: a plain SQLite connection to
 * its catalog.db, with a busy timeout, used for short statements only. */
#ifndef DM_MIRROR_CATALOG_SIDE_H
#define DM_MIRROR_CATALOG_SIDE_H

#include "base/error.h"

struct sqlite3;

/* The catalog of the lake; CONFIG error with a hint when there is no lake yet. Closed with sqlite3_close. Creates the mirror's tables, unless the lake
 * cannot be written: then it can be read. */
enum dm_status dm_catalog_side_open(const char *lake, struct sqlite3 **out, struct dm_error *err) DM_MUST_USE;

#endif
