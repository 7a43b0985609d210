/* DDL of five dialects: tables, columns, types, keys, foreign keys, enums, comments; what is passed over; what is refused. */
#include "schema_text.h"

#include "registry/schema_print.h"

static struct dm_relational_schemas read_ddl(const char *text, enum dm_ddl_dialect dialect,
                                             struct dm_names *notes)
{
    struct dm_schema_read_options o = {.file = "t.sql", .dialect = dialect, .version = "updated_at"};
    struct dm_relational_schemas out = {0};
    struct dm_error err = {0};
    if (dm_schema_text_read(text, strlen(text), &o, &out, notes, &err) != DM_OK ||
        dm_schemas_resolve(&out, NULL, &err) != DM_OK || dm_schemas_check(&out, NULL, &err) != DM_OK)
        fail_msg("%s (%s)", err.message, err.hint);
    return out;
}

static bool noted(const struct dm_names *notes, const char *words)
{
    for (size_t i = 0; i < notes->n; i++)
        if (strstr(notes->items[i], words) != NULL)
            return true;
    return false;
}

static const char postgres_sql[] =
    "\\connect shop\n"
    "SET search_path TO public;\n"
    "CREATE TYPE public.order_status AS ENUM ('PENDING', 'SHIPPED', 'it''s');\n"
    "CREATE DOMAIN positive AS integer CHECK (VALUE > 0);\n"
    "CREATE EXTENSION hstore;\n"
    "CREATE TABLE IF NOT EXISTS public.customers (\n"
    "  id bigserial PRIMARY KEY, -- a comment; with a semicolon\n"
    "  \"Full \"\"Name\"\"\" character varying(100) DEFAULT 'x'';y' NOT NULL,\n"
    "  tags text[] DEFAULT '{}'::text[], matrix integer ARRAY[3],\n"
    "  region char(2) CHECK (region IN ('DE', 'FR')),\n"
    "  amount numeric(12,2) DEFAULT 0.00 /* nested /* comment */ ; ok */, free numeric, meta jsonb,\n"
    "  updated_at timestamp(3) with time zone DEFAULT now() NOT NULL, local timestamp without time zone,\n"
    "  span interval day to second(3), qty positive, day date, u uuid, raw bytea, ok bool,\n"
    "  up text GENERATED ALWAYS AS (upper(region)) STORED,\n"
    "  CONSTRAINT c UNIQUE (id), CHECK (id > 0), EXCLUDE USING gist (id WITH =)\n"
    ") PARTITION BY RANGE (id);\n"
    "CREATE TABLE public.customers_1 PARTITION OF public.customers FOR VALUES FROM (1) TO (2);\n"
    "CREATE TABLE public.orders (order_id int NOT NULL, customer int, status order_status NOT NULL, "
    "updated_at "
    "timestamptz);\n"
    "COPY public.orders (order_id) FROM stdin;\n"
    "1\t; CREATE TABLE not_one (x int);\n"
    "\\.\n"
    "ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (order_id);\n"
    "ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_customer_fk FOREIGN KEY (Customer) REFERENCES "
    "public.customers(ID) ON DELETE SET NULL;\n"
    "COMMENT ON TABLE public.customers IS 'all of them';\n"
    "COMMENT ON COLUMN public.customers.day IS 'when';\n"
    "CREATE FUNCTION f() RETURNS int AS $$ begin; CREATE TABLE x(a int); end $$ LANGUAGE sql;\n";

