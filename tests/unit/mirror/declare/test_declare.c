/* Declaring datasets: made, evolved, refused when the data or a rule stands against it, removed; all or nothing. */
#include "../intake/intake_fixture.h"

static void load(struct fixture *f, const char *text)
{
    struct dm_error err = {0};
    char *path = write_file(f, "load.csv", text);
    struct dm_intake_job job = {.dataset = "sales.orders",
                                .source = "ingest",
                                .origin = "load.csv",
                                .path = path,
                                .options = {.version_field = -1}};
    OK(dm_intake(f->m, &job, 1, NULL, NULL, &err));
    if (job.error.class != DM_ERROR_NONE)
        fail_msg("%s", job.error.message);
    assert_int_equal(job.counts.quarantined, 0);
    dm_intake_job_release(&job);
    free(path);
}

static void refused(struct fixture *f, struct dm_relational_schema *take, const char *message)
{
    struct dm_error err = {0};
    if (declare(f, take, &err) == DM_OK)
        fail_msg("accepted, but should be refused with: %s", message);
    if (err.class != DM_ERROR_CONFIG || strstr(err.message, message) == NULL)
        fail_msg("class %s, \"%s\" lacks \"%s\"", dm_error_class_name(err.class), err.message, message);
    assert_true(err.hint[0] != '\0');
}

static struct dm_relational_schema *stored(struct fixture *f)
{
    struct dm_error err = {0};
    struct dm_relational_schema *s = NULL;
    OK(dm_registry_get(dm_lake_sqlite(f->m->lake), "sales.orders", &s, &err));
    return s;
}

static const char all_sql[] = "select * from sales.orders order by id";

static void test_evolution(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    OK(declare(&f, orders_schema(), &err));
    load(&f, "id,item,price,version\n1,ant,1,1\n2,bee,2,1\n");
    struct dm_relational_schema *s = orders_schema();
    dm_relational_schema_add(s, "note", dm_type_of(DM_STRING));
    s->columns[2].type = dm_type_decimal(12, 2);
    free(s->columns[1].name);
    s->columns[1].name = dm_xstrdup("article");
    s->columns[1].renamed_from = dm_xstrdup("item");
    OK(declare(&f, s, &err));
    load(&f, "id,article,price,version,note\n2,bee,2,3,new\n3,cow,9999999999.99,1,\n");
    assert_query(&f, all_sql, "1,ant,1.00,1,- 2,bee,2.00,3,new 3,cow,9999999999.99,1,-");
    fixture_close(&f);
    fixture_open(&f);
    assert_query(&f, "select article from sales.orders where id = 1", "ant");
    fixture_release(&f);
}

static void test_columns_with_data_stay(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    OK(declare(&f, orders_schema(), &err));
    load(&f, "id,item,price,version\n1,ant,1,1\n");
    struct dm_relational_schema *s = dm_relational_schema_new("sales.orders");
    dm_relational_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_relational_schema_add(s, "price", dm_type_decimal(10, 2));
    dm_relational_schema_add(s, "version", dm_type_of(DM_INT64))->required = true;
    dm_names_add(&s->key, "id");
    s->version = dm_xstrdup("version");
    refused(&f, dm_relational_schema_copy(s), "item");
    assert_query(&f, all_sql, "1,ant,1.00,1");
    OK(declare_with(&f, s, (struct dm_declare_options){.drop_columns = true}, &err));
    assert_query(&f, all_sql, "1,1.00,1");
    fixture_release(&f);
}

static void test_narrower_type(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    OK(declare(&f, orders_schema(), &err));
    load(&f, "id,item,price,version\n1,ant,1,1\n");
    struct dm_relational_schema *s = orders_schema();
    s->columns[0].type = dm_type_of(DM_INT32);
    refused(&f, s, "id");
    fixture_release(&f);
}

static void test_anything_before_data(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    OK(declare(&f, orders_schema(), &err));
    struct dm_relational_schema *s = orders_schema();
    s->columns[0].type = dm_type_of(DM_STRING);
    s->columns[2].type = dm_type_of(DM_BOOL);
    OK(declare(&f, s, &err));
    load(&f, "id,item,price,version\nx1,ant,true,1\n");
    fixture_close(&f);
    fixture_open(&f);
    load(&f, "id,item,price,version\nx1,ape,false,0\n");
    assert_query(&f, all_sql, "x1,ant,true,1");
    refused(&f, orders_schema(), "id");
    fixture_release(&f);
}

