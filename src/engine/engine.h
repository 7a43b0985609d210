/* engine.h — the one place that talks to DuckDB: Parquet in and out, SQL over files.
 *
 * One engine a process, opened with a memory limit and a temporary folder for spilling. Every call below may run in
 * any thread: each opens its own connection (cheap). Batches are borrowed. No other module includes duckdb.h.
 */
#ifndef DM_ENGINE_ENGINE_H
#define DM_ENGINE_ENGINE_H

#include "column/batch.h"

struct dm_engine;

struct dm_engine_options {
    uint64_t memory_limit;    /* bytes DuckDB may use; 0: its default */
    int threads;              /* 0: its default */
    const char *temp_folder;  /* spill files; created when needed */
};

enum dm_status dm_engine_open(const struct dm_engine_options *options, struct dm_engine **out,
                              struct dm_error *err) DM_MUST_USE;
void dm_engine_close(struct dm_engine *e); /* NULL is fine */
const char *dm_engine_version(void);

#endif
