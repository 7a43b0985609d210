"""History is a part of its dataset: it follows columns, key and version, begins with the rows that are there, and one set of changes gives one result
however it is cut into files. The lake is read by PyIceberg, the snapshots that belong together at one instant."""
import itertools
import json

import pytest

from oracle.mirror import Mirror


class Shop:
    """A mirror with one declared dataset, `s.t`."""

    def __init__(self, folder):
        self.mirror = Mirror(folder, "", "commit_interval: 200ms")
        self.number = 0

    def apply(self, columns, *lines, code=0, arguments=(), env=None):
        path = self.mirror.folder / "s.yaml"
        path.write_text("schemas:\n- name: s.t\n  columns: {%s}\n%s" % (columns, "".join(f"  {x}\n" for x in lines)))
        p = self.mirror.with_config("schema", "apply", str(path), *arguments, env=env)
        assert p.returncode == code, f"apply: code {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p.stdout + p.stderr

    def ingest(self, *rows):
        """Rows are dicts; a delete has the key `_change_request_type`."""
        self.number += 1
        path = self.mirror.folder / f"{self.number}.ndjson"
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        p = self.mirror.with_config("ingest", "s.t", str(path))
        assert p.returncode == 0, p.stderr + p.stdout

    def names(self):
        return sorted(name for _, name in self.mirror.lake.pointers())

    def rows(self, name="t", *columns):
        """Sorted tuples of the columns (all: as the dataset has them); None: no such dataset."""
        d = self.mirror.lake.dataset("s", name)
        if d is None:
            return None
        return sorted((tuple(r[c] for c in columns or d.columns) for r in d.dicts()), key=lambda r: tuple((v is None, v) for v in r))

    def history(self, *columns):
        return self.rows("t__history", "_op", "_valid_from", "_valid_to", *columns)

    def archives(self):
        return [n for n in self.names() if n.startswith("t__history_")]


@pytest.fixture
def shop(folder):
    s = Shop(folder)
    yield s
    s.mirror.kill()


def gone(**row):
    return {"_change_request_type": "d", **row}


# ---- types that widen ----

@pytest.mark.parametrize("history", ["false", "true", "scd2"])
def test_widening_key_and_version_keeps_the_remembered_deletions(shop, history):
    """int to long, of both: what was deleted stays so, on the way in and after the index was lost; the history goes on in the same dataset."""
    shop.apply("id: int key, v: int version, a: string", f"history: {history}")
    shop.ingest({"id": 1, "v": 5, "a": "x"}, {"id": 2, "v": 5, "a": "y"})
    shop.ingest(gone(id=1, v=7))
    out = shop.apply("id: long key, v: int version, a: string", f"history: {history}")
    assert "forgotten" not in out
    shop.ingest({"id": 1, "v": 6, "a": "late"})
    assert shop.rows() == [(2, 5, "y")]
    shop.apply("id: long key, v: long version, a: string", f"history: {history}")
    shop.ingest({"id": 1, "v": 6, "a": "later"})
    shop.mirror.lake.remove_index()
    shop.ingest({"id": 1, "v": 6, "a": "last"}, {"id": 2**40, "v": 2**40, "a": "wide"}, gone(id=3, v=2**41))
    assert shop.rows() == [(2, 5, "y"), (2**40, 2**40, "wide")]
    shop.ingest({"id": 3, "v": 2**41 - 1, "a": "late"})
    assert shop.rows() == [(2, 5, "y"), (2**40, 2**40, "wide")]
    assert shop.archives() == []
    if history == "scd2":
        assert shop.history("id", "a") == [
            ("delete", 7, None, 1, None), ("delete", 2**41, None, 3, None), ("upsert", 5, 6, 1, "x"), ("upsert", 5, None, 2, "y"),
            ("upsert", 6, 7, 1, "last"), ("upsert", 2**40, None, 2**40, "wide"), ("upsert", 2**41 - 1, 2**41, 3, "late")]
    if history == "true":
        assert shop.rows("t__history", "_op", "_version", "id") == [
            ("delete", 7, 1), ("delete", 2**41, 3), ("insert", 5, 1), ("insert", 5, 2), ("insert", 2**40, 2**40)]


