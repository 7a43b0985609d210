"""What waits for a parent, and what is bad, is data: it follows renames, keys, versions, histories, expiry and rules as rows do."""
import json
import sqlite3

import pytest

from oracle.declared import Declared
from oracle.mirror import Mirror

QUARANTINED = 7


@pytest.fixture
def declared(folder):
    d = Declared(folder)
    yield d
    d.mirror.kill()


def parent(name="w.p", columns="id: int64 not null, v: int64 not null", key="id", more=""):
    return f"  - {{name: {name}, columns: {{{columns}}}, key: [{key}], version: v{more}}}\n"


def child(name="w.c", columns="id: int64 not null, v: int64 not null, pid: int64, note: string", key="id", reference="pid", to="w.p",
          cardinality="M:0", more="", rule=", on_orphan: quarantine", version="v"):
    related = f', relationships: [{{name: of, columns: [{reference}], to: {to}, cardinality: "{cardinality}"{rule}}}]' if to else ""
    return f"  - {{name: {name}, columns: {{{columns}}}, key: [{key}], version: {version}{more}{related}}}\n"


def schemas(*parts):
    return "schemas:\n" + "".join(parts)


def picked(rows, *names):
    return sorted((tuple(r[n] for n in names) for r in rows), key=lambda row: [(v is None, v if v is not None else 0) for v in row])


# ---- names, keys, versions ----

RENAMED = ("ident: {type: int64, required: true, renamed_from: id}, ver: {type: int64, required: true, renamed_from: v}, "
           "parent: {type: int64, renamed_from: pid}, words: {type: string, renamed_from: note}")


def test_a_waiting_row_follows_renames(declared):
    declared.apply(schemas(parent(), child()))
    declared.ingest("w.c", [{"id": 1, "v": 3, "pid": 7, "note": "seven"}, {"id": 2, "v": 3, "pid": 8, "note": "eight"}])
    declared.apply(schemas(child(columns=RENAMED, key="ident", reference="parent", version="ver")))
    waiting = declared.quarantine("w.c")
    assert [json.loads(w["raw"]) for w in waiting] == [{"ident": i, "ver": 3, "parent": i + 6, "words": w, "_change_request_type": "u"}
                                                       for i, w in ((1, "seven"), (2, "eight"))]
    now = "ident: int64 not null, ver: int64 not null, parent: int64, words: string"
    declared.apply(schemas(parent(columns="pident: {type: int64, required: true, renamed_from: id}, v: int64 not null", key="pident"),
                           child(columns=now, key="ident", reference="parent", version="ver")))
    declared.ingest("w.p", [{"pident": 7, "v": 1}])
    assert picked(declared.rows("w.c"), "ident", "ver", "parent", "words") == [(1, 3, 7, "seven")]
    # two columns change names with each other: only ids tell them apart
    declared.apply(schemas(child(columns="ident: int64 not null, ver: int64 not null, parent: int64, words: string, more: string",
                                 key="ident", reference="parent", version="ver")))
    declared.ingest("w.c", [{"ident": 3, "ver": 1, "parent": 9, "words": "w", "more": "m"}])
    for step in ("x: {type: string, renamed_from: words}, more: string", "x: string, words: {type: string, renamed_from: more}",
                 "more: {type: string, renamed_from: x}, words: string"):
        declared.apply(schemas(child(columns=f"ident: int64 not null, ver: int64 not null, parent: int64, {step}", key="ident", reference="parent", version="ver")))
    declared.ingest("w.p", [{"pident": 8, "v": 1}, {"pident": 9, "v": 1}])
    assert picked(declared.rows("w.c"), "ident", "words", "more") == [(1, None, "seven"), (2, None, "eight"), (3, "m", "w")]
    assert declared.quarantine("w.c") == []


