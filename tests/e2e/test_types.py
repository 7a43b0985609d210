"""Every PostgreSQL type with its edge values, by copy and by stream: both the source's value, bit for bit."""
import pytest

from oracle.compare import compare
from oracle.mirror import Marker
from oracle.values import from_text

# name: (SQL type, kind in the lake, literals as SQL expressions)
TYPES = {
    "bool": ("bool", ("bool",), ["true", "false"]),
    "int2": ("int2", ("int",), ["-32768", "32767", "0"]),
    "int4": ("int4", ("int",), ["-2147483648", "2147483647", "0"]),
    "int8": ("int8", ("long",), ["-9223372036854775808", "9223372036854775807", "0"]),
    "float4": ("float4", ("f32",), ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "3.4028235e38", "1.4e-45", "0.1"]),
    "float8": ("float8", ("f64",), ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1.7976931348623157e308", "5e-324", "0.1",
                                    "9007199254740993"]),
    "numeric_10_2": ("numeric(10,2)", ("dec", 10, 2), ["99999999.99", "-99999999.99", "0", "0.005", "1"]),
    "numeric_38_0": ("numeric(38,0)", ("dec", 38, 0), ["99999999999999999999999999999999999999",
                                                       "-99999999999999999999999999999999999999", "0", "10000", "100000000"]),
    "numeric_38_38": ("numeric(38,38)", ("dec", 38, 38), ["0.99999999999999999999999999999999999999",
                                                          "-0.00000000000000000000000000000000000001", "0", "0.00010"]),
    "numeric_9_4": ("numeric(9,4)", ("dec", 9, 4), ["12345.6789", "-0.0001", "10000", "9999.9999"]),
    "numeric_18_9": ("numeric(18,9)", ("dec", 18, 9), ["123456789.123456789", "-0.000000001"]),
    "numeric_39": ("numeric(39,3)", ("str",), ["123456789012345678901234567890123456.789", "-0.001", "'NaN'"]),
    "numeric_unbounded": ("numeric", ("str",), ["1", "1.0", "1.10", "0", "0.000", "-0.5", "1e60", "1e-60", "'NaN'", "'Infinity'",
                                                "'-Infinity'", "12345678901234567890123456789012345678901234567890.5", "10000",
                                                "100000000.0001"]),
    "numeric_negative_scale": ("numeric(5,-2)", ("num",), ["1234500", "-100", "0"]),
    "text": ("text", ("str",), ["''", "' '", "E'a\\nb\\r\\t\\\\'", "'\"''`'", "'äöü€漢字😀'", "U&'\\FFFD'", "repeat('long ', 20000)",
                                "'NULL'", "'\\N'", "chr(1)", "chr(127)", "E'\\u200F'"]),
    "varchar": ("varchar(12)", ("str",), ["''", "'twelve chars'", "'äöü€漢字😀'"]),
    "char": ("char(5)", ("str",), ["''", "'ab'", "'  x'", "'äöü€漢'"]),
    "one_char": ('"char"', ("str",), ["'x'", "''"]),
    "name": ("name", ("str",), ["'a name'"]),
    "bytea": ("bytea", ("bin",), ["''", "'\\x00'", "'\\x00ff0a0d5c27'", "decode(repeat('ab', 50000), 'hex')"]),
    "date": ("date", ("date",), ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'0001-01-01'", "'0001-12-31 BC'", "'1582-10-10'",
                                 "'1970-01-01'", "'1969-12-31'", "'2024-02-29'", "'9999-12-31'", "'10000-01-01'",
                                 "'5874897-12-31'"]),
    "time": ("time", ("time",), ["'00:00'", "'23:59:59.999999'", "'12:00:00.000001'", "'24:00:00'"]),
    "timetz": ("timetz", ("str",), ["'00:00+00'", "'23:59:59.999999-15:59'", "'12:34:56+05:30'", "'24:00:00+00'"]),
    "timestamp": ("timestamp", ("ts",), ["'infinity'", "'-infinity'", "'4713-01-01 00:00:00 BC'", "'0001-01-01 00:00:00'",
                                         "'0001-12-31 23:59:59.999999 BC'", "'1969-12-31 23:59:59.999999'", "'1970-01-01'",
                                         "'2024-02-29 12:00:00.123456'", "'9999-12-31 23:59:59.999999'", "'10000-01-01'",
                                         "'294246-12-31 23:59:59.999999'"]),
    "timestamptz": ("timestamptz", ("tstz",), ["'infinity'", "'-infinity'", "'2024-03-31 02:30:00+02'", "'1900-01-01 00:00+00:19:32'",
                                               "'0001-12-31 23:59:59.999999+00 BC'", "'9999-12-31 23:59:59.999999-15'",
                                               "'294246-12-31 23:59:59.999999+00'"]),
    "timestamp_3": ("timestamp(3)", ("ts",), ["'2024-02-29 12:00:00.1236'"]),
    "interval": ("interval", ("str",), ["'0'", "'1 year 2 months 3 days 04:05:06.789'", "'-1 year -2 months +3 days -04:05:06.000001'",
                                        "'178000000 years'", "'-1 microsecond'", "'24:00:00'", "'1 day'", "'100000:00:00'"]),
    "uuid": ("uuid", ("uuid",), ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                                 "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    "json": ("json", ("str",), ["'{\"b\":1,  \"a\" : [1, 2.50 , null], \"b\":2}'", "'null'", "'\"\\u0041\"'", "'1e1000'"]),
    "jsonb": ("jsonb", ("str",), ["'{\"b\":1,  \"a\" : [1, 2.50 , null], \"b\":2}'", "'null'", "'\"ä\\u20ac\"'", "'{}'",
                                  "'12345678901234567890.123456789'"]),
    "jsonpath": ("jsonpath", ("str",), ["'$.a[*] ? (@ > 1)'"]),
    "xml": ("text", ("str",), ["'<a>&amp;</a>'"]),
    "enum": ("mood", ("str",), ["'sad'", "'it''s \"ok\", {really}'"]),
    "composite": ("pair", ("str",), ["row(1, 'a')", "row(null, '')", "row(null, null)", "row(-1, E'q\"uo,te(d)\\n\\\\')"]),
    "int4range": ("int4range", ("str",), ["'empty'", "'[1,5)'", "'(,)'", "'[3,]'"]),
    "tstzrange": ("tstzrange", ("str",), ["'[2024-01-01 00:00+00,infinity)'", "'empty'"]),
    "multirange": ("nummultirange", ("str",), ["'{}'", "'{[1,2),[3,4.5)}'"]),
    "inet": ("inet", ("str",), ["'10.0.0.1'", "'10.0.0.1/8'", "'0.0.0.0/0'", "'::1'", "'fe80::1/64'", "'::ffff:1.2.3.4'"]),
    "cidr": ("cidr", ("str",), ["'10.0.0.0/8'", "'10.0.0.1/32'", "'2001:db8::/32'", "'::1/128'"]),
    "macaddr": ("macaddr", ("str",), ["'08:00:2b:01:02:03'"]),
    "macaddr8": ("macaddr8", ("str",), ["'08:00:2b:01:02:03:04:05'"]),
    "bit": ("bit(3)", ("str",), ["B'101'", "B'000'"]),
    "varbit": ("bit varying(100)", ("str",), ["B''", "B'1'", "B'10101010101'"]),
    "money": ("money", ("any",), ["'12.34'", "'-92233720368547758.08'", "'92233720368547758.07'"]),
    "domain_text": ("short_text", ("str",), ["'a'", "''"]),
    "domain_numeric": ("percent", ("dec", 5, 2), ["99.5", "0"]),
    "domain_domain": ("percent2", ("dec", 5, 2), ["12.3"]),
    "oid": ("oid", ("any",), ["0", "4294967295"]),
    "regclass": ("regclass", ("any",), ["'pg_class'"]),
    "xid8": ("xid8", ("any",), ["'18446744073709551615'"]),
    "pg_lsn": ("pg_lsn", ("str",), ["'16/B374D848'", "'FFFFFFFF/FFFFFFFF'"]),
    "tsvector": ("tsvector", ("str",), ["'a:1 cat:3A'", "''"]),
    "tsquery": ("tsquery", ("str",), ["'fat & (rat | ''o''''x'')'"]),
    "point": ("point", ("str",), ["'(1.5,-2e300)'", "'(Infinity,NaN)'"]),
    "box": ("box", ("str",), ["'(1,2),(3,4)'"]),
    "path": ("path", ("str",), ["'[(1,2),(3,4)]'", "'((1,2),(3,4))'"]),
    "circle": ("circle", ("str",), ["'<(1,2),3>'"]),
    "hstore": ("hstore", ("str",), ["''", "'a=>1, \"b c\"=>NULL, d=>\"q\\\"uote\"'"]),
    "ltree": ("text", ("str",), ["'a.b.c'"]),
    "int_array": ("int[]", ("list", ("int",)), ["'{}'", "'{NULL}'", "'{1,NULL,-2147483648}'", "array(select generate_series(1, 3000))"]),
    "int8_array": ("int8[]", ("list", ("long",)), ["'{9223372036854775807}'"]),
    "text_array": ("text[]", ("list", ("str",)), ["'{}'", "'{NULL,\"NULL\",\"\"}'", "array['a,b', 'c\"d', E'e\\\\f\\n', '{}', '€']"]),
    "bool_array": ("bool[]", ("list", ("bool",)), ["'{t,f,NULL}'"]),
    "numeric_array": ("numeric(8,2)[]", ("list", ("dec", 8, 2)), ["'{1.50,-0.01,NULL}'"]),
    "plain_numeric_array": ("numeric[]", ("list", ("str",)), ["'{1.50,NaN,NULL,1e40}'"]),
    "float8_array": ("float8[]", ("list", ("f64",)), ["'{NaN,-0,Infinity,NULL,1e-300}'"]),
    "timestamp_array": ("timestamp[]", ("list", ("ts",)), ["'{2024-01-01 00:00:00,NULL,infinity,\"0044-03-15 00:00:00 BC\"}'"]),
    "date_array": ("date[]", ("list", ("date",)), ["'{2024-01-01,-infinity,NULL}'"]),
    "uuid_array": ("uuid[]", ("list", ("uuid",)), ["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}'"]),
    "bytea_array": ("bytea[]", ("list", ("bin",)), ["array['\\x00ff'::bytea, ''::bytea, null]"]),
    "jsonb_array": ("jsonb[]", ("list", ("str",)), ["array['{\"a\": [1, \"x,y\"]}'::jsonb, 'null', null]"]),
    "enum_array": ("mood[]", ("list", ("str",)), ["array['sad', null]::mood[]"]),
    "composite_array": ("pair[]", ("list", ("str",)), ["array[row(1,'a,\"b\"')::pair, null, row(null,null)::pair]"]),
    "inet_array": ("inet[]", ("list", ("str",)), ["'{10.0.0.1,10.0.0.1/8}'"]),
    "plain_bounds_array": ("int[]", ("list", ("int",)), ["'[1:3]={7,8,9}'"]),
    "time_array": ("time[]", ("list", ("time",)), ["'{00:00,23:59:59.999999}'"]),
    "domain_array": ("percent[]", ("list", ("dec", 5, 2)), ["'{1.5,NULL}'"]),
}

