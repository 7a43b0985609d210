/* junction.h — tables that stand for a many-to-many relationship: the key is exactly two references.
 *
 * A pure function over the registry's schemas. enrolments(student_id, course_id, primary key (student_id, course_id)) with one relationship to
 * students and one to courses is a junction of the two. When several relationships cover the same part of the key, the first one is taken.
 * Its many-to-many view is called "<left>__<right>" after the parents, left being the one whose columns come first in the key; the name of the junction is
 * appended ("__enrolments") when that name is taken, or when two junctions would share it.
 * The result borrows from `all`.
 */
#ifndef DM_MIRROR_JUNCTION_H
#define DM_MIRROR_JUNCTION_H

#include "registry/relational_schema.h"

struct dm_junction {
    const struct dm_relational_schema *schema;
    const struct dm_relationship *left, *right; /* of schema */
    const struct dm_relational_schema *left_parent, *right_parent;
    char *view; /* table name in the junction's namespace; owned */
};
struct dm_junctions {
    size_t n;
    struct dm_junction *items;
};
/* Junctions whose parents are both in `all`, in the order of `all`. */
void dm_junctions_find(const struct dm_relational_schemas *all, struct dm_junctions *out);
void dm_junctions_release(struct dm_junctions *list);

#endif
