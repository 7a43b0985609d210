"""What the rows of a mirrored SQLite table rest on, changed without a row that says so: while the mirror runs, and while it is stopped. (What can happen
to the file as a whole is in test_sqlite_file.py.) The rows are such that each wrong way gives another result.

Each case has a table of its own; all of them are changed under one mirror.
"""
import sqlite3

import pytest

from oracle.compare import compare
from oracle.mirror import Marker, Mirror
from oracle.sqlite import Snapshot

TABLE = "create table {t} (id integer primary key, n int not null, v text); insert into {t} values (1, 2, 'one'), (2, 3, 'two'), (3, 1, 'three')"


def rebuilt(definition, rows):
    """How SQLite's manual changes what ALTER TABLE cannot: a new table, the rows, the old name."""
    return "begin; create table {t}_new " + definition + "; insert into {t}_new " + rows + "; drop table {t}; alter table {t}_new rename to {t}; commit"


def schema(old, new):
    return ["pragma writable_schema = on", f"update sqlite_schema set sql = replace(sql, '{old}', '{new}') where name = '{{t}}'",
            "pragma writable_schema = reset"]


# name: (make, statements); {t} is the table.
CASES = {
    "triggers_dropped": (TABLE, ["begin; drop trigger {trigger}_insert; drop trigger {trigger}_update; drop trigger {trigger}_delete; "
                                 "update {t} set v = 'unseen' where id = 1; delete from {t} where id = 2; insert into {t} values (4, 9, 'unseen'); commit"]),
    "one_trigger_dropped": (TABLE, ["begin; drop trigger {trigger}_delete; delete from {t} where id = 2; commit"]),
    "columns_trigger_dropped": (TABLE, ["begin; drop trigger {trigger}_columns; alter table {t} rename column v to w; commit", "update {t} set w = 'x' where id = 2"]),
    "conflict_trigger_dropped": (TABLE + "; create unique index {t}_n on {t} (n)", ["begin; drop trigger {trigger}_conflict_insert; "
                                                                                   "insert or replace into {t} values (9, 3, 'takes the place of id 2'); commit"]),
    "made_anew_with_other_rows": (TABLE, ["begin; drop table {t}; create table {t} (id integer primary key, n int not null, v text); "
                                          "insert into {t} values (2, 3, 'another two'), (5, 5, 'five'); commit"]),
    "renamed_and_made_anew": (TABLE, ["begin; alter table {t} rename to {t}_old; create table {t} (id integer primary key, n int not null, v text); "
                                      "insert into {t} values (2, 3, 'another two'); commit", "update {t}_old set v = 'moved' where id = 1"]),
    "key_to_another_column": (TABLE, [rebuilt("(id int, n int primary key not null, v text)", "select * from {t}"),
                                      "update {t} set v = 'ONE' where n = 2; insert into {t} values (1, 50, 'second of id 1'); delete from {t} where n = 3"]),
    "key_of_a_table_without_rowid": ("create table {t} (a text, b text, v int, primary key (a, b)) without rowid; "
                                     "insert into {t} values ('x', 'y', 1), ('y', 'x', 2), ('z', 'z', 3)",
                                     [rebuilt("(a text, b text, v int, primary key (b)) without rowid", "select * from {t}"),
                                      "insert into {t} values ('x', 'w', 4); update {t} set v = 5 where b = 'y'; delete from {t} where b = 'z'"]),
    "key_columns_swap": ("create table {t} (a text, b text, v int, primary key (a, b)) without rowid; insert into {t} values ('x', 'y', 1), ('y', 'x', 2)",
                         [rebuilt("(a text, b text, v int, primary key (b, a)) without rowid", "select * from {t}"), "delete from {t} where a = 'y'"]),
    "key_wider": (TABLE, [rebuilt("(id int not null, n int not null, v text, primary key (id, n))", "select * from {t}"),
                          "insert into {t} values (1, 99, 'id 1 again'); update {t} set n = 4 where id = 2"]),
    "key_of_another_type": (TABLE, [rebuilt("(id text primary key not null, n int not null, v text)", "select 'k' || id, n, v from {t}"),
                                    "update {t} set v = 'x' where id = 'k2'"]),
    "key_of_another_collation": ("create table {t} (k text primary key not null, v int); insert into {t} values ('a', 1), ('B', 2)",
                                 [rebuilt("(k text collate nocase primary key not null, v int)", "select * from {t}"),
                                  "replace into {t} values ('A', 3); update {t} set k = 'b' where k = 'B'"]),
    "values_in_the_new_table": (TABLE, [rebuilt("(id integer primary key, n int not null, v text)", "select id, n + 100, upper(v) from {t}")]),
    "column_type": (TABLE, [rebuilt("(id integer primary key, n text not null, v text)", "select * from {t}"), "update {t} set n = 'many' where id = 1"]),
    "column_type_by_writable_schema": (TABLE, [*schema("n int", "n date"), "update {t} set n = 'many' where id = 1; insert into {t} values (4, '1x', 'x')"]),
    "check_by_writable_schema": (TABLE, [*schema("v text", "v text check (v <> 1)"), "insert into {t} values (4, 4, 'four')"]),
    "columns_added": (TABLE, ["alter table {t} add column plain text", "alter table {t} add column filled int default 7", "update {t} set plain = 'p' where id = 2"]),
    "column_renamed": (TABLE, ["alter table {t} rename column v to w", "update {t} set w = 'x' where id = 2"]),
    "columns_change_names": (TABLE, ["begin; alter table {t} rename column v to x; alter table {t} rename column n to v; alter table {t} rename column x to n; commit",
                                     "update {t} set n = 'is text', v = 77 where id = 2"]),
    "column_dropped": (TABLE, ["alter table {t} drop column v", "insert into {t} values (4, 4)"]),
    "key_column_renamed": (TABLE, ["alter table {t} rename column id to ident", "update {t} set v = 'x' where ident = 2; delete from {t} where ident = 3"]),
    "table_renamed": (TABLE, ["alter table {t} rename to {t}_2", "update {t}_2 set v = 'x' where id = 2; delete from {t}_2 where id = 3"]),
    "generated_expression": ("create table {t} (id integer primary key, a int, g int generated always as (a * 2) stored); insert into {t} (id, a) values (1, 1), (2, 2)",
                             [rebuilt("(id integer primary key, a int, g int generated always as (a * 3) stored)", "(id, a) select id, a from {t}"),
                              "update {t} set a = 5 where id = 1"]),
    "generated_virtual_by_writable_schema": ("create table {t} (id integer primary key, a int, g int generated always as (a * 2)); insert into {t} (id, a) values (1, 1), (2, 2)",
                                             [*schema("a * 2", "a * 5"), "update {t} set a = 5 where id = 1"]),
    "generated_no_more": ("create table {t} (id integer primary key, a int, g int generated always as (a * 2) stored); insert into {t} (id, a) values (1, 1), (2, 2)",
                          [rebuilt("(id integer primary key, a int, g int)", "select * from {t}"), "insert into {t} values (4, 4, 99)"]),
    "generated_added": (TABLE, ["alter table {t} add column g int generated always as (n * 2)", "insert into {t} values (4, 4, 'four')"]),
    "unique_added_while_rows_change": (TABLE, ["begin; create unique index {t}_n on {t} (n); insert or replace into {t} values (9, 3, 'takes the place of id 2'); commit"]),
    "without_rowid_and_back": (TABLE, [rebuilt("(id integer primary key, n int not null, v text) without rowid", "select * from {t}"),
                                       "update {t} set v = 'x' where id = 2", rebuilt("(id integer primary key, n int not null, v text)", "select * from {t}"),
                                       "delete from {t} where id = 3"]),
}


def connect(path):
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = normal")
    return db


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_changed_without_a_row_event(folder, running):
    path = folder / "shop.db"
    db = connect(path)
    for name, (make, _) in CASES.items():
        db.executescript(make.replace("{t}", name))

    def execute(sql):
        db.execute(sql)
    mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {path}\n", "commit_interval: 50ms")
    try:
        mirror.start()
        marker = Marker(execute, mirror)
        marker.reached()
        if not running:
            assert mirror.stop() == 0
        ids = dict(db.execute("select name, id from _datamirror_tables"))
        for name, (_, statements) in CASES.items():
            for s in statements:
                text = s.replace("{trigger}", f"_datamirror_{ids[name]}").replace("{t}", name)
                db.executescript(text)
        if not running:
            db.close()
            db = connect(path)
            mirror.start()
        marker.reached(120)
        with Snapshot(path) as s:
            mirror.settled(s.tables())
        marker.reached(120)
        with Snapshot(path) as s:
            compare(s.tables(), mirror.live())
        assert mirror.stop() == 0, mirror.log_tail()
    finally:
        mirror.kill()
        db.close()
