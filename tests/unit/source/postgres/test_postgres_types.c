/* Copy and stream give the very same value for every type, and the right one. */
#include "live_fixture.h"

/* One column of each type; rows of edge values. Columns and values are kept apart so that each row fills all. */
static const char create_types[] =
    "CREATE TYPE mood AS ENUM ('sad', 'happy', 'it''s \"ok\", {x}');"
    "CREATE TYPE pair AS (a int, b text);"
    "CREATE DOMAIN cents AS numeric(12, 2);"
    "CREATE DOMAIN tags AS text[];"
    "CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS citext SCHEMA "
    "public;"
    "CREATE EXTENSION IF NOT EXISTS ltree SCHEMA public;"
    "CREATE TABLE types_copy (id int PRIMARY KEY, c_bool bool, c_int2 int2, c_int4 int4, c_int8 int8, c_oid "
    "oid,"
    " c_float4 float4, c_float8 float8, c_num numeric, c_num38 numeric(38, 10), c_num5 numeric(5, 2), c_num0 "
    "numeric(9),"
    " c_numneg numeric(5, -2), c_numsmall numeric(3, 5), c_num50 numeric(50, 3), c_text text, c_varchar "
    "varchar(20), c_char char(5),"
    " c_bchar \"char\", c_name name, c_bytea bytea, c_date date, c_time time, c_time3 time(3), c_timetz "
    "timetz, c_ts timestamp,"
    " c_tstz timestamptz, c_interval interval, c_uuid uuid, c_json json, c_jsonb jsonb, c_xml xml, c_enum "
    "mood, c_pair pair,"
    " c_cents cents, c_tags tags, c_inet inet, c_cidr cidr, c_mac macaddr, c_mac8 macaddr8, c_bit bit(5), "
    "c_varbit varbit,"
    " c_money money, c_point point, c_box box, c_circle circle, c_range int4range, c_tsrange tstzrange, "
    "c_multi nummultirange,"
    " c_tsvector tsvector, c_tsquery tsquery, c_hstore hstore, c_citext citext, c_ltree ltree, c_lsn pg_lsn, "
    "c_xid xid, c_tid tid,"
    " c_regclass regclass, c_int2v int2vector, a_bool bool[], a_int int[], a_big bigint[], a_float float8[], "
    "a_num numeric(10, 2)[],"
    " a_numfree numeric[], a_text text[], a_char char(3)[], a_bytea bytea[], a_date date[], a_ts "
    "timestamptz[], a_uuid uuid[],"
    " a_jsonb jsonb[], a_enum mood[], a_inet inet[], a_pair pair[], a_interval interval[], a_box box[], "
    "a_cents cents[], a_range int4range[]);"
    "CREATE TABLE types_stream (LIKE types_copy INCLUDING ALL)";

