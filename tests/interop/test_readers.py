"""Every dataset of a mirrored database, read by Spark, PyIceberg and DuckDB: all equal to the source, by content hash."""
import hashlib
import json
import sys
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import duckdb_read  # noqa: E402
import spark_run  # noqa: E402
from conftest import Database  # noqa: E402
from oracle import traffic, values  # noqa: E402
from oracle.compare import canonical, compare  # noqa: E402
from oracle.lake import Rows  # noqa: E402
from oracle.mirror import Marker, Mirror  # noqa: E402
from oracle.pause import Gate, Writers  # noqa: E402

# By copy and by stream; `time` becomes text in the datasets, since Spark has no type for it.
CLOCK = """
create table clock (at time primary key, t3 time(3), list time[]);
insert into clock values ('00:00', null, '{}'), ('24:00:00', '24:00', '{24:00,NULL,00:00:00.5}'), ('23:59:59.999999', '01:02:03.04', null);
"""
CLOCK_CHANGES = """
insert into clock values ('12:34:56.7', '12:34:56.7', '{23:59:59.999999}'), ('00:00:00.000001', '00:00', '{NULL}');
update clock set at = '01:00', list = list || time '24:00' where at = '00:00';
delete from clock where at = '23:59:59.999999';
"""
NAMES = """
create table "A Table, with ""quotes"" & dots. äö" ("Key" int primary key, "a b" text, "select" time, "c.d" int[]);
insert into "A Table, with ""quotes"" & dots. äö" select i, 'row ' || i, '12:00', array[i, null] from generate_series(1, 50) i;
create table nothing_in_it (id int primary key, at time);
"""


@pytest.fixture(scope="module")
def mirrored(request, postgres, tmp_path_factory):
    """(source tables, mirror) of a database with every kind of table, worked on while it was mirrored, with history."""
    d = Database(postgres, tmp_path_factory.mktemp("interop"))
    request.addfinalizer(d.close)
    traffic.create(d.execute)
    d.execute(CLOCK + NAMES)
    mirror = d.mirror("    time_as: string\n    history: true\n", options="commit_interval: 100ms").start()
    marker = Marker(d.execute, mirror)
    marker.reached()
    d.execute(CLOCK_CHANGES)
    work = traffic.Traffic(lambda: d.server.connect(d.name), 7)
    gate = Gate()
    writers = Writers(gate)
    for name, step in [("one", work.mixed), ("toast", work.toasted), ("large", work.large), ("rare", work.rare)]:
        writers.add(name, step)
    with writers:
        end = time.monotonic() + 8
        while time.monotonic() < end and not gate.over:
            time.sleep(0.1)   # the work goes on for this long; nothing waits for anything
    writers.check()
    d.execute("""delete from "A Table, with ""quotes"" & dots. äö" where "Key" % 3 = 0""")
    marker.reached()
    mirror.until(lambda: all(x["state"] not in ("waiting", "copying") for x in mirror.status()["datasets"]), "all copies to be done")
    marker.reached()
    assert mirror.stop() == 0, mirror.log_tail()
    times = d.execute("select c.relname, a.attname, t.typname from pg_attribute a join pg_class c on c.oid = a.attrelid "
                      "join pg_type t on t.oid = a.atttypid where t.typname in ('time', '_time') and a.attnum > 0 and c.relkind in ('r', 'p')")
    assert len(times) >= 7, "nothing to show what time_as does"
    with d.snapshot() as s:
        return s.tables(kinds={(t, c): ("str",) if name == "time" else ("list", ("str",)) for t, c, name in times}), mirror


@pytest.fixture(scope="module")
def lake(mirrored):
    """What PyIceberg reads: {(namespace, name): Rows}."""
    return mirrored[1].live()


@pytest.fixture(scope="module")
def as_time(request, postgres, tmp_path_factory):
    """A mirror of the same kind of table without `time_as`."""
    d = Database(postgres, tmp_path_factory.mktemp("as_time"))
    request.addfinalizer(d.close)
    d.execute(CLOCK + "create table other (id int primary key, t text); insert into other values (1, 'one');"
              "create table list_only (id int primary key, list time[])")
    mirror = d.mirror(options="commit_interval: 100ms\ncatalog_name: as_time")
    mirror.catch_up()
    return mirror


