/* The initial copy: several connections that stand in the same snapshot.
 *
 * SQLite cannot hand a snapshot from one connection to another (not in common builds), but while a write
 * lock is held nobody commits, so read transactions begun under it all see the same state. The lock is held
 * for as long as that takes, well below a millisecond per connection. Under the same lock the capture is
 * brought up to date first: every table that the snapshot shows has its triggers, so no change after the
 * snapshot can be missed.
 *
 * The snapshot is kept until copy_close. In WAL mode writers go on meanwhile (the WAL grows); in the
 * rollback-journal modes they wait.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/sqlite/sqlite_capture.h"
#include "source/sqlite/sqlite_row.h"
#include "source/sqlite/sqlite_source.h"

enum { rows_per_part = 200000, most_connections = 16, most_tries = 50 };

struct dm_copy {
    size_t n;
    sqlite3 *connections[most_connections]; /* each in its read transaction */
    atomic_size_t next;                     /* readers take connections in turn */
    sqlite3 *writer;                        /* holds the write lock; NULL: nobody is held */
    struct dm_sqlite_tables set;
};

struct dm_copy_reader {
    sqlite3_stmt *rows;
    struct dm_sqlite_row_mapper mapper;
};

void dm_sqlite_copy_let_writers(struct dm_copy *c)
{
    dm_sqlite_rollback(c->writer);
    sqlite3_close_v2(c->writer);
    c->writer = NULL;
}

void dm_sqlite_copy_close(struct dm_copy *c)
{
    if (c == NULL)
        return;
    dm_sqlite_copy_let_writers(c);
    for (size_t i = 0; i < c->n; i++) {
        dm_sqlite_rollback(c->connections[i]);
        sqlite3_close_v2(c->connections[i]);
    }
    dm_sqlite_tables_release(&c->set);
    free(c);
}