/* "INSERT INTO types_copy (id, <column>) VALUES (n, <value>)" for each line. */
static const char *const values[] = {
    "c_bool) VALUES (true)",
    "c_bool) VALUES (false)",
    "c_int2) VALUES (-32768)",
    "c_int2) VALUES (32767)",
    "c_int4) VALUES (-2147483648)",
    "c_int4) VALUES (2147483647)",
    "c_int8) VALUES (-9223372036854775808)",
    "c_int8) VALUES (9223372036854775807)",
    "c_oid) VALUES (4294967295)",
    "c_float4) VALUES ('NaN')",
    "c_float4) VALUES ('Infinity')",
    "c_float4) VALUES ('-Infinity')",
    "c_float4) VALUES ('-0')",
    "c_float4) VALUES (1.17549435e-38)",
    "c_float4) VALUES (3.4028235e38)",
    "c_float4) VALUES (1e-45)",
    "c_float4) VALUES (0.1)",
    "c_float4) VALUES (16777217)",
    "c_float4) VALUES (8388608.5)",
    "c_float4) VALUES (1e20)",
    "c_float8) VALUES ('NaN')",
    "c_float8) VALUES ('Infinity')",
    "c_float8) VALUES ('-Infinity')",
    "c_float8) VALUES ('-0')",
    "c_float8) VALUES (5e-324)",
    "c_float8) VALUES (1.7976931348623157e308)",
    "c_float8) VALUES (0.1)",
    "c_float8) VALUES (2.2250738585072011e-308)",
    "c_float8) VALUES (9007199254740993)",
    "c_float8) VALUES (1e22)",
    "c_float8) VALUES (1e23)",
    "c_float8) VALUES (123456789012345678)",
    "c_float8) VALUES (-1.5e-10)",
    "c_num) VALUES ('NaN')",
    "c_num) VALUES ('Infinity')",
    "c_num) VALUES (1.50)",
    "c_num) VALUES (-0.000001)",
    "c_num) VALUES (123456789012345678901234567890123456789012345678901234567890.123)",
    "c_num38) VALUES (9999999999999999999999999999.9999999999)",
    "c_num38) VALUES (-9999999999999999999999999999.9999999999)",
    "c_num38) VALUES (0)",
    "c_num38) VALUES (0.0000000001)",
    "c_num38) VALUES (10000)",
    "c_num38) VALUES (0.0001)",
    "c_num38) VALUES (1234567890123456789.5)",
    "c_num5) VALUES (-999.99)",
    "c_num5) VALUES (0.01)",
    "c_num0) VALUES (999999999)",
    "c_numneg) VALUES (1234500)",
    "c_numneg) VALUES (-9999900)",
    "c_numsmall) VALUES (0.00999)",
    "c_numsmall) VALUES (-0.00001)",
    "c_num50) VALUES (12345678901234567890123456789012345678901234567.891)",
    "c_text) VALUES ('')",
    "c_text) VALUES (E'line\\nbreak\\ttab \\\\ \"quote\" ''single''')",
    "c_text) VALUES ('日本語 🎉 é')",
    "c_text) VALUES (repeat('x', 100000))",
    "c_text) VALUES ('null')",
    "c_text) VALUES (U&'\\+01F600\\0001\\FFFD\\+10FFFF')",
    "c_varchar) VALUES ('  spaces  ')",
    "c_char) VALUES ('ab')",
    "c_char) VALUES ('')",
    "c_bchar) VALUES ('x')",
    "c_name) VALUES ('some_name')",
    "c_bytea) VALUES ('')",
    "c_bytea) VALUES ('\\x00ff10deadBEEF')",
    "c_bytea) VALUES (decode(repeat('00ff', 5000), 'hex'))",
    "c_date) VALUES ('infinity')",
    "c_date) VALUES ('-infinity')",
    "c_date) VALUES ('0001-01-01')",
    "c_date) VALUES ('4713-01-01 BC')",
    "c_date) VALUES ('5874897-12-31')",
    "c_date) VALUES ('1970-01-01')",
    "c_date) VALUES ('2000-02-29')",
    "c_date) VALUES ('0044-03-15 BC')",
    "c_date) VALUES ('1969-12-31')",
    "c_date) VALUES ('0001-12-31 BC')",
    "c_time) VALUES ('00:00:00')",
    "c_time) VALUES ('23:59:59.999999')",
    "c_time) VALUES ('24:00:00')",
    "c_time) VALUES ('12:34:56.7')",
    "c_time3) VALUES ('01:02:03.004')",
    "c_timetz) VALUES ('12:00:00.5+05:30')",
    "c_timetz) VALUES ('23:59:59-15:59')",
    "c_ts) VALUES ('infinity')",
    "c_ts) VALUES ('-infinity')",
    "c_ts) VALUES ('4713-01-01 00:00:00 BC')",
    "c_ts) VALUES ('1969-12-31 23:59:59.999999')",
    "c_ts) VALUES ('9999-12-31 23:59:59.999999')",
    "c_ts) VALUES ('10000-01-01 00:00:00')",
    "c_ts) VALUES ('294246-12-31 23:59:59')",
    "c_ts) VALUES ('2026-11-21 10:00:00.123456')",
    "c_tstz) VALUES ('infinity')",
    "c_tstz) VALUES ('-infinity')",
    "c_tstz) VALUES ('2026-03-29 02:30:00 Europe/Berlin')",
    "c_tstz) VALUES ('0001-01-01 00:00:00+00')",
    "c_tstz) VALUES ('0044-03-15 12:00:00.5+00 BC')",
    "c_tstz) VALUES ('1883-11-18 12:00:00 America/New_York')",
    "c_interval) VALUES ('1 year 2 mons -3 days 04:05:06.789')",
    "c_interval) VALUES ('-178000000 years')",
    "c_interval) VALUES ('0')",
    "c_uuid) VALUES ('00000000-0000-0000-0000-000000000000')",
    "c_uuid) VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')",
    "c_json) VALUES ('{ \"b\" : 1,  \"a\": [1, null], \"b\": 2 }')",
    "c_jsonb) VALUES ('{ \"b\" : 1.50, \"a\": \"\\u00e9\\n\" }')",
    "c_jsonb) VALUES ('null')",
    "c_json) VALUES ('\"\"')",
    "c_xml) VALUES ('<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>é</a>')",
    "c_xml) VALUES ('<b/>')",
    "c_enum) VALUES ('happy')",
    "c_enum) VALUES ('it''s \"ok\", {x}')",
    "c_pair) VALUES (row(1, 'a,\"b'))",
    "c_pair) VALUES (row(NULL, NULL))",
    "c_pair) VALUES (NULL)",
    "c_cents) VALUES (12.34)",
    "c_tags) VALUES ('{a,NULL,\"NULL\"}')",
    "c_inet) VALUES ('192.168.0.1')",
    "c_inet) VALUES ('192.168.0.0/24')",
    "c_inet) VALUES ('::1')",
    "c_inet) VALUES ('2001:db8::/32')",
    "c_cidr) VALUES ('10.0.0.0/8')",
    "c_cidr) VALUES ('10.1.2.3/32')",
    "c_mac) VALUES ('08:00:2b:01:02:03')",
    "c_mac8) VALUES ('08:00:2b:01:02:03:04:05')",
    "c_bit) VALUES (B'10101')",
    "c_varbit) VALUES (B'')",
    "c_varbit) VALUES (B'110')",
    "c_money) VALUES (-12345.67)",
    "c_point) VALUES ('(1.5,-2e100)')",
    "c_box) VALUES ('((0,0),(1,1))')",
    "c_circle) VALUES ('<(1,2),3>')",
    "c_range) VALUES ('[1,10)')",
    "c_range) VALUES ('empty')",
    "c_range) VALUES ('(,)')",
    "c_tsrange) VALUES ('[2020-01-01 00:00:00+02,infinity)')",
    "c_multi) VALUES ('{[1.5,2),(3,]}')",
    "c_tsvector) VALUES ('a:1A fat:2B,4C cat')",
    "c_tsquery) VALUES ('fat & (rat | !cat)')",
    "c_hstore) VALUES ('a=>1, \"b c\"=>NULL')",
    "c_citext) VALUES ('MiXed')",
    "c_ltree) VALUES ('Top.Science')",
    "c_lsn) VALUES ('16/B374D848')",
    "c_xid) VALUES ('4294967295')",
    "c_tid) VALUES ('(1,2)')",
    "c_regclass) VALUES ('pg_class')",
    "c_regclass) VALUES ('types_copy')",
    "c_int2v) VALUES ('1 2 3')",
    "a_bool) VALUES ('{t,f,NULL}')",
    "a_int) VALUES ('{}')",
    "a_int) VALUES ('{1,NULL,-3}')",
    "a_int) VALUES (NULL)",
    "a_int) VALUES ('{NULL}')",
    "a_big) VALUES ('{9223372036854775807}')",
    "a_float) VALUES ('{NaN,-0,1e308,0.1}')",
    "a_num) VALUES ('{1.5,-0.01,NULL}')",
    "a_numfree) VALUES ('{NaN,1.500,12345678901234567890123456789012345678901234567890}')",
    "a_text) VALUES ('{}')",
    "a_text) VALUES (ARRAY['', 'NULL', NULL, 'a,b', '{x}', E'q\"\\\\z', E'n\\nl', ' lead', '日本'])",
    "a_char) VALUES ('{a,bcd}')",
    "a_bytea) VALUES (ARRAY['\\x00ff'::bytea, '', NULL])",
    "a_date) VALUES ('{2020-01-01,infinity,0044-03-15 BC}')",
    "a_ts) VALUES ('{2020-01-01 00:00:00+00,-infinity,NULL}')",
    "a_uuid) VALUES ('{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}')",
    "a_jsonb) VALUES (ARRAY['{\"a\": [1, \"x\"]}'::jsonb, 'null', NULL])",
    "a_enum) VALUES ('{sad,NULL}')",
    "a_enum) VALUES (ARRAY['it''s \"ok\", {x}'::mood])",
    "a_inet) VALUES ('{1.2.3.4,10.0.0.0/8,NULL}')",
    "a_pair) VALUES (ARRAY[row(1, 'x,y')::pair, NULL, row(NULL, '')::pair])",
    "a_interval) VALUES ('{1 day,NULL}')",
    "a_box) VALUES ('{((0,0),(1,1));((2,2),(3,3))}')",
    "a_cents) VALUES ('{1.10,NULL}')",
    "a_range) VALUES ('{\"[1,5)\",empty}')",
    /* rows that do not fit: both ways must refuse them for the same reason */
    "c_num38) VALUES ('NaN')",
    "c_cents) VALUES ('NaN')",
    "a_num) VALUES ('{NaN}')",
    "a_int) VALUES ('{{1,2},{3,4}}')",
    "a_int) VALUES ('[0:1]={1,2}')",
    "a_inet) VALUES ('{{1.1.1.1}}')",
    "c_ts) VALUES ('294276-12-31 23:59:59')",
    "c_tstz) VALUES ('294276-12-31 23:59:59+00')",
    "a_ts) VALUES ('{294276-01-01 00:00:00+00}')",
};