@pytest.mark.parametrize("before,after,late", [("a: date key, v: decimal(6,2) version", "a: date key, v: decimal(20,2) version", {"a": "2026-01-01", "v": "6.50"}),
                                               ("a: float key, v: int version", "a: double key, v: int version", {"a": 0.5, "v": 6}),
                                               ("a: 'decimal(4,1) key', v: int version", "a: 'decimal(9,1) key', v: int version", {"a": "-1.5", "v": 6})])
def test_every_type_that_widens(shop, before, after, late):
    shop.apply(before)
    shop.ingest(late)
    shop.ingest(gone(**dict(late, v=7)))
    shop.apply(after)
    shop.ingest(late)
    shop.mirror.lake.remove_index()
    shop.ingest(late)
    assert shop.rows() == []


def test_widening_keeps_suppressed_keys_away(shop):
    shop.apply("id: int key, v: int version")
    shop.ingest({"id": 1, "v": 1}, {"id": 2, "v": 1})
    p = shop.mirror.with_config("delete", "s.t", "1", "--yes")
    assert p.returncode == 0, p.stderr
    shop.apply("id: long key, v: long version")
    shop.ingest({"id": 1, "v": 9}, {"id": 2, "v": 9})
    assert shop.rows() == [(2, 9)]


# ---- nulls that keep the stored value ----

def change(v, a=None, b=None, delete=False):
    return gone(id=1, v=v) if delete else {"id": 1, "v": v, "a": a, "b": b}


# What the stored row is before, the changes in the order in which they arrive, the row and the history that follow.
CASES = {
    "delete below an upsert": ([change(3, a="three"), change(2, delete=True)], [("three", "one")],
                               [("delete", 2, 3, None, None), ("upsert", 1, 2, "one", "one"), ("upsert", 3, None, "three", "one")]),
    "delete that comes first": ([change(2, delete=True), change(3, a="three")], [("three", None)],
                                [("delete", 2, 3, None, None), ("upsert", 1, 2, "one", "one"), ("upsert", 3, None, "three", None)]),
    "late upsert": ([change(5, a="five"), change(3, b="three")], [("five", "one")],
                    [("upsert", 1, 3, "one", "one"), ("upsert", 3, 5, "one", "three"), ("upsert", 5, None, "five", "one")]),
    "late ones in falling order": ([change(9), change(5, a="five"), change(4, b="four"), change(6)], [("one", "one")],
                                   [("upsert", 1, 4, "one", "one"), ("upsert", 4, 5, "one", "four"), ("upsert", 5, 6, "five", "one"),
                                    ("upsert", 6, 9, "five", "one"), ("upsert", 9, None, "one", "one")]),
    "late behind a late delete": ([change(9, a="nine"), change(4, delete=True), change(5, a="five"), change(3)], [("nine", "one")],
                                  [("delete", 4, 5, None, None), ("upsert", 1, 3, "one", "one"), ("upsert", 3, 4, "one", "one"),
                                   ("upsert", 5, 9, "five", None), ("upsert", 9, None, "nine", "one")]),
    "ties": ([change(3, a="three"), change(3, b="b"), change(2, a="two"), change(2, b="b2")], [("three", "b")],
             [("upsert", 1, 2, "one", "one"), ("upsert", 2, 3, "two", "b2"), ("upsert", 3, None, "three", "b")]),
    "older than all there is": ([change(0, a="zero"), change(2)], [("one", "one")],
                                [("upsert", 0, 1, "zero", None), ("upsert", 1, 2, "one", "one"), ("upsert", 2, None, "one", "one")]),
}


@pytest.mark.parametrize("split", ["one", "each", "pairs"])
@pytest.mark.parametrize("case", CASES)
def test_ignored_nulls_have_one_result_whatever_the_split(shop, case, split):
    """With the history, whose late rows are merged with the row that was valid before them, and with the index lost before the last file."""
    changes, row, history = CASES[case]
    shop.apply("id: int key, v: int version, a: string, b: string", "ignore_null_updates: true", "history: scd2")
    shop.ingest(change(1, a="one", b="one"))
    size = {"one": len(changes), "each": 1, "pairs": 2}[split]
    parts = [changes[i:i + size] for i in range(0, len(changes), size)]
    for i, part in enumerate(parts):
        if i == len(parts) - 1:
            shop.mirror.lake.remove_index()
        shop.ingest(*part)
    assert shop.rows("t", "a", "b") == row
    assert shop.history("a", "b") == history