def test_a_bad_row_follows_renames(declared):
    declared.apply(schemas(parent("w.b", "id: int64 not null, v: int64 not null, n: int32, s: string")))
    event = {"op": "c", "before": None, "after": {"id": 3, "v": 1, "n": 5000000002, "s": "in an event"}}
    declared.ingest("w.b", [{"id": 1, "v": 1, "n": 5000000000, "s": "one"}, '{"id": 2, "v": 1, "n": 5000000001, "s": "t\\u0077o" }'], code=QUARANTINED)
    declared.ingest("w.b", [event], code=QUARANTINED)
    declared.apply(schemas(parent("w.b", "id: int64 not null, v: int64 not null, number: {type: int64, renamed_from: n}, text: {type: string, renamed_from: s}")))
    out = declared.folder / "mend.ndjson"
    declared.run("quarantine", "export", "w.b", "-o", str(out))
    assert [set(json.loads(line)) for line in out.read_text().splitlines()][:2] == [{"id", "v", "number", "text"}] * 2
    declared.run("quarantine", "export", "w.b", "--format", "csv", "-o", str(out), "--id", "1")
    assert out.read_text().splitlines()[1].startswith("1,1,5000000000,one")
    declared.run("quarantine", "replay", "w.b", "--all")
    assert picked(declared.rows("w.b"), "id", "number", "text") == [(1, 5000000000, "one"), (2, 5000000001, "two"), (3, 5000000002, "in an event")]
    assert declared.quarantine("w.b") == []


def test_a_bad_row_of_a_mirrored_table_follows_renames(database):
    database.execute("create table b (id int primary key, n numeric(5,2)); insert into b values (1, 'NaN'), (2, 1.5)")
    mirror = database.mirror()
    mirror.catch_up()
    d = Declared(None, mirror)
    assert [json.loads(w["raw"]) for w in d.quarantine("shop.b")] == [{"id": "1", "n": "NaN"}]
    database.execute("alter table b rename n to m; insert into b values (3, 2.5), (4, 'NaN')")
    mirror.catch_up()
    assert picked(d.rows("shop.b"), "id", "m") == [(2, 1.5), (3, 2.5)]
    assert [json.loads(w["raw"]) for w in d.quarantine("shop.b")] == [{"id": str(i), "m": "NaN"} for i in (1, 4)]


def test_a_dropped_column_does_not_come_back_from_quarantine(declared):
    declared.apply(schemas(parent(), child()))
    declared.ingest("w.c", [{"id": 1, "v": 1, "pid": 7, "note": "of the old column"}])
    declared.apply(schemas(child(columns="id: int64 not null, v: int64 not null, pid: int64", more=", drop_columns: [note]")))
    declared.apply(schemas(child()))
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    assert picked(declared.rows("w.c"), "id", "note") == [(1, None)]


def test_a_waiting_row_follows_another_key_and_version(declared):
    """Waiting rows are found by key and version: of the schema of now, not of the day they came."""
    declared.apply(schemas(parent(), child(columns="id: int64 not null, v: int64 not null, pid: int64, other: int64 not null, w: int64 not null")))
    declared.ingest("w.c", [{"id": 1, "v": 5, "pid": 7, "other": 10, "w": 1}, {"id": 2, "v": 4, "pid": 7, "other": 10, "w": 2},
                            {"id": 3, "v": 1, "pid": 7, "other": 30, "w": 1}])
    declared.apply(schemas(child(columns="id: int64 not null, v: int64 not null, pid: int64, other: int64 not null, w: int64 not null", key="other", version="w")))
    declared.ingest("w.c", [{"id": 9, "v": 1, "pid": None, "other": 30, "w": 1, "_change_request_type": "d"}])
    assert picked([json.loads(w["raw"]) for w in declared.quarantine("w.c")], "id") == [(1,), (2,)], "a delete by the new key ends the wait"
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    assert picked(declared.rows("w.c"), "other", "w", "id") == [(10, 2, 2)]
    assert declared.quarantine("w.c") == []


# ---- versions ----

def test_all_that_waits_for_one_key_is_kept(declared):
    declared.apply(schemas(parent(), child(cardinality="M:1")))
    declared.ingest("w.c", [{"id": 1, "v": 17, "pid": 7}])
    declared.ingest("w.c", [{"id": 1, "v": 23, "pid": None}], code=QUARANTINED)
    declared.ingest("w.c", [{"id": 2, "v": 5, "pid": 7}, {"id": 2, "v": 7, "pid": 8}, {"id": 2, "v": 6, "pid": 7}])
    assert picked([{"reason": w["reason"], **json.loads(w["raw"])} for w in declared.quarantine("w.c")], "reason", "id", "v") == [
        ("null_reference", 1, 23), ("orphan", 1, 17), ("orphan", 2, 5), ("orphan", 2, 6), ("orphan", 2, 7)]
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    assert picked(declared.rows("w.c"), "id", "v", "pid") == [(1, 17, 7), (2, 6, 7)], "the newest that has its parent"
    assert [w["reason"] for w in declared.quarantine("w.c")] == ["null_reference", "orphan"]
    declared.ingest("w.p", [{"id": 8, "v": 1}])
    assert picked(declared.rows("w.c"), "id", "v", "pid") == [(1, 17, 7), (2, 7, 8)]


