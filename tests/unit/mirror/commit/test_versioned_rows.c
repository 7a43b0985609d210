/* The version rule end to end: changes in any order into a lake, read back; with the key index lost in between. */
#include "version_fixture.h"

#include <unistd.h>

#include "mirror/commit/versioned_rows.h"

static void test_order_within_a_batch(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    COMMIT(UP(1, "a", 5, "five", 5), UP(1, "a", 3, "three", 3), UP(1, "a", 7, "seven", 7),
           UP(1, "b", 1, "b", 1), DEL(1, "b", 1), UP(1, "b", 1, "again", 1), DEL(1, "c", 9),
           UP(1, "c", 8, "late", 8));
    expect_rows(w, "1/a seven 7");
    const struct dm_dataset_state *s = &w->t->state;
    assert_int_equal(s->received, 8);
    assert_int_equal(s->inserted, 2);     /* a5, b1 */
    assert_int_equal(s->updated, 1);      /* a7 */
    assert_int_equal(s->deleted, 1);      /* b */
    assert_int_equal(s->noop_deletes, 1); /* c */
    assert_int_equal(s->stale, 2);        /* a3, c8 */
    assert_int_equal(s->ties, 2);         /* b's delete, applied; b again, not */
    free_world(w);
}

static void test_order_across_commits(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    for (int lost = 0; lost < 2; lost++) {
        COMMIT(DEL(1, "early", 9)); /* never seen */
        COMMIT(UP(1, "x", 5, "five", 5), UP(2, "x", 5, "other", 5));
        if (lost)
            lose_index(w);
        COMMIT(UP(1, "early", 8, "dead", 0), UP(1, "x", 4, "old", 4));
        expect_rows(w, "1/x five 5; 2/x other 5");
        COMMIT(UP(1, "x", 5, "five again", 5)); /* a later arrival of the same version */
        expect_rows(w, "1/x five again 5; 2/x other 5");
        COMMIT(DEL(1, "x", 5)); /* the delete carries the row's last version */
        if (lost)
            lose_index(w);
        COMMIT(UP(1, "x", 5, "no", 5));
        expect_rows(w, "2/x other 5");
        COMMIT(UP(1, "x", 6, "six", 6), UP(1, "early", 10, "ten", 10));
        expect_rows(w, "1/early ten 10; 1/x six 6; 2/x other 5");
        COMMIT(DEL(1, "x", 7), DEL(1, "early", 11), DEL(2, "x", 7));
        expect_rows(w, "");
        must(dm_keyindex_begin(w->m.index, &w->err)); /* begin again: nothing remembered */
        must(dm_versioned_forget(w->m.index, w->t, &w->err));
        must(dm_keyindex_commit(w->m.index, &w->err));
        begin(w);
        must(dm_commit_remove_all(w->a.commit, "test", "t", &w->err));
        must(dm_commit_remove_all(w->a.commit, "test", "t__tombstones", &w->err));
        publish(w);
    }
    free_world(w);
}

/* A tombstone alone gives the dataset no snapshot; the index must still be seen to lack it. */
static void test_tombstone_published_but_not_indexed(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_STRING));
    COMMIT(UP(1, "other", 1, "o", 1));
    begin(w);
    const struct change gone = DEL(1, "k", 5);
    apply(w, &gone, 1);
    must(dm_commit_write(w->a.commit, &w->summary, &w->err));
    must(dm_commit_publish(w->a.commit, NULL, NULL, &w->err));
    dm_commit_free(w->a.commit); /* killed here: */
    dm_keyindex_abort(w->m.index);
    catch_up(w);
    COMMIT(UP(1, "k", 4, "dead", 4));
    expect_rows(w, "1/other o 1");
    free_world(w);
}

