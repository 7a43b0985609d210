/* Reading units out of the log: see the top of sqlite_capture.c for what a unit is and why it is read this
 * way.
 *
 * A stream has two connections: `reader` holds the snapshot of the unit being delivered, `writer` mends the
 * capture and cleans the log. A unit goes through the stages NOTES → IMAGES (per table that keeps them) →
 * STATES → commit; a poll delivers some thousand rows and comes back, the statement and the snapshot stay
 * open in between.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "source/sqlite/log_check.h"
#include "source/sqlite/log_cleaner.h"
#include "source/sqlite/sqlite_capture.h"
#include "source/sqlite/sqlite_deliver.h"
#include "source/sqlite/sqlite_source.h"

enum { poll_interval_ms = 20, rows_per_poll = 4096, tries_for_a_quiet_schema = 5 };
enum { rollback_interval_us = 200000, coarse_time_us = 100000 };
enum { short_lock_wait_ms = 100, longest_lock_us = 60 * 1000 * 1000 };

enum stage { STAGE_NONE, STAGE_NOTES, STAGE_IMAGES, STAGE_STATES };

struct dm_stream {
    const struct dm_source_config *config;
    sqlite3 *reader, *writer;
    struct dm_sqlite_tables set;
    struct dm_sqlite_followed *followed; /* parallel to set.tables */
    size_t n_followed;
    int64_t schema_version;          /* of set; -1: none loaded */
    int64_t synced_version;          /* the capture was brought up to this one */
    int64_t locked_since_us;         /* the capture could not be brought up to date since then; 0: it could */
    int64_t data_version;            /* when the last snapshot was taken; -1: look anew */
    int64_t looked_us, looked_at_us; /* not in WAL mode: when the file was looked at last, by both clocks … */
    int64_t changed_us;              /* … and had changed last */
    int n_keys;                      /* key columns of the log */
    dm_position position;            /* everything below was delivered */
    struct dm_log_mark mark;         /* of position */
    dm_position end;                 /* of the unit being delivered */
    struct dm_txn txn;
    enum stage stage;
    size_t image_table; /* STAGE_IMAGES: the table being read */
    sqlite3_stmt *cursor;
    dev_t device;
    ino_t inode;
    bool opened, failed;
    struct dm_log_cleaner cleaner;
    _Atomic(uint64_t) known_end; /* for lag */
};

/* ---- open, close ---- */

void dm_sqlite_stream_close(struct dm_stream *st)
{
    if (st == NULL)
        return;
    (void)sqlite3_finalize(st->cursor);
    for (size_t i = 0; i < st->n_followed; i++)
        dm_sqlite_followed_release(&st->followed[i]);
    free(st->followed);
    dm_sqlite_tables_release(&st->set);
    dm_sqlite_rollback(st->reader);
    dm_sqlite_rollback(st->writer);
    if (st->opened && !st->failed) /* whose log it is may be in doubt otherwise */
        dm_log_cleaner_finish(&st->cleaner);
    sqlite3_close_v2(st->reader);
    sqlite3_close_v2(st->writer);
    free(st);
}

static enum dm_status open_stream(struct dm_stream *st, dm_position from, struct dm_error *err)
{
    struct stat file;
    const char *path = st->config->path;
    if (dm_sqlite_open(path, DM_SQLITE_READ, &st->reader, err) != DM_OK ||
        dm_sqlite_open(path, DM_SQLITE_WRITE, &st->writer, err) != DM_OK)
        return DM_FAIL;
    if (stat(path, &file) != 0)
        return dm_fail_errno(err, "SQLite file %s", path);
    st->device = file.st_dev;
    st->inode = file.st_ino;
    bool behind;
    if (dm_sqlite_log_check(st->reader, from, &st->mark, &st->end, &behind, err) != DM_OK)
        return DM_FAIL;
    int64_t first = 0;
    if (dm_sqlite_int(st->reader, 0, &first, err, "SELECT min(seq) FROM \"_datamirror_log\"") != DM_OK)
        return DM_FAIL;
    dm_log_cleaner_init(&st->cleaner, st->writer, (dm_position)first);
    if (dm_sqlite_capture_sync(st->writer, st->config, from, &st->synced_version, err) != DM_OK)
        return DM_FAIL;
    st->position = from;
    st->opened = true;
    atomic_store(&st->known_end, st->end);
    return DM_OK;
}

