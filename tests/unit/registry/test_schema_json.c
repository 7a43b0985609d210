/* The documented JSON: bodies and descriptors as they are documented, without loss there and back, and what is refused. */
#include "schema_text.h"

static const struct dm_schema_read_options json = {.file = "s.json"};

static const char documented[] =
    "[{\"title\":\"marketing.customers\",\"type\":\"object\",\"description\":\"who\",\"$id\":\"https://x/"
    "1\",\n"
    " \"definitions\":{\"customFields\":{\"type\":\"object\",\"properties\":{\n"
    "   \"customer_id\":{\"title\":\"Customer ID\",\"type\":\"string\",\"minLength\":1},\n"
    "   \"name\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"]},\n"
    "   \"email\":{\"type\":\"string\",\"format\":\"email\",\"minLength\":1,\"maxLength\":99},\n"
    "   \"day\":{\"type\":\"string\",\"format\":\"date\"},\n"
    "   \"n\":{\"type\":\"integer\"}, \"small\":{\"type\":\"integer\",\"minimum\":-128,\"maximum\":127},\n"
    "   \"i\":{\"type\":\"integer\",\"meta:xdmType\":\"int\"}, "
    "\"b\":{\"type\":\"integer\",\"meta:xdmType\":\"byte\"},\n"
    "   \"x\":{\"type\":\"number\"}, \"ok\":{\"type\":\"boolean\"},\n"
    "   \"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\n"
    "   \"when\":{\"meta:xdmType\":\"date-time\"},\n"
    "   \"updated_at\":{\"type\":\"string\",\"format\":\"date-time\",\"meta:xdmType\":\"date-time\"}},\n"
    "  \"required\":[\"customer_id\",\"updated_at\"]}},\n"
    " \"allOf\":[{\"$ref\":\"#/definitions/customFields\",\"meta:xdmType\":\"object\"}],\n"
    " \"meta:extends\":[\"https://ns.adobe.com/xdm/data/adhoc-v2\"],\"meta:behaviorType\":\"record\"},\n"
    "{\"title\":\"marketing.visits\",\"type\":\"object\",\"definitions\":{\"customFields\":{\"type\":"
    "\"object\",\"properties\":{\n"
    "   \"customer_ref\":{\"type\":\"string\"},\"at\":{\"type\":\"string\",\"format\":\"date-time\"},\n"
    "   \"version\":{\"type\":\"integer\"}},\"required\":[\"customer_ref\",\"at\",\"version\"]}},\n"
    " \"meta:behaviorType\":\"time-series\"},\n"
    "{\"@type\":\"xdm:descriptorPrimaryKey\",\"xdm:sourceSchema\":\"https://x/1\",\"xdm:sourceProperty\":\"/"
    "customer_id\"},\n"
    "{\"@type\":\"xdm:descriptorVersion\",\"xdm:sourceSchema\":\"marketing.customers\",\"xdm:"
    "sourceProperty\":\"/updated_at\"},\n"
    "{\"@type\":\"xdm:descriptorPrimaryKey\",\"xdm:sourceSchema\":\"marketing.visits\",\"xdm:"
    "sourceProperty\":[\"/customer_ref\","
    "\"/at\"]},\n"
    "{\"@type\":\"xdm:descriptorVersion\",\"xdm:sourceSchema\":\"marketing.visits\",\"xdm:sourceProperty\":"
    "\"/version\"},\n"
    "{\"@type\":\"xdm:descriptorTimestamp\",\"xdm:sourceSchema\":\"marketing.visits\",\"xdm:sourceProperty\":"
    "\"/at\"},\n"
    "{\"@type\":\"xdm:descriptorRelationship\",\"xdm:sourceSchema\":\"marketing.visits\",\"xdm:"
    "sourceVersion\":1,\n"
    " \"xdm:sourceProperty\":\"/customer_ref\",\"xdm:destinationSchema\":\"https://x/1\",\n"
    " \"xdm:sourceToDestinationName\":\"VisitToCustomer\",\"xdm:destinationToSourceName\":"
    "\"CustomerToVisit\",\n"
    " \"xdm:cardinality\":\"M:1\"}]";