static void test_postgres(void **state)
{
    (void)state;
    struct dm_names notes = {0};
    struct dm_relational_schemas list = read_ddl(postgres_sql, DM_DIALECT_AUTO, &notes);
    assert_int_equal(list.n, 2);
    const struct dm_relational_schema *c = list.items[0], *o = list.items[1];
    assert_string_equal(c->name, "public.customers");
    assert_string_equal(c->description, "all of them");
    assert_int_equal(c->key.n, 1);
    assert_type(c, "id", "long");
    assert_true(column_of(c, "Full \"Name\"")->required);
    assert_int_equal(column_of(c, "Full \"Name\"")->max_length, 100);
    assert_type(c, "tags", "list<string>");
    assert_type(c, "matrix", "list<int>");
    assert_int_equal(column_of(c, "region")->allowed.n, 2);
    assert_type(c, "amount", "decimal(12, 2)");
    assert_type(c, "free", "string");
    assert_type(c, "meta", "string");
    assert_type(c, "updated_at", "timestamptz");
    assert_type(c, "local", "timestamp");
    assert_type(c, "span", "string");
    assert_type(c, "qty", "int");
    assert_type(c, "day", "date");
    assert_string_equal(column_of(c, "day")->description, "when");
    assert_type(c, "u", "uuid");
    assert_type(c, "raw", "binary");
    assert_type(c, "ok", "boolean");
    assert_int_equal(c->n_columns, 17);
    assert_int_equal(column_of(o, "status")->allowed.n, 3);
    assert_string_equal(column_of(o, "status")->allowed.items[2], "it's");
    assert_string_equal(o->key.items[0], "order_id");
    assert_int_equal(o->n_relationships, 1);
    assert_string_equal(o->relationships[0].name, "orders_customer_fk");
    assert_string_equal(o->relationships[0].columns.items[0], "customer");
    assert_string_equal(o->relationships[0].target_columns.items[0], "id");
    assert_int_equal(o->relationships[0].cardinality, DM_MANY_TO_ZERO);
    assert_string_equal(o->version, "updated_at");
    assert_true(column_of(o, "updated_at")->required);
    assert_true(noted(&notes, "read as postgres"));
    assert_true(noted(&notes, "jsonb is kept as text"));
    assert_true(noted(&notes, "CREATE EXTENSION is passed over"));
    assert_true(noted(&notes, "customers_1 is passed over"));
    assert_true(noted(&notes, "updated_at is required, as it is the version"));
    dm_names_release(&notes);
    dm_relational_schemas_release(&list);
}

static void test_mysql(void **state)
{
    (void)state;
    struct dm_names notes = {0};
    struct dm_relational_schemas list = read_ddl(
        "/*!40101 SET NAMES utf8 */;\n"
        "DROP TABLE IF EXISTS `orders`;\n"
        "CREATE TABLE `order items` (\n"
        "  `id` bigint unsigned NOT NULL AUTO_INCREMENT, # comment\n"
        "  `n` int(11) unsigned zerofill DEFAULT NULL,\n"
        "  `small` tinyint(1) NOT NULL DEFAULT '0',\n"
        "  `status` enum('NEW','it\\'s','done') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT "
        "'NEW' COMMENT "
        "'the state',\n"
        "  `flags` set('a','b'), `doc` json, `body` mediumtext, `price` decimal(10,2), `plain` decimal,\n"
        "  `at` datetime(6), `y` year, `b` bit(1), `blob` longblob,\n"
        "  `updated_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),\n"
        "  `customer_id` int NOT NULL,\n"
        "  PRIMARY KEY (`id`) USING BTREE,\n"
        "  UNIQUE KEY `u` (`n`), KEY `k` (`body`(20), `n` DESC), FULLTEXT KEY `ft` (`body`), INDEX (n),\n"
        "  CONSTRAINT `fk` FOREIGN KEY (`customer_id`) REFERENCES `customers` (`id`) ON DELETE CASCADE ON "
        "UPDATE NO ACTION\n"
        ") ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4 COMMENT='all \\'items\\'';\n"
        "CREATE TABLE customers (id int PRIMARY KEY, updated_at timestamp NOT NULL);\n"
        "INSERT INTO customers VALUES (1, 'a;b\\'; CREATE TABLE x (i int)');\n",
        DM_DIALECT_AUTO, &notes);
    assert_int_equal(list.n, 2);
    const struct dm_relational_schema *s = list.items[0];
    assert_string_equal(s->name, "default.order items");
    assert_string_equal(s->description, "all 'items'");
    assert_type(s, "id", "decimal(20, 0)");
    assert_type(s, "n", "long");
    assert_type(s, "small", "int");
    assert_string_equal(column_of(s, "status")->allowed.items[1], "it's");
    assert_string_equal(column_of(s, "status")->description, "the state");
    assert_type(s, "flags", "string");
    assert_int_equal(column_of(s, "flags")->allowed.n, 0);
    assert_type(s, "plain", "decimal(10, 0)");
    assert_type(s, "at", "timestamp");
    assert_type(s, "updated_at", "timestamptz");
    assert_type(s, "b", "boolean");
    assert_type(s, "blob", "binary");
    assert_int_equal(s->n_columns, 15);
    assert_int_equal(s->n_relationships, 1);
    assert_string_equal(s->relationships[0].target, "default.customers");
    assert_int_equal(s->relationships[0].cardinality, DM_MANY_TO_ONE);
    assert_true(noted(&notes, "read as mysql"));
    assert_true(noted(&notes, "INSERT statements are passed over"));
    dm_names_release(&notes);
    dm_relational_schemas_release(&list);
}