PRELUDE = """
create extension if not exists hstore;
create type mood as enum ('sad', 'it''s "ok", {really}');
create type pair as (n int, t text);
create domain short_text as varchar(10);
create domain percent as numeric(5,2) check (value <= 100);
create domain percent2 as percent check (value >= 0);
"""


def column(name):
    return f'"v_{name}"'


@pytest.fixture(scope="module")
def both(request, postgres, tmp_path_factory):
    """One mirror with every type in three tables: copied, streamed, and updated by the stream after the copy."""
    from conftest import Database
    d = Database(postgres, tmp_path_factory.mktemp("types"))
    request.addfinalizer(d.close)
    try:
        d.execute(PRELUDE)
    except Exception as e:
        pytest.fail(f"contrib modules are needed: {e}")
    columns = ", ".join(f"{column(n)} {t[0]}" for n, t in TYPES.items())
    for table in ("copied", "streamed", "updated"):
        d.execute(f"create table {table} (id int primary key, {columns})")

    def fill(table):
        for n, (sql, _, literals) in TYPES.items():
            for i, literal in enumerate(literals):
                # id: the type's number in the list, then the literal's
                d.execute(f"insert into {table} (id, {column(n)}) values ({list(TYPES).index(n) * 100 + i}, {literal})")
        d.execute(f"insert into {table} (id) values (99999)")
    fill("copied")
    for n in TYPES:
        d.execute(f"insert into updated (id) select {list(TYPES).index(n) * 100} + i from generate_series(0, {len(TYPES[n][2]) - 1}) i")
    mirror = d.mirror().start()
    marker = Marker(d.execute, mirror)
    marker.reached(90)
    fill("streamed")
    for n, (sql, _, literals) in TYPES.items():
        for i, literal in enumerate(literals):
            d.execute(f"update updated set {column(n)} = {literal} where id = {list(TYPES).index(n) * 100 + i}")
    marker.reached(90)
    datasets = mirror.lake.everything()
    with d.snapshot() as s:
        tables = {t.name: t for t in s.tables(kinds={(table, "v_" + n): t[1] for table in ("copied", "streamed", "updated")
                                                      for n, t in TYPES.items() if t[1][0] in ("any", "num")})}
    return tables, datasets, mirror