enum dm_status dm_sqlite_stream_open(struct dm_source *s, dm_position from, struct dm_stream **out,
                                     struct dm_error *err)
{
    struct dm_stream *st = dm_xzalloc(1, sizeof *st);
    st->config = s->config;
    if (from == s->recognised)
        st->mark = s->mark;
    st->schema_version = st->data_version = -1;
    if (open_stream(st, from, err) != DM_OK) {
        dm_sqlite_stream_close(st);
        return DM_FAIL;
    }
    *out = st;
    return DM_OK;
}

void dm_sqlite_stream_ack(struct dm_stream *st, dm_position position)
{
    dm_log_cleaner_ack(&st->cleaner, position);
}

uint64_t dm_sqlite_stream_lag(struct dm_stream *st, dm_position position)
{
    /* Sequence numbers jump to the clock at each start, so the difference may overstate the entries for one
     * moment. */
    uint64_t end = atomic_load(&st->known_end);
    return end > position ? end - position : 0;
}

/* ---- the tables ---- */

/* Replaces the set by the tables as the snapshot shows them. What the sink was told about a table stays
 * with its id. */
static enum dm_status load_tables(struct dm_stream *st, struct dm_error *err)
{
    struct dm_sqlite_tables set = {0};
    if (dm_sqlite_tables_load(st->reader, st->config, &set, err) != DM_OK)
        return DM_FAIL;
    struct dm_sqlite_followed *followed = dm_xzalloc(set.n + 1, sizeof *followed);
    for (size_t i = 0; i < set.n; i++) {
        followed[i].t = set.tables[i];
        followed[i].mapper.table = set.tables[i];
        for (size_t k = 0; k < st->n_followed; k++) {
            struct dm_sqlite_followed *old = &st->followed[k];
            if (old->told == NULL || old->told->id != set.tables[i]->table->id)
                continue;
            followed[i].told = old->told;
            followed[i].handle = old->handle;
            old->told = NULL;
        }
    }
    for (size_t k = 0; k < st->n_followed; k++)
        dm_sqlite_followed_release(&st->followed[k]);
    free(st->followed);
    dm_sqlite_tables_release(&st->set);
    st->set = set;
    st->followed = followed;
    st->n_followed = set.n;
    int64_t columns = 0;
    if (dm_sqlite_int(st->reader, 0, &columns, err,
                      "SELECT count(*) FROM pragma_table_info('_datamirror_log') WHERE name GLOB 'k*'") !=
        DM_OK)
        return DM_FAIL;
    st->n_keys = (int)columns;
    for (size_t i = 0; i < set.n; i++)
        if (set.tables[i]->images &&
            dm_sqlite_int(st->reader, 0, &followed[i].images_from, err,
                          "SELECT images_from FROM \"_datamirror_tables\" WHERE id = %lld",
                          (long long)set.tables[i]->table->id) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

static struct dm_sqlite_followed *followed_of(struct dm_stream *st, int64_t id)
{
    for (size_t i = 0; i < st->n_followed; i++)
        if (st->followed[i].t->table->id == (uint64_t)id)
            return &st->followed[i];
    return NULL;
}

/* ---- beginning a unit ---- */

static enum dm_status same_file(const struct dm_stream *st, struct dm_error *err)
{
    struct stat file;
    if (stat(st->config->path, &file) != 0)
        return dm_fail_errno(err, "SQLite file %s", st->config->path);
    if (file.st_dev != st->device || file.st_ino != st->inode)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "SQLite file %s was replaced by another file",
                       st->config->path);
    return DM_OK;
}

/* Brings the capture up to a changed schema. A writer that holds the lock for a while is no failure:
 * DM_END, look again later. */
static enum dm_status follow_schema(struct dm_stream *st, struct dm_error *err)
{
    dm_sqlite_wait_for_locks(st->writer, short_lock_wait_ms);
    struct dm_error why = {0};
    enum dm_status status =
        dm_sqlite_capture_sync(st->writer, st->config, st->position, &st->synced_version, &why);
    dm_sqlite_wait_for_locks(st->writer, DM_SQLITE_USUAL_WAIT_MS);
    int64_t now = dm_clock_monotonic_us();
    if (status == DM_OK) {
        st->locked_since_us = 0;
        return DM_OK;
    }
    if (st->locked_since_us == 0)
        st->locked_since_us = now;
    if (why.class == DM_ERROR_TRANSIENT && now - st->locked_since_us < longest_lock_us)
        return DM_END;
    *err = why;
    return DM_FAIL;
}

/* A read transaction whose schema is the one that the capture was brought up to. DM_END: it cannot be had
 * at the moment. */
static enum dm_status enter_snapshot(struct dm_stream *st, struct dm_error *err)
{
    int64_t version = 0;
    bool behind;
    for (int i = 0; i < tries_for_a_quiet_schema; i++) {
        if (dm_sqlite_exec(st->reader, err, "BEGIN") !=
                DM_OK || /* the snapshot is taken by the read that follows */
            dm_sqlite_log_check(st->reader, st->position, &st->mark, &st->end, &behind, err) != DM_OK ||
            dm_sqlite_int(st->reader, 0, &version, err, "PRAGMA schema_version") != DM_OK)
            return DM_FAIL;
        if (version == st->synced_version) {
            if (version == st->schema_version)
                return DM_OK;
            st->schema_version = version;
            return load_tables(st, err);
        }
        dm_sqlite_rollback(st->reader);
        enum dm_status status = follow_schema(st, err);
        if (status != DM_OK)
            return status;
    }
    return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the schema of SQLite file %s does not stand still",
                   st->config->path);
}