static void test_snowflake(void **state)
{
    (void)state;
    struct dm_names notes = {0};
    struct dm_relational_schemas list =
        read_ddl("create or replace TRANSIENT TABLE SHOP.SALES.ORDERS cluster by (ID) (\n"
                 "\tID NUMBER(38,0) NOT NULL autoincrement start 1 increment 1 noorder COMMENT 'the key',\n"
                 "\tKEY VARCHAR(16777216) WITH TAG (x.y='z') COLLATE 'en-ci',\n"
                 "\tN INT, A NUMBER(10,2), F FLOAT, V VARIANT, L ARRAY, O OBJECT,\n"
                 "\tAT TIMESTAMP_NTZ(9), Z TIMESTAMP_TZ(3), L2 TIMESTAMP_LTZ, FINE TIMESTAMP_TZ(9), T "
                 "TIME(9), B BINARY(20),\n"
                 "\tUPDATED_AT TIMESTAMP_NTZ(6) NOT NULL,\n"
                 "\tCUSTOMER NUMBER(38,0) FOREIGN KEY REFERENCES SALES.CUSTOMERS(ID),\n"
                 "\tconstraint PK primary key (ID) rely,\n"
                 ")COMMENT='all orders'\n;\n"
                 "create or replace table SHOP.SALES.CUSTOMERS (ID number primary key, UPDATED_AT "
                 "timestamp_ntz not null);\n"
                 "create or replace view V as select 1;\n",
                 DM_DIALECT_AUTO, &notes);
    assert_int_equal(list.n, 2);
    const struct dm_relational_schema *s = list.items[0];
    assert_string_equal(s->name, "SALES.ORDERS");
    assert_string_equal(s->description, "all orders");
    assert_type(s, "ID", "decimal(38, 0)");
    assert_string_equal(column_of(s, "ID")->description, "the key");
    assert_type(s, "KEY", "string");
    assert_type(s, "N", "decimal(38, 0)");
    assert_type(s, "A", "decimal(10, 2)");
    assert_type(s, "F", "double");
    assert_type(s, "L", "string");
    assert_type(s, "AT", "timestamp_ns");
    assert_type(s, "UPDATED_AT", "timestamp");
    assert_type(s, "Z", "timestamptz");
    assert_type(s, "FINE", "timestamptz");
    assert_type(s, "T", "time");
    assert_type(s, "L2", "timestamptz");
    assert_type(s, "B", "binary");
    assert_int_equal(s->n_columns, 16);
    assert_string_equal(s->version, "UPDATED_AT");
    assert_int_equal(s->key.n, 1);
    assert_string_equal(s->relationships[0].target, "SALES.CUSTOMERS");
    assert_true(noted(&notes, "read as snowflake"));
    assert_true(
        noted(&notes, "column AT: timestamp_ntz(9) is timestamp_ns, which holds the years 1677 to 2262"));
    assert_true(noted(&notes, "column FINE: moments are kept to microseconds"));
    assert_true(noted(&notes, "column T: times are kept to microseconds"));
    assert_true(noted(&notes, "CREATE view is passed over"));
    dm_names_release(&notes);
    dm_relational_schemas_release(&list);
}

