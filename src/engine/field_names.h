/* field_names.h — column names that DuckDB can hold together; those of the views that dm_sql_add_dataset makes.
 *
 * DuckDB's names are equal without regard to (ASCII) case and never empty, and "__duckdb_field_id" means something else to its
 * Parquet writer. The first field of a name keeps it; a later one gets "_<field id>" appended until it is distinct.
 */
#ifndef DM_ENGINE_FIELD_NAMES_H
#define DM_ENGINE_FIELD_NAMES_H

#include "column/schema.h"

char **dm_field_names_new(const struct dm_schema *schema); /* one a field; free with dm_field_names_free */
void dm_field_names_free(char **names, size_t n);          /* NULL is fine */

#endif