static void test_bad_rows(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_STRING));
    char *name = dm_xzalloc(1, 2000);
    struct dm_batch *b =
        batch_of(w,
                 (const struct change[]){UP(1, "good", 1, "g", 1), UP(-1, "x", 1, "nokey", 1),
                                         UP(1, "y", -1, "nover", 1), DEL(1, "z", -1)},
                 4);
    /* a fifth one with a version that is too long */
    memset(name, 'v', 1999);
    int32_t region = 1;
    dm_column_append_fixed(&b->columns[REGION], &region);
    add_text(w, &b->columns[NAME], "long");
    add_text(w, &b->columns[VER], name);
    dm_column_append_null(&b->columns[NOTE]);
    dm_column_append_null(&b->columns[AMOUNT]);
    b->subxid = 5;
    dm_batch_end_row(b, DM_OP_UPDATE);
    begin(w);
    must(dm_apply_rows(&w->a, w->t, &b, &w->err));
    publish(w);
    dm_batch_free(b);
    free(name);
    expect_rows(w, "1/good g 1");
    assert_int_equal(w->a.n_bad, 4);
    static const char *const reasons[] = {"null_key", "missing_version", "missing_version",
                                          "version_too_long"};
    static const char *const places[] = {"test.csv:2", "test.csv:3", "test.csv:4", "test.csv:5"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(w->a.bad[i].row.reason, reasons[i]);
        assert_string_equal(w->a.bad[i].row.place, places[i]);
    }
    assert_string_equal(
        w->a.bad[0].row.raw,
        "{\"_change_request_type\": \"u\", \"region\": null, \"name\": \"x\", \"ver\": \"000001z\", "
        "\"note\": \"nokey\", \"amount\": 1}");
    assert_string_equal(
        w->a.bad[2].row.raw,
        "{\"_change_request_type\": \"d\", \"region\": 1, \"name\": \"z\", \"ver\": null, \"note\": "
        "null, \"amount\": null}");
    free_world(w);
}

static uint64_t tombstone_rows(struct world *w)
{
    const struct dm_dataset *d = dataset_of(w, "t__tombstones");
    return d == NULL ? 0 : d->live_rows;
}

static void test_retention(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_TIMESTAMPTZ));
    struct dm_dataset_settings *settings = &w->t->rules->schema->settings;
    size_t dropped = 9;
    COMMIT(UP(1, "a", 5, "a", 1), DEL(1, "b", 5));
    COMMIT(DEL(1, "a", 6), DEL(1, "c", 5));
    COMMIT(UP(1, "c", 9, "alive", 1)); /* c's tombstone means nothing any more */
    must(dm_tombstones_expire(&w->m, w->t, &w->summary, &dropped, &w->err));
    assert_int_equal(dropped, 0); /* seven days */
    settings->tombstone_retention_ms = -1;
    must(dm_tombstones_expire(&w->m, w->t, &w->summary, &dropped, &w->err));
    assert_int_equal(dropped, 0);
    settings->tombstone_retention_ms = 300;
    usleep(400000);
    COMMIT(DEL(1, "young", 5));
    must(dm_tombstones_expire(&w->m, w->t, &w->summary, &dropped, &w->err));
    assert_int_equal(dropped, 2);
    assert_int_equal(tombstone_rows(w), 1);
    COMMIT(UP(1, "young", 4, "dead", 0), UP(1, "a", 3, "risen", 3), UP(1, "b", 4, "risen", 4),
           UP(1, "c", 8, "old", 8));
    expect_rows(w, "1/a risen 3; 1/b risen 4; 1/c alive 1");
    bool same = false;
    must(dm_keyindex_begin(w->m.index, &w->err));
    must(dm_index_tag_current(&w->m, w->t, &same, &w->err));
    dm_keyindex_abort(w->m.index);
    assert_true(same);
    lose_index(w);
    COMMIT(UP(1, "young", 4, "dead", 0));
    expect_rows(w, "1/a risen 3; 1/b risen 4; 1/c alive 1");
    free_world(w);
}

static void test_merging_keeps_versions_and_tombstones(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_decimal(38, 2));
    for (int i = 0; i < 40; i++)
        COMMIT(UP(1, "same", 100 + i, "n", i), DEL(2, "gone", 100 + i),
               UP(3, i % 2 ? "odd" : "even", 50 + i, "v", i));
    assert_true(dataset_of(w, "t")->n_files < 20);
    assert_true(dataset_of(w, "t__tombstones")->n_files < 20);
    COMMIT(UP(1, "same", 138, "stale", 0), UP(2, "gone", 138, "stale", 0), UP(3, "even", 87, "stale", 0));
    expect_rows(w, "1/same n 39; 3/even v 38; 3/odd v 39");
    bool same = false;
    must(dm_keyindex_begin(w->m.index, &w->err));
    must(dm_index_tag_current(&w->m, w->t, &same, &w->err));
    dm_keyindex_abort(w->m.index);
    assert_true(same);
    lose_index(w);
    COMMIT(UP(1, "same", 138, "stale", 0), UP(2, "gone", 139, "stale", 0), UP(3, "even", 87, "stale", 0));
    expect_rows(w, "1/same n 39; 3/even v 38; 3/odd v 39");
    free_world(w);
}

