/* The key index left behind by commits of every kind, then caught up by what differs: each of its entries must be what a rebuild makes of the lake.
 *
 * An index that is behind is made by putting back a copy of its folder: as after a crash between publication and index commit, and further behind too. */
#include "../commit/version_fixture.h"

#include "column/key.h"
#include "mirror/commit/history.h"
#include "mirror/index/index_catch_up.h"
#include "mirror/commit/interval_history.h"

enum { REGIONS = 2, VERSIONS = 60, LARGE = 20000, SMALL = 300, ROUNDS = 12, LONG_KEY_EVERY = 37 };

struct play {
    struct world *w;
    uint64_t random;
    int names;
    bool long_keys;
    struct dm_dataset_rules *rules; /* NULL: not versioned */
    int n_columns;
    int by_difference, rebuilt;
};

static uint64_t below(struct play *p, uint64_t n)
{
    return random_next(&p->random) % n;
}

/* ---- rows ---- */

static void add_key(struct play *p, struct dm_batch *b, int region, int name)
{
    struct world *w = p->w;
    char text[700];
    int64_t wide = region;
    int32_t narrow = region;
    dm_column_append_fixed(&b->columns[REGION],
                           b->columns[REGION].type.id == DM_INT64 ? (const void *)&wide : &narrow);
    (void)snprintf(text, sizeof text, "k%d", name);
    if (p->long_keys && name % LONG_KEY_EVERY == 0)
        (void)snprintf(text, sizeof text, "%0600d", name);
    add_text(w, &b->columns[NAME], text);
}

static void add_row(struct play *p, struct dm_batch *b, int region, int name, enum dm_op op)
{
    struct world *w = p->w;
    add_key(p, b, region, name);
    add_version(w, &b->columns[VER], (int64_t)below(p, VERSIONS));
    char note[40];
    (void)snprintf(note, sizeof note, "%016llx%016llx", (unsigned long long)random_next(&p->random),
                   (unsigned long long)random_next(&p->random));
    add_text(w, &b->columns[NOTE],
             note); /* so that the first file is too large to be merged with the small ones */
    for (size_t i = AMOUNT; i < b->n_columns; i++)
        dm_column_append_null(&b->columns[i]);
    b->subxid = (uint32_t)b->rows + 1;
    dm_batch_end_row(b, op);
}

static struct dm_batch *random_batch(struct play *p, int n)
{
    struct dm_batch *b = dm_batch_new(p->w->t->schema);
    for (int i = 0; i < n; i++) {
        int region = (int)below(p, REGIONS), name = (int)below(p, (uint64_t)p->names);
        uint64_t what = below(p, 10);
        if (what == 0 && p->rules == NULL)
            add_row(p, b, region, (int)below(p, (uint64_t)p->names), DM_OP_REKEY);
        add_row(p, b, region, name, what < 3 && what > 0 ? DM_OP_DELETE : DM_OP_UPDATE);
    }
    return b;
}

static void apply_batch(struct play *p, struct dm_batch *b)
{
    struct world *w = p->w;
    must(dm_apply_rows(&w->a, w->t, &b, &w->err));
    dm_batch_free(b);
}

static void commit_batch(struct play *p, struct dm_batch *b)
{
    struct world *w = p->w;
    begin(w);
    apply_batch(p, b);
    publish(w);
}

/* ---- commits of all kinds ---- */

static void compact(struct play *p)
{
    struct world *w = p->w;
    must(dm_compact_target(&w->m, w->t, &w->summary, &w->err));
}

/* All rows out, as truncate does; with `refill`, others in: as a copy is attached. */
static void empty(struct play *p, bool refill)
{
    struct world *w = p->w;
    if (p->rules != NULL)
        return;
    begin(w);
    must(dm_commit_remove_all(w->a.commit, "test", "t", &w->err));
    must(dm_keyindex_clear(w->m.index, w->t->state.id, &w->err));
    if (refill)
        apply_batch(p, random_batch(p, SMALL));
    publish(w);
}

