"""Pairs of features whose rule docs/combinations.md states, and that have no other test of their own. Several pairs share one lake where they do not meet."""
import sqlite3
from pathlib import Path

import pytest

from oracle.declared import Declared
from oracle.mirror import Mirror

OLD, NEW = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


class Lake(Declared):
    def __init__(self, folder, sources=""):
        super().__init__(None, Mirror(folder / "m", sources, "commit_interval: 50ms\ncompression: uncompressed"))

    def apply(self, *schemas, code=0):
        p = super().apply("schemas:\n" + "".join(f"  - {{{s}}}\n" for s in schemas), code)
        return p.stdout + p.stderr

    def ingest(self, dataset, *rows, code=0):
        super().ingest(dataset, rows, code)

    def rows(self, dataset, *columns):
        return sorted((tuple(r[c] for c in columns) for r in super().rows(dataset)), key=repr)

    def reasons(self, dataset):
        return sorted(row["reason"] for row in self.quarantine(dataset))

    def holds(self, text):
        """The files of the lake in which the bytes are."""
        return [str(p) for p in Path(self.mirror.lake.folder).rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


@pytest.fixture
def lake(folder):
    made = Lake(folder)
    yield made
    made.mirror.kill()


KEEPS = "name: s.t, key: id, version: v, ignore_null_updates: true, columns: {id: int not null, v: timestamptz not null, a: string, n: int}"


def at(hour):
    return f"2026-01-01T{hour:02}:00:00Z"


def test_nulls_are_filled_with_what_is_there_at_a_replay(lake):
    lake.apply(KEEPS)
    lake.ingest("s.t", {"id": 1, "v": at(2), "a": None, "n": "many"}, code=7)
    lake.ingest("s.t", {"id": 1, "v": at(1), "a": "stored", "n": 1})
    lake.apply(KEEPS.replace("n: int}", "m: {type: string, renamed_from: n}}"), code=2)         # refused before anything is lost: another type
    assert lake.reasons("s.t") == ["wrong_type"]
    lake.apply(KEEPS.replace("n: int}", "n: int, s: string}"))
    lake.run("quarantine", "replay", "s.t", "--all", code=1)
    lake.run("quarantine", "discard", "s.t", "--all", "--yes")
    lake.ingest("s.t", {"id": 1, "v": at(3), "s": "new"})
    assert lake.rows("s.t", "id", "a", "n", "s") == [(1, "stored", 1, "new")]


def test_nothing_that_is_gone_fills_a_null(lake):
    """A row that was deleted for good, or has expired, and a column that was dropped, give no value to what comes later."""
    expiring = KEEPS.replace("s.t", "s.e") + ", expire: P1Y"
    lake.apply(KEEPS, expiring)
    lake.ingest("s.t", {"id": 1, "v": at(1), "a": "person", "n": 1}, {"id": 2, "v": at(1), "a": "stays", "n": 2})
    lake.ingest("s.e", {"id": 1, "v": OLD, "a": "old", "n": 1})
    lake.run("delete", "s.t", "1", "--yes")
    lake.run("delete", "s.t", "1", "--unsuppress")
    lake.run("expire")
    lake.ingest("s.t", {"id": 1, "v": at(2), "n": 7}, {"id": 2, "v": at(2), "n": 8})
    lake.ingest("s.e", {"id": 1, "v": NEW, "n": 7})
    assert lake.rows("s.t", "id", "a", "n") == [(1, None, 7), (2, "stays", 8)] and lake.rows("s.e", "id", "a", "n") == [(1, None, 7)]
    lake.apply(KEEPS.replace("a: string, ", "") + ", drop_columns: [a]")
    lake.apply(KEEPS)
    lake.ingest("s.t", {"id": 2, "v": at(3), "n": 9})
    assert lake.rows("s.t", "id", "a", "n") == [(1, None, 7), (2, None, 9)]


FAMILY = ("name: s.parents, key: id, version: v, columns: {id: int not null, v: timestamptz not null}",
          "name: s.children, key: id, version: v, columns: {id: int not null, v: timestamptz not null, up: int, n: int}, "
          "relationships: [{name: up, columns: [up], to: parents, cardinality: 'M:1', on_orphan: quarantine}]")


def test_what_is_bad_does_not_wait_and_what_waits_is_not_bad(lake):
    lake.apply(*FAMILY)
    lake.ingest("s.children", {"id": 1, "v": at(1), "up": 5, "n": "many"}, {"id": 2, "v": at(1), "up": 5, "n": 2}, code=7)
    assert lake.reasons("s.children") == ["orphan", "wrong_type"]
    lake.run("quarantine", "discard", "s.children", "--reason", "wrong_type", "--yes")
    lake.ingest("s.parents", {"id": 5, "v": at(1)})
    assert lake.rows("s.children", "id") == [(2,)] and lake.reasons("s.children") == []


def test_the_parent_of_what_waits_is_kept_out_or_expires(lake):
    """A parent that is suppressed does not come, and one that expired is not there for what comes later; its children stay."""
    lake.apply(FAMILY[0] + ", expire: P1Y", FAMILY[1])
    lake.ingest("s.parents", {"id": 6, "v": OLD})
    lake.ingest("s.children", {"id": 1, "v": at(1), "up": 5, "n": 1})
    lake.ingest("s.children", {"id": 2, "v": at(1), "up": 6, "n": 2})
    lake.run("delete", "s.parents", "5", "--yes")
    lake.run("expire")
    lake.ingest("s.parents", {"id": 5, "v": at(2)})
    lake.ingest("s.children", {"id": 3, "v": at(1), "up": 6, "n": 3})
    assert lake.rows("s.parents", "id") == [] and lake.rows("s.children", "id") == [(2,)] and lake.reasons("s.children") == ["orphan", "orphan"]
    lake.run("delete", "s.parents", "5", "--unsuppress")
    lake.ingest("s.parents", {"id": 5, "v": at(3)}, {"id": 6, "v": at(3)})
    assert lake.rows("s.children", "id") == [(1,), (2,), (3,)] and lake.reasons("s.children") == []


PLAIN = "name: s.p, key: [{key}], version: {version}, columns: {{id: int not null, part: {part}, v: int not null, w: {w}, n: {n}}}{more}"


def plain(key="id", version="v", part="string", w="int", n="int", more=""):
    return PLAIN.format(key=key, version=version, part=part, w=w, n=n, more=more)


def test_what_was_bad_is_read_by_the_key_and_version_of_its_replay(lake):
    """By the old ones the row would be stale; by the new ones it is another row, and then the newer one."""
    lake.apply(plain())
    lake.ingest("s.p", {"id": 1, "part": "a", "v": 9, "w": 1, "n": 1}, {"id": 1, "part": "b", "v": 1, "w": 9, "n": 5 * 10**9}, code=7)
    lake.apply(plain(key="id, part", part="string not null"))
    lake.apply(plain(key="id, part", part="string not null", version="w", w="int not null"))
    lake.ingest("s.p", {"id": 1, "part": "b", "v": 20, "w": 8, "n": 8})
    assert lake.reasons("s.p") == ["value_out_of_range"] and lake.rows("s.p", "id", "part", "w", "n") == [(1, "a", 1, 1), (1, "b", 8, 8)]
    lake.apply(plain(key="id, part", part="string not null", version="w", w="int not null", n="long"))
    lake.run("quarantine", "replay", "s.p", "--all")
    assert lake.reasons("s.p") == [] and lake.rows("s.p", "id", "part", "w", "n") == [(1, "a", 1, 1), (1, "b", 9, 5 * 10**9)]


def test_another_version_is_refused_where_rows_expire_by_it(lake):
    timed = "name: s.x, key: id, version: {}, columns: {{id: int not null, v: timestamptz not null, w: int not null}}, expire: P1Y"
    lake.apply(timed.format("v"))
    lake.ingest("s.x", {"id": 1, "v": NEW, "w": 1}, {"id": 2, "v": OLD, "w": 1})
    assert "expire" in lake.apply(timed.format("w"), code=2)
    assert lake.rows("s.x", "id", "w") == [(1, 1), (2, 1)]
    lake.run("expire")
    assert lake.rows("s.x", "id") == [(1,)]


@pytest.mark.parametrize("change", ["column dropped", "another key"])
def test_erasing_reaches_what_the_schema_does_not_show_any_more(lake, change):
    secret = "The-Secret-Of-One"
    lake.apply(plain(n="string"))
    lake.ingest("s.p", {"id": 1, "part": "a", "v": 1, "w": 1, "n": secret}, {"id": 2, "part": "b", "v": 1, "w": 1, "n": "other"})
    lake.ingest("s.p", {"id": 1, "part": "a", "v": 2, "w": 1, "n": secret + " again"})
    assert lake.holds(secret)
    if change == "column dropped":
        lake.apply(plain(n="string").replace(", n: string", "") + ", drop_columns: [n]")
        assert lake.holds(secret)
    else:
        lake.apply(plain(key="id, part", part="string not null", n="string"))
    lake.run("delete", "s.p", "1" if change == "column dropped" else "1,a", "--until-erased", "--yes")
    assert lake.holds(secret) == [] and lake.rows("s.p", "id") == [(2,)]


def test_a_behavior_is_for_good(lake):
    """Refused before anything is lost: the key without its timestamp, another behavior, a timestamp that goes."""
    series = "name: s.s, key: [id, at], version: v, behavior: time-series, timestamp: at, columns: {id: int not null, at: timestamptz not null, v: int not null, n: int}"
    lake.apply(series)
    lake.ingest("s.s", {"id": 1, "at": at(1), "v": 1, "n": 1})
    lake.ingest("s.s", {"id": 2, "at": None, "v": 1, "n": 1}, {"id": 3, "at": "yesterday", "v": 1}, code=7)
    for other in (series.replace("[id, at]", "[id, n]").replace("n: int", "n: int not null"), series.replace("behavior: time-series, timestamp: at, ", ""),
                  series.replace("at: timestamptz not null, ", "").replace("[id, at]", "id") + ", drop_columns: [at]"):
        lake.apply(other, code=2)
    assert lake.rows("s.s", "id", "n") == [(1, 1)] and lake.reasons("s.s") == ["null_key", "wrong_type"]


def test_of_a_mirrored_table_the_source_decides(folder):
    """Key, version, columns and treatment of changes are refused; the dataset goes on as it was."""
    path = folder / "shop.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("pragma journal_mode = wal; create table t (id integer primary key, a text); insert into t values (1, 'x');")
    lake = Lake(folder, f"  shop:\n    type: sqlite\n    path: {path}\n")
    lake.mirror.catch_up()
    for change in ("ignore_null_updates: true", "key: [a]", "version: a", "behavior: time-series", "columns: {id: int64 not null, a: string, b: int}"):
        lake.apply(f"name: shop.t, {change}", code=2)
    db.execute("update t set a = null")
    db.close()
    lake.mirror.catch_up()
    assert lake.rows("shop.t", "id", "a") == [(1, None)]
