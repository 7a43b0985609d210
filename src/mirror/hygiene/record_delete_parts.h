/* record_delete_parts.h — what the two halves of record_delete_search.h share: the datasets that may take part, and those that are hit.
 * Private to record_delete_search.c (keys, conditions), record_delete_related.c (dependents), record_delete_past.c (what the lake has of the past) and
 * record_delete_sql.c (texts). */
#ifndef DM_MIRROR_RECORD_DELETE_PARTS_H
#define DM_MIRROR_RECORD_DELETE_PARTS_H

#include "engine/sql.h"
#include "mirror/hygiene/record_delete_search.h"
#include "registry/registry.h"

/* A dataset that may take part. */
struct dm_delete_node {
    char *name;
    struct dm_dataset_state *state; /* of `states` */
    const struct dm_dataset *dataset;
    struct dm_schema *keys; /* its key columns alone; NULL: it has no key */
    bool viewed;            /* del.d<i> is there */
    bool tabled;            /* h<i> is there */
    bool has_past;          /* past<i>, q<i> and m<i> are there */
    size_t n_unreadable;
    int64_t *unreadable; /* rows in quarantine whose content nobody can read */
    size_t part;         /* + 1; 0: not hit so far */
    bool root;           /* asked for, not found through a relationship */
    bool queued;
};

struct dm_delete_search_state {
    struct dm_mirror *m;
    const struct dm_delete_wanted *wanted;
    struct dm_delete_hits *out;
    struct dm_dataset_states states;
    struct dm_relational_schemas schemas;
    size_t n;
    struct dm_delete_node *nodes;
    struct dm_sql *sql; /* NULL until relationships are followed */
};

struct dm_delete_node *dm_delete_node_of(struct dm_delete_search_state *s, const char *name); /* NULL: none */
/* The node is hit: it gets a part, with no keys yet. */
enum dm_status dm_delete_add_part(struct dm_delete_search_state *s, struct dm_delete_node *n, const char *via,
                                  struct dm_error *err) DM_MUST_USE;
/* A dm_sql_row: the key's values as texts; ctx is a batch of the key columns. */
enum dm_status dm_delete_take_key(void *ctx, size_t n, const char *const *values,
                                  struct dm_error *err) DM_MUST_USE;
/* Each key once, in the order of first appearance. */
enum dm_status dm_delete_distinct(struct dm_batch **batch, struct dm_error *err) DM_MUST_USE;

/* ---- record_delete_sql.c ---- */

enum { DM_DELETE_SQL_MAX = 64 << 20, DM_DELETE_ROWS_PER_INSERT = 500 };

size_t dm_delete_index_of(const struct dm_delete_search_state *s, const struct dm_delete_node *n);
/* "c0, c4": the key columns; `alias` may be "". */
enum dm_status dm_delete_sql_keys(const struct dm_delete_node *n, const char *alias, struct dm_buffer *sql,
                                  struct dm_error *err) DM_MUST_USE;
/* One value; null is NULL. */
enum dm_status dm_delete_sql_literal(const struct dm_column *c, size_t row, struct dm_buffer *sql,
                                     struct dm_error *err) DM_MUST_USE;
enum dm_status dm_delete_sql_run(struct dm_delete_search_state *s, struct dm_buffer *sql,
                                 struct dm_error *err) DM_MUST_USE;
/* Calls fn with each row of the answer (dm_sql_each). */
enum dm_status dm_delete_sql_each(struct dm_delete_search_state *s, struct dm_buffer *sql, dm_sql_row fn,
                                  void *ctx, struct dm_error *err) DM_MUST_USE;
/* The one number that a query answers. */
enum dm_status dm_delete_sql_count(struct dm_delete_search_state *s, struct dm_buffer *sql, uint64_t *n,
                                   struct dm_error *err) DM_MUST_USE;
/* View del.d<i>: the rows that are there. */
enum dm_status dm_delete_add_view(struct dm_delete_search_state *s, struct dm_delete_node *n,
                                  struct dm_error *err) DM_MUST_USE;
/* A view of these files in the columns of the dataset, c0, c1 …; files may lack some. */
enum dm_status dm_delete_add_files(struct dm_delete_search_state *s, const struct dm_delete_node *n,
                                   const char *view, const struct dm_scan_file *files, size_t n_files,
                                   struct dm_error *err) DM_MUST_USE;

/* ---- record_delete_past.c ---- */

/* main.past<i>: rows of its past, in the key columns and those of relationships, by their names c0, c1 …; main.q<i>: (id, the same) of rows in quarantine; main.m<i>:
 * empty, with the key columns. */
enum dm_status dm_delete_add_past(struct dm_delete_search_state *s, struct dm_delete_node *n,
                                  struct dm_error *err) DM_MUST_USE;
/* Rows in quarantine whose content nobody can read: those that hold the text of a key of `of` become ids of `into`'s part. Others are told. */
enum dm_status dm_delete_match_unreadable(struct dm_delete_search_state *s, struct dm_delete_node *into,
                                          const struct dm_delete_node *of, struct dm_error *err) DM_MUST_USE;

/* record_delete_related.c: everything that depends on the roots' keys becomes part of the hits, or is counted as a reference. */
enum dm_status dm_delete_find_related(struct dm_delete_search_state *s, struct dm_error *err) DM_MUST_USE;

#endif