/* A new key is checked against the data, and then it is the key. */
static void test_new_key(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    OK(declare(&f, orders_schema(), &err));
    load(&f, "id,item,price,version\n1,ant,1,1\n2,ant,2,1\n3,cow,1,1\n");
    struct dm_relational_schema *by_item = orders_schema();
    dm_names_release(&by_item->key);
    dm_names_add(&by_item->key, "item");
    by_item->columns[1].required = true;
    refused(&f, dm_relational_schema_copy(by_item), "more than once");
    struct dm_relational_schema *s = stored(&f);
    assert_string_equal(s->key.items[0], "id");
    dm_relational_schema_free(s);
    load(&f, "id,item,price,version\n1,ape,1,2\n");
    OK(declare(&f, by_item, &err));
    load(&f, "id,item,price,version\n77,ant,5,2\n8,cow,5,0\n");
    assert_query(&f, "select item, id, version from sales.orders order by item", "ant,77,2 ape,1,2 cow,3,1");
    fixture_close(&f);
    fixture_open(&f);
    load(&f, "id,item,price,version\n78,ant,5,3\n");
    assert_query(&f, "select item, id, version from sales.orders order by item", "ant,78,3 ape,1,2 cow,3,1");
    fixture_release(&f);
}

static void test_new_version(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    struct dm_relational_schema *s = orders_schema();
    dm_relational_schema_add(s, "revision", dm_type_of(DM_INT64));
    OK(declare(&f, dm_relational_schema_copy(s), &err));
    load(&f, "id,item,price,version,revision\n1,ant,1,9,1\n2,bee,1,9,\n");
    free(s->version);
    s->version = dm_xstrdup("revision");
    s->columns[4].required = true;
    refused(&f, dm_relational_schema_copy(s), "revision");
    load(&f, "id,item,price,version,revision\n2,bee,1,10,5\n");
    OK(declare(&f, s, &err));
    load(&f, "id,item,price,version,revision\n1,new,1,0,2\n2,old,1,99,4\n");
    assert_query(&f, "select id, item, revision from sales.orders order by id", "1,new,2 2,bee,5");
    fixture_release(&f);
}

/* One bad schema among several: none is made. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    struct dm_relational_schemas wanted = {0};
    struct dm_relational_schema *bad = orders_schema();
    free(bad->name);
    bad->name = dm_xstrdup("sales.items");
    free(bad->version);
    bad->version = NULL;
    dm_relational_schemas_add(&wanted, orders_schema());
    dm_relational_schemas_add(&wanted, bad);
    assert_int_equal(dm_declare(f.m, &wanted, &(struct dm_declare_options){0}, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    dm_relational_schemas_release(&wanted);
    assert_null(stored(&f));
    OK(declare_with(&f, orders_schema(), (struct dm_declare_options){.dry_run = true}, &err));
    assert_null(stored(&f));
    fixture_release(&f);
}

static void test_names(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(
        &f,
        "sources: {shop: {type: sqlite, path: shop.db}, drop: {type: files, path: in, dataset: drop.x}}\n");
    struct dm_relational_schema *s = orders_schema();
    free(s->name);
    s->name = dm_xstrdup("shop.orders");
    refused(&f, dm_relational_schema_copy(s), "belongs to the source shop");
    free(s->name);
    s->name = dm_xstrdup("sales.orders__history");
    refused(&f, dm_relational_schema_copy(s), "__history");
    free(s->name);
    s->name = dm_xstrdup("drop.x");
    OK(declare(&f, s, &err));
    fixture_release(&f);
}

static void test_undeclare(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dm_error err = {0};
    fixture_make(&f, "");
    OK(declare(&f, orders_schema(), &err));
    load(&f, "id,item,price,version,_change_request_type\n1,ant,1,1,u\n2,,,5,d\n");
    OK(dm_undeclare(f.m, "sales.orders", false, &err));
    assert_int_equal(dm_undeclare(f.m, "sales.orders", false, &err), DM_FAIL);
    struct dm_dataset_name *names = NULL;
    size_t n = 0;
    OK(dm_lake_list(f.m->lake, &names, &n, &err));
    assert_int_equal(n, 0);
    dm_dataset_names_free(names, n);
    /* Again: it begins empty, and nothing is remembered. */
    OK(declare(&f, orders_schema(), &err));
    load(&f, "id,item,price,version\n2,bee,2,1\n");
    assert_query(&f, all_sql, "2,bee,2.00,1");
    fixture_close(&f);
    fixture_open(&f);
    load(&f, "id,item,price,version\n2,cow,2,0\n");
    assert_query(&f, all_sql, "2,bee,2.00,1");
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evolution),      cmocka_unit_test(test_columns_with_data_stay),
        cmocka_unit_test(test_narrower_type),  cmocka_unit_test(test_anything_before_data),
        cmocka_unit_test(test_new_key),        cmocka_unit_test(test_new_version),
        cmocka_unit_test(test_all_or_nothing), cmocka_unit_test(test_names),
        cmocka_unit_test(test_undeclare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