def test_ignored_nulls_random_splits(shop, seed):
    """Ten keys' worth of random changes against a model of arrival: two datasets of one mirror, fed in different portions, are equal to it."""
    import random
    chance = random.Random(seed)
    changes = []
    for _ in range(160):
        id, v = chance.randrange(10), chance.randrange(12)
        changes.append(gone(id=id, v=v) if chance.random() < 0.2 else
                       {"id": id, "v": v, "a": chance.choice([None, chance.random().hex()]), "b": chance.choice([None, chance.random().hex()])})
    state, past = {}, {}
    for c in changes:
        known = past.setdefault(c["id"], {})     # version: None, deleted; else [a, b]
        now, delete = state.get(c["id"]), "_change_request_type" in c
        stale = now is not None and (c["v"] < now[0] or (c["v"] == now[0] and now[1] is None and not delete))
        if known.get(c["v"], []) is None:
            continue                              # a delete of this version has won
        below = max((v for v in known if v <= c["v"]), default=None)
        merged = None if delete else [new if new is not None else old for new, old in
                                      zip((c["a"], c["b"]), (known[below] if below is not None else None) or (None, None))]
        known[c["v"]] = merged
        if not stale:
            state[c["id"]] = (c["v"], merged)
    rows = sorted((id, v, *m) for id, (v, m) in state.items() if m is not None)
    history = sorted((id, f, t, *(m or (None, None))) for id, known in past.items()
                     for (f, m), t in zip(sorted(known.items()), sorted(known)[1:] + [None]))
    shop.apply("id: int key, v: int version, a: string, b: string", "ignore_null_updates: true", "history: scd2")
    cuts = sorted(chance.sample(range(1, len(changes)), 6))
    for a, b in itertools.pairwise([0] + cuts + [len(changes)]):
        shop.ingest(*changes[a:b])
    assert sorted(shop.rows()) == rows
    assert sorted(shop.rows("t__history", "id", "_valid_from", "_valid_to", "a", "b"), key=lambda r: r[:2]) == history


# ---- columns ----

@pytest.mark.parametrize("kind", ["true", "scd2"])
def test_history_follows_the_columns_in_the_same_commit(shop, kind):
    """Renamed, added, widened, dropped, and added again under the old name: right after each step the history has the columns of the dataset, and no old
    value stands under a new column."""
    shop.apply("id: int key, v: int version, a: string, n: int", f"history: {kind}")
    shop.ingest({"id": 1, "v": 1, "a": "first", "n": 7})
    shop.ingest(gone(id=2, v=1))

    def now(*columns):
        d = shop.mirror.lake.dataset("s", "t__history")
        assert [c for c in d.columns if not c.startswith("_")] == list(columns)
        t = shop.mirror.lake.dataset("s", "t")
        assert t.columns == list(columns)
        assert {f.field_id: f.field_type for f in t.table.schema().fields}.items() <= {
            f.field_id: f.field_type for f in d.table.schema().fields}.items()
        return shop.rows("t__history", "id", *columns[2:])

    shop.apply("id: int key, v: int version, b: {type: string, renamed_from: a}, n: long", f"history: {kind}", code=-9,
               env={"DM_CRASH_AT": "declare-after-publish"})
    assert now("id", "v", "b", "n") == [(1, "first", 7), (2, None, None)]
    shop.apply("id: int key, v: int version, b: string, n: long, c: string", f"history: {kind}")
    assert now("id", "v", "b", "n", "c") == [(1, "first", 7, None), (2, None, None, None)]
    shop.apply("id: int key, v: int version, n: long, c: string", f"history: {kind}", arguments=("--drop-columns",))
    assert now("id", "v", "n", "c") == [(1, 7, None), (2, None, None)]
    shop.apply("id: int key, v: int version, n: long, c: string, b: string, a: string", f"history: {kind}")
    assert now("id", "v", "n", "c", "b", "a") == [(1, 7, None, None, None), (2, None, None, None, None)]
    # A column takes the name of one that goes.
    shop.apply("id: int key, v: int version, n: long, b: {type: string, renamed_from: c}, a: string", f"history: {kind}", arguments=("--drop-columns",))
    shop.apply("id: int key, v: int version, n: long, b: string, c: string, a: string", f"history: {kind}")
    shop.ingest({"id": 1, "v": 2, "n": 8, "b": "b", "c": "c", "a": "a"})
    assert now("id", "v", "n", "b", "c", "a") == [(1, 7, None, None, None), (1, 8, "b", "c", "a"), (2, None, None, None, None)]
    # The key and the version are renamed: deletions that are remembered, too.
    shop.apply("key: {type: int, renamed_from: id, key: true}, ver: {type: int, renamed_from: v, version: true}, n: long, b: string, c: string, a: string",
               f"history: {kind}")
    assert shop.mirror.lake.dataset("s", "t__tombstones").columns[0] == "key"
    assert shop.rows("t__history", "key", "a") == [(1, "a"), (1, None), (2, None)]
    shop.ingest({"key": 2, "ver": 0, "n": 1})
    assert shop.rows("t", "key") == [(1,)]


