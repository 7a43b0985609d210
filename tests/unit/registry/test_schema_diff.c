/* The plan of an evolution: what is free, what the data must allow, what is refused. */
#include "schema_text.h"

static const struct dm_schema_read_options yaml = {.file = "s.yaml"};

#define PARENT "- {name: s.p, columns: {id: int64 key, v: date version}}\n"
#define TABLE(columns, rest) PARENT "- {name: s.a, columns: {" columns "}" rest "}\n"
#define BASE \
    "id: int key, a: int, s: {type: string, enum: [A, B], max_length: 9}, m: decimal(9,2), v: date version"

struct expected {
    const char *from, *to, *what;
    enum dm_change_verdict verdict;
    enum dm_data_check check;
    const char *bad_rows; /* NULL: not looked at */
    bool reindex;
};

static void expect(const struct expected *e)
{
    struct dm_relational_schemas from = schemas_of(e->from, &yaml), to = schemas_of(e->to, &yaml);
    struct dm_schema_changes changes;
    dm_schema_diff(from.items[1], to.items[1], &changes);
    if (changes.n != 1)
        fail_msg("%zu changes instead of: %s (%s)", changes.n, e->what,
                 changes.n > 1 ? changes.items[1].what : "");
    const struct dm_schema_change *c = &changes.items[0];
    assert_string_equal(c->what, e->what);
    assert_int_equal(c->verdict, e->verdict);
    assert_int_equal(c->check, e->check);
    assert_int_equal(c->reindex, e->reindex);
    assert_int_equal(c->hint != NULL, e->verdict != DM_CHANGE_FREE);
    if (e->bad_rows != NULL)
        assert_string_equal(c->bad_rows, e->bad_rows);
    struct dm_error err = {0};
    assert_int_equal(dm_schema_changes_refused(&changes, to.items[1], &err),
                     e->verdict == DM_CHANGE_REFUSED ? DM_FAIL : DM_OK);
    if (e->verdict == DM_CHANGE_REFUSED && strncmp(err.message, "s.yaml:2: s.a: refused: ", 24) != 0)
        fail_msg("%s", err.message);
    dm_schema_changes_release(&changes);
    dm_relational_schemas_release(&from);
    dm_relational_schemas_release(&to);
}