static size_t fill_types(struct live *l)
{
    size_t n = sizeof values / sizeof *values;
    for (size_t i = 0; i < n; i++) {
        char sql[1024];
        const char *mark = strstr(values[i], ") VALUES (");
        (void)snprintf(sql, sizeof sql, "INSERT INTO types_copy (id, %.*s) VALUES (%zu, %s",
                       (int)(mark - values[i]), values[i], i, mark + strlen(") VALUES ("));
        run(l, sql);
    }
    return n;
}

struct bad_log {
    size_t n;
    char *lines[64];
};

static enum dm_status note_bad(void *ctx, const struct dm_bad_row *row, struct dm_error *err)
{
    struct bad_log *log = ctx;
    (void)err;
    log->lines[log->n++] = dm_xasprintf("%s key=%s raw=%.600s", row->reason, row->key, row->raw);
    return DM_OK;
}

static struct dm_batch *copy_whole(struct live *l, const char *name, struct bad_log *bad)
{
    struct dm_copy *copy;
    dm_position at;
    struct dm_table_list tables;
    struct dm_batch *batch = NULL;
    must(l, l->type->copy_open(l->source, &copy, &at, &l->err));
    must(l, l->type->copy_tables(copy, &tables, &l->err));
    for (size_t i = 0; i < tables.n; i++) {
        if (strcmp(tables.tables[i]->name, name) != 0)
            continue;
        struct dm_copy_reader *reader;
        batch = dm_batch_new(tables.tables[i]->columns);
        must(l, l->type->copy_read(copy, tables.tables[i], 0, 1, &reader, &l->err));
        enum dm_status status;
        while ((status = l->type->copy_next(reader, batch, 1u << 20, 1u << 30, note_bad, bad, &l->err)) ==
               DM_OK)
            ;
        assert_int_equal(status, DM_END);
        l->type->copy_reader_close(reader);
    }
    dm_table_list_release(&tables);
    l->type->copy_close(copy);
    assert_non_null(batch);
    return batch;
}

