/* History of declared datasets: applied changes one by one, and intervals by version against an oracle. */
#include "version_fixture.h"

#include "mirror/commit/history.h"

/* One visible row of a dataset as text: the named columns with blanks between. Integers and texts. */
static void named_text(const struct dm_batch *b, size_t row, const char *const *columns, size_t n, char *out,
                       size_t size)
{
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; i < n; i++) {
        int at = dm_schema_find(b->schema, columns[i]);
        assert_true(at >= 0);
        const struct dm_column *c = &b->columns[at];
        const char *blank = i > 0 ? " " : "";
        size_t text_len = 0;
        if (c->state[row] != DM_VALID)
            len += (size_t)snprintf(out + len, size - len, "%s-", blank);
        else if (c->width == 8)
            len +=
                (size_t)snprintf(out + len, size - len, "%s%lld", blank, (long long)dm_column_int64(c, row));
        else if (c->width == 4)
            len += (size_t)snprintf(out + len, size - len, "%s%d", blank, dm_column_int32(c, row));
        else {
            const uint8_t *text = dm_column_bytes_at(c, row, &text_len);
            len +=
                (size_t)snprintf(out + len, size - len, "%s%.*s", blank, (int)text_len, (const char *)text);
        }
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All rows of the dataset, sorted as texts, "; " between them; malloc'ed. */
static char *dataset_text(struct world *w, const char *name, const char *const *columns, size_t n)
{
    struct dm_batch *b = read_dataset(w, name);
    assert_non_null(b);
    char **rows = dm_xzalloc(b->rows + 1, sizeof *rows);
    size_t size = 1;
    for (size_t i = 0; i < b->rows; i++) {
        rows[i] = dm_xzalloc(1, 512);
        named_text(b, i, columns, n, rows[i], 512);
        size += strlen(rows[i]) + 2;
    }
    qsort(rows, b->rows, sizeof *rows, compare_texts);
    char *all = dm_xzalloc(1, size);
    for (size_t i = 0; i < b->rows; i++) {
        strcat(strcat(all, i > 0 ? "; " : ""), rows[i]);
        free(rows[i]);
    }
    free(rows);
    dm_batch_free(b);
    return all;
}

#define EXPECT(name, expected, ...) \
    do { \
        static const char *const columns_[] = {__VA_ARGS__}; \
        char *text_ = dataset_text(w, name, columns_, sizeof columns_ / sizeof *columns_); \
        assert_string_equal(text_, expected); \
        free(text_); \
    } while (0)

static struct world *history_world(struct dm_type version, enum dm_history_mode mode)
{
    struct world *w = new_world(version);
    w->t->rules->schema->settings.history = mode;
    return w;
}

static void test_applied_changes(void **state)
{
    (void)state;
    struct world *w = history_world(dm_type_of(DM_INT64), DM_HISTORY_CHANGES);
    COMMIT(UP(1, "a", 505, "one", 1), UP(1, "a", 503, "stale", 0), UP(1, "a", 505, "again", 2),
           DEL(1, "b", 501));
    COMMIT(UP(1, "b", 500, "stale", 0), UP(1, "a", 506, "two", 3), DEL(1, "a", 506),
           UP(1, "a", 506, "lost", 4));
    EXPECT("t__history",
           "a delete 6 - - 1; a insert 5 one 1 1; a update 5 again 2 1; a update 6 two 3 1; b delete 1 - - 1",
           "name", "_op", "_version", "note", "amount", "_position");
    for (int i = 0; i < 20; i++)
        COMMIT(UP(2, "many", 600 + i, "m", i));
    assert_true(dataset_of(w, "t__history")->n_files < 16);
    free_world(w);
}

static void test_null_updates_in_history(void **state)
{
    (void)state;
    struct world *w = history_world(dm_type_of(DM_INT64), DM_HISTORY_CHANGES);
    w->t->rules->schema->settings.ignore_null_updates = true;
    COMMIT(UP(1, "a", 501, "one", 1), UP(1, "a", 502, NULL, 2));
    COMMIT(UP(1, "a", 503, NULL, -1), UP(1, "a", 504, "four", -1));
    EXPECT("t__history", "insert 1 one 1; update 2 one 2; update 3 one 2; update 4 four 2", "_op", "_version",
           "note", "amount");
    free_world(w);
}

static void test_intervals(void **state)
{
    (void)state;
    struct world *w = history_world(dm_type_of(DM_INT64), DM_HISTORY_SCD2);
    COMMIT(UP(1, "a", 505, "five", 5), UP(2, "a", 505, "other", 5));
    COMMIT(UP(1, "a", 509, "nine", 9));
    COMMIT(UP(1, "a", 507, "late", 7), UP(1, "a", 503, "first", 3)); /* stale both: they split */
    EXPECT("t__history",
           "1 a upsert 3 5 first 3; 1 a upsert 5 7 five 5; 1 a upsert 7 9 late 7; 1 a upsert 9 - nine 9; 2 a "
           "upsert 5 - other 5",
           "region", "name", "_op", "_valid_from", "_valid_to", "note", "amount");
    COMMIT(DEL(1, "a", 506), UP(1, "a", 509, "nine again", 9), UP(1, "a", 506, "loses", 0));
    COMMIT(UP(1, "a", 506, "loses", 0), DEL(1, "a", 509));
    EXPECT("t__history",
           "1 delete 6 7 - -; 1 delete 9 - - -; 1 upsert 3 5 first 3; 1 upsert 5 6 five 5; 1 upsert 7 9 late "
           "7; 2 upsert 5 - other 5",
           "region", "_op", "_valid_from", "_valid_to", "note", "amount");
    lose_index(w);
    COMMIT(UP(1, "a", 508, "eight", 8));
    EXPECT("t__history",
           "1 delete 6 7 -; 1 delete 9 - -; 1 upsert 3 5 first; 1 upsert 5 6 five; 1 upsert 7 8 late; 1 "
           "upsert 8 9 eight; 2 upsert 5 - other",
           "region", "_op", "_valid_from", "_valid_to", "note");
    free_world(w);
}

/* Equal replays are no changes: histories stay as they are. */
static void test_replays(void **state)
{
    (void)state;
    const struct change all[] = {UP(1, "a", 505, "five", 5), UP(1, "a", 509, "nine", 9), DEL(1, "b", 504),
                                 UP(1, "c", 501, NULL, -1)};
    struct world *w = history_world(dm_type_of(DM_INT64), DM_HISTORY_CHANGES);
    commit(w, all, 4);
    int64_t snapshot = dataset_of(w, "t__history")->snapshot_id;
    commit(w, all, 4);
    assert_int_equal(dataset_of(w, "t__history")->snapshot_id, snapshot);
    COMMIT(UP(1, "c", 501, "other", -1));
    EXPECT("t__history",
           "a insert 5 five 5; a update 9 nine 9; b delete 4 - -; c insert 1 - -; c update 1 other -", "name",
           "_op", "_version", "note", "amount");
    free_world(w);
    w = history_world(dm_type_of(DM_INT64), DM_HISTORY_SCD2);
    commit(w, all, 4);
    snapshot = dataset_of(w, "t__history")->snapshot_id;
    commit(w, all, 4); /* a's 505 is stale for the dataset, and there already for the history */
    commit(w, all, 1);
    assert_int_equal(dataset_of(w, "t__history")->snapshot_id, snapshot);
    /* An equal row whose interval ends now, by a late change behind it in the same batch. */
    COMMIT(UP(1, "a", 505, "five", 5), UP(1, "a", 507, "late", 7), UP(1, "c", 501, "other", -1));
    EXPECT("t__history",
           "a upsert 5 7 five; a upsert 7 9 late; a upsert 9 - nine; b delete 4 - -; c upsert 1 - other",
           "name", "_op", "_valid_from", "_valid_to", "note");
    lose_index(w);
    snapshot = dataset_of(w, "t__history")->snapshot_id;
    commit(w, all, 3);
    assert_int_equal(dataset_of(w, "t__history")->snapshot_id, snapshot);
    free_world(w);
}

static void test_history_key_too_long(void **state)
{
    (void)state;
    struct world *w = history_world(dm_type_of(DM_INT64), DM_HISTORY_SCD2);
    char name[600];
    memset(name, 'n', sizeof name);
    name[492] = 0; /* 8 region, 492 text, 2 its end, 8 version: 510 */
    COMMIT(UP(1, name, 505, "fits", 5));
    COMMIT(UP(1, name, 504, "fits", 4));
    name[492] = 'n';
    name[493] = 0;
    COMMIT(UP(1, name, 505, "too long", 5), UP(1, "short", 505, "s", 5));
    assert_int_equal(w->a.n_bad, 1);
    assert_string_equal(w->a.bad[0].row.reason, "history_key_too_long");
    EXPECT("t__history", "4 5 fits; 5 - fits; 5 - s", "_valid_from", "_valid_to", "note");
    free_world(w);
}

static void test_kind_changes(void **state)
{
    (void)state;
    struct world *w = history_world(dm_type_of(DM_INT64), DM_HISTORY_CHANGES);
    struct dm_dataset_settings *settings = &w->t->rules->schema->settings;
    COMMIT(UP(1, "a", 501, "one", 1));
    char *old = dm_xasprintf("t__history_%llx", (unsigned long long)dataset_of(w, "t__history")->snapshot_id);
    settings->history = DM_HISTORY_SCD2;
    must(dm_compact_target(&w->m, w->t, &w->summary, &w->err));
    begin(w);
    const struct change two[] = {UP(1, "a", 502, "two", 2)}, three[] = {UP(1, "a", 503, "three", 3)};
    apply(w, two, 1);
    apply(w, three, 1);
    publish(w);
    EXPECT("t__history", "1 2 one; 2 3 two; 3 - three", "_valid_from", "_valid_to", "note");
    EXPECT(old, "insert 1 one", "_op", "_version", "note");
    free(old);
    lose_index(w);
    settings->history = DM_HISTORY_CHANGES;
    must(dm_compact_target(&w->m, w->t, &w->summary, &w->err));
    COMMIT(UP(1, "a", 504, "four", 4));
    EXPECT("t__history", "copy 3 three; update 4 four", "_op", "_version", "note");
    settings->history = DM_HISTORY_SCD2;
    COMMIT(UP(1, "a", 505, "five", 5));
    COMMIT(UP(1, "a", 502, "two", 2));
    EXPECT("t__history", "2 4 two; 4 5 four; 5 - five", "_valid_from", "_valid_to", "note");
    free_world(w);
}

/* ---- random intervals against: lead(version) over (partition by key order by version) ---- */

enum { n_names = 4, n_versions = 40 };

struct cell {
    bool known, gone;
    char note[24];
};

static char *oracle(struct cell (*cells)[n_versions], const char (*names)[4])
{
    char **rows = dm_xzalloc(n_names * n_versions, sizeof *rows);
    size_t n = 0, size = 1;
    for (int k = 0; k < n_names; k++)
        for (int v = 0; v < n_versions; v++) {
            if (!cells[k][v].known)
                continue;
            int next = v + 1;
            while (next < n_versions && !cells[k][next].known)
                next++;
            char to[24] = "-";
            if (next < n_versions)
                (void)snprintf(to, sizeof to, "%06d%.*s", next, next % 5, "zzzzz");
            rows[n] = dm_xasprintf("%s %s %06d%.*s %s %s", names[k], cells[k][v].gone ? "delete" : "upsert",
                                   v, v % 5, "zzzzz", to, cells[k][v].gone ? "-" : cells[k][v].note);
            size += strlen(rows[n++]) + 2;
        }
    qsort(rows, n, sizeof *rows, compare_texts);
    char *all = dm_xzalloc(1, size);
    for (size_t i = 0; i < n; i++) {
        strcat(strcat(all, i > 0 ? "; " : ""), rows[i]);
        free(rows[i]);
    }
    free(rows);
    return all;
}

static void test_random_intervals(void **state)
{
    (void)state;
    static const char names[n_names][4] = {"a", "b", "ab", "c"};
    uint64_t random = test_seed();
    for (int round = 0; round < 8; round++) {
        struct world *w = history_world(dm_type_of(DM_STRING), DM_HISTORY_SCD2);
        struct cell(*cells)[n_versions] = dm_xzalloc(n_names, sizeof *cells);
        for (int commits = 0; commits < 25; commits++) {
            struct change changes[32];
            char notes[32][24];
            begin(w);
            for (uint64_t batches = 1 + random_next(&random) % 3; batches > 0; batches--) {
                size_t n = 1 + random_next(&random) % 12;
                for (size_t i = 0; i < n; i++) {
                    int name = (int)(random_next(&random) % n_names),
                        v = (int)(random_next(&random) % n_versions);
                    bool gone = random_next(&random) % 4 == 0;
                    (void)snprintf(notes[i], sizeof notes[i], "n%llu",
                                   (unsigned long long)random_next(&random) % 3); /* few: many equal rows */
                    changes[i] = (struct change){
                        .region = 1, .name = names[name], .version = v, .gone = gone, .note = notes[i]};
                    struct cell *c = &cells[name][v];
                    if (c->known && c->gone)
                        continue;
                    c->known = true;
                    c->gone = gone;
                    memcpy(c->note, notes[i], sizeof c->note);
                }
                apply(w, changes, n);
            }
            publish(w);
            if (random_next(&random) % 3 == 0)
                must(dm_compact_target(&w->m, w->t, &w->summary, &w->err));
            if (random_next(&random) % 8 == 0)
                lose_index(w);
            char *expected = oracle(cells, names);
            EXPECT("t__history", expected, "name", "_op", "_valid_from", "_valid_to", "note");
            free(expected);
        }
        free(cells);
        free_world(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_applied_changes),
        cmocka_unit_test(test_null_updates_in_history),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_history_key_too_long),
        cmocka_unit_test(test_kind_changes),
        cmocka_unit_test(test_random_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
