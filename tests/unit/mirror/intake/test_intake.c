/* Intake: files into a declared dataset in one commit, receipts, limits, dry runs, several jobs at once, and what a failure leaves. */
#include "intake_fixture.h"

#include <sqlite3.h>

static struct dm_intake_job job_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return (struct dm_intake_job){.dataset = "sales.orders",
                                  .source = "ingest",
                                  .origin = slash + 1,
                                  .path = path,
                                  .options = {.version_field = -1}};
}

static void make_orders(struct fixture *f, const char *options)
{
    struct dm_error err = {0};
    fixture_make(f, options);
    OK(declare(f, orders_schema(), &err));
}

static int64_t number(struct fixture *f, const char *sql)
{
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_prepare_v2(dm_lake_sqlite(f->m->lake), sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static const char rows_sql[] = "select id, item, price, version from sales.orders order by id";

static void test_file(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    make_orders(&f, "");
    char *path =
        write_file(&f, "a.csv",
                   "id,item,price,version,_change_request_type\n1,ant,1.50,1,u\n2,bee,2,1,U\n3,cat,3,1,\n"
                   "x,bad,1,1,u\n2,,,2,d\n9,,,1,D\n1,older,1,0,u\n");
    struct dm_intake_job job = job_of(path);
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_int_equal(job.error.class, DM_ERROR_NONE);
    assert_int_equal(job.counts.received, 7);
    assert_int_equal(job.counts.upserted, 3);
    assert_int_equal(job.counts.deleted, 1);
    assert_int_equal(job.counts.noop_deletes, 1);
    assert_int_equal(job.counts.stale, 1);
    assert_int_equal(job.counts.quarantined, 1);
    assert_true(job.n_notes > 0);
    dm_intake_job_release(&job);
    assert_query(&f, rows_sql, "1,ant,1.50,1 3,cat,3.00,1");
    assert_int_equal(
        number(&f, "select count(*) from dm_quarantine where position='a.csv:5' and source='ingest'"), 1);
    assert_int_equal(number(&f, "select received from dm_dataset"), 7);
    assert_int_equal(number(&f, "select quarantined from dm_dataset"), 1);
    free(path);
    fixture_release(&f);
}

static void test_no_rows_and_bad_files(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    make_orders(&f, "");
    char *empty = write_file(&f, "empty.csv", "id,item,price,version\n");
    char *good = write_file(&f, "good.csv", "id,item,price,version\n1,ant,1,1\n");
    char *lacks = write_file(&f, "lacks.csv", "id,item\n1,ant\n");
    struct dm_intake_job jobs[] = {job_of(empty), job_of(lacks), job_of(good), job_of("/nowhere/at-all.csv"),
                                   job_of(good)};
    jobs[4].dataset = "sales.oders";
    OK(dm_intake(f.m, jobs, 5, NULL, NULL, &err));
    assert_int_equal(jobs[0].error.class, DM_ERROR_NONE);
    assert_int_equal(jobs[0].counts.received, 0);
    assert_int_equal(jobs[1].error.class, DM_ERROR_DATA);
    assert_int_equal(jobs[2].error.class, DM_ERROR_NONE);
    assert_int_equal(jobs[2].counts.upserted, 1);
    assert_true(jobs[3].error.class != DM_ERROR_NONE);
    assert_int_equal(jobs[4].error.class, DM_ERROR_CONFIG);
    assert_true(jobs[4].unknown_dataset);
    assert_non_null(strstr(jobs[4].error.message, "did you mean sales.orders"));
    for (size_t i = 0; i < 5; i++)
        dm_intake_job_release(&jobs[i]);
    assert_query(&f, rows_sql, "1,ant,1.00,1");
    free(empty);
    free(good);
    free(lacks);
    fixture_release(&f);
}

static void test_receipts(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    make_orders(&f, "");
    char *one = write_file(&f, "one.csv", "id,item,price,version\n1,ant,1,1\n");
    char *two = write_file(&f, "two.csv", "id,item,price,version\n1,bee,1,5\n2,cat,1,5\n");
    struct dm_intake_job job = job_of(one);
    job.receipt_kind = "request";
    job.receipt_key = "k1";
    job.receipt_check = "aaa";
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_false(job.repeated);
    dm_intake_job_release(&job);
    fixture_close(&f); /* they outlive the process */
    fixture_open(&f);
    job.path = two; /* not looked at: the receipt says it is done */
    job.dataset = "sales.orders";
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_true(job.repeated);
    assert_int_equal(job.counts.upserted, 1);
    dm_intake_job_release(&job);
    assert_query(&f, rows_sql, "1,ant,1.00,1");
    job.receipt_check = "bbb";
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_int_equal(job.error.class, DM_ERROR_CONFLICT);
    dm_intake_job_release(&job);
    struct dm_intake_job twins[] = {job_of(two), job_of(two)};
    for (size_t i = 0; i < 2; i++) {
        twins[i].receipt_kind = "request";
        twins[i].receipt_key = "k2";
    }
    OK(dm_intake(f.m, twins, 2, NULL, NULL, &err));
    assert_false(twins[0].repeated);
    assert_true(twins[1].repeated);
    assert_int_equal(twins[1].counts.upserted, 2);
    assert_int_equal(number(&f, "select received from dm_dataset"), 3);
    dm_intake_job_release(&twins[0]);
    dm_intake_job_release(&twins[1]);
    free(one);
    free(two);
    fixture_release(&f);
}

static void test_dry_run_and_limits(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    struct dm_relational_schema *s = orders_schema();
    s->settings.max_quarantined = 2;
    OK(declare(&f, s, &err));
    char *two_bad = write_file(&f, "two.csv", "id,item,price,version\n1,a,1,1\nx,a,1,1\ny,a,1,1\n");
    char *three_bad =
        write_file(&f, "three.csv", "id,item,price,version\n1,a,1,1\nx,a,1,1\ny,a,1,1\nz,b,1,1\n");
    struct dm_intake_job job = job_of(two_bad);
    job.dry_run = true;
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_int_equal(job.error.class, DM_ERROR_NONE);
    assert_int_equal(job.counts.upserted, 1);
    assert_int_equal(job.counts.quarantined, 2);
    dm_intake_job_release(&job);
    assert_query(&f, rows_sql, "");
    assert_int_equal(number(&f, "select count(*) from dm_quarantine"), 0);
    assert_int_equal(number(&f, "select received from dm_dataset"), 0);
    job = job_of(three_bad);
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_int_equal(job.error.class, DM_ERROR_DATA);
    assert_non_null(strstr(job.error.message, "max_quarantined"));
    assert_int_equal(job.counts.upserted, 0);
    dm_intake_job_release(&job);
    assert_query(&f, rows_sql, "");
    assert_int_equal(number(&f, "select count(*) from dm_quarantine"), 0);
    job = job_of(two_bad);
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    dm_intake_job_release(&job);
    assert_query(&f, rows_sql, "1,a,1.00,1");
    assert_int_equal(number(&f, "select count(*) from dm_quarantine"), 2);
    free(two_bad);
    free(three_bad);
    fixture_release(&f);
}

/* A file of many parts that turns out bad in the last one leaves nothing, and its neighbours are in. */
static void test_large_file_that_fails(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    make_orders(&f, "commit_bytes: 64KiB\n");
    enum { rows = 20000 };
    const size_t size = rows * 64;
    char *text = dm_xalloc(size);
    size_t n = (size_t)snprintf(text, size, "id,item,price,version\n");
    for (int i = 0; i < rows; i++)
        n += (size_t)snprintf(text + n, size - n, "%d,%s,1,1\n", i, "an item with a name of some length");
    char *large = write_file(&f, "large.csv", text);
    struct dm_relational_schema *s = orders_schema();
    s->settings.max_quarantined = 1;
    OK(declare(&f, s, &err));
    (void)snprintf(text + n, size - n, "x,a,1,1\ny,a,1,1\n");
    char *spoilt = write_file(&f, "spoilt.csv", text);
    char *small = write_file(&f, "small.csv", "id,item,price,version\n-1,small,1,1\n");
    struct dm_intake_job jobs[] = {job_of(small), job_of(spoilt), job_of(small)};
    OK(dm_intake(f.m, jobs, 3, NULL, NULL, &err));
    assert_int_equal(jobs[1].error.class, DM_ERROR_DATA);
    assert_int_equal(jobs[0].counts.upserted, 1);
    assert_int_equal(jobs[2].counts.upserted, 0); /* the same again */
    assert_int_equal(jobs[2].counts.ties, 1);
    assert_query(&f, rows_sql, "-1,small,1.00,1");
    for (size_t i = 0; i < 3; i++)
        dm_intake_job_release(&jobs[i]);
    struct dm_intake_job job = job_of(large);
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_int_equal(job.counts.upserted, rows);
    dm_intake_job_release(&job);
    assert_query(&f, "select count(*), count(distinct id), sum(id) from sales.orders",
                 "20001,20001,199989999");
    /* One commit, so one snapshot since the last. */
    const struct dm_dataset *d = NULL;
    OK(dm_lake_dataset(f.m->lake, "sales", "orders", &d, &err));
    assert_int_equal(d->live_rows, rows + 1);
    free(text);
    free(large);
    free(spoilt);
    free(small);
    fixture_release(&f);
}

/* More bad rows than memory is given: all of them are kept, each with its own place. */
static void test_many_bad_rows(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    make_orders(&f, "commit_bytes: 64KiB\n");
    enum { rows = 60000 };
    const size_t size = rows * 160;
    char *text = dm_xalloc(size);
    size_t n = (size_t)snprintf(text, size, "id,item,price,version\n");
    for (int i = 0; i < rows; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%d,%0100d,1,1\n", i % 10 == 0 ? "" : "x", i, i);
    char *path = write_file(&f, "bad.csv", text);
    struct dm_intake_job job = job_of(path);
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_int_equal(job.error.class, DM_ERROR_NONE);
    assert_int_equal(job.counts.received, rows);
    assert_int_equal(job.counts.upserted, rows / 10);
    assert_int_equal(job.counts.quarantined, rows - rows / 10);
    dm_intake_job_release(&job);
    assert_int_equal(
        number(&f, "select count(distinct position) from dm_quarantine where reason='wrong_type'"),
        rows - rows / 10);
    assert_int_equal(number(&f, "select count(*) from dm_quarantine where position = 'bad.csv:' || "
                                "(cast(substr(json_extract(raw, '$.id'), 2) as integer) + 2)"),
                     rows - rows / 10);
    free(text);
    free(path);
    fixture_release(&f);
}

/* The key index is derived: without it everything is as before, tombstones included. */
static void test_index_lost(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    make_orders(&f, "");
    char *first =
        write_file(&f, "first.ndjson",
                   "{\"id\":1,\"item\":\"a\",\"version\":5}\n{\"id\":2,\"item\":\"b\",\"version\":5}\n"
                   "{\"id\":2,\"version\":7,\"_change_request_type\":\"d\"}\n");
    struct dm_intake_job job = job_of(first);
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_int_equal(job.counts.deleted, 1);
    dm_intake_job_release(&job);
    fixture_close(&f);
    char *index = dm_xasprintf("%s/lake/.index", f.folder);
    OK(dm_file_remove_tree(index, &err));
    free(index);
    fixture_open(&f);
    char *late = write_file(
        &f, "late.ndjson",
        "{\"id\":1,\"item\":\"late\",\"version\":4}\n{\"id\":2,\"item\":\"late\",\"version\":6}\n");
    job = job_of(late);
    OK(dm_intake(f.m, &job, 1, NULL, NULL, &err));
    assert_int_equal(job.counts.stale, 2);
    dm_intake_job_release(&job);
    assert_query(&f, rows_sql, "1,a,-,5");
    free(first);
    free(late);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_no_rows_and_bad_files),
        cmocka_unit_test(test_receipts),
        cmocka_unit_test(test_dry_run_and_limits),
        cmocka_unit_test(test_large_file_that_fails),
        cmocka_unit_test(test_many_bad_rows),
        cmocka_unit_test(test_index_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