static struct dm_schema *changed_schema(struct play *p)
{
    struct world *w = p->w;
    struct dm_schema *wanted = dm_schema_copy(w->t->schema), *schema = NULL;
    int32_t last = dataset_of(w, "t")->last_column_id;
    switch (below(p, 4)) {
    case 0: wanted->fields[REGION].type = dm_type_of(DM_INT64); break;
    case 1:
        if (wanted->fields[VER].type.id == DM_INT32)
            wanted->fields[VER].type = dm_type_of(DM_INT64);
        break;
    case 2: { /* the renamed column keeps its id: nothing is to be found out */
        char *renamed = dm_xasprintf("name_%d", p->n_columns++);
        free(wanted->fields[NAME].name);
        wanted->fields[NAME].name = renamed;
        return wanted;
    }
    default: {
        char *column = dm_xasprintf("more_%d", p->n_columns++);
        dm_schema_add(wanted, column, dm_type_of(DM_STRING));
        free(column);
    }
    }
    must(dm_schema_evolve(w->t->schema, wanted, &last, &schema, &w->err));
    dm_schema_unref(wanted);
    return schema;
}

static void evolve(struct play *p)
{
    struct world *w = p->w;
    begin(w);
    struct dm_schema *schema = changed_schema(p);
    must(dm_commit_set_schema(w->a.commit, "test", "t", schema, &w->err));
    dm_schema_unref(w->t->schema);
    w->t->schema = schema;
    if (below(p, 2) == 0)
        apply_batch(p, random_batch(p, 5));
    publish(w);
}

static void expire_tombstones(struct play *p)
{
    struct world *w = p->w;
    if (p->rules == NULL)
        return;
    p->rules->schema->settings.tombstone_retention_ms = 1;
    must(dm_tombstones_expire(&w->m, w->t, &w->summary, NULL, &w->err));
    p->rules->schema->settings.tombstone_retention_ms = 0;
}

/* Live code rebuilds after what it cannot take into the index. */
static void build_anew(struct play *p)
{
    struct world *w = p->w;
    must(dm_keyindex_begin(w->m.index, &w->err));
    must(dm_keyindex_tag_set(w->m.index, w->t->state.id, 0, &w->err));
    must(dm_keyindex_commit(w->m.index, &w->err));
    catch_up(w);
}

/* One file of tombstones goes, of any age: an older tombstone of its keys counts again. */
static void drop_tombstones(struct play *p)
{
    struct world *w = p->w;
    const struct dm_dataset *d = dataset_of(w, "t__tombstones");
    if (d == NULL || d->n_files < 2)
        return;
    begin(w);
    must(dm_commit_remove_file(w->a.commit, "test", "t__tombstones", d->files[below(p, d->n_files)].number,
                               &w->err));
    publish(w);
    build_anew(p);
}

struct places {
    const struct dm_batch *keys; /* region, name, … */
    struct dm_place items[256];
    size_t n;
};

static bool same_text(const struct dm_column *a, size_t i, const struct dm_column *b, size_t k)
{
    size_t n, m;
    const uint8_t *x = dm_column_bytes_at(a, i, &n), *y = dm_column_bytes_at(b, k, &m);
    return n == m && memcmp(x, y, n) == 0;
}

static int64_t number(const struct dm_column *c, size_t i)
{
    return c->type.id == DM_INT64 ? dm_column_int64(c, i) : dm_column_int32(c, i);
}

static enum dm_status find_key(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                               const uint32_t *positions, struct dm_error *err)
{
    struct places *p = ctx;
    (void)err;
    for (size_t i = 0; i < batch->rows; i++)
        for (size_t k = 0; k < p->keys->rows && p->n < 256; k++)
            if (number(&batch->columns[0], i) == number(&p->keys->columns[REGION], k) &&
                same_text(&batch->columns[1], i, &p->keys->columns[NAME], k)) {
                p->items[p->n++] = (struct dm_place){.file = files[i], .position = positions[i]};
                break;
            }
    return DM_OK;
}

