#include "mirror/capture/spool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/capture/spool_file.h"

enum { entry_batch_rows = 32768, entry_batch_bytes = 4 << 20 };

/* One definition of one table; a changed definition is a new entry. */
struct entry {
    struct dm_target *target;
    struct dm_table *table;
    struct dm_batch *open; /* rows not yet in the records */
    size_t bytes;          /* of it, when a row was last added */
    bool current;          /* the newest definition of its target */
};

struct dm_spool {
    uint64_t id;
    char *folder;
    size_t memory;
    size_t n_entries;
    struct entry *entries;
    size_t n_txns;
    struct dm_txn *txns;
    size_t n_bad;
    struct dm_kept_row *bad;
    size_t n_aborted;
    uint32_t *aborted;
    size_t n_records;
    struct dm_spool_record *records; /* in memory, behind what is in the file */
    size_t record_bytes;
    size_t open_bytes;          /* of all entries' open batches */
    struct dm_spool_file *file; /* NULL: everything is in memory */
};

static atomic_uint_fast64_t last_id;

struct dm_spool *dm_spool_new(const char *folder, size_t memory)
{
    struct dm_spool *s = dm_xzalloc(1, sizeof *s);
    s->id = atomic_fetch_add(&last_id, 1) + 1;
    s->folder = dm_xasprintf("%s/.spool", folder);
    s->memory = memory;
    return s;
}

void dm_spool_free(struct dm_spool *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_entries; i++) {
        dm_table_free(s->entries[i].table);
        dm_batch_free(s->entries[i].open);
    }
    for (size_t i = 0; i < s->n_records; i++)
        dm_batch_free(s->records[i].batch);
    dm_kept_rows_free(s->bad, s->n_bad);
    dm_spool_file_free(s->file);
    free(s->entries);
    free(s->records);
    free(s->txns);
    free(s->aborted);
    free(s->folder);
    free(s);
}

uint64_t dm_spool_id(const struct dm_spool *s)
{
    return s->id;
}

uint32_t dm_spool_txn(struct dm_spool *s, const struct dm_txn *txn)
{
    s->txns = dm_xrealloc(s->txns, s->n_txns + 1, sizeof *s->txns);
    s->txns[s->n_txns] = *txn;
    return (uint32_t)s->n_txns++;
}

void dm_spool_txn_committed(struct dm_spool *s, uint32_t number, const struct dm_txn *txn)
{
    s->txns[number] = *txn;
}

uint32_t dm_spool_txn_count(const struct dm_spool *s)
{
    return (uint32_t)s->n_txns;
}

const struct dm_txn *dm_spool_txn_at(const struct dm_spool *s, uint32_t number)
{
    return &s->txns[number];
}

/* ---- adding ---- */

static enum dm_status relieve(struct dm_spool *s, struct dm_error *err)
{
    if (s->record_bytes <= s->memory)
        return DM_OK;
    enum dm_status status = DM_OK;
    if (s->file == NULL)
        status = dm_spool_file_new(s->folder, &s->file, err);
    for (size_t i = 0; i < s->n_records && status == DM_OK; i++)
        status = dm_spool_file_append(s->file, &s->records[i], err);
    if (status != DM_OK)
        return status;
    for (size_t i = 0; i < s->n_records; i++)
        dm_batch_free(s->records[i].batch);
    s->n_records = 0;
    s->record_bytes = 0;
    return DM_OK;
}

static enum dm_status add_record(struct dm_spool *s, enum dm_spool_record_kind kind, size_t entry,
                                 uint32_t txn, uint32_t subxid, struct dm_batch *batch, struct dm_error *err)
{
    s->records = dm_xrealloc(s->records, s->n_records + 1, sizeof *s->records);
    s->records[s->n_records++] = (struct dm_spool_record){
        .kind = kind, .entry = (uint32_t)entry, .txn = txn, .subxid = subxid, .batch = batch};
    s->record_bytes += sizeof *s->records + (batch != NULL ? dm_batch_bytes(batch) : 0);
    return relieve(s, err);
}

