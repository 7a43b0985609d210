"""The stream stands still for a comparison, which may take as long as the longest transaction at the source: nothing that happens
meanwhile may leave the comparison waiting for a pin that nobody holds any more."""
import sqlite3
import subprocess

import pytest

from oracle import process
from oracle.mirror import BINARY, SLOW
from oracle.pin import ASKED, HELD, ExportedSnapshot, GivenUp, Pin


@pytest.fixture
def shop(database):
    database.execute("create table t (id int primary key, v int); insert into t select i, i from generate_series(1, 100) i")
    mirror = database.mirror().start()
    mirror.until_dataset("t", lambda rows: len(rows.rows) == 100, "copied")
    return mirror


def sender(database):
    """The server's process that sends the mirror its stream, and what it was told last to be in the lake."""
    found = database.execute("select active_pid, confirmed_flush_lsn from pg_replication_slots where slot_name = %s", f"dm_{database.name}")
    return found[0] if found else (None, None)


def cut(database):
    """Ends the stream at the server."""
    pid, _ = sender(database)
    assert database.execute("select pg_terminate_backend(%s)", pid) == [(True,)]
    return pid


def states(mirror):
    with sqlite3.connect(mirror.lake.catalog, timeout=60) as db:
        return [s for s, in db.execute("select state from dm_request where kind = 2 order by id")]


def start_verify(mirror):
    return subprocess.Popen([str(BINARY), "verify", "-c", str(mirror.config), "shop.t", "--timeout", f"{int(60 * SLOW)}s"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def end_of(verify):
    try:
        out, errors = verify.communicate(timeout=60 * SLOW)
    finally:
        verify.kill()
    return verify.returncode, out + errors


def test_a_stream_that_is_lost_while_it_stands_still(database, shop):
    """The connection ends unnoticed while nothing is read; the mirror finds it gone when it goes on."""
    with Pin(shop) as pin:
        pin.held()
        old = cut(database)
        with ExportedSnapshot(database.server, database.name) as s:
            with pytest.raises(GivenUp):
                pin.at(s.position)
    shop.until(lambda: sender(database)[0] not in (None, old), "the stream to go on")
    with Pin(shop) as pin:
        pin.held()
        with ExportedSnapshot(database.server, database.name) as s:
            assert ("shop", "t") in pin.at(s.position)


def test_verify_asks_again_when_the_stream_was_lost(database, shop):
    """A transaction of somebody else keeps verify from its snapshot; the stream that stands still for it is cut."""
    other = database.server.connect(database.name)
    with other.transaction():
        other.execute("update t set v = 0 where id = 1")
        verify = start_verify(shop)
        shop.until(lambda: states(shop) == [HELD], "the stream to stand still")
        old = cut(database)
    code, text = end_of(verify)
    other.close()
    assert code == 0 and "equal" in text, text
    assert sender(database)[0] != old
    assert database.execute("select v from t where id = 1") == [(0,)]
    assert states(shop) == []


def test_two_at_once(database, shop):
    """The second is not held before the first has its commit, which waits for the end of a transaction that the first's snapshot does not wait for."""
    with Pin(shop) as first, Pin(shop) as second:
        first.held()
        with ExportedSnapshot(database.server, database.name) as s:
            second.ask()
            database.execute("insert into t values (101, 101)")
            assert states(shop) == [HELD, ASKED]
            rows = shop.lake.read(first.at(s.position)["shop", "t"]).rows
            assert len(rows) == 100
        second.held()
        with ExportedSnapshot(database.server, database.name) as s:
            database.execute("delete from t where id <= 50")
            assert len(shop.lake.read(second.at(s.position)["shop", "t"]).rows) == 101
    shop.until_dataset("t", lambda rows: len(rows.rows) == 51, "goes on")


def test_the_server_hears_of_the_mirror_while_its_stream_stands_still(database):
    """What is committed meanwhile is told at once, so it is certain that something is said before the server takes the mirror for dead."""
    database.execute("create table t (id int primary key, v int)")
    mirror = database.mirror(options="commit_interval: 4s").start()
    mirror.until_dataset("t", lambda rows: True, "copied")
    for n in range(20):   # until a row is received before the stream stands still, and not committed before
        mirror.until(lambda: mirror.source_status().get("lag_seconds") == 0, "nothing to wait", every=0.05)
        database.execute("insert into t values (%s, 0)", n)
        mirror.until(lambda: (mirror.source_status().get("lag_seconds") or 0) > 0, "the row to be received", every=0.05)
        with Pin(mirror) as pin:
            pin.held()
            _, told = sender(database)
            if len(mirror.lake.dataset("shop", "t").rows) > n:
                continue
            try:
                process.poll(lambda: sender(database)[1] != told, 8 * SLOW, "the server to be told")
            except process.Timeout:   # the stream stood still before the row was read, which the lag does not tell
                continue
            assert len(mirror.lake.dataset("shop", "t").rows) == n + 1
            assert states(mirror) == [HELD], mirror.log_tail()
            return
    raise AssertionError(f"in none of the rounds the server was told\n{mirror.log_tail()}")