@pytest.mark.smoke
@pytest.mark.parametrize("table", ["copied", "streamed", "updated"])
@pytest.mark.parametrize("name", TYPES)
def test_type(both, table, name):
    """The lake's type is the stated one, and each value is the source's."""
    tables, datasets, mirror = both
    source, lake = tables[table], datasets["shop", table]
    at, there = source.columns.index("v_" + name), lake.columns.index("v_" + name)
    expected = TYPES[name][1]
    found = lake.kinds[there]
    if expected[0] not in ("any", "num"):
        assert found == expected
    rows = {r[lake.columns.index("id")]: r[there] for r in lake.rows}
    first = list(TYPES).index(name) * 100
    for i, literal in enumerate(TYPES[name][2]):
        text = next(r[at] for r in source.rows if int(r[0]) == first + i)
        assert first + i in rows, f"{literal}: the row is not in the lake\n{mirror.log_tail(20)}"
        want = tuple(from_text(t, found[1]) for t in text) if found[0] == "list" else from_text(
            text, found if found[0] != "str" else ("str",))
        assert rows[first + i] == want, f"{literal}: source {want!r}, lake {rows[first + i]!r}"
    assert 99999 not in rows or rows[99999] is None


def test_copy_and_stream_agree(both):
    tables, datasets, _ = both
    copied, streamed = datasets["shop", "copied"], datasets["shop", "streamed"]
    assert copied.columns == streamed.columns
    assert copied.kinds == streamed.kinds
    assert dict((r[0], r) for r in copied.rows) == dict((r[0], r) for r in streamed.rows)
    compare(list(tables.values()), {k: v for k, v in datasets.items()})