/* The rows of the keys in a side dataset leave by deletion vector, as when records are deleted. */
static void forget_in_side(struct play *p, const char *name, const struct dm_batch *keys)
{
    struct world *w = p->w;
    const struct dm_dataset *d = dataset_of(w, name);
    if (d == NULL || d->n_files == 0)
        return;
    struct places places = {.keys = keys};
    struct dm_schema *s = dm_schema_new();
    for (int i = 0; i < 2; i++) {
        const struct dm_field *from =
            &d->schema->fields[dm_schema_find_id(d->schema, w->t->schema->fields[i].id)];
        dm_schema_add(s, from->name, from->type)->id = from->id;
    }
    struct dm_scan_file *files = dm_xzalloc(d->n_files, sizeof *files);
    for (size_t i = 0; i < d->n_files; i++)
        files[i] = (struct dm_scan_file){.path = d->files[i].path,
                                         .number = d->files[i].number,
                                         .rows = d->files[i].rows,
                                         .deleted = d->files[i].deleted};
    must(dm_parquet_scan(w->m.engine, files, d->n_files, s, NULL, find_key, &places, &w->err));
    must(dm_apply_deletions(w->a.commit, "test", name, places.items, places.n, &w->err));
    free(files);
    dm_schema_unref(s);
}

/* Rows leave without tombstones: expired ones; with `sides`, deleted records, whose tombstones and history go too. */
static void forget(struct play *p, bool sides)
{
    struct world *w = p->w;
    struct dm_batch *b = dm_batch_new(w->t->schema);
    int region = (int)below(p, REGIONS), first = (int)below(p, (uint64_t)p->names - 8);
    for (int i = 0; i < 8; i++)
        add_row(p, b, region, first + i, DM_OP_DELETE);
    struct dm_key_list keys = {0};
    struct dm_index_change changes[8];
    struct dm_place places[8];
    size_t n = 0;
    must(dm_key_list_encode(&keys, b, &w->err));
    for (size_t i = 0; i < 8; i++)
        changes[i] = (struct dm_index_change){.key = keys.bytes.data + keys.offsets[i],
                                              .key_len = (uint32_t)(keys.offsets[i + 1] - keys.offsets[i])};
    dm_index_changes_sort(changes, 8);
    begin(w);
    must(dm_keyindex_apply(w->m.index, w->t->state.id, changes, 8, &w->err));
    for (int i = 0; i < 8; i++)
        if (dm_place_known(changes[i].old))
            places[n++] = changes[i].old;
    must(dm_apply_deletions(w->a.commit, "test", "t", places, n, &w->err));
    if (sides) {
        forget_in_side(p, "t__tombstones", b);
        forget_in_side(p, "t__history", b);
    }
    publish(w);
    build_anew(p);
    dm_key_list_release(&keys);
    dm_batch_free(b);
}

static void some_commit(struct play *p)
{
    struct world *w = p->w;
    switch (below(p, 16)) {
    case 0: compact(p); break;
    case 1: evolve(p); break;
    case 2: below(p, 2) == 0 ? expire_tombstones(p) : drop_tombstones(p); break;
    case 3: forget(p, false); break;
    case 4: forget(p, true); break;
    case 5:
        if (below(p, 4) == 0)
            empty(p, below(p, 2) == 0);
        break;
    case 6: must(dm_lake_sweep(w->m.lake, 0, NULL, &w->err)); break;
    case 7: commit_batch(p, random_batch(p, p->names / 2)); break;
    default: commit_batch(p, random_batch(p, 1 + (int)below(p, 20))); break;
    }
    if (below(p, 3) > 0)
        compact(p);
}

/* ---- the index ---- */

static void copy_index(struct play *p, const char *from, const char *to)
{
    struct world *w = p->w;
    dm_keyindex_close(w->m.index);
    char *command = dm_xasprintf("rm -rf %s/%s && cp -a --sparse=always %s/%s %s/%s", w->folder, to,
                                 w->folder, from, w->folder, to);
    assert_int_equal(system(command), 0);
    free(command);
    open_index(w);
}

static void print_bytes(struct dm_buffer *out, const uint8_t *bytes, size_t n)
{
    struct dm_error err;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(dm_buffer_printf(out, &err, "%02x", bytes[i]), DM_OK);
}

