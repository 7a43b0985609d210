/* recorder.h — for the tests of the SQLite source: a sink that replays changes into maps, and helpers
 * around a database file.
 *
 * What the recorder holds after a unit is what the lake would hold: per table, encoded key → row.
 * shop_compare checks it against a fresh copy of the table, value by value. Included by one test file per
 * program, hence all static.
 */
#ifndef DM_TEST_SQLITE_RECORDER_H
#define DM_TEST_SQLITE_RECORDER_H

#include <search.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "../../temp_folder.h"
#include "base/file.h"
#include "base/memory.h"
#include "column/key.h"
#include "source/source.h"

#define UNUSED __attribute__((unused))

struct rec_row {
    size_t key_len;
    uint8_t *key;
    struct dm_batch *value; /* one row */
};

struct rec_table {
    uint64_t id;
    char name[128];
    bool refused, rewritten, dropped;
    struct dm_schema *schema;
    struct dm_batch *batch; /* rows since the last call */
    void *rows;             /* tree of struct rec_row */
    size_t n;
    unsigned inserts, updates, deletes, bad, defined;
    char last_bad[64], last_raw[512];
    char order[8192]; /* operation and key of each change, cut when full */
};

struct recorder {
    struct dm_sink sink;
    struct rec_table *tables[32];
    size_t n;
    bool open;
    unsigned units, idles;
    dm_position position, visible_at;
    struct dm_log_mark mark;
};

struct shop {
    char folder[64], path[96];
    sqlite3 *db; /* the application's connection */
    struct dm_source_config config;
    struct dm_table_config tables[2];
    struct dm_source *source;
    struct dm_stream *stream;
    struct recorder rec;
};

static struct dm_error must_error;
#define must(call) \
    do { \
        memset(&must_error, 0, sizeof must_error); \
        if ((call) != DM_OK) \
            fail_msg("%s: %s", #call, must_error.message); \
    } while (0)

/* ---- the map ---- */

static int rec_compare(const void *a, const void *b)
{
    const struct rec_row *x = a, *y = b;
    size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
    int order = n > 0 ? memcmp(x->key, y->key, n) : 0;
    return order != 0 ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static void rec_row_free(void *p)
{
    struct rec_row *r = p;
    free(r->key);
    dm_batch_free(r->value);
    free(r);
}

static void rec_clear(struct rec_table *t)
{
    tdestroy(t->rows, rec_row_free);
    t->rows = NULL;
    t->n = 0;
}

static struct rec_row *rec_row_new(const struct dm_batch *b, size_t row)
{
    struct rec_row *r = dm_xzalloc(1, sizeof *r);
    struct dm_buffer key;
    dm_buffer_init(&key, 1 << 30);
    if (b->schema->n_keys > 0)
        must(dm_key_encode(b, row, &key, &must_error));
    r->key = key.data;
    r->key_len = key.len;
    return r;
}

static void rec_put(struct rec_table *t, const struct dm_batch *b, size_t row)
{
    struct rec_row *r = rec_row_new(b, row);
    r->value = dm_batch_new(b->schema);
    must(dm_batch_append_row(r->value, b, row, &must_error));
    struct rec_row **at = tsearch(r, &t->rows, rec_compare);
    if (*at == r) {
        t->n++;
        return;
    }
    dm_batch_free((*at)->value);
    (*at)->value = r->value;
    r->value = NULL;
    rec_row_free(r);
}

static void rec_remove(struct rec_table *t, const struct dm_batch *b, size_t row)
{
    struct rec_row *r = rec_row_new(b, row);
    struct rec_row **at = tfind(r, &t->rows, rec_compare);
    if (at != NULL) {
        struct rec_row *old = *at;
        (void)tdelete(r, &t->rows, rec_compare);
        rec_row_free(old);
        t->n--;
    }
    rec_row_free(r);
}

/* ---- the sink ---- */

static void rec_apply(struct rec_table *t)
{
    struct dm_batch *b = t->batch;
    for (size_t i = 0; b != NULL && i < b->rows; i++) {
        char key[64];
        size_t len = strlen(t->order);
        (void)snprintf(t->order + len, sizeof t->order - len, "%c%s ", " cIUDR"[b->ops[i]],
                       dm_key_text(b, i, key, sizeof key));
        t->inserts += b->ops[i] == DM_OP_INSERT;
        t->updates += b->ops[i] == DM_OP_UPDATE;
        t->deletes += b->ops[i] == DM_OP_DELETE;
        if (b->ops[i] == DM_OP_DELETE)
            rec_remove(t, b, i);
        else if (b->schema->n_keys > 0)
            rec_put(t, b, i);
    }
    dm_batch_free(b);
    t->batch = NULL;
}

static struct rec_table *rec_by_id(struct recorder *r, uint64_t id)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->tables[i]->id == id)
            return r->tables[i];
    return NULL;
}

