/* sql_session.h — inside engine/ only: what the files behind sql.h share. */
#ifndef DM_ENGINE_SQL_SESSION_H
#define DM_ENGINE_SQL_SESSION_H

#include "engine/duckdb_stream.h"
#include "engine/scan_filter.h"
#include "engine/sql.h"

struct dm_sql_dataset {
    char *namespace;
    char *table;                       /* the view's name */
    char *asked;                       /* the dataset's name */
    const struct dm_scan_filter *slot; /* what its dm_visible_<number> looks into */
    struct dm_scan_filter filter;
    struct dm_sql_dataset *next;
};

struct dm_sql {
    duckdb_database database; /* the session's own: locking it must not lock the engine */
    duckdb_connection connection;
    struct dm_sql_dataset *datasets;
    unsigned n_datasets;
    struct dm_buffer paths; /* the data files as a list of SQL texts, for dm_sql_lock */
    bool locked;
    bool files;                 /* locked, but files may be read */
    struct dm_sql_watch *watch; /* of its limits; NULL: none */
};

/* Ends the thread that watches the limits, before the connection is closed. */
void dm_sql_watch_end(struct dm_sql *s);
/* Says in a failed statement's error what limit it was that ended it. Returns DM_FAIL. */
enum dm_status dm_sql_explain(const struct dm_sql *s, struct dm_error *err);

/* Refuses what a locked session must not run: anything but one SELECT over the datasets (and functions without side effects). */
enum dm_status dm_sql_guard(struct dm_sql *s, const char *sql, struct dm_error *err) DM_MUST_USE;

/* DuckDB's parse of a query, as JSON (malloc'ed); of anything but SELECT statements it says "error". */
enum dm_status dm_sql_parse(struct dm_sql *s, const char *sql, char **out, struct dm_error *err) DM_MUST_USE;

/* Opens a query after the guard; the result columns' types and names are taken apart by the caller. */
enum dm_status dm_sql_start(struct dm_sql *s, const char *sql, struct dm_stream *stream,
                            struct dm_error *err) DM_MUST_USE;

#endif
