/* change_table.h — inside engine/ only: how a column of a DuckDB result becomes a column of the schema.
 *
 * Typed where DuckDB's type is the column's or one whose every value the column's type has; else through text and value_parse.h, which
 * takes a value exactly or not at all. Types that have nothing in common (a BLOB for an integer) are refused before any row is read.
 */
#ifndef DM_ENGINE_CHANGE_TABLE_H
#define DM_ENGINE_CHANGE_TABLE_H

#include "column/column.h"
#include "engine/value_text.h"

enum dm_table_mode {
    DM_TABLE_NEVER = 0, /* no value of one type is one of the other */
    DM_TABLE_SAME,      /* dm_vector_read */
    DM_TABLE_INTEGER,   /* a narrower integer */
    DM_TABLE_FLOAT,     /* FLOAT into float64 */
    DM_TABLE_DECIMAL,   /* a decimal of fewer digits and the same scale */
    DM_TABLE_TEXT,      /* the value's text through dm_value_parse */
    DM_TABLE_JSON,      /* a nested value's JSON through dm_value_parse */
};

enum dm_table_mode dm_table_mode(const struct dm_value_type *from, struct dm_type to);
/* For messages: "BIGINT". */
const char *dm_table_type_name(const struct dm_value_type *type);
/* Values from … from + n of the vector, for SAME, INTEGER, FLOAT and DECIMAL. */
enum dm_status dm_table_read(enum dm_table_mode mode, const struct dm_value_type *type, duckdb_vector vector,
                             size_t from, size_t n, struct dm_column *column,
                             struct dm_error *err) DM_MUST_USE;
/* A value that is not null of a wider integer into an int32 column, or of a timestamp into one of another unit, when it fits: the usual
 * cases of TEXT, without the text. */
bool dm_table_narrow(const struct dm_value_type *type, duckdb_vector vector, size_t row,
                     struct dm_column *column);

#endif
