/* relationship_check.h — one relationship, checked with SQL over views of its two datasets. Internal to relationship.c.
 *
 * The views' columns are called "c0", "c1", … in the order of the datasets' schemas. Fills numbers, samples and verdict of the result, whose names and
 * columns are given. One thread.
 */
#ifndef DM_MIRROR_RELATIONSHIP_CHECK_H
#define DM_MIRROR_RELATIONSHIP_CHECK_H

#include "engine/sql.h"
#include "lake/lake.h"
#include "mirror/relationship/relationship.h"

/* A dataset that takes part. */
struct dm_check_end {
    const struct dm_relational_schema *schema;
    const struct dm_dataset *dataset; /* the lake's; NULL: there is none yet */
    char *source;                     /* NULL: nobody has told the mirror of it */
    char *state;
    char *view; /* as SQL */
};

struct dm_checking {
    struct dm_sql *sql;
    const struct dm_check_options *options;
    const struct dm_check_end *child, *parent; /* NULL: not known */
};

enum dm_status dm_relationship_check(struct dm_checking *c, struct dm_check_result *r,
                                     struct dm_error *err) DM_MUST_USE;

#endif
