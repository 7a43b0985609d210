#include "cli/report_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/shown.h"

static char *shown(const char *text)
{
    return text != NULL ? dm_shown(text, strlen(text)) : dm_xstrdup("");
}

void dm_report_table_row(struct dm_report_table *t, const char *const *cells)
{
    t->cells = dm_xrealloc(t->cells, (t->n_rows + 1) * t->n_columns, sizeof *t->cells);
    for (size_t i = 0; i < t->n_columns; i++)
        t->cells[t->n_rows * t->n_columns + i] = shown(cells[i]);
    t->n_rows++;
}

static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0u) != 0x80u;
    return n;
}

void dm_report_table_print(const struct dm_report_table *t, FILE *out)
{
    size_t widths[DM_REPORT_TABLE_COLUMNS] = {0};
    for (size_t i = 0; i < t->n_rows * t->n_columns; i++) {
        size_t width = width_of(t->cells[i]);
        if (width > widths[i % t->n_columns])
            widths[i % t->n_columns] = width;
    }
    for (size_t row = 0; row < t->n_rows; row++) {
        for (size_t i = 0; i < t->n_columns; i++) {
            const char *cell = t->cells[row * t->n_columns + i];
            int pad = (int)(widths[i] - width_of(cell));
            bool last = i + 1 == t->n_columns; /* no spaces at the end of a line */
            if (t->right[i])
                (void)fprintf(out, "%*s%s%s", pad, "", cell, last ? "" : "  ");
            else
                (void)fprintf(out, "%s%*s", cell, last ? 0 : pad + 2, "");
        }
        (void)fputc('\n', out);
    }
}

void dm_report_table_release(struct dm_report_table *t)
{
    for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
        free(t->cells[i]);
    free(t->cells);
    t->cells = NULL;
    t->n_rows = 0;
}