static enum dm_status close_batch(struct dm_spool *s, size_t entry, struct dm_error *err)
{
    struct dm_batch *batch = s->entries[entry].open;
    s->entries[entry].open = NULL;
    s->open_bytes -= s->entries[entry].bytes;
    s->entries[entry].bytes = 0;
    if (batch == NULL || batch->rows == 0) {
        dm_batch_free(batch);
        return DM_OK;
    }
    return add_record(s, DM_SPOOL_BATCH, entry, 0, 0, batch, err);
}

static bool same_definition(const struct dm_table *a, const struct dm_table *b)
{
    if (strcmp(a->name, b->name) != 0 || strcmp(a->schema, b->schema) != 0 || a->rewritten != b->rewritten ||
        a->uncertain != b->uncertain || !dm_schema_equal(a->columns, b->columns))
        return false;
    for (size_t i = 0; i < a->columns->n_fields; i++)
        if (a->columns->fields[i].source_ref != b->columns->fields[i].source_ref)
            return false;
    return true;
}

/* A changed definition closes the batch of the one before, so that order is kept. */
enum dm_status dm_spool_table(struct dm_spool *s, struct dm_target *target, const struct dm_table *table,
                              size_t *number, struct dm_error *err)
{
    for (size_t i = 0; i < s->n_entries; i++) {
        struct entry *e = &s->entries[i];
        if (e->target != target || !e->current)
            continue;
        if (same_definition(e->table, table)) {
            *number = i;
            return DM_OK;
        }
        if (close_batch(s, i, err) != DM_OK)
            return DM_FAIL;
        s->entries[i].current = false;
    }
    s->entries = dm_xrealloc(s->entries, s->n_entries + 1, sizeof *s->entries);
    s->entries[s->n_entries] =
        (struct entry){.target = target, .table = dm_table_copy(table), .current = true};
    *number = s->n_entries++;
    return DM_OK;
}

/* Rows of many tables may add up. */
static enum dm_status close_all(struct dm_spool *s, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n_entries && status == DM_OK; i++)
        if (!dm_batch_ends_in_rekey(s->entries[i].open))
            status = close_batch(s, i, err);
    return status;
}

enum dm_status dm_spool_rows(struct dm_spool *s, size_t table, uint32_t txn, uint32_t subxid,
                             struct dm_batch **batch, struct dm_error *err)
{
    struct entry *e = &s->entries[table];
    if (e->open != NULL) {
        size_t bytes = dm_batch_bytes(e->open);
        s->open_bytes += bytes - e->bytes;
        e->bytes = bytes;
        bool full = e->open->rows >= entry_batch_rows || bytes >= entry_batch_bytes;
        if (full && !dm_batch_ends_in_rekey(e->open) && close_batch(s, table, err) != DM_OK)
            return DM_FAIL;
        if (s->open_bytes > s->memory + entry_batch_bytes && close_all(s, err) != DM_OK)
            return DM_FAIL;
    }
    if (e->open == NULL)
        e->open = dm_batch_new(e->table->columns);
    e->open->txn = txn;
    e->open->subxid = subxid;
    *batch = e->open;
    return DM_OK;
}

enum dm_status dm_spool_define(struct dm_spool *s, size_t table, uint32_t txn, struct dm_error *err)
{
    return add_record(s, DM_SPOOL_TABLE, table, txn, 0, NULL, err);
}

enum dm_status dm_spool_truncate(struct dm_spool *s, size_t table, uint32_t txn, uint32_t subxid,
                                 struct dm_error *err)
{
    if (close_batch(s, table, err) != DM_OK)
        return DM_FAIL;
    return add_record(s, DM_SPOOL_TRUNCATE, table, txn, subxid, NULL, err);
}

void dm_spool_bad_row(struct dm_spool *s, struct dm_target *target, uint32_t txn, uint32_t subxid,
                      const struct dm_bad_row *row)
{
    dm_kept_rows_add(&s->bad, &s->n_bad, target, txn, row);
    s->bad[s->n_bad - 1].subxid = subxid;
}

void dm_spool_abort(struct dm_spool *s, uint32_t subxid)
{
    s->aborted = dm_xrealloc(s->aborted, s->n_aborted + 1, sizeof *s->aborted);
    s->aborted[s->n_aborted++] = subxid;
}

