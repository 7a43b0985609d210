/* sqlite_table.h — one table of the file as SQLite describes it: columns with their rules, key, unique
 * constraints.
 *
 * dm_sqlite_tables_load reads the schema in the connection's current transaction (or one of its own) and
 * answers with the tables that the configuration selects, problems included. Ids and column numbers (`ref`)
 * come from the capture's own tables where they exist, so they survive renames; a table that capture does
 * not know yet has id 0.
 *
 * The set owns everything. Not thread safe; a loaded set may be read by many threads.
 *
 *     struct dm_sqlite_tables set = {0};
 *     dm_sqlite_tables_load(db, config, &set, err);
 *     dm_sqlite_tables_release(&set);
 */
#ifndef DM_SOURCE_SQLITE_TABLE_H
#define DM_SOURCE_SQLITE_TABLE_H

#include "source/source.h"
#include "source/sqlite/sqlite_db.h"
#include "source/sqlite/sqlite_value.h"

/* What tells one row from all others: the key, or the rowid for a table without. */
struct dm_sqlite_identity {
    char *name;      /* column name, or the rowid's */
    char *collation; /* of the index behind it: lookups with another one could not use it; NULL: the rowid */
};

struct dm_sqlite_unique_part {
    char *column;     /* NULL: an expression */
    char *expression; /* SQL text; NULL: a column */
    char *collation;  /* of a column; NULL for the rowid and for expressions (part of the text) */
    char *fallback;   /* default of a NOT NULL column: OR REPLACE puts it where NULL was given; or NULL */
    bool generated;
};

/* A unique constraint that is not the key: INSERT OR REPLACE removes the rows that stand in its way. */
struct dm_sqlite_unique {
    size_t n;
    struct dm_sqlite_unique_part *parts;
    char *where; /* partial index: its condition; NULL otherwise */
};

struct dm_sqlite_table {
    struct dm_table *table;       /* what the mirror sees */
    struct dm_sqlite_rule *rules; /* one per field of table->columns */
    bool *generated;              /* per field */
    char **defaults;              /* per field: SQL text of the default, NULL none */
    const char *rowid;            /* a name that reaches the rowid; NULL: WITHOUT ROWID, or all names taken */
    bool rowid_is_key;            /* the key is the rowid's alias */
    bool images;                  /* every change keeps its row image (history, append-only) */
    char *filter;                 /* SQL condition or NULL */
    uint64_t max_row_bytes;       /* a larger row does not fit; 0: no limit */
    char *sql;                    /* CREATE TABLE as stored */
    size_t n_identity;
    struct dm_sqlite_identity *identity;
    size_t n_uniques;
    struct dm_sqlite_unique *uniques;
    size_t n_all; /* every column's name, mirrored or not, in order */
    char **all;
};

struct dm_sqlite_tables {
    size_t n;
    struct dm_sqlite_table **tables;
};

enum dm_status dm_sqlite_tables_load(sqlite3 *db, const struct dm_source_config *config,
                                     struct dm_sqlite_tables *out, struct dm_error *err) DM_MUST_USE;
void dm_sqlite_tables_release(struct dm_sqlite_tables *set);
struct dm_sqlite_table *dm_sqlite_tables_find(const struct dm_sqlite_tables *set, uint64_t id);
struct dm_sqlite_table *dm_sqlite_tables_named(const struct dm_sqlite_tables *set, const char *name);

/* "k1" COLLATE c IS ?1 AND … — finds the row by parameters 1.., or by NEW."k1". */
void dm_sqlite_identity_matches(sqlite3_str *sql, const struct dm_sqlite_table *t, bool parameters);
/* "a", "b" — the fields of the table as a select list. */
void dm_sqlite_select_list(sqlite3_str *sql, const struct dm_sqlite_table *t);

#endif
