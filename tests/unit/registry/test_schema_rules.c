/* Every rule of docs/schemas.md: a schema that breaks it is refused by file, line, field and rule. */
#include "schema_text.h"

static const struct dm_schema_read_options yaml = {.file = "s.yaml"};

/* A rule: what breaks it, the words of the refusal, and the same mended, which must pass. */
struct rule {
    const char *broken, *message, *hint, *mended;
};

static void check(const struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        refused_with(rules[i].broken, &yaml, rules[i].message, rules[i].hint);
        if (rules[i].mended == NULL)
            continue;
        struct dm_relational_schemas list = schemas_of(rules[i].mended, &yaml);
        dm_relational_schemas_release(&list);
    }
}
#define CHECK(rules) check(rules, sizeof(rules) / sizeof *(rules))

#define ONE(columns, rest) "name: s.a\ncolumns: {" columns "}\n" rest "\n"

static void test_primary_key(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {ONE("id: int not null, v: int version", ""), "s.yaml:1: s.a: there is no primary key", "key: [",
         ONE("id: int not null, v: int version", "key: id")},
        {ONE("id: int not null, v: int version", "key: nr"),
         "the primary key is \"nr\", which is not a column", "declare it", NULL},
        {ONE("id: int not null, v: int version", "key: address/zip"), "which is not a column", "root level",
         NULL},
        {ONE("id: int, v: int version", "key: id"),
         "s.yaml:2: s.a: column \"id\" is part of the primary key and must be required", "not null",
         ONE("id: int not null, v: int version", "key: id")},
        {ONE("id: 'text[] key', v: int version", ""), "part of the primary key and cannot be list<string>",
         "scalar", NULL},
    };
    CHECK(rules);
    struct dm_relational_schemas list =
        schemas_of(ONE("a: int not null, b: string not null, v: int version", "key: [b, a]"), &yaml);
    assert_string_equal(list.items[0]->key.items[0], "b");
    dm_relational_schemas_release(&list);
}

static void test_version(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {ONE("id: int key, v: int not null", ""), "there is no version column", "--version",
         ONE("id: int key, v: int not null", "version: v")},
        {ONE("id: int key", "version: w"), "the version is \"w\", which is not a column", NULL, NULL},
        {ONE("id: int key, v: int", "version: v"), "column \"v\" is the version and must be required",
         "not null", NULL},
        {ONE("id: int key", "version: id"),
         "column \"id\" cannot be both part of the primary key and the version", NULL, NULL},
        {ONE("id: int key, v: boolean version", ""), "is the version and cannot be boolean",
         "date-time or an integer", NULL},
        {ONE("id: int key, v: float64 version", ""), "is the version and cannot be double", NULL, NULL},
        {ONE("id: int key, v: uuid version", ""), "is the version and cannot be uuid", NULL, NULL},
        {ONE("id: int key, v: binary version", ""), "is the version and cannot be binary", NULL, NULL},
        {ONE("id: int key, v: time version", ""), "is the version and cannot be time", NULL, NULL},
    };
    CHECK(rules);
    static const char *const good[] = {"int",       "bigint",      "decimal(20,0)", "date",
                                       "timestamp", "timestamptz", "string",        "timestamp_ns"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "name: s.a\ncolumns:\n  id: int key\n  v: %s version\n", good[i]);
        struct dm_relational_schemas list = schemas_of(text, &yaml);
        assert_string_equal(list.items[0]->version, "v");
        dm_relational_schemas_release(&list);
    }
}

#define SERIES "behavior: time-series\n"

static void test_timestamp(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {ONE("id: int key, t: timestamptz key, v: int version", SERIES),
         "a time-series schema needs a timestamp", "event_time",
         ONE("id: int key, t: timestamptz key, v: int version", SERIES "timestamp: t")},
        {ONE("id: int key, t: timestamptz not null, v: int version", "timestamp: t"),
         "only a time-series schema has a timestamp", "behavior: time-series", NULL},
        {ONE("id: int key, t: timestamp_ns key, v: int version", SERIES),
         "a time-series schema needs a timestamp", NULL,
         ONE("id: int key, t: timestamp_ns key, v: int version", SERIES "timestamp: t\nexpire: P3M")},
        {ONE("id: int key, t: date key, v: int version", SERIES "timestamp: t"),
         "must be a date-time, not date", NULL, NULL},
        {ONE("id: int key, t: timestamptz, v: int version", SERIES "timestamp: t"),
         "column \"t\" is the timestamp and must be required", NULL, NULL},
        {ONE("id: int key, t: timestamptz not null, v: int version", SERIES "timestamp: t"),
         "must include its timestamp \"t\"", "add it to the key", NULL},
        {ONE("t: timestamptz key, v: int version", SERIES "timestamp: t"), "composite", "whose event", NULL},
        {ONE("id: int key, t: timestamptz not null", SERIES "timestamp: t\nversion: t"),
         "cannot be both the timestamp and the version", NULL, NULL},
    };
    CHECK(rules);
}