def test_equal_versions_that_wait_are_kept_in_their_order(declared):
    declared.apply(schemas(parent(), child()))
    declared.ingest("w.c", [{"id": 1, "v": 5, "pid": 8, "note": "a"}])
    declared.ingest("w.c", [{"id": 1, "v": 5, "pid": 7, "note": "b"}])
    declared.ingest("w.c", [{"id": 1, "v": 5, "pid": 7, "note": "b"}])
    assert len(declared.quarantine("w.c")) == 2, "the same row waits once"
    declared.ingest("w.p", [{"id": 8, "v": 1}, {"id": 7, "v": 1}])
    assert picked(declared.rows("w.c"), "id", "pid", "note") == [(1, 7, "b")], "among upserts of one version the later arrival wins"
    assert declared.quarantine("w.c") == []


@pytest.mark.parametrize("split", [1, 2])
def test_what_is_overtaken_within_a_file_does_not_wait(declared, split):
    """One file or two, whichever comes first: the newer change, or a delete of the same version, and nothing that waits."""
    declared.apply(schemas(parent(), child()))
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    pairs = [({"id": 1, "v": 5, "pid": 9}, {"id": 1, "v": 6, "pid": 7}), ({"id": 2, "v": 5, "pid": 9}, {"id": 2, "v": 5, "_change_request_type": "d"}),
             ({"id": 3, "v": 5, "pid": 9}, {"id": 3, "v": 5, "pid": 7})]
    for files in ([[a for a, _ in pairs], [b for _, b in pairs]], [[{**b, "id": b["id"] + 10} for _, b in pairs[:2]], [{**a, "id": a["id"] + 10} for a, _ in pairs[:2]]]):
        for rows in files if split == 2 else [files[0] + files[1]]:
            declared.ingest("w.c", rows)
    assert declared.quarantine("w.c") == []
    assert picked(declared.rows("w.c"), "id", "v", "pid") == [(1, 6, 7), (3, 5, 7), (11, 6, 7)]


@pytest.mark.parametrize("split", [1, 2])
def test_what_is_stale_when_it_comes_is_not_asked_for_its_reference(declared, split):
    """Older than what came before it, in the same file or in another; what came before the newer one was bad when it came."""
    declared.apply(schemas(parent(), child(cardinality="M:1")))
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    files = ([{"id": 1, "v": 5, "_change_request_type": "d"}, {"id": 2, "v": 5, "pid": 7}, {"id": 3, "v": 4}, {"id": 4, "v": 5, "_change_request_type": "d"}],
             [{"id": 1, "v": 4}, {"id": 2, "v": 4}, {"id": 3, "v": 5, "pid": 7}, {"id": 4, "v": 5}])
    for rows in files if split == 2 else [files[0] + files[1]]:
        declared.ingest("w.c", rows, code=QUARANTINED if {"id": 3, "v": 4} in rows else 0)
    assert picked(declared.quarantine("w.c"), "key", "reason") == [("3", "null_reference")]
    assert picked(declared.rows("w.c"), "id", "v") == [(2, 5), (3, 5)]


def test_sent_again_after_the_parent_was_deleted(declared):
    declared.apply(schemas(parent(), child()))
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    row = {"id": 1, "v": 5, "pid": 7, "note": "as it is"}
    declared.ingest("w.c", [row])
    declared.ingest("w.p", [{"id": 7, "v": 2, "_change_request_type": "d"}])
    p = declared.ingest("w.c", [row])
    assert "nothing new" in p.stdout, p.stdout
    assert declared.quarantine("w.c") == [] and len(declared.rows("w.c")) == 1
    declared.ingest("w.c", [{**row, "note": "another"}])
    assert [w["reason"] for w in declared.quarantine("w.c")] == ["orphan"], "what changes something needs its parent"
    assert picked(declared.rows("w.c"), "note") == [("as it is",)]


def counters(declared, dataset):
    s = next(d for d in declared.mirror.status()["datasets"] if d["dataset"] == dataset)
    return {k: s[k] for k in ("received", "inserted", "updated", "stale", "quarantined")}


def test_released_rows_are_counted_once(declared):
    declared.apply(schemas(parent(), child()))
    declared.ingest("w.c", [{"id": 1, "v": 5, "pid": 7}, {"id": 2, "v": 5, "pid": 7}, {"id": 2, "v": 4, "pid": 7}])
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    assert counters(declared, "w.c") == {"received": 3, "inserted": 2, "updated": 0, "stale": 1, "quarantined": 3}