static size_t row_of(const struct dm_batch *b, int id)
{
    for (size_t i = 0; i < b->rows; i++)
        if (dm_column_int32(&b->columns[0], i) == id)
            return i;
    return SIZE_MAX;
}

static void compare(const struct dm_batch *copied, const struct dm_batch *streamed, size_t n)
{
    for (size_t id = 0; id < n; id++) {
        size_t a = row_of(copied, (int)id), b = row_of(streamed, (int)id);
        if (a == SIZE_MAX || b == SIZE_MAX) {
            if (a != b)
                fprintf(stderr, "%s: only in one\n", values[id]);
            assert_int_equal(a, b);
            continue;
        }
        for (size_t c = 0; c < copied->n_columns; c++) {
            if (!dm_column_value_equal(&copied->columns[c], a, &streamed->columns[c], b)) {
                char x[512], y[512];
                value_text(&copied->columns[c], a, x, sizeof x);
                value_text(&streamed->columns[c], b, y, sizeof y);
                fprintf(stderr, "%s: column %s: copy %s, stream %s\n", values[id],
                        copied->schema->fields[c].name, x, y);
                fail();
            }
        }
    }
}

/* The server's own text of some values, compared with ours. */
static void check_against_server(struct live *l, const struct dm_batch *b, const char *column)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql,
                   "SET intervalstyle = postgres; SET timezone = 'UTC'; SET search_path = pg_catalog; SET "
                   "extra_float_digits = 3;"
                   "SELECT id, \"%s\" FROM public.types_copy WHERE \"%s\" IS DISTINCT FROM NULL ORDER BY id",
                   column, column);
    PGresult *rows = PQexec(l->sql, sql);
    assert_int_equal(PQresultStatus(rows), PGRES_TUPLES_OK);
    assert_true(PQntuples(rows) > 0);
    int c = dm_schema_find(b->schema, column);
    for (int i = 0; i < PQntuples(rows); i++) {
        size_t row = row_of(b, atoi(PQgetvalue(rows, i, 0)));
        size_t n;
        const uint8_t *p = dm_column_bytes_at(&b->columns[c], row, &n);
        if (n != (size_t)PQgetlength(rows, i, 1) || memcmp(p, PQgetvalue(rows, i, 1), n) != 0) {
            fprintf(stderr, "%s: %.*s instead of %s\n", column, (int)n, (const char *)p,
                    PQgetvalue(rows, i, 1));
            fail();
        }
    }
    PQclear(rows);
    run(l, "RESET search_path");
}

