"""The same for SQLite files: what a mirrored table's rows rest on is changed while the mirror runs, and while it is stopped. Most of it the capture in the file
notes in its log; the key as the lake has it, and our own configuration, it cannot know."""
import sqlite3

import pytest

from oracle.compare import differences
from oracle.mirror import Marker, Mirror
from oracle.sqlite import Snapshot

T = "create table {t} (id integer primary key, n integer not null, v text); insert into {t} values (1, 20, 'one'), (2, 30, 'two'), (3, 10, 'three'); "
# A table is made again by way of another one, as SQLite's manual says.
REMADE = ("create table {t}_new (id integer{id}, n integer not null{n}, v text{rest}); insert into {t}_new select id, n, v from {t}; drop table {t}; "
          "alter table {t}_new rename to {t}")
TRIGGERS_AWAY = "drop triggers"   # not SQL: see change()

CASES = {
    "key_to_another_column": (T, [REMADE.replace("{id}", "").replace("{n}", " primary key").replace("{rest}", ""),
                                  "update {t} set v = 'ONE' where n = 20; delete from {t} where n = 30; insert into {t} values (1, 99, 'id 1 again')"], ["n"]),
    "key_wider": (T, [REMADE.replace("{id}", "").replace("{n}", "").replace("{rest}", ", primary key (id, n)"),
                      "insert into {t} values (1, 99, 'id 1 again'); update {t} set n = 31 where id = 2"], ["id", "n"]),
    "key_of_another_type": (T, ["create table {t}_new (id text primary key, n integer not null, v text); insert into {t}_new select 'k' || id, n, v from {t}; "
                                "drop table {t}; alter table {t}_new rename to {t}", "update {t} set v = 'x' where id = 'k2'"], ["id"]),
    "unique_index_for_another": ("create table {t} (id integer not null, n integer not null, v text); create unique index {t}_id on {t} (id); "
                                 "insert into {t} values (1, 20, 'one'), (2, 30, 'two'), (3, 10, 'three')",
                                 ["create unique index {t}_an on {t} (n); drop index {t}_id", "insert into {t} values (1, 99, 'id 1 again')",
                                  "update {t} set v = 'x' where n = 30"], ["n"]),
    "collation_of_the_key": ("create table {t} (id text not null, v text); create unique index {t}_i on {t} (id); insert into {t} values ('a', '1'), ('b', '2')",
                             ["drop index {t}_i; create unique index {t}_i on {t} (id collate nocase)", "insert or replace into {t} values ('A', '3')"], ["id"]),
    "rows_changed_without_triggers": (T, [TRIGGERS_AWAY, "update {t} set v = 'unseen' where id = 1; delete from {t} where id = 2"], ["id"]),
    "generated_column_added": (T, ["alter table {t} add column g integer generated always as (n * 2) virtual", "update {t} set n = 21 where id = 1"], ["id"]),
    "generated_column_made_usual": ("create table {t} (id integer primary key, n integer not null, v integer generated always as (n + 1) stored); "
                                    "insert into {t} (id, n) values (1, 20), (2, 30)",
                                    ["create table {t}_new (id integer primary key, n integer not null, v integer); insert into {t}_new select id, n, v + 100 from {t}; "
                                     "drop table {t}; alter table {t}_new rename to {t}"], ["id"]),
    "column_with_default": (T, ["alter table {t} add column d text default 'all rows'", "insert into {t} values (9, 9, 'nine', null)"], ["id"]),
    "column_made_again": (T, ["alter table {t} drop column v; alter table {t} add column v text default 'again'"], ["id"]),
    "type_declared_anew": (T, [REMADE.replace("{id}", " primary key").replace("{n}", "").replace("{rest}", "").replace("n integer not null", "n text not null")],
                           ["id"]),
    "renamed_key_column": (T, ["alter table {t} rename column id to ident", "update {t} set v = 'x' where ident = 2; delete from {t} where ident = 3"], ["ident"]),
}
CONFIGURED = {   # name: (before, after, what to expect)
    "key_declared": ("{}", "{key: [n]}", {"key": ["n"]}),
    "key_undeclared": ("{key: [n]}", "{}", {}),
    "column_taken_in": ("{exclude_columns: [v]}", "{}", {}),
    "column_taken_in_renamed": ("{exclude_columns: [v]}", "{}", {}),
    "filter_wider": ("{filter: id <> 2}", "{}", {}),
    "filter_narrower": ("{}", "{filter: id <> 2}", {"rows": lambda r: r[0] != "2"}),   # about a row that nothing else touches
    "decimals_set": ("{}", '{decimals: {q: "10,2"}}', {"dec": 2}),
    "append_only_gone": ("{append_only: true}", "{}", {}),
}


def open_file(path):
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    db.execute("pragma journal_mode = wal")
    return db


