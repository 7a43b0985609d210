/* change_table.h — inside engine/ only: how a column of a DuckDB result becomes a column of the schema.
 *
 * Typed where DuckDB's type is the column's or one whose every value the column's type has; else through text and value_parse.h, which
 * takes a value exactly or not at all. Types that have nothing in common (a BLOB for an integer) are refused before any row is read.
 */
#ifndef DM_ENGINE_CHANGE_TABLE_H
#define DM_ENGINE_CHANGE_TABLE_H

#include "column/value_parse.h"
#include "engine/value_text.h"

enum dm_table_mode {
    DM_TABLE_NEVER = 0, /* no value of one type is one of the other */
    DM_TABLE_SAME,      /* dm_vector_read */
    DM_TABLE_INTEGER,   /* a narrower integer */
    DM_TABLE_FLOAT,     /* FLOAT into float64 */
    DM_TABLE_DECIMAL,   /* a decimal of fewer digits and the same scale */
    DM_TABLE_TEXT,      /* the value's text through dm_value_parse */
    DM_TABLE_JSON,      /* a nested value's JSON through dm_value_parse */
    DM_TABLE_LIST,      /* a list, each element as it would be by itself */
};

enum dm_table_mode dm_table_mode(const struct dm_value_type *from, struct dm_type to);
/* For messages: "BIGINT". */
const char *dm_table_type_name(const struct dm_value_type *type);
/* Values from … from + n of the vector, for SAME, INTEGER, FLOAT and DECIMAL. */
enum dm_status dm_table_read(enum dm_table_mode mode, const struct dm_value_type *type, duckdb_vector vector,
                             size_t from, size_t n, struct dm_column *column,
                             struct dm_error *err) DM_MUST_USE;
/* Are the column's values from … from + n such as its type holds? A DuckDB type has more numbers than dates, times of day, decimals of its digits there are, and
 * what comes out of a file may be any of them. */
bool dm_table_bounded(const struct dm_column *column, size_t from, size_t n);
/* A problem of what is not such a value: value_out_of_range. */
void dm_table_refuse(struct dm_value_problem *problem, const char *why);
/* Makes the value (in a list: those elements) null that is not. */
void dm_table_clear(struct dm_column *column, size_t i);
/* Appends a value that is not null and of any mode, or appends nothing and says in `problem` why not; its reason is NULL where all is well. `text` is
 * for its spelling. */
enum dm_status dm_table_take(enum dm_table_mode mode, const struct dm_value_type *type, duckdb_vector vector,
                             size_t row, struct dm_column *column, struct dm_buffer *text,
                             struct dm_value_problem *problem, struct dm_error *err) DM_MUST_USE;

#endif
