/* The registry in the catalog: what is put is got back, ids stay, mirrored tables follow their source. */
#include <sqlite3.h>

#include "registry/registry.h"
#include "schema_text.h"
#include "source/source.h"

static const struct dm_schema_read_options yaml = {.file = "s.yaml"};
static const char two[] = "- {name: s.p, columns: {id: int64 key, v: date version}}\n"
                          "- {name: s.c, title: T, description: D, behavior: time-series, history: scd2, "
                          "expire: P1Y, max_quarantined: 5%, "
                          "key: [who, at], timestamp: at, columns: {who: {type: string, not_null: true, "
                          "enum: [x, ÿ], title: t}, at: timestamp not null, "
                          "m: decimal(38,20), dates: 'list<date>', p: int64, v: timestamptz version}, "
                          "relationships: [{name: up, columns: p, to: p, "
                          "cardinality: '1:0', on_orphan: quarantine, forward_name: f, backward_name: b}, "
                          "{columns: [p], to: p, name: also}]}\n";

static sqlite3 *open_db(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    return db;
}

static void ok(enum dm_status status, const struct dm_error *err)
{
    if (status != DM_OK)
        fail_msg("%s (%s)", err->message, err->hint);
}

static struct dm_relational_schema *get(sqlite3 *db, const char *name)
{
    struct dm_relational_schema *s = NULL;
    struct dm_error err = {0};
    ok(dm_registry_get(db, name, &s, &err), &err);
    return s;
}

