"""Tables that a mirror cannot follow, or not so: each is refused alone, with the remedy, before anything is lost; the others go on."""
import sqlite3

import pytest

from oracle.mirror import Marker, Mirror


def rows(mirror, name, *columns, namespace="shop"):
    """The rows of a dataset as PyIceberg reads them, sorted."""
    read = mirror.lake.read(mirror.lake.pointers()[(namespace, name)])
    return sorted(zip(*(read.column(c) for c in columns)))


def refused(mirror, name, *words):
    d = mirror.dataset_status(name)
    assert d is not None and d["state"] == "refused", d
    for word in words:
        assert word in d["reason"], d["reason"]
    return True


def until_refused(mirror, name, *words):
    def is_refused():
        d = mirror.dataset_status(name)
        return d is not None and d["state"] == "refused" and refused(mirror, name, *words)
    mirror.until(is_refused, f"{name} to be refused", 30)


def doctor(mirror):
    p = mirror.with_config("doctor")
    return p.stdout + p.stderr


# ---- keys ----

def test_array_in_a_key(database):
    """As the whole key, as a part of it, in an identity by index; and where a key becomes one while the mirror runs."""
    database.execute("create table arr (k int[] primary key, v int)")
    database.execute("insert into arr values ('{1}', 1)")
    database.execute("create table part (a int, k text[], primary key (a, k))")
    database.execute("insert into part values (1, '{x}')")
    database.execute("create table by_index (a int primary key, k int[] not null)")
    database.execute("create unique index by_index_k on by_index (k)")
    database.execute("alter table by_index replica identity using index by_index_k")
    database.execute("create table events (k int[] primary key, v int)")
    database.execute("insert into events values ('{1}', 1)")
    database.execute("create table later (id int primary key, k int[] not null)")
    database.execute("insert into later values (1, '{1}'), (2, '{2}')")
    mirror = database.mirror("    tables:\n      - {name: events, append_only: true}\n      - \"*\"\n")
    said = doctor(mirror)
    for name in ("arr", "part", "by_index"):
        assert any(name in line and "array" in line for line in said.splitlines()), said
    mirror.start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    for name in ("arr", "part", "by_index"):
        refused(mirror, f"shop.{name}", "array", "append_only: true")
    assert rows(mirror, "events", "k", "v") == [((1,), 1)]
    database.execute("insert into arr values ('{2}', 2)")
    database.execute("alter table later drop constraint later_pkey, add primary key (k)")
    database.execute("insert into later values (1, '{3}')")
    until_refused(mirror, "shop.later", "array")
    marker.reached()
    database.execute("alter table arr drop constraint arr_pkey, add primary key (v)")
    mirror.until(lambda: mirror.dataset_status("shop.arr")["state"] == "streaming", "arr to be mirrored by its new key", 30)
    assert rows(mirror, "arr", "k", "v") == [((1,), 1), ((2,), 2)]
    assert mirror.stop() == 0, mirror.log_tail()


# ---- partitions ----

