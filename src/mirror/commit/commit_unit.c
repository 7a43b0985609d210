#include "mirror/commit/commit_unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

void dm_copied_table_free(struct dm_copied_table *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_files; i++) {
        if (c->files[i].path != NULL)
            (void)unlink(c->files[i].path); /* a leftover; the sweep would find it too */
        free(c->files[i].path);
        dm_parquet_result_release(&c->files[i].result);
    }
    free(c->files);
    dm_schema_unref(c->schema);
    dm_kept_rows_free(c->bad, c->n_bad);
    free(c);
}

struct dm_unit *dm_unit_new(void)
{
    return dm_xzalloc(1, sizeof(struct dm_unit));
}

void dm_unit_free(struct dm_unit *u)
{
    if (u == NULL)
        return;
    for (size_t i = 0; i < u->n_steps; i++) {
        struct dm_step *s = &u->steps[i];
        dm_batch_free(s->batch);
        dm_schema_unref(s->schema);
        dm_copied_table_free(s->copied);
        free(s->reason);
        dm_table_free(s->table);
    }
    free(u->steps);
    free(u->txns);
    dm_kept_rows_free(u->bad, u->n_bad);
    dm_bad_rows_clear(&u->unread);
    free(u);
}

struct dm_step *dm_unit_add(struct dm_unit *u, enum dm_step_kind kind, struct dm_target *target)
{
    u->steps = dm_xrealloc(u->steps, u->n_steps + 1, sizeof *u->steps);
    struct dm_step *s = &u->steps[u->n_steps++];
    *s = (struct dm_step){.kind = kind, .target = target};
    if (u->started_us == 0)
        u->started_us = dm_clock_monotonic_us();
    return s;
}

bool dm_unit_empty(const struct dm_unit *u)
{
    return u->n_steps == 0 && u->n_bad == 0 && u->unread.n == 0 && u->n_pins == 0;
}

size_t dm_unit_bytes(const struct dm_unit *u)
{
    size_t bytes = 0;
    for (size_t i = 0; i < u->n_steps; i++)
        if (u->steps[i].batch != NULL)
            bytes += dm_batch_bytes(u->steps[i].batch);
    for (size_t i = 0; i < u->n_bad; i++)
        bytes += u->bad[i].bytes;
    return bytes;
}

void dm_kept_rows_add(struct dm_kept_row **rows, size_t *n, struct dm_target *target, uint32_t txn,
                      const struct dm_bad_row *row)
{
    *rows = dm_xrealloc(*rows, *n + 1, sizeof **rows);
    (*rows)[(*n)++] = (struct dm_kept_row){
        .target = target,
        .txn = txn,
        .bytes = row->raw != NULL ? strlen(row->raw) : 0,
        .row = {.reason = dm_xstrdup(row->reason),
                .message = dm_xstrdup(row->message),
                .key = dm_xstrdup(row->key),
                .raw = dm_xstrdup(row->raw),
                .raw_bytes = row->raw_bytes,
                .place = dm_xstrdup(row->place),
                .op = row->op},
    };
}

void dm_kept_rows_free(struct dm_kept_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free((char *)(uintptr_t)rows[i].row.reason);
        free((char *)(uintptr_t)rows[i].row.message);
        free((char *)(uintptr_t)rows[i].row.key);
        free((char *)(uintptr_t)rows[i].row.raw);
        free((char *)(uintptr_t)rows[i].row.place);
    }
    free(rows);
}
