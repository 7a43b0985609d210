/* sqlite_value.h — which lake type a declared SQLite type becomes, and values of one into the other.
 *
 * SQLite types values, not columns. The rule is chosen by the declared type alone (docs/sqlite.md has the
 * table), so it is the same for copy and stream and does not depend on what happens to be stored. A value
 * whose storage class does not fit its rule is never converted: it is reported, and the row goes to
 * quarantine.
 *
 * Thread safe (no state). The batch belongs to the caller.
 *
 *     struct dm_sqlite_rule rule = dm_sqlite_rule_of("DECIMAL(10,2)");
 *     const char *reason = dm_sqlite_append(&batch->columns[i], rule, stmt, i);   // NULL: appended
 */
#ifndef DM_SOURCE_SQLITE_VALUE_H
#define DM_SOURCE_SQLITE_VALUE_H

#include <sqlite3.h>

#include "base/buffer.h"
#include "column/column.h"

enum dm_sqlite_rule_id {
    DM_SQLITE_BOOL = 1, /* BOOL: INTEGER 0 or 1 */
    DM_SQLITE_INTEGER,  /* INT64: INTEGER */
    DM_SQLITE_REAL,     /* FLOAT64: REAL */
    DM_SQLITE_DECIMAL,  /* DECIMAL: INTEGER, or REAL that is the nearest double of a decimal of that scale */
    DM_SQLITE_TEXT,     /* STRING: TEXT of valid UTF-8 */
    DM_SQLITE_BLOB,     /* BINARY: BLOB */
    DM_SQLITE_PLAIN, /* STRING: TEXT as it is, INTEGER and REAL as digits (numeric affinity: never ambiguous) */
    DM_SQLITE_MOMENT,  /* TIMESTAMPTZ, of a column that timestamp: names: TEXT in ISO 8601 */
    DM_SQLITE_LITERAL, /* STRING: any value as the SQL literal that quote() would write */
};

struct dm_sqlite_rule {
    enum dm_sqlite_rule_id id;
    struct dm_type type;
};

/* `declared` NULL or "": no declared type. `strict`: the table is STRICT (there, ANY has no affinity). */
struct dm_sqlite_rule dm_sqlite_rule_of(const char *declared, bool strict);

/* Appends column `i` of the row; NULL when it went well, else the reason code (nothing was appended). */
const char *dm_sqlite_append(struct dm_column *c, struct dm_sqlite_rule rule, sqlite3_stmt *row, int i);

/* Are the two values one key for the lake under the rule? (Text by bytes whatever the collation, numbers by
 * value.) */
bool dm_sqlite_same(struct dm_sqlite_rule rule, sqlite3_stmt *a, int i, sqlite3_stmt *b, int j);

/* Appends `"name": value` in JSON. Texts that are not UTF-8 become {"text_hex": "…"}, blobs {"blob_hex":
 * "…"}. Of a value longer than `most` bytes the beginning. */
enum dm_status dm_sqlite_json(struct dm_buffer *out, const char *name, sqlite3_stmt *row, int i, size_t most,
                              struct dm_error *err) DM_MUST_USE;

#endif