def test_identity_of_partitions(database):
    """Old rows come with the identity of the leaf under the name of the root: a leaf whose identity lacks the key has changes that cannot be placed."""
    for root in ("mn", "other", "whole", "two", "none"):
        database.execute(f"create table {root} (id int not null, region int not null, u int not null, primary key (id, region)) partition by list (region)")
        for leaf in (1, 2):
            database.execute(f"create table {root}{leaf} partition of {root} for values in ({leaf})")
        database.execute(f"insert into {root} select i, 1 + i % 2, i * 10 from generate_series(1, 6) i")
    database.execute("create unique index mn1_u on mn1 (u); alter table mn1 replica identity using index mn1_u")
    database.execute("alter table whole1 replica identity full")
    database.execute("create unique index two_u on two (u, region); alter table two replica identity using index two_u")
    database.execute("alter table none2 replica identity nothing")
    mirror = database.mirror()
    said = doctor(mirror)
    assert "ALTER TABLE public.mn1 REPLICA IDENTITY FULL" in said and "ALTER TABLE public.none2 REPLICA IDENTITY FULL" in said, said
    assert "All is well" not in said
    mirror.start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    refused(mirror, "shop.mn", "public.mn1", "ALTER TABLE public.mn1 REPLICA IDENTITY FULL")
    refused(mirror, "shop.two", "public.two1 (and 1 more)", '"u"')
    refused(mirror, "shop.none", "public.none2")
    for root in ("mn", "other", "whole"):
        database.execute(f"update {root} set id = 100 where id = 2; update {root} set id = 101 where id = 1; delete from {root} where id in (3, 4)")
    marker.reached()
    expected = [(5, 2, 50), (6, 1, 60), (100, 1, 20), (101, 2, 10)]
    assert rows(mirror, "other", "id", "region", "u") == rows(mirror, "whole", "id", "region", "u") == expected

    # One that changes while the mirror runs; and those that are mended.
    database.execute("create unique index other2_u on other2 (u); alter table other2 replica identity using index other2_u")
    until_refused(mirror, "shop.other", "public.other2", "REPLICA IDENTITY FULL")
    for leaf in ("mn1", "other2", "none2", "two1", "two2"):
        database.execute(f"alter table {leaf} replica identity full")
    mirror.until(lambda: all(mirror.dataset_status(f"shop.{n}")["state"] == "streaming" for n in ("mn", "other", "two", "none")),
                 "all to be copied once they are mended", 40)
    for root in ("mn", "other"):
        database.execute(f"update {root} set id = 200 where id = 5; delete from {root} where id = 6")
    marker.reached()
    for root in ("mn", "other"):
        assert rows(mirror, root, "id", "region", "u") == [(100, 1, 20), (101, 2, 10), (200, 2, 50)]
    database.check(mirror)
    assert {d["dataset"]: d["quarantined"] for d in mirror.status()["datasets"]} == dict.fromkeys(
        (f"shop.{name}" for name in ("mn", "other", "whole", "two", "none", "oracle_marker")), 0)
    assert mirror.stop() == 0, mirror.log_tail()


def test_identity_of_a_partition_there_and_back(database):
    """Changes that were written while a partition's identity lacked the key, which it has again when anybody looks: while the mirror runs and while it is stopped.
    Where nothing was written meanwhile, or rows were only added by a partition without any identity, nothing was lost, and nothing is copied."""
    roots = ("running", "stopped", "idle", "added")
    for root in roots:
        database.execute(f"create table {root} (id int not null, region int not null, u int not null, primary key (id, region)) partition by list (region)")
        for leaf in (1, 2):
            database.execute(f"create table {root}{leaf} partition of {root} for values in ({leaf})")
        database.execute(f"create unique index {root}1_u on {root}1 (u); insert into {root} select i, 1 + i % 2, i * 10 from generate_series(1, 6) i")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()

    def there_and_back(root, identity, changes):
        database.execute(f"begin; alter table {root}1 replica identity {identity}; {changes}; alter table {root}1 replica identity default; commit")

    def expected(root):
        assert rows(mirror, root, "id", "region", "u") == [(1, 2, 10), (3, 2, 30), (5, 2, 50), (6, 1, 60), (102, 1, 20)], mirror.log_tail()

    lost = "update {0} set id = 102 where id = 2; delete from {0} where id = 4"
    there_and_back("running", "using index running1_u", lost.format("running"))
    marker.reached()
    mirror.until_dataset("running", lambda r: len(r.rows) == 5, "the copy", timeout=15)
    expected("running")
    assert mirror.stop() == 0, mirror.log_tail()
    there_and_back("stopped", "using index stopped1_u", lost.format("stopped"))
    there_and_back("idle", "using index idle1_u", "insert into idle values (7, 2, 70)")
    there_and_back("added", "nothing", "insert into added values (8, 1, 80)")
    mirror.start()
    marker.reached()
    mirror.until_dataset("stopped", lambda r: len(r.rows) == 5, "the copy", timeout=15)
    expected("stopped")
    database.check(mirror)
    assert mirror.stop() == 0, mirror.log_tail()
    for root in roots:
        copies = mirror.log.read_text().count(f"shop.{root}: copied, ")
        assert copies == (1 if root in ("idle", "added") else 2), (root, copies, mirror.log_tail())