static void leave_snapshot(struct dm_stream *st)
{
    (void)sqlite3_finalize(st->cursor);
    st->cursor = NULL;
    st->stage = STAGE_NONE;
    for (size_t i = 0; i < st->n_followed; i++) /* an open statement would keep the snapshot */
        if (st->followed[i].lookup != NULL)
            (void)sqlite3_reset(st->followed[i].lookup);
    dm_sqlite_rollback(st->reader);
}

/* DM_OK: a unit is open. DM_END: nothing new. */
static enum dm_status begin_unit(struct dm_stream *st, const struct dm_sink *sink, struct dm_error *err)
{
    enum dm_status status = same_file(st, err);
    if (status == DM_OK)
        status = enter_snapshot(st, err);
    if (status == DM_END) {
        leave_snapshot(st);
        st->data_version = -1;
    }
    if (status != DM_OK)
        return status;
    atomic_store(&st->known_end, st->end);
    if (st->end <= st->position) {
        leave_snapshot(st);
        return DM_END;
    }
    st->txn = (struct dm_txn){.xid = st->end - 1,
                              .visible_at = st->end - 1,
                              .position = st->end,
                              .commit_time_us = dm_clock_wall_us()};
    if (dm_sqlite_log_mark(st->reader, st->end, &st->txn.mark, err) != DM_OK)
        return DM_FAIL;
    status = sink->begin(sink->ctx, &st->txn, err);
    if (status != DM_OK)
        return status;
    st->stage = STAGE_NOTES;
    return dm_sqlite_prepare(
        st->reader, &st->cursor, err,
        "SELECT t, op FROM \"_datamirror_log\" WHERE seq >= %lld AND op >= %d ORDER BY seq",
        (long long)st->position, (int)DM_SQLITE_REWRITTEN);
}

/* ---- notes ---- */

static enum dm_status deliver_drop(struct dm_stream *st, int64_t id, const struct dm_sink *sink,
                                   struct dm_error *err)
{
    struct dm_table *table = NULL;
    void *handle = NULL;
    if (dm_sqlite_capture_remembered(st->reader, (uint64_t)id, &table, err) != DM_OK)
        return DM_FAIL;
    if (table == NULL)
        return DM_OK;
    enum dm_status status = sink->table(sink->ctx, table, &handle, err);
    if (status == DM_OK && handle != NULL)
        status = sink->dropped(sink->ctx, handle, err);
    dm_table_free(table);
    return status;
}

static enum dm_status deliver_note(struct dm_stream *st, const struct dm_sink *sink, struct dm_error *err)
{
    int64_t id = sqlite3_column_int64(st->cursor, 0);
    int op = sqlite3_column_int(st->cursor, 1);
    struct dm_sqlite_followed *f = followed_of(st, id);
    if (f != NULL)
        return dm_sqlite_tell(f, sink, op == DM_SQLITE_REWRITTEN, err);
    return op == DM_SQLITE_DROPPED ? deliver_drop(st, id, sink, err) : DM_OK;
}