static void test_documented_bodies(void **state)
{
    (void)state;
    struct dm_relational_schemas list = schemas_of(documented, &json);
    assert_int_equal(list.n, 2);
    const struct dm_relational_schema *c = list.items[0], *v = list.items[1];
    assert_string_equal(c->name, "marketing.customers");
    assert_string_equal(c->description, "who");
    assert_string_equal(c->columns[0].name, "customer_id");
    assert_string_equal(column_of(c, "customer_id")->title, "Customer ID");
    assert_int_equal(column_of(c, "customer_id")->min_length, 1);
    assert_int_equal(column_of(c, "name")->allowed.n, 2);
    assert_string_equal(column_of(c, "email")->format, "email");
    assert_int_equal(column_of(c, "email")->max_length, 99);
    assert_type(c, "day", "date");
    assert_type(c, "n", "long");
    assert_type(c, "small", "int");
    assert_type(c, "i", "int");
    assert_type(c, "b", "int");
    assert_type(c, "x", "double");
    assert_type(c, "ok", "boolean");
    assert_type(c, "tags", "list<string>");
    assert_type(c, "when", "timestamptz");
    assert_string_equal(c->version, "updated_at");
    assert_int_equal(v->behavior, DM_BEHAVIOR_TIME_SERIES);
    assert_string_equal(v->timestamp, "at");
    assert_int_equal(v->key.n, 2);
    assert_string_equal(v->relationships[0].target, "marketing.customers");
    assert_string_equal(v->relationships[0].target_columns.items[0], "customer_id");
    assert_string_equal(v->relationships[0].forward_name, "VisitToCustomer");
    dm_relational_schemas_release(&list);
}

/* Everything that YAML can say comes back from the JSON as it was. */
static void test_there_and_back(void **state)
{
    (void)state;
    static const struct dm_schema_read_options yaml = {.file = "s.yaml"};
    struct dm_relational_schemas list =
        schemas_of("- {name: s.p, columns: {\"a/b~c\": int64 key, v: string version}, tombstone_retention: "
                   "forever, max_quarantined: 5%}\n"
                   "- {name: s.c, title: T, description: D, behavior: time-series, history: scd2, "
                   "ignore_null_updates: true, expire: P1Y, "
                   "max_quarantined: 7, tombstone_retention: 3h, key: [who, at], timestamp: at, columns: "
                   "{who: {type: string, not_null: true, "
                   "enum: [x, ÿ], title: t, description: d, format: email}, at: timestamp not null, n: "
                   "int32, b: boolean, f: float32, "
                   "d: float64, m: decimal(38,20), day: date, tm: time, u: uuid, raw: binary, dates: "
                   "'list<date>', ns: timestamp_ns, lists: "
                   "'list<decimal(9,2)>', s: {type: string, min_length: 2, max_length: 9, format: date}, p: "
                   "{type: int64, renamed_from: q}, v: "
                   "timestamptz version}, relationships: [{name: up, columns: p, to: s.p, cardinality: "
                   "'1:0', on_orphan: quarantine, "
                   "forward_name: f, backward_name: b}], drop_columns: [gone]}\n",
                   &yaml);
    json_t *document = dm_schemas_to_json(&list);
    char *text = json_dumps(document, JSON_INDENT(1));
    struct dm_relational_schemas back = schemas_of(text, &json);
    assert_int_equal(back.n, 2);
    for (size_t i = 0; i < back.n; i++)
        assert_same_schema(list.items[i], back.items[i]);
    assert_string_equal(back.items[0]->key.items[0], "a/b~c");
    assert_string_equal(back.items[1]->dropped.items[0], "gone");
    assert_string_equal(column_of(back.items[1], "p")->renamed_from, "q");
    assert_string_equal(column_of(back.items[1], "s")->format, "date");
    assert_type(back.items[1], "s", "string");
    assert_string_equal(back.items[1]->file, "s.yaml");
    assert_false(back.items[1]->partial);
    json_t *again = dm_schemas_to_json(&back);
    assert_true(json_equal(document, again));
    json_decref(again);
    json_decref(document);
    free(text);
    dm_relational_schemas_release(&back);
    dm_relational_schemas_release(&list);
}

