/* orphan_list.h — inside orphan*.c only: what one open commit knows of waiting children. */
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

struct dm_orphan_child {
    struct dm_target *target;
    const struct dm_schema *schema;    /* that of its batches; owned reference */
    bool any_waiting;                  /* in the catalog, before this commit */
    struct sqlite3_stmt *find_waiting; /* … of one key; NULL until needed */
    struct dm_orphan_keys keys;        /* that wait since this commit */
    size_t n_parents;
    struct dm_orphan_parent *parents;
};

/* In the order of arrival: a row that goes to quarantine (reason given), or one that passed, behind which nothing older needs to wait. Owns its texts. */
struct dm_orphan_event {
    struct dm_target *target;
    const char *reason; /* a literal: orphan, null_reference; NULL: it passed */
    uint8_t *row_key;
    size_t row_key_len;
    uint8_t *version;
    size_t version_len;
    uint32_t parent; /* orphan: dataset number of the parent */
    uint8_t *parent_key;
    size_t parent_key_len;
    char *relationship;
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
