/* Key index speed: bulk append of n keys, then sorted batches of random keys (get + put), then one large transaction.
 *
 *     micro_apply_keyindex FOLDER [keys=10000000] [batch=100000] [batches=100] [large=5000000] [seed=1]
 *
 * Prints keys per second of the index calls alone and with sorting, and the anonymous memory (what counts as ours: pages of the
 * file are the system's to drop). The folder is removed first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/keyindex.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

static uint64_t random_state;

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
    fprintf(stderr, "micro_apply_keyindex: %s\n", err->message);
    exit(1);
}

/* KiB of memory that is not a file mapping. */
static uint64_t anonymous_kib(void)
{
    struct dm_buffer text;
    dm_buffer_init(&text, 1 << 16);
    uint64_t kib = 0;
    if (dm_file_read("/proc/self/status", &text, NULL) == DM_OK && dm_buffer_text(&text) != NULL) {
        const char *at = strstr((const char *)text.data, "RssAnon:");
        if (at != NULL)
            kib = strtoull(at + 8, NULL, 10);
    }
    dm_buffer_release(&text);
    return kib;
}

struct work {
    struct dm_index_change *changes;
    uint8_t *keys;
};

static void set_change(struct work *w, size_t i, uint64_t key, uint32_t file)
{
    dm_put_be64(w->keys + i * 8, key ^ UINT64_C(1) << 63);
    w->changes[i] = (struct dm_index_change){.key = w->keys + i * 8,
                                             .key_len = 8,
                                             .row = (uint32_t)i,
                                             .place = {.file = file, .position = (uint32_t)i}};
}

/* Distinct keys in order; random picks repeat, so the few doubles are dropped. */
static size_t sorted_batch(struct work *w, size_t n, uint64_t n_keys, uint32_t file)
{
    for (size_t i = 0; i < n; i++)
        set_change(w, i, random_next() % n_keys, file);
    dm_index_changes_sort(w->changes, n);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || memcmp(w->changes[kept - 1].key, w->changes[i].key, 8) != 0)
            w->changes[kept++] = w->changes[i];
    return kept;
}

static double seconds_since(int64_t start)
{
    return (double)(dm_clock_monotonic_us() - start) / 1e6;
}

static void bench_append(struct dm_keyindex *ix, struct work *w, uint64_t n_keys, size_t batch)
{
    struct dm_error err = {0};
    int64_t start = dm_clock_monotonic_us();
    must(dm_keyindex_begin(ix, &err), &err);
    for (uint64_t at = 0; at < n_keys; at += batch) {
        size_t n = n_keys - at < batch ? (size_t)(n_keys - at) : batch, bad;
        for (size_t i = 0; i < n; i++)
            set_change(w, i, at + i, 1);
        must(dm_keyindex_append(ix, 1, w->changes, n, &bad, &err), &err);
    }
    must(dm_keyindex_commit(ix, &err), &err);
    printf("append            %10.0f keys/s\n", (double)n_keys / seconds_since(start));
}

static void bench_batches(struct dm_keyindex *ix, struct work *w, uint64_t n_keys, size_t batch,
                          size_t batches)
{
    struct dm_error err = {0};
    double index = 0;
    size_t total = 0;
    int64_t start = dm_clock_monotonic_us();
    for (size_t b = 0; b < batches; b++) {
        size_t n = sorted_batch(w, batch, n_keys, (uint32_t)b + 2);
        int64_t before = dm_clock_monotonic_us();
        must(dm_keyindex_begin(ix, &err), &err);
        must(dm_keyindex_apply(ix, 1, w->changes, n, &err), &err);
        must(dm_keyindex_commit(ix, &err), &err);
        index += seconds_since(before);
        total += n;
        for (size_t i = 0; i < n; i += 997)
            if (!dm_place_known(w->changes[i].old))
                exit(2);
    }
    printf("get+put           %10.0f keys/s  (with making and sorting the batch: %.0f)\n",
           (double)total / index, (double)total / seconds_since(start));
}

static void bench_large(struct dm_keyindex *ix, struct work *w, uint64_t n_keys, size_t batch, uint64_t large)
{
    struct dm_error err = {0};
    uint64_t before = anonymous_kib(), most = before;
    int64_t start = dm_clock_monotonic_us();
    must(dm_keyindex_begin(ix, &err), &err);
    for (uint64_t done = 0; done < large; done += batch) {
        size_t n = sorted_batch(w, batch, n_keys * 2, UINT32_MAX); /* half of them are new keys */
        must(dm_keyindex_apply(ix, 1, w->changes, n, &err), &err);
        uint64_t now = anonymous_kib();
        most = now > most ? now : most;
    }
    must(dm_keyindex_commit(ix, &err), &err);
    printf("one transaction   %10.0f keys/s  (%" PRIu64 " changes, anonymous memory %" PRIu64
           " -> at most %" PRIu64 " KiB)\n",
           (double)large / seconds_since(start), large, before, most);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: micro_apply_keyindex FOLDER [keys] [batch] [batches] [large] [seed]\n");
        return 1;
    }
    uint64_t n_keys = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000;
    size_t batch = argc > 3 ? (size_t)strtoull(argv[3], NULL, 10) : 100000;
    size_t batches = argc > 4 ? (size_t)strtoull(argv[4], NULL, 10) : 100;
    uint64_t large = argc > 5 ? strtoull(argv[5], NULL, 10) : 5000000;
    random_state = argc > 6 ? strtoull(argv[6], NULL, 10) : 1;
    struct dm_error err = {0};
    must(dm_file_remove_tree(argv[1], &err), &err);
    struct dm_keyindex *ix;
    bool trusted;
    must(dm_keyindex_open(argv[1], &ix, &trusted, &err), &err);
    struct work w = {.changes = dm_xzalloc(batch, sizeof *w.changes), .keys = dm_xalloc(batch * 8)};
    bench_append(ix, &w, n_keys, batch);
    bench_batches(ix, &w, n_keys, batch, batches);
    if (large > 0)
        bench_large(ix, &w, n_keys, batch, large);
    int64_t start = dm_clock_monotonic_us();
    dm_keyindex_close(ix);
    printf("close             %10.2f s\n", seconds_since(start));
    char *path = dm_xasprintf("%s/data.mdb", argv[1]);
    uint64_t bytes = 0;
    must(dm_file_size(path, &bytes, &err), &err);
    printf("file              %10" PRIu64 " MiB\n", bytes >> 20);
    free(path);
    free(w.changes);
    free(w.keys);
    return 0;
}