/* A tombstone is past its time, and an older one of its key is still there, in a file that was merged with younger ones. */
static void test_an_older_tombstone_behind_an_expired_one(void **state)
{
    (void)state;
    enum { long_names = 64, long_bytes = 8000 }; /* a file of another size class, which is not merged */
    struct world *w = new_world(dm_type_of(DM_INT64));
    struct dm_dataset_settings *settings = &w->t->rules->schema->settings;
    struct change large[long_names + 1] = {DEL(1, "k", 7)};
    uint64_t random = test_seed();
    for (int i = 1; i <= long_names; i++) {
        char *name = dm_xzalloc(long_bytes + 1, 1);
        for (int k = 0; k < long_bytes; k++)
            name[k] = (char)('a' + random_next(&random) % 26);
        large[i] = (struct change)DEL(2, name, 7);
    }
    COMMIT(DEL(1, "k", 3));
    commit(w, large, long_names + 1);
    usleep(50000);
    int64_t between = dm_clock_wall_us();
    usleep(50000);
    for (int i = 0; i < 15; i++)
        COMMIT(DEL(3, "young", 10 + i));
    assert_int_equal(dataset_of(w, "t__tombstones")->n_files, 2);
    size_t dropped = 0;
    settings->tombstone_retention_ms = (dm_clock_wall_us() - between) / 1000;
    must(dm_tombstones_expire(&w->m, w->t, &w->summary, &dropped, &w->err));
    assert_int_equal(dropped, 1);
    assert_int_equal(tombstone_rows(w), 16);
    COMMIT(UP(1, "k", 2, "dead", 0)); /* as a rebuilt index would say */
    assert_int_equal(w->t->state.stale, 1);
    expect_rows(w, "");
    COMMIT(UP(1, "k", 4, "risen", 4));
    expect_rows(w, "1/k risen 4");
    for (int i = 1; i <= long_names; i++)
        free((void *)(uintptr_t)large[i].name);
    free_world(w);
}

/* Records were deleted, and only tombstones of them were there: the rows' own snapshot stays as it was. The index did not hear of it. */
static void test_a_deleted_tombstone_is_noticed(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    const uint32_t first = 0;
    bool current = true;
    COMMIT(UP(1, "live", 5, "a", 1), DEL(1, "gone", 5));
    begin(w);
    must(dm_commit_delete_rows(w->a.commit, "test", "t__tombstones",
                               dataset_of(w, "t__tombstones")->files[0].number, &first, 1, &w->err));
    must(dm_commit_write(w->a.commit, &w->summary, &w->err));
    must(dm_commit_publish(w->a.commit, NULL, NULL, &w->err));
    dm_keyindex_abort(w->m.index); /* the crash */
    dm_commit_free(w->a.commit);
    w->a.commit = NULL;
    must(dm_keyindex_begin(w->m.index, &w->err));
    must(dm_index_tag_current(&w->m, w->t, &current, &w->err));
    dm_keyindex_abort(w->m.index);
    assert_false(current);
    catch_up(w);
    COMMIT(UP(1, "gone", 4, "back", 4));
    expect_rows(w, "1/gone back 4; 1/live a 1");
    free_world(w);
}