SERIES = """
schemas:
  - name: iot.readings
    behavior: time-series
    columns: {sensor: string not null, at: timestamptz not null, v: int64 not null, value: float64}
    key: [sensor, at]
    timestamp: at
    version: v
"""


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A time-series dataset, partitioned by day, with corrections and deletes; no source."""
    mirror = Mirror(tmp_path_factory.mktemp("series") / "m", "", "commit_interval: 50ms\ncatalog_name: series")
    mirror.config.write_text(f"lake: {mirror.lake.folder}\ncatalog_name: series\n")
    files = {"series.yaml": SERIES,
             "one.csv": "sensor,at,v,value\n" + "".join(f"s{i % 7},2026-0{1 + i % 3}-0{1 + i % 5}T{i % 24:02}:00:{i // 24:02}Z,1,{i / 4}\n" for i in range(600)),
             "two.csv": "sensor,at,v,value,_change_request_type\n" + "".join(
                 f"s{i % 7},2026-0{1 + i % 3}-0{1 + i % 5}T{i % 24:02}:00:{i // 24:02}Z,2,{-i},{'d' if i % 8 else 'u'}\n" for i in range(0, 600, 4))}
    for name, text in files.items():
        (mirror.folder / name).write_text(text)
    for command in (["schema", "apply", "series.yaml"], ["ingest", "iot.readings", "one.csv"], ["ingest", "iot.readings", "two.csv"]):
        p = mirror.with_config(*command[:-1], str(mirror.folder / command[-1]))
        assert p.returncode == 0, p.stdout + p.stderr
    return mirror


NANOSECONDS = """
schemas:
  - {name: t.fine, columns: {id: int64 key, at: timestamp_ns version}}
  - {name: t.other, columns: {id: int64 key, at: timestamp version}}
"""


@pytest.fixture(scope="module")
def nanoseconds(tmp_path_factory):
    mirror = Mirror(tmp_path_factory.mktemp("nanoseconds") / "m", "")
    mirror.config.write_text(f"lake: {mirror.lake.folder}\ncatalog_name: nanoseconds\n")
    for name, text in {"schemas.yaml": NANOSECONDS, "rows.csv": "id,at\n1,2023-11-14T22:13:20.123456\n2,1970-01-01\n"}.items():
        (mirror.folder / name).write_text(text)
    for command in (["schema", "apply", "schemas.yaml"], ["ingest", "t.fine", "rows.csv"], ["ingest", "t.other", "rows.csv"]):
        p = mirror.with_config(*command[:-1], str(mirror.folder / command[-1]))
        assert p.returncode == 0, p.stdout + p.stderr
    return mirror


@pytest.fixture(scope="module")
def spark(mirrored, as_time, series, nanoseconds, tmp_path_factory):
    """What Spark reads of the lakes: ({(namespace, name): Rows}, {(namespace, name): why not}) for each."""
    folder = tmp_path_factory.mktemp("spark")
    mirrors = {"datamirror": mirrored[1], "as_time": as_time, "series": series, "nanoseconds": nanoseconds}
    arguments = [str(x) for name, m in mirrors.items() for x in (name, m.lake.folder, folder / name)]
    spark_run.read(arguments, folder)
    return {name: spark_rows(folder / name, m.lake.everything()) for name, m in mirrors.items()}


def spark_rows(path, lake):
    found, refused = {}, {}
    with open(path) as f:
        for line in f:
            header = json.loads(line)
            key = (header["namespace"], header["table"])
            if "error" in header:
                refused[key] = header["error"]
                continue
            kinds = [lake[key].kinds[lake[key].columns.index(c)] for c in header["columns"]]
            rows = []
            for line in f:
                row = json.loads(line)
                if row is None:
                    break
                rows.append(tuple(spark_value(v, k) for v, k in zip(row, kinds)))
            found[key] = Rows(header["columns"], kinds, rows, header, None)
    return found, refused


def spark_value(v, kind):
    if v is None:
        return None
    name = kind[0]
    if name == "list":
        return tuple(spark_value(x, kind[1]) for x in v)
    if name == "date":
        return values.infinite(v, values.INT32_MAX)
    if name in ("ts", "tstz"):
        return values.infinite(v, values.INT64_MAX)
    if name == "f32":
        return values.float_bits(float(v), 4)
    if name == "f64":
        return values.float_bits(float(v), 8)
    if name == "dec":
        return Decimal(v)
    if name == "uuid":
        return v.replace("-", "")
    return v


def digest(columns, rows):
    """A content hash of all columns of all rows that depends neither on their order nor on that of the columns."""
    order = sorted(range(len(columns)), key=lambda i: columns[i])
    lines = sorted(repr([r[i] for i in order]) for r in rows)
    return len(lines), hashlib.sha256("\n".join([repr(sorted(columns)), *lines]).encode()).hexdigest()


def source_digest(table, kinds):
    """The same of a source table, whose columns stand as kinds {name: kind} in the lake."""
    found = [kinds[c] for c in table.columns]
    return digest(table.columns, [tuple(canonical(v, e, f) for v, e, f in zip(r, table.kinds, found)) for r in table.rows])


def check_hashes(tables, lake, read):
    """Every dataset that was read has the content hash of its source table; a history, which has none, that of PyIceberg's reading."""
    assert set(read) >= {(t.namespace, t.name) for t in tables}
    sources = {(t.namespace, t.name): t for t in tables}
    for key, rows in read.items():
        kinds = dict(zip(lake[key].columns, lake[key].kinds))
        assert set(rows.columns) == set(kinds), key
        wanted = source_digest(sources[key], kinds) if key in sources else digest(lake[key].columns, lake[key].rows)
        assert digest(rows.columns, rows.rows) == wanted, f"{key}: the content is not the source's"


