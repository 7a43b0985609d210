/* engine.h — the one place that talks to DuckDB: Parquet in and out, SQL over files.
 *
 * One engine a process, opened with a memory limit and a temporary folder for spilling. The calls of parquet_write.h and
 * parquet_read.h may run in any thread, many at once: each borrows a connection from a pool. Batches are borrowed. No other module
 * includes duckdb.h. Nothing may run any more when the engine is closed. Failure: disk trouble is TRANSIENT,
 * too little memory is MEMORY.
 *
 *     struct dm_engine_options options = {.memory_limit = 256 << 20, .temp_folder = "lake/.tmp"};
 *     if (dm_engine_open(&options, &engine, err) != DM_OK) ...
 *     dm_engine_close(engine);
 */
#ifndef DM_ENGINE_ENGINE_H
#define DM_ENGINE_ENGINE_H

#include "column/batch.h"

struct dm_engine;

struct dm_engine_options {
    uint64_t memory_limit; /* bytes DuckDB may use; 0: its default */
    uint64_t temp_limit;   /* bytes of spill files; 0: its default */
    int threads;           /* 0: its default */
    const char *
        temp_folder; /* spill files, in a folder of their own below it, so that processes may share it; created when needed;
                                 NULL: DuckDB's default */
};

enum dm_status dm_engine_open(const struct dm_engine_options *options, struct dm_engine **out,
                              struct dm_error *err) DM_MUST_USE;
void dm_engine_close(struct dm_engine *e); /* NULL is fine */
const char *dm_engine_version(void);

#endif