def test_partition_without_identity_of_an_append_only_table(database):
    """Its own users' UPDATEs must not fail because it is published."""
    database.execute("create table ev (id int, region int, primary key (id, region)) partition by list (region)")
    database.execute("create table ev1 partition of ev for values in (1); alter table ev1 replica identity nothing")
    database.execute("insert into ev values (1, 1)")
    mirror = database.mirror("    tables:\n      - {name: ev, append_only: true}\n      - \"*\"\n").start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    database.execute("insert into ev values (2, 1); update ev set id = 3 where id = 2")
    marker.reached()
    assert rows(mirror, "ev", "id", "region") == [(1, 1), (2, 1)]
    assert mirror.stop() == 0, mirror.log_tail()


# ---- SQLite ----

def sqlite_mirror(folder, script, extra=""):
    connection = sqlite3.connect(folder / "s.db", isolation_level=None)
    connection.executescript("pragma journal_mode = wal;" + script)
    return connection, Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder / 's.db'}\n{extra}", "commit_interval: 200ms")


def test_columns_with_the_empty_name(folder):
    """SQLite knows them, Iceberg too. As any column, as the key, made and renamed while the mirror runs; and the capture comes to rest."""
    source, mirror = sqlite_mirror(folder, """create table t (id integer primary key, "" text, v int); insert into t values (1, 'a', 2);
        create table k ("" integer primary key, v int); insert into k values (5, 6); create table good (id integer primary key, v int)""")
    mirror.start()
    marker = Marker(source.execute, mirror)
    marker.reached(30)
    source.executescript("""update t set "" = 'b' where id = 1; insert into t values (2, 'c', 3); update k set "" = 9;
        create table e (id integer primary key, "" text); insert into e values (1, 'late'); alter table good add column "" text;
        insert into good values (1, 2, 'added')""")
    marker.reached(30)
    mirror.until(lambda: ("shop", "e") in mirror.lake.pointers() and rows(mirror, "e", "id", "") == [(1, "late")], "the new table", 30)
    source.execute('alter table t rename column v to w')
    source.execute('alter table t rename column "" to v')
    source.execute("update t set v = 'd' where id = 2")
    marker.reached(30)
    assert rows(mirror, "t", "id", "v", "w") == [(1, "b", 2), (2, "d", 3)]
    assert rows(mirror, "k", "", "v") == [(9, 6)]
    assert rows(mirror, "good", "id", "v", "") == [(1, 2, "added")]
    last = source.execute("select max(seq) from _datamirror_log").fetchone()[0]
    marker.reached(30)
    assert source.execute("select max(seq) from _datamirror_log").fetchone()[0] < last + 20, "the mirror writes to its source by itself"
    assert mirror.stop() == 0, mirror.log_tail()
    assert "The lake equals the source." in mirror.with_config("verify").stdout


@pytest.mark.skipif(not hasattr(sqlite3.Connection, "blobopen"), reason="this Python cannot")
def test_blob_written_in_place(folder):
    """SQLite runs no trigger then, so it is not seen, as docs/sqlite.md says; an UPDATE of the row brings it, and so does a new copy."""
    source, mirror = sqlite_mirror(folder, "create table bl (id integer primary key, b blob, n int); insert into bl values (1, zeroblob(2), 0), (2, zeroblob(2), 0)")
    mirror.start()
    marker = Marker(source.execute, mirror)
    marker.reached()
    for row in (1, 2):
        with source.blobopen("bl", "b", row) as blob:
            blob.write(b"\xff\xff")
    source.execute("update bl set n = 1 where id = 1")
    marker.reached()
    assert mirror.stop() == 0, mirror.log_tail()
    p = mirror.with_config("verify", "shop.bl")
    assert p.returncode != 0 and '"id":2' in p.stdout.replace(" ", "") and '"id":1' not in p.stdout.replace(" ", ""), p.stdout
    assert mirror.with_config("resync", "shop.bl").returncode == 0
    mirror.catch_up()
    assert rows(mirror, "bl", "id", "b") == [(1, "ffff"), (2, "ffff")]