def test_a_tie_that_changed_the_row_is_something_new(declared):
    declared.apply(schemas(parent(), child()))
    declared.ingest("w.c", [{"id": 1, "v": 5, "note": "a"}])
    assert "nothing new" not in declared.ingest("w.c", [{"id": 1, "v": 5, "note": "b"}]).stdout
    assert "nothing new" in declared.ingest("w.c", [{"id": 1, "v": 5, "note": "b"}]).stdout
    assert picked(declared.rows("w.c"), "note") == [("b",)]


def test_a_reference_merged_with_nulls_is_looked_up(declared):
    """With ignore_null_updates the row that will stand there is what refers."""
    declared.apply(schemas(parent(columns="a: int64 not null, b: int64 not null, v: int64 not null", key="a, b"),
                           child(columns="id: int64 not null, v: int64 not null, a: int64, b: int64", reference="a, b", more=", ignore_null_updates: true")))
    declared.ingest("w.p", [{"a": 1, "b": 1, "v": 1}])
    declared.ingest("w.c", [{"id": 1, "v": 1, "a": 1, "b": 1}])
    declared.ingest("w.c", [{"id": 1, "v": 2, "b": 2}])
    assert picked(declared.rows("w.c"), "v", "a", "b") == [(1, 1, 1)], "(1, 2) is not there"
    assert [w["reason"] for w in declared.quarantine("w.c")] == ["orphan"]
    # within one file, too; what is behind the one that waits takes its values from the one before it
    declared.ingest("w.c", [{"id": 2, "v": 1, "a": 1, "b": 1}, {"id": 2, "v": 2, "b": 3}, {"id": 2, "v": 3, "a": 1}])
    assert picked(declared.rows("w.c"), "id", "v", "a", "b") == [(1, 1, 1, 1), (2, 3, 1, 1)]
    declared.ingest("w.p", [{"a": 1, "b": 2, "v": 1}])
    assert picked(declared.rows("w.c"), "id", "v", "a", "b") == [(1, 2, 1, 2), (2, 3, 1, 1)]


# ---- history ----

def test_not_in_history_until_applied(declared):
    declared.apply(schemas(parent(), child(more=", history: scd2")))
    declared.ingest("w.p", [{"id": 1, "v": 1}])
    declared.ingest("w.c", [{"id": 1, "v": 10, "pid": 1}, {"id": 1, "v": 17, "pid": 7}, {"id": 2, "v": 5, "pid": 8}])

    def history():
        return picked(declared.rows("w.c__history"), "id", "_valid_from", "_valid_to", "pid")
    assert history() == [(1, 10, None, 1)]
    declared.ingest("w.c", [{"id": 1, "v": 23, "pid": 1}])
    assert history() == [(1, 10, 23, 1), (1, 23, None, 1)]
    declared.ingest("w.c", [{"id": 1, "v": 20, "pid": 9}])
    assert history() == [(1, 10, 23, 1), (1, 23, None, 1)], "a late change waits, too"
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    assert history() == [(1, 10, 17, 1), (1, 17, 23, 7), (1, 23, None, 1)], "any order ends alike"
    assert [r["v"] for r in declared.rows("w.c")] == [23]
    declared.ingest("w.p", [{"id": 7, "v": 2, "_change_request_type": "d"}])
    declared.ingest("w.c", [{"id": 1, "v": 17, "pid": 7}])
    assert [json.loads(w["raw"])["pid"] for w in declared.quarantine("w.c")] == [8, 9], "what the history has is nothing new"
    declared.run("quarantine", "discard", "w.c", "--all", "--yes")
    declared.ingest("w.p", [{"id": 8, "v": 1}, {"id": 9, "v": 1}])
    assert history() == [(1, 10, 17, 1), (1, 17, 23, 7), (1, 23, None, 1)]


# ---- what refers to itself or in circles ----

def test_own_parents_and_circles_in_one_file(declared):
    declared.apply(schemas(child(to="w.c")))
    declared.ingest("w.c", [{"id": 1, "v": 1, "pid": 1}, {"id": 2, "v": 1, "pid": 3}, {"id": 3, "v": 1, "pid": 2}, {"id": 4, "v": 1, "pid": 2},
                            {"id": 5, "v": 1, "pid": 6}, {"id": 6, "v": 1, "pid": 7}, {"id": 8, "v": 1, "pid": 5}])
    assert declared.column("w.c") == [1, 2, 3, 4]
    assert picked(declared.quarantine("w.c"), "key") == [("5",), ("6",), ("8",)], "a chain without a head waits"
    declared.ingest("w.c", [{"id": 7, "v": 1, "pid": 8}])
    assert declared.column("w.c") == [1, 2, 3, 4, 5, 6, 7, 8], "a circle that a later file closes"
    assert declared.quarantine("w.c") == []