static void print_keys(struct play *p, struct dm_buffer *out)
{
    struct world *w = p->w;
    struct dm_batch *b = dm_batch_new(w->t->schema);
    for (int name = 0; name < p->names; name++)
        for (int region = 0; region < REGIONS; region++)
            add_row(p, b, region, name, DM_OP_UPDATE);
    struct dm_key_list keys = {0};
    must(dm_key_list_encode(&keys, b, &w->err));
    struct dm_index_change *c = dm_xzalloc(b->rows, sizeof *c);
    for (size_t i = 0; i < b->rows; i++)
        c[i] = (struct dm_index_change){.key = keys.bytes.data + keys.offsets[i],
                                        .key_len = (uint32_t)(keys.offsets[i + 1] - keys.offsets[i]),
                                        .row = (uint32_t)i};
    dm_index_changes_sort(c, b->rows);
    must(dm_keyindex_lookup(w->m.index, w->t->state.id, c, b->rows, &w->err));
    for (size_t i = 0; i < b->rows; i++) {
        must(dm_buffer_printf(out, &w->err, "\n%u k%u: %u:%u ", c[i].row % REGIONS, c[i].row / REGIONS,
                              c[i].old.file, c[i].old.position));
        print_bytes(out, c[i].old_version, c[i].old_version_len);
    }
    free(c);
    dm_key_list_release(&keys);
    dm_batch_free(b);
}

static void print_history(struct play *p, struct dm_buffer *out)
{
    struct world *w = p->w;
    uint8_t key[DM_INDEX_KEY_WHOLE] = {0};
    uint32_t len = 1;
    for (;;) {
        struct dm_index_entry before, same, after;
        must(dm_keyindex_near(w->m.index, w->t->state.id | DM_INDEX_HISTORY, key, len, 0, &before, &same,
                              &after, &w->err));
        if (after.key == NULL)
            return;
        must(dm_buffer_printf(out, &w->err, "\nhistory %u:%u ", after.place.file, after.place.position));
        print_bytes(out, after.version, after.version_len);
        must(dm_buffer_printf(out, &w->err, " "));
        print_bytes(out, after.key, after.key_len);
        assert_true(after.key_len <= sizeof key);
        memcpy(key, after.key, after.key_len);
        len = after.key_len;
    }
}

/* Every entry and every tag. */
static char *dump(struct play *p)
{
    struct world *w = p->w;
    static const uint32_t sides[] = {0, DM_INDEX_TOMBSTONES, DM_INDEX_HISTORY};
    struct dm_buffer out;
    dm_buffer_init(&out, 256 << 20);
    uint64_t random = p->random, count = 0;
    must(dm_keyindex_begin(w->m.index, &w->err));
    must(dm_keyindex_count(w->m.index, w->t->state.id, &count, &w->err));
    must(dm_buffer_printf(&out, &w->err, "%llu keys, tags", (unsigned long long)count));
    for (int i = 0; i < 3; i++) {
        int64_t tag;
        must(dm_keyindex_tag_get(w->m.index, w->t->state.id | sides[i], &tag, &w->err));
        must(dm_buffer_printf(&out, &w->err, " %llx", (unsigned long long)tag));
    }
    print_keys(p, &out);
    if (p->rules != NULL && p->rules->schema->settings.history == DM_HISTORY_SCD2)
        print_history(p, &out);
    must(dm_keyindex_commit(w->m.index, &w->err));
    p->random = random;
    char *text = dm_xstrdup(dm_buffer_text(&out));
    dm_buffer_release(&out);
    return text;
}

static bool catch_up_by_difference(struct play *p, const char **why)
{
    struct world *w = p->w;
    uint64_t rows = 0;
    must(dm_keyindex_begin(w->m.index, &w->err));
    enum dm_status status =
        dm_index_catch_up_by_difference(&w->m, w->t, dataset_of(w, "t"), &rows, why, &w->err);
    if (status == DM_FAIL)
        fail_msg("catching up: %s", w->err.message);
    if (status == DM_OK)
        must(dm_keyindex_commit(w->m.index, &w->err));
    else
        dm_keyindex_abort(w->m.index);
    return status == DM_OK;
}