static void test_every_type_both_ways(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, create_types);
    size_t n = fill_types(l);
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO types_stream SELECT * FROM types_copy");
    drain(l);
    struct bad_log bad = {0};
    struct dm_batch *copied = copy_whole(l, "types_copy", &bad);
    struct recorded_table *streamed = NULL;
    for (size_t i = 0; i < l->rec.n_tables; i++)
        if (strcmp(l->rec.tables[i]->name, "public.types_stream") == 0)
            streamed = l->rec.tables[i];
    assert_non_null(streamed);
    assert_int_equal(copied->n_columns, streamed->batch->n_columns);
    for (size_t c = 0; c < copied->n_columns; c++)
        assert_true(dm_type_equal(copied->schema->fields[c].type, streamed->batch->schema->fields[c].type));
    compare(copied, streamed->batch, n);
    assert_int_equal(copied->rows + bad.n, n);
    assert_int_equal(bad.n, 9);
    for (size_t i = 0; i < bad.n; i++) { /* the same words both ways */
        char *line = dm_xasprintf("bad public.types_stream %s\n", bad.lines[i]);
        if (strstr(l->rec.log, line) == NULL)
            fprintf(stderr, "not in the stream: %s", line);
        assert_non_null(strstr(l->rec.log, line));
        free(line);
        free(bad.lines[i]);
    }
    static const char *const as_text[] = {
        "c_num",   "c_num50", "c_text",  "c_char",    "c_bchar",    "c_timetz",   "c_interval", "c_json",
        "c_jsonb", "c_xml",   "c_enum",  "c_pair",    "c_inet",     "c_cidr",     "c_mac",      "c_bit",
        "c_money", "c_box",   "c_range", "c_tsrange", "c_multi",    "c_tsvector", "c_hstore",   "c_citext",
        "c_ltree", "c_lsn",   "c_xid",   "c_tid",     "c_regclass", "c_int2v"};
    for (size_t i = 0; i < sizeof as_text / sizeof *as_text; i++)
        check_against_server(l, copied, as_text[i]);
    dm_batch_free(copied);
    live_free(l);
}

