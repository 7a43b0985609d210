/* recording_sink.h — a sink that writes down what it hears, one line per event, and keeps the rows of named tables.
 *
 * Lines: "begin", "commit", "table public.t(id int!, a string)", "public.t INSERT 1|x", "truncate public.t",
 * "bad public.t reason", "dropped public.t", "start", "stop", "abort all", "abort sub". idle is only counted.
 */
#ifndef TESTS_RECORDING_SINK_H
#define TESTS_RECORDING_SINK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/source.h"

struct recorded_table {
    char name[128];
    struct dm_table *table;
    struct dm_batch *batch;
    size_t shown;
    bool rewritten;
};

struct recorder {
    char *log;
    size_t len, capacity;
    bool quiet; /* count rows only */
    size_t n_tables;
    struct recorded_table *tables[64];
    uint64_t rows, begins, commits, aborts, sub_aborts, idles, blocks;
    dm_position last; /* of commit or idle */
    struct dm_txn txn;
    const char *unwanted; /* a table that gets a NULL handle */
};

static inline void recorder_line(struct recorder *r, const char *text)
{
    size_t n = strlen(text);
    if (r->len + n + 2 > r->capacity) {
        r->capacity = (r->len + n + 2) * 2;
        r->log = dm_xrealloc(r->log, r->capacity, 1);
    }
    memcpy(r->log + r->len, text, n);
    r->len += n;
    r->log[r->len++] = '\n';
    r->log[r->len] = '\0';
}

static inline void value_text(const struct dm_column *c, size_t row, char *out, size_t size)
{
    size_t n;
    if (c->state[row] != DM_VALID) {
        (void)snprintf(out, size, "%s", c->state[row] == DM_NULL ? "~" : "=");
        return;
    }
    switch (c->type.id) {
    case DM_BOOL: (void)snprintf(out, size, "%s", dm_column_fixed(c, row)[0] ? "true" : "false"); break;
    case DM_INT32:
    case DM_DATE: (void)snprintf(out, size, "%d", dm_column_int32(c, row)); break;
    case DM_INT64:
    case DM_TIME:
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ: (void)snprintf(out, size, "%lld", (long long)dm_column_int64(c, row)); break;
    case DM_DECIMAL: {
        dm_int128 v;
        memcpy(&v, dm_column_fixed(c, row), sizeof v);
        (void)snprintf(out, size, "%lldE-%d", (long long)v, c->type.scale);
        break;
    }
    case DM_STRING: {
        const uint8_t *p = dm_column_bytes_at(c, row, &n);
        if (n > 40)
            (void)snprintf(out, size, "<%zu bytes>", n);
        else
            (void)snprintf(out, size, "%.*s", (int)n, (const char *)p);
        break;
    }
    case DM_LIST: {
        size_t used = (size_t)snprintf(out, size, "[");
        for (size_t i = c->offsets[row]; i < c->offsets[row + 1] && used + 64 < size; i++) {
            char element[64];
            value_text(c->child, i, element, sizeof element);
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", i > c->offsets[row] ? "," : "", element);
        }
        (void)snprintf(out + used, size - used, "]");
        break;
    }
    default: (void)snprintf(out, size, "?"); break;
    }
}

static inline void recorder_flush(struct recorder *r)
{
    static const char *const ops[] = {"?", "COPY", "INSERT", "UPDATE", "DELETE", "REKEY"};
    for (size_t i = 0; i < r->n_tables; i++) {
        struct recorded_table *t = r->tables[i];
        for (; t->shown < t->batch->rows; t->shown++) {
            r->rows++;
            if (r->quiet)
                continue;
            char line[4096];
            size_t used =
                (size_t)snprintf(line, sizeof line, "%s %s ", t->name, ops[t->batch->ops[t->shown]]);
            for (size_t c = 0; c < t->batch->n_columns && used < sizeof line - 600; c++) {
                char value[512];
                value_text(&t->batch->columns[c], t->shown, value, sizeof value);
                used += (size_t)snprintf(line + used, sizeof line - used, "%s%s", c > 0 ? "|" : "", value);
            }
            recorder_line(r, line);
        }
        if (r->quiet && t->batch->rows > 50000) {
            dm_batch_clear(t->batch);
            t->shown = 0;
        }
    }
}

static inline enum dm_status rec_begin(void *ctx, const struct dm_txn *txn, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    r->begins++;
    r->txn = *txn;
    recorder_line(r, "begin");
    return DM_OK;
}

static inline enum dm_status rec_commit(void *ctx, const struct dm_txn *txn, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    recorder_flush(r);
    r->commits++;
    r->txn = *txn;
    r->last = txn->position;
    recorder_line(r, "commit");
    return DM_OK;
}

