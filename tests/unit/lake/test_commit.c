/* Commits: what becomes visible when, what a failed or killed commit leaves behind, what a second opening of the lake reads back. */
#include "lake_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <sqlite3.h>

static int setup(void **state)
{
    *state = temporary_folder();
    return 0;
}

static int teardown(void **state)
{
    struct dm_error err = {0};
    int rc = dm_file_remove_tree(*state, &err) == DM_OK ? 0 : -1;
    free(*state);
    return rc;
}

static size_t count_files(const char *folder)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    if (d != NULL)
        closedir(d);
    return n;
}

static void assert_same(const struct dm_dataset *a, const struct dm_dataset *b)
{
    assert_string_equal(a->location, b->location);
    assert_int_equal(a->snapshot_id, b->snapshot_id);
    assert_int_equal(a->parent_snapshot_id, b->parent_snapshot_id);
    assert_int_equal(a->sequence_number, b->sequence_number);
    assert_int_equal(a->live_rows, b->live_rows);
    assert_int_equal(a->last_column_id, b->last_column_id);
    assert_true(dm_schema_equal(a->schema, b->schema));
    assert_int_equal(a->n_files, b->n_files);
    for (size_t i = 0; i < a->n_files; i++) {
        const struct dm_data_file *f = &a->files[i], *g = &b->files[i];
        assert_int_equal(f->number, g->number);
        assert_string_equal(f->path, g->path);
        assert_int_equal(f->rows, g->rows);
        assert_int_equal(f->bytes, g->bytes);
        assert_int_equal(f->sequence_number, g->sequence_number);
        assert_int_equal(f->added_snapshot, g->added_snapshot);
        assert_int_equal(f->first_row_id, g->first_row_id);
        assert_int_equal(f->deleted_rows, g->deleted_rows);
        assert_int_equal(f->deleted != NULL, g->deleted != NULL);
        if (f->deleted != NULL)
            assert_true(roaring_bitmap_equals(f->deleted, g->deleted));
    }
}

/* What the writing lake has in memory is what a fresh one reads from the files. */
static void assert_readable(struct dm_lake *lake, const char *folder, const char *namespace, const char *name)
{
    struct dm_lake *reader = open_lake_with(folder, 100, true);
    const struct dm_dataset *d = dataset(reader, namespace, name);
    assert_non_null(d);
    assert_same(dataset(lake, namespace, name), d);
    dm_lake_close(reader);
}

static void no_finding(void *ctx, const char *namespace, const char *name, const char *path, const char *what)
{
    (void)ctx;
    fail_msg("%s.%s: %s: %s", namespace, name, path, what);
}

static void adds_deletes_and_removes_survive_reopening(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "orders");
    assert_int_equal(dataset(lake, "shop", "orders")->snapshot_id, 0);
    assert_readable(lake, *state, "shop", "orders");

    struct dm_commit *c = begin(lake);
    uint32_t first = add_fake_file(c, "shop", "orders", 100);
    uint32_t second = add_fake_file(c, "shop", "orders", 50);
    uint32_t rows[] = {3, 4, 3};
    must(dm_commit_delete_rows(c, "shop", "orders", second, rows, 3, &err));
    finish(c);
    assert_int_equal(dataset(lake, "shop", "orders")->live_rows, 148);
    assert_readable(lake, *state, "shop", "orders");

    c = begin(lake);
    uint32_t more[] = {3, 7, 99};
    must(dm_commit_delete_rows(c, "shop", "orders", first, more, 3, &err));
    must(dm_commit_delete_rows(c, "shop", "orders", second, more, 2, &err));
    uint32_t third = add_fake_file(c, "shop", "orders", 10);
    finish(c);
    assert_int_equal(dataset(lake, "shop", "orders")->live_rows, 97 + 47 + 10);
    assert_int_equal(dm_dataset_file(dataset(lake, "shop", "orders"), second)->deleted_rows, 3);
    assert_readable(lake, *state, "shop", "orders");

    /* A file all of whose rows are deleted goes as a whole. */
    uint32_t all[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    c = begin(lake);
    must(dm_commit_delete_rows(c, "shop", "orders", third, all, 10, &err));
    finish(c);
    assert_null(dm_dataset_file(dataset(lake, "shop", "orders"), third));
    assert_readable(lake, *state, "shop", "orders");
    must(dm_lake_check(lake, no_finding, NULL, &err));

    c = begin(lake);
    uint32_t gone = add_fake_file(c, "shop", "orders", 5);
    must(dm_commit_remove_all(c, "shop", "orders", &err));
    add_fake_file(c, "shop", "orders", 2);
    finish(c);
    assert_null(dm_dataset_file(dataset(lake, "shop", "orders"), gone));
    assert_int_equal(dataset(lake, "shop", "orders")->n_files, 1);
    assert_int_equal(dataset(lake, "shop", "orders")->live_rows, 2);
    assert_readable(lake, *state, "shop", "orders");
    dm_lake_close(lake);
}

