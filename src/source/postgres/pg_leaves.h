/* pg_leaves.h — what the partitions of a table say about its identity.
 *
 * With publish_via_partition_root a change comes under the root's name, but its old row holds the columns of the LEAF's replica identity, which is not
 * inherited: where they lack the key nothing says which row was changed. So each leaf has to carry the key of the mirror, or all columns (FULL).
 * Discovery (pg_table.h) asks for what holds now, after keys were chosen; the messages of the stream say what held when a row was written. One thread.
 */
#ifndef DM_SOURCE_POSTGRES_PG_LEAVES_H
#define DM_SOURCE_POSTGRES_PG_LEAVES_H

#include "source/postgres/pg_decoder.h"
#include "source/postgres/pg_table.h"

/* `oids`: of the list, as an array literal. */
enum dm_status pg_leaves_judge(const struct pg_catalog *catalog, struct pg_table_list *list, const char *oids,
                               struct dm_error *err) DM_MUST_USE;
/* Did a leaf, as the stream describes it, have an identity that lacks the key of its root? (Without any the server refused its UPDATEs and DELETEs.) */
bool pg_leaf_lacks_key(const struct pg_relation_message *m, const struct pg_table *root);

#endif
