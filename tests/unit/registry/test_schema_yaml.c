/* Schemas in YAML: what is read, and what a refusal says. */
#include "schema_text.h"

static const struct dm_schema_read_options yaml = {.file = "s.yaml"};

static void test_short_form(void **state)
{
    (void)state;
    struct dm_relational_schemas list =
        schemas_of("schemas:\n"
                   "  - name: sales.customers\n"
                   "    columns: {customer_id: int64 key, updated_at: timestamptz version}\n"
                   "  - name: sales.orders\n"
                   "    title: Orders\n"
                   "    description: What was ordered\n"
                   "    columns: {order_id: int64 not null, status: {type: string, enum: [A, B]}, total: "
                   "decimal(12,2) not null,\n"
                   "              customer_id: bigint, tags: 'list<string>', codes: 'text[]', updated_at: "
                   "timestamptz not null,\n"
                   "              short: varchar(20), price: numeric( 10 , 3 ), note: string}\n"
                   "    key: [order_id]\n"
                   "    version: updated_at\n"
                   "    relationships: [{columns: customer_id, to: customers, cardinality: M:1, on_orphan: "
                   "quarantine}]\n"
                   "    history: scd2\n"
                   "    ignore_null_updates: true\n"
                   "    tombstone_retention: forever\n"
                   "    expire: P3M\n"
                   "    max_quarantined: 5%\n",
                   &yaml);
    assert_int_equal(list.n, 2);
    const struct dm_relational_schema *c = list.items[0], *o = list.items[1];
    assert_string_equal(c->version, "updated_at");
    assert_int_equal(c->key.n, 1);
    assert_true(column_of(c, "customer_id")->required);
    assert_true(column_of(c, "updated_at")->required);
    assert_string_equal(o->title, "Orders");
    static const char *const order[] = {"order_id", "status",     "total", "customer_id", "tags",
                                        "codes",    "updated_at", "short", "price",       "note"};
    assert_int_equal(o->n_columns, 10);
    for (size_t i = 0; i < o->n_columns; i++)
        assert_string_equal(o->columns[i].name, order[i]);
    assert_type(o, "total", "decimal(12, 2)");
    assert_true(column_of(o, "total")->required);
    assert_type(o, "price", "decimal(10, 3)");
    assert_type(o, "tags", "list<string>");
    assert_type(o, "codes", "list<string>");
    assert_type(o, "customer_id", "long");
    assert_false(column_of(o, "customer_id")->required);
    assert_int_equal(column_of(o, "short")->max_length, 20);
    assert_int_equal(column_of(o, "status")->allowed.n, 2);
    assert_int_equal(o->n_relationships, 1);
    assert_string_equal(o->relationships[0].target, "sales.customers");
    assert_string_equal(o->relationships[0].target_columns.items[0], "customer_id");
    assert_string_equal(o->relationships[0].name, "customer_id to sales.customers");
    assert_true(o->relationships[0].enforced);
    assert_int_equal(o->settings.history, DM_HISTORY_SCD2);
    assert_true(o->settings.ignore_null_updates);
    assert_int_equal(o->settings.tombstone_retention_ms, -1);
    assert_string_equal(o->settings.expire, "P3M");
    assert_true(o->settings.max_quarantined_share > 0.0499 && o->settings.max_quarantined_share < 0.0501);
    dm_relational_schemas_release(&list);
}

static void test_list_of_columns_and_one_schema_alone(void **state)
{
    (void)state;
    struct dm_relational_schemas list = schemas_of(
        "name: events\n"
        "behavior: time-series\n"
        "columns:\n"
        "  - {name: user, type: string, required: true, min_length: 1, max_length: 9, title: User}\n"
        "  - at: timestamp not null\n"
        "  - {name: n, type: int32 not null, description: counter, renamed_from: m}\n"
        "key: [user, at]\n"
        "version: n\n"
        "timestamp: at\n"
        "tombstone_retention: 2h\n"
        "max_quarantined: 100\n",
        &yaml);
    const struct dm_relational_schema *s = list.items[0];
    assert_string_equal(s->name, "default.events");
    assert_int_equal(s->behavior, DM_BEHAVIOR_TIME_SERIES);
    assert_int_equal(column_of(s, "user")->min_length, 1);
    assert_string_equal(column_of(s, "user")->title, "User");
    assert_string_equal(column_of(s, "n")->renamed_from, "m");
    assert_type(s, "at", "timestamp");
    assert_int_equal(s->settings.tombstone_retention_ms, 2 * 3600 * 1000);
    assert_int_equal(s->settings.max_quarantined, 100);
    dm_relational_schemas_release(&list);
    list = schemas_of(
        "schemas: {a.b: {columns: {id: int key, v: date version}}, c: {columns: {id: int key, v: date "
        "version}}}\n---\nname: third\ncolumns: {id: int key, v: date version}\n",
        &yaml);
    assert_int_equal(list.n, 3);
    assert_string_equal(list.items[0]->name, "a.b");
    assert_string_equal(list.items[1]->name, "default.c");
    dm_relational_schemas_release(&list);
}