/* ---- images ---- */

/* seq, op, k1…kn, image's seq, c… */
static enum dm_status open_images(struct dm_stream *st, struct dm_sqlite_followed *f, struct dm_error *err)
{
    const struct dm_schema *c = f->t->table->columns;
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "SELECT l.seq, l.op");
    for (int i = 0; i < st->n_keys; i++)
        sqlite3_str_appendf(sql, ", l.k%d", i + 1);
    sqlite3_str_appendf(sql, ", i.\"_seq_\", ");
    for (size_t i = 0; i < c->n_fields; i++)
        sqlite3_str_appendf(sql, "%si.\"%w\"", i > 0 ? ", " : "", c->fields[i].name);
    sqlite3_str_appendf(sql, " FROM \"_datamirror_log\" l LEFT JOIN (SELECT * FROM (SELECT seq AS \"_seq_\"");
    for (size_t i = 0; i < c->n_fields; i++)
        sqlite3_str_appendf(sql, ", c%d AS \"%w\"", c->fields[i].source_ref, c->fields[i].name);
    sqlite3_str_appendf(sql, " FROM \"_datamirror_image_%lld\")", (long long)f->t->table->id);
    if (f->t->filter != NULL)
        sqlite3_str_appendf(sql, " WHERE (%s)", f->t->filter);
    sqlite3_str_appendf(sql,
                        ") i ON i.\"_seq_\" = l.seq WHERE l.seq >= %lld AND l.t = %lld AND l.op BETWEEN 1 "
                        "AND 3 ORDER BY l.seq",
                        (long long)st->position, (long long)f->t->table->id);
    char *text = dm_sqlite_str_take(sql);
    enum dm_status status = dm_sqlite_prepare(st->reader, &st->cursor, err, "%s", text);
    free(text);
    return status;
}

static enum dm_status deliver_image(struct dm_stream *st, struct dm_sqlite_followed *f,
                                    const struct dm_sink *sink, struct dm_error *err)
{
    sqlite3_stmt *row = st->cursor;
    int first_value = 3 + st->n_keys;
    int op = sqlite3_column_int(row, 1);
    bool there = sqlite3_column_type(row, first_value - 1) != SQLITE_NULL;
    if (dm_sqlite_tell(f, sink, false, err) != DM_OK)
        return DM_FAIL;
    if (f->handle == NULL)
        return DM_OK;
    if (sqlite3_column_int64(row, 0) < f->images_from) {
        /* For keyed tables the final state follows; an append-only row has no other chance to be told. */
        struct dm_sqlite_bad bad = {.reason = "schema_window"};
        return f->t->table->append_only && there
                   ? dm_sqlite_deliver_bad(f, row, first_value, DM_OP_INSERT, &bad, sink, err)
                   : DM_OK;
    }
    enum dm_op as = op == DM_SQLITE_INSERT ? DM_OP_INSERT : DM_OP_UPDATE;
    if (f->t->table->append_only)
        return there ? dm_sqlite_deliver_row(f, row, first_value, row, 2, as, sink, err) : DM_OK;
    if (there && op != DM_SQLITE_DELETE && dm_sqlite_same_key(f->t, row, first_value, row, 2))
        return dm_sqlite_deliver_row(f, row, first_value, row, 2, as, sink, err);
    return dm_sqlite_deliver_delete(f, row, 2, sink, err);
}

/* ---- states ---- */

/* t, first op, last seq * 8 + op, k1…kn: one row per key touched. typeof keeps 1 and 1.0 apart. */
static enum dm_status open_states(struct dm_stream *st, struct dm_error *err)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "SELECT t, min(seq * %d + op) %% %d, max(seq * %d + op)", DM_SQLITE_OPS,
                        DM_SQLITE_OPS, DM_SQLITE_OPS);
    for (int i = 0; i < st->n_keys; i++)
        sqlite3_str_appendf(sql, ", k%d", i + 1);
    sqlite3_str_appendf(sql, " FROM \"_datamirror_log\" WHERE seq >= %lld AND op BETWEEN 1 AND 4 GROUP BY t",
                        (long long)st->position);
    for (int i = 0; i < st->n_keys; i++)
        sqlite3_str_appendf(sql, ", k%d, typeof(k%d)", i + 1, i + 1);
    char *text = dm_sqlite_str_take(sql);
    enum dm_status status = dm_sqlite_prepare(st->reader, &st->cursor, err, "%s", text);
    free(text);
    return status;
}

