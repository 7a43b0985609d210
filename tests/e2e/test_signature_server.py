"""Which server, which life of it, and which log: a mirror that goes on with another one than its lake was made from mixes two histories."""
import shutil
import subprocess

import pytest

from oracle.mirror import SLOW
from oracle.postgres import Server
from oracle.process import free_port, poll

TABLE = "create table t (id int primary key, v text); insert into t select i, 'row ' || i from generate_series(1, 3) i"


def ends_with_stop(mirror, *words):
    """rc 5, the words, and the remedy; the lake is as it was."""
    before = mirror.lake.dataset("shop", "t").rows
    mirror.start("--until-caught-up")
    code = mirror.wait_end()
    log = mirror.log_tail(5)
    assert code == 5, f"code {code}\n{log}"
    for word in (*words, "resync --all"):
        assert word in log, log
    assert mirror.lake.dataset("shop", "t").rows == before
    assert mirror.source_status()["state"] == "stopped"


def resync_mends(database, mirror):
    assert mirror.with_config("resync", "--all").returncode == 0
    mirror.catch_up()
    database.check(mirror)
    database.execute("insert into t values (77, 'after')")
    mirror.catch_up()
    database.check(mirror)


def copy_of(server):
    """A server with a copy of the data folder: the same cluster, as it was."""
    twin = Server.__new__(Server)
    twin.__dict__.update(server.__dict__)
    twin.folder = server.folder.parent / (server.folder.name + "-twin")
    twin.data = twin.folder / "data"
    twin.log = twin.folder / "log"
    twin.settings = {**server.settings, "unix_socket_directories": str(twin.folder)}
    shutil.copytree(server.folder, twin.folder, symlinks=True)
    subprocess.run(["chown", "-R", "--reference", server.data, twin.folder], check=True)
    twin.port = free_port()
    twin.child = None
    return twin


def promote(server):
    """As a failover does: the next timeline begins where the log ends."""
    signal = server.data / "recovery.signal"
    signal.touch()
    subprocess.run(["chown", "--reference", server.data, signal], check=True)
    server.settings = {**server.settings, "restore_command": "false"}
    server.start()

    def promoted():
        with server.connect("postgres") as c:
            return not c.execute("select pg_is_in_recovery()").fetchone()[0]
    poll(promoted, 60 * SLOW, "the server to be promoted")


def test_another_cluster(own_postgres, database_on):
    """The same table, dumped and restored; its log is shorter, so that every position there is below the lake's."""
    a, b = own_postgres(), own_postgres()
    one, other = database_on(a), database_on(b)
    one.execute(TABLE)
    mirror = one.mirror()
    mirror.catch_up()
    other.execute(TABLE)
    other.execute("insert into t values (50, 'only there')")
    mirror.write(other.source(), "commit_interval: 200ms")
    ends_with_stop(mirror, "the server changed")
    mirror.write(one.source(), "commit_interval: 200ms")   # back: nothing was harmed
    one.execute("update t set v = 'A' where id = 1")
    mirror.catch_up()
    one.check(mirror)
    # Again while the mirror runs: at the address that it connects to anew there is another one.
    mirror.start()
    mirror.until(lambda: mirror.source_status()["state"] == "running", "the mirror to run")
    for d in (one, other):
        d.connection.close()
        d.server.stop()
    shutil.rmtree(a.data)
    shutil.copytree(b.data, a.data, symlinks=True)
    subprocess.run(["chown", "-R", "--reference", b.data, a.data], check=True)
    a.start()
    with a.connect("postgres") as c:
        c.execute(f'create database "{one.name}"')
    one.connection = a.connect(one.name)
    assert mirror.wait_end(90) == 5, mirror.log_tail()
    assert "the server changed" in mirror.log_tail(5)
    one.execute("create table t (id int primary key, v text); insert into t values (9, 'other')")
    resync_mends(one, mirror)


def test_promoted_server_goes_on(own_postgres, database_on):
    """A new timeline that has all that the lake has, and the slot: nothing needs to be copied."""
    server = own_postgres()
    d = database_on(server)
    d.execute(TABLE)
    mirror = d.mirror()
    mirror.catch_up()
    d.execute("update t set v = 'before' where id = 1")
    d.connection.close()
    server.stop()
    promote(server)
    d.connection = server.connect(d.name)
    d.execute("update t set v = 'after' where id = 2")
    before = len(mirror.log.read_text())
    for _ in range(2):
        mirror.catch_up()
        d.check(mirror)
        d.execute("delete from t where id = 3")
    assert "copied" not in mirror.log.read_text()[before:]


def test_promoted_server_behind_the_lake(own_postgres, database_on):
    """The one that took over had not received all: its timeline parts before the position of the lake."""
    server = own_postgres()
    d = database_on(server)
    d.execute(TABLE)
    mirror = d.mirror()
    mirror.catch_up()
    d.connection.close()
    server.stop()
    twin = copy_of(server)
    try:
        server.start()
        d.connection = server.connect(d.name)
        d.execute("update t set v = 'lost' where id = 1")
        mirror.catch_up()
        d.connection.close()
        server.stop()
        promote(twin)
        d.server = twin
        d.connection = twin.connect(d.name)
        d.execute("insert into t select i, repeat('x', 100) from generate_series(100, 5000) i")   # its log is soon the longer one
        mirror.write(d.source(), "commit_interval: 200ms")
        ends_with_stop(mirror, "timeline")
        resync_mends(d, mirror)
        d.connection.close()
    finally:
        twin.remove()


def test_server_restored_from_a_backup(own_postgres, database_on):
    """The same cluster and timeline, but its log ends before the position of the lake."""
    server = own_postgres()
    d = database_on(server)
    d.execute(TABLE)
    mirror = d.mirror()
    mirror.catch_up()
    d.connection.close()
    server.stop()
    twin = copy_of(server)
    try:
        server.start()
        d.connection = server.connect(d.name)
        d.execute("insert into t select i, repeat('x', 1000) from generate_series(100, 5000) i")
        mirror.catch_up()
        d.connection.close()
        server.stop()
        twin.start()
        d.server = twin
        d.connection = twin.connect(d.name)
        mirror.write(d.source(), "commit_interval: 200ms")
        ends_with_stop(mirror, "log")
        resync_mends(d, mirror)
        d.connection.close()
    finally:
        twin.remove()


@pytest.mark.parametrize("what", ["slot", "database"])
def test_slot_or_database_made_anew(database, what):
    """Dropped and made again under the same name: what happened in between nobody tells."""
    database.execute(TABLE)
    mirror = database.mirror()
    mirror.catch_up()
    if what == "slot":
        database.execute(f"select pg_drop_replication_slot('dm_{database.name}')")
        database.execute("update t set v = 'unseen' where id = 1")
        ends_with_stop(mirror, "the replication slot")
    else:
        database.connection.close()
        database.server.drop_database(database.name)
        database.server.create_database(database.name)
        database.connection = database.server.connect(database.name)
        database.execute("create table t (id int primary key, v text); insert into t values (1, 'of the new one')")
        ends_with_stop(mirror, "the database changed")
    resync_mends(database, mirror)
