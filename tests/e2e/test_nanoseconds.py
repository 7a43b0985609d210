"""`timestamp_ns`: versions, keys and values that differ only in nanoseconds, by every way in, read back by PyIceberg to the nanosecond."""
import datetime
import json
import random
import socket
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle import process
from oracle.mirror import Mirror
from test_http_push import free_port

BASE = 1_700_000_000_123_456_000        # 2023-11-14T22:13:20.123456
SCHEMA = """
schemas:
  - name: t.a
    columns: {id: int64 key, moment: timestamp_ns version, body: string, seen: timestamp_ns, more: "list<timestamp_ns>"}
    HISTORY
"""
LAST, FIRST = 2**63 - 2, -(2**63) + 2    # 2262-04-11T23:47:16.854775806, 1677-09-21T00:12:43.145224194


def text(ns, zone=""):
    """An ISO text of nanoseconds since 1970."""
    seconds, part = divmod(ns, 10**9)
    days, of_day = divmod(seconds, 86400)
    day = str(pa.scalar(days, pa.int32()).cast(pa.date32()).as_py())
    return f"{day}T{of_day // 3600:02}:{of_day // 60 % 60:02}:{of_day % 60:02}.{part:09}{zone}"


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


class Nano(Mirror):
    def __init__(self, folder):
        self.port = free_port()
        super().__init__(folder, "", f"http: 127.0.0.1:{self.port}\ncommit_interval: 50ms")

    def run(self, *arguments, code=0):
        p = self.with_config(*[str(a) for a in arguments])
        assert p.returncode == code, f"{arguments}: code {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p.stdout if code == 0 else p.stderr

    def declare(self, schema, *arguments, code=0):
        (self.folder / "schema.yaml").write_text(schema)
        return self.run("schema", "apply", self.folder / "schema.yaml", *arguments, code=code)

    def put(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def ingest(self, name, content, dataset="t.a"):
        p = self.with_config("ingest", dataset, str(self.put(name, content)), "--json")
        assert p.returncode in (0, 7), p.stdout + p.stderr     # 7: some rows went to quarantine
        return json.loads(p.stdout)["files"][0]

    def table(self, name="a"):
        return self.lake.load(self.lake.pointers()[("t", name)])

    def arrow(self, name="a", **scan):
        """Timestamps as int64, by PyIceberg."""
        found = self.table(name).scan(**scan).to_arrow()
        for i, field in enumerate(found.schema):
            if pa.types.is_timestamp(field.type):
                found = found.set_column(i, field.name, found.column(i).cast(pa.int64()))
        return found

    def state(self):
        return {r["id"]: (r["moment"], r["body"]) for r in self.arrow().select(["id", "moment", "body"]).to_pylist()}

    def quarantined(self, dataset="t.a"):
        return lines(self.run("quarantine", "show", dataset, "--json", "--limit", "0"))


@pytest.fixture
def nano(folder):
    m = Nano(folder)
    yield m
    m.kill()


def declare(nano, history="history: false"):
    nano.declare(SCHEMA.replace("HISTORY", history))


def parquet(columns, **kwargs):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, **kwargs)
    return sink.getvalue().to_pybytes()


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def changes(versions, **columns):
    """Parquet of id 1 at these versions."""
    return parquet({"id": pa.array([1] * len(versions), pa.int64()), "moment": pa.array(versions, pa.timestamp("ns")),
                    "body": [f"v{v - BASE}" for v in versions], **columns})


