/* pg_table.h — a source table with what only this source needs to know about it: codecs, identity, storage.
 *
 * Discovery reads the catalog over a connection (any snapshot that is set there) and applies the
 * configuration. Everything is owned by its list. One thread at a time.
 *
 *     struct pg_table_list list = {0};
 *     if (pg_discover(&ctx, 0, &list, err) != DM_OK) …
 *     pg_table_list_release(&list);
 */
#ifndef DM_SOURCE_POSTGRES_PG_TABLE_H
#define DM_SOURCE_POSTGRES_PG_TABLE_H

#include "source/postgres/pg_type_map.h"
#include "source/source.h"

/* A column of the source table; mirrored ones stand in table->columns in the same order. */
struct pg_column {
    int32_t attnum;
    char *name;
    uint32_t type;
    int32_t modifier;
    bool generated; /* stored generated: the stream does not carry it */
    bool not_null;
    bool fills_by_itself; /* a default or identity that is not a recorded missing value */
    bool default_unsaid;  /* existing rows show a default that has no exact JSON form */
    bool mirrored;
    struct pg_codec codec; /* when mirrored */
};

struct pg_table {
    struct dm_table *table;               /* owned */
    const struct dm_table_config *config; /* NULL: no setting */
    uint32_t oid;
    char kind;         /* relkind: r, p, v, m, f */
    char identity;     /* relreplident: d, i, f, n */
    bool partition;    /* a leaf or sub-root */
    bool filtered;     /* a row filter is configured */
    bool column_list;  /* the publication carries a column list */
    bool owned;        /* by the mirror's role or one that it is a member of: it may publish the table */
    bool inserts_only; /* append-only without identity: published with inserts and truncates only */
    uint64_t storage;  /* relfilenode; for roots a mix of the leaves' */
    size_t n_columns;  /* live columns in attnum order, mirrored or not */
    struct pg_column *columns;
    size_t n_identity; /* attnums that an old row carries; FULL: n_identity 0 */
    int32_t *identity_columns;
    size_t n_keys; /* attnums of the key, in key order */
    int32_t *keys;
    uint32_t
        guard; /* oid of the constraint (or else index) that keeps the key unique at every moment; 0: none */
};

struct pg_table_list {
    size_t n;
    struct pg_table **tables;
};

/* What discovery works with. */
struct pg_catalog {
    PGconn *conn; /* borrowed */
    const struct dm_source_config *config;
    struct pg_type_cache *types;
    char publication[64];         /* all changes */
    bool inserts_unread;          /* the running stream does not name the publication of inserts */
    char inserts_publication[64]; /* append-only tables without identity: inserts and truncates */
};

void pg_table_free(struct pg_table *t);
void pg_table_list_release(struct pg_table_list *list);
struct pg_table *pg_table_find(const struct pg_table_list *list, uint64_t oid);
struct pg_column *pg_table_column(const struct pg_table *t, int32_t attnum);
struct pg_column *pg_table_column_named(const struct pg_table *t, const char *name);
/* Codecs of the mirrored columns, in the order of table->columns; malloc. */
struct pg_codec *pg_table_codecs(const struct pg_table *t);

/* All partitions below a relation, itself included, as the transaction's snapshot sees them (pg_partition_tree() sees the present ones). */
#define PG_PARTITION_TREE(oid) \
    "(WITH RECURSIVE tree(relid) AS (SELECT " oid "::oid UNION ALL SELECT i.inhrelid" \
    " FROM pg_inherits i JOIN tree ON i.inhparent = tree.relid) SELECT relid FROM tree)"

/* The selected tables; only_oid != 0: that one alone, whether selected or not (none: it is gone). */
enum dm_status pg_discover(const struct pg_catalog *catalog, uint32_t only_oid, struct pg_table_list *out,
                           struct dm_error *err) DM_MUST_USE;

/* Parts of discovery: */
/* Which columns are mirrored and how, and table->columns without its key. */
enum dm_status pg_choose_columns(const struct pg_catalog *catalog, struct pg_table *t,
                                 struct dm_error *err) DM_MUST_USE;
/* Key, identity, and what speaks against mirroring. */
struct pg_index {
    bool primary, identity, usable; /* usable: unique, whole, immediate */
    bool deferrable;
    uint32_t guard; /* oid of its constraint, which REINDEX leaves as it is, else its own */
    size_t n;
    int32_t attnums[32];
};
void pg_choose_key(struct pg_table *t, const struct pg_index *indexes, size_t n, int version);
/* By columns: and exclude_columns:. config NULL: every one. */
bool pg_column_wanted(const struct dm_table_config *config, const char *name);
/* The configured decimal type of a column; false: none. */
bool pg_configured_decimal(const struct dm_table_config *config, const char *column, struct dm_type *out);
/* Sets table->problem and hint unless there is one already; printf style message. */
void pg_table_problem(struct pg_table *t, const char *hint, const char *fmt, ...) DM_PRINTF(3, 4);
/* The default that existing rows show (pg_attribute.attmissingval as array text) as an Iceberg single value in
 * JSON; NULL: none that can be said exactly. malloc. */
char *pg_default_json(const struct pg_codec *codec, const char *missing_array);

#endif