# What does not fit is never changed: the row goes to quarantine, is counted, and the table goes on.
MISFITS = {
    "nan_in_decimal": ("numeric(10,2)", "'NaN'"),
    "timestamp_too_late": ("timestamp", "'294276-12-31 23:59:59.999999'"),
    "timestamptz_too_late": ("timestamptz", "'294276-12-31 23:59:59.999999+00'"),
    "nan_in_decimal_array": ("numeric(10,2)[]", "'{1,NaN}'"),
    "two_dimensions": ("int[]", "'{{1,2},{3,4}}'"),
    "two_dimensions_text": ("text[]", "array[['a','b'],['c','d']]"),
    "array_that_starts_at_0": ("int[]", "'[0:1]={1,2}'"),
}


@pytest.mark.smoke
@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_goes_to_quarantine(database, name):
    sql, literal = MISFITS[name]
    for table in ("copied", "streamed"):
        database.execute(f"create table {table} (id int primary key, v {sql}, t text)")
    database.execute(f"insert into copied values (1, null, 'a'), (2, {literal}, 'b'), (3, null, 'c')")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    database.execute(f"insert into streamed values (1, null, 'a'), (2, {literal}, 'b'), (3, null, 'c')")
    marker.reached()
    for table in ("copied", "streamed"):
        assert sorted(r["id"] for r in mirror.lake.dataset("shop", table).dicts()) == [1, 3], table
        status = mirror.dataset_status(f"shop.{table}")
        assert status["quarantined"] == 1, status
    # Updated to something that fits, the row comes back; updated to the misfit, a row must not stay with its old value.
    for table in ("copied", "streamed"):
        database.execute(f"update {table} set v = null where id = 2")
        database.execute(f"update {table} set v = {literal} where id = 3")
    marker.reached()
    for table in ("copied", "streamed"):
        assert sorted(r["id"] for r in mirror.lake.dataset("shop", table).dicts()) == [1, 2], table
        assert mirror.dataset_status(f"shop.{table}")["quarantined"] == 2


