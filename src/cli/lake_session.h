/* lake_session.h — a SQL session over the lake in a command's own process, with the limits that its options give (`query`, `sql`).
 *
 * All datasets stand at one commit, that of the opening, until the session is closed. Nothing is written to the lake through it. One thread.
 *
 *     struct dm_session_limits limits;
 *     if (!dm_session_limits_read(in, config, &limits, &code)) return code;
 *     dm_lake_session_open(config, &limits, false, &session, err);   …   dm_lake_session_close(&session);
 */
#ifndef DM_CLI_LAKE_SESSION_H
#define DM_CLI_LAKE_SESSION_H

#include <stdatomic.h>

#include "cli/command.h"
#include "base/temp_folder.h"
#include "engine/sql.h"
#include "lake/lake.h"

#define DM_OPTIONS_LIMITS \
    {"memory-limit", 0, "SIZE", \
     "memory that a query may use, such as 512MiB; more is put on disk or refused (default: memory_limit)"}, \
        {"timeout", 0, "DURATION", "end a query that takes longer, such as 30s (default: none)"}, \
    { \
        "threads", 0, "N", "processors that a query may use (default: all)" \
    }

struct dm_session_limits {
    uint64_t memory;
    size_t threads; /* 0: all */
    int64_t timeout_ms;
    const atomic_int *stop; /* NULL: nobody asks */
};
/* From DM_OPTIONS_LIMITS. false: printed, *code says how to end. */
bool dm_session_limits_read(const struct dm_invocation *in, const struct dm_config *config,
                            struct dm_session_limits *out, int *code);

struct dm_lake_session {
    struct dm_lake *lake;
    struct dm_engine *engine;
    struct dm_sql *sql;
    struct dm_temp_folder spill;
};
/* files: the SQL may read files, too. The clock of the timeout starts here. On failure there is nothing to close. */
enum dm_status dm_lake_session_open(const struct dm_config *config, const struct dm_session_limits *limits,
                                    bool files, struct dm_lake_session *out,
                                    struct dm_error *err) DM_MUST_USE;
void dm_lake_session_close(struct dm_lake_session *s); /* zeroed is fine */

#endif
