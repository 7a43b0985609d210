/* Rows per second into Parquet: our batches through dm_parquet_write against DuckDB's own COPY of the same rows from its own table.
 *
 *     micro_engine FOLDER [rows=2000000] [threads=2]
 *
 * Prints both, and the cost of small files and of fetching a few rows. The folder is made, and removed at the end. */
#include <duckdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/parquet_read.h"
#include "engine/parquet_write.h"

enum { BATCH_ROWS = 65536 };

static const char *const columns[] = {"id", "account", "status", "title", "note", "amount", "created", "day"};

static struct dm_schema *schema(void)
{
    struct dm_schema *s = dm_schema_new();
    const struct dm_type types[] = {dm_type_of(DM_INT64),       dm_type_of(DM_INT32),  dm_type_of(DM_STRING),
                                    dm_type_of(DM_STRING),      dm_type_of(DM_STRING), dm_type_decimal(12, 2),
                                    dm_type_of(DM_TIMESTAMPTZ), dm_type_of(DM_DATE)};
    for (int i = 0; i < 8; i++)
        dm_schema_add(s, columns[i], types[i])->id = i + 1;
    return s;
}

static void fill(struct dm_batch *b, int64_t from)
{
    static const char *const states[] = {"new", "open", "won", "lost in the end"};
    struct dm_error err;
    dm_batch_clear(b);
    for (int64_t i = from; i < from + BATCH_ROWS; i++) {
        char text[64];
        struct dm_column *c = b->columns;
        dm_column_append_fixed(&c[0], &i);
        dm_column_append_fixed(&c[1], &(int32_t){(int32_t)(i * 7919 % 100003)});
        const char *state = states[i * 31 % 4];
        if (dm_column_append_bytes(&c[2], state, strlen(state), &err) != DM_OK)
            abort();
        int n = snprintf(text, sizeof text, "opportunity %lld", (long long)(i * 104729 % 1000003));
        if (dm_column_append_bytes(&c[3], text, (size_t)n, &err) != DM_OK)
            abort();
        n = snprintf(text, sizeof text, "a note of some length about %llx",
                     (unsigned long long)i * 0x9e3779b97f4a7c15u);
        if (i % 10 == 0)
            dm_column_append_null(&c[4]);
        else if (dm_column_append_bytes(&c[4], text, (size_t)n, &err) != DM_OK)
            abort();
        dm_column_append_fixed(&c[5], &(dm_int128){i * 1299709 % 100000000});
        dm_column_append_fixed(&c[6], &(int64_t){1700000000000000 + i * 1234567});
        dm_column_append_fixed(&c[7], &(int32_t){(int32_t)(19000 + i % 1000)});
        dm_batch_end_row(b, DM_OP_COPY);
    }
}

struct source {
    struct dm_batch
        *batches[8]; /* the same few batches again and again: making rows is not what is measured */
    int64_t next, total;
};

static enum dm_status pull(void *ctx, const struct dm_batch **batch, const uint32_t **selection, size_t *n,
                           struct dm_error *err)
{
    (void)err;
    struct source *s = ctx;
    if (s->next >= s->total)
        return DM_END;
    *batch = s->batches[s->next / BATCH_ROWS % 8];
    *selection = NULL;
    *n = 0;
    s->next += BATCH_ROWS;
    return DM_OK;
}

