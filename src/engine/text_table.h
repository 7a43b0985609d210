/* text_table.h — inside engine/ only: rows of texts as an aligned table.
 *
 *     id  name   amount
 *     --  -----  ------
 *      1  Ann      4.20
 *     (1 row)
 *
 * The first rows are held back to find the widths; the rest streams with them (a longer value pushes its row to the right). On a
 * terminal columns are cut with … so that the table fits its width. Control characters are shown as escapes, so that data cannot
 * steer the terminal. Owns copies of the texts; the FILE is borrowed.
 */
#ifndef DM_ENGINE_TEXT_TABLE_H
#define DM_ENGINE_TEXT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buffer.h"

struct dm_text_table {
    FILE *out;
    size_t n;
    size_t terminal_width; /* 0: no terminal, nothing is cut */
    bool *right;           /* per column: align to the right */
    size_t *widths;        /* known once the first rows were printed */
    char **names;
    struct dm_buffer held; /* texts of the rows held back, each NUL terminated, control characters escaped */
    size_t held_rows;
    bool started;
};

enum dm_status dm_text_table_init(struct dm_text_table *t, FILE *out, size_t n, const char *const *names,
                                  const bool *right, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_text_table_cell(struct dm_text_table *t, const char *text, size_t n,
                                  struct dm_error *err) DM_MUST_USE;
enum dm_status dm_text_table_end_row(struct dm_text_table *t, struct dm_error *err) DM_MUST_USE;
/* Prints what is held back and the count of rows. */
enum dm_status dm_text_table_finish(struct dm_text_table *t, uint64_t rows, struct dm_error *err) DM_MUST_USE;
void dm_text_table_release(struct dm_text_table *t);

#endif