static void test_databricks(void **state)
{
    (void)state;
    struct dm_names notes = {0};
    struct dm_relational_schemas list =
        read_ddl("CREATE OR REPLACE TABLE main.sales.events (\n"
                 "  user_id STRING NOT NULL COMMENT 'who \\'it\\' was',\n"
                 "  event_time TIMESTAMP NOT NULL,\n"
                 "  local TIMESTAMP_NTZ, n INT, big BIGINT GENERATED ALWAYS AS IDENTITY, f FLOAT, d "
                 "DECIMAL(10,2), plain DECIMAL,\n"
                 "  tags ARRAY<STRING>, nested ARRAY<STRUCT<a: INT, b: ARRAY<INT>>>, m MAP<STRING, INT>,\n"
                 "  s STRUCT<a: INT NOT NULL COMMENT 'x', b: STRING>,\n"
                 "  updated_at TIMESTAMP,\n"
                 "  CONSTRAINT pk PRIMARY KEY (user_id, event_time TIMESERIES)\n"
                 ") USING DELTA PARTITIONED BY (n) LOCATION 's3://x/y' COMMENT 'all events'\n"
                 "TBLPROPERTIES (delta.enableChangeDataFeed = true);\n",
                 DM_DIALECT_AUTO, &notes);
    const struct dm_relational_schema *s = list.items[0];
    assert_string_equal(s->name, "sales.events");
    assert_string_equal(s->description, "all events");
    assert_string_equal(column_of(s, "user_id")->description, "who 'it' was");
    assert_type(s, "event_time", "timestamptz");
    assert_type(s, "local", "timestamp");
    assert_type(s, "f", "float");
    assert_type(s, "plain", "decimal(10, 0)");
    assert_type(s, "tags", "list<string>");
    assert_type(s, "nested", "string");
    assert_type(s, "m", "string");
    assert_type(s, "s", "string");
    assert_int_equal(s->n_columns, 13);
    assert_int_equal(s->key.n, 2);
    assert_true(noted(&notes, "column s: struct is kept as text"));
    dm_names_release(&notes);
    dm_relational_schemas_release(&list);
}

static void test_bigquery(void **state)
{
    (void)state;
    struct dm_names notes = {0};
    struct dm_relational_schemas list =
        read_ddl("CREATE TABLE `my-project.sales.orders`\n"
                 "(\n"
                 "  id INT64 NOT NULL OPTIONS(description=\"the key; it's \\\"unique\\\"\"),\n"
                 "  amount NUMERIC, price NUMERIC(10, 2), wide BIGNUMERIC, x FLOAT64, ok BOOL,\n"
                 "  name STRING(50), tags ARRAY<STRING>, raw BYTES, at DATETIME, t TIME,\n"
                 "  item STRUCT<sku STRING OPTIONS(description='a, b'), qty INT64>,\n"
                 "  updated_at TIMESTAMP NOT NULL,\n"
                 "  customer INT64 NOT NULL REFERENCES sales.customers(id) NOT ENFORCED,\n"
                 "  PRIMARY KEY (id) NOT ENFORCED\n"
                 ")\n"
                 "PARTITION BY DATE(updated_at) CLUSTER BY id\n"
                 "OPTIONS(description='''all\n'orders' ''', labels=[('a', 'b')]);\n"
                 "CREATE TABLE sales.customers (id INT64 NOT NULL, updated_at TIMESTAMP NOT NULL, PRIMARY "
                 "KEY(id) NOT ENFORCED);\n",
                 DM_DIALECT_AUTO, &notes);
    assert_int_equal(list.n, 2);
    const struct dm_relational_schema *s = list.items[0];
    assert_string_equal(s->name, "sales.orders");
    assert_string_equal(s->description, "all\n'orders'");
    assert_string_equal(column_of(s, "id")->description, "the key; it's \"unique\"");
    assert_type(s, "amount", "decimal(38, 9)");
    assert_type(s, "wide", "string");
    assert_int_equal(column_of(s, "name")->max_length, 50);
    assert_type(s, "tags", "list<string>");
    assert_type(s, "at", "timestamp");
    assert_type(s, "updated_at", "timestamptz");
    assert_type(s, "item", "string");
    assert_int_equal(s->n_columns, 14);
    assert_string_equal(s->relationships[0].target, "sales.customers");
    assert_true(noted(&notes, "read as bigquery"));
    dm_names_release(&notes);
    dm_relational_schemas_release(&list);
}