/* Deleting rows that are deleted already is no change: no snapshot, no metadata. */
static void deleting_again_changes_nothing(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "orders");
    struct dm_commit *c = begin(lake);
    uint32_t file = add_fake_file(c, "shop", "orders", 10);
    uint32_t row = 4;
    must(dm_commit_delete_rows(c, "shop", "orders", file, &row, 1, &err));
    finish(c);
    int64_t snapshot = dataset(lake, "shop", "orders")->snapshot_id;
    c = begin(lake);
    must(dm_commit_delete_rows(c, "shop", "orders", file, &row, 1, &err));
    finish(c);
    assert_int_equal(dataset(lake, "shop", "orders")->snapshot_id, snapshot);
    /* A row past the end is our own bug and must not get into a vector. */
    c = begin(lake);
    row = 10;
    assert_int_equal(dm_commit_delete_rows(c, "shop", "orders", file, &row, 1, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_FATAL);
    dm_commit_free(c);
    dm_lake_close(lake);
}

static enum dm_status fail_extra(void *ctx, struct sqlite3 *db, struct dm_error *err)
{
    (void)ctx;
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS extra (n)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO extra VALUES (1)", NULL, NULL, NULL), SQLITE_OK);
    return dm_fail(err, DM_ERROR_DATA, NULL, "stop here");
}

/* Neither dataset moves, nothing of the caller's stays, and the files are gone, when the transaction fails half-way. */
static void failed_publish_moves_nothing(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "a");
    create_dataset(lake, "shop", "b");
    char *folder = dm_xasprintf("%s/metadata", dataset(lake, "shop", "a")->location);
    size_t files = count_files(folder);
    struct dm_commit *c = begin(lake);
    add_fake_file(c, "shop", "a", 10);
    add_fake_file(c, "shop", "b", 20);
    struct dm_schema *s = small_schema();
    must(dm_commit_create(c, "shop", "c", s, &err));
    dm_schema_unref(s);
    must(dm_commit_write(c, NULL, &err));
    assert_int_equal(dm_commit_publish(c, fail_extra, NULL, &err), DM_FAIL);
    assert_string_equal(err.message, "stop here");
    dm_commit_free(c);
    assert_int_equal(dataset(lake, "shop", "a")->live_rows, 0);
    assert_int_equal(dataset(lake, "shop", "b")->live_rows, 0);
    assert_null(dataset(lake, "shop", "c"));
    assert_int_equal(count_files(folder), files);
    assert_int_not_equal(sqlite3_exec(dm_lake_sqlite(lake), "SELECT * FROM extra", NULL, NULL, NULL),
                         SQLITE_OK);
    /* The lake goes on. */
    c = begin(lake);
    add_fake_file(c, "shop", "a", 10);
    add_fake_file(c, "shop", "b", 20);
    finish(c);
    assert_readable(lake, *state, "shop", "a");
    assert_readable(lake, *state, "shop", "b");
    free(folder);
    dm_lake_close(lake);
}

/* A reader sees both datasets before or both after: the pointers move in one transaction. */
static void moved_pointer_is_a_conflict_for_all(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "a");
    create_dataset(lake, "shop", "b");
    struct dm_commit *c = begin(lake);
    add_fake_file(c, "shop", "a", 10);
    add_fake_file(c, "shop", "b", 20);
    must(dm_commit_write(c, NULL, &err));
    sqlite3 *other = NULL;
    char *path = dm_xasprintf("%s/catalog.db", (char *)*state);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other,
                                  "UPDATE iceberg_tables SET metadata_location = 'file:///elsewhere' "
                                  "WHERE table_name = 'b'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(dm_commit_publish(c, NULL, NULL, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFLICT);
    dm_commit_free(c);
    struct dm_lake *reader = open_lake_with(*state, 100, true);
    assert_int_equal(dataset(reader, "shop", "a")->live_rows, 0);
    dm_lake_close(reader);
    free(path);
    dm_lake_close(lake);
}