# ---- key, version and kind change; switched off and on ----

@pytest.mark.parametrize("change", ["key", "version", "to true", "off and on"])
def test_what_the_history_held_is_kept_and_said(shop, change):
    """The history so far stays under a name that is said, and the new one begins with the rows as they are and the deletions that are remembered."""
    columns = "id: int not null, n: int not null, v: int not null, w: int not null, a: string"
    shop.apply(columns, "key: [id]", "version: v", "history: scd2")
    shop.ingest({"id": 1, "n": 12, "v": 1, "w": 21, "a": "one"}, {"id": 2, "n": 11, "v": 4, "w": 22, "a": "two"})
    shop.ingest({"id": 1, "n": 12, "v": 3, "w": 23, "a": "uno"}, gone(id=3, v=6))
    past = shop.rows("t__history")
    assert len(past) == 4
    key, version, kind, deleted = "[id]", "v", "scd2", [("delete", 6, None, 3, None)]
    if change == "key":
        key, deleted = "[n]", []
        dry = shop.apply(columns, "key: [n]", "version: v", "history: scd2", arguments=("--dry-run",))
        assert "t__history_" in dry and shop.archives() == []
    elif change == "version":
        version, deleted = "w", []
    elif change == "to true":
        kind = "true"
    else:
        shop.apply(columns, "key: [id]", "version: v")
        shop.ingest({"id": 2, "n": 11, "v": 7, "w": 24, "a": "unseen"}, gone(id=3, v=8))
        deleted = [("delete", 8, None, 3, None)]
    out = shop.apply(columns, f"key: {key}", f"version: {version}", f"history: {kind}")
    archive, = shop.archives()
    assert f"s.{archive}" in out
    assert shop.rows(archive) == past
    two = (7, "unseen") if change == "off and on" else (4, "two")
    if kind == "true":
        assert shop.rows("t__history", "_op", "_version", "id", "a") == [("copy", 3, 1, "uno"), ("copy", 4, 2, "two"), ("delete", 6, 3, None)]
    elif version == "w":
        assert shop.history("id", "a") == [("upsert", 22, None, 2, "two"), ("upsert", 23, None, 1, "uno")]
    else:
        assert shop.history("id", "a") == deleted + [("upsert", 3, None, 1, "uno"), ("upsert", two[0], None, 2, two[1])]
    # It goes on from there: a late change, a new one, the index lost.
    shop.ingest({"id": 2, "n": 11, "v": 2, "w": 2, "a": "late"})
    shop.mirror.lake.remove_index()
    shop.ingest({"id": 1, "n": 12, "v": 9, "w": 29, "a": "new"})
    assert shop.rows("t", "id", "a") == [(1, "new"), (2, two[1])]
    if kind == "scd2":
        late, uno, new = (2, 23, 29) if version == "w" else (2, 3, 9)
        first = 22 if version == "w" else two[0]
        assert shop.history("id", "a") == sorted(deleted + [("upsert", late, first, 2, "late"), ("upsert", uno, new, 1, "uno"), ("upsert", first, None, 2, two[1]),
                                                 ("upsert", new, None, 1, "new")], key=lambda r: r[:2])
    assert shop.rows(archive) == past
    # The archive goes with the dataset, and with a deleted person.
    p = shop.mirror.with_config("schema", "drop", "s.t", "--drop-rows")
    assert p.returncode == 0, p.stderr
    assert shop.names() == []