static void check(enum dm_status status, const struct dm_error *err)
{
    if (status == DM_OK)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static void query(duckdb_connection c, const char *sql)
{
    duckdb_result r;
    if (duckdb_query(c, sql, &r) != DuckDBSuccess) {
        fprintf(stderr, "%s\n", duckdb_result_error(&r));
        exit(1);
    }
    duckdb_destroy_result(&r);
}

static double rows_per_second(int64_t rows, int64_t from_us)
{
    return (double)rows * 1e6 / (double)(dm_clock_monotonic_us() - from_us);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: micro_engine FOLDER [rows] [threads]\n");
        return 1;
    }
    int64_t total = (argc > 2 ? atoll(argv[2]) : 2000000) / BATCH_ROWS * BATCH_ROWS;
    int threads = argc > 3 ? atoi(argv[3]) : 2;
    struct dm_error err = {0};
    check(dm_file_make_folders(argv[1], &err), &err);
    char *path = dm_xasprintf("%s/ours.parquet", argv[1]), *small = dm_xasprintf("%s/small.parquet", argv[1]);
    char *theirs = dm_xasprintf("%s/duckdb.parquet", argv[1]);
    struct dm_engine *e;
    check(dm_engine_open(&(struct dm_engine_options){.memory_limit = 512u << 20,
                                                     .threads = threads,
                                                     .temp_folder = argv[1]},
                         &e, &err),
          &err);
    struct dm_schema *s = schema();
    struct source source = {.total = total};
    for (int i = 0; i < 8; i++) {
        source.batches[i] = dm_batch_new(s);
        fill(source.batches[i], (int64_t)i * BATCH_ROWS);
    }
    struct dm_parquet_options options = {.compression = "zstd"};
    struct dm_parquet_result r;
    for (int round = 0; round < 3; round++) {
        source.next = 0;
        int64_t t = dm_clock_monotonic_us();
        check(dm_parquet_write(e, path, s, &options, pull, &source, &r, NULL, &err), &err);
        printf("ours:   %.0f rows/s, %llu bytes\n", rows_per_second(total, t),
               (unsigned long long)r.file_bytes);
        dm_parquet_result_release(&r);
    }

    struct dm_batch *few = dm_batch_new(s);
    for (int n = 1; n <= 1000; n *= 10) {
        uint32_t selection[1000];
        for (uint32_t i = 0; i < 1000; i++)
            selection[i] = i * 3;
        int64_t t = dm_clock_monotonic_us();
        for (int i = 0; i < 50; i++) {
            check(dm_parquet_write_batch(e, small, s, &options, source.batches[0], selection, (size_t)n, &r,
                                         &err),
                  &err);
            dm_parquet_result_release(&r);
        }
        printf("file of %d rows: %.2f ms (fsync included)\n", n,
               (double)(dm_clock_monotonic_us() - t) / 50e3);
    }
    for (int n = 1; n <= 10000; n *= 10) {
        static uint32_t positions[10000];
        for (int i = 0; i < n; i++)
            positions[i] = (uint32_t)((int64_t)i * (total / n) + total / n / 2);
        int64_t t = dm_clock_monotonic_us();
        for (int i = 0; i < 5; i++) {
            dm_batch_clear(few);
            check(dm_parquet_fetch(e, path, positions, (size_t)n, s, few, &err), &err);
        }
        printf("fetch of %d rows of %lld: %.2f ms\n", n, (long long)total,
               (double)(dm_clock_monotonic_us() - t) / 5e3);
    }

    duckdb_database database;
    duckdb_connection c;
    char sql[1024];
    if (duckdb_open(NULL, &database) != DuckDBSuccess || duckdb_connect(database, &c) != DuckDBSuccess)
        return 1;
    snprintf(sql, sizeof sql, "SET threads = %d", threads);
    query(c, sql);
    snprintf(sql, sizeof sql, "CREATE TABLE t AS FROM '%s'", path);
    query(c, sql);
    snprintf(sql, sizeof sql, "COPY t TO '%s' (FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd)",
             theirs);
    for (int round = 0; round < 3; round++) {
        int64_t t = dm_clock_monotonic_us();
        query(c, sql);
        check(dm_file_sync(theirs, &err), &err);
        uint64_t bytes = 0;
        check(dm_file_size(theirs, &bytes, &err), &err);
        printf("DuckDB: %.0f rows/s, %llu bytes\n", rows_per_second(total, t), (unsigned long long)bytes);
    }
    duckdb_disconnect(&c);
    duckdb_close(&database);
    dm_batch_free(few);
    for (int i = 0; i < 8; i++)
        dm_batch_free(source.batches[i]);
    dm_schema_unref(s);
    dm_engine_close(e);
    check(dm_file_remove_tree(argv[1], &err), &err);
    free(path);
    free(small);
    free(theirs);
    return 0;
}