/* Files of a commit that was killed before publish go with the sweep, at once or after the age; nothing else does. */
static void sweep_removes_what_a_crash_left(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "a");
    struct dm_commit *c = begin(lake);
    uint32_t file = add_fake_file(c, "shop", "a", 10);
    uint32_t row = 1;
    must(dm_commit_delete_rows(c, "shop", "a", file, &row, 1, &err));
    finish(c);
    char *data = dm_xasprintf("%s/data", dataset(lake, "shop", "a")->location);
    char *metadata = dm_xasprintf("%s/metadata", dataset(lake, "shop", "a")->location);
    size_t data_files = count_files(data), metadata_files = count_files(metadata);
    /* As a killed process leaves it: written, never published, never freed. */
    char *left = dm_xasprintf("%s/00000009-0123456789abcdef.parquet", data);
    char *left2 = dm_xasprintf("%s/snap-12-0123456789abcdef.avro", metadata);
    must(dm_file_write(left, "PAR1", 4, &err));
    must(dm_file_write(left2, "Obj", 3, &err));
    uint64_t removed = 0;
    must(dm_lake_sweep(lake, 3600 * 1000, &removed, &err));
    assert_int_equal(removed, 0);
    must(dm_lake_sweep(lake, 0, &removed, &err));
    assert_int_equal(removed, 2);
    assert_int_equal(count_files(data), data_files);
    assert_int_equal(count_files(metadata), metadata_files);
    must(dm_lake_check(lake, no_finding, NULL, &err));
    assert_readable(lake, *state, "shop", "a");
    free(data);
    free(metadata);
    free(left);
    free(left2);
    dm_lake_close(lake);
}

/* Many commits: metadata files, snapshots and manifests stay bounded, and the sweep keeps all that the kept snapshots need. */
static void many_commits_stay_bounded(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake_with(*state, 5, false);
    create_dataset(lake, "shop", "a");
    uint64_t rows = 0;
    char *pin = NULL;
    int64_t pinned_snapshot = 0;
    for (int i = 0; i < 60; i++) {
        struct dm_commit *c = begin(lake);
        add_fake_file(c, "shop", "a", 10);
        rows += 10;
        if (i % 3 == 2) {
            const struct dm_dataset *d = dataset(lake, "shop", "a");
            const struct dm_data_file *f = &d->files[(size_t)i % d->n_files];
            uint32_t row = (uint32_t)(i / 3) % 10;
            if (f->deleted == NULL || !roaring_bitmap_contains(f->deleted, row))
                rows--;
            must(dm_commit_delete_rows(c, "shop", "a", f->number, &row, 1, &err));
        }
        finish(c);
        assert_int_equal(dataset(lake, "shop", "a")->live_rows, rows);
        if (i % 10 == 0) {
            must(dm_lake_sweep(lake, 0, NULL, &err));
            assert_readable(lake, *state, "shop", "a");
        }
        if (i == 57) {
            must(dm_lake_metadata_location(lake, "shop", "a", &pin, &err));
            pinned_snapshot = dataset(lake, "shop", "a")->snapshot_id;
        }
    }
    must(dm_lake_sweep(lake, 0, NULL, &err));
    must(dm_lake_check(lake, no_finding, NULL, &err));
    assert_readable(lake, *state, "shop", "a");
    char *metadata = dm_xasprintf("%s/metadata", dataset(lake, "shop", "a")->location);
    size_t n = count_files(metadata);
    /* 5 metadata files and their vN links, the hint, 5 manifest lists, some 20 small manifests and those that merges replaced. */
    assert_in_range(n, 16, 60);
    struct dm_dataset *then = NULL;
    must(dm_lake_dataset_at(lake, pin, &then, &err));
    assert_int_equal(then->snapshot_id, pinned_snapshot);
    assert_int_equal(then->n_files, 57); /* 58 were added; the first lost its last row on the way */
    dm_dataset_free(then);
    free(pin);
    free(metadata);
    dm_lake_close(lake);
}

static void *make_files(void *commit)
{
    struct dm_error err = {0};
    for (int i = 0; i < 200; i++) {
        uint32_t number = 0;
        char *path = NULL;
        if (dm_commit_new_file(commit, "shop", i % 2 == 0 ? "a" : "b", &number, &path, &err) != DM_OK ||
            number == 0)
            return commit;
        free(path);
    }
    return NULL;
}