static void test_names(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {ONE("id: int key, id: string, v: int version", ""), "column \"id\" is declared twice", NULL, NULL},
        {ONE("id: int key, ID: string, v: int version", ""), "\"id\" and \"ID\" differ in case only",
         "rename", NULL},
        {ONE("id: int key, _change_request_type: string, v: int version", ""),
         "reserved for the kind of a change", "never stored", NULL},
        {ONE("id: int key, _CHANGE_TYPE: string, v: int version", ""), "reserved", NULL, NULL},
        {ONE("id: int key, __rowmarker__: int, v: int version", ""), "reserved", NULL, NULL},
        {ONE("id: int key, _op: string, v: int version", "history: true"),
         "the history dataset has a column of that name", "history: false",
         ONE("id: int key, _op: string, v: int version", "")},
        {"name: s.a__history\ncolumns: {id: int key, v: int version}\n", "__history are reserved", NULL,
         NULL},
        {"name: s.a__TOMBSTONES\ncolumns: {id: int key, v: int version}\n", "__tombstones are reserved", NULL,
         NULL},
        {"name: s/a.b\ncolumns: {id: int key, v: int version}\n", "slashes", NULL, NULL},
        {"name: s.\ncolumns: {id: int key, v: int version}\n", "lacks the table's part", NULL, NULL},
        {"name: .b\ncolumns: {id: int key, v: int version}\n", "lacks the namespace", NULL, NULL},
        {"- {name: s.a, columns: {id: int key, v: int version}}\n- {name: s.a, columns: {id: int key, v: int "
         "version}}\n",
         "two schemas of this name", NULL, NULL},
        {"- {name: s.a, columns: {id: int key, v: int version}}\n- {name: S.A, columns: {id: int key, v: int "
         "version}}\n",
         "in another case", NULL, NULL},
        {"name: s.a\nkey: id\n", "there are no columns", NULL, NULL},
    };
    CHECK(rules);
}

static void test_values(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {ONE("id: int key, c: {type: int, enum: [a]}, v: int version", ""),
         "column \"c\": an enum needs a string column, not int", NULL,
         ONE("id: int key, c: {type: string, enum: [a]}, v: int version", "")},
        {ONE("id: int key, c: {type: date, max_length: 4}, v: int version", ""), "only a string has a length",
         NULL, NULL},
        {ONE("id: int key, c: {type: string, min_length: 5, max_length: 4}, v: int version", ""),
         "min_length 5 is more than max_length 4", NULL, NULL},
        {ONE("id: int key, v: int version", "expire: 3 months"), "not an ISO-8601 period", "P3M", NULL},
        {ONE("id: int key, v: int version", "expire: P3M"), "expire needs a time to go by",
         "declare a timestamp", ONE("id: int key, v: date version", "expire: P3M")},
    };
    CHECK(rules);
}

#define PARENT "- {name: s.p, columns: {id: int64 key, code: string not null, v: int version}}\n"
#define CHILD(columns, relationship) \
    PARENT "- {name: s.c, columns: {id: int key, v: int version, " columns \
           "}, relationships: [" relationship "]}\n"

static void test_relationships(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {CHILD("p: int", "{columns: q, to: s.p}"), "there is no column \"q\"", "root level",
         CHILD("p: int", "{columns: p, to: s.p}")},
        {CHILD("p: int", "{columns: p, to: s.x}"), "points to s.x, and there is no such schema",
         "apply it first", NULL},
        {CHILD("p: int", "{columns: p, to: x}"), "points to s.x", NULL, NULL},
        {CHILD("p: string", "{columns: p, to: s.p}"), "is string, but s.p.\"id\" is long", "comparable types",
         NULL},
        {CHILD("p: int, q: int", "{columns: [p, q], to: s.p}"), "2 columns here, but 1 in s.p", NULL, NULL},
        {CHILD("p: int", "{columns: p, to: s.p, to_columns: nr}"), "s.p has no column \"nr\"", NULL,
         CHILD("p: string", "{columns: p, to: s.p, to_columns: code}")},
        {CHILD("p: int", "{name: n, columns: p, to: s.p}, {name: n, columns: p, to: s.p}"),
         "two relationships are named \"n\"", NULL,
         CHILD("p: int", "{columns: p, to: s.p}, {columns: p, to: s.p}")},
    };
    CHECK(rules);
}

