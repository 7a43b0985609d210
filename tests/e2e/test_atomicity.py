"""All tables read through the catalog stand at one source transaction boundary, at any moment."""
import os
import time

from oracle import traffic
from oracle.mirror import Marker
from oracle.pause import Gate, Writers

POLLS = int(os.environ.get("DM_POLLS", "50"))


def test_bank_transfers_are_seen_whole(database, seed):
    """Transfers between two tables and a ledger. In every poll the total is unchanged and each balance is its start plus its
    ledger: true only at a transaction boundary of all three tables."""
    traffic.create(database.execute)
    mirror = database.mirror(options="commit_interval: 50ms").start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    work = traffic.Traffic(lambda: database.server.connect(database.name), seed)
    gate = Gate()
    writers = Writers(gate)
    for i in range(3):
        writers.add(f"bank {i}", work.bank)
    writers.add("large", work.large)
    names = [("shop", n) for n in ("accounts_a", "accounts_b", "ledger")]
    seen = {}
    polls = 0
    with writers:
        end = time.monotonic() + 120
        while polls < POLLS and time.monotonic() < end:
            writers.check()
            mirror.check_alive()
            pointers = mirror.lake.pointers()
            if seen and all(pointers[n] == seen[n] for n in names):
                time.sleep(0.01)
                continue
            datasets = {n: mirror.lake.read(pointers[n]) for n in names}
            wrong = traffic.bank_holds(datasets)
            assert not wrong, f"poll {polls}: {wrong}; positions {[d.position for d in datasets.values()]}"
            moved = [n for n in names if seen and pointers[n] != seen[n]]
            positions = {datasets[n].position for n in moved}
            # Each poll may span several commits; those of the two that moved last share a position when both moved in it.
            assert None not in positions, f"a snapshot without datamirror.position: {datasets[moved[0]].properties}"
            seen = pointers
            polls += 1
    writers.check()
    assert polls >= POLLS, f"only {polls} new versions were seen in time"
    marker.reached()
    datasets = mirror.lake.everything()
    assert not traffic.bank_holds(datasets)


def test_both_tables_carry_the_same_position(database):
    """One transaction that touches both tables gives both snapshots the same datamirror.position."""
    database.execute("create table a (id int primary key, v int); create table b (id int primary key, v int); "
                     "insert into a values (1, 0); insert into b values (1, 0)")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    for i in range(1, 11):
        database.execute(f"begin; update a set v = {i}; update b set v = {i}; commit")
        pointers = marker.reached()
        a, b = (mirror.lake.read(pointers["shop", n]) for n in "ab")
        assert a.rows == b.rows == [(1, i)]
        assert a.position is not None and a.position == b.position
        assert a.properties.get("datamirror.source") == "shop"
        assert a.properties["datamirror.source-commit-time"]


def test_large_transaction_is_seen_whole(database):
    """A streamed transaction over two tables, far larger than one batch, appears at once or not at all."""
    database.execute("create table a (id int primary key, v text); create table b (id int primary key, v text)")
    mirror = database.mirror(options="commit_interval: 50ms\ncommit_bytes: 1MiB").start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    rows = 60000
    c = database.server.connect(database.name)
    c.execute("begin")
    step = rows // 6
    for i in range(6):
        c.execute(f"insert into a select i, repeat('x', 60) from generate_series({i * step + 1}, {(i + 1) * step}) i")
        c.execute(f"insert into b select i, repeat('y', 60) from generate_series({i * step + 1}, {(i + 1) * step}) i")
        database.execute("update oracle_marker set n = n + 0")  # others commit meanwhile
        both = mirror.lake.everything()
        assert not both["shop", "a"].rows and not both["shop", "b"].rows, "rows of an open transaction are visible"
    c.execute("commit")
    c.close()

    def step_():
        pointers = mirror.lake.pointers()
        a, b = (len(mirror.lake.read(pointers["shop", n], columns=["id"]).rows) for n in "ab")
        assert (a, b) in ((0, 0), (rows, rows)), f"{a} and {b} rows of {rows} are visible"
        return a == rows
    mirror.until(step_, "the large transaction in the lake", 60, every=0.02)
    marker.reached()
    database.check(mirror)


def test_large_aborted_transaction_leaves_nothing(database):
    database.execute("create table a (id int primary key, v text); insert into a values (0, 'there')")
    mirror = database.mirror(options="commit_interval: 50ms\ncommit_bytes: 1MiB").start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    database.execute("begin; insert into a select i, repeat('x', 100) from generate_series(1, 50000) i; "
                     "update a set v = 'gone' where id = 0; rollback")
    database.execute("begin; savepoint s; insert into a select i, repeat('x', 100) from generate_series(1, 30000) i; rollback to s; "
                     "insert into a select i, 'kept' from generate_series(40001, 40010) i; delete from a where id = 0; "
                     "savepoint t; delete from a; rollback to t; commit")
    marker.reached()
    assert database.check(mirror) == 11