static enum dm_status prepare_lookup(struct dm_stream *st, struct dm_sqlite_followed *f, struct dm_error *err)
{
    if (f->lookup != NULL)
        return DM_OK;
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "SELECT ");
    dm_sqlite_select_list(sql, f->t);
    sqlite3_str_appendf(sql, " FROM \"%w\" WHERE ", f->t->table->name);
    dm_sqlite_identity_matches(sql, f->t, true);
    if (f->t->filter != NULL)
        sqlite3_str_appendf(sql, " AND (%s)", f->t->filter);
    char *text = dm_sqlite_str_take(sql);
    enum dm_status status = dm_sqlite_prepare(st->reader, &f->lookup, err, "%s", text);
    free(text);
    if (status != DM_OK)
        dm_error_prefix(err, "table %s", f->t->table->name);
    return status;
}

/* All rows that the lookup finds: more than one only for keys with NULL, which SQLite lets stand side by
 * side. */
static enum dm_status deliver_found(struct dm_sqlite_followed *f, sqlite3_stmt *keys, enum dm_op op,
                                    const struct dm_sink *sink, struct dm_error *err)
{
    bool found = false;
    enum dm_status status;
    while ((status = dm_sqlite_step(f->lookup, err)) == DM_OK) {
        if (!dm_sqlite_same_key(f->t, f->lookup, 0, keys, 3))
            continue;
        found = true;
        status = dm_sqlite_deliver_row(f, f->lookup, 0, keys, 3, op, sink, err);
        if (status != DM_OK)
            break;
    }
    if (status == DM_END)
        status = found ? DM_OK : dm_sqlite_deliver_delete(f, keys, 3, sink, err);
    return status;
}

static enum dm_status deliver_state(struct dm_stream *st, const struct dm_sink *sink, struct dm_error *err)
{
    sqlite3_stmt *keys = st->cursor;
    struct dm_sqlite_followed *f = followed_of(st, sqlite3_column_int64(keys, 0));
    if (f == NULL || f->t->table->problem != NULL || f->t->table->append_only)
        return DM_OK;
    int64_t last = sqlite3_column_int64(keys, 2);
    if (f->t->images && last % DM_SQLITE_OPS != DM_SQLITE_MARK && last / DM_SQLITE_OPS >= f->images_from)
        return DM_OK; /* delivered by its images */
    if (dm_sqlite_tell(f, sink, false, err) != DM_OK)
        return DM_FAIL;
    if (f->handle == NULL)
        return DM_OK;
    if (prepare_lookup(st, f, err) != DM_OK)
        return DM_FAIL;
    for (int i = 0; i < (int)f->t->n_identity; i++)
        if (sqlite3_bind_value(f->lookup, i + 1, sqlite3_column_value(keys, 3 + i)) != SQLITE_OK)
            return dm_sqlite_fail(st->reader, err, "bind a key");
    enum dm_op op = sqlite3_column_int(keys, 1) == DM_SQLITE_INSERT ? DM_OP_INSERT : DM_OP_UPDATE;
    enum dm_status status = deliver_found(f, keys, op, sink, err);
    (void)sqlite3_reset(f->lookup);
    return status;
}

/* ---- going through a unit ---- */

static enum dm_status next_stage(struct dm_stream *st, struct dm_error *err)
{
    (void)sqlite3_finalize(st->cursor);
    st->cursor = NULL;
    if (st->stage == STAGE_NOTES)
        st->image_table = 0;
    else
        st->image_table++;
    st->stage = STAGE_IMAGES;
    for (; st->image_table < st->n_followed; st->image_table++) {
        struct dm_sqlite_followed *f = &st->followed[st->image_table];
        if (f->t->images && f->t->table->problem == NULL && f->t->table->id != 0)
            return open_images(st, f, err);
    }
    st->stage = STAGE_STATES;
    return open_states(st, err);
}