/* Numbers are unique under threads, and also after a commit that came to nothing. */
static void file_numbers_are_never_given_twice(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "a");
    create_dataset(lake, "shop", "b");
    struct dm_commit *c = begin(lake);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_files, c), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    uint32_t number = add_fake_file(c, "shop", "a", 3);
    assert_int_equal(number, 401);
    dm_commit_free(c);
    c = begin(lake);
    number = add_fake_file(c, "shop", "a", 3);
    assert_int_equal(number, 402);
    finish(c);
    c = begin(lake);
    must(dm_commit_remove_file(c, "shop", "a", number, &err));
    finish(c);
    dm_lake_close(lake);
    lake = open_lake(*state);
    c = begin(lake);
    assert_true(add_fake_file(c, "shop", "a", 3) >
                number); /* the highest number is free on disk, but was used */
    dm_commit_free(c);
    dm_lake_close(lake);
}

/* Row lineage: a file keeps its row ids through merges and rewrites, and no two files share one. */
static void row_ids_stay_and_never_meet(void **state)
{
    enum { COMMITS = 50 };
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    int64_t first[COMMITS + 2] = {0};
    create_dataset(lake, "shop", "a");
    for (int i = 0; i < COMMITS; i++) {
        struct dm_commit *c = begin(lake);
        uint32_t number = add_fake_file(c, "shop", "a", 10 + (uint64_t)i);
        if (i % 7 == 6)
            must(dm_commit_remove_file(c, "shop", "a", number - 3, &err));
        finish(c);
        const struct dm_dataset *d = dataset(lake, "shop", "a");
        first[number] = dm_dataset_file(d, number)->first_row_id;
        for (size_t k = 0; k < d->n_files; k++) {
            const struct dm_data_file *f = &d->files[k];
            assert_int_equal(f->first_row_id, first[f->number]);
            for (size_t j = 0; j < k; j++)
                assert_true(d->files[j].first_row_id + (int64_t)d->files[j].rows <= f->first_row_id ||
                            f->first_row_id + (int64_t)f->rows <= d->files[j].first_row_id);
        }
        if (i % 5 == 0)
            assert_readable(lake, *state, "shop", "a");
    }
    dm_lake_close(lake);
}

static void drop_rename_and_create_again(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "a");
    create_dataset(lake, "shop", "b");
    struct dm_commit *c = begin(lake);
    add_fake_file(c, "shop", "a", 1);
    add_fake_file(c, "shop", "b", 2);
    finish(c);
    /* Swap the names of two datasets. */
    c = begin(lake);
    must(dm_commit_rename(c, "shop", "a", "shop", "x", &err));
    must(dm_commit_rename(c, "shop", "b", "shop", "a", &err));
    must(dm_commit_rename(c, "shop", "x", "shop", "b", &err));
    finish(c);
    assert_int_equal(dataset(lake, "shop", "a")->live_rows, 2);
    assert_int_equal(dataset(lake, "shop", "b")->live_rows, 1);
    assert_string_equal(dataset(lake, "shop", "b")->name, "b");
    assert_null(dataset(lake, "shop", "x"));
    /* Drop and create under one name in one commit: another folder, an empty dataset. */
    char *old = dm_xstrdup(dataset(lake, "shop", "a")->location);
    struct dm_schema *s = small_schema();
    c = begin(lake);
    must(dm_commit_drop(c, "shop", "a", &err));
    must(dm_commit_create(c, "shop", "a", s, &err));
    add_fake_file(c, "shop", "a", 7);
    finish(c);
    dm_schema_unref(s);
    assert_int_equal(dataset(lake, "shop", "a")->live_rows, 7);
    assert_string_not_equal(dataset(lake, "shop", "a")->location, old);
    assert_readable(lake, *state, "shop", "a");
    assert_readable(lake, *state, "shop", "b");
    /* The dropped folder goes with the sweep, the living ones stay. */
    assert_true(dm_file_exists(old));
    must(dm_lake_sweep(lake, 0, NULL, &err));
    assert_false(dm_file_exists(old));
    assert_readable(lake, *state, "shop", "a");
    assert_readable(lake, *state, "shop", "b");
    c = begin(lake);
    must(dm_commit_drop(c, "shop", "b", &err));
    finish(c);
    assert_null(dataset(lake, "shop", "b"));
    struct dm_dataset_name *names = NULL;
    size_t n = 0;
    must(dm_lake_list(lake, &names, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(names[0].name, "a");
    dm_dataset_names_free(names, n);
    free(old);
    dm_lake_close(lake);
}

static void strange_names_have_plain_folders(void **state)
{
    static const char *const names[] = {"Order Items", "a.b",   "a/b",   "100%", "päckchen",
                                        "select",      "x#y?z", "\"q\"", ".."};
    struct dm_lake *lake = open_lake(*state);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        create_dataset(lake, "shop", names[i]);
        struct dm_commit *c = begin(lake);
        add_fake_file(c, "shop", names[i], i + 1);
        finish(c);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(dataset(lake, "shop", names[i])->live_rows, i + 1);
        assert_readable(lake, *state, "shop", names[i]);
        const char *location = dataset(lake, "shop", names[i])->location;
        assert_null(strpbrk(location, " %#?\""));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(location, dataset(lake, "shop", names[j])->location);
    }
    dm_lake_close(lake);
}

