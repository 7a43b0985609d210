"""Any order, any repetition, any split, any way in, any crash: one state.

A random set of changes with versions is delivered as files, requests and dropped files, in random order, with repetitions, while the
program is killed now and then and its key index thrown away. What PyIceberg then reads must equal what a few lines of SQL over all changes say.
DM_CASES (default 24; nightly 2000) is the number of change sets, DM_SEED repeats a run.
"""
import csv
import gzip
import http.client
import io
import json
import os
import random
import socket
import subprocess

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle import process
from oracle.mirror import Mirror

CASES = int(os.environ.get("DM_CASES", "24"))
PER_LAKE = 12
CRASHES = ["after-data-files", "after-deletion-vectors", "after-metadata", "before-publish", "after-publish", "before-index-commit",
           "after-index-commit"]
KILLED = -9


def timestamp(r):
    micros = r.choice(["", ".5", ".123456", ".000001", ".999999"])
    return f"2026-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}T{r.randrange(24):02}:{r.choice([0, 30, 59]):02}:00{micros}"


def nanoseconds(r):
    part = r.choice(["", ".5", ".123456", ".123456001", ".123456002", ".000000001", ".999999999"])
    return f"2026-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}T{r.randrange(24):02}:{r.choice([0, 30, 59]):02}:00{part}" + r.choice(["", "", "Z", "+02:00"])


def nanos(text):
    """Since 1970, of an ISO text with a zone or without."""
    moment, offset = text.removesuffix("Z"), 0
    if moment.endswith("+02:00"):
        moment, offset = moment.removesuffix("+02:00"), 7200 * 10**9
    return pa.scalar(moment).cast(pa.timestamp("ns")).value - offset


VERSIONS = {
    "int64": lambda r: str(r.choice([r.randrange(-5, 20), r.randrange(-2**63, 2**63 - 1)])),
    "int32": lambda r: str(r.randrange(-3, 9)),
    "date": lambda r: f"{r.choice([1969, 1970, 2026])}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}",
    "timestamp": timestamp,
    "timestamptz": lambda r: timestamp(r) + r.choice(["Z", "+02:00", "-05:30"]),
    "timestamp_ns": nanoseconds,
    "decimal(20,4)": lambda r: r.choice(["-1.5", "0", "0.0001", "10", "9.9999", "10.0001", f"{r.randrange(100)}.{r.randrange(10000):04}"]),
    "string": lambda r: r.choice(["9", "10", "a", "B", "Zz", "é", "日本", "a b", "v" + str(r.randrange(20))]),
}
KEYS = {
    "one number": ([("id", "int64")], lambda r: (str(r.randrange(6)),)),
    "one text": ([("id", "string")], lambda r: (r.choice(["a", "A", "b c", 'quote " comma ,', "é", "line\nbreak"]),)),
    "event": ([("sensor", "int32"), ("at", "timestamptz")],
              lambda r: (str(r.randrange(2)), r.choice(["2026-01-01 23:59:59.999999+00", "2026-01-02 00:00:00+00", "2026-01-02 00:00:00.5+00", "1969-12-31 12:00:00+00"]))),
    "two": ([("tenant", "string"), ("id", "int32")], lambda r: (r.choice(["x", "y"]), str(r.randrange(3)))),
}


class Case:
    """One random change set and its dataset."""

    def __init__(self, number, r):
        self.name = f"c{number}"
        self.dataset = f"set.{self.name}"
        self.version_type = r.choice(list(VERSIONS))
        kind = r.choice(list(KEYS))
        self.key_columns, make_key = KEYS[kind]
        self.series = kind == "event"   # divided by day
        self.scd2 = r.random() < 0.25
        self.changes = []
        for _ in range(r.choice([1, 3, 8, 20, 40])):
            key, version = make_key(r), VERSIONS[self.version_type](r)
            # What a version of a key holds is one thing: two upserts of one version that differ are decided by arrival, which no order-free oracle knows.
            self.changes.append({"key": key, "version": version, "op": "d" if r.random() < 0.3 else "u"})
        copies = self.changes + [r.choice(self.changes) for _ in range(r.randrange(len(self.changes) + 1))]
        r.shuffle(copies)
        self.pieces = []
        while copies:
            n = r.randrange(1, len(copies) + 1) if r.random() < 0.5 else min(len(copies), r.randrange(1, 5))
            self.pieces.append(copies[:n])
            copies = copies[n:]

    def yaml(self):
        columns = "".join(f"      {n}: {t} not null\n" for n, t in self.key_columns)
        return (f"  - name: {self.dataset}\n    columns:\n{columns}      version: {self.version_type} not null\n      body: string\n"
                f"      n: int64\n    key: [{', '.join(n for n, _ in self.key_columns)}]\n    version: version\n"
                + ("    behavior: time-series\n    timestamp: at\n" if self.series else "") + ("    history: scd2\n" if self.scd2 else ""))

    def row(self, change):
        """Column → text; the content follows from key and version (spelled canonically by the oracle's SQL too)."""
        row = dict(zip((n for n, _ in self.key_columns), change["key"]))
        row["version"] = change["version"]
        if change["op"] == "u":
            row["body"] = "body of " + "/".join(change["key"])
            row["n"] = str(sum(map(ord, "".join(change["key"]))))
        row["_change_request_type"] = change["op"]
        return row

    def oracle(self, db):
        """Table `changes` with typed columns, one row per change."""
        types = {"int64": "bigint", "int32": "integer", "string": "varchar"}
        names = [n for n, _ in self.key_columns] + ["version", "body", "n"]
        db.execute("create or replace table changes (" + ", ".join(
            f'"{n}" {types.get(t, t)}' for n, t in [*self.key_columns, ("version", self.version_type), ("body", "string"), ("n", "int64")]) + ", op varchar)")
        fine = self.version_type == "timestamp_ns"      # not by the cast of DuckDB 2, which drops the zone of a text
        marks = ", ".join("make_timestamp_ns(?)" if fine and n == "version" else "?" for n in [*names, "op"])
        for change in self.changes:
            row = self.row(change)
            if fine:
                row["version"] = nanos(row["version"])
            db.execute(f"insert into changes values ({marks})", [row.get(n) for n in names] + [change["op"]])
        return ", ".join(f'"{n}"' for n, _ in self.key_columns), ", ".join(f'"{n}"' for n in names)