static inline enum dm_status rec_table(void *ctx, const struct dm_table *table, void **handle,
                                       struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    recorder_flush(r);
    char name[128], line[2048];
    (void)snprintf(name, sizeof name, "%s.%s", table->schema, table->name);
    size_t used = (size_t)snprintf(line, sizeof line, "table %s(", name);
    for (size_t i = 0; i < table->columns->n_fields && used < sizeof line - 300; i++) {
        char type[64];
        const struct dm_field *f = &table->columns->fields[i];
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s %s%s%s%s", i > 0 ? ", " : "", f->name,
                                 dm_type_name(f->type, type, sizeof type), f->required ? "!" : "",
                                 f->default_json != NULL ? " default " : "",
                                 f->default_json != NULL ? f->default_json : "");
    }
    (void)snprintf(line + used, sizeof line - used, ")%s%s", table->rewritten ? " rewritten" : "",
                   table->problem != NULL ? " problem" : "");
    recorder_line(r, line);
    if (r->unwanted != NULL && strcmp(r->unwanted, name) == 0) {
        *handle = NULL;
        return DM_OK;
    }
    struct recorded_table *t = NULL;
    for (size_t i = 0; i < r->n_tables; i++)
        if (r->tables[i]->table->id == table->id)
            t = r->tables[i];
    if (t == NULL) {
        t = dm_xzalloc(1, sizeof *t);
        r->tables[r->n_tables++] = t;
    } else {
        dm_table_free(t->table);
        dm_batch_free(t->batch);
        t->shown = 0;
    }
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->table = dm_table_copy(table);
    t->batch = dm_batch_new(table->columns);
    *handle = t;
    return DM_OK;
}

static inline enum dm_status rec_rows(void *ctx, void *handle, struct dm_batch **batch, struct dm_error *err)
{
    (void)err;
    recorder_flush(ctx);
    *batch = ((struct recorded_table *)handle)->batch;
    return DM_OK;
}

static inline enum dm_status rec_note(struct recorder *r, const char *word, const struct recorded_table *t,
                                      const char *more)
{
    recorder_flush(r);
    char line[1024];
    (void)snprintf(line, sizeof line, "%s %s%s%s", word, t->name, more != NULL ? " " : "",
                   more != NULL ? more : "");
    recorder_line(r, line);
    return DM_OK;
}

static inline enum dm_status rec_truncate(void *ctx, void *handle, struct dm_error *err)
{
    (void)err;
    return rec_note(ctx, "truncate", handle, NULL);
}

static inline enum dm_status rec_bad_row(void *ctx, void *handle, const struct dm_bad_row *row,
                                         struct dm_error *err)
{
    (void)err;
    char more[800];
    (void)snprintf(more, sizeof more, "%s key=%s raw=%.600s", row->reason, row->key != NULL ? row->key : "-",
                   row->raw);
    return rec_note(ctx, "bad", handle, more);
}

static inline enum dm_status rec_dropped(void *ctx, void *handle, struct dm_error *err)
{
    (void)err;
    return rec_note(ctx, "dropped", handle, NULL);
}

static inline enum dm_status rec_idle(void *ctx, dm_position position, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    r->idles++;
    r->last = position;
    return DM_OK;
}

static inline enum dm_status rec_start(void *ctx, uint64_t xid, uint32_t subxid, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)xid, (void)subxid, (void)err;
    r->blocks++;
    recorder_line(r, "start");
    return DM_OK;
}

static inline enum dm_status rec_stop(void *ctx, struct dm_error *err)
{
    (void)err;
    recorder_flush(ctx);
    recorder_line(ctx, "stop");
    return DM_OK;
}

static inline enum dm_status rec_abort(void *ctx, uint64_t xid, uint32_t subxid, struct dm_error *err)
{
    struct recorder *r = ctx;
    (void)err;
    recorder_flush(r);
    if (xid == subxid)
        r->aborts++;
    else
        r->sub_aborts++;
    recorder_line(r, xid == subxid ? "abort all" : "abort sub");
    return DM_OK;
}

static inline enum dm_status rec_subtransaction(void *ctx, uint32_t subxid, struct dm_error *err)
{
    (void)subxid, (void)err;
    recorder_flush(ctx);
    return DM_OK;
}

static inline struct dm_sink recorder_sink(struct recorder *r)
{
    return (struct dm_sink){.ctx = r,
                            .begin = rec_begin,
                            .commit = rec_commit,
                            .table = rec_table,
                            .rows = rec_rows,
                            .truncate = rec_truncate,
                            .bad_row = rec_bad_row,
                            .dropped = rec_dropped,
                            .idle = rec_idle,
                            .stream_start = rec_start,
                            .stream_stop = rec_stop,
                            .stream_abort = rec_abort,
                            .subtransaction = rec_subtransaction};
}

static inline void recorder_clear(struct recorder *r)
{
    recorder_flush(r);
    r->len = 0;
    if (r->log != NULL)
        r->log[0] = '\0';
    r->rows = r->begins = r->commits = r->aborts = r->sub_aborts = r->idles = r->blocks = 0;
}

static inline void recorder_release(struct recorder *r)
{
    for (size_t i = 0; i < r->n_tables; i++) {
        dm_table_free(r->tables[i]->table);
        dm_batch_free(r->tables[i]->batch);
        free(r->tables[i]);
    }
    free(r->log);
    *r = (struct recorder){0};
}

#endif
