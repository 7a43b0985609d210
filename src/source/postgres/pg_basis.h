/* pg_basis.h — what PostgreSQL tables rest on, as facts (source/basis.h).
 *
 * Over the connection of the catalog, in its transaction. Facts are added to the tables' `basis`. One thread at a time.
 */
#ifndef DM_SOURCE_POSTGRES_PG_BASIS_H
#define DM_SOURCE_POSTGRES_PG_BASIS_H

#include "source/postgres/pg_table.h"

/* The list as discovery has made it; oids: the same tables as an array's text. */
enum dm_status pg_basis_of_tables(const struct pg_catalog *catalog, const struct pg_table_list *list,
                                  const char *oids, struct dm_error *err) DM_MUST_USE;

#endif
