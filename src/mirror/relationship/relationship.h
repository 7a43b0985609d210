/* relationship.h — do the rows of the lake keep the relationships that its schemas declare?
 *
 * Looks at every relationship of the registry, declared by people and found in the sources' foreign keys. Everything comes from one read of the
 * catalog: all datasets, positions and schemas stand at one commit, also beside a running mirror. How the four cardinalities are read:
 *
 *   text   a child without parent     a child with a null reference   children of one parent   parents without child
 *   M:1    orphan                     violation                       any number               fine
 *   M:0    orphan                     fine                            any number               fine
 *   1:1    orphan                     violation                       at most one              violation (declared ones only)
 *   1:0    orphan                     fine                            at most one              fine
 *
 * A reference with a null in any of its columns refers to nothing. A foreign key of a source says nothing about parents without children, so they are
 * counted there, but are no violation. Columns of the parent that are not its primary key must be unique in it, else that is a violation.
 *
 *     struct dm_check_options options = {.samples = 5};
 *     if (dm_check_relationships(config, &options, &report, err) != DM_OK) …
 *     dm_check_report_release(&report);
 */
#ifndef DM_MIRROR_RELATIONSHIP_H
#define DM_MIRROR_RELATIONSHIP_H

#include <stdatomic.h>

#include "config/config.h"
#include "registry/relational_schema.h"

enum dm_check_verdict {
    DM_CHECK_FINE,
    DM_CHECK_VIOLATED, /* orphans or violations */
    DM_CHECK_UNKNOWN,  /* reason says why */
};

/* One example of what is wrong. */
struct dm_check_sample {
    const char
        *what; /* a literal: orphan, null_reference, crowded_parent, ambiguous_parent, childless_parent */
    char *key; /* JSON object: the child's key; NULL when the sample is of a value */
    char *reference; /* JSON object: by the child's columns, of a parent without child by the parent's */
    uint64_t rows;   /* crowded, ambiguous: rows with this value; else 1 */
};

struct dm_check_result {
    char *name;
    char *child; /* "shop.orders" */
    char *parent;
    struct dm_names columns; /* of the child */
    struct dm_names parent_columns;
    enum dm_cardinality cardinality;
    bool discovered;
    bool enforced;
    enum dm_check_verdict verdict;
    char *reason;
    uint64_t children;
    uint64_t null_references;
    uint64_t orphans;
    uint64_t crowded_parents, crowded_children; /* 1:1, 1:0: values with several children, and these */
    uint64_t ambiguous_parents;                 /* values that several parents have */
    uint64_t childless_parents;                 /* 1:1 */
    uint64_t waiting;    /* enforced: children in quarantine until their parent comes */
    uint64_t violations; /* of the cardinality: the ones above that are none are not in it */
    size_t n_samples;
    struct dm_check_sample *samples;
};

/* Where a source stood at the commit that was checked. */
struct dm_check_position {
    char *source;
    char *position;
    int64_t commit_time_us; /* 0: unknown */
};

/* A many-to-many relationship found (junction.h). */
struct dm_check_junction {
    char *junction; /* schema name */
    char *left;
    char *right;
    char *view; /* its name in `query` */
};

struct dm_check_report {
    int64_t checked_us; /* wall clock */
    size_t n_positions;
    struct dm_check_position *positions;
    size_t n;
    struct dm_check_result *results;
    size_t n_junctions;
    struct dm_check_junction *junctions;
};
void dm_check_report_release(struct dm_check_report *report);

struct dm_check_options {
    size_t
        n_names; /* relationships, "dataset.relationship", or datasets (their own and those that point at them); 0: all */
    const char *const *names;
    size_t samples;         /* at most this many for each kind of trouble */
    const atomic_int *stop; /* may be NULL */
};

/* CONFIG error when a name is of nothing. Writes nothing. */
enum dm_status dm_check_relationships(const struct dm_config *config, const struct dm_check_options *options,
                                      struct dm_check_report *report, struct dm_error *err) DM_MUST_USE;

#endif