def as_csv(case, rows, r):
    out = io.StringIO()
    names = [n for n, _ in case.key_columns] + ["version", "body", "n"]
    if any(x["_change_request_type"] == "d" for x in rows) or r.random() < 0.5:
        names.append("_change_request_type")
    r.shuffle(names)
    w = csv.DictWriter(out, names, extrasaction="ignore", delimiter=r.choice(",;\t|"), lineterminator=r.choice(["\n", "\r\n"]))
    w.writeheader()
    w.writerows(rows)
    return "csv", out.getvalue().encode()


def as_json(case, rows, r):
    numbers = {n for n, t in [*case.key_columns, ("version", case.version_type), ("n", "int64")] if t.startswith("int")}

    def typed(row):
        row = {k: int(v) if k in numbers and r.random() < 0.8 else v for k, v in row.items()}
        if row["_change_request_type"] == "u" and r.random() < 0.5:
            del row["_change_request_type"]
        elif r.random() < 0.5:
            row["_change_request_type"] = row["_change_request_type"].upper()
        return row
    rows = [typed(x) for x in rows]
    if r.random() < 0.3:
        return "json", json.dumps(rows).encode()
    return "ndjson", "".join(json.dumps(x, ensure_ascii=r.random() < 0.5) + "\n" for x in rows).encode()


def as_parquet(case, rows, r):
    kinds = {"int64": pa.int64(), "int32": pa.int32(), "string": pa.string()}
    columns = {}
    for n, t in [*case.key_columns, ("version", case.version_type), ("body", "string"), ("n", "int64"), ("_change_request_type", "string")]:
        kind = kinds.get(t, pa.string())
        columns[n] = pa.array([None if x.get(n) is None else x[n] if kind == pa.string() else int(x[n]) for x in rows], kind)
        if t == "timestamp_ns" and r.random() < 0.7:
            columns[n] = pa.array([nanos(x[n]) for x in rows], pa.timestamp("ns"))
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return "parquet", out.getvalue()


def encode(case, piece, r):
    rows = [case.row(c) for c in piece]
    kind, data = r.choice([as_csv, as_csv, as_json, as_json, as_parquet])(case, rows, r)
    if kind != "parquet" and r.random() < 0.3:
        return kind + ".gz", gzip.compress(data)
    return kind, data


class Delivery:
    def __init__(self, case, piece, number, r):
        self.case, self.number = case, number
        self.kind, self.data = encode(case, piece, r)
        self.way = r.choice(["ingest", "ingest", "push", "folder"])
        self.file = f"{number:05}.{self.kind}"