static struct rec_table *rec_of(struct recorder *r, const char *name)
{
    for (size_t i = r->n; i-- > 0;)
        if (strcmp(r->tables[i]->name, name) == 0)
            return r->tables[i];
    fail_msg("the sink was never told of table %s", name);
    return NULL;
}

static enum dm_status rec_begin(void *ctx, const struct dm_txn *txn, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    assert_false(r->open);
    assert_true(txn->visible_at + 1 == txn->position);
    assert_true(txn->position > r->position);
    assert_true(txn->commit_time_us > 0);
    r->open = true;
    return DM_OK;
}

static enum dm_status rec_commit(void *ctx, const struct dm_txn *txn, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    assert_true(r->open);
    for (size_t i = 0; i < r->n; i++)
        rec_apply(r->tables[i]);
    r->open = false;
    r->units++;
    r->position = txn->position;
    r->mark = txn->mark;
    assert_true(txn->mark.log != 0 && txn->mark.stamp != 0);
    r->visible_at = txn->visible_at;
    return DM_OK;
}

static enum dm_status rec_table(void *ctx, const struct dm_table *table, void **handle, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    assert_int_not_equal(table->id, 0);
    struct rec_table *t = rec_by_id(r, table->id);
    if (t == NULL) {
        assert_true(r->n < 32);
        t = r->tables[r->n++] = dm_xzalloc(1, sizeof *t);
        t->id = table->id;
    }
    rec_apply(t);
    (void)snprintf(t->name, sizeof t->name, "%s", table->name);
    dm_schema_unref(t->schema);
    t->schema = dm_schema_ref(table->columns);
    t->rewritten = t->rewritten || table->rewritten;
    t->refused = table->problem != NULL;
    t->dropped = false;
    t->defined++;
    *handle = t;
    return DM_OK;
}

static enum dm_status rec_rows(void *ctx, void *handle, struct dm_batch **batch, struct dm_error *err)
{
    struct recorder *r = ctx;
    struct rec_table *t = handle;
    (void)err;
    assert_true(r->open);
    if (t->batch != NULL && t->batch->rows >= 100)
        rec_apply(t); /* batches change under the source's feet, as in the mirror */
    if (t->batch == NULL)
        t->batch = dm_batch_new(t->schema);
    *batch = t->batch;
    return DM_OK;
}

static enum dm_status rec_bad_row(void *ctx, void *handle, const struct dm_bad_row *row, struct dm_error *err)
{
    struct rec_table *t = handle;
    (void)ctx;
    (void)err;
    t->bad++;
    (void)snprintf(t->last_bad, sizeof t->last_bad, "%s", row->reason);
    (void)snprintf(t->last_raw, sizeof t->last_raw, "%s", row->raw);
    assert_non_null(row->message);
    return DM_OK;
}

static enum dm_status rec_dropped(void *ctx, void *handle, struct dm_error *err)
{
    struct rec_table *t = handle;
    (void)ctx;
    (void)err;
    t->dropped = true;
    return DM_OK;
}

static enum dm_status rec_idle(void *ctx, dm_position position, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    assert_false(r->open);
    assert_true(position >= r->position);
    r->position = position;
    r->idles++;
    return DM_OK;
}

/* ---- the shop ---- */