static void test_relationships_that_point_to_a_changed_schema(void **state)
{
    (void)state;
    struct dm_relational_schemas known = schemas_of(CHILD("p: int", "{columns: p, to: s.p}"), &yaml);
    struct dm_schema_read_options o = {.file = "s.yaml", .known = &known};
    refused_with("name: s.p\ncolumns: {id: string key, v: int version}\n", &o, "is string",
                 "s.c points to s.p");
    refused_with("name: s.P\ncolumns: {id: int key, v: int version}\n", &o, "there is a schema s.p already",
                 NULL);
    struct dm_relational_schemas list = schemas_of(
        "name: s.d\ncolumns: {id: int key, p: int, v: int version}\nrelationships: [{columns: p, to: p}]\n",
        &o);
    assert_string_equal(list.items[0]->relationships[0].target, "s.p");
    dm_relational_schemas_release(&list);
    dm_relational_schemas_release(&known);
}

static void test_renames(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        {ONE("id: int key, a: int, b: {type: int, renamed_from: a}, v: int version", ""),
         "renamed from \"a\", which is still declared", NULL,
         ONE("id: int key, b: {type: int, renamed_from: a}, v: int version", "")},
        {ONE("id: int key, a: {type: int, renamed_from: b}, b: {type: int, renamed_from: a}, v: int version",
             ""),
         "renamed from \"b\", which is still declared", "two steps", NULL},
        {ONE("id: int key, b: {type: int, renamed_from: a}, c: {type: int, renamed_from: a}, v: int version",
             ""),
         "are both renamed from \"a\"", NULL, NULL},
    };
    CHECK(rules);
}

static void test_mirrored_datasets(void **state)
{
    (void)state;
    struct dm_relational_schemas known = schemas_of(CHILD("p: int", "{columns: p, to: s.p}"), &yaml);
    for (size_t i = 0; i < known.n; i++) {
        free(known.items[i]->origin);
        known.items[i]->origin = strdup("shop");
        free(known.items[i]->version);
        known.items[i]->version = NULL;
    }
    known.items[1]->relationships[0].discovered = true;
    struct dm_schema_read_options o = {.file = "s.yaml", .known = &known};
    refused_with("name: s.p\nversion: v\n", &o, "mirrored from source shop, which decides its version",
                 "leave it out");
    refused_with("name: s.p\nkey: v\n", &o, "decides its key", NULL);
    refused_with("name: s.p\ncolumns: {id: int}\n", &o, "decides its columns", NULL);
    refused_with("name: s.p\ncolumns: {more: int}\n", &o, "decides its columns", NULL);
    refused_with("name: s.p\nexpire: P3M\n", &o, "decides its treatment of changes", NULL);
    refused_with("name: s.c\nrelationships: [{columns: p, to: p, on_orphan: quarantine}]\n", &o, "on_orphan",
                 NULL);
    struct dm_relational_schemas list =
        schemas_of("name: s.c\ndescription: child\ncolumns: {p: {type: int, title: Parent}}\nrelationships: "
                   "[{name: mine, columns: v, "
                   "to: p, cardinality: '1:0'}]\n",
                   &o);
    const struct dm_relational_schema *s = list.items[0];
    assert_string_equal(s->origin, "shop");
    assert_int_equal(s->n_columns, 3);
    assert_string_equal(column_of(s, "p")->title, "Parent");
    assert_int_equal(s->key.n, 1);
    assert_int_equal(s->n_relationships, 2); /* the declared one, and the one that was discovered */
    assert_true(s->relationships[1].discovered);
    dm_relational_schemas_release(&list);
    dm_relational_schemas_release(&known);
}

/* DDL cannot say settings: what is there stays, and the version need not be said again. */
static void test_forms_without_words_keep_what_is_there(void **state)
{
    (void)state;
    struct dm_relational_schemas known = schemas_of(
        "- {name: s.p, columns: {id: int key, v: date version}}\n"
        "- {name: s.a, columns: {id: int key, p: {type: int, title: Parent}, v: date version}, expire: P3M, "
        "history: true, relationships: [{columns: p, to: p, on_orphan: quarantine, cardinality: 'M:0'}]}\n",
        &yaml);
    struct dm_schema_read_options o = {.file = "s.sql", .known = &known};
    struct dm_relational_schemas list = schemas_of(
        "CREATE TABLE s.a (id int PRIMARY KEY, p int REFERENCES p, v date NOT NULL, extra text)", &o);
    struct dm_schema_changes changes;
    dm_schema_diff(known.items[1], list.items[0], &changes);
    assert_int_equal(changes.n, 1);
    assert_string_equal(changes.items[0].what, "add column extra string");
    dm_schema_changes_release(&changes);
    dm_relational_schemas_release(&list);
    dm_relational_schemas_release(&known);
}