static enum dm_status open_readers(struct dm_copy *c, const struct dm_source_config *config,
                                   struct dm_error *err)
{
    size_t n = config->copy_workers > 0 ? (size_t)config->copy_workers : 1;
    n = n + 1 < most_connections ? n + 1 : most_connections; /* one more for verify beside a copy */
    for (c->n = 0; c->n < n; c->n++)
        if (dm_sqlite_open(config->path, DM_SQLITE_READ, &c->connections[c->n], err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

/* Under the write lock: capture complete and committed, then all readers in. */
static enum dm_status enter_snapshot(struct dm_copy *c, const struct dm_source_config *config,
                                     dm_position *at, struct dm_error *err)
{
    bool changed = true;
    for (int tries = 0; changed; tries++) {
        if (tries == most_tries)
            return dm_fail(err, DM_ERROR_TRANSIENT, NULL,
                           "the capture does not come to rest: each look at the tables finds them changed");
        if (dm_sqlite_exec(c->writer, err, "BEGIN IMMEDIATE") != DM_OK ||
            dm_sqlite_capture_sync_locked(c->writer, config, 0, &changed, err) != DM_OK ||
            (changed && dm_sqlite_exec(c->writer, err, "COMMIT") != DM_OK))
            return DM_FAIL;
    }
    for (size_t i = 0; i < c->n; i++)
        if (dm_sqlite_exec(c->connections[i], err, "BEGIN") != DM_OK ||
            dm_sqlite_capture_position(c->connections[i], at, err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

enum dm_status dm_sqlite_copy_open_held(struct dm_source *s, struct dm_copy **out, dm_position *at,
                                        struct dm_error *err)
{
    struct dm_copy *c = dm_xzalloc(1, sizeof *c);
    enum dm_status status = open_readers(c, s->config, err);
    if (status == DM_OK)
        status = dm_sqlite_open(s->config->path, DM_SQLITE_WRITE, &c->writer, err);
    if (status == DM_OK)
        status = enter_snapshot(c, s->config, at, err);
    if (status == DM_OK)
        status = dm_sqlite_tables_load(c->connections[0], s->config, &c->set, err);
    if (status != DM_OK) {
        dm_sqlite_copy_close(c);
        return status;
    }
    *out = c;
    return DM_OK;
}

enum dm_status dm_sqlite_copy_open(struct dm_source *s, struct dm_copy **out, dm_position *at,
                                   struct dm_error *err)
{
    enum dm_status status = dm_sqlite_copy_open_held(s, out, at, err);
    if (status == DM_OK)
        dm_sqlite_copy_let_writers(*out);
    return status;
}

enum dm_status dm_sqlite_copy_tables(struct dm_copy *c, struct dm_table_list *out, struct dm_error *err)
{
    (void)err;
    for (size_t i = 0; i < c->set.n; i++)
        dm_table_list_add(out, dm_table_copy(c->set.tables[i]->table));
    return DM_OK;
}

static struct dm_sqlite_table *table_of(struct dm_copy *c, const struct dm_table *t, struct dm_error *err)
{
    struct dm_sqlite_table *found = dm_sqlite_tables_named(&c->set, t->name);
    if (found == NULL)
        (void)dm_fail(err, DM_ERROR_DATA, NULL, "table %s is not in the snapshot", t->name);
    return found;
}

enum dm_status dm_sqlite_copy_parts(struct dm_copy *c, const struct dm_table *t, size_t workers,
                                    size_t *parts, struct dm_error *err)
{
    struct dm_sqlite_table *table = table_of(c, t, err);
    if (table == NULL)
        return DM_FAIL;
    uint64_t wanted = table->table->estimated_rows / rows_per_part + 1;
    *parts = table->rowid == NULL ? 1 : wanted < workers ? (size_t)wanted : workers;
    if (*parts == 0)
        *parts = 1;
    return DM_OK;
}

/* "part p of n" as a range of rowids; the outer parts are open towards the ends. */
static enum dm_status add_range(sqlite3 *db, sqlite3_str *sql, const struct dm_sqlite_table *t, size_t part,
                                size_t parts, const char *glue, struct dm_error *err)
{
    int64_t low = 0, high = 0;
    if (dm_sqlite_int(db, 0, &low, err, "SELECT min(\"%w\") FROM \"%w\"", t->rowid, t->table->name) !=
            DM_OK ||
        dm_sqlite_int(db, 0, &high, err, "SELECT max(\"%w\") FROM \"%w\"", t->rowid, t->table->name) != DM_OK)
        return DM_FAIL;
    __int128 span = (__int128)high - low + 1;
    long long from = (long long)(low + span * (int64_t)part / (int64_t)parts);
    long long to = (long long)(low + span * ((int64_t)part + 1) / (int64_t)parts);
    if (part > 0) {
        sqlite3_str_appendf(sql, "%s\"%w\" >= %lld", glue, t->rowid, from);
        glue = " AND ";
    }
    if (part + 1 < parts)
        sqlite3_str_appendf(sql, "%s\"%w\" < %lld", glue, t->rowid, to);
    return DM_OK;
}

enum dm_status dm_sqlite_copy_read(struct dm_copy *c, const struct dm_table *t, size_t part, size_t parts,
                                   struct dm_copy_reader **out, struct dm_error *err)
{
    struct dm_sqlite_table *table = table_of(c, t, err);
    if (table == NULL)
        return DM_FAIL;
    sqlite3 *db = c->connections[atomic_fetch_add(&c->next, 1) % c->n];
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "SELECT ");
    dm_sqlite_select_list(sql, table);
    sqlite3_str_appendf(sql, " FROM \"%w\"", table->table->name);
    if (table->filter != NULL)
        sqlite3_str_appendf(sql, " WHERE (%s)", table->filter);
    enum dm_status status = DM_OK;
    if (parts > 1)
        status = add_range(db, sql, table, part, parts, table->filter != NULL ? " AND " : " WHERE ", err);
    char *text = dm_sqlite_str_take(sql);
    struct dm_copy_reader *r = dm_xzalloc(1, sizeof *r);
    r->mapper.table = table;
    if (status == DM_OK)
        status = dm_sqlite_prepare(db, &r->rows, err, "%s", text);
    free(text);
    if (status != DM_OK) {
        dm_sqlite_copy_reader_close(r);
        dm_error_prefix(err, "table %s", t->name);
        return status;
    }
    *out = r;
    return DM_OK;
}

enum dm_status dm_sqlite_copy_next(struct dm_copy_reader *r, struct dm_batch *batch, size_t max_rows,
                                   size_t max_bytes, dm_bad_row_fn bad_row, void *ctx, struct dm_error *err)
{
    while (batch->rows < max_rows) {
        if (dm_batch_bytes(batch) >= max_bytes)
            return DM_OK;
        enum dm_status status = dm_sqlite_step(r->rows, err);
        if (status != DM_OK)
            return status;
        struct dm_sqlite_bad bad;
        dm_sqlite_row_append(&r->mapper, r->rows, 0, batch, DM_OP_COPY, &bad);
        if (bad.reason != NULL) {
            status = dm_sqlite_bad_row(r->mapper.table, r->rows, 0, DM_OP_COPY, &bad, bad_row, ctx, err);
            if (status != DM_OK)
                return status;
        }
    }
    return DM_OK;
}

void dm_sqlite_copy_reader_close(struct dm_copy_reader *r)
{
    if (r == NULL)
        return;
    (void)sqlite3_finalize(r->rows);
    dm_sqlite_row_mapper_release(&r->mapper);
    free(r);
}
