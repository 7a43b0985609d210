/* relationship_sql.h — the SQL that compares the two ends of one relationship.
 *
 * Child and parent are views of any name; their columns are given as SQL names (already quoted). All texts go into the caller's buffer, which
 * says how long they may get. Types that differ are made equal without losing anything: integers and decimals by value, UUIDs and texts by spelling.
 * A reference with a null in any of its columns refers to nothing (SQL's MATCH SIMPLE).
 */
#ifndef DM_MIRROR_RELATIONSHIP_SQL_H
#define DM_MIRROR_RELATIONSHIP_SQL_H

#include "base/buffer.h"
#include "column/type.h"

/* One pair of columns that must be equal. */
struct dm_join_column {
    const char *child; /* SQL name */
    const char *parent;
    struct dm_type child_type;
    struct dm_type parent_type;
};

/* One relationship as SQL sees it. */
struct dm_join {
    const char *child; /* view, as SQL: "check"."d0" */
    const char *parent;
    size_t n;
    const struct dm_join_column *columns;
    bool parent_unique; /* the parent's columns hold its primary key: no two rows have the same values */
    size_t n_key;       /* the child's key, for samples; SQL names */
    const char *const *key;
};

/* Can values of the two types be equal? */
bool dm_join_can_compare(struct dm_type a, struct dm_type b);

/* "c.x = p.y AND …"; `child` and `parent` are the aliases. */
enum dm_status dm_join_condition(struct dm_buffer *sql, const struct dm_join *j, const char *child,
                                 const char *parent, struct dm_error *err) DM_MUST_USE;

/* One row: children, null references, orphans. */
enum dm_status dm_join_sql_children(struct dm_buffer *sql, const struct dm_join *j,
                                    struct dm_error *err) DM_MUST_USE;
/* One row: values that more than one child refers to, and the number of these children. */
enum dm_status dm_join_sql_crowded(struct dm_buffer *sql, const struct dm_join *j,
                                   struct dm_error *err) DM_MUST_USE;
/* One row: parents that no child refers to. */
enum dm_status dm_join_sql_childless(struct dm_buffer *sql, const struct dm_join *j,
                                     struct dm_error *err) DM_MUST_USE;
/* One row: values that more than one parent has. */
enum dm_status dm_join_sql_ambiguous(struct dm_buffer *sql, const struct dm_join *j,
                                     struct dm_error *err) DM_MUST_USE;

/* Up to `limit` examples, always the same ones. Rows: the child's key columns, then its reference columns. */
enum dm_status dm_join_sql_orphan_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                          struct dm_error *err) DM_MUST_USE;
enum dm_status dm_join_sql_null_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                        struct dm_error *err) DM_MUST_USE;
/* Rows: the reference columns, then how many rows have them. */
enum dm_status dm_join_sql_crowded_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                           struct dm_error *err) DM_MUST_USE;
enum dm_status dm_join_sql_ambiguous_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                             struct dm_error *err) DM_MUST_USE;
/* Rows: the parent's columns. */
enum dm_status dm_join_sql_childless_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                             struct dm_error *err) DM_MUST_USE;

#endif