static void test_relationship_target_with_columns(void **state)
{
    (void)state;
    struct dm_relational_schemas list = schemas_of(
        "- {name: a.p, columns: {x: int key, y: string not null, v: int version}}\n"
        "- {name: a.c, columns: {id: int key, px: int, py: string, v: int version}, relationships: [{name: "
        "up, "
        "columns: [px, py], to: 'a.p(x, y)', cardinality: '1:0', forward_name: f, backward_name: b}]}\n",
        &yaml);
    const struct dm_relationship *r = &list.items[1]->relationships[0];
    assert_string_equal(r->name, "up");
    assert_int_equal(r->target_columns.n, 2);
    assert_string_equal(r->target_columns.items[1], "y");
    assert_int_equal(r->cardinality, DM_ONE_TO_ZERO);
    assert_string_equal(r->forward_name, "f");
    dm_relational_schemas_release(&list);
}

#define GOOD "name: a\ncolumns: {id: int key, v: int version}\n"

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message, *hint;
    } cases[] = {
        {"", "s.yaml:1: there are no schemas", "schemas:"},
        {"schemas:\n  - name: a\n    colums: {id: int}\n", "s.yaml:3: a schema has no \"colums\"",
         "did you mean \"columns\""},
        {"name: a\nname: b\n", "s.yaml:2: name is given twice; the first is in line 1", NULL},
        {"columns: {id: int}\n", "the file has no \"columns\"", NULL},
        {"schemas: [{columns: {id: int key}}]\n", "the schema has no name", NULL},
        {"name: a\ncolumns:\n  id: intt key\n", "s.yaml:3: column \"id\": there is no type \"intt\"",
         "did you mean \"int"},
        {"name: a\ncolumns:\n  id: decimal\n", "\"decimal\" is not a type", "decimal(12,2)"},
        {"name: a\ncolumns:\n  id: decimal(39,2)\n", "is not a type", "1 to 38"},
        {"name: a\ncolumns:\n  id: decimal(12,2\n", "there is no type", NULL},
        {"name: a\ncolumns:\n  t: timestamptz_ns\n",
         "s.yaml:3: column \"t\": \"timestamptz_ns\" is not a type", "write timestamp_ns"},
        {"name: a\ncolumns:\n  t: timestamp(10)\n", "is not a type", "0 to 9"},
        {"name: a\ncolumns:\n  id:\n", "s.yaml:3: column \"id\" has no type", NULL},
        {"name: a\ncolumns:\n  id: {enum: [a]}\n", "column \"id\" has no type", NULL},
        {"name: a\ncolumns:\n  id: {type: string, enum: []}\n", "enum is an empty list", NULL},
        {"name: a\ncolumns:\n  id: {type: string, enum: [a, a]}\n", "enum names \"a\" twice", NULL},
        {"name: a\ncolumns:\n  id: {type: string, tpye: int}\n", "a column has no \"tpye\"",
         "did you mean \"type\""},
        {"name: a\ncolumns: [id]\n", "a column wants a map", NULL},
        {"name: a\ncolumns: [{type: int, required: true}]\n", "a column has no name", NULL},
        {"name: a\ncolumns: 5\n", "columns wants a map or a list, not a single value", NULL},
        {"name: a\nbehavior: log\n", "behavior cannot be \"log\"; allowed are: record, time-series", NULL},
        {"name: a\nhistory: maybe\n", "history cannot be \"maybe\"", NULL},
        {"name: a\ntombstone_retention: week\n", "tombstone_retention cannot be \"week\"", NULL},
        {"name: a\nmax_quarantined: 0\n", "max_quarantined cannot be \"0\"", NULL},
        {"name: a\nmax_quarantined: 100%\n", "max_quarantined cannot be \"100%\"", NULL},
        {"name: a\nignore_null_updates: perhaps\n", "allowed are: true, false", NULL},
        {"name: a\nunion: true\n", "union", "remove the line"},
        {GOOD "relationships: {columns: id}\n", "relationships wants a list", NULL},
        {GOOD "relationships: [{columns: id}]\n", "a relationship needs \"to\"", NULL},
        {GOOD "relationships: [{to: a}]\n", "a relationship needs \"columns\"", NULL},
        {GOOD "relationships:\n- {columns: id, to: a, cardinality: M:M}\n",
         "s.yaml:4: cardinality cannot be \"M:M\"", "junction"},
        {GOOD "relationships: [{columns: id, to: a, on_orphan: drop}]\n", "on_orphan cannot be \"drop\"",
         NULL},
        {"name: a\ncolumns: {id: int version, v: int version}\n",
         "both \"id\" and \"v\" are declared as the version", NULL},
        {"name: a\ncolumns: {id: int key}\nkey: id\n", "key is given twice", NULL},
        {"name: !!int 5\n", "the YAML tag", NULL},
        {"name: [a\n", "this is not YAML", NULL},
        {"name: a\n\xff\n", "s.yaml:2: this is not UTF-8", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused_with(cases[i].text, &yaml, cases[i].message, cases[i].hint);
}

/* An alias of a node inside itself must end, and so must aliases that multiply. */
static void test_aliases(void **state)
{
    (void)state;
    refused_with("&a [*a]\n", &yaml, "a schema wants a map", NULL);
    refused_with("&a {name: x, columns: *a}\n", &yaml, "there is no type", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_form),
        cmocka_unit_test(test_list_of_columns_and_one_schema_alone),
        cmocka_unit_test(test_relationship_target_with_columns),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_aliases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