/* The meaning of values, by hand. */
static void test_known_values(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    run(l, "CREATE TABLE v (id int PRIMARY KEY, d date, t timestamp, z timestamptz, m time, n numeric(6,2), "
           "neg numeric(5,-2),"
           " small numeric(3,5), b bool, o oid, a int[], u numeric)");
    live_prepare(l);
    live_stream(l, 0);
    const struct dm_schema *columns = l->rec.tables[0]->table->columns;
    assert_true(dm_type_equal(columns->fields[5].type, dm_type_decimal(6, 2)));
    assert_true(dm_type_equal(columns->fields[6].type, dm_type_decimal(7, 0)));
    assert_true(dm_type_equal(columns->fields[7].type, dm_type_decimal(5, 5)));
    run(l, "INSERT INTO v VALUES (1, '1970-01-02', '1970-01-01 00:00:01.5', '1970-01-01 02:00:00+02', "
           "'00:00:01', -12.5, 12300,"
           " 0.00123, true, 4294967295, '{1,NULL,3}', 1.50), (2, 'infinity', '-infinity', 'infinity', "
           "'24:00:00', 0, 0, 0, false, 0,"
           " '{}', 'NaN'), (3, '0001-12-31 BC', '2000-01-01', '1969-12-31 23:59:59.999999+00', NULL, "
           "9999.99, -9999900, -0.00999,"
           " NULL, NULL, NULL, NULL)");
    recorder_clear(&l->rec);
    drain(l);
    expect(l,
           "begin\n"
           "public.v INSERT 1|1|1500000|0|1000000|-1250E-2|12300E-0|123E-5|true|4294967295|[1,~,3]|1.50\n"
           "public.v INSERT "
           "2|2147483647|-9223372036854775807|9223372036854775807|86400000000|0E-2|0E-0|0E-5|false|0|[]|NaN\n"
           "public.v INSERT 3|-719163|946684800000000|-1|~|999999E-2|-9999900E-0|-999E-5|~|~|~|~\n"
           "commit\n");
    live_free(l);
}

static void test_configured_decimals(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    static char glob[] = "public.money", all[] = "*", column[] = "amount";
    struct dm_decimal_config decimal = {column, 20, 4};
    l->tables[0].glob = glob;
    l->tables[0].n_decimals = 1;
    l->tables[0].decimals = (void *)&decimal;
    l->tables[1].glob = all;
    l->config.n_tables = 2;
    run(l, "CREATE TABLE money (id int PRIMARY KEY, amount numeric, rest numeric)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO money VALUES (1, 1.5, 1.5)");
    run(l, "INSERT INTO money VALUES (2, 1.50000, 0), (3, 1.00001, 0), (4, 12345678901234567, 0), (5, "
           "'Infinity', 0), (6, 'NaN', 0)");
    drain(l);
    expect(l, "begin\npublic.money INSERT 1|15000E-4|1.5\ncommit\n"
              "begin\npublic.money INSERT 2|15000E-4|0\n"
              "bad public.money decimal_out_of_range key=3 raw={\"id\": \"3\", \"amount\": \"1.00001\", "
              "\"rest\": \"0\"}\n"
              "bad public.money decimal_out_of_range key=4 raw={\"id\": \"4\", \"amount\": "
              "\"12345678901234567\", \"rest\": \"0\"}\n"
              "bad public.money numeric_infinity key=5 raw={\"id\": \"5\", \"amount\": \"Infinity\", "
              "\"rest\": \"0\"}\n"
              "bad public.money numeric_nan key=6 raw={\"id\": \"6\", \"amount\": \"NaN\", \"rest\": "
              "\"0\"}\ncommit\n");
    live_free(l);
}