static void expect_equal(const char *caught_up, const char *rebuilt)
{
    if (strcmp(caught_up, rebuilt) == 0)
        return;
    size_t i = 0, line = 0;
    for (; caught_up[i] == rebuilt[i]; i++)
        if (caught_up[i] == '\n')
            line = i;
    fail_msg("caught up:%.300s\nrebuilt:%.300s\nheads: %.100s | %.100s", caught_up + line, rebuilt + line,
             caught_up, rebuilt);
}

/* ---- play ---- */

static void one_round(struct play *p)
{
    copy_index(p, ".index", ".index-before");
    int n = below(p, 12) == 0 ? 14 : 1 + (int)below(p, 3); /* 14: more than snapshots are kept */
    for (int i = 0; i < n; i++) {
        if (i > 0 && below(p, 2) == 0)
            copy_index(p, ".index", ".index-before");
        some_commit(p);
    }
    copy_index(p, ".index-before", ".index");
    if (below(p, 3) == 0) {
        dm_lake_close(p->w->m.lake);
        open_lake(p->w);
    }
    const char *why = NULL;
    if (!catch_up_by_difference(p, &why)) {
        catch_up(p->w);
        p->rebuilt++;
        return;
    }
    p->by_difference++;
    char *caught_up = dump(p);
    build_anew(p);
    char *rebuilt = dump(p);
    expect_equal(caught_up, rebuilt);
    free(caught_up);
    free(rebuilt);
}

static void play(uint64_t seed, bool versioned, enum dm_history_mode history, int names)
{
    struct world *w = new_world(dm_type_of(DM_INT32));
    struct play p = {.w = w, .random = seed, .names = names, .rules = w->t->rules};
    struct dm_dataset_rules *rules = w->t->rules;
    rules->schema->settings.history = history;
    p.long_keys = !versioned || history != DM_HISTORY_SCD2;
    if (!versioned) {
        p.rules = w->t->rules = NULL;
        w->t->state.copied_at = 1;
    }
    struct dm_batch *b = dm_batch_new(w->t->schema);
    for (int i = 0; i < names; i++)
        for (int region = 0; region < REGIONS; region++)
            add_row(&p, b, region, i, DM_OP_UPDATE);
    commit_batch(&p, b);
    for (int i = 0; i < 12 && names == LARGE; i++) /* soon there are enough to be merged */
        commit_batch(&p, random_batch(&p, 10));
    int rounds = names == LARGE ? ROUNDS : ROUNDS * 2;
    for (int i = 0; i < rounds; i++)
        one_round(&p);
    print_message("%s, history %d, %d names: %d times by difference, %d times not open\n",
                  versioned ? "versioned" : "mirrored", (int)history, names, p.by_difference, p.rebuilt);
    assert_true(p.by_difference > rounds / 4);
    w->t->rules = rules;
    free_world(w);
}

static void test_mirrored(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    play(seed, false, DM_HISTORY_NONE, SMALL);
    play(seed + 1, false, DM_HISTORY_NONE, LARGE);
}

static void test_versioned(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    play(seed, true, DM_HISTORY_NONE, SMALL);
    play(seed + 1, true, DM_HISTORY_CHANGES, SMALL);
    play(seed + 2, true, DM_HISTORY_NONE, LARGE);
}

static void test_history_by_version(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    play(seed, true, DM_HISTORY_SCD2, SMALL);
    play(seed + 1, true, DM_HISTORY_SCD2, SMALL);
}

static struct play tombstone_world(void)
{
    struct play p = {.w = new_world(dm_type_of(DM_INT64)), .random = 1, .names = SMALL};
    p.rules = p.w->t->rules;
    commit_batch(&p, random_batch(&p, SMALL));
    return p;
}

static void change_k1(struct play *p, int64_t version, bool gone)
{
    const struct change c = {.region = 1, .name = "k1", .version = version, .gone = gone, .note = "n"};
    commit_batch(p, batch_of(p->w, &c, 1));
}