static void test_single_changes(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {TABLE(BASE, ""), TABLE(BASE ", x: string", ""), "add column x string", DM_CHANGE_FREE, 0, NULL,
         false},
        {TABLE(BASE, ""), TABLE(BASE ", x: string not null", ""), "add column x string not null",
         DM_CHANGE_CHECKED, DM_CHECK_EMPTY, NULL, false},
        {TABLE("id: int key, a: int, v: date version", ""),
         TABLE("id: int key, b: {type: int, renamed_from: a}, v: date version", ""), "rename column a to b",
         DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, a: int, v: date version", ""), TABLE("id: int key, v: date version", ""),
         "drop column a", DM_CHANGE_REFUSED, 0, NULL, false},
        {TABLE("id: int key, a: int, v: date version", ""),
         TABLE("id: int key, v: date version", ", drop_columns: [a]"), "drop column a", DM_CHANGE_FREE, 0,
         NULL, false},
        {TABLE("id: int key, a: int, v: date version", ""),
         TABLE("id: int key, v: date version", ", drop_columns: ['*']"), "drop column a", DM_CHANGE_FREE, 0,
         NULL, false},
        {TABLE("id: int key, a: int, v: date version", ""),
         TABLE("id: int key, a: int64, v: date version", ""), "column a: type int32 to int64", DM_CHANGE_FREE,
         0, NULL, false},
        {TABLE("id: int key, v: date version", ""), TABLE("id: int64 key, v: date version", ""),
         "column id: type int32 to int64", DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, m: decimal(9,2), v: date version", ""),
         TABLE("id: int key, m: decimal(12,2), v: date version", ""),
         "column m: type decimal(9, 2) to decimal(12, 2)", DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, m: decimal(9,2), v: date version", ""),
         TABLE("id: int key, m: decimal(9,3), v: date version", ""),
         "column m: type decimal(9, 2) to decimal(9, 3)", DM_CHANGE_REFUSED, 0, NULL, false},
        {TABLE("id: int key, a: int64, v: date version", ""),
         TABLE("id: int key, a: int, v: date version", ""), "column a: type int64 to int32",
         DM_CHANGE_REFUSED, 0, NULL, false},
        {TABLE("id: int key, a: int, v: date version", ""),
         TABLE("id: int key, a: string, v: date version", ""), "column a: type int32 to string",
         DM_CHANGE_REFUSED, 0, NULL, false},
        {TABLE("id: int key, t: timestamp, v: date version", ""),
         TABLE("id: int key, t: timestamp_ns, v: date version", ""),
         "column t: type timestamp to timestamp_ns", DM_CHANGE_REFUSED, 0, NULL, false},
        {TABLE("id: int key, t: timestamp_ns, v: date version", ""),
         TABLE("id: int key, t: timestamptz, v: date version", ""),
         "column t: type timestamp_ns to timestamptz", DM_CHANGE_REFUSED, 0, NULL, false},
        {TABLE("id: int key, a: int not null, v: date version", ""),
         TABLE("id: int key, a: int, v: date version", ""), "column a: no longer required", DM_CHANGE_FREE, 0,
         NULL, false},
        {TABLE("id: int key, 'a\"b': int, v: date version", ""),
         TABLE("id: int key, 'a\"b': int not null, v: date version", ""), "column a\"b: required",
         DM_CHANGE_CHECKED, DM_CHECK_ROWS, "\"a\"\"b\" IS NULL", false},
        {TABLE("id: int key, a: int, v: date version", ""), TABLE("id: int key, v: date version, a: int", ""),
         "columns in another order", DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, s: string, v: date version", ""),
         TABLE("id: int key, s: {type: string, enum: [A, \"it's\"]}, v: date version", ""),
         "column s: one of 2 values", DM_CHANGE_CHECKED, DM_CHECK_ROWS, "\"s\" NOT IN ('A', 'it''s')", false},
        {TABLE("id: int key, s: {type: string, enum: [A]}, v: date version", ""),
         TABLE("id: int key, s: {type: string, enum: [B, A]}, v: date version", ""),
         "column s: one of 2 values", DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, s: {type: string, enum: [A]}, v: date version", ""),
         TABLE("id: int key, s: string, v: date version", ""), "column s: any value", DM_CHANGE_FREE, 0, NULL,
         false},
        {TABLE("id: int key, s: varchar(9), v: date version", ""),
         TABLE("id: int key, s: varchar(5), v: date version", ""), "column s: at most 5 characters",
         DM_CHANGE_CHECKED, DM_CHECK_ROWS, "length(\"s\") > 5", false},
        {TABLE("id: int key, s: varchar(9), v: date version", ""),
         TABLE("id: int key, s: varchar(19), v: date version", ""), "column s: at most 19 characters",
         DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, s: string, v: date version", ""),
         TABLE("id: int key, s: {type: string, min_length: 2}, v: date version", ""),
         "column s: at least 2 characters", DM_CHANGE_CHECKED, DM_CHECK_ROWS, "length(\"s\") < 2", false},
        {TABLE("id: int key, a: int not null, v: date version", ""),
         TABLE("id: int not null, a: int key, v: date version", ""), "primary key (a)", DM_CHANGE_CHECKED,
         DM_CHECK_UNIQUE, NULL, true},
        {TABLE("id: int key, a: int not null, v: date version", ""),
         TABLE("id: int key, a: int version, v: date not null", ""), "version a instead of v",
         DM_CHANGE_CHECKED, DM_CHECK_ROWS, "\"a\" IS NULL", true},
        {TABLE("id: int key, a: timestamp key, v: date version", ""),
         TABLE("id: int key, a: timestamp key, v: date version", ", behavior: time-series, timestamp: a"),
         "behavior time-series", DM_CHANGE_REFUSED, 0, NULL, false},
        {TABLE("id: int key, a: timestamp key, b: timestamp key, v: date version",
               ", behavior: time-series, timestamp: a"),
         TABLE("id: int key, a: timestamp key, b: timestamp key, v: date version",
               ", behavior: time-series, timestamp: b"),
         "timestamp b", DM_CHANGE_CHECKED, DM_CHECK_EMPTY, NULL, false},
        {TABLE("id: int key, v: date version", ""),
         TABLE("id: int key, v: date version", ", relationships: [{columns: id, to: p}]"),
         "add relationship id to s.p (M:1 s.p)", DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, v: date version", ", relationships: [{columns: id, to: p}]"),
         TABLE("id: int key, v: date version", ", relationships: [{columns: id, to: p, cardinality: '1:1'}]"),
         "change relationship id to s.p (1:1 s.p)", DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, v: date version", ", relationships: [{columns: id, to: p}]"),
         TABLE("id: int key, v: date version", ""), "remove relationship id to s.p", DM_CHANGE_FREE, 0, NULL,
         false},
        {TABLE("id: int key, v: date version", ""), TABLE("id: int key, v: date version", ", expire: P3M"),
         "expire: P3M", DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, v: date version", ""), TABLE("id: int key, v: date version", ", history: true"),
         "history: true", DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, v: date version", ", history: true"),
         TABLE("id: int key, v: date version", ", history: scd2"), "history: scd2", DM_CHANGE_FREE, 0, NULL,
         false},
        {TABLE("id: int key, v: date version", ""),
         TABLE("id: int key, v: date version", ", max_quarantined: 5"), "max_quarantined: 5 rows, 0 %",
         DM_CHANGE_FREE, 0, NULL, false},
        {TABLE("id: int key, v: date version", ""), TABLE("id: int key, v: date version", ", description: d"),
         "title or description", DM_CHANGE_FREE, 0, NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(&cases[i]);
}

/* A key column that is renamed is the same key; so is the version. */
static void test_renamed_roles(void **state)
{
    (void)state;
    struct dm_relational_schemas from = schemas_of(TABLE("id: int key, v: date version", ""), &yaml);
    struct dm_relational_schemas to = schemas_of(
        TABLE("nr: {type: int, key: true, renamed_from: id}, w: {type: date, version: true, renamed_from: v}",
              ""),
        &yaml);
    struct dm_schema_changes changes;
    dm_schema_diff(from.items[1], to.items[1], &changes);
    assert_int_equal(changes.n, 2);
    assert_int_equal(changes.items[0].kind, DM_CHANGE_RENAME_COLUMN);
    assert_int_equal(changes.items[1].kind, DM_CHANGE_RENAME_COLUMN);
    assert_false(dm_schema_changes_registry_only(&changes));
    dm_schema_changes_release(&changes);
    dm_schema_diff(to.items[1], to.items[1], &changes); /* applied again: the old names are gone */
    assert_int_equal(changes.n, 0);
    assert_true(dm_schema_changes_registry_only(&changes));
    dm_schema_changes_release(&changes);
    dm_schema_diff(NULL, to.items[1], &changes);
    assert_int_equal(changes.n, 1);
    assert_int_equal(changes.items[0].kind, DM_CHANGE_CREATE);
    dm_schema_changes_release(&changes);
    dm_relational_schemas_release(&from);
    dm_relational_schemas_release(&to);
}

/* The dataset's fields keep their numbers through renames, and a new column does not take an old one's. */
static void test_columns_of_the_dataset(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_schema *first = NULL, *second = NULL;
    struct dm_relational_schemas from =
        schemas_of(TABLE("id: int key, a: int, b: string, v: date version", ""), &yaml);
    assert_int_equal(dm_relational_schema_columns(from.items[1], NULL, &first, &err), DM_OK);
    assert_int_equal(first->n_fields, 4);
    assert_int_equal(first->n_keys, 1);
    assert_true(first->fields[0].required && !first->fields[1].required && first->fields[3].required);
    struct dm_relational_schemas to = schemas_of(
        TABLE("c: int, id: int key, x: {type: int, renamed_from: a}, v: date version", ", drop_columns: [b]"),
        &yaml);
    assert_int_equal(dm_relational_schema_columns(to.items[1], first, &second, &err), DM_OK);
    assert_int_equal(second->fields[1].source_ref, first->fields[0].source_ref);
    assert_int_equal(second->fields[2].source_ref, first->fields[1].source_ref);
    assert_int_equal(second->fields[3].source_ref, first->fields[3].source_ref);
    for (size_t i = 0; i < 4; i++)
        assert_int_not_equal(second->fields[0].source_ref, first->fields[i].source_ref);
    assert_int_equal(second->keys[0], 1);
    dm_schema_unref(first);
    dm_schema_unref(second);
    dm_relational_schemas_release(&from);
    dm_relational_schemas_release(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_changes),
        cmocka_unit_test(test_renamed_roles),
        cmocka_unit_test(test_columns_of_the_dataset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