def test_a_late_row_that_is_its_own_parent(declared):
    """It goes into the history, unless its key was deleted: then it is not there, so it is no parent either."""
    declared.apply(schemas(child(to="w.c", more=", history: scd2")))
    declared.ingest("w.c", [{"id": 1, "v": 5, "_change_request_type": "d"}, {"id": 2, "v": 5, "pid": 2}])
    declared.ingest("w.c", [{"id": 1, "v": 3, "pid": 1}, {"id": 2, "v": 4, "pid": 2}])
    assert picked(declared.quarantine("w.c"), "key", "reason") == [("1", "orphan")]
    assert picked(declared.rows("w.c__history"), "id", "_valid_from", "_op") == [(1, 5, "delete"), (2, 4, "upsert"), (2, 5, "upsert")]
    declared.ingest("w.c", [{"id": 1, "v": 7, "pid": 1}])
    assert declared.quarantine("w.c") == []
    assert picked(declared.rows("w.c__history"), "id", "_valid_from", "_valid_to")[:3] == [(1, 3, 5), (1, 5, 7), (1, 7, None)]


def test_circles_across_datasets(declared):
    columns = "id: int64 not null, v: int64 not null, pid: int64, q: int64"
    two = ', relationships: [{{name: next, columns: [pid], to: {}, cardinality: "M:0", on_orphan: quarantine}}, {{name: also, columns: [q], to: w.p, cardinality: "M:0", on_orphan: quarantine}}]'
    ring = [f"  - {{name: {name}, columns: {{{columns}}}, key: [id], version: v{two.format(to)}}}\n" for name, to in (("w.a", "w.b"), ("w.b", "w.c"), ("w.c", "w.a"))]
    declared.apply(schemas(parent(), *ring))
    declared.ingest("w.a", [{"id": 1, "v": 1, "pid": 2}, {"id": 10, "v": 1, "pid": 20}, {"id": 100, "v": 1, "pid": 2}])
    declared.ingest("w.b", [{"id": 2, "v": 1, "pid": 3}, {"id": 20, "v": 1, "pid": 30, "q": 5}])
    declared.ingest("w.c", [{"id": 30, "v": 1, "pid": 10}])
    assert [declared.column(n) for n in ("w.a", "w.b", "w.c")] == [[], [], []], "the second circle lacks a parent outside of it"
    declared.ingest("w.c", [{"id": 3, "v": 1, "pid": 1}])
    assert [declared.column(n) for n in ("w.a", "w.b", "w.c")] == [[1, 100], [2], [3]], "and what hangs on it"
    declared.ingest("w.p", [{"id": 5, "v": 1}])
    assert [declared.column(n) for n in ("w.a", "w.b", "w.c")] == [[1, 10, 100], [2, 20], [3, 30]]
    assert [declared.quarantine(n) for n in ("w.a", "w.b", "w.c")] == [[], [], []]
    # one of whose members was deleted with a higher version is no circle
    declared.ingest("w.b", [{"id": 7, "v": 9, "_change_request_type": "d"}])
    declared.ingest("w.a", [{"id": 6, "v": 1, "pid": 7}])
    declared.ingest("w.b", [{"id": 7, "v": 3, "pid": 8}])
    declared.ingest("w.c", [{"id": 8, "v": 1, "pid": 6}])
    assert 6 not in declared.column("w.a") and 8 not in declared.column("w.c")


# ---- expiry ----

def test_waiting_and_bad_rows_expire(declared):
    old, young = "2020-01-01T00:00:00Z", "9000-01-01T00:00:00Z"
    declared.apply(schemas(parent(), child(columns="id: int64 not null, v: timestamptz not null, pid: int64, n: int32", more=", expire: P1Y")))
    rows = [{"id": 1, "v": old, "pid": 7}, {"id": 2, "v": young, "pid": 7}, {"id": 3, "v": old, "n": "no number"}, {"id": 4, "v": young, "n": "no number"},
            {"id": 5, "v": "no time"}]
    declared.ingest("w.c", rows, code=QUARANTINED)
    assert json.loads(declared.run("expire", "--dry-run", "--json").stdout)["datasets"][0]["quarantined"] == 2
    assert len(declared.quarantine("w.c")) == 5
    assert json.loads(declared.run("expire", "--json").stdout)["datasets"][0]["quarantined"] == 2
    assert picked([json.loads(w["raw"]) for w in declared.quarantine("w.c")], "id") == [(2,), (4,), (5,)]
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    assert declared.column("w.c") == [2]