/* The documented example, with a version column added. */
static void test_documented_example(void **state)
{
    (void)state;
    struct dm_names notes = {0};
    struct dm_relational_schemas list = read_ddl(
        "CREATE TABLE orders (order_id INT NOT NULL, product_id INT NOT NULL, order_date DATE NOT NULL,\n"
        " customer_id INT NOT NULL, quantity INT NOT NULL,\n"
        " order_status enum('PENDING','SHIPPED','DELIVERED','CANCELLED'), updated_at timestamp, PRIMARY "
        "KEY(order_id, "
        "product_id));",
        DM_DIALECT_AUTO, &notes);
    const struct dm_relational_schema *s = list.items[0];
    assert_string_equal(s->name, "default.orders");
    assert_int_equal(s->key.n, 2);
    assert_int_equal(column_of(s, "order_status")->allowed.n, 4);
    assert_type(s, "order_date", "date");
    dm_names_release(&notes);
    dm_relational_schemas_release(&list);
}

static void test_annotations_and_options(void **state)
{
    (void)state;
    struct dm_schema_read_options o = {.file = "t.sql", .timestamp = "at", .namespace = "web"};
    struct dm_relational_schemas list = schemas_of(
        "CREATE TABLE hits (u text, at timestamptz, n int COMMENT 'counts datamirror:version', m int COMMENT "
        "'datamirror:renamed_from=old_m more', PRIMARY KEY (u, at))",
        &o);
    const struct dm_relational_schema *s = list.items[0];
    assert_string_equal(s->name, "web.hits");
    assert_int_equal(s->behavior, DM_BEHAVIOR_TIME_SERIES);
    assert_string_equal(s->timestamp, "at");
    assert_string_equal(s->version, "n");
    assert_string_equal(column_of(s, "n")->description, "counts");
    assert_string_equal(column_of(s, "m")->renamed_from, "old_m");
    assert_string_equal(column_of(s, "m")->description, "more");
    dm_relational_schemas_release(&list);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct dm_schema_read_options o = {.file = "t.sql"};
    static const struct {
        const char *text, *message, *hint;
    } cases[] = {
        {"SELECT 1", "there is no CREATE TABLE with columns", NULL},
        {"CREATE TABLE a (\n id int,\n b colour)", "t.sql:3: column \"b\": there is no type \"colour\"",
         "CREATE TYPE"},
        {"CREATE TABLE a (id integr)", "there is no type \"integr\"", "did you mean \"integer\""},
        {"CREATE TABLE a (id int", "the body of table default.a is not closed", NULL},
        {"CREATE TABLE a (id)", "column \"id\" has no type", NULL},
        {"CREATE TABLE (id int)", "a table's name is expected", NULL},
        {"CREATE TABLE a (id int, \"b", "a quote is not closed", NULL},
        {"CREATE TABLE a (id int PRIMARY KEY, b int PRIMARY KEY)", "has two primary keys", NULL},
        {"CREATE TABLE a (id int, PRIMARY KEY (id", "the list of columns is not closed", NULL},
        {"CREATE TABLE a (id int, b int, FOREIGN KEY (b) REFERNCES x)", "the foreign key has no REFERENCES",
         NULL},
        {"CREATE TABLE a (id int PRIMARY KEY, v int)", "t.sql:1: default.a: there is no version column",
         "--version updated_at"},
        {"CREATE TABLE a (id int, v int COMMENT 'datamirror:version')", "there is no primary key", NULL},
        {"CREATE TABLE a (id int, v int COMMENT 'datamirror:version', PRIMARY KEY (nr))",
         "which is not a column", NULL},
        {"CREATE TABLE a (id decimal(0,2))", "is not a good type", "1 to 38"},
        {"CREATE TABLE a (id timestamptz_ns)", "column \"id\": \"timestamptz_ns\" is not a good type",
         "write timestamp_ns"},
        {"CREATE TABLE a (e enum(1, 2))", "a value in quotes is expected", NULL},
        {"CREATE TABLE a (id int PRIMARY KEY, v int COMMENT 'datamirror:version', c int REFERENCES nowhere)",
         "points to default.nowhere, and there is no such schema", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused_with(cases[i].text, &o, cases[i].message, cases[i].hint);
}

/* What is printed for a dialect is read back as the same, where the dialect has the words. */
static void test_printed_and_read_back(void **state)
{
    (void)state;
    static const struct dm_schema_read_options yaml = {.file = "s.yaml"};
    struct dm_relational_schemas list =
        schemas_of("- {name: s.p, columns: {id: int64 key, v: timestamptz version}}\n"
                   "- {name: s.Order, description: \"it's \\\\ all\", columns: {\"Full \\\"Name\": string "
                   "key, select: {type: string, enum: [A, "
                   "\"it's\"]}, n: int32, b: boolean, f: float32, d: float64, m: decimal(12,2), day: date, "
                   "at: timestamp, ns: timestamp_ns, t: time, u: uuid, "
                   "raw: binary, tags: 'list<string>', s: {type: string, max_length: 9, description: "
                   "\"don't\"}, p: int64, v: timestamptz "
                   "version}, relationships: [{name: parent, columns: p, to: p, cardinality: 'M:0'}]}\n",
                   &yaml);
    static const enum dm_ddl_dialect dialects[] = {DM_DIALECT_POSTGRES, DM_DIALECT_MYSQL,
                                                   DM_DIALECT_SNOWFLAKE, DM_DIALECT_DATABRICKS,
                                                   DM_DIALECT_BIGQUERY};
    for (size_t d = 0; d < sizeof dialects / sizeof *dialects; d++) {
        struct dm_buffer b;
        struct dm_error err = {0};
        dm_buffer_init(&b, 1 << 20);
        for (size_t i = 0; i < list.n; i++)
            assert_int_equal(dm_schema_print_ddl(list.items[i], dialects[d], &b, &err), DM_OK);
        struct dm_schema_read_options o = {.file = "x.sql", .dialect = dialects[d]};
        struct dm_relational_schemas back = schemas_of(dm_buffer_text(&b), &o);
        assert_int_equal(back.n, 2);
        const struct dm_relational_schema *s = back.items[1], *from = list.items[1];
        assert_string_equal(s->name, from->name);
        assert_string_equal(s->description, from->description);
        assert_int_equal(s->n_columns, from->n_columns);
        assert_true(dm_names_equal(&s->key, &from->key));
        assert_string_equal(s->version, "v");
        assert_string_equal(column_of(s, "s")->description, "don't");
        assert_type(s, "m", "decimal(12, 2)");
        assert_string_equal(s->relationships[0].name, "parent");
        for (size_t i = 0; i < s->n_columns; i++) {
            assert_string_equal(s->columns[i].name, from->columns[i].name);
            assert_int_equal(s->columns[i].required, from->columns[i].required);
        }
        if (dialects[d] == DM_DIALECT_POSTGRES)
            assert_same_schema(from, s);
        dm_relational_schemas_release(&back);
        dm_buffer_release(&b);
    }
    dm_relational_schemas_release(&list);
}

static void test_mermaid(void **state)
{
    (void)state;
    static const struct dm_schema_read_options yaml = {.file = "s.yaml"};
    struct dm_relational_schemas list =
        schemas_of("- {name: s.p, columns: {id: int64 key, v: timestamptz version}}\n"
                   "- {name: s.c, columns: {id: int key, 'a b': decimal(9,2), p: int64, v: int version}, "
                   "relationships: [{name: up, "
                   "columns: p, to: p, cardinality: 'M:0'}]}\n",
                   &yaml);
    struct dm_buffer b;
    struct dm_error err = {0};
    dm_buffer_init(&b, 1 << 20);
    assert_int_equal(dm_schemas_print_mermaid(&list, &b, &err), DM_OK);
    assert_string_equal(dm_buffer_text(&b), "erDiagram\n"
                                            "    \"s.p\" {\n"
                                            "        int64 id PK\n"
                                            "        timestamptz v \"version\"\n"
                                            "    }\n"
                                            "    \"s.c\" {\n"
                                            "        int32 id PK\n"
                                            "        decimal(9_2) a_b \"optional\"\n"
                                            "        int64 p FK \"optional\"\n"
                                            "        int32 v \"version\"\n"
                                            "    }\n"
                                            "    \"s.c\" }o--o| \"s.p\" : \"up\"\n");
    dm_buffer_release(&b);
    dm_relational_schemas_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_postgres),
        cmocka_unit_test(test_mysql),
        cmocka_unit_test(test_snowflake),
        cmocka_unit_test(test_databricks),
        cmocka_unit_test(test_bigquery),
        cmocka_unit_test(test_documented_example),
        cmocka_unit_test(test_annotations_and_options),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_printed_and_read_back),
        cmocka_unit_test(test_mermaid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