class World:
    def __init__(self, folder, running):
        self.path = folder / "shop.db"
        self.db = open_file(self.path)
        self.running = running
        self.mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {self.path}\n", "commit_interval: 100ms")

    def execute(self, sql):
        if ";" in sql.rstrip().rstrip(";"):
            self.db.executescript(f"begin immediate; {sql}; commit;")
        else:
            self.db.execute(sql)

    def statement(self, sql, name):
        if sql == TRIGGERS_AWAY:
            for trigger, in self.db.execute("select name from sqlite_master where type = 'trigger' and tbl_name = ?", (name,)).fetchall():
                self.db.execute(f"drop trigger {trigger}")
        else:
            self.execute(sql.replace("{t}", name))

    def change(self):
        for name, case in CASES.items():
            self.statement(case[0].rstrip("; "), name)
        self.mirror.start()
        self.marker = Marker(self.execute, self.mirror)
        self.marker.reached()
        if not self.running:
            assert self.mirror.stop() == 0
        for step in range(max(len(case[1]) for case in CASES.values())):
            for name, case in CASES.items():
                if step < len(case[1]):
                    self.statement(case[1][step], name)
        if self.running:
            self.marker.reached()
        else:
            self.mirror.catch_up()

    def differences(self, name, key):
        with Snapshot(self.path) as s:
            tables = s.tables(only=[name], keys={name: key})
        return differences(tables[0], self.mirror.live().get(("shop", name)))


@pytest.fixture(scope="module", params=["running", "stopped"])
def world(request, tmp_path_factory):
    w = World(tmp_path_factory.mktemp("signature"), request.param == "running")
    try:
        w.change()
        yield w
    finally:
        w.mirror.kill()
        w.db.close()


@pytest.mark.parametrize("case", CASES)
def test_table(world, case):
    key = CASES[case][2]
    if world.running:
        world.mirror.until(lambda: not world.differences(case, key), lambda: str(world.differences(case, key)), 40, every=0.3)
    assert world.differences(case, key) == [], world.mirror.log_tail()


def test_afterwards_everything_is_followed(world):
    if not world.running:
        world.mirror.start()
    for name in CASES:
        world.execute(f"delete from {name} where rowid = (select min(rowid) from {name})")
        world.execute(f"update {name} set v = v || '1'")
    world.marker.reached()
    for case in CASES:
        test_table(world, case)


@pytest.fixture(scope="module")
def configured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configured")
    path = folder / "shop.db"
    db = open_file(path)

    def source(which):
        tables = "".join(f"      - {{name: {n}, {c[which][1:]}\n" if c[which] != "{}" else f"      - {n}\n" for n, c in CONFIGURED.items())
        return f"  shop:\n    type: sqlite\n    path: {path}\n    tables:\n{tables}"
    mirror = Mirror(folder / "m", source(0), "commit_interval: 100ms")
    try:
        for name in CONFIGURED:
            db.executescript(f"create table {name} (id integer primary key, n integer not null unique, v text, q numeric); "
                             f"insert into {name} values (1, 20, 'one', 5), (2, 30, 'two', 7), (3, 10, 'three', null)")
        mirror.catch_up()
        for name in CONFIGURED:
            db.executescript(f"begin; update {name} set v = 'ONE' where id = 1; delete from {name} where id = 3; insert into {name} values (4, 40, 'four', 9); commit")
        db.execute("alter table column_taken_in_renamed rename column v to w")
        mirror.write(source(1), "commit_interval: 100ms")
        mirror.catch_up()
        yield path, db, mirror
    finally:
        mirror.kill()
        db.close()


def check_configured(configured, name):
    path, _, mirror = configured
    expected = CONFIGURED[name][2]
    with Snapshot(path) as s:
        table, = s.tables(only=[name], keys={name: expected.get("key", ["id"])})
    table.rows = [r for r in table.rows if expected.get("rows", lambda r: True)(r)]
    if "dec" in expected:
        table.kinds = [("dec", 10, expected["dec"]) if c == "q" else k for c, k in zip(table.columns, table.kinds)]
    assert differences(table, mirror.live().get(("shop", name))) == [], mirror.log_tail()


@pytest.mark.parametrize("name", CONFIGURED)
def test_configuration(configured, name):
    check_configured(configured, name)


def test_configuration_then_changes(configured):
    _, db, mirror = configured
    before = len(mirror.log.read_text())
    for name in CONFIGURED:
        db.executescript(f"begin; update {name} set n = n + 1 where id = 2; delete from {name} where id = 1; insert into {name} values (5, 50, 'five', 1); commit")
    mirror.catch_up()
    for name in CONFIGURED:
        check_configured(configured, name)
    assert "will be copied again" not in mirror.log.read_text()[before:]
