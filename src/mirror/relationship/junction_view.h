/* junction_view.h — the many-to-many views of a lake's junctions (junction.h) in a SQL session.
 *
 * "<namespace>"."<left>__<right>" joins junction, left and right parent, one row for each row of the junction that has both. The parents' columns have the
 * table's name in front ("students_name"; when both parents are one table, the junction's column instead, without "_id" at its end: "follower_name"),
 * and the junction's columns that are not in its key follow as they are.
 */
#ifndef DM_MIRROR_JUNCTION_VIEW_H
#define DM_MIRROR_JUNCTION_VIEW_H

#include "engine/sql.h"
#include "lake/lake.h"

/* A dm_lake_query_prepare; ctx is the struct dm_lake. A view that cannot be made (a parent holds nothing yet) is left out. */
enum dm_status dm_junction_views_add(void *ctx, struct dm_sql *sql, struct dm_error *err) DM_MUST_USE;

#endif