def histories(read):
    return {k: v for k, v in read.items() if k[1].endswith("__history")}


def test_pyiceberg(mirrored, lake):
    tables, mirror = mirrored
    assert compare(tables, lake) > 1000
    check_hashes(tables, lake, lake)
    assert sum(len(h.rows) for h in histories(lake).values()) > 1000


def test_pyiceberg_through_the_sql_catalog(mirrored):
    """The way that users go: SqlCatalog on catalog.db."""
    from pyiceberg.catalog.sql import SqlCatalog
    tables, mirror = mirrored
    catalog = SqlCatalog("datamirror", uri=f"sqlite:///{mirror.lake.catalog}", warehouse=f"file://{mirror.lake.folder}",
                         init_catalog_tables="false")
    assert ("shop",) in catalog.list_namespaces()
    assert {("shop", t.name) for t in tables} <= {tuple(i) for i in catalog.list_tables("shop")}
    assert catalog.load_table("shop.orders").scan().to_arrow().num_rows == len(next(t for t in tables if t.name == "orders").rows)


def test_spark(mirrored, lake, spark):
    """Every dataset, format version 3 with deletion vectors, through JdbcCatalog."""
    tables, mirror = mirrored
    found, refused = spark["datamirror"]
    assert refused == {}
    found = {k: v for k, v in found.items() if k not in mirror.dropped()}
    assert set(found) == set(lake)
    compare(tables, found)
    check_hashes(tables, lake, found)
    vectors = [f for f in mirror.lake.files() if f.endswith(".puffin")]
    assert vectors and lake["shop", "orders"].table.metadata.format_version == 3


def test_spark_refuses_time(as_time, spark):
    """Why the option `time_as` is there: as long as this holds, a `time` column shuts Spark out of the whole table, and of no other; a list of
    times as well."""
    found, refused = spark["as_time"]
    assert sorted(refused) == [("shop", "clock"), ("shop", "list_only")], refused
    assert all("does not support time" in why for why in refused.values()), refused
    assert found["shop", "other"].rows == [(1, "one")]
    assert as_time.lake.dataset("shop", "clock").kinds == [("time",), ("time",), ("list", ("time",))]