/* time_as: string gives the server's text by copy and by stream, in keys, arrays and domains; timetz and interval are not
 * concerned. */
static void test_time_as_string(void **state)
{
    (void)state;
    NEED_SERVER();
    struct live *l = live_new();
    static char string[] = "string";
    l->config.time_as = string;
    run(l, "CREATE DOMAIN opening AS time CHECK (value >= '00:00');"
           "CREATE TABLE clock (t time PRIMARY KEY, t3 time(3), d opening, a time[], da opening[], z timetz);"
           "CREATE TABLE clock_stream (LIKE clock INCLUDING ALL);"
           "INSERT INTO clock VALUES"
           " ('24:00:00', '24:00:00', '24:00', '{24:00:00,NULL,00:00}', '{24:00,NULL}', '24:00+00'),"
           " ('00:00', NULL, NULL, '{}', NULL, NULL),"
           " ('23:59:59.999999', '01:02:03.0045', '12:34:56.7', '{23:59:59.999999,00:00:00.000001}', '{}', "
           "'01:02:03.5+05:30'),"
           " ('12:00:00.100000', '12:00', '12:00:01', NULL, '{01:00}', NULL)");
    live_prepare(l);
    live_stream(l, 0);
    run(l, "INSERT INTO clock_stream SELECT * FROM clock ORDER BY t");
    run(l, "DELETE FROM clock_stream WHERE t = '24:00'; UPDATE clock_stream SET t = '12:00:00.000001' WHERE "
           "t = '00:00'");
    recorder_clear(&l->rec);
    drain(l);
    expect(l,
           "begin\n"
           "public.clock_stream INSERT 00:00:00|~|~|[]|~|~\n"
           "public.clock_stream INSERT 12:00:00.1|12:00:00|12:00:01|~|[01:00:00]|~\n"
           "public.clock_stream INSERT "
           "23:59:59.999999|01:02:03.005|12:34:56.7|[23:59:59.999999,00:00:00.000001]|[]|01:02:03.5+05:30\n"
           "public.clock_stream INSERT "
           "24:00:00|24:00:00|24:00:00|[24:00:00,~,00:00:00]|[24:00:00,~]|24:00:00+00\n"
           "commit\n"
           "begin\n"
           "public.clock_stream DELETE 24:00:00|~|~|~|~|~\n"
           "public.clock_stream REKEY 00:00:00|~|~|~|~|~\n"
           "public.clock_stream UPDATE 12:00:00.000001|~|~|[]|~|~\n"
           "commit\n");
    struct bad_log bad = {0};
    struct dm_batch *copied = copy_whole(l, "clock", &bad);
    assert_int_equal(bad.n, 0);
    assert_int_equal(copied->rows, 4);
    static const char *const rows[] = {
        "24:00:00|24:00:00|24:00:00|[24:00:00,~,00:00:00]|[24:00:00,~]|24:00:00+00|",
        "00:00:00|~|~|[]|~|~|",
        "23:59:59.999999|01:02:03.005|12:34:56.7|[23:59:59.999999,00:00:00.000001]|[]|01:02:03.5+05:30|",
        "12:00:00.1|12:00:00|12:00:01|~|[01:00:00]|~|",
    };
    for (size_t i = 0; i < copied->rows; i++) {
        char line[512] = "";
        for (size_t c = 0; c < copied->n_columns; c++) {
            char value[128];
            value_text(&copied->columns[c], i, value, sizeof value);
            (void)snprintf(line + strlen(line), sizeof line - strlen(line), "%s|", value);
        }
        assert_string_equal(line, rows[i]);
    }
    for (size_t c = 0; c < copied->n_columns; c++) {
        struct dm_type type = copied->schema->fields[c].type;
        assert_int_equal(type.id == DM_LIST ? type.element : type.id, DM_STRING);
    }
    dm_batch_free(copied);
    live_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_both_ways),
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_configured_decimals),
        cmocka_unit_test(test_time_as_string),
    };
    return cmocka_run_group_tests(tests, live_start, live_stop);
}
