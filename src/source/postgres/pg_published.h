/* pg_published.h — what the source's two publications carry, and what the mirror's role may change about that.
 *
 * A publication is ours when the role owns it and it lists its tables; then pg_prepare keeps it as the configuration wants it. Else it is
 * `fixed`: of another owner, FOR ALL TABLES, or FOR TABLES IN SCHEMA. Then each table is mirrored that it carries as wanted, and for every
 * other one the statement is told that its owner can run. Only the owner of a table may publish it, so the same question arises for single
 * tables of a publication that is ours.
 *
 * The publication of inserts is for append-only tables without a replica identity: in the other one, the server would refuse their UPDATEs
 * and DELETEs. It need not exist where no table wants it and the role may not create it.
 *
 *     struct pg_published published;
 *     pg_published_read(&catalog, &published, err);
 *     pg_published_judge(&catalog, &published, &tables, err);     // sets problems
 *     pg_published_release(&published);
 */
#ifndef DM_SOURCE_POSTGRES_PG_PUBLISHED_H
#define DM_SOURCE_POSTGRES_PG_PUBLISHED_H

#include "source/postgres/pg_table.h"

/* A table that a publication carries, itself or by its root. */
struct pg_published_table {
    uint32_t oid;
    char *columns; /* attribute numbers "1 3 4"; NULL: all */
    bool filtered;
    bool by_root; /* a partition, published because a table above it is */
};

struct pg_publication {
    const char *name; /* of the catalog */
    bool inserts_only;
    bool exists;
    bool fixed;
    bool via_root;
    bool complete; /* publishes what it is there for … */
    bool exact;    /* … and nothing else */
    char *owner;   /* NULL: it does not exist */
    size_t n;
    struct pg_published_table *tables;
};

struct pg_published {
    struct pg_publication changes, inserts;
    bool may_create; /* CREATE on the database */
};

enum dm_status pg_published_read(const struct pg_catalog *catalog, struct pg_published *out,
                                 struct dm_error *err) DM_MUST_USE;
void pg_published_release(struct pg_published *p);
const struct pg_published_table *pg_published_find(const struct pg_publication *p, uint32_t oid);

/* Gives a problem to each table that has none and that neither is published as wanted nor can be by us. */
enum dm_status pg_published_judge(const struct pg_catalog *catalog, const struct pg_published *p,
                                  struct pg_table_list *tables, struct dm_error *err) DM_MUST_USE;

/* "insert, update, delete, truncate" */
const char *pg_publication_operations(const struct pg_publication *p);
/* A table as CREATE and ALTER PUBLICATION name it: "public"."orders" ("id", "total") WHERE (total > 0); malloc. */
char *pg_publication_entry(const struct pg_table *t);

#endif
