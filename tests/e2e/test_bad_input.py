"""What goes wrong around the mirror: each case has a clear message with a remedy, and no silent loss."""
import os
import signal

import pytest

from oracle import process
from oracle.mirror import Marker, Mirror


def fails(mirror, *words, codes=(1, 2, 3, 4, 5, 6), timeout=60, arguments=("--until-caught-up",)):
    """The run ends by itself, not by a signal, and says all the words."""
    mirror.start(*arguments)
    code = mirror.wait_end(timeout)
    text = mirror.log_tail(60)
    assert code in codes, f"code {code}\n{text}"
    for w in words:
        assert w.lower() in text.lower(), f"{w!r} is not in:\n{text}"
    return text


CONFIGS = {
    "not_yaml": ("lake: [", [":"]),
    "unknown_option": ("lake: ./lake\ncommit_intervall: 1s\nsources: {shop: {type: sqlite, path: x.db}}", ["commit_intervall", "commit_interval", ":2"]),
    "unknown_source_option": ("lake: ./lake\nsources:\n  shop:\n    type: sqlite\n    path: x.db\n    tabels: []", ["tabels", "tables", ":6"]),
    "unknown_type": ("lake: ./lake\nsources: {shop: {type: oracle, path: x}}", ["oracle", "postgres", "sqlite"]),
    "missing_url": ("lake: ./lake\nsources: {shop: {type: postgres}}", ["url"]),
    "no_sources": ("lake: ./lake\nsources: [shop]\n", ["sources"]),
    "bad_duration": ("lake: ./lake\ncommit_interval: soon\nsources: {shop: {type: sqlite, path: x.db}}", ["soon", ":2"]),
    "bad_number": ("lake: ./lake\nformat_version: 4\nsources: {shop: {type: sqlite, path: x.db}}", ["format_version"]),
    "unset_variable": ("lake: ./lake\nsources: {shop: {type: postgres, url: '${DM_TEST_NOT_SET}'}}", ["DM_TEST_NOT_SET"]),
    "bad_name": ("lake: ./lake\nsources: {'Sh op': {type: sqlite, path: x.db}}", ["Sh op"]),
    "empty": ("", ["empty", "init"]),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_wrong_configuration(folder, name):
    text, words = CONFIGS[name]
    mirror = Mirror(folder / "m", "")
    mirror.config.write_text(text)
    text = fails(mirror, "mirror.yaml", *words, codes=(2,), timeout=20)
    assert not mirror.lake.catalog.exists()


def test_missing_configuration(folder):
    mirror = Mirror(folder / "m", "")
    mirror.config.unlink()
    fails(mirror, "mirror.yaml", codes=(2,), timeout=20)


def test_unknown_command_and_option(folder):
    mirror = Mirror(folder / "m", "")
    for arguments in (["runn"], ["run", "--nope"], ["query"], ["query", "select 1", "--format", "xml"]):
        p = mirror.command(*arguments)
        assert p.returncode == 2 and p.stderr.strip(), arguments
    for command in ("init", "run", "status", "verify", "query", "resync", "doctor"):
        p = mirror.command(command, "--help")
        assert p.returncode == 0 and len(p.stdout) > 100, command
    assert mirror.command("--help").returncode == 0


def test_wrong_credentials(database):
    password = "correct-horse"
    database.server.connect("postgres").execute(f"do $$ begin create role with_password login superuser password '{password}'; "
                                                "exception when duplicate_object then null; end $$")
    database.execute("create table t (id int primary key)")
    mirror = database.mirror()
    def config(secret):
        url = database.server.url(database.name, user="with_password", tcp=True, password=secret)
        mirror.write(database.source().replace(database.server.url(database.name), url))
    config("wrong-battery")
    text = fails(mirror, "password")
    assert "wrong-battery" not in text, "the secret is in the log"
    p = mirror.with_config("doctor")
    assert p.returncode != 0 and "wrong-battery" not in p.stdout + p.stderr
    config("correct-horse")
    mirror.catch_up()
    assert "correct-horse" not in mirror.log_tail(500)
    for path in mirror.lake.files():
        with open(path, "rb") as f:
            assert b"correct-horse" not in f.read(), path


def test_unreachable_server_is_retried_and_status_says_why(database):
    database.execute("create table t (id int primary key); insert into t values (1)")
    mirror = database.mirror(options="retry_max: 500ms")
    good = database.source()
    mirror.write(good.replace(f"port={database.server.port}", f"port={process.free_port()}"), "retry_max: 500ms")
    mirror.start()
    status = mirror.until(lambda: (lambda s: s if s and s["state"] == "retrying" else None)(mirror.source_status()), "the state retrying", 30)
    assert status["error"]
    assert mirror.stop() == 0


def test_wal_level_replica(own_postgres, database_on):
    d = database_on(own_postgres(wal_level="replica"))
    d.execute("create table t (id int primary key)")
    mirror = d.mirror()
    fails(mirror, "wal_level", "logical")
    p = mirror.with_config("doctor")
    assert p.returncode == 1 and "wal_level" in p.stdout + p.stderr


def test_missing_privilege(database):
    database.execute("create table t (id int primary key); create table secret (id int primary key); insert into t values (1)")
    role = f"poor_{database.name}"
    database.execute(f"create role {role} login")
    try:
        mirror = database.mirror()
        def config():
            mirror.write(database.source().replace("postgres@", f"{role}@"))
        config()
        fails(mirror, "replication")
        p = mirror.with_config("doctor")
        assert p.returncode == 1 and "replication" in (p.stdout + p.stderr).lower()
        # With everything but the right to read one table: that table is refused or named, the other one is mirrored.
        database.execute(f"alter role {role} replication; grant select on t to {role}; grant create on database {database.name} to {role}")
        p = mirror.with_config("doctor")
        assert "secret" in p.stdout + p.stderr or "owner" in (p.stdout + p.stderr).lower(), p.stdout + p.stderr
    finally:
        for m in database.mirrors:
            m.kill()
        database.execute(f"drop owned by {role} cascade; drop role {role}")


def test_slot_lost_by_max_slot_wal_keep_size(own_postgres, database_on):
    """The server invalidated the slot: never a silent gap; a resync mends it."""
    server = own_postgres(max_slot_wal_keep_size="1MB", max_wal_size="32MB", min_wal_size="32MB")
    d = database_on(server)
    d.execute("create table t (id int primary key, v text); insert into t select i, 'old' from generate_series(1, 100) i")
    mirror = d.mirror().start()
    marker = Marker(d.execute, mirror)
    marker.reached()
    mirror.stop()
    d.execute("update t set v = 'in the gap'; delete from t where id = 1")
    d.execute("create table noise (v text)")

    def lost():
        d.execute("insert into noise select repeat(md5(i::text), 100) from generate_series(1, 6000) i; select pg_switch_wal()")
        d.execute("checkpoint")
        return d.execute("select wal_status = 'lost' from pg_replication_slots where slot_name = %s", f"dm_{d.name}")[0][0]
    process.poll(lost, 90, "the server to invalidate the slot")
    d.execute("drop table noise")
    mirror.start()

    def settled():
        if not mirror.alive():
            return "ended"
        s, t = mirror.source_status(), mirror.dataset_status("shop.t")
        if (s["state"] == "stopped" and s["error"]) or t["state"] == "stopped":
            return "stopped"
        return "copied" if set(mirror.lake.dataset("shop", "t").column("v")) == {"in the gap"} else None
    if process.poll(settled, 60, "a decision about the lost slot", context=mirror.log_tail) != "copied":
        assert "resync" in mirror.log_tail() + str(mirror.status())
        mirror.kill()
        p = mirror.with_config("resync", "--all")
        assert p.returncode == 0, p.stderr
        mirror.start()
        # Each table is attached when its own copy is done: the marker's may be the first, and tells nothing of this one.
        mirror.until_dataset("t", lambda rows: set(rows.column("v")) == {"in the gap"}, "the new copy", timeout=90)
    marker.reached(90)
    d.check(mirror)


def test_slot_in_use(database):
    """Another process reads our slot: waits or stops with the pid of the other, and goes on when it is free."""
    database.execute("create table t (id int primary key, v int); insert into t values (1, 1)")
    mirror = database.mirror(options="retry_max: 500ms\ncommit_interval: 100ms")
    mirror.catch_up()
    import subprocess
    thief = process.start(["pg_recvlogical", "-d", database.server.dsn(database.name), "--slot", f"dm_{database.name}", "--start", "-f",
                           "/dev/null", "-o", "proto_version=2", "-o", f"publication_names=dm_{database.name}"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pid = process.poll(lambda: database.execute("select active_pid from pg_replication_slots where slot_name = %s",
                                                    f"dm_{database.name}")[0][0], 20, "the other reader to have the slot")
        mirror.start()

        def told():
            if not mirror.alive():
                return True
            s = mirror.source_status()
            return s is not None and s["error"]
        process.poll(told, 40, "a message about the slot", context=mirror.log_tail)
        assert str(pid) in mirror.log_tail(), mirror.log_tail()
    finally:
        process.stop(thief, signal.SIGINT)
    database.execute("update t set v = 2")
    if not mirror.alive():
        mirror.child = None
        mirror.start()
    mirror.until_dataset("t", lambda rows: rows.column("v") == [2], "the update")


def test_second_instance_is_refused(database):
    database.execute("create table t (id int primary key)")
    mirror = database.mirror().start()
    Marker(database.execute, mirror).reached()
    second = database.mirror()
    text = fails(second, str(mirror.child.pid), codes=(5,), timeout=20, arguments=())
    assert mirror.alive(), text
    mirror.kill()
    second.catch_up()   # the lock of a killed process does not stay


def test_table_without_key_does_not_stop_the_others(database):
    database.execute("create table nokey (a int); create table t (id int primary key); insert into t values (1)")
    mirror = database.mirror()
    mirror.catch_up()
    assert mirror.lake.dataset("shop", "t").rows == [(1,)]
    assert mirror.dataset_status("shop.nokey")["state"] == "refused"


def test_no_tables_at_all_then_one(database):
    mirror = database.mirror().start()
    process.poll(lambda: mirror.with_config("status").returncode in (0, 3), 20, "status")
    database.execute("create table t (id int primary key)")
    database.execute("insert into t values (1)")
    mirror.until_dataset("t", lambda rows: rows.rows == [(1,)], "the first table")


def damage(path):
    """Overwrites the middle and keeps the size."""
    with open(path, "r+b") as f:
        size = os.path.getsize(path)
        f.seek(size // 2)
        n = min(64, size - size // 2)
        f.write(b"\xde" * n)


@pytest.mark.parametrize("what", ["missing data file", "missing vector", "missing manifest", "short data file", "damaged vector", "damaged manifest",
                                  "missing metadata"])
def test_damaged_lake_file_is_named_by_doctor(database, what):
    database.execute("create table t (id int primary key, v text); insert into t select i, md5(i::text) from generate_series(1, 500) i")
    mirror = database.mirror()
    mirror.catch_up()
    database.execute("delete from t where id % 3 = 0; update t set v = 'x' where id % 5 = 0")
    mirror.catch_up()
    assert mirror.with_config("doctor").returncode == 0, mirror.with_config("doctor").stdout
    location = mirror.lake.pointers()["shop", "t"]
    t = mirror.lake.load(location)
    data, vectors, manifests = [], [], []
    for m in t.current_snapshot().manifests(t.io):
        manifests.append(m.manifest_path)
        for e in m.fetch_manifest_entry(t.io, discard_deleted=True):
            (data if int(e.data_file.content) == 0 else vectors).append(e.data_file.file_path)
    path = {"data": data, "vector": vectors, "manifest": manifests, "metadata": [location]}[
        [k for k in ("data file", "vector", "manifest", "metadata") if k in what][0].split()[0]][0]
    path = path.removeprefix("file://")
    assert os.path.exists(path), path
    if what.startswith("missing"):
        os.unlink(path)
    elif what.startswith("short"):
        os.truncate(path, os.path.getsize(path) // 2)
    else:
        damage(path)
    p = mirror.with_config("doctor")
    assert p.returncode == 1, p.stdout + p.stderr
    assert os.path.basename(path) in p.stdout + p.stderr, p.stdout + p.stderr


def test_lake_folder_that_cannot_be_written(folder, database):
    if os.geteuid() == 0:
        blocker = folder / "file"
        blocker.write_text("not a folder")
        lake = blocker / "lake"
    else:
        lake = "/proc/lake"
    database.execute("create table t (id int primary key)")
    mirror = database.mirror()
    mirror.config.write_text(mirror.config.read_text().replace(f"lake: {mirror.lake.folder}", f"lake: {lake}"))
    fails(mirror, str(lake))


def test_resync_and_verify_of_an_unknown_dataset(database):
    database.execute("create table t (id int primary key)")
    mirror = database.mirror()
    mirror.catch_up()
    p = mirror.with_config("resync", "shop.nothere")
    assert p.returncode == 2 and "shop.nothere" in p.stderr
    p = mirror.with_config("verify", "shop.nothere")
    assert p.returncode == 2 and "shop.nothere" in p.stderr + p.stdout


def test_query_with_an_error_and_with_a_write(database):
    database.execute("create table t (id int primary key)")
    mirror = database.mirror()
    mirror.catch_up()
    for sql in ("select nonsense from shop.t", "selec 1", "delete from shop.t", "copy (select 1) to '/tmp/dm-should-not-be'",
                "select * from read_text('/etc/passwd')", "install httpfs", "attach '/tmp/dm-x.db'"):
        p = mirror.with_config("query", sql)
        assert p.returncode != 0 and p.stderr.strip(), f"{sql}: {p.stdout}"
    assert not os.path.exists("/tmp/dm-should-not-be") and not os.path.exists("/tmp/dm-x.db")
