"""Datasets follow the names of their tables: also when tables exchange them, and with their histories."""
import sqlite3

import pytest

from oracle.mirror import Marker, Mirror

TABLES = ["a", "b", "c1", "c2", "c3", "d1", "d2", "h"]
# Within one transaction each: two exchange names, three in a circle, one takes a name that another one just gave up, and a plain one.
RENAMES = [["a>x", "b>a", "x>b"], ["c1>x", "c3>c1", "c2>c3", "x>c2"], ["d2>d3", "d1>d2"], ["h>h2"]]
NAMES = {"a": "b", "b": "a", "c1": "c2", "c2": "c3", "c3": "c1", "d1": "d2", "d2": "d3", "h": "h2"}


def rows(mirror, name, *columns):
    read = mirror.lake.read(mirror.lake.pointers()[("shop", name)])
    return sorted(zip(*(read.column(c) for c in columns)), key=repr)


class Source:
    def __init__(self, kind, request, folder):
        if kind == "postgres":
            self.database = request.getfixturevalue("database")
            self.execute = self.database.execute
            self.mirror = self.database.mirror("    history: true\n    heartbeat_interval: 2s\n")
        else:
            self.connection = sqlite3.connect(folder / "s.db", isolation_level=None)
            self.connection.execute("pragma journal_mode = wal")
            self.execute = lambda sql: self.connection.execute(sql).fetchall()
            self.mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder / 's.db'}\n    history: true\n", "commit_interval: 200ms")

    def transaction(self, statements):
        for s in ["begin", *statements, "commit"]:
            self.execute(s)

    def check(self, tables):
        """Each dataset has the rows and the history of the table of its name, and verify agrees."""
        for t in tables:
            assert rows(self.mirror, t, "id", "v") == sorted((tuple(r) for r in self.execute(f"select id, v from {t}")), key=repr), t
            whose = {v.split(" ")[0] for v, in rows(self.mirror, f"{t}__history", "v") if v is not None}
            assert whose == {v.split(" ")[0] for v, in self.execute(f"select v from {t} where id < 100")}, t
        state = {d["dataset"]: d for d in self.mirror.status()["datasets"]}
        assert all(d["state"] == "streaming" and not d.get("reason") for d in state.values()), state
        assert set(state) == {f"shop.{t}" for t in tables} | {"shop.oracle_marker"}