static enum dm_status check_one(const struct dm_relational_schema *s, struct dm_error *err)
{
    *err = (struct dm_error){0};
    return dm_schema_check(s, err);
}

/* Descriptors that come one at a time: what is not there yet is no breach, what is there is judged. */
static void test_draft(void **state)
{
    (void)state;
    struct dm_error err;
    char missing[DM_MISSING_MAX];
    struct dm_relational_schema *s = dm_relational_schema_new("s.e");
    dm_relational_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_relational_schema_add(s, "at", dm_type_of(DM_TIMESTAMPTZ))->required = true;
    dm_relational_schema_add(s, "v", dm_type_of(DM_INT64))->required = true;
    s->behavior = DM_BEHAVIOR_TIME_SERIES;
    s->settings.expire = strdup("P3M");
    assert_string_equal(dm_relational_schema_missing(s, missing), "primary key, version, timestamp");
    assert_int_equal(check_one(s, &err), DM_FAIL);
    s->draft = true;
    assert_int_equal(check_one(s, &err), DM_OK);
    s->timestamp = strdup("at");
    assert_int_equal(check_one(s, &err), DM_OK);
    dm_names_add(&s->key, "id");
    assert_int_equal(check_one(s, &err), DM_FAIL);
    assert_non_null(strstr(err.message, "must include its timestamp"));
    dm_names_add(&s->key, "at");
    assert_int_equal(check_one(s, &err), DM_OK);
    assert_string_equal(dm_relational_schema_missing(s, missing), "version");
    assert_false(dm_relational_schema_is_complete(s));
    assert_int_equal(dm_relational_schema_incomplete(s, &err), DM_FAIL);
    assert_non_null(strstr(err.message, "still needs version"));
    s->version = strdup("id");
    assert_int_equal(check_one(s, &err), DM_FAIL);
    free(s->version);
    s->version = strdup("v");
    assert_int_equal(check_one(s, &err), DM_OK);
    assert_true(dm_relational_schema_is_complete(s));
    free(s->origin);
    s->origin = strdup("shop"); /* of a mirrored table nothing is missing */
    free(s->version);
    s->version = NULL;
    assert_true(dm_relational_schema_is_complete(s));
    dm_relational_schema_free(s);
}

/* A schema put in the place of another: its descriptors follow renamed columns. */
static void test_descriptors_are_taken_over(void **state)
{
    (void)state;
    struct dm_relational_schemas list =
        schemas_of(ONE("id: int key, n: int, v: int version",
                       "relationships: [{name: up, columns: n, to: s.a, cardinality: 'M:0'}]"),
                   &yaml);
    const struct dm_relational_schema *old = list.items[0];
    struct dm_relational_schema *s = dm_relational_schema_new("s.a");
    struct dm_relational_column *c = dm_relational_schema_add(s, "nr", dm_type_of(DM_INT32));
    c->renamed_from = strdup("id");
    dm_relational_schema_add(s, "n", dm_type_of(DM_INT32));
    c = dm_relational_schema_add(s, "version", dm_type_of(DM_INT32));
    c->renamed_from = strdup("v");
    dm_relational_schema_take_descriptors(s, old);
    assert_int_equal(s->key.n, 1);
    assert_string_equal(s->key.items[0], "nr");
    assert_string_equal(s->version, "version");
    assert_null(s->timestamp);
    assert_int_equal(s->n_relationships, 1);
    assert_string_equal(s->relationships[0].name, "up");
    assert_string_equal(s->relationships[0].columns.items[0], "n");
    assert_string_equal(s->relationships[0].target_columns.items[0], "nr");
    assert_int_equal(s->relationships[0].cardinality, DM_MANY_TO_ZERO);
    dm_relational_schema_free(s);
    dm_relational_schemas_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_primary_key),
        cmocka_unit_test(test_draft),
        cmocka_unit_test(test_descriptors_are_taken_over),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_timestamp),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_relationships),
        cmocka_unit_test(test_relationships_that_point_to_a_changed_schema),
        cmocka_unit_test(test_renames),
        cmocka_unit_test(test_mirrored_datasets),
        cmocka_unit_test(test_forms_without_words_keep_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
