/* sql_report.h — what `sql` says of its statements: lines for people, one JSON object for machines, the exit code. */
#ifndef DM_CLI_SQL_REPORT_H
#define DM_CLI_SQL_REPORT_H

#include <jansson.h>

#include "cli/command.h"

/* One statement's result (the answer of the order "sql", with "statement", "line", "dataset" and the samples' "row"). `name`: the file; n: of all statements. */
void dm_sql_report_print(const char *name, size_t n, const json_t *result);

struct dm_sql_report {
    json_t *results; /* array; borrowed */
    size_t n;
    size_t not_tried;
    bool dry_run;
    const struct dm_error *failure; /* of the first statement without a result; NULL: none failed so */
};
/* The end of it, or with --json all of it. Returns the exit code. */
int dm_sql_report_finish(const struct dm_invocation *in, const struct dm_sql_report *report);

#endif