static void expect_caught_up(struct play *p, const char *line)
{
    const char *why;
    copy_index(p, ".index-before", ".index");
    assert_true(catch_up_by_difference(p, &why));
    char *caught_up = dump(p);
    build_anew(p);
    char *rebuilt = dump(p);
    expect_equal(caught_up, rebuilt);
    assert_non_null(strstr(rebuilt, line));
    free(caught_up);
    free(rebuilt);
}

/* Of two tombstones of one key the newer goes: the older counts. */
static void test_older_tombstone(void **state)
{
    (void)state;
    struct play p = tombstone_world();
    struct world *w = p.w;
    change_k1(&p, 100, true);
    change_k1(&p, 101, false);
    change_k1(&p, 102, true);
    copy_index(&p, ".index", ".index-before");
    const struct dm_dataset *d = dataset_of(w, "t__tombstones");
    begin(w);
    must(dm_commit_remove_file(w->a.commit, "test", "t__tombstones", d->files[d->n_files - 1].number,
                               &w->err));
    publish(w);
    expect_caught_up(&p, "1 k1: 0:0 7ff");
    free_world(w);
}

/* A row that came although the lake holds a tombstone of a higher version (the index had lost it): a rebuild lets the tombstone win. */
static void test_row_below_a_tombstone(void **state)
{
    (void)state;
    struct play p = tombstone_world();
    struct world *w = p.w;
    change_k1(&p, 100, true);
    copy_index(&p, ".index", ".index-before");
    begin(w);
    must(dm_keyindex_clear(w->m.index, w->t->state.id, &w->err));
    must(dm_keyindex_commit(w->m.index, &w->err));
    dm_commit_free(w->a.commit);
    w->a.commit = NULL;
    change_k1(&p, 99, false);
    expect_caught_up(&p, "1 k1: 0:0 7ff");
    free_world(w);
}

/* ---- what must not be caught up ---- */

static struct play simple_world(int names)
{
    struct play p = {.w = new_world(dm_type_of(DM_INT32)), .random = 1, .names = names};
    p.rules = p.w->t->rules;
    p.w->t->rules = NULL;
    p.w->t->state.copied_at = 1;
    struct dm_batch *b = dm_batch_new(p.w->t->schema);
    for (int i = 0; i < names; i++)
        add_row(&p, b, 1, i, DM_OP_UPDATE);
    struct dm_dataset_rules *rules = p.rules;
    p.rules = NULL;
    commit_batch(&p, b);
    p.rules = rules;
    return p;
}

static void free_simple(struct play *p)
{
    p->w->t->rules = p->rules;
    free_world(p->w);
}

/* An index whose tag is right and whose entries are not: seen where a row that vanished is not at its place. */
static void test_wrong_entries(void **state)
{
    (void)state;
    struct play p = simple_world(SMALL);
    struct world *w = p.w;
    copy_index(&p, ".index", ".index-before");
    struct dm_batch *b = dm_batch_new(w->t->schema);
    add_row(&p, b, 1, 5, DM_OP_DELETE);
    commit_batch(&p, b);
    copy_index(&p, ".index-before", ".index");
    b = dm_batch_new(w->t->schema);
    add_row(&p, b, 1, 5, DM_OP_DELETE);
    struct dm_key_list keys = {0};
    must(dm_key_list_encode(&keys, b, &w->err));
    struct dm_index_change c = {
        .key = keys.bytes.data, .key_len = (uint32_t)keys.offsets[1], .place = {77, 7}};
    must(dm_keyindex_begin(w->m.index, &w->err));
    must(dm_keyindex_apply(w->m.index, w->t->state.id, &c, 1, &w->err));
    must(dm_keyindex_commit(w->m.index, &w->err));
    must(dm_keyindex_begin(w->m.index, &w->err));
    uint64_t rows;
    const char *why;
    struct dm_error err;
    assert_int_equal(dm_index_catch_up_by_difference(&w->m, w->t, dataset_of(w, "t"), &rows, &why, &err),
                     DM_FAIL);
    assert_non_null(strstr(err.message, "(1, \"k5\")"));
    dm_keyindex_abort(w->m.index);
    catch_up(w); /* and this falls back */
    char *caught_up = dump(&p);
    build_anew(&p);
    char *rebuilt = dump(&p);
    expect_equal(caught_up, rebuilt);
    free(caught_up);
    free(rebuilt);
    dm_key_list_release(&keys);
    dm_batch_free(b);
    free_simple(&p);
}

