"""What Debezium writes: placeholders for large values that did not change, positions and times of the envelope as the version, deletes that hold the key only,
flattened events, tombstones."""
import base64
import itertools
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle.mirror import Mirror

GONE = "__debezium_unavailable_value"
SCHEMA = """
schemas:
  shop.docs:
    columns:
      id: {type: long, required: true}
      title: string
      body: string
      raw: binary
      tags: list<string>
      numbers: list<int>
      amount: decimal(10,2)
      v: {type: long, required: true}
    key: id
    version: v
%s
"""
FULL = {"title": "t1", "body": "B" * 5000, "raw": base64.b64encode(b"\x00\x01\x02").decode(), "tags": ["a", "b"], "numbers": [7, 8], "amount": "1.50"}
STORED = ("B" * 5000, b"\x00\x01\x02", ["a", "b"], [7, 8], "1.50")


@pytest.fixture
def make(folder):
    made = []

    def mirror(schema=SCHEMA % ""):
        m = Mirror(folder / f"m{len(made)}", "")
        made.append(m)
        (m.folder / "schemas.yaml").write_text(schema)
        p = m.with_config("schema", "apply", str(m.folder / "schemas.yaml"))
        assert p.returncode == 0, p.stderr + p.stdout
        return m
    yield mirror
    for m in made:
        m.kill()


def ingest(mirror, *files, dataset="shop.docs", code=0):
    paths = []
    for i, f in enumerate(files):
        if isinstance(f, list):
            f = "".join(json.dumps(o) + "\n" for o in f)
        if isinstance(f, str):
            name = mirror.folder / f"f{i}.{'csv' if f.startswith('id,') else 'ndjson'}"
            name.write_text(f)
            f = name
        paths.append(str(f))
    p = mirror.with_config("ingest", dataset, *paths, "--json")
    assert p.returncode == code, f"code {p.returncode}: {p.stderr}{p.stdout}"
    return json.loads(p.stdout)["files"]


def docs(mirror):
    rows = mirror.lake.dataset("shop", "docs").table.scan().to_arrow().to_pylist()
    return {r["id"]: (r["title"], r["v"], (r["body"], r["raw"], r["tags"], r["numbers"], None if r["amount"] is None else str(r["amount"]))) for r in rows}


def quarantine(mirror):
    with mirror.lake.connect() as db:
        return sorted(db.execute("select reason, key from dm_quarantine").fetchall())


def event(op, v, row, before=None):
    return {"op": op, "before": before, "after": row and dict(row, v=v), "ts_ms": 1700000000000 + v, "source": {"lsn": 1000 + v, "ts_ms": 1690000000000 + v}}


def unavailable(id, title, hexadecimal=False):
    """As Debezium has it for each type."""
    raw = GONE.encode().hex() if hexadecimal else base64.b64encode(GONE.encode()).decode()
    return {"id": id, "title": title, "body": GONE, "raw": raw, "tags": [GONE], "numbers": list(GONE.encode()), "amount": GONE}


def full(id):
    return dict(FULL, id=id, raw="000102")


def test_unchanged_values_are_kept(make):
    m = make()
    first = [event("c", 1, full(i)) for i in range(6)]
    ingest(m, first)
    envelope = [event("u", 2, unavailable(0, "new")), event("u", 2, unavailable(1, "new", True))]
    flattened = [dict(unavailable(2, "new"), v=2, __op="u"), dict(unavailable(3, "new"), v=2)]  # the second does not say that it is Debezium's
    text = "id,title,body,raw,tags,numbers,amount,v\n" + f'4,new,{GONE},{base64.b64encode(GONE.encode()).decode()},"[""{GONE}""]",{GONE},{GONE},2\n'
    parquet = m.folder / "p.parquet"
    pq.write_table(pa.table({"id": [5], "title": ["new"], "body": [GONE], "raw": [GONE.encode()], "tags": [[GONE]], "numbers": pa.array([list(GONE.encode())], pa.list_(pa.int32())),
                             "amount": [GONE], "v": [2]}), parquet)
    reports = ingest(m, envelope, flattened, text, parquet)
    assert [(r["upserted"], r["quarantined"]) for r in reports] == [(2, 0), (2, 0), (1, 0), (1, 0)]
    assert docs(m) == {i: ("new", 2, STORED) for i in range(6)}
    assert ingest(m, envelope)[0]["ties"] == 2 and docs(m)[0] == ("new", 2, STORED), "the same again changes nothing"
    ingest(m, [event("u", 1, dict(unavailable(0, "old")))])
    assert docs(m)[0] == ("new", 2, STORED), "an older one neither"


def test_a_value_that_nobody_has_waits_in_quarantine(make):
    m = make()
    report, = ingest(m, [event("u", 5, unavailable(1, "five")), event("c", 1, full(2)), event("d", 3, None, {"id": 2, "v": 3}), event("u", 4, unavailable(2, "four")),
                         event("c", 1, dict(full(3), tags=None)), event("u", 2, unavailable(3, "two"))], code=7)
    assert (report["received"], report["quarantined"]) == (6, 2)
    assert quarantine(m) == [("unchanged_value_unknown", "1"), ("unchanged_value_unknown", "2")]
    assert docs(m) == {3: ("two", 2, (STORED[0], STORED[1], None, STORED[3], STORED[4]))}
    ingest(m, [event("c", 1, full(1))])  # what it waited for
    assert docs(m)[1] == ("t1", 1, STORED)
    p = m.with_config("quarantine", "replay", "shop.docs", "--all")
    assert "1 applied" in p.stdout and "1 stay" in p.stdout, p.stdout + p.stderr
    assert docs(m)[1] == ("five", 5, STORED) and quarantine(m) == [("unchanged_value_unknown", "2")]


