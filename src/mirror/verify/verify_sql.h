/* verify_sql.h — the SQL that finds every difference between two relations with one schema: verify.source and verify.lake.
 * Columns go by plain names (c0, c1, …) so that no source name can disturb; messages use the real ones. */
#ifndef DM_MIRROR_VERIFY_SQL_H
#define DM_MIRROR_VERIFY_SQL_H

#include "engine/sql.h"
#include "mirror/mirror.h"

/* The schema with columns called c0, c1, …; ids, types and key kept. One reference. */
struct dm_schema *dm_verify_plain_schema(const struct dm_schema *schema);

struct dm_verify_compare {
    struct dm_sql *sql; /* with verify.source and verify.lake */
    bool put_aside;     /* and with verify.put_aside: the keys of rows whose absence from the lake is none */
    const struct dm_schema *schema; /* real names */
    const char *dataset;
    size_t max_differences;
    const struct dm_verify_callbacks *callbacks;
    bool append_only;
};
/* Fills differences, result and reason (a literal), and adds the absent rows of verify.put_aside to quarantined. */
enum dm_status dm_verify_compare(const struct dm_verify_compare *c, struct dm_verify_dataset *result,
                                 struct dm_error *err) DM_MUST_USE;

#endif