def test_spark_refuses_nanoseconds(nanoseconds, spark):
    """As docs/schemas.md warns: a `timestamp_ns` shuts Spark out of the table, and of no other."""
    found, refused = spark["nanoseconds"]
    assert set(refused) == {("t", "fine")} and "timestamp_ns" in refused["t", "fine"], refused
    assert len(found["t", "other"].rows) == 2
    assert sorted(nanoseconds.lake.dataset("t", "fine").rows) == [(1, 1_700_000_000_123_456_000), (2, 0)]


def test_spark_sees_the_days_of_a_time_series(series, spark):
    """Rows, partitions and what a filter by time leaves to be read."""
    found, refused = spark["series"]
    lake = series.lake.everything()
    assert refused == {} and set(found) == set(lake)
    rows = found["iot", "readings"]
    assert digest(rows.columns, rows.rows) == digest(lake["iot", "readings"].columns, lake["iot", "readings"].rows)
    assert len(rows.rows) == 600 - sum(1 for i in range(0, 600, 4) if i % 8)
    days = rows.properties["partitions"]
    assert len(days) == 15 and days[0][0] == "2026-01-01" and sum(d[1] for d in days) == 600 + 75   # vectors hide 150
    first = [r for r in rows.rows if r[rows.columns.index("at")] // 86_400_000_000 == 20454]
    assert rows.properties["first_day"] == [len(first), days[0][2], sum(d[2] for d in days)] and len(first) > 0


def test_duckdb_over_the_parquet_files(mirrored, lake):
    """The rows of the data files by DuckDB's SQL, without those in the deletion vectors: the content hash of all columns is the source's."""
    tables, mirror = mirrored
    db = duckdb.connect()
    pointers = mirror.lake.pointers()
    read = {key: Rows(*duckdb_read.read(db, pointers[key]), {}, None) for key in lake}
    compare(tables, read)
    check_hashes(tables, lake, read)
    dead = {key: sum(map(len, duckdb_read.files(r.table)[1].values())) for key, r in lake.items() if r.table.current_snapshot()}
    assert sum(n > 0 for n in dead.values()) >= 5, f"hardly a vector was there to be applied: {dead}"


def test_duckdb_reads_times(as_time):
    """Without `time_as`, DuckDB and PyIceberg read times of day as such, 24:00 included."""
    db = duckdb.connect()
    rows = duckdb_read.read(db, as_time.lake.pointers()["shop", "clock"])[2]
    half = 500_000
    day = 86_400_000_000
    assert sorted(rows) == [(0, None, ()), (day - 1, 3_723_040_000, None), (day, day, (day, None, half))]
    assert sorted(as_time.lake.dataset("shop", "clock").rows) == sorted(rows)


def test_the_reading_of_vectors():
    """duckdb_read.vector against another implementation of the bitmaps, all kinds of containers."""
    import random
    import struct
    import zlib

    from pyroaring import BitMap
    r = random.Random(7)
    sets = [[], [0], [65535, 65536], r.sample(range(65536), 4096), r.sample(range(65536), 4097), range(100, 60000),
            r.sample(range(10**7), 5000), [*range(70000, 200000), *r.sample(range(300000, 10**6), 20000), 2**32 - 1]]
    for high in (0, 5):
        for optimized in (False, True):
            for positions in sets:
                bitmap = BitMap(positions)
                if optimized:
                    bitmap.run_optimize()
                body = b"\xd1\xd3\x39\x64" + struct.pack("<QI", 1, high) + bitmap.serialize()
                blob = struct.pack(">I", len(body)) + body + struct.pack(">I", zlib.crc32(body))
                assert duckdb_read.vector(blob) == [high << 32 | v for v in sorted(positions)]
                with pytest.raises(AssertionError):
                    duckdb_read.vector(blob[:-1] + bytes([blob[-1] ^ 1]))


def test_catalogless_readers(mirrored):
    """version-hint.text and vN.metadata.json lead to the current metadata."""
    _, mirror = mirrored
    for (namespace, name), location in mirror.lake.pointers().items():
        path = Path(location.removeprefix("file://"))
        hint = path.parent / "version-hint.text"
        assert hint.exists(), path.parent
        current = path.parent / f"v{hint.read_text().strip()}.metadata.json"
        assert json.loads(current.read_text()) == json.loads(path.read_text()), name