class World:
    """One lake, its cases, and the ways in."""

    def __init__(self, folder, cases, r):
        self.folder, self.cases, self.r = folder, cases, r
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        inboxes = "".join(f"  {c.name}:\n    type: files\n    path: {folder}/inbox/{c.name}\n    dataset: {c.dataset}\n    pattern: \"*\"\n"
                          for c in cases)
        self.mirror = Mirror(folder, inboxes, f"http: 127.0.0.1:{self.port}\ncommit_interval: 50ms")
        for c in cases:
            (folder / "inbox" / c.name).mkdir(parents=True)
        (folder / "files").mkdir()
        schema = folder / "schema.yaml"
        schema.write_text("schemas:\n" + "".join(c.yaml() for c in cases))
        p = self.mirror.with_config("schema", "apply", str(schema))
        assert p.returncode == 0, p.stdout + p.stderr

    def crash(self):
        return {"DM_CRASH_AT": f"{self.r.choice(CRASHES)}:{self.r.randrange(1, 6)}"} if self.r.random() < 0.4 else None

    def start(self):
        """Until it listens, however often it dies on the way."""
        env = self.crash()
        for _ in range(5):
            self.mirror.kill()
            self.mirror.start(env=env)
            env = None
            if process.poll(lambda: self.listening() or not self.mirror.alive(), 30, "the server", context=self.mirror.log_tail) and self.mirror.alive():
                return
        raise AssertionError("the mirror does not stay\n" + self.mirror.log_tail())

    def listening(self):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            c.request("GET", "/v1/health")
            return c.getresponse().status == 200
        except OSError:
            return False

    def ingest(self, d, env=None):
        path = self.folder / "files" / d.file
        path.write_bytes(d.data)
        for attempt in range(6):
            p = self.mirror.with_config("ingest", d.case.dataset, str(path), env=env)
            if p.returncode == 0:
                return
            killed = p.returncode == KILLED or "ended" in p.stderr or not self.mirror.alive()
            assert killed, f"ingest {d.file}: code {p.returncode}\n{p.stdout}{p.stderr}\n{self.mirror.log_tail()}"
            env = None
            if self.mirror.child is not None and not self.mirror.alive():
                self.start()
        raise AssertionError(f"ingest {d.file} does not get through: {p.stderr}")

    def push(self, d):
        for attempt in range(6):
            try:
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                headers = {"Idempotency-Key": str(d.number)} if d.number % 2 else {}
                if d.kind.endswith(".gz"):
                    headers["Content-Encoding"] = "gzip"
                c.request("POST", f"/v1/datasets/{d.case.dataset}/changes", d.data, headers)
                a = c.getresponse()
                text = a.read().decode()
                assert a.status == 200, f"push {d.number} ({d.kind}): {a.status} {text}"
                assert json.loads(text)["quarantined"] == 0, text
                return
            except (OSError, http.client.HTTPException):
                process.poll(lambda: not self.mirror.alive(), 20, "the crash that cut the connection", context=self.mirror.log_tail)
                self.start()
        raise AssertionError(f"push {d.number} does not get through")

    def drop(self, d):
        inbox = self.folder / "inbox" / d.case.name
        (inbox / ("." + d.file)).write_bytes(d.data)
        os.rename(inbox / ("." + d.file), inbox / d.file)

    def deliver(self, deliveries):
        r = self.r
        while deliveries:
            n = r.randrange(1, 16)
            round_, deliveries = deliveries[:n], deliveries[n:]
            online = any(d.way == "push" for d in round_) or r.random() < 0.3
            if online:
                self.start()
            for d in round_:
                if d.way == "folder":
                    self.drop(d)
                elif d.way == "push":
                    self.push(d)
                else:
                    self.ingest(d, env=None if online else self.crash())
                if online and r.random() < 0.05:
                    self.start()      # kill -9 whatever it is doing
            if online:
                self.mirror.kill() if r.random() < 0.7 else self.mirror.stop()
            if r.random() < 0.2:
                self.mirror.lake.remove_index()
        self.mirror.catch_up()

    def check(self, db):
        pointers = self.mirror.lake.pointers()
        for case in self.cases:
            key, columns = case.oracle(db)
            if case.series:
                assert [f.name for f in self.mirror.lake.load(pointers[("set", case.name)]).spec().fields] == ["at_day"]
            db.register("lake", self.mirror.lake.load(pointers[("set", case.name)]).scan().to_arrow())
            wanted = (f"select {columns} from changes where true qualify row_number() over "
                      f"(partition by {key} order by version desc, op) = 1 and op = 'u'")
            self.compare(db, case, wanted, f"select {columns} from lake")
            if case.scd2:
                db.register("history", self.mirror.lake.load(pointers[("set", case.name + "__history")]).scan().to_arrow())
                wanted = (f"select {key}, version as f, lead(version) over (partition by {key} order by version) as t, op = 'd' as gone from "
                          f"(select distinct {key}, version, op from changes where true qualify row_number() over (partition by {key}, version order by op) = 1)")
                self.compare(db, case, wanted, f"select {key}, _valid_from as f, _valid_to as t, _op = 'delete' as gone from history")

    def compare(self, db, case, wanted, found):
        missing = db.execute(f"({wanted}) except all ({found})").fetchall()
        extra = db.execute(f"({found}) except all ({wanted})").fetchall()
        assert not missing and not extra, (
            f"{case.dataset} (version {case.version_type}, key {case.key_columns}, {len(case.changes)} changes, {len(case.pieces)} pieces)\n"
            f"missing {missing}\nextra {extra}\nchanges {case.changes}")


@pytest.mark.smoke
def test_convergence(folder, seed):
    r = random.Random(seed)
    done = 0
    while done < CASES:
        cases = [Case(done + i, r) for i in range(min(PER_LAKE, CASES - done))]
        world = World(folder / f"lake{done}", cases, r)
        deliveries = [(c, p) for c in cases for p in c.pieces]
        r.shuffle(deliveries)
        try:
            world.deliver([Delivery(c, p, i, r) for i, (c, p) in enumerate(deliveries)])
            with duckdb.connect() as db:
                db.execute("set timezone = 'UTC'")
                world.check(db)
        finally:
            world.mirror.kill()
        done += len(cases)
        if not os.environ.get("DM_KEEP"):
            subprocess.run(["rm", "-rf", str(folder / f"lake{done - len(cases)}")], check=True)