/* What is there already is not written again: no file, no snapshot. */
static void test_equal_rows_change_nothing(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    const struct dm_dataset_state *s = &w->t->state;
    COMMIT(UP(1, "a", 5, "one", 1), UP(1, "b", 5, NULL, -1), DEL(1, "c", 5));
    COMMIT(UP(1, "d", 1, "d", 4));
    int64_t snapshot = dataset_of(w, "t")->snapshot_id;
    int64_t tombstones = dataset_of(w, "t__tombstones")->snapshot_id;
    COMMIT(UP(1, "a", 5, "one", 1), UP(1, "b", 5, NULL, -1), DEL(1, "c", 5), UP(1, "d", 1, "d", 4),
           UP(1, "a", 5, "one", 1));
    assert_int_equal(dataset_of(w, "t")->snapshot_id, snapshot);
    assert_int_equal(dataset_of(w, "t__tombstones")->snapshot_id, tombstones);
    assert_int_equal(s->ties, 5);
    assert_int_equal(s->updated, 0);
    assert_int_equal(s->inserted, 3);
    /* One that differs wins by its later arrival, and only it is written; the one behind it says the same again. */
    COMMIT(UP(1, "a", 5, "one", 1), UP(1, "b", 5, "two", -1), UP(1, "b", 5, "two", -1),
           UP(1, "a", 5, "one", 1));
    expect_rows(w, "1/a one 1; 1/b two -; 1/d d 4");
    assert_int_equal(s->updated, 1);
    assert_int_equal(s->ties, 9);
    const struct dm_dataset *d = dataset_of(w, "t");
    assert_int_equal(d->files[d->n_files - 1].rows, 1);
    /* There and back within one batch. */
    COMMIT(UP(1, "a", 5, "other", 1), UP(1, "a", 5, "one", 1));
    expect_rows(w, "1/a one 1; 1/b two -; 1/d d 4");
    assert_int_equal(s->updated, 3);
    /* A null that becomes a value, and a value that becomes null, are differences. */
    COMMIT(UP(1, "b", 5, "two", 0), UP(1, "a", 5, NULL, 1));
    expect_rows(w, "1/a - 1; 1/b two 0; 1/d d 4");
    /* With ignore_null_updates a null keeps what is there, so it says the same. */
    w->t->rules->schema->settings.ignore_null_updates = true;
    snapshot = dataset_of(w, "t")->snapshot_id;
    COMMIT(UP(1, "b", 5, NULL, -1), UP(1, "d", 1, "d", -1));
    assert_int_equal(dataset_of(w, "t")->snapshot_id, snapshot);
    expect_rows(w, "1/a - 1; 1/b two 0; 1/d d 4");
    free_world(w);
}

/* Many ties of rows that are scattered over files, in portions: memory_limit is small. */
static void test_many_equal_rows(void **state)
{
    (void)state;
    enum { rows = 3000 };
    struct world *w = new_world(dm_type_of(DM_INT64));
    struct change *changes = dm_xzalloc(rows, sizeof *changes);
    char(*names)[16] = dm_xzalloc(rows, sizeof *names);
    uint64_t random = test_seed();
    w->config.memory_limit = 64 << 10; /* a few hundred rows at once */
    for (int i = 0; i < rows; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%d", i);
        changes[i] =
            (struct change){.region = i % 3, .name = names[i], .version = 7, .note = names[i], .amount = i};
    }
    for (int i = 0; i < rows; i += 1000)
        commit(w, changes + i, 1000);
    int64_t snapshot = dataset_of(w, "t")->snapshot_id;
    for (int i = rows - 1; i > 0; i--) {
        int k = (int)(random_next(&random) % (uint64_t)(i + 1));
        struct change swap = changes[i];
        changes[i] = changes[k];
        changes[k] = swap;
    }
    commit(w, changes, rows);
    assert_int_equal(dataset_of(w, "t")->snapshot_id, snapshot);
    changes[1234].amount += 1;
    commit(w, changes, rows);
    const struct dm_dataset *d = dataset_of(w, "t");
    assert_int_equal(d->files[d->n_files - 1].rows, 1);
    assert_int_equal(d->live_rows, rows);
    assert_int_equal(w->t->state.updated, 1);
    assert_int_equal(w->t->state.ties, 2 * rows);
    free(names);
    free(changes);
    free_world(w);
}

/* ---- random changes against a naive model ---- */

enum { n_names = 12, n_regions = 3, n_versions = 1000 };

struct model_row {
    bool known, live;
    int64_t version;
    char note[32];
    int64_t amount;
};

struct model {
    struct model_row rows[n_regions][n_names];
    uint64_t stale, ties, inserted, updated, deleted, noop_deletes;
};

static void model_apply(struct model *m, const struct change *c, int name)
{
    struct model_row *r = &m->rows[c->region][name];
    if (r->known && c->version < r->version) {
        m->stale++;
        return;
    }
    if (r->known && c->version == r->version) {
        m->ties++;
        if (!r->live)
            return;
    }
    if (c->gone)
        *(r->live ? &m->deleted : &m->noop_deletes) += 1;
    else
        *(r->live ? &m->updated : &m->inserted) += 1;
    r->known = true;
    r->live = !c->gone;
    r->version = c->version;
    if (!c->gone) {
        (void)snprintf(r->note, sizeof r->note, "%s", c->note);
        r->amount = c->amount;
    }
}

