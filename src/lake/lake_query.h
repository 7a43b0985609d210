/* lake_query.h — opens a SQL session over the current state of all datasets of a lake (read-only), for `query`.
 * All datasets come from one catalog transaction, so they stand at one source transaction boundary. */
#ifndef DM_LAKE_LAKE_QUERY_H
#define DM_LAKE_LAKE_QUERY_H

#include "engine/sql.h"
#include "lake/lake.h"

/* Called when the datasets are in the session and it is not locked yet: for views over them. */
typedef enum dm_status (*dm_lake_query_prepare)(void *ctx, struct dm_sql *sql, struct dm_error *err);

/* The session borrows the lake and the engine. `prepare` may be NULL. */
enum dm_status dm_lake_query_open(struct dm_lake *lake, struct dm_engine *engine,
                                  dm_lake_query_prepare prepare, void *ctx, struct dm_sql **out,
                                  struct dm_error *err) DM_MUST_USE;

#endif
