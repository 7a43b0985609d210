/* schema_report.h — relational schemas printed for people: the list, one schema, the plan of a change. */
#ifndef DM_CLI_SCHEMA_REPORT_H
#define DM_CLI_SCHEMA_REPORT_H

#include <stdio.h>

#include "registry/schema_diff.h"

void dm_schema_report_list(const struct dm_relational_schemas *list, FILE *out);
void dm_schema_report_one(const struct dm_relational_schema *s, FILE *out);
void dm_schema_report_plan(const struct dm_schema_changes *plan, FILE *out);

#endif