def test_versions_order_by_nanoseconds_whatever_the_way_in(nano):
    declare(nano, "history: scd2")
    nano.ingest("a.csv", f"id,moment,body\n1,{text(BASE + 3)},v3\n1,{text(BASE + 2)},v2\n1,{text(BASE + 4)},v4\n")
    assert nano.state() == {1: (BASE + 4, "v4")}
    nano.ingest("b.csv", f"id,moment,body\n1,{text(BASE + 1)},v1\n")
    assert nano.state() == {1: (BASE + 4, "v4")}
    nano.ingest("c.ndjson", json.dumps({"id": 1, "moment": text(BASE + 6, "Z"), "body": "v6"}) + "\n" +
                json.dumps({"id": 1, "moment": text(BASE + 5), "body": "v5"}) + "\n")
    assert nano.state() == {1: (BASE + 6, "v6")}
    nano.ingest("d.parquet", changes([BASE + 8, BASE + 7]))
    assert nano.state() == {1: (BASE + 8, "v8")}
    nano.run("sql", f"insert into t.a select 1 as id, make_timestamp_ns({BASE + 10}) as moment, 'v10' as body")
    nano.run("sql", f"insert into t.a select 1 as id, '{text(BASE + 9)}' as moment, 'v9' as body")
    assert nano.state() == {1: (BASE + 10, "v10")}
    nano.start()

    def push(*rows):
        request = urllib.request.Request(f"http://127.0.0.1:{nano.port}/v1/datasets/t.a/changes", method="POST",
                                         data="".join(json.dumps(r) + "\n" for r in rows).encode(),
                                         headers={"Content-Type": "application/x-ndjson"})
        with urllib.request.urlopen(request, timeout=60) as a:
            return json.load(a)
    process.poll(lambda: listens(nano.port), 20, "the server", context=nano.log_tail)
    # two hours east of UTC
    assert push({"id": 1, "moment": text(BASE + 12 + 7200 * 10**9, "+02:00"), "body": "v12"},
                {"id": 1, "moment": text(BASE + 11), "body": "v11"})["quarantined"] == 0
    assert nano.state() == {1: (BASE + 12, "v12")}
    # a delete one nanosecond older than the row is stale; one of its nanosecond wins, and what is not newer stays dead
    assert push({"id": 1, "moment": text(BASE + 11), "_change_request_type": "d"})["stale"] == 1
    assert push({"id": 1, "moment": text(BASE + 12), "_change_request_type": "d"})["deleted"] == 1
    assert push({"id": 1, "moment": text(BASE + 12), "body": "late"})["upserted"] == 0
    assert nano.state() == {}
    nano.stop()
    nano.lake.remove_index()             # the tombstone's version comes back from the lake, to the nanosecond
    assert nano.ingest("e.csv", f"id,moment,body\n1,{text(BASE + 12)},late\n")["upserted"] == 0
    assert nano.ingest("f.csv", f"id,moment,body\n1,{text(BASE + 13)},v13\n")["upserted"] == 1
    assert nano.state() == {1: (BASE + 13, "v13")}
    history = sorted((r["_valid_from"], r["_valid_to"], r["body"], r["_op"]) for r in nano.arrow("a__history").to_pylist())
    steps = [r[0] for r in history]
    assert steps == sorted(steps) and steps[-1] == BASE + 13 and BASE + 12 in steps
    assert [r[1] for r in history[:-1]] == steps[1:] and history[-1][1] is None


def test_values_of_the_whole_range_come_back(nano, seed):
    declare(nano)
    r = random.Random(seed)
    values = [0, 1, -1, 999, -999, 10**9, -(10**9) - 1, LAST, FIRST, BASE + 789] + [r.randrange(FIRST, LAST + 1) for _ in range(300)]
    rows = [(i, v) for i, v in enumerate(values)]
    nano.ingest("a.csv", "id,moment,seen,more\n" + "".join(f'{i},{text(v)},{text(v)},"[""{text(v)}"", null]"\n' for i, v in rows[::2]))
    nano.ingest("b.parquet", parquet({"id": pa.array([i for i, _ in rows[1::2]], pa.int64()),
                                      **{n: pa.array([v for _, v in rows[1::2]], pa.timestamp("ns")) for n in ("moment", "seen")},
                                      "more": pa.array([[v, None] for _, v in rows[1::2]], pa.list_(pa.timestamp("ns")))}))
    found = nano.arrow()
    assert {x["id"]: (x["moment"], x["seen"]) for x in found.select(["id", "moment", "seen"]).to_pylist()} == {i: (v, v) for i, v in rows}
    more = found.column("more").combine_chunks()
    assert dict(zip(found.column("id").to_pylist(), more.flatten().cast(pa.int64()).to_pylist()[::2])) == dict(rows)
    assert str(nano.table().schema().find_type("moment")) == "timestamp_ns"
    physical = [pq.read_schema(t.file.file_path.removeprefix("file://")) for t in nano.table().scan().plan_files()]
    assert physical and all(s.field("moment").type == pa.timestamp("ns") for s in physical)
    # the bounds in the manifests are those of the values
    bounds = [(int.from_bytes(t.file.lower_bounds[2], "little", signed=True), int.from_bytes(t.file.upper_bounds[2], "little", signed=True))
              for t in nano.table().scan().plan_files()]
    assert (min(b[0] for b in bounds), max(b[1] for b in bounds)) == (min(values), max(values))
    # our own reader says the same
    out = lines(nano.run("query", "select id, epoch_ns(moment)::varchar as moment from t.a", "--format", "json"))
    assert {x["id"]: int(x["moment"]) for x in out} == dict(rows)
    out = lines(nano.run("query", "select id, moment from t.a where id < 10", "--format", "json"))
    assert {x["id"]: x["moment"] for x in out}[9] == "2023-11-14T22:13:20.123456789"
    assert {x["id"]: x["moment"] for x in out}[8] == "1677-09-21T00:12:43.145224194"
    csv = nano.run("query", f"select moment from t.a where moment = make_timestamp_ns({BASE + 789})", "--format", "csv")
    assert "2023-11-14 22:13:20.123456789" in csv


