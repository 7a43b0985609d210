#include "source/sqlite/sqlite_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/sqlite/log_check.h"
#include "source/sqlite/sqlite_capture.h"

static enum dm_status source_open(const struct dm_source_config *config, struct dm_source **out,
                                  struct dm_error *err)
{
    if (config->path == NULL || config->path[0] == '\0')
        return dm_fail(err, DM_ERROR_CONFIG, "add `path: FILE` to the source", "source %s: no path",
                       config->name);
    sqlite3 *db = NULL;
    if (dm_sqlite_open(config->path, DM_SQLITE_READ, &db, err) != DM_OK) {
        dm_error_prefix(err, "source %s", config->name);
        return DM_FAIL;
    }
    sqlite3_close_v2(db);
    struct dm_source *s = dm_xzalloc(1, sizeof *s);
    s->config = config;
    *out = s;
    return DM_OK;
}

static void source_close(struct dm_source *s)
{
    free(s);
}

static enum dm_status source_tables(struct dm_source *s, struct dm_table_list *out, struct dm_error *err)
{
    sqlite3 *db = NULL;
    if (dm_sqlite_open(s->config->path, DM_SQLITE_READ, &db, err) != DM_OK)
        return DM_FAIL;
    struct dm_sqlite_tables set = {0};
    enum dm_status status = dm_sqlite_exec(db, err, "BEGIN");
    if (status == DM_OK)
        status = dm_sqlite_tables_load(db, s->config, &set, err);
    for (size_t i = 0; status == DM_OK && i < set.n; i++)
        dm_table_list_add(out, dm_table_copy(set.tables[i]->table));
    dm_sqlite_tables_release(&set);
    sqlite3_close_v2(db);
    return status;
}

static enum dm_status with_writer(struct dm_source *s,
                                  enum dm_status (*run)(sqlite3 *db, struct dm_source *s,
                                                        struct dm_error *err),
                                  struct dm_error *err)
{
    sqlite3 *db = NULL;
    if (dm_sqlite_open(s->config->path, DM_SQLITE_WRITE, &db, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = run(db, s, err);
    sqlite3_close_v2(db);
    return status;
}

static enum dm_status sync(sqlite3 *db, struct dm_source *s, struct dm_error *err)
{
    return dm_sqlite_capture_sync(db, s->config, 0, NULL, err);
}

/* The list says nothing that the file does not say itself under the lock, where it cannot change. */
static enum dm_status source_prepare(struct dm_source *s, const struct dm_table_list *tables,
                                     struct dm_error *err)
{
    (void)tables;
    return with_writer(s, sync, err);
}

static enum dm_status forget(sqlite3 *db, struct dm_source *s, struct dm_error *err)
{
    (void)s;
    return dm_sqlite_capture_forget(db, err);
}

static enum dm_status source_forget(struct dm_source *s, struct dm_error *err)
{
    return with_writer(s, forget, err);
}

static enum dm_status source_current(struct dm_source *s, dm_position *out, struct dm_error *err)
{
    sqlite3 *db = NULL;
    if (dm_sqlite_open(s->config->path, DM_SQLITE_READ, &db, err) != DM_OK)
        return DM_FAIL;
    *out = 0;
    enum dm_status status = dm_sqlite_capture_exists(db) ? dm_sqlite_capture_position(db, out, err) : DM_OK;
    sqlite3_close_v2(db);
    return status;
}

static enum dm_status source_recognise(struct dm_source *s, dm_position from, const struct dm_log_mark *mark,
                                       struct dm_error *err)
{
    sqlite3 *db = NULL;
    if (dm_sqlite_open(s->config->path, DM_SQLITE_READ, &db, err) != DM_OK)
        return DM_FAIL;
    dm_position end = 0;
    bool behind = false;
    enum dm_status status = dm_sqlite_exec(db, err, "BEGIN");
    if (status == DM_OK)
        status = dm_sqlite_log_check(db, from, mark, &end, &behind, err);
    sqlite3_close_v2(db);
    s->recognised = from;
    s->mark = *mark;
    return status == DM_FAIL && behind ? DM_END : status;
}

static const char *position_format(dm_position position, char *out, size_t size)
{
    (void)snprintf(out, size, "%llu", (unsigned long long)position);
    return out;
}

static enum dm_status position_parse(const char *text, dm_position *out, struct dm_error *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > INT64_MAX)
        return dm_fail(err, DM_ERROR_DATA, "a position of a SQLite source is a number",
                       "\"%s\" is no position", text);
    *out = value;
    return DM_OK;
}

const struct dm_source_type dm_source_sqlite = {
    .name = "sqlite",
    .open = source_open,
    .close = source_close,
    .tables = source_tables,
    .check = dm_sqlite_check,
    .advice = dm_sqlite_advice,
    .prepare = source_prepare,
    .recognise = source_recognise,
    .current = source_current,
    .forget = source_forget,
    .copy_open = dm_sqlite_copy_open,
    .copy_close = dm_sqlite_copy_close,
    .copy_open_held = dm_sqlite_copy_open_held,
    .copy_let_writers = dm_sqlite_copy_let_writers,
    .copy_tables = dm_sqlite_copy_tables,
    .copy_parts = dm_sqlite_copy_parts,
    .copy_read = dm_sqlite_copy_read,
    .copy_next = dm_sqlite_copy_next,
    .copy_reader_close = dm_sqlite_copy_reader_close,
    .stream_open = dm_sqlite_stream_open,
    .stream_poll = dm_sqlite_stream_poll,
    .stream_ack = dm_sqlite_stream_ack,
    .stream_lag = dm_sqlite_stream_lag,
    .stream_close = dm_sqlite_stream_close,
    .position_format = position_format,
    .position_parse = position_parse,
};