static void expect_not_open(struct play *p, const char *expected)
{
    const char *why = NULL;
    assert_false(catch_up_by_difference(p, &why));
    assert_string_equal(why, expected);
    catch_up(p->w);
}

static void test_ways_not_open(void **state)
{
    (void)state;
    struct play p = simple_world(SMALL);
    struct world *w = p.w;
    copy_index(&p, ".index", ".index-before");
    for (int i = 0; i < 12; i++) { /* 10 snapshots are kept */
        struct dm_batch *b = dm_batch_new(w->t->schema);
        add_row(&p, b, 1, i, DM_OP_UPDATE);
        commit_batch(&p, b);
    }
    copy_index(&p, ".index-before", ".index");
    expect_not_open(&p, "its snapshot is not kept any more");

    copy_index(&p, ".index", ".index-before");
    struct dm_batch *b = dm_batch_new(w->t->schema);
    for (int i = 0; i < SMALL / 2; i++)
        add_row(&p, b, 1, i, DM_OP_UPDATE);
    commit_batch(&p, b);
    copy_index(&p, ".index-before", ".index");
    expect_not_open(&p, "more than half of the rows moved");

    copy_index(&p, ".index", ".index-before");
    struct dm_schema *other = dm_schema_copy(w->t->schema);
    other->n_keys = 0;
    dm_schema_add_key(other, NAME);
    begin(w);
    must(dm_commit_set_schema(w->a.commit, "test", "t", other, &w->err));
    dm_schema_unref(w->t->schema);
    w->t->schema = other;
    b = dm_batch_new(other);
    add_row(&p, b, 1, SMALL + 1, DM_OP_UPDATE);
    apply_batch(&p, b);
    publish(w);
    copy_index(&p, ".index-before", ".index");
    expect_not_open(&p, "the key changed");
    free_simple(&p);
}

/* Files of the old state that are gone, though its snapshot is kept: a person removed them. The rebuild needs only what is there now. */
static void test_old_file_gone(void **state)
{
    (void)state;
    struct play p = simple_world(LARGE);
    struct world *w = p.w;
    for (int i = 0; i < 20; i++) {
        struct dm_batch *b = dm_batch_new(w->t->schema);
        add_row(&p, b, 1, i, DM_OP_UPDATE);
        commit_batch(&p, b);
    }
    char *old = dm_xstrdup(dataset_of(w, "t")->files[5].path);
    copy_index(&p, ".index", ".index-before");
    compact(&p);
    copy_index(&p, ".index-before", ".index");
    assert_null(dm_dataset_file(dataset_of(w, "t"), 6));
    assert_int_equal(unlink(old), 0);
    free(old);
    uint64_t rows;
    const char *why;
    struct dm_error err;
    must(dm_keyindex_begin(w->m.index, &w->err));
    assert_int_equal(dm_index_catch_up_by_difference(&w->m, w->t, dataset_of(w, "t"), &rows, &why, &err),
                     DM_FAIL);
    assert_non_null(strstr(err.message, "missing"));
    dm_keyindex_abort(w->m.index);
    catch_up(w);
    char *caught_up = dump(&p);
    build_anew(&p);
    char *rebuilt = dump(&p);
    expect_equal(caught_up, rebuilt);
    free(caught_up);
    free(rebuilt);
    free_simple(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mirrored),
        cmocka_unit_test(test_versioned),
        cmocka_unit_test(test_history_by_version),
        cmocka_unit_test(test_older_tombstone),
        cmocka_unit_test(test_row_below_a_tombstone),
        cmocka_unit_test(test_wrong_entries),
        cmocka_unit_test(test_ways_not_open),
        cmocka_unit_test(test_old_file_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