/* ---- replaying ---- */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static bool is_aborted(const struct dm_spool *s, uint32_t subxid)
{
    return s->n_aborted > 0 &&
           bsearch(&subxid, s->aborted, s->n_aborted, sizeof *s->aborted, compare_u32) != NULL;
}

static bool takes_effect(const struct dm_spool *s, const struct dm_spool_replay *to, uint32_t txn,
                         uint32_t subxid)
{
    return s->txns[txn].visible_at >= to->after && !is_aborted(s, subxid);
}

/* The batch without the rows that take no effect; frees or returns the given one. */
static enum dm_status filter(const struct dm_spool *s, const struct dm_spool_replay *to,
                             struct dm_batch *batch, struct dm_batch **out, struct dm_error *err)
{
    size_t keep = 0;
    for (size_t i = 0; i < batch->rows; i++)
        keep += takes_effect(s, to, batch->txns[i], batch->subxids[i]);
    *out = batch;
    if (keep == batch->rows)
        return DM_OK;
    *out = keep > 0 ? dm_batch_new(batch->schema) : NULL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < batch->rows && keep > 0 && status == DM_OK; i++)
        if (takes_effect(s, to, batch->txns[i], batch->subxids[i]))
            status = dm_batch_append_row(*out, batch, i, err);
    dm_batch_free(batch);
    if (status != DM_OK) {
        dm_batch_free(*out);
        *out = NULL;
    }
    return status;
}

static enum dm_status replay_record(struct dm_spool *s, const struct dm_spool_replay *to,
                                    struct dm_spool_record *r, struct dm_error *err)
{
    if (r->entry >= s->n_entries)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "%s: a record names an unknown table", s->folder);
    struct entry *e = &s->entries[r->entry];
    if (r->kind != DM_SPOOL_BATCH) {
        if (!takes_effect(s, to, r->txn, r->subxid))
            return DM_OK;
        return r->kind == DM_SPOOL_TABLE ? to->define(to->ctx, e->target, e->table, err)
                                         : to->truncate(to->ctx, e->target, e->table, r->txn, err);
    }
    struct dm_batch *kept = NULL;
    enum dm_status status = filter(s, to, r->batch, &kept, err);
    r->batch = NULL;
    return status == DM_OK && kept != NULL ? to->batch(to->ctx, e->target, e->table, kept, err) : status;
}

static enum dm_status replay_file(struct dm_spool *s, const struct dm_spool_replay *to, struct dm_error *err)
{
    enum dm_status status = dm_spool_file_rewind(s->file, err);
    while (status == DM_OK) {
        struct dm_spool_record r = {0};
        status = dm_spool_file_next(s->file, &r, err);
        if (status != DM_OK)
            break;
        if (r.kind == DM_SPOOL_BATCH &&
            r.entry < s->n_entries) { /* the very schema of the entry, so that pointers agree */
            dm_schema_unref(r.batch->schema);
            r.batch->schema = dm_schema_ref(s->entries[r.entry].table->columns);
        }
        status = replay_record(s, to, &r, err);
        dm_batch_free(r.batch);
    }
    return status == DM_END ? DM_OK : status;
}

enum dm_status dm_spool_replay(struct dm_spool *s, const struct dm_spool_replay *to, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n_entries && status == DM_OK; i++)
        status = close_batch(s, i, err);
    if (s->n_aborted > 0)
        qsort(s->aborted, s->n_aborted, sizeof *s->aborted, compare_u32);
    if (status == DM_OK && s->file != NULL)
        status = replay_file(s, to, err);
    for (size_t i = 0; i < s->n_records && status == DM_OK; i++)
        status = replay_record(s, to, &s->records[i], err);
    for (size_t i = 0; i < s->n_bad && status == DM_OK; i++)
        if (takes_effect(s, to, s->bad[i].txn, s->bad[i].subxid))
            status = to->bad_row(to->ctx, s->bad[i].target, s->bad[i].txn, &s->bad[i].row, err);
    return status;
}