def test_unbounded_numeric_as_configured_decimal(database):
    database.execute("create table t (id int primary key, n numeric); insert into t values (1, 12.5), (2, 1e30), (3, 0.123)")
    mirror = database.mirror("    tables:\n      - name: public.t\n        decimals: {n: \"20,2\"}\n      - public.oracle_marker\n").start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    database.execute("insert into t values (4, -0.01), (5, 'Infinity'), (6, 0.001)")
    marker.reached()
    rows = mirror.lake.dataset("shop", "t")
    assert rows.kinds[1] == ("dec", 20, 2)
    assert sorted((r[0], str(r[1])) for r in rows.rows) == [(1, "12.50"), (4, "-0.01")]
    assert mirror.dataset_status("shop.t")["quarantined"] == 4


TIMES = ["'00:00'", "'24:00:00'", "'23:59:59.999999'", "'12:00:00.000001'", "'12:34:56.700'", "null"]
TIME_ARRAYS = ["'{}'", "'{24:00:00,NULL,00:00}'", "'{23:59:59.999999}'", "null"]


def clock(database, table, values=True):
    """A table of times, plain, with a precision, in arrays and under a domain."""
    database.execute(f"create table {table} (id int primary key, t time, t3 time(3), a time[], d opening, z timetz)")
    if values:
        fill_clock(database, table)


def fill_clock(database, table):
    for i, t in enumerate(TIMES):
        for j, a in enumerate(TIME_ARRAYS):
            database.execute(f"insert into {table} values ({i * 10 + j}, {t}, {t}, {a}, {t}, '12:34:56.7+05:30')")


def clock_kinds(*tables):
    out = {(t, c): ("str",) for t in tables for c in ("t", "t3", "d")}
    return out | {(t, "a"): ("list", ("str",)) for t in tables}


def test_time_as_string(database):
    """One text by copy, by stream and by update; in keys too; verify knows it."""
    database.execute("create domain opening as time")
    for table in ("copied", "updated"):
        clock(database, table)
    clock(database, "streamed", values=False)
    database.execute("create table by_time (at time primary key, n int); insert into by_time values ('24:00', 1), ('12:00:00.5', 2)")
    mirror = database.mirror("    time_as: string\n").start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    fill_clock(database, "streamed")
    database.execute("update updated set t = t - interval '1 microsecond', a = array_append(a, time '24:00'), d = null")
    database.execute("alter table updated add column closing time not null default '24:00:00'")
    database.execute("insert into updated (id, closing) values (1000, '01:02:03.040')")
    database.execute("delete from by_time where at = '24:00'; update by_time set at = '23:00' where at = '12:00:00.5'; "
                     "insert into by_time values ('00:00', 3)")
    marker.reached()
    kinds = clock_kinds("copied", "streamed", "updated") | {("updated", "closing"): ("str",), ("by_time", "at"): ("str",)}
    assert database.check(mirror, kinds=kinds) > 3 * len(TIMES) * len(TIME_ARRAYS)
    copied, streamed = mirror.lake.dataset("shop", "copied"), mirror.lake.dataset("shop", "streamed")
    assert sorted(copied.rows, key=repr) == sorted(streamed.rows, key=repr)
    assert set(copied.column("t")) == {"00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.000001", "12:34:56.7", None}
    assert sorted(mirror.lake.dataset("shop", "by_time").rows) == [("00:00:00", 3), ("23:00:00", 2)]
    verified = mirror.with_config("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "time_as" not in mirror.with_config("doctor").stdout


def test_time_as_is_changed_later(database):
    """The option switched on, and off again, over a lake that is there: the tables concerned are copied again, rows changed meanwhile
    included."""
    database.execute("create domain opening as time")
    clock(database, "t")
    database.execute("create table other (id int primary key); insert into other values (1)")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    database.check(mirror)
    doctor = mirror.with_config("doctor")
    assert doctor.returncode == 0 and "public.t has columns of type time: Spark refuses" in doctor.stdout, doctor.stdout
    for n, extra, kinds, name in ((1, "    time_as: string\n", clock_kinds("t"), "str"), (2, "    time_as: time\n", {}, "time")):
        assert mirror.stop() == 0
        database.execute(f"insert into t (id, t, a) values ({2000 + n}, '01:02:03.4', '{{24:00}}'); delete from t where id = {n}")
        mirror.write(database.source(extra), "commit_interval: 200ms")
        mirror.start()
        rows = mirror.until_dataset("t", lambda r, name=name: r.kinds[r.columns.index("t")] == (name,), f"time as {name}")
        assert rows.kinds[rows.columns.index("a")] == ("list", (name,))
        marker.reached()
        database.check(mirror, kinds=kinds)
        verified = mirror.with_config("verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
