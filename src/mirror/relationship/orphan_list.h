/* orphan_list.h — inside orphan*.c only: what one open commit knows of waiting children, and how a batch's are found. */
#ifndef DM_MIRROR_ORPHAN_LIST_H
#define DM_MIRROR_ORPHAN_LIST_H

#include "mirror/relationship/orphan.h"

struct sqlite3_stmt;

/* A parent of an enforced relationship. */
struct dm_orphan_parent {
    const struct dm_relationship *relationship;
    uint32_t dataset;
    bool current;           /* the key index knows the parent's rows */
    struct dm_schema *view; /* the child's columns, as the parent's key */
    uint32_t *columns;      /* of the child's schema, per column of the view */
};

/* A set of key hashes. That two keys share one only costs a statement that finds nothing. */
struct dm_orphan_keys {
    size_t n, capacity;
    uint64_t *slots;
};
void dm_orphan_keys_add(struct dm_orphan_keys *keys, const uint8_t *key, size_t n);
bool dm_orphan_keys_has(const struct dm_orphan_keys *keys, const uint8_t *key, size_t n);

/* Rows that refer to each other in circles: each has its parent when all of them come. While they do, in a replay of this origin, their keys count as being there. */
struct dm_orphan_promises {
    const char *origin;
    size_t n_datasets;
    struct {
        uint32_t dataset;
        struct dm_orphan_keys keys;
    } * datasets;
};
void dm_orphan_promises_add(struct dm_orphan_promises *s, uint32_t dataset, const uint8_t *key, size_t n);
bool dm_orphan_promises_has(const struct dm_orphan_promises *s, uint32_t dataset, const uint8_t *key,
                            size_t n);
void dm_orphan_promises_release(struct dm_orphan_promises *s);

struct dm_orphan_child {
    struct dm_target *target;
    const struct dm_schema *schema;    /* that of its batches; owned reference */
    bool any_waiting;                  /* in the catalog, before this commit */
    struct sqlite3_stmt *find_waiting; /* … of one key; NULL until needed */
    struct dm_orphan_keys keys;        /* that wait since this commit */
    size_t n_parents;
    struct dm_orphan_parent *parents;
};
/* What the open commit knows of the pass's target; looked up once. NULL in *out: nothing is enforced. */
enum dm_status dm_orphan_child_of(struct dm_version_pass *p, struct dm_orphan_child **out,
                                  struct dm_error *err) DM_MUST_USE;

/* A batch's rows on their way. `group` is the distinct key of a row; DM_NO_ROW: it is bad. */
struct dm_orphan_search {
    struct dm_version_pass *p;
    struct dm_orphan_child *child;
    struct dm_key_list *references; /* per parent: the key that each row refers to; empty: none */
    uint32_t *group;
    bool *candidate;    /* an upsert that would change something */
    bool **missing;     /* per parent and row: the row misses it */
    bool *no_reference; /* it must refer to a parent, and does not */
    bool merges;        /* references take values from rows before them */
    char **raw;         /* of rows that do not pass, as they came: malloc'ed */
};
void dm_orphan_groups(const struct dm_version_pass *p, uint32_t *group);
/* The batch's columns, or those given, as the parent's key; `columns` has room for them. */
struct dm_batch dm_orphan_view(const struct dm_version_pass *p, const struct dm_orphan_parent *parent,
                               struct dm_column *columns);

/* In the order of arrival: a row that goes to quarantine (reason given), or one that passed, behind which nothing older needs to wait. Owns its texts. */
struct dm_orphan_event {
    struct dm_target *target;
    const char *reason; /* a literal: orphan, null_reference; NULL: it passed */
    uint8_t *row_key;
    size_t row_key_len;
    uint8_t *version;
    size_t version_len;
    size_t n_parents; /* orphan: those that it misses */
    struct {
        uint32_t dataset;
        uint8_t *key;
        size_t key_len;
    } * parents;
    char *relationship; /* of the first */
    char *message, *key, *raw, *place;
    enum dm_op op;
};

struct dm_orphans {
    size_t n_children;
    struct dm_orphan_child **children;
    size_t n_events, capacity;
    struct dm_orphan_event *events;
};

#endif
