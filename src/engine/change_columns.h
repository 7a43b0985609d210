/* change_columns.h — inside engine/ only: which column of a file is which field of the schema; and the notes for people.
 *
 * Names are compared as they are; a name that no field has is taken for the field that differs in the case of letters only (warehouses
 * unload in capitals; letters of any alphabet), unless two would. A control column (see change_reader.h) is not a field, unless the schema has one of its name.
 */
#ifndef DM_ENGINE_CHANGE_COLUMNS_H
#define DM_ENGINE_CHANGE_COLUMNS_H

#include "engine/change_row.h"

enum { DM_COLUMN_LEFT_OUT = -1, DM_COLUMN_CONTROL = -2, DM_COLUMN_DELETED = -3 };

struct dm_change_notes {
    size_t n;
    char **items;
    size_t n_left_out;
    char **left_out;    /* names of columns that the schema does not have */
    size_t left_out_at; /* the note that lists them, + 1; 0: none yet */
    bool metadata;      /* noted already */
};

void dm_change_note(struct dm_change_notes *notes, const char *fmt, ...) DM_PRINTF(2, 3);
/* Remembers and notes a column that the schema does not have; the same name once. */
void dm_change_note_left_out(struct dm_change_notes *notes, const char *name, size_t n);
/* "__source_ts_ms" and its like beside "__op" or "__deleted": what Debezium adds to a row that it flattens. They are no columns of the row,
 * so that strict_columns does not mind them. */
bool dm_change_is_metadata(const char *name, size_t n);
void dm_change_note_metadata(struct dm_change_notes *notes);
void dm_change_notes_release(struct dm_change_notes *notes);

/* A field's index, DM_COLUMN_CONTROL with *control, DM_COLUMN_DELETED ("__deleted"), or DM_COLUMN_LEFT_OUT. */
int dm_change_column(const struct dm_schema *schema, const char *name, size_t n,
                     enum dm_change_control *control);

struct dm_change_columns {
    size_t n;
    int *targets; /* one a column of the file: field or DM_COLUMN_… */
    size_t matched;
    enum dm_change_control control; /* NONE: no control column */
    bool deleted;                   /* there is a "__deleted" */
};

/* For files that name their columns once. DATA errors: a column twice, two control columns, a key, version or required column that is not
 * there (required columns may be missing when there is a control column: a file of deletes is fine), with strict_columns a column too many. */
enum dm_status dm_change_columns_init(struct dm_change_columns *c, const struct dm_change_row *row, size_t n,
                                      const char *const *names, struct dm_change_notes *notes,
                                      struct dm_error *err) DM_MUST_USE;
void dm_change_columns_release(struct dm_change_columns *c);

/* "the dataset has: id, name, …" as the error's hint. */
void dm_change_hint_columns(const struct dm_schema *schema, struct dm_error *err);

#endif