#define BODY(properties, rest) \
    "{\"title\":\"a\",\"type\":\"object\",\"definitions\":{\"customFields\":{\"type\":\"object\"," \
    "\"properties\":{" properties "}}}" rest "}"

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message, *hint;
    } cases[] = {
        {"{\"title\":", "s.json:1:", NULL},
        {"{\"title\": \"a\", \"title\": \"b\"}", "duplicate", NULL},
        {"{}", "s.json: the schema has no title", "title"},
        {"[5]", "a schema must be a JSON object", NULL},
        {"{\"title\":\"a\"}", "the schema has no columns", "customFields"},
        {BODY("", ""), "the schema has no columns", NULL},
        {BODY("\"x\":{\"type\":\"object\"}", ""),
         "s.json: a: definitions.customFields.properties.x: a column cannot be an object", "root level"},
        {BODY("\"x\":{\"type\":\"text\"}", ""), "there is no type \"text\"", "string, integer"},
        {BODY("\"x\":{}", ""), "the column has no type", NULL},
        {BODY("\"x\":{\"type\":\"string\",\"datamirror:type\":\"timestamptz_ns\"}", ""), "write timestamp_ns",
         NULL},
        {BODY("\"x\":5", ""), "must be described by an object", NULL},
        {BODY("\"x\":{\"$ref\":\"#/y\"}", ""), "$ref", NULL},
        {BODY("\"x\":{\"type\":\"integer\",\"meta:xdmType\":\"string\"}", ""), "goes with type \"string\"",
         NULL},
        {BODY("\"x\":{\"meta:xdmType\":\"map\"}", ""), "meta:xdmType \"map\" cannot be a column", NULL},
        {BODY("\"x\":{\"type\":\"array\"}", ""), "needs \"items\"", NULL},
        {BODY("\"x\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}", ""), "cannot be an object", NULL},
        {BODY("\"x\":{\"type\":\"string\",\"enum\":[1]}", ""), "must be texts", NULL},
        {BODY("\"x\":{\"type\":\"string\",\"minLength\":-1}", ""), "\"minLength\" must be a whole number",
         NULL},
        {BODY("\"x\":{\"type\":\"string\"}", ",\"meta:immutableTags\":[\"union\"]"), "union",
         "remove the tag"},
        {BODY("\"x\":{\"type\":\"string\"}",
              ",\"allOf\":[{\"$ref\":\"https://ns.adobe.com/xdm/context/profile\"}]"),
         "a relational schema inherits no fields", "allOf"},
        {BODY("\"x\":{\"type\":\"string\"}", ",\"meta:behaviorType\":\"adhoc\""),
         "meta:behaviorType cannot be \"adhoc\"", "time-series"},
        {"{\"title\":\"a\",\"properties\":{\"x\":{\"type\":\"string\"}},\"required\":[\"y\"]}",
         "\"required\" names \"y\", which is not a column", NULL},
        {"{\"title\":\"a\",\"type\":\"string\",\"properties\":{\"x\":{\"type\":\"string\"}}}",
         "must be \"object\"", NULL},
        {"{\"@type\":\"xdm:descriptorVersion\",\"xdm:sourceProperty\":\"/x\"}", "no xdm:sourceSchema", NULL},
        {"{\"@type\":\"xdm:descriptorVersion\",\"xdm:sourceSchema\":\"b\",\"xdm:sourceProperty\":\"/x\"}",
         "xdm:sourceSchema is \"b\", and there is no such schema", "schema list"},
        {"[" BODY("\"x\":{\"type\":\"string\"}",
                  "") ",{\"@type\":\"xdm:descriptorVersion\",\"xdm:sourceSchema\":\"a\"}]",
         "document 2, xdm:descriptorVersion: the descriptor has no \"xdm:sourceProperty\"", NULL},
        {"[" BODY("\"x\":{\"type\":\"string\"}",
                  "") ",{\"@type\":\"xdm:descriptorVersion\",\"xdm:sourceSchema\":\"a\","
                      "\"xdm:sourceProperty\":\"/x/y\"}]",
         "which is not a root-level field", NULL},
        {"[" BODY("\"x\":{\"type\":\"string\"}",
                  "") ",{\"@type\":\"xdm:descriptorVersion\",\"xdm:sourceSchema\":\"a\","
                      "\"xdm:sourceProperty\":[\"/x\",\"/y\"]}]",
         "takes one column, not 2", NULL},
        {"[" BODY("\"x\":{\"type\":\"string\"}",
                  "") ",{\"@type\":\"xdm:descriptorIdentity\",\"xdm:sourceSchema\":\"a\"}]",
         "no descriptor \"xdm:descriptorIdentity\"", "xdm:descriptorPrimaryKey"},
        {"[" BODY("\"x\":{\"type\":\"string\"}",
                  "") ",{\"@type\":\"xdm:descriptorRelationship\",\"xdm:sourceSchema\":\"a\","
                      "\"xdm:sourceProperty\":\"/x\"}]",
         "no xdm:destinationSchema", NULL},
        {"[" BODY("\"x\":{\"type\":\"string\"}",
                  "") ",{\"@type\":\"xdm:descriptorRelationship\",\"xdm:sourceSchema\":\"a\","
                      "\"xdm:sourceProperty\":\"/x\",\"xdm:destinationSchema\":\"a\","
                      "\"xdm:cardinality\":\"M:M\"}]",
         "xdm:cardinality cannot be \"M:M\"", "junction"},
        {BODY("\"x\":{\"type\":\"string\"}", ",\"datamirror:settings\":{\"histery\":true}"),
         "no setting \"histery\"", "history"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused_with(cases[i].text, &json, cases[i].message, cases[i].hint);
}

/* The HTTP API's way: a schema that is there, then descriptors one by one. */
static void test_descriptors_one_by_one(void **state)
{
    (void)state;
    struct dm_relational_schemas known = schemas_of(documented, &json), list = {0};
    struct dm_schema_read_options o = {.file = NULL, .known = &known};
    struct dm_relational_schema *s = NULL;
    struct dm_error err = {0};
    known.items[1]->relationships[0].id = 17;
    known.items[1]->version_id = 5;
    json_t *body = json_loads(
        "{\"@type\":\"xdm:descriptorRelationship\",\"xdm:sourceSchema\":"
        "\"urn:datamirror:schema:marketing.visits\",\"xdm:sourceProperty\":[\"/customer_ref\"],"
        "\"xdm:destinationSchema\":\"urn:datamirror:schema:marketing.customers\",\"datamirror:name\":"
        "\"customer_ref to marketing.customers\",\"xdm:cardinality\":\"M:0\"}",
        0, NULL);
    assert_int_equal(dm_descriptor_from_json(body, &o, &list, &s, &err), DM_OK);
    json_decref(body);
    assert_int_equal(list.n, 1);
    assert_ptr_not_equal(s, known.items[1]); /* a copy: the caller decides what becomes of it */
    assert_int_equal(s->n_relationships, 1);
    assert_int_equal(s->relationships[0].id, 17);
    assert_int_equal(s->relationships[0].cardinality, DM_MANY_TO_ZERO);
    assert_int_equal(dm_descriptor_number("urn:datamirror:descriptor:17"), 17);
    assert_int_equal(dm_descriptor_number("x17"), 0);
    assert_int_equal(dm_descriptor_number(""), 0);
    assert_int_equal(dm_descriptor_number("99999999999999999999"), 0);
    assert_true(dm_descriptor_remove(&list, 17, &s));
    assert_int_equal(s->n_relationships, 0);
    assert_true(dm_descriptor_remove(&list, 5, &s));
    assert_null(s->version);
    assert_false(dm_descriptor_remove(&list, 5, &s));
    assert_non_null(dm_schemas_refer(&known, "urn:datamirror:schema:marketing.visits"));
    assert_null(dm_schemas_refer(&known, "urn:datamirror:schema:visits"));
    dm_relational_schemas_release(&list);
    dm_relational_schemas_release(&known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documented_bodies),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_descriptors_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
