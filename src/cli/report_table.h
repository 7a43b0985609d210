/* report_table.h — rows of texts printed as aligned columns, for people. Widths count characters (UTF-8), not bytes.
 *
 * The table owns copies of its cells. Zeroed struct with n_columns set is ready. One thread.
 *
 *     struct dm_report_table t = {.n_columns = 2};
 *     dm_report_table_row(&t, (const char *[]){"DATASET", "ROWS"});
 *     t.right[1] = true;
 *     dm_report_table_print(&t, stdout);
 *     dm_report_table_release(&t);
 */
#ifndef DM_CLI_REPORT_TABLE_H
#define DM_CLI_REPORT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define DM_REPORT_TABLE_COLUMNS 16

struct dm_report_table {
    size_t n_columns;
    bool right[DM_REPORT_TABLE_COLUMNS]; /* numbers */
    size_t n_rows;
    char **cells; /* n_rows × n_columns */
};

/* Adds a row of n_columns texts; NULL prints as nothing. */
void dm_report_table_row(struct dm_report_table *t, const char *const *cells);
void dm_report_table_print(const struct dm_report_table *t, FILE *out);
void dm_report_table_release(struct dm_report_table *t);

#endif
