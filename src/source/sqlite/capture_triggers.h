/* capture_triggers.h — the SQL of a table's capture triggers. Texts only: nothing is read or written. See
 * sqlite_capture.c for what each is for.
 *
 *     struct dm_trigger_list list = {0};
 *     dm_capture_triggers(table, &list);
 *     for each: if sqlite_schema has another text under list.items[i].name, drop and create
 *     dm_trigger_list_release(&list);
 */
#ifndef DM_SOURCE_SQLITE_CAPTURE_TRIGGERS_H
#define DM_SOURCE_SQLITE_CAPTURE_TRIGGERS_H

#include "source/sqlite/sqlite_table.h"

struct dm_trigger_list {
    size_t n;
    struct dm_trigger {
        char *name; /* _datamirror_<id>_<what> */
        char *sql;
        bool essential; /* rows change without a trace while it is missing */
        bool guard;     /* the same, where a unique constraint was there when it went missing */
    } * items;
};
/* `table` has its id and column numbers. */
void dm_capture_triggers(const struct dm_sqlite_table *table, struct dm_trigger_list *out);
void dm_trigger_list_release(struct dm_trigger_list *list);

/* What the conflict triggers protect, independent of column names: changes exactly when another kind of
 * REPLACE became possible. */
char *dm_capture_signature(const struct dm_sqlite_table *table);
#define DM_SIGNATURE_SEPARATOR "\n" /* between the key and each constraint */
/* Every part of `now` is in `old`: no new kind of REPLACE. */
bool dm_capture_signature_covers(const char *old, const char *now);

/* The current names of the columns that a columns trigger was made with: refs[i] is now called names[i].
 * False: not readable. */
struct dm_column_names {
    size_t n;
    int32_t *refs;
    char **names;
};
bool dm_capture_columns_parse(const char *trigger_sql, struct dm_column_names *out);
void dm_column_names_release(struct dm_column_names *names);

#endif