# ---- lakes of before ----

def test_a_lake_of_the_old_layout(declared):
    """Where only the first missing parent of a row was written down, and names were those of now."""
    two = (', relationships: [{name: first, columns: [pid], to: w.p, cardinality: "M:0", on_orphan: quarantine}, '
           '{name: next, columns: [q], to: w.c, cardinality: "M:0", on_orphan: quarantine}]')
    columns = "id: int64 not null, v: int64 not null, pid: int64, q: int64"
    declared.apply(schemas(parent(), f"  - {{name: w.c, columns: {{{columns}}}, key: [id], version: v{two}}}\n"))
    declared.ingest("w.c", [{"id": 1, "v": 1, "pid": 7, "q": 2}, {"id": 3, "v": 1, "q": 4}])
    declared.ingest("w.c", [{"id": 2, "v": 1, "pid": 8, "q": 1}])
    db = sqlite3.connect(declared.mirror.lake.folder / "catalog.db")
    db.executescript("drop trigger dm_quarantine_gone; drop table dm_waits_also; drop table dm_quarantine_names; alter table dm_quarantine drop column names")
    db.close()
    declared.ingest("w.p", [{"id": 7, "v": 1}])
    assert declared.rows("w.c") == [], "its other parent waits for one that is not there"
    declared.ingest("w.p", [{"id": 8, "v": 1}])
    assert declared.column("w.c") == [1, 2]
    assert picked(declared.quarantine("w.c"), "key") == [("3",)]


# ---- rules that go ----

@pytest.mark.parametrize("rule", ["removed", "not enforced", "to another parent"])
def test_waiting_rows_follow_their_rule(declared, rule):
    declared.apply(schemas(parent(), parent("w.other"), child()))
    declared.ingest("w.other", [{"id": 7, "v": 1}])
    declared.ingest("w.c", [{"id": 1, "v": 1, "pid": 7, "note": "seven"}])
    assert declared.rows("w.c") == []
    declared.apply(schemas({"removed": child(to=None), "not enforced": child(rule=""), "to another parent": child(to="w.other")}[rule]))
    assert picked(declared.rows("w.c"), "id", "note") == [(1, "seven")]
    assert declared.quarantine("w.c") == []
    if rule == "removed":
        declared.run("schema", "drop", "w.p", "--drop-rows")


# ---- a mirrored parent ----

@pytest.fixture
def shop(folder):
    """A SQLite source whose table `p` has row 1, mirrored, and declared datasets beside it."""
    path = folder / "shop.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.executescript("create table p (id integer primary key); insert into p values (1)")
    d = Declared(None, Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {path}\n", "commit_interval: 50ms"))
    d.mirror.catch_up()
    yield d, db
    db.close()
    d.mirror.kill()


def test_until_caught_up_ends_behind_the_releases(shop):
    d, db = shop
    d.apply(schemas(child(to="shop.p"), child("w.grand", to="w.c")))
    d.ingest("w.grand", [{"id": 5, "v": 1, "pid": 2}])
    d.ingest("w.c", [{"id": 2, "v": 1, "pid": 3}])
    db.execute("insert into p values (3)")
    d.mirror.catch_up()
    assert d.column("w.c") == [2] and d.column("w.grand") == [5]


def test_what_cannot_be_enforced_holds_up_nobody_else(shop):
    """The mirrored parent of some gets a key of another type: their wait goes on, and that of others ends as ever."""
    d, db = shop
    d.apply(schemas(parent(), child("w.stuck", to="shop.p"), child()))
    d.ingest("w.stuck", [{"id": 5, "v": 1, "pid": 2}])
    d.ingest("w.c", [{"id": 2, "v": 1, "pid": 7}])
    db.executescript("drop table p; create table p (id text primary key not null); insert into p values ('2')")
    d.mirror.catch_up()
    d.ingest("w.p", [{"id": 7, "v": 1}])
    assert d.column("w.c") == [2]
    assert picked(d.quarantine("w.stuck"), "key", "waiting") == [("5", True)]
    d.apply(schemas(child("w.stuck", to=None)))
    assert d.column("w.stuck") == [5]