static void test_put_and_get(void **state)
{
    (void)state;
    sqlite3 *db = open_db();
    struct dm_error err = {0};
    struct dm_relational_schemas list = {0}, wanted = schemas_of(two, &yaml);
    assert_null(get(db, "s.p")); /* no tables yet */
    ok(dm_registry_list(db, &list, &err), &err);
    assert_int_equal(list.n, 0);
    for (size_t i = 0; i < wanted.n; i++)
        ok(dm_registry_put(db, wanted.items[i], &err), &err);
    ok(dm_registry_list(db, &list, &err), &err);
    assert_int_equal(list.n, 2);
    assert_same_schema(wanted.items[1], list.items[0]); /* by name: s.c, s.p */
    assert_same_schema(wanted.items[0], list.items[1]);
    const struct dm_relational_schema *c = list.items[0];
    assert_true(c->id > 0 && c->key_id > 0 && c->version_id > 0 && c->timestamp_id > 0 && c->created_us > 0);
    assert_int_equal(c->id, wanted.items[1]->id);
    assert_int_equal(c->relationships[0].id, wanted.items[1]->relationships[0].id);
    dm_relational_schemas_release(&list);
    dm_relational_schemas_release(&wanted);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_ids_stay(void **state)
{
    (void)state;
    sqlite3 *db = open_db();
    struct dm_error err = {0};
    struct dm_relational_schemas wanted = schemas_of(two, &yaml);
    for (size_t i = 0; i < wanted.n; i++)
        ok(dm_registry_put(db, wanted.items[i], &err), &err);
    struct dm_relational_schema *first = get(db, "s.c");
    dm_relational_schema_unrelate(wanted.items[1], 0);
    free(wanted.items[1]->version);
    wanted.items[1]->version = strdup("m");
    ok(dm_registry_put(db, wanted.items[1], &err), &err);
    struct dm_relational_schema *second = get(db, "s.c");
    assert_int_equal(second->id, first->id);
    assert_int_equal(second->version_id, first->version_id);
    assert_string_equal(second->version, "m");
    assert_int_equal(second->key_id, first->key_id);
    assert_int_equal(second->n_relationships, 1);
    assert_string_equal(second->relationships[0].name, "also");
    assert_int_equal(second->relationships[0].id, first->relationships[1].id);
    assert_int_equal(second->created_us, first->created_us);
    ok(dm_registry_remove(db, "s.c", &err), &err);
    assert_null(get(db, "s.c"));
    ok(dm_registry_remove(db, "s.c", &err), &err);
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM dm_descriptor", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(st, 0), 2); /* those of s.p */
    sqlite3_finalize(st);
    dm_relational_schema_free(first);
    dm_relational_schema_free(second);
    dm_relational_schemas_release(&wanted);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Inside a caller's transaction nothing is kept when the caller rolls back. */
static void test_in_a_transaction(void **state)
{
    (void)state;
    sqlite3 *db = open_db();
    struct dm_error err = {0};
    struct dm_relational_schemas wanted = schemas_of(two, &yaml);
    ok(dm_registry_create_tables(db, &err), &err);
    assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    ok(dm_registry_put(db, wanted.items[0], &err), &err);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_null(get(db, "s.p"));
    bool own;
    ok(dm_registry_begin(db, &own, &err), &err);
    ok(dm_registry_put(db, wanted.items[0], &err), &err);
    assert_int_equal(dm_registry_end(db, own, DM_FAIL, &err), DM_FAIL);
    assert_null(get(db, "s.p"));
    dm_relational_schemas_release(&wanted);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---- mirrored tables ---- */

static struct dm_table *orders(const char *name, uint64_t id)
{
    struct dm_table *t = calloc(1, sizeof *t);
    t->schema = strdup("public");
    t->name = strdup(name);
    t->id = id;
    t->columns = dm_schema_new();
    dm_schema_add(t->columns, "id", dm_type_of(DM_INT32))->required = true;
    dm_schema_add(t->columns, "customer", dm_type_of(DM_INT64));
    dm_schema_add(t->columns, "product", dm_type_of(DM_INT64))->required = true;
    dm_schema_add_key(t->columns, 0);
    t->n_foreign_keys = 3;
    t->foreign_keys = calloc(3, sizeof *t->foreign_keys);
    static const char *const columns[] = {"customer", "product", "id"}, *const targets[] = {"customers",
                                                                                            "hidden", "base"};
    for (size_t i = 0; i < 3; i++) {
        struct dm_foreign_key *fk = &t->foreign_keys[i];
        fk->name = i == 0 ? strdup("fk_customer") : NULL;
        fk->n_columns = 1;
        fk->columns = calloc(1, sizeof(char *));
        fk->columns[0] = strdup(columns[i]);
        fk->target_schema = strdup("public");
        fk->target_table = strdup(targets[i]);
        fk->target_columns = calloc(1, sizeof(char *));
        fk->target_columns[0] = strdup("id");
    }
    return t;
}

static void free_table(struct dm_table *t)
{
    for (size_t i = 0; i < t->n_foreign_keys; i++) {
        free(t->foreign_keys[i].name);
        free(t->foreign_keys[i].columns[0]);
        free(t->foreign_keys[i].columns);
        free(t->foreign_keys[i].target_schema);
        free(t->foreign_keys[i].target_table);
        free(t->foreign_keys[i].target_columns[0]);
        free(t->foreign_keys[i].target_columns);
    }
    free(t->foreign_keys);
    dm_schema_unref(t->columns);
    free(t->schema);
    free(t->name);
    free(t);
}

static char *target_name(void *ctx, const char *schema, const char *table)
{
    (void)schema;
    char text[64];
    if (strcmp(table, "hidden") == 0)
        return NULL;
    (void)snprintf(text, sizeof text, "shop.%s%s", table, ctx != NULL ? (const char *)ctx : "");
    return strdup(text);
}

static void test_mirrored_table(void **state)
{
    (void)state;
    sqlite3 *db = open_db();
    struct dm_error err = {0};
    struct dm_table *t = orders("orders", 42);
    ok(dm_registry_put_table(db, "shop", "shop.orders", t, target_name, NULL, &err), &err);
    struct dm_relational_schema *s = get(db, "shop.orders");
    assert_string_equal(s->origin, "shop");
    assert_null(s->version);
    assert_int_equal(s->key.n, 1);
    assert_int_equal(s->n_columns, 3);
    assert_int_equal(s->n_relationships, 2); /* `hidden` is not mirrored */
    assert_string_equal(s->relationships[0].name, "fk_customer");
    assert_string_equal(s->relationships[0].target, "shop.customers");
    assert_int_equal(s->relationships[0].cardinality, DM_MANY_TO_ZERO);
    assert_true(s->relationships[0].discovered);
    assert_string_equal(s->relationships[1].name, "id to base");
    assert_int_equal(s->relationships[1].cardinality, DM_ONE_TO_ONE);
    int64_t updated = s->updated_us;

    /* A declared relationship and title on top. */
    struct dm_relationship *r = dm_relational_schema_relate(s, "shop.products");
    r->name = strdup("mine");
    dm_names_add(&r->columns, "product");
    dm_names_add(&r->target_columns, "nr");
    s->description = strdup("what was ordered");
    ok(dm_registry_put(db, s, &err), &err);
    dm_relational_schema_free(s);

    /* The same again writes nothing. */
    s = get(db, "shop.orders");
    updated = s->updated_us;
    dm_relational_schema_free(s);
    ok(dm_registry_put_table(db, "shop", "shop.orders", t, target_name, NULL, &err), &err);
    s = get(db, "shop.orders");
    assert_int_equal(s->updated_us, updated);
    assert_int_equal(s->n_relationships, 3);
    int64_t id = s->id, relationship = s->relationships[0].id;
    dm_relational_schema_free(s);

    /* A column more and one renamed, as the source says. */
    dm_schema_add(t->columns, "note", dm_type_of(DM_STRING));
    ok(dm_registry_put_table(db, "shop", "shop.orders", t, target_name, NULL, &err), &err);
    s = get(db, "shop.orders");
    assert_int_equal(s->n_columns, 4);
    assert_string_equal(s->description, "what was ordered");
    assert_int_equal(s->n_relationships, 3);
    assert_int_equal(s->id, id);
    assert_int_equal(s->relationships[0].id, relationship);
    dm_relational_schema_free(s);
    free_table(t);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_mirrored_table_is_renamed(void **state)
{
    (void)state;
    sqlite3 *db = open_db();
    struct dm_error err = {0};
    struct dm_table *base = orders("base", 1), *t = orders("orders", 2);
    base->n_foreign_keys = 0; /* restored below, to be freed */
    ok(dm_registry_put_table(db, "shop", "shop.base", base, target_name, NULL, &err), &err);
    ok(dm_registry_put_table(db, "shop", "shop.orders", t, target_name, NULL, &err), &err);
    struct dm_relational_schema *s = get(db, "shop.base");
    int64_t id = s->id;
    dm_relational_schema_free(s);
    ok(dm_registry_put_table(db, "shop", "shop.ground", base, target_name, NULL, &err), &err);
    assert_null(get(db, "shop.base"));
    s = get(db, "shop.ground");
    assert_int_equal(s->id, id);
    dm_relational_schema_free(s);
    s = get(db, "shop.orders");
    assert_string_equal(s->relationships[1].target, "shop.ground");
    dm_relational_schema_free(s);

    /* Another table in the place of a dropped one of its name. */
    t->id = 99;
    ok(dm_registry_put_table(db, "shop", "shop.orders", t, target_name, NULL, &err), &err);
    s = get(db, "shop.orders");
    assert_int_equal(s->source_id, 99);
    dm_relational_schema_free(s);

    /* A dataset of that name that is somebody else's. */
    struct dm_relational_schemas wanted =
        schemas_of("name: shop.taken\ncolumns: {id: int key, v: int version}\n", &yaml);
    ok(dm_registry_put(db, wanted.items[0], &err), &err);
    assert_int_equal(dm_registry_put_table(db, "shop", "shop.taken", t, target_name, NULL, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    assert_non_null(strstr(err.message, "origin is declared"));
    dm_relational_schemas_release(&wanted);
    base->n_foreign_keys = 3;
    free_table(base);
    free_table(t);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_damaged_entry(void **state)
{
    (void)state;
    sqlite3 *db = open_db();
    struct dm_error err = {0};
    struct dm_relational_schemas list = {0}, wanted = schemas_of(two, &yaml);
    ok(dm_registry_put(db, wanted.items[0], &err), &err);
    assert_int_equal(sqlite3_exec(db, "UPDATE dm_schema SET columns='[{\"name\":\"x\"}]'", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(dm_registry_list(db, &list, &err), DM_FAIL);
    assert_non_null(strstr(err.message, "s.p"));
    assert_int_equal(sqlite3_exec(db, "UPDATE dm_schema SET columns='{'", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(dm_registry_list(db, &list, &err), DM_FAIL);
    dm_relational_schemas_release(&wanted);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_get),
        cmocka_unit_test(test_ids_stay),
        cmocka_unit_test(test_in_a_transaction),
        cmocka_unit_test(test_mirrored_table),
        cmocka_unit_test(test_mirrored_table_is_renamed),
        cmocka_unit_test(test_damaged_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