def test_infinite_moments(nano):
    declare(nano)
    nano.ingest("a.csv", "id,moment,seen\n1,-infinity,infinity\n2,infinity,-infinity\n")
    assert {(r["moment"], r["seen"]) for r in nano.arrow().select(["moment", "seen"]).to_pylist()} == {(1 - 2**63, 2**63 - 1), (2**63 - 1, 1 - 2**63)}
    assert "infinity" in nano.run("query", "select seen from t.a", "--format", "csv")


def test_what_does_not_fit_waits_in_quarantine_and_comes_back(nano):
    declare(nano)
    nano.declare("schemas:\n  - name: t.micro\n    columns: {id: int64 key, v: int64 version, moment: timestamp, tz: timestamptz}\n")
    report = nano.ingest("a.csv", f"id,moment,body\n1,9999-12-31,far\n2,1677-09-21T00:12:43.145224193,early\n3,{text(BASE)}1,tenth\n4,{text(BASE + 1)},good\n"
                                  "5,1700000000000000001,number\n")
    assert (report["upserted"], report["quarantined"]) == (1, 4)
    bad = {r["key"]: (r["reason"], r["message"]) for r in nano.quarantined()}
    assert {k: v[0] for k, v in bad.items()} == {"1": "value_out_of_range", "2": "value_out_of_range", "3": "value_out_of_range", "5": "wrong_type"}
    assert "1677-09-21 to 2262-04-11" in bad["1"][1]
    # nanoseconds for columns of microseconds: exactly, or not at all
    at = pa.array([BASE, BASE + 1, None], pa.timestamp("ns"))
    report = nano.ingest("m.parquet", parquet({"id": [1, 2, 3], "v": [1, 1, 1], "moment": at, "tz": pa.array([BASE, None, BASE + 1], pa.timestamp("ns"))}), "t.micro")
    assert (report["upserted"], report["quarantined"]) == (1, 2)
    assert nano.arrow("micro").to_pylist() == [{"id": 1, "v": 1, "moment": BASE // 1000, "tz": BASE // 1000}]
    assert all(r["reason"] == "value_out_of_range" for r in nano.quarantined("t.micro"))


def test_quarantined_rows_are_replayed_to_the_nanosecond(nano):
    nano.declare("schemas:\n  - name: t.a\n    columns: {id: int64 key, moment: timestamp_ns version, body: varchar(2), seen: timestamp_ns}\n")
    nano.ingest("a.csv", f"id,moment,body,seen\n1,{text(BASE + 1)},long,{text(LAST)}\n")
    nano.ingest("b.parquet", parquet({"id": [2], "moment": pa.array([BASE + 2], pa.timestamp("ns")), "body": ["long"], "seen": pa.array([FIRST], pa.timestamp("ns"))}))
    assert len(nano.quarantined()) == 2
    nano.declare("schemas:\n  - name: t.a\n    columns: {id: int64 key, moment: timestamp_ns version, body: string, seen: timestamp_ns}\n")
    nano.run("quarantine", "replay", "t.a", "--all")
    assert {r["id"]: (r["moment"], r["seen"]) for r in nano.arrow().to_pylist()} == {1: (BASE + 1, LAST), 2: (BASE + 2, FIRST)}


def test_a_key_of_nanoseconds_and_a_time_series(nano):
    nano.declare("schemas:\n  - name: t.e\n    behavior: time-series\n    timestamp: moment\n    columns: {id: int64 key, moment: timestamp_ns key, v: int64 version}\n"
                 "    expire: P10Y\n")
    nano.ingest("a.csv", "id,moment,v\n" + "".join(f"1,{text(BASE + i)},{i}\n" for i in range(20)) + "1,1999-01-01T00:00:00.000000001,1\n", "t.e")
    nano.ingest("b.parquet", parquet({"id": [1], "moment": pa.array([BASE + 7], pa.timestamp("ns")), "v": [100]}), "t.e")
    rows = {r["moment"]: r["v"] for r in nano.arrow("e").to_pylist()}
    assert len(rows) == 21 and rows[BASE + 7] == 100 and rows[BASE + 8] == 8
    nano.run("expire", "t.e")
    rows = {r["moment"]: r["v"] for r in nano.arrow("e").to_pylist()}
    assert sorted(rows) == [BASE + i for i in range(20)]
    nano.run("delete", "t.e", "--where", f"moment >= '{text(BASE + 5)}' and moment < '{text(BASE + 9)}'", "--yes")
    assert sorted(r["moment"] - BASE for r in nano.arrow("e").to_pylist()) == [0, 1, 2, 3, 4] + list(range(9, 20))
    nano.run("delete", "t.e", "--where", f"moment = make_timestamp_ns({BASE + 9})", "--yes")
    assert len(nano.arrow("e")) == 15
    # what a person deleted stays away, to the nanosecond
    nano.ingest("c.csv", f"id,moment,v\n1,{text(BASE + 9)},500\n1,{text(BASE + 9 + 50)},500\n", "t.e")
    assert sorted(r["moment"] - BASE for r in nano.arrow("e").to_pylist())[-2:] == [19, 59]


def test_a_time_series_is_divided_by_the_days_of_its_nanoseconds(nano):
    nano.declare("schemas:\n  - name: t.e\n    behavior: time-series\n    timestamp: moment\n"
                 "    columns: {id: int64 key, moment: timestamp_ns key, v: int64 version}\n")
    day = 86400 * 10**9
    values = [0, -1, day - 1, day, 20454 * day - 1, 20454 * day, 20454 * day + 1, FIRST, LAST]
    nano.ingest("a.csv", "id,moment,v\n" + "".join(f"1,{text(v)},1\n" for v in values[::2]), "t.e")
    nano.ingest("b.parquet", parquet({"id": [1] * 4, "moment": pa.array(values[1::2], pa.timestamp("ns", "UTC")), "v": [1] * 4}), "t.e")
    field = nano.table("e").spec().fields[0]
    assert (field.name, str(field.transform)) == ("moment_day", "day")
    files = {}
    for task in nano.table("e").scan().plan_files():
        held = pq.read_table(task.file.file_path.removeprefix("file://"), columns=["moment"]).column(0).cast(pa.int64()).to_pylist()
        named = task.file.partition[0]
        named = (named - datetime.date(1970, 1, 1)).days if isinstance(named, datetime.date) else named
        assert {v // day for v in held} == {named}
        files.setdefault(named, []).extend(held)
    assert sorted(v for held in files.values() for v in held) == sorted(values)
    assert sorted(r["moment"] for r in nano.arrow("e").to_pylist()) == sorted(values)


def test_a_timestamp_is_not_widened_and_the_way_out_works(nano):
    before = "schemas:\n  - name: t.a\n    columns: {id: int64 key, moment: timestamp not null, body: string}\n    version: moment\n"
    nano.declare(before)
    nano.ingest("a.csv", "id,moment,body\n1,2023-11-14T22:13:20.123456,a\n2,2023-11-14T22:13:20,b\n")
    said = nano.declare(before.replace("timestamp not", "timestamp_ns not"), code=2)
    assert "type timestamp to timestamp_ns" in said and "add a column of the new type" in said
    said = nano.declare(before.replace("timestamp not", "timestamptz_ns not"), code=2)
    assert "timestamptz_ns" in said and "write timestamp_ns" in said
    # the way out that it names
    added = "schemas:\n  - name: t.a\n    columns: {id: int64 key, moment: timestamp not null, body: string, fine: timestamp_ns}\n    version: moment\n"
    nano.declare(added)
    nano.run("sql", "insert into t.a select * replace (moment::timestamp_ns as fine) from t.a")
    nano.declare("schemas:\n  - name: t.a\n    columns: {id: int64 key, body: string, fine: timestamp_ns not null}\n    version: fine\n    drop_columns: [moment]\n")
    nano.ingest("b.csv", f"id,fine,body\n1,{text(BASE + 1)},newer\n2,2023-11-14T22:13:19.999999999,older\n")
    assert {r["id"]: r["body"] for r in nano.arrow().to_pylist()} == {1: "newer", 2: "b"}


def test_the_schema_is_shown_and_read_again(nano, folder):
    declare(nano)
    shown = {"ddl": nano.run("schema", "show", "t.a", "--ddl"), "json": nano.run("schema", "show", "t.a", "--json"),
             "snowflake": nano.run("schema", "show", "t.a", "--ddl", "snowflake")}
    assert "timestamp(9)" in shown["ddl"] and '"timestamp_ns"' in shown["json"] and "TIMESTAMP_NTZ(9)" in shown["snowflake"]
    assert "timestamp_ns" in nano.run("schema", "show", "t.a", "--mermaid") and "timestamp_ns" in nano.run("schema", "show", "t.a")
    for name in ("ddl", "json"):
        other = Nano(folder / name)
        path = other.put("s.json" if name == "json" else "s.sql", shown[name])
        other.run("schema", "apply", path)
        assert [str(f.field_type) for f in other.table().schema().fields] == [str(f.field_type) for f in nano.table().schema().fields]


def test_relationships_compare_nanoseconds(nano):
    nano.declare("""
schemas:
  - {name: t.p, columns: {moment: timestamp_ns key, v: int64 version}}
  - {name: t.c, columns: {id: int64 key, v: int64 version, up: timestamp_ns}, relationships: [{columns: up, to: p, cardinality: "M:0"}]}
  - {name: t.d, columns: {id: int64 key, v: int64 version, up: timestamp}, relationships: [{columns: up, to: p, cardinality: "M:0"}]}
  - {name: t.e, columns: {id: int64 key, v: int64 version, up: date}, relationships: [{columns: up, to: p, cardinality: "M:0"}]}
""")
    nano.ingest("p.csv", f"moment,v\n{text(BASE)},1\n{text(BASE + 1)},1\n2023-11-14,1\ninfinity,1\n", "t.p")
    nano.ingest("c.csv", f"id,v,up\n1,1,{text(BASE + 1)}\n2,1,{text(BASE + 2)}\n3,1,\n", "t.c")
    nano.ingest("d.csv", f"id,v,up\n1,1,2023-11-14T22:13:20.123456\n2,1,9999-12-31\n3,1,2023-11-14T22:13:20.123457\n4,1,infinity\n5,1,\n", "t.d")
    nano.ingest("e.csv", "id,v,up\n1,1,2023-11-14\n2,1,2023-11-15\n3,1,9999-12-31\n4,1,infinity\n5,1,-infinity\n", "t.e")
    report = json.loads(nano.run("check", "--json"))
    assert {r["child"]: r["orphans"] for r in report["relationships"]} == {"t.c": 1, "t.d": 2, "t.e": 3}


def test_the_index_is_caught_up_from_the_lake(nano):
    """Versions and keys that the index reads back from Parquet are the ones it had."""
    declare(nano)
    nano.ingest("a.csv", "id,moment,body\n" + "".join(f"{i},{text(BASE + i)},v\n" for i in range(50)))
    nano.lake.remove_index()
    report = nano.ingest("b.csv", "id,moment,body\n" + "".join(f"{i},{text(BASE + i - 1)},old\n" for i in range(50)))
    assert (report["stale"], report["upserted"]) == (50, 0)
    report = nano.ingest("c.csv", "id,moment,body\n" + "".join(f"{i},{text(BASE + i + 1)},new\n" for i in range(50)))
    assert report["upserted"] == 50
    assert nano.state() == {i: (BASE + i + 1, "new") for i in range(50)}


def test_moments_in_utc_of_a_parquet_file(nano, seed):
    """Timestamps with a zone and nanoseconds, as Arrow writes them, which DuckDB's reader cuts to microseconds."""
    nano.declare("""
schemas:
  - name: t.a
    columns: {id: int64 key, v: timestamp_ns version, tz: timestamptz, body: string, more: "list<timestamp_ns>"}
  - {name: t.clock, columns: {id: int64 key, v: int64 version, ts: timestamp}}
""")
    r = random.Random(seed)
    values = [FIRST, LAST, -1, 0, BASE + 1] + [r.randrange(FIRST, LAST) for _ in range(5000)]
    utc = pa.timestamp("ns", "UTC")

    def whole(v):
        """Microseconds, towards 1970."""
        return v - v % 1000 if v >= 0 else v + -v % 1000
    path = nano.put("a.parquet", parquet({
        "id": pa.array(range(len(values)), pa.int64()), "v": pa.array(values, utc), "tz": pa.array([whole(v) for v in values], utc),
        "body": pa.array(values, pa.timestamp("ns", "Europe/Berlin")), "more": pa.array([[v, None] for v in values], pa.list_(utc))}, row_group_size=1000))
    before = path.read_bytes()
    report = nano.ingest("a.parquet", before)
    assert (report["upserted"], report["quarantined"]) == (len(values), 0)
    assert path.read_bytes() == before and not [f for f in nano.lake.folder.rglob("*") if "datamirror-" in f.name]
    found = nano.arrow()
    assert dict(zip(found.column("id").to_pylist(), found.column("v").to_pylist())) == dict(enumerate(values))
    assert dict(zip(found.column("id").to_pylist(), found.column("tz").to_pylist())) == {i: whole(v) // 1000 for i, v in enumerate(values)}
    body = dict(zip(found.column("id").to_pylist(), found.column("body").to_pylist()))
    assert body[4] == "2023-11-14 22:13:20.123456001+00"
    # what a column of microseconds does not hold is not cut
    report = nano.ingest("b.parquet", parquet({"id": [1], "v": pa.array([LAST], utc), "tz": pa.array([BASE + 1], utc)}))
    assert (report["upserted"], report["quarantined"]) == (0, 1)
    bad = nano.quarantined()[0]
    assert bad["reason"] == "value_out_of_range" and json.loads(bad["raw"])["tz"] == "2023-11-14T22:13:20.123456001Z"
    # a moment is no reading of a clock
    p = nano.with_config("ingest", "t.clock", str(nano.put("c.parquet", parquet({"id": [1], "v": [1], "ts": pa.array([0], utc)}))))
    assert p.returncode != 0 and 'column "ts" is TIMESTAMP WITH TIME ZONE; the dataset\'s is timestamp' in p.stdout + p.stderr
    # columns that the dataset does not have are nobody's business
    report = nano.ingest("d.parquet", parquet({"other": pa.array([1], utc), "id": [1], "v": pa.array([BASE], pa.timestamp("ns")),
                                               "n": pa.array([{"t": 1}], pa.struct([("t", utc)]))}))
    assert report["stale"] + report["upserted"] == 1


def int96(columns, **kwargs):
    return parquet(columns, use_deprecated_int96_timestamps=True, **kwargs)


@pytest.mark.parametrize("how", [{}, {"use_dictionary": False, "compression": "none"}, {"data_page_version": "2.0", "compression": "zstd", "data_page_size": 2000}])
def test_int96_to_the_nanosecond(nano, seed, how):
    """The old timestamps of Spark and Hive, by every encoding that they have; nulls, few values (dictionary) and many."""
    nano.declare("""
schemas:
  - name: t.a
    columns: {id: int64 key, v: timestamp_ns version, few: timestamp_ns, body: string, more: "list<timestamp_ns>", us: timestamp, tz: timestamptz, day: date}
""")
    r = random.Random(seed)
    ns = pa.timestamp("ns")
    values = [FIRST, LAST, -1, 0, BASE + 1, -10**9, 86_400 * 10**9 - 1] + [r.randrange(FIRST, LAST) for _ in range(5000)]
    few = [r.choice([None, -1, BASE + 7, FIRST]) for _ in values]
    columns = {"id": pa.array(range(len(values)), pa.int64()), "v": pa.array(values, ns), "few": pa.array(few, ns), "body": pa.array(values, ns),
               "more": pa.array([[v, None] if f else None for v, f in zip(values, few)], pa.list_(ns)), "us": pa.array([v // 1000 for v in values], pa.timestamp("us")),
               "tz": pa.array([f and f // 1000 for f in few], pa.timestamp("us")), "day": pa.array([v // 86_400_000_000_000 * 86_400_000_000 for v in values], pa.timestamp("us"))}
    path = nano.put("a.parquet", int96(columns, row_group_size=1000, **how))
    assert [c.physical_type for c in pq.ParquetFile(path).schema].count("INT96") == 7
    before = path.read_bytes()
    report = nano.ingest("a.parquet", before)
    assert (report["upserted"], report["quarantined"], report["notes"]) == (len(values), 0, [])
    assert path.read_bytes() == before and not [f for f in nano.lake.folder.rglob("*") if "datamirror-" in f.name]
    found = sorted(nano.arrow().to_pylist(), key=lambda x: x["id"])
    assert [x["v"] for x in found] == values and [x["few"] for x in found] == few
    assert [x["us"] for x in found] == [v // 1000 for v in values] and [x["tz"] for x in found] == [f and f // 1000 for f in few]
    assert [x["day"] for x in found] == [datetime.date(1970, 1, 1) + datetime.timedelta(v // 86_400_000_000_000) for v in values]
    more = nano.table().scan().to_arrow().sort_by("id").column("more").cast(pa.list_(pa.int64())).to_pylist()
    assert more == [[v, None] if f else None for v, f in zip(values, few)]
    assert found[4]["body"] == "2023-11-14 22:13:20.123456001" and found[3]["body"] == "1970-01-01 00:00:00"
    assert nano.ingest("b.parquet", int96({"id": [4], "v": pa.array([BASE], ns)}))["stale"] == 1      # one nanosecond


def test_int96_out_of_range(nano):
    """Years that 64 bits of nanoseconds do not hold: exact in microseconds, to quarantine in nanoseconds; and digits that microseconds do not hold."""
    nano.declare("""
schemas:
  - {name: t.a, columns: {id: int64 key, v: int64 version, us: timestamp, tz: timestamptz, body: string, day: date, more: "list<timestamp>"}}
  - {name: t.b, columns: {id: int64 key, v: int64 version, ns: timestamp_ns}}
  - {name: t.c, columns: {id: int64 key, v: int64 version, us: int64}}
""")
    us = pa.timestamp("us")
    first, last, bc = -62_135_596_800_000_000, 253_402_300_799_999_999, -63_549_360_000_000_000     # year 1, end of 9999; -0044-03-15
    values = [first, last, bc, last + 1, None]
    at = pa.array(values, us)
    midnights = [v and v // 86_400_000_000 * 86_400_000_000 for v in values]
    report = nano.ingest("a.parquet", int96({"id": pa.array(range(5), pa.int64()), "v": [1] * 5, "us": at, "tz": at, "body": at,
                                             "day": pa.array(midnights, us), "more": pa.array([[v] for v in values], pa.list_(us))}))
    assert (report["upserted"], report["quarantined"]) == (5, 0)
    found = nano.arrow().sort_by("id")
    assert found.column("us").to_pylist() == values and found.column("tz").to_pylist() == values
    assert found.column("day").cast(pa.int32()).to_pylist() == [m and m // 86_400_000_000 for m in midnights]
    assert found.column("more").cast(pa.list_(pa.int64())).to_pylist() == [[v] for v in values]
    assert found.column("body").to_pylist() == ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "-0044-03-15 00:00:00", "+10000-01-01 00:00:00", None]
    report = nano.ingest("b.parquet", int96({"id": pa.array(range(5), pa.int64()), "v": [1] * 5, "ns": at}), "t.b")
    assert (report["upserted"], report["quarantined"]) == (1, 4)
    bad = nano.quarantined("t.b")
    assert {b["reason"] for b in bad} == {"value_out_of_range"} and json.loads(bad[1]["raw"])["ns"] == "9999-12-31T23:59:59.999999"
    report = nano.ingest("c.parquet", int96({"id": [7, 8], "v": [1, 1], "us": pa.array([BASE + 1, BASE], pa.timestamp("ns"))}))
    assert (report["upserted"], report["quarantined"]) == (1, 1)
    bad = [b for b in nano.quarantined() if b["reason"] == "value_out_of_range"]
    assert len(bad) == 1 and json.loads(bad[0]["raw"])["us"] == "2023-11-14T22:13:20.123456001"
    # what has nothing in common refuses the file, in the words that people know
    p = nano.with_config("ingest", "t.c", str(nano.put("d.parquet", int96({"id": [1], "v": [1], "us": pa.array([0], us)}))))
    assert p.returncode != 0 and 'column "us" is TIMESTAMP; the dataset\'s is long' in p.stdout + p.stderr
    # beside others in one column it is as exact
    both = pa.array([{"t": BASE + 1, "x": 1}], pa.struct([("t", pa.timestamp("ns")), ("x", pa.int64())]))
    report = nano.ingest("e.parquet", int96({"id": [9], "v": [1], "body": both, "tz": pa.array([BASE], pa.timestamp("ns"))}))
    assert report["upserted"] == 1 and not [n for n in report["notes"] if "INT96" in n]
    assert [json.loads(x["body"]) for x in nano.arrow().select(["id", "body"]).to_pylist() if x["id"] == 9] == [{"t": "2023-11-14T22:13:20.123456001", "x": 1}]


def test_int96_of_any_bytes(nano):
    """PyArrow writes no statistics of INT96, and no odd values: a file of 12 bytes each is made one of INT96."""
    nano.declare("""
schemas:
  - {name: t.a, columns: {id: int64 key, v: int64 version, at: timestamp}}
""")
    day_us, day_1970 = 86_400_000_000, 2440588
    good = {(day_1970, 0): 0, (0, 0): -day_1970 * day_us, (day_1970, 2 * day_us * 1000): 2 * day_us, (day_1970, -1000): -1, (day_1970 + 1, -day_us * 1000): 0,
            (day_1970 + 100_000_000, 5000): 100_000_000 * day_us + 5}
    bad = [(2**32 - 1, 0), (2**32 - 1, 2**63 - 1), (0, -2**63), (day_1970, 1)]
    raw = [nanos.to_bytes(8, "little", signed=True) + day.to_bytes(4, "little") for day, nanos in [*good, *bad]]
    content = parquet({"id": pa.array(range(len(raw)), pa.int64()), "v": [1] * len(raw), "at": pa.array(raw, pa.binary(12))})
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    old, new = b"\x15\x0e\x15\x18", b"\x15\x06\x15\x18"       # type and type_length of the schema's element
    assert content[footer:].count(old) == 1
    content = content[:footer] + content[footer:].replace(old, new)
    file = pq.ParquetFile(pa.BufferReader(content))
    assert file.schema.column(2).physical_type == "INT96" and content[footer:].count(max(raw)) > 0     # statistics, of bytes
    report = nano.ingest("a.parquet", content)
    assert (report["upserted"], report["quarantined"]) == (len(good), len(bad))
    assert nano.arrow().sort_by("id").column("at").to_pylist() == list(good.values())
    rows = nano.quarantined()
    assert {b["reason"] for b in rows} <= {"value_out_of_range", "wrong_type"}, rows
    assert json.loads(rows[-1]["raw"])["at"] == "1970-01-01T00:00:00.000000001", rows


def test_moments_in_utc_pushed_and_dropped(nano):
    nano.declare("schemas:\n  - name: t.a\n    columns: {id: int64 key, moment: timestamp_ns version, body: string}\n")
    inbox = nano.folder / "inbox"
    inbox.mkdir()
    nano.config.write_text(nano.config.read_text() + f"  drops:\n    type: files\n    path: {inbox}\n    dataset: t.a\n    pattern: \"*\"\n")
    nano.start()
    process.poll(lambda: listens(nano.port), 20, "the server", context=nano.log_tail)
    utc = pa.timestamp("ns", "UTC")
    request = urllib.request.Request(f"http://127.0.0.1:{nano.port}/v1/datasets/t.a/changes", method="POST",
                                     data=parquet({"id": [1, 2], "moment": pa.array([BASE + 2, BASE + 2], utc), "body": ["pushed", "pushed"]}),
                                     headers={"Content-Type": "application/vnd.apache.parquet"})
    with urllib.request.urlopen(request, timeout=60) as a:
        assert json.load(a)["upserted"] == 2
    (inbox / ".x").write_bytes(parquet({"id": [1, 2], "moment": pa.array([BASE + 1, BASE + 3], utc), "body": ["dropped", "dropped"]}))
    (inbox / ".x").rename(inbox / "x.parquet")
    process.poll(lambda: nano.state() == {1: (BASE + 2, "pushed"), 2: (BASE + 3, "dropped")}, 20, "the dropped file", context=nano.log_tail)
