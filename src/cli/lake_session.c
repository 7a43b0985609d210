#include "cli/lake_session.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/shown.h"
#include "config/config_value.h"
#include "lake/lake_query.h"
#include "mirror/relationship/junction_view.h"

enum { MEMORY_LEAST = 16 << 20, THREADS_MOST = 1024 };

bool dm_session_limits_read(const struct dm_invocation *in, const struct dm_config *config,
                            struct dm_session_limits *out, int *code)
{
    const char *memory = dm_invocation_value(in, "memory-limit");
    *out = (struct dm_session_limits){.memory = config->memory_limit};
    if (memory != NULL && (!dm_value_size(memory, &out->memory) || out->memory < MEMORY_LEAST)) {
        *code = dm_command_usage_error(
            in->command, "--memory-limit cannot be \"%s\"; it is a size such as 512MiB, 16MiB or more",
            memory);
        return false;
    }
    if (!dm_command_duration(in, "timeout", 0, &out->timeout_ms, code) ||
        !dm_command_count(in, "threads", 0, &out->threads, code))
        return false;
    if (out->threads > THREADS_MOST) {
        *code = dm_command_usage_error(in->command, "--threads is %d at most", THREADS_MOST);
        return false;
    }
    return true;
}

struct opening {
    struct dm_lake *lake;
    bool files;
};

/* The session is locked here when files may be read; else by who opens it. */
static enum dm_status prepare(void *ctx, struct dm_sql *sql, struct dm_error *err)
{
    const struct opening *o = ctx;
    if (dm_junction_views_add(o->lake, sql, err) != DM_OK)
        return DM_FAIL;
    return o->files ? dm_sql_lock_files(sql, err) : DM_OK;
}

enum dm_status dm_lake_session_open(const struct dm_config *config, const struct dm_session_limits *limits,
                                    bool files, struct dm_lake_session *out, struct dm_error *err)
{
    struct dm_lake_options lake_options = {
        .folder = config->lake,
        .catalog_name = config->catalog_name,
        .format_version = config->format_version,
        .metadata_versions = config->metadata_versions,
        .snapshot_retention_ms = config->snapshot_retention_ms,
        .read_only = true,
    };
    *out = (struct dm_lake_session){0};
    dm_temp_folder_make(&out->spill);
    struct dm_engine_options engine_options = {
        .memory_limit = limits->memory, .threads = (int)limits->threads, .temp_folder = out->spill.path};
    enum dm_status status = dm_lake_open(&lake_options, &out->lake, err);
    if (status == DM_OK)
        status = dm_engine_open(&engine_options, &out->engine, err);
    struct opening opening = {.lake = out->lake, .files = files};
    if (status == DM_OK)
        status = dm_lake_query_open(out->lake, out->engine, prepare, &opening, &out->sql, err);
    if (status == DM_OK)
        status = dm_sql_limit(
            out->sql, &(struct dm_sql_limits){.timeout_ms = limits->timeout_ms, .stop = limits->stop}, err);
    if (status != DM_OK)
        dm_lake_session_close(out);
    return status;
}

void dm_lake_session_close(struct dm_lake_session *s)
{
    dm_sql_close(s->sql);
    dm_engine_close(s->engine);
    if (s->lake != NULL)
        dm_lake_close(s->lake);
    dm_temp_folder_remove(&s->spill);
    *s = (struct dm_lake_session){0};
}