static void compare_with_model(struct world *w, const struct model *m, char (*names)[16])
{
    struct dm_batch *b = read_dataset(w, "t");
    size_t live = 0;
    for (int r = 0; r < n_regions; r++)
        for (int n = 0; n < n_names; n++) {
            const struct model_row *row = &m->rows[r][n];
            if (!row->live)
                continue;
            live++;
            char expected[512], found[512];
            (void)snprintf(expected, sizeof expected, "%d/%s %s %lld", r, names[n], row->note,
                           (long long)row->amount);
            bool there = false;
            for (size_t i = 0; i < b->rows && !there; i++) {
                row_text(b, i, found, sizeof found);
                there = strcmp(found, expected) == 0;
            }
            if (!there)
                fail_msg("missing: %s (version %lld)", expected, (long long)row->version);
        }
    assert_int_equal(b->rows, live);
    dm_batch_free(b);
    const struct dm_dataset_state *s = &w->t->state;
    assert_int_equal(s->stale, m->stale);
    assert_int_equal(s->ties, m->ties);
    assert_int_equal(s->inserted, m->inserted);
    assert_int_equal(s->updated, m->updated);
    assert_int_equal(s->deleted, m->deleted);
    assert_int_equal(s->noop_deletes, m->noop_deletes);
}

static void random_round(uint64_t seed, struct dm_type version)
{
    struct world *w = new_world(version);
    struct model *m = dm_xzalloc(1, sizeof *m);
    char names[n_names][16];
    for (int n = 0; n < n_names; n++)
        (void)snprintf(names[n], sizeof names[n], "n%.*s%d", n % 4, "ooo", n);
    uint64_t random = seed;
    int64_t amount = 0;
    uint64_t versions = 5 + random_next(&random) % n_versions; /* few: many ties */
    for (int commits = 0; commits < 12; commits++) {
        begin(w);
        for (uint64_t batches = 1 + random_next(&random) % 3; batches > 0; batches--) {
            struct change changes[64];
            char notes[64][32];
            size_t n = 1 + random_next(&random) % 64;
            for (size_t i = 0; i < n; i++) {
                int name = (int)(random_next(&random) % n_names);
                (void)snprintf(notes[i], sizeof notes[i], "note %llu",
                               (unsigned long long)random_next(&random) % 100);
                changes[i] = (struct change){.region = (int)(random_next(&random) % n_regions),
                                             .name = names[name],
                                             .version = (int64_t)(random_next(&random) % versions),
                                             .gone = random_next(&random) % 4 == 0,
                                             .note = notes[i],
                                             .amount = amount++};
                model_apply(m, &changes[i], name);
            }
            apply(w, changes, n);
        }
        publish(w);
        if (random_next(&random) % 3 == 0)
            must(dm_compact_target(&w->m, w->t, &w->summary, &w->err));
        if (random_next(&random) % 4 == 0)
            lose_index(w);
        compare_with_model(w, m, names);
    }
    free(m);
    free_world(w);
}

static void test_random_changes(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    const struct dm_type types[] = {
        dm_type_of(DM_INT64), dm_type_of(DM_INT32),   dm_type_of(DM_STRING),    dm_type_of(DM_TIMESTAMPTZ),
        dm_type_of(DM_DATE),  dm_type_decimal(30, 6), dm_type_of(DM_TIMESTAMP), dm_type_of(DM_TIMESTAMP_NS)};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        random_round(seed + i * 1000003, types[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_within_a_batch),
        cmocka_unit_test(test_order_across_commits),
        cmocka_unit_test(test_tombstone_published_but_not_indexed),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_merging_keeps_versions_and_tombstones),
        cmocka_unit_test(test_an_older_tombstone_behind_an_expired_one),
        cmocka_unit_test(test_a_deleted_tombstone_is_noticed),
        cmocka_unit_test(test_equal_rows_change_nothing),
        cmocka_unit_test(test_many_equal_rows),
        cmocka_unit_test(test_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
