/* version_fixture.h — a lake, an engine and a key index in a temporary folder with one declared dataset in it: (region int, name text) is the
 * key, `ver` the version, `note` and `amount` values that may be null. For the tests of the version rule and what hangs on it. */
#ifndef DM_TEST_VERSION_FIXTURE_H
#define DM_TEST_VERSION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../temp_folder.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/parquet_read.h"
#include "mirror/commit/apply_rows.h"
#include "mirror/commit/compact.h"
#include "mirror/commit/file_writes.h"
#include "mirror/declare/declared.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/commit/tombstones.h"
#include "mirror/commit/versioned_rows.h"

#define must(call) \
    do { \
        if ((call) != DM_OK) \
            fail_msg("%s: %s", #call, w->err.message); \
    } while (0)

enum { REGION, NAME, VER, NOTE, AMOUNT };

struct world {
    char folder[64];
    struct dm_config config;
    struct dm_mirror m;
    struct dm_target *t;
    struct dm_apply_context a;
    struct dm_txn txn;
    struct dm_commit_summary summary;
    struct dm_error err;
};

/* A change as the tests write it; texts NULL: null. */
struct change {
    int region;
    const char *name;
    int64_t version; /* < 0: null */
    bool gone;
    const char *note;
    int64_t amount; /* < 0: null */
};

/* Changes for COMMIT, which takes them to the world `w` as one commit. */
#define UP(r, n, v, note_, amount_) \
    { \
        .region = r, .name = n, .version = v, .note = note_, .amount = amount_ \
    }
#define DEL(r, n, v) \
    { \
        .region = r, .name = n, .version = v, .gone = true \
    }
#define COMMIT(...) \
    do { \
        const struct change list_[] = {__VA_ARGS__}; \
        commit(w, list_, sizeof list_ / sizeof *list_); \
    } while (0)

static inline void open_lake(struct world *w)
{
    struct dm_lake_options o = {.folder = w->folder, .catalog_name = "datamirror", .metadata_versions = 10};
    must(dm_lake_open(&o, &w->m.lake, &w->err));
}

static inline void open_index(struct world *w)
{
    char *path = dm_xasprintf("%s/.index", w->folder);
    bool trusted;
    must(dm_keyindex_open(path, &w->m.index, &trusted, &w->err));
    free(path);
}

static inline const struct dm_dataset *dataset_of(struct world *w, const char *name)
{
    const struct dm_dataset *d = NULL;
    must(dm_lake_dataset(w->m.lake, "test", name, &d, &w->err));
    return d;
}

static inline void publish(struct world *w)
{
    must(dm_file_writes_settle(&w->a, &w->err));
    must(dm_commit_write(w->a.commit, &w->summary, &w->err));
    must(dm_commit_publish(w->a.commit, NULL, NULL, &w->err));
    must(dm_index_tag_commit(&w->m, w->a.commit, w->t, &w->err));
    must(dm_keyindex_commit(w->m.index, &w->err));
    dm_commit_free(w->a.commit);
    w->a.commit = NULL;
}

static inline void begin(struct world *w)
{
    must(dm_commit_begin(w->m.lake, &w->a.commit, &w->err));
    must(dm_keyindex_begin(w->m.index, &w->err));
}

static inline struct world *new_world(struct dm_type version)
{
    struct world *w = dm_xzalloc(1, sizeof *w);
    strcpy(w->folder, "/tmp/dm-version-XXXXXX");
    assert_true(temp_folder_make(w->folder));
    w->config.compression = dm_xstrdup("uncompressed");
    w->m.config = &w->config;
    struct dm_engine_options options = {.memory_limit = 256u << 20, .threads = 2, .temp_folder = w->folder};
    must(dm_engine_open(&options, &w->m.engine, &w->err));
    open_lake(w);
    open_index(w);
    struct dm_schema *wanted = dm_schema_new();
    dm_schema_add(wanted, "region", dm_type_of(DM_INT32))->required = true;
    dm_schema_add(wanted, "name", dm_type_of(DM_STRING))->required = true;
    dm_schema_add(wanted, "ver", version)->required = true;
    dm_schema_add(wanted, "note", dm_type_of(DM_STRING));
    dm_schema_add(wanted, "amount", dm_type_of(DM_INT64));
    dm_schema_add_key(wanted, REGION);
    dm_schema_add_key(wanted, NAME);
    struct dm_schema *schema = NULL;
    int32_t last = 0;
    must(dm_schema_evolve(NULL, wanted, &last, &schema, &w->err));
    dm_schema_unref(wanted);
    w->t = dm_target_new();
    w->t->state.id = 7;
    w->t->state.namespace = dm_xstrdup("test");
    w->t->state.name = dm_xstrdup("t");
    w->t->state.state = dm_xstrdup("declared");
    w->t->schema = schema;
    w->t->rules = dm_xzalloc(1, sizeof *w->t->rules);
    w->t->rules->version_field = VER;
    w->t->rules->timestamp_field = -1;
    w->t->rules->schema = dm_xzalloc(1, sizeof *w->t->rules->schema);
    w->a = (struct dm_apply_context){.mirror = &w->m, .txns = &w->txn};
    w->txn =
        (struct dm_txn){.xid = 1, .position = 1, .commit_time_us = 1700000000000000, .origin = "test.csv"};
    w->summary = (struct dm_commit_summary){.source = "test", .position = "1"};
    begin(w);
    must(dm_commit_create(w->a.commit, "test", "t", schema, &w->err));
    publish(w);
    return w;
}

static inline void free_world(struct world *w)
{
    dm_keyindex_close(w->m.index);
    dm_lake_close(w->m.lake);
    dm_engine_close(w->m.engine);
    dm_net_effect_release(&w->a.net);
    dm_kept_rows_free(w->a.bad, w->a.n_bad);
    free(w->t->rules->schema);
    free(w->t->rules);
    w->t->rules = NULL;
    dm_target_free(w->t);
    free(w->config.compression);
    struct dm_error err;
    assert_int_equal(dm_file_remove_tree(w->folder, &err), DM_OK);
    free(w);
}

static inline void add_text(struct world *w, struct dm_column *c, const char *text)
{
    if (text == NULL)
        dm_column_append_null(c);
    else
        must(dm_column_append_bytes(c, text, strlen(text), &w->err));
}

/* Number v as a value of the version's type, in the same order. */
static inline void add_version(struct world *w, struct dm_column *c, int64_t v)
{
    char text[64];
    dm_int128 wide = (dm_int128)v - 500;
    int32_t small = (int32_t)v - 500;
    int64_t big = v - 500;
    if (v < 0) {
        dm_column_append_null(c);
        return;
    }
    switch (c->type.id) {
    case DM_STRING: /* bytes, of many lengths: "b" stands behind every "b…" that has a smaller number in front */
        (void)snprintf(text, sizeof text, "%06lld%.*s", (long long)v, (int)(v % 5), "zzzzz");
        add_text(w, c, text);
        break;
    case DM_DECIMAL: dm_column_append_fixed(c, &wide); break;
    case DM_INT32:
    case DM_DATE: dm_column_append_fixed(c, &small); break;
    default: dm_column_append_fixed(c, &big); break;
    }
}

static inline struct dm_batch *batch_of(struct world *w, const struct change *changes, size_t n)
{
    struct dm_batch *b = dm_batch_new(w->t->schema);
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        int32_t region = c->region;
        if (region < 0)
            dm_column_append_null(&b->columns[REGION]);
        else
            dm_column_append_fixed(&b->columns[REGION], &region);
        add_text(w, &b->columns[NAME], c->name);
        add_version(w, &b->columns[VER], c->version);
        if (c->note != NULL && strcmp(c->note, "?") == 0) /* left out as unchanged */
            dm_column_append_unchanged(&b->columns[NOTE]);
        else
            add_text(w, &b->columns[NOTE], c->gone ? NULL : c->note);
        if (c->gone || c->amount < 0)
            dm_column_append_null(&b->columns[AMOUNT]);
        else
            dm_column_append_fixed(&b->columns[AMOUNT], &c->amount);
        b->subxid = (uint32_t)i + 1;
        dm_batch_end_row(b, c->gone ? DM_OP_DELETE : DM_OP_UPDATE);
    }
    return b;
}

