/* Speed of what apply/ and column/ do with a batch before the key index: key encoding, net effect, and the spool file.
 *
 *     micro_apply_net_effect [rows=100000] [rounds=50] [keys=1000000] [spool=/tmp/dm-micro-spool]
 *
 * Rows of (key, int, text of 20 bytes) with random keys, once with bigint and once with text keys, and a tenth of them updates with
 * an unchanged text. Prints rows per second, one core. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply/net_effect.h"
#include "base/clock.h"
#include "column/batch_file.h"

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void must(enum dm_status status, const struct dm_error *err)
{
    if (status == DM_OK)
        return;
    fprintf(stderr, "micro_apply_net_effect: %s\n", err->message);
    exit(1);
}

static struct dm_batch *make_batch(size_t rows, uint64_t keys, bool text_key, bool unchanged)
{
    struct dm_error err = {0};
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(text_key ? DM_STRING : DM_INT64));
    dm_schema_add(s, "n", dm_type_of(DM_INT32));
    dm_schema_add(s, "t", dm_type_of(DM_STRING));
    dm_schema_add_key(s, 0);
    struct dm_batch *b = dm_batch_new(s);
    for (size_t i = 0; i < rows; i++) {
        int64_t id = (int64_t)(random_next() % keys);
        int32_t n = (int32_t)i;
        char text[32];
        int length = snprintf(text, sizeof text, "customer-%012" PRId64, id);
        if (text_key)
            must(dm_column_append_bytes(&b->columns[0], text, (size_t)length, &err), &err);
        else
            dm_column_append_fixed(&b->columns[0], &id);
        dm_column_append_fixed(&b->columns[1], &n);
        if (unchanged && i % 10 == 0)
            dm_column_append_unchanged(&b->columns[2]);
        else
            must(dm_column_append_bytes(&b->columns[2], "twenty bytes of text", 20, &err), &err);
        dm_batch_end_row(b, DM_OP_UPDATE);
    }
    dm_schema_unref(s);
    return b;
}

static void print_rate(const char *what, size_t rows, int64_t start)
{
    printf("%-34s %12.0f rows/s\n", what, (double)rows * 1e6 / (double)(dm_clock_monotonic_us() - start));
}

static void bench_net(const char *what, size_t rows, size_t rounds, uint64_t keys, bool text_key,
                      bool unchanged)
{
    struct dm_error err = {0};
    struct dm_batch *b = make_batch(rows, keys, text_key, unchanged);
    struct dm_net_effect net = {0};
    struct dm_key_list list = {0};
    char line[64];
    int64_t start = dm_clock_monotonic_us();
    for (size_t i = 0; i < rounds; i++)
        must(dm_key_list_encode(&list, b, &err), &err);
    (void)snprintf(line, sizeof line, "encode keys, %s", what);
    print_rate(line, rows * rounds, start);
    start = dm_clock_monotonic_us();
    for (size_t i = 0; i < rounds; i++)
        must(dm_net_effect_compute(&net, b, NULL, 0, &err), &err);
    (void)snprintf(line, sizeof line, "net effect, %s", what);
    print_rate(line, rows * rounds, start);
    if (unchanged) {
        start = dm_clock_monotonic_us();
        for (size_t i = 0; i < net.n_missing; i++) /* any row with a value will do */
            must(dm_net_effect_fill(&net, b, net.missing[i].row, b, 1, &err), &err);
        must(dm_net_effect_finish(&net, b, &err), &err);
        print_rate("fill and finish (rows of the batch)", rows, start);
    }
    dm_net_effect_release(&net);
    dm_key_list_release(&list);
    dm_batch_free(b);
}

static void bench_spool(const char *path, size_t rows, size_t rounds)
{
    struct dm_error err = {0};
    struct dm_batch *b = make_batch(rows, rows, false, false);
    struct dm_batch_writer *w;
    int64_t start = dm_clock_monotonic_us();
    must(dm_batch_file_open_write(path, &w, &err), &err);
    for (size_t i = 0; i < rounds; i++)
        must(dm_batch_file_append(w, b, &err), &err);
    uint64_t bytes = dm_batch_file_bytes(w);
    must(dm_batch_file_finish(w, &err), &err);
    print_rate("spool write", rows * rounds, start);
    printf("%-34s %12.0f MB/s\n", "", (double)bytes / (double)(dm_clock_monotonic_us() - start));
    struct dm_batch_reader *r;
    struct dm_batch_file_item item;
    start = dm_clock_monotonic_us();
    must(dm_batch_file_open_read(path, &r, &err), &err);
    while (dm_batch_file_next(r, &item, &err) == DM_OK)
        ;
    dm_batch_file_close_read(r);
    print_rate("spool read", rows * rounds, start);
    (void)unlink(path);
    dm_batch_free(b);
}

int main(int argc, char **argv)
{
    size_t rows = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 100000;
    size_t rounds = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 50;
    uint64_t keys = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000000;
    bench_net("bigint key", rows, rounds, keys, false, false);
    bench_net("text key", rows, rounds, keys, true, false);
    bench_net("bigint key, unchanged values", rows, rounds, keys, false, true);
    bench_spool(argc > 4 ? argv[4] : "/tmp/dm-micro-spool", rows, rounds * 2);
    return 0;
}