@pytest.mark.parametrize("changes", ["changes", "no changes"])
@pytest.mark.parametrize("running", ["running", "stopped"])
@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_names_follow(request, folder, kind, running, changes):
    s = Source(kind, request, folder)
    for t in TABLES:
        s.execute(f"create table {t} (id integer primary key, v text)")
        s.execute(f"insert into {t} values (1, '{t} one'), (2, '{t} two')")
    s.mirror.start()
    marker = Marker(s.execute, s.mirror)
    marker.reached()
    for t in TABLES[:4]:   # not all have a history of their old name yet
        s.execute(f"update {t} set v = '{t} changed' where id = 1")
    marker.reached()
    if running == "stopped":
        assert s.mirror.stop() == 0, s.mirror.log_tail()
    for group in RENAMES:
        s.transaction(f"alter table {r.split('>')[0]} rename to {r.split('>')[1]}" for r in group)
    if changes == "changes":
        for old, new in NAMES.items():
            s.execute(f"update {new} set v = '{old} new' where id = 2")
    if running == "stopped":
        s.mirror.start()
    marker.reached()
    wanted = {("shop", t) for t in NAMES.values()} | {("shop", "oracle_marker")}
    s.mirror.until(lambda: {k for k in s.mirror.lake.pointers() if not k[1].endswith("__history")} == wanted and
                   all(rows(s.mirror, n, "v") == sorted(((v,) for v, in s.execute(f"select v from {n}")), key=repr) for n in NAMES.values()),
                   lambda: f"the names to follow: {sorted(s.mirror.lake.pointers())}", 30)
    for old, new in NAMES.items():
        s.execute(f"insert into {new} values (3, '{old} three')")
    marker.reached()
    s.check(NAMES.values())
    assert s.mirror.stop() == 0, s.mirror.log_tail()
    s.mirror.start()
    for old, new in NAMES.items():
        s.execute(f"delete from {new} where id = 1")
    marker.reached()
    s.check(NAMES.values())
    assert s.mirror.stop() == 0, s.mirror.log_tail()
    p = s.mirror.with_config("verify")
    assert "The lake equals the source." in p.stdout, p.stdout + p.stderr


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_name_that_is_taken(request, folder, kind):
    """By the dataset of a dropped table: the old name stays, and status, doctor and verify say so."""
    s = Source(kind, request, folder)
    for t in ("t", "t_new"):
        s.execute(f"create table {t} (id integer primary key, v text)")
        s.execute(f"insert into {t} values (1, '{t} one')")
    s.mirror.start()
    marker = Marker(s.execute, s.mirror)
    marker.reached()
    s.execute("drop table t")
    s.mirror.until(lambda: s.mirror.dataset_status("shop.t")["state"] == "dropped", "t to be dropped", 30)
    s.execute("alter table t_new rename to t")
    s.execute("insert into t values (2, 't_new two')")
    marker.reached()
    assert rows(s.mirror, "t_new", "id", "v") == [(1, "t_new one"), (2, "t_new two")]
    d = s.mirror.dataset_status("shop.t_new")
    assert d["state"] == "streaming" and "called t now" in d["reason"], d
    assert s.mirror.stop() == 0, s.mirror.log_tail()
    assert "called t now" in s.mirror.with_config("doctor").stdout
    p = s.mirror.with_config("verify")
    assert "The lake equals the source." not in p.stdout and "called t now" in p.stdout and p.returncode != 0, p.stdout


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_names_that_are_kept_for_histories(request, folder, kind):
    """t__history beside t: at the first copy, made later, by a rename; the rows of each stay in a dataset of their own."""
    s = Source(kind, request, folder)
    s.execute("create table t (id integer primary key, v text)")
    s.execute("insert into t values (1, 't one')")
    s.execute("create table t__history (id integer primary key, z text)")
    s.execute("insert into t__history values (7, 'seven')")
    s.execute("create table u (id integer primary key, v text)")
    s.execute("insert into u values (1, 'u one')")
    said = s.mirror.with_config("doctor").stdout
    assert "mirrored as shop.t__history_table" in said, said
    s.mirror.start()
    marker = Marker(s.execute, s.mirror)
    marker.reached()
    s.execute("update t set v = 't new' where id = 1")
    s.execute("insert into t__history values (8, 'eight')")
    s.execute("create table u__history (id integer primary key, z text)")
    s.execute("insert into u__history values (9, 'nine')")
    s.execute("create table w (id integer primary key, z text)")
    s.execute("insert into w values (1, 'w one')")
    s.mirror.until(lambda: {("shop", "w"), ("shop", "u__history_table")} <= set(s.mirror.lake.pointers()), "the new tables", 30)
    marker.reached()
    s.execute("alter table w rename to w__history")
    s.execute("insert into w__history values (2, 'w two')")
    s.execute("insert into u values (2, 'u two')")
    marker.reached()
    assert rows(s.mirror, "t", "id", "v") == [(1, "t new")]
    assert rows(s.mirror, "t__history_table", "id", "z") == [(7, "seven"), (8, "eight")]
    assert ("update", 1, "t new") in rows(s.mirror, "t__history", "_op", "id", "v")
    assert rows(s.mirror, "u__history_table", "id", "z") == [(9, "nine")]
    assert ("insert", 2, "u two") in rows(s.mirror, "u__history", "_op", "id", "v")
    assert rows(s.mirror, "w__history_table", "id", "z") == [(1, "w one"), (2, "w two")]
    assert s.mirror.stop() == 0, s.mirror.log_tail()
    p = s.mirror.with_config("verify")
    assert "The lake equals the source." in p.stdout, p.stdout + p.stderr