static inline void apply(struct world *w, const struct change *changes, size_t n)
{
    struct dm_batch *b = batch_of(w, changes, n);
    must(dm_apply_rows(&w->a, w->t, &b, &w->err));
    dm_batch_free(b);
}

/* One commit with one batch. */
static inline void commit(struct world *w, const struct change *changes, size_t n)
{
    begin(w);
    apply(w, changes, n);
    publish(w);
    must(dm_compact_target(&w->m, w->t, &w->summary, &w->err));
}

static inline void catch_up(struct world *w)
{
    must(dm_index_catch_up(&w->m, &w->t, 1, &w->err));
}

/* The key index is lost. */
static inline void lose_index(struct world *w)
{
    dm_keyindex_close(w->m.index);
    char *path = dm_xasprintf("%s/.index", w->folder);
    must(dm_file_remove_tree(path, &w->err));
    free(path);
    open_index(w);
    catch_up(w);
}

/* ---- reading ---- */

static inline enum dm_status take_batch(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                        const uint32_t *positions, struct dm_error *err)
{
    (void)files;
    (void)positions;
    struct dm_batch *out = ctx;
    for (size_t i = 0; i < batch->rows; i++)
        if (dm_batch_append_row(out, batch, i, err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

/* The visible rows in key order; NULL: no such dataset. */
static inline struct dm_batch *read_dataset(struct world *w, const char *name)
{
    const struct dm_dataset *d = dataset_of(w, name);
    if (d == NULL)
        return NULL;
    struct dm_batch *out = dm_batch_new(d->schema);
    struct dm_scan_file *files = dm_xzalloc(d->n_files + 1, sizeof *files);
    for (size_t i = 0; i < d->n_files; i++)
        files[i] = (struct dm_scan_file){.path = d->files[i].path,
                                         .number = d->files[i].number,
                                         .rows = d->files[i].rows,
                                         .deleted = d->files[i].deleted};
    struct dm_scan_options options = {.order_by_key = d->schema->n_keys > 0};
    if (d->n_files > 0)
        must(dm_parquet_scan(w->m.engine, files, d->n_files, d->schema, &options, take_batch, out, &w->err));
    free(files);
    return out;
}

/* One visible row as text, "region/name note amount"; amounts and notes that are null: "-". */
static inline void row_text(const struct dm_batch *b, size_t row, char *out, size_t size)
{
    size_t name_len = 0, note_len = 0;
    const uint8_t *name = dm_column_bytes_at(&b->columns[NAME], row, &name_len);
    const uint8_t *note = (const uint8_t *)"-";
    if (b->columns[NOTE].state[row] == DM_VALID)
        note = dm_column_bytes_at(&b->columns[NOTE], row, &note_len);
    else
        note_len = 1;
    char amount[32] = "-";
    if (b->columns[AMOUNT].state[row] == DM_VALID)
        (void)snprintf(amount, sizeof amount, "%lld", (long long)dm_column_int64(&b->columns[AMOUNT], row));
    (void)snprintf(out, size, "%d/%.*s %.*s %s", dm_column_int32(&b->columns[REGION], row), (int)name_len,
                   (const char *)name, (int)note_len, (const char *)note, amount);
}

/* All visible rows, "; " between them. */
static inline void expect_rows(struct world *w, const char *expected)
{
    struct dm_batch *b = read_dataset(w, "t");
    char text[4096] = "", one[512];
    for (size_t i = 0; i < b->rows; i++) {
        row_text(b, i, one, sizeof one);
        strncat(text, i > 0 ? "; " : "", sizeof text - strlen(text) - 1);
        strncat(text, one, sizeof text - strlen(text) - 1);
    }
    dm_batch_free(b);
    assert_string_equal(text, expected);
}

static inline uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t v = *state;
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

static inline uint64_t test_seed(void)
{
    const char *given = getenv("DM_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu (DM_SEED=… repeats it)\n", (unsigned long long)seed);
    return seed;
}

#endif