static void names_the_damaged_file(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "a");
    char *location = NULL;
    must(dm_lake_metadata_location(lake, "shop", "a", &location, &err));
    dm_lake_close(lake);
    must(dm_file_write(location + strlen("file://"), "{\"format-version\": 3,", 21, &err));
    lake = open_lake(*state);
    const struct dm_dataset *d = NULL;
    assert_int_equal(dm_lake_dataset(lake, "shop", "a", &d, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_DATA);
    assert_non_null(strstr(err.message, location + strlen("file://")));
    dm_lake_close(lake);
    free(location);
}

static void refuses_a_missing_lake_and_format_2(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = NULL;
    char *folder = dm_xasprintf("%s/none", (char *)*state);
    struct dm_lake_options o = {.folder = folder, .read_only = true};
    assert_int_equal(dm_lake_open(&o, &lake, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    assert_true(err.hint[0] != '\0');
    assert_false(dm_file_exists(folder));
    o = (struct dm_lake_options){.folder = folder, .format_version = 2};
    assert_int_equal(dm_lake_open(&o, &lake, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    free(folder);
}

/* A column that came and went within the commit may be in its files: its id is never given again. */
static void ids_of_columns_that_went_in_the_same_commit_are_spent(void **state)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(*state);
    create_dataset(lake, "shop", "orders");
    const int32_t before = dataset(lake, "shop", "orders")->last_column_id;
    struct dm_schema *kept = dm_schema_ref(dataset(lake, "shop", "orders")->schema);
    struct dm_schema *wanted = dm_schema_copy(kept), *with = NULL;
    dm_schema_add(wanted, "gone", dm_type_of(DM_INT64))->source_ref = 99;
    int32_t last = before;
    must(dm_schema_evolve(kept, wanted, &last, &with, &err));
    assert_int_equal(last, before + 1);
    struct dm_commit *c = begin(lake);
    must(dm_commit_set_schema(c, "shop", "orders", with, &err));
    add_fake_file(c, "shop", "orders", 10);
    must(dm_commit_set_schema(c, "shop", "orders", kept, &err));
    finish(c);
    assert_int_equal(dataset(lake, "shop", "orders")->last_column_id, before + 1);
    assert_int_equal(dataset(lake, "shop", "orders")->schema->n_fields, kept->n_fields);
    struct dm_lake *reader = open_lake_with(*state, 100, true);
    assert_int_equal(dataset(reader, "shop", "orders")->last_column_id, before + 1);
    dm_lake_close(reader);
    dm_schema_unref(with);
    dm_schema_unref(wanted);
    dm_schema_unref(kept);
    dm_lake_close(lake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(adds_deletes_and_removes_survive_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_of_columns_that_went_in_the_same_commit_are_spent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(deleting_again_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_publish_moves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_pointer_is_a_conflict_for_all, setup, teardown),
        cmocka_unit_test_setup_teardown(sweep_removes_what_a_crash_left, setup, teardown),
        cmocka_unit_test_setup_teardown(many_commits_stay_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(file_numbers_are_never_given_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(row_ids_stay_and_never_meet, setup, teardown),
        cmocka_unit_test_setup_teardown(drop_rename_and_create_again, setup, teardown),
        cmocka_unit_test_setup_teardown(strange_names_have_plain_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(names_the_damaged_file, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_missing_lake_and_format_2, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