static UNUSED void shop_exec(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

static UNUSED void shop_sql(struct shop *s, const char *sql)
{
    shop_exec(s->db, sql);
}

static UNUSED void shop_open(struct shop *s, const char *schema)
{
    memset(s, 0, sizeof *s);
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/dm-sqlite-XXXXXX");
    assert_true(temp_folder_make(s->folder));
    (void)snprintf(s->path, sizeof s->path, "%s/shop.db", s->folder);
    assert_int_equal(sqlite3_open(s->path, &s->db), SQLITE_OK);
    (void)sqlite3_busy_timeout(s->db, 10000);
    shop_sql(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    shop_sql(s, schema);
    s->tables[0] = (struct dm_table_config){.glob = dm_xstrdup("*"), .history = -1};
    s->config = (struct dm_source_config){.name = dm_xstrdup("shop"),
                                          .type = dm_xstrdup("sqlite"),
                                          .path = s->path,
                                          .n_tables = 1,
                                          .tables = s->tables,
                                          .copy_workers = 2};
    s->rec.sink = (struct dm_sink){.ctx = &s->rec,
                                   .begin = rec_begin,
                                   .commit = rec_commit,
                                   .table = rec_table,
                                   .rows = rec_rows,
                                   .bad_row = rec_bad_row,
                                   .dropped = rec_dropped,
                                   .idle = rec_idle};
    must(dm_source_sqlite.open(&s->config, &s->source, &must_error));
}

static UNUSED void shop_close(struct shop *s)
{
    dm_source_sqlite.stream_close(s->stream);
    dm_source_sqlite.close(s->source);
    for (size_t i = 0; i < s->rec.n; i++) {
        rec_clear(s->rec.tables[i]);
        dm_batch_free(s->rec.tables[i]->batch);
        dm_schema_unref(s->rec.tables[i]->schema);
        free(s->rec.tables[i]);
    }
    assert_int_equal(sqlite3_close(s->db), SQLITE_OK);
    free(s->tables[0].glob);
    free(s->config.name);
    free(s->config.type);
    must(dm_file_remove_tree(s->folder, &must_error));
}

static enum dm_status count_bad(void *ctx, const struct dm_bad_row *row, struct dm_error *err)
{
    struct rec_table *t = ctx;
    (void)err;
    t->bad++;
    (void)snprintf(t->last_bad, sizeof t->last_bad, "%s", row->reason);
    (void)snprintf(t->last_raw, sizeof t->last_raw, "%s", row->raw);
    return DM_OK;
}

/* Reads all parts of one table of a copy into the map. */
static void copy_table(struct dm_copy *copy, const struct dm_table *table, struct rec_table *into)
{
    size_t parts = 0;
    must(dm_source_sqlite.copy_parts(copy, table, 3, &parts, &must_error));
    if (table->estimated_rows > 50 && parts == 1)
        parts = 3; /* small tables in several parts too: the contract allows it */
    for (size_t part = 0; part < parts; part++) {
        struct dm_copy_reader *reader = NULL;
        must(dm_source_sqlite.copy_read(copy, table, part, parts, &reader, &must_error));
        enum dm_status status = DM_OK;
        while (status == DM_OK) {
            struct dm_batch *b = dm_batch_new(table->columns);
            status = dm_source_sqlite.copy_next(reader, b, 100, 1 << 20, count_bad, into, &must_error);
            if (status == DM_FAIL)
                fail_msg("copy of %s: %s", table->name, must_error.message);
            for (size_t i = 0; i < b->rows; i++) {
                size_t before = into->n;
                rec_put(into, b, i);
                if (into->n != before + 1)
                    fail_msg("table %s: a copy gave one key twice", table->name);
            }
            dm_batch_free(b);
        }
        dm_source_sqlite.copy_reader_close(reader);
    }
}

static void copy_all(struct shop *s, bool only_rewritten, dm_position *at)
{
    struct dm_copy *copy = NULL;
    must(dm_source_sqlite.copy_open(s->source, &copy, at, &must_error));
    struct dm_table_list list = {0};
    must(dm_source_sqlite.copy_tables(copy, &list, &must_error));
    for (size_t i = 0; i < list.n; i++) {
        void *handle = NULL;
        struct dm_table *t = list.tables[i];
        if (t->problem != NULL)
            continue;
        struct rec_table *known = rec_by_id(&s->rec, t->id);
        if (only_rewritten && known != NULL && !known->rewritten)
            continue;
        must(rec_table(&s->rec, t, &handle, &must_error));
        known = handle;
        rec_clear(known);
        known->rewritten = false;
        if (!t->append_only)
            copy_table(copy, t, known);
    }
    dm_table_list_release(&list);
    dm_source_sqlite.copy_close(copy);
}

static UNUSED void shop_mirror(struct shop *s)
{
    dm_position at = 0;
    must(dm_source_sqlite.prepare(s->source, NULL, &must_error));
    copy_all(s, false, &at);
    s->rec.position = at;
    must(dm_source_sqlite.stream_open(s->source, at, &s->stream, &must_error));
}

static UNUSED void shop_restart(struct shop *s)
{
    dm_source_sqlite.stream_close(s->stream);
    s->stream = NULL;
    must(dm_source_sqlite.stream_open(s->source, s->rec.position, &s->stream, &must_error));
}

static UNUSED void shop_catch_up(struct shop *s)
{
    enum dm_status status;
    do {
        status = dm_source_sqlite.stream_poll(s->stream, &s->rec.sink, 0, &must_error);
        if (status == DM_FAIL)
            fail_msg("poll: %s", must_error.message);
        if (!s->rec.open)
            dm_source_sqlite.stream_ack(s->stream, s->rec.position);
    } while (status == DM_OK);
    dm_position now = 0;
    must(dm_source_sqlite.current(s->source, &now, &must_error));
    assert_true(s->rec.position <= now);
}

static struct rec_table *expected_now;
static struct rec_table *compared;

static void compare_row(const void *node, VISIT visit, int depth)
{
    (void)depth;
    if (visit != postorder && visit != leaf)
        return;
    const struct rec_row *have = *(struct rec_row *const *)node;
    struct rec_row **want = tfind(have, &expected_now->rows, rec_compare);
    char key[128];
    (void)dm_key_text(have->value, 0, key, sizeof key);
    if (want == NULL)
        fail_msg("table %s: key %s is not in the source", compared->name, key);
    /* An older row may have the columns of an earlier definition: they match by number, and a column added
     * since is NULL. */
    const struct dm_batch *a = have->value, *b = (*want)->value;
    for (size_t i = 0; i < b->n_columns; i++) {
        size_t k = 0;
        while (k < a->n_columns && a->schema->fields[k].source_ref != b->schema->fields[i].source_ref)
            k++;
        bool equal = k < a->n_columns ? dm_column_value_equal(&a->columns[k], 0, &b->columns[i], 0)
                                      : b->columns[i].state[0] == DM_NULL;
        if (!equal)
            fail_msg("table %s: key %s differs in column %s", compared->name, key, b->schema->fields[i].name);
    }
}

/* What was replayed equals a fresh copy. Tables that the stream declared rewritten are copied first, as the
 * mirror would do. */
static UNUSED void shop_compare(struct shop *s)
{
    dm_position at = 0;
    for (size_t i = 0; i < s->rec.n; i++) {
        if (s->rec.tables[i]->rewritten) {
            copy_all(s, true, &at);
            break;
        }
    }
    struct dm_copy *copy = NULL;
    must(dm_source_sqlite.copy_open(s->source, &copy, &at, &must_error));
    struct dm_table_list list = {0};
    must(dm_source_sqlite.copy_tables(copy, &list, &must_error));
    for (size_t i = 0; i < list.n; i++) {
        struct dm_table *t = list.tables[i];
        if (t->problem != NULL || t->append_only)
            continue;
        struct rec_table fresh = {0};
        copy_table(copy, t, &fresh);
        compared = rec_by_id(&s->rec, t->id);
        if (compared == NULL)
            fail_msg("table %s was never told to the sink", t->name);
        expected_now = &fresh;
        assert_string_equal(compared->name, t->name);
        if (compared->n != fresh.n)
            print_message("table %s: %zu rows replayed, %zu in the source\n", t->name, compared->n, fresh.n);
        twalk(compared->rows, compare_row);
        assert_int_equal(compared->n, fresh.n);
        rec_clear(&fresh);
    }
    dm_table_list_release(&list);
    dm_source_sqlite.copy_close(copy);
}

#endif