/* The snapshot is left first: the commit may wait for the lake. */
static enum dm_status end_unit(struct dm_stream *st, const struct dm_sink *sink, struct dm_error *err)
{
    leave_snapshot(st);
    enum dm_status status = sink->commit(sink->ctx, &st->txn, err);
    if (status == DM_OK) {
        st->position = st->end;
        st->mark = st->txn.mark;
    }
    return status;
}

static enum dm_status deliver_one(struct dm_stream *st, const struct dm_sink *sink, struct dm_error *err)
{
    switch (st->stage) {
    case STAGE_NOTES: return deliver_note(st, sink, err);
    case STAGE_IMAGES: return deliver_image(st, &st->followed[st->image_table], sink, err);
    case STAGE_STATES: return deliver_state(st, sink, err);
    case STAGE_NONE: break;
    }
    return DM_OK;
}

static enum dm_status deliver_some(struct dm_stream *st, const struct dm_sink *sink, struct dm_error *err)
{
    for (int rows = 0; rows < rows_per_poll; rows++) {
        enum dm_status status = dm_sqlite_step(st->cursor, err);
        if (status == DM_END) {
            if (st->stage == STAGE_STATES)
                return end_unit(st, sink, err);
            status = next_stage(st, err);
        } else if (status == DM_OK) {
            status = deliver_one(st, sink, err);
        }
        if (status != DM_OK)
            return status;
    }
    return DM_OK;
}

/* ---- poll ---- */

/* In the rollback-journal modes a reader keeps writers from committing, and those that wait for no lock fail. So a file that did not
 * change is not even asked, and one that did not too often. Times of files may be coarse: one that is fresh proves nothing. */
static bool leave_alone(struct dm_stream *st)
{
    struct stat file;
    char *wal = dm_xasprintf("%s-wal", st->config->path);
    bool in_wal = stat(wal, &file) == 0;
    free(wal);
    if (in_wal || stat(st->config->path, &file) != 0)
        return false;
    int64_t now = dm_clock_monotonic_us();
    int64_t changed_us = (int64_t)file.st_mtim.tv_sec * 1000000 + file.st_mtim.tv_nsec / 1000;
    if (now - st->looked_us < rollback_interval_us ||
        (changed_us == st->changed_us && st->looked_at_us - changed_us > coarse_time_us))
        return true;
    st->looked_us = now;
    st->looked_at_us = dm_clock_wall_us();
    st->changed_us = changed_us;
    return false;
}

static enum dm_status look(struct dm_stream *st, const struct dm_sink *sink, struct dm_error *err)
{
    int64_t version = 0;
    if (st->data_version >= 0 && leave_alone(st))
        return DM_END;
    if (dm_sqlite_int(st->reader, 0, &version, err, "PRAGMA data_version") != DM_OK)
        return DM_FAIL;
    if (version == st->data_version)
        return DM_END;
    st->data_version = version; /* taken before the snapshot: a commit in between is looked at once more */
    return begin_unit(st, sink, err);
}

enum dm_status dm_sqlite_stream_poll(struct dm_stream *st, const struct dm_sink *sink, int timeout_ms,
                                     struct dm_error *err)
{
    int64_t deadline = dm_clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    while (st->stage == STAGE_NONE) {
        enum dm_status status = look(st, sink, err);
        if (status == DM_OK)
            break;
        if (status == DM_END)
            status = sink->idle(sink->ctx, st->position, err);
        if (status != DM_OK) {
            leave_snapshot(st);
            st->failed = true;
            st->data_version = -1;
            return status;
        }
        dm_log_cleaner_run(&st->cleaner);
        int64_t left_ms = (deadline - dm_clock_monotonic_us()) / 1000;
        if (left_ms <= 0)
            return same_file(st, err) == DM_OK ? DM_TIMEOUT : DM_FAIL;
        dm_clock_sleep_ms(left_ms < poll_interval_ms ? left_ms : poll_interval_ms);
    }
    enum dm_status status = deliver_some(st, sink, err);
    if (status != DM_OK) {
        leave_snapshot(st);
        st->failed = true;
        st->data_version = -1;
    } else if (st->stage == STAGE_NONE) {
        dm_log_cleaner_run(&st->cleaner);
    }
    return status;
}