def test_placeholder_as_configured(make):
    m = make(SCHEMA % "    unavailable_value: <not sent>")
    ingest(m, [event("c", 1, full(1)), event("c", 1, full(2))])
    ingest(m, [event("u", 2, dict(full(1), title="new", body="<not sent>", tags=["<not sent>"])), event("u", 2, dict(full(2), title="new", body=GONE))])
    assert docs(m) == {i: ("new", 2, STORED) for i in (1, 2)}
    p = m.with_config("schema", "show", "shop.docs")
    assert "<not sent>" in p.stdout


@pytest.mark.parametrize("history", ["false", "true", "scd2"])
def test_any_split_gives_one_result(make, seed, history):
    """Changes of a few keys in the order of their versions within each key, in one file and in many: the last row has the last value that was sent."""
    chance = random.Random(seed)
    changes, expected = [], {}
    for v, id in enumerate(chance.choices(range(5), k=60), 1):
        known = expected.get(id)
        kind = chance.choice(["full", "part", "part", "part", "delete"]) if known else "full"
        if kind == "delete":
            changes.append(event("d", v, None, {"id": id, "v": v}))
            expected.pop(id)
        elif kind == "full":
            changes.append(event("u", v, dict(full(id), title=f"t{v}", body=f"body {v}" * 100)))
            expected[id] = (f"t{v}", v, f"body {v}" * 100)
        else:
            changes.append(event("u", v, unavailable(id, f"t{v}")))
            expected[id] = (f"t{v}", v, known[2])
    one, many = (make(SCHEMA % f"    history: {history}") for _ in range(2))
    shuffled = changes[:]
    chance.shuffle(shuffled)  # in one file any order is fine
    ingest(one, shuffled)
    cuts = sorted(chance.sample(range(1, 60), 10))
    for a, b in itertools.pairwise([0] + cuts + [60]):
        ingest(many, changes[a:b])
    for m in (one, many):
        assert {i: (t, v, rest[0]) for i, (t, v, rest) in docs(m).items()} == expected
        assert quarantine(m) == []
    if history == "scd2":
        rows = many.lake.dataset("shop", "docs__history").table.scan().to_arrow().to_pylist()
        assert all(r["body"] is None or r["body"].startswith("body") for r in rows)


EVENTS = """
schemas:
  shop.docs:
    columns:
      id: {type: long, required: true}
      title: string
      %s: {type: long, required: true}
    key: id
    version: %s
"""


@pytest.mark.parametrize("column,value", [("__ts_ms", lambda v: 1700000000000 + v), ("__source_lsn", lambda v: 1000 + v), ("__lsn", lambda v: 1000 + v),
                                          ("__source_ts_ms", lambda v: 1690000000000 + v)])
@pytest.mark.parametrize("wrapped", [False, True])
def test_version_of_the_envelope(make, column, value, wrapped):
    """The default replica identity: "before" of a delete has the key only, and the rows have no column that could be a version."""
    m = make(EVENTS % (column, column))

    def e(op, v, id, title=None):
        row = {"id": id, "title": title}
        inner = event(op, v, None if op == "d" else row, {"id": id} if op == "d" else None)
        if inner["after"]:
            inner["after"].pop("v")
        return {"schema": {"type": "struct", "fields": []}, "payload": inner} if wrapped else inner
    report, = ingest(m, [e("d", 5, 2), None, e("c", 1, 1, "one"), e("u", 7, 1, "seven"), e("u", 3, 1, "three"), e("c", 2, 2, "two"), e("c", 1, 3, "gone"), e("d", 9, 3), None])
    assert (report["received"], report["quarantined"]) == (7, 0)
    rows = m.lake.dataset("shop", "docs").dicts()
    assert [(r["id"], r["title"], r[column]) for r in rows] == [(1, "seven", value(7))]


def test_flattened_events_with_added_fields(make):
    """ExtractNewRecordState with delete.tombstone.handling.mode=rewrite and add.fields=op,lsn,source.ts_ms; tombstones kept, also as the first line of a file."""
    m = make(EVENTS % ("__source_ts_ms", "__source_ts_ms"))

    def row(op, v, id, title=None):
        return {"id": id, "title": title, "__op": op, "__lsn": 1000 + v, "__source_ts_ms": v, "__deleted": "true" if op == "d" else "false"}
    ingest(m, [row("c", 1, 1, "one"), row("d", 4, 1), None, row("c", 2, 2, "two"), row("u", 3, 2, "three")], [None, row("c", 2, 1, "late"), row("d", 9, 3)],
           "id,title,__op,__lsn,__source_ts_ms,__deleted\n2,four,u,1,4,false\n4,x,c,1,1,false\n4,,d,1,2,true\n")
    assert [(r["id"], r["title"], r["__source_ts_ms"]) for r in m.lake.dataset("shop", "docs").dicts()] == [(2, "four", 4)]
    assert quarantine(m) == []