def test_a_dataset_that_is_named_like_an_archive_keeps_what_is_its_own(shop):
    """Deleting from `t`, and dropping it, reaches neither `t__history_2023`, which people declared, nor its history and remembered deletions."""
    path = shop.mirror.folder / "both.yaml"
    path.write_text("schemas:\n" + "".join(f"- {{name: s.{name}, columns: {{id: int key, v: int version}}, history: true}}\n" for name in ("t", "t__history_2023")))

    def run(*arguments):
        p = shop.mirror.with_config(*arguments)
        assert p.returncode == 0, p.stderr
    run("schema", "apply", str(path))
    path = shop.mirror.folder / "rows.ndjson"
    path.write_text('{"id": 1, "v": 1}\n{"id": 2, "v": 1}\n{"id": 2, "v": 2, "_change_request_type": "d"}\n')
    run("ingest", "s.t", str(path))
    run("ingest", "s.t__history_2023", str(path))
    own = ["t__history_2023", "t__history_2023__history", "t__history_2023__tombstones"]
    before = {name: shop.rows(name) for name in own}
    assert all(before.values())
    run("delete", "s.t", "1", "--yes")
    assert {name: shop.rows(name) for name in own} == before
    run("schema", "drop", "s.t", "--drop-rows")
    assert {name: shop.rows(name) for name in shop.names()} == before


def test_suppressed_rows_do_not_come_back_by_another_key(shop):
    shop.apply("id: int not null, n: int not null, v: int version", "key: [id]")
    shop.ingest({"id": 1, "n": 12, "v": 1}, {"id": 2, "n": 11, "v": 1})
    assert shop.mirror.with_config("delete", "s.t", "1", "--yes").returncode == 0
    shop.apply("id: int, n: int not null, v: int version", "key: [n]")
    shop.ingest({"id": 1, "n": 12, "v": 9})
    assert shop.rows() == [(2, 11, 1)]


@pytest.mark.parametrize("kind", ["true", "scd2"])
def test_history_begins_with_the_rows_that_are_there(shop, kind):
    """Of many files, with rows overwritten and deleted, more than one deletion of a key, and one that a newer row has overtaken."""
    shop.apply("id: int key, v: int version, a: string")
    shop.ingest(*({"id": i, "v": 1, "a": f"a{i}"} for i in range(3000)))
    shop.ingest({"id": 1, "v": 5, "a": "five"}, gone(id=2, v=3), gone(id=3, v=2))
    shop.ingest(gone(id=2, v=7), {"id": 3, "v": 4, "a": "back"}, gone(id=5000, v=1))
    expected = sorted([(i, 1, f"a{i}") for i in range(3000) if i not in (1, 2, 3)] + [(1, 5, "five"), (3, 4, "back")])
    assert sorted(shop.rows()) == expected
    shop.apply("id: int key, v: int version, a: string", f"history: {kind}")
    upsert, version = ("upsert", "_valid_from") if kind == "scd2" else ("copy", "_version")
    found = shop.rows("t__history", "_op", "id", version, "a")
    assert sorted(r[1:] for r in found if r[0] == upsert) == expected
    assert [r for r in found if r[0] != upsert] == [("delete", 2, 7, None), ("delete", 5000, 1, None)]
    if kind == "scd2":
        assert all(r[2] is None for r in shop.history())
        shop.ingest({"id": 2, "v": 6, "a": "late"}, {"id": 1, "v": 6, "a": "six"})
        assert [r for r in shop.history("id", "a") if r[3] in (1, 2)] == [
            ("delete", 7, None, 2, None), ("upsert", 5, 6, 1, "five"), ("upsert", 6, 7, 2, "late"), ("upsert", 6, None, 1, "six")]


@pytest.mark.parametrize("kind", ["true", "scd2"])
@pytest.mark.parametrize("point", ["declare-before-publish", "declare-after-publish", "history-before-publish", "history-after-publish"])
def test_killed_while_the_history_begins(shop, kind, point):
    shop.apply("id: int key, v: int version, a: string")
    shop.ingest({"id": 1, "v": 1, "a": "one"}, {"id": 2, "v": 1, "a": "two"})
    path = shop.mirror.folder / "s.yaml"
    path.write_text(path.read_text() + f"  history: {kind}\n")
    p = shop.mirror.with_config("schema", "apply", str(path), env={"DM_CRASH_AT": point})
    assert p.returncode != 0
    shop.apply("id: int key, v: int version, a: string", f"history: {kind}")
    assert shop.rows("t__history", "id", "a") == [(1, "one"), (2, "two")]
    shop.ingest({"id": 1, "v": 2, "a": "uno"})
    assert shop.rows("t__history", "id", "a") == [(1, "one"), (1, "uno"), (2, "two")]
