"""Running it: clean ends, restarts, cut connections, resync, full disk, verify, init, query, status."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from oracle import process
from oracle.mirror import Marker, Mirror
from oracle.proxy import Proxy


class Load:
    """One writer that counts up rows and a table of totals until told to end."""

    def __init__(self, database):
        self.database = database
        database.execute("create table if not exists load (id int primary key, n int, pad text); "
                         "insert into load select i, 0, repeat('p', 50) from generate_series(1, 500) i; "
                         "create table if not exists load_log (id bigserial primary key, k int)")
        self.over = threading.Event()
        self.error = None
        self.done = 0
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self):
        import psycopg
        i = 0
        while not self.over.is_set():
            try:
                with self.database.server.connect(self.database.name) as c:
                    while not self.over.is_set():
                        i += 1
                        c.execute(f"begin; update load set n = n + 1 where id = {1 + i % 500}; insert into load_log (k) values ({i}); commit")
                        self.done = i
            except psycopg.OperationalError:
                self.over.wait(0.2)   # the test restarts the server
            except Exception as e:
                self.error = e
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(30)
        assert self.error is None, self.error

    def more(self, n=50):
        goal = self.done + n
        process.poll(lambda: self.done >= goal or self.error, 30, f"{n} more transactions")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_clean_end(database, how):
    with Load(database) as load:
        mirror = database.mirror().start()
        marker = Marker(database.execute, mirror)
        marker.reached()
        load.more()
        started = time.monotonic()
        assert mirror.stop(how) == 0, mirror.log_tail()
        assert time.monotonic() - started < 15
        assert mirror.status()["running"] is False
        load.more()
    mirror.start()
    marker.reached()
    database.check(mirror)


def test_second_signal_ends_at_once(database):
    database.execute("create table big (id int primary key, v text); insert into big select i, repeat('x', 200) from generate_series(1, 400000) i")
    mirror = database.mirror().start()
    mirror.until(lambda: mirror.lake.catalog.exists(), "the lake to be made")
    mirror.child.send_signal(signal.SIGTERM)
    mirror.child.send_signal(signal.SIGTERM)
    started = time.monotonic()
    mirror.wait_end(10)
    assert time.monotonic() - started < 5
    mirror.catch_up()
    database.check(mirror)


@pytest.mark.smoke
@pytest.mark.parametrize("how", ["fast", "crash"])
def test_server_restart(own_postgres, database_on, how):
    server = own_postgres(durable=how == "crash")
    d = database_on(server)
    with Load(d) as load:
        mirror = d.mirror(options="retry_max: 500ms\ncommit_interval: 100ms").start()
        marker = Marker(d.execute, mirror)
        marker.reached()
        load.more()
        server.restart(signal.SIGINT if how == "fast" else signal.SIGQUIT)
        d.connection = server.connect(d.name)
        load.more()
    marker.reached()
    d.check(mirror)
    assert mirror.stop() == 0


def test_connection_cut_in_the_middle_of_a_message(database, seed):
    import random
    r = random.Random(seed)
    proxy = Proxy(database.server.port)
    try:
        with Load(database) as load:
            database.execute("create table copied (id int primary key, v text); "
                             "insert into copied select i, repeat(md5(i::text), 20) from generate_series(1, 5000) i")
            mirror = database.mirror(options="retry_max: 300ms\ncommit_interval: 100ms", tcp_port=proxy.port)
            proxy.cut_after = 300000     # in the first copy
            mirror.start()
            marker = Marker(database.execute, mirror)
            marker.reached(90)
            for _ in range(8):
                cuts = proxy.cuts
                proxy.cut_after = r.randrange(500, 60000)
                database.execute("update copied set v = v || 'x' where id % 11 = 0")
                load.more(20)
                process.poll(lambda c=cuts: proxy.cuts > c or proxy.cut_all() or proxy.cuts > c, 20, "the cut")
                marker.reached()
        marker.reached()
        database.check(mirror)
        assert proxy.cuts >= 9
    finally:
        proxy.close()


def test_server_unreachable_for_a_while(database):
    proxy = Proxy(database.server.port)
    try:
        database.execute("create table t (id int primary key, v int); insert into t values (1, 0)")
        mirror = database.mirror(options="retry_max: 300ms", tcp_port=proxy.port).start()
        marker = Marker(database.execute, mirror)
        marker.reached()
        proxy.refuse = True
        proxy.cut_all()
        status = mirror.until(lambda: (lambda s: s if s["state"] == "retrying" else None)(mirror.source_status()), "the state retrying", 30)
        assert status["error"]
        database.execute("update t set v = 1")
        proxy.refuse = False
        marker.reached()
        database.check(mirror)
        mirror.until(lambda: mirror.source_status()["state"] == "running" and not mirror.source_status()["error"], "the state running", 20)
    finally:
        proxy.close()


def test_resync_of_one_table_while_others_go_on(database):
    database.execute("create table t (id int primary key, v int, body text); "
                     "insert into t select i, 0, repeat('b', 100) from generate_series(1, 20000) i")
    with Load(database) as load:
        mirror = database.mirror().start()
        marker = Marker(database.execute, mirror)
        marker.reached()
        for _ in range(3):
            log = mirror.lake.pointers()["shop", "load_log"]
            first = mirror.lake.pointers()["shop", "t"]
            assert mirror.with_config("resync", "shop.t").returncode == 0
            database.execute("update t set v = v + 1 where id % 5 = 0; delete from t where id = (select max(id) from t); update t set id = -id where id = 7")
            load.more(30)
            mirror.until(lambda: mirror.lake.pointers()["shop", "t"] != first and mirror.dataset_status("shop.t")["state"] == "streaming",
                         "the resync")
            assert mirror.lake.pointers()["shop", "load_log"] != log
    marker.reached()
    database.check(mirror)


def test_resync_repairs_what_somebody_damaged(database):
    database.execute("create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, 100) i")
    mirror = database.mirror()
    mirror.catch_up()
    t = mirror.lake.dataset("shop", "t").table
    path = list(t.scan().plan_files())[0].file.file_path.removeprefix("file://")
    os.unlink(path)
    assert mirror.with_config("resync", "shop.t").returncode == 0
    mirror.catch_up()
    database.check(mirror)
    assert mirror.with_config("doctor").returncode == 0


def test_disk_full(database, folder):
    """Stops cleanly or waits, acknowledges nothing, and goes on when there is room."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small tmpfs")
    small = folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", small], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.strip()}")
    try:
        database.execute("create table t (id int primary key, v text); insert into t select i, md5(i::text) from generate_series(1, 1000) i")
        mirror = Mirror(small / "m", database.source(), "commit_interval: 100ms\nretry_max: 500ms")
        mirror.log = folder / "mirror.log"
        database.mirrors.append(mirror)
        mirror.start()
        marker = Marker(database.execute, mirror)
        marker.reached()
        filler = small / "filler"
        free = shutil.disk_usage(small).free
        filler.write_bytes(b"\0" * max(0, free - 300_000))
        database.execute("insert into t select i, md5(i::text) || md5((-i)::text) from generate_series(1001, 60000) i")
        database.execute("update t set v = 'u' where id < 500")

        def noticed():
            return not mirror.alive() or (mirror.source_status() or {}).get("error") or "space" in mirror.log_tail()
        process.poll(noticed, 40, "the full disk to be noticed", context=mirror.log_tail)
        assert len(mirror.lake.dataset("shop", "t").rows) == 1000
        if not mirror.alive():
            assert mirror.child.returncode in (4, 3, 1, 6), mirror.log_tail()
        filler.unlink()
        if not mirror.alive():
            mirror.child = None
            mirror.start()
        marker.reached(60)
        database.check(mirror)
    finally:
        for m in database.mirrors:
            m.kill()
        subprocess.run(["umount", "-l", small], check=False)


def test_index_deleted_between_runs(database):
    database.execute("create table t (id int primary key, v text); insert into t select i, md5(i::text) from generate_series(1, 3000) i")
    mirror = database.mirror()
    mirror.catch_up()
    for i in range(4):
        database.execute(f"update t set v = 'round {i}' where id % {i + 2} = 0; delete from t where id % 97 = {i}; "
                         f"insert into t select 10000 + {i} * 100 + j, 'new' from generate_series(1, 50) j")
        mirror.lake.remove_index()
        mirror.catch_up()
        database.check(mirror)
        database.execute(f"update t set v = v || '{i}' where id % 13 = 0; update t set id = id + 100000 where id % 211 = {i}")
        mirror.catch_up()
        database.check(mirror)


def test_lake_restored_from_an_older_copy(database):
    """The lake is an old copy while the slot went on: never a silent gap."""
    database.execute("create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, 100) i")
    mirror = database.mirror()
    mirror.catch_up()
    shutil.copytree(mirror.lake.folder, mirror.folder / "old")
    database.execute("update t set v = 1 where id < 50")
    mirror.catch_up()
    shutil.rmtree(mirror.lake.folder)
    (mirror.folder / "old").rename(mirror.lake.folder)
    database.execute("update t set v = 2 where id > 90")
    mirror.start("--until-caught-up")
    code = mirror.wait_end()
    if code == 0:
        stopped = [d for d in mirror.status()["datasets"] if d["state"] == "stopped"]
        if not stopped:
            database.check(mirror)
            return
    assert "resync" in mirror.log_tail() + str(mirror.status()), mirror.log_tail()
    assert mirror.with_config("resync", "--all").returncode == 0
    mirror.catch_up()
    database.check(mirror)


def test_table_selection_changes_between_runs(database):
    database.execute("create table a (id int primary key); create table b (id int primary key, v int); insert into a values (1); "
                     "insert into b values (1, 1)")
    mirror = database.mirror("    tables: [public.a]\n")
    mirror.catch_up()
    assert set(mirror.lake.pointers()) == {("shop", "a")}
    database.execute("insert into a values (2); insert into b values (2, 2)")
    mirror.write(database.source("    tables: [public.a, public.b]\n"))
    mirror.catch_up()
    database.execute("update b set v = 5; insert into a values (3)")
    mirror.catch_up()
    database.check(mirror)


def test_two_sources_in_one_lake(database, folder, postgres):
    from conftest import Database
    other = Database(postgres, folder)
    try:
        for d in (database, other):
            d.execute("create table t (id int primary key, v text)")
            d.execute(f"insert into t values (1, '{d.name}')")
        mirror = database.mirror()
        second = other.source().replace("  shop:", "  warehouse:")
        mirror.write(database.source() + second)
        mirror.catch_up()
        for d in (database, other):
            d.execute("update t set v = v || '!'")
        mirror.catch_up()
        assert mirror.lake.dataset("shop", "t").rows == [(1, database.name + "!")]
        assert mirror.lake.dataset("warehouse", "t").rows == [(1, other.name + "!")]
    finally:
        mirror.kill()
        other.close()


# -- commands

def test_verify_equal_and_different(database):
    database.execute("create table t (id int primary key, v text); insert into t select i, md5(i::text) from generate_series(1, 1000) i; "
                     "create table u (id int primary key)")
    mirror = database.mirror()
    mirror.catch_up()
    p = mirror.with_config("verify")
    assert p.returncode == 0, p.stdout + p.stderr
    # Changes that the mirror never sees: somebody else reads them from its slot, and its position is put behind them.
    slot = f"dm_{database.name}"
    database.execute("set synchronous_commit = on; update t set v = 'hidden' where id = 77; delete from t where id = 5; insert into t values (5000, 'extra')")
    database.execute("select count(*) from pg_logical_slot_get_binary_changes(%s, null, null, 'proto_version', '1', 'publication_names', %s)", slot, slot)
    (behind,), = database.execute("select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = %s", slot)
    with sqlite3.connect(mirror.lake.folder / "catalog.db") as catalog:
        catalog.execute("update dm_source set position = ?", (int(behind),))
    catalog.close()
    p = mirror.with_config("verify", "--json")
    assert p.returncode == 1, p.stdout + p.stderr
    for key in ("77", "5000", "5"):
        assert key in p.stdout


def test_verify_finds_a_lake_that_was_changed(database):
    """One data file is replaced by one with another value in it: content, not counts."""
    import pyarrow.parquet as pq
    import pyarrow as pa
    database.execute("create table t (id int primary key, v text); insert into t select i, 'value' || i from generate_series(1, 100) i")
    mirror = database.mirror()
    mirror.start()      # at a start it would find a file of another size by itself
    mirror.until(lambda: mirror.dataset_status("shop.t") and mirror.dataset_status("shop.t")["state"] == "streaming", "the copy")
    t = mirror.lake.dataset("shop", "t").table
    path = list(t.scan().plan_files())[0].file.file_path.removeprefix("file://")
    table = pq.read_table(path)
    values = table.column("v").to_pylist()
    values[41] = "wrong"
    pq.write_table(table.set_column(1, table.schema.field("v"), pa.array(values, table.schema.field("v").type)), path)
    p = mirror.with_config("verify", "shop.t")
    assert p.returncode == 1, p.stdout + p.stderr
    assert str(table.column("id")[41].as_py()) in p.stdout


def test_verify_beside_a_mirror_that_just_starts(folder):
    """Whoever of the two takes the lake: the comparison is done."""
    with sqlite3.connect(folder / "shop.db") as db:
        db.executescript("create table t (id integer primary key, name text); insert into t values (1, 'a'), (2, 'b'), (3, 'c')")
    mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder}/shop.db\n", "commit_interval: 50ms")
    mirror.catch_up()
    for i in range(12):
        mirror.start()
        time.sleep(i % 6 * 0.01)
        p = mirror.with_config("verify")
        assert p.returncode == 0, f"{i}: {p.stdout}{p.stderr}{mirror.log_tail()}"
        mirror.check_alive()
        mirror.stop()


def test_verify_beside_a_running_mirror_under_load(database):
    with Load(database) as load:
        mirror = database.mirror().start()
        Marker(database.execute, mirror).reached()
        for _ in range(3):
            load.more(20)
            p = mirror.with_config("verify")
            assert p.returncode == 0, p.stdout + p.stderr + mirror.log_tail()


def test_empty_folder(folder):
    """init, status, query and doctor where there is nothing yet."""
    mirror = Mirror(folder / "m", "")
    mirror.config.unlink()
    p = mirror.command("init")
    assert p.returncode == 0, p.stderr
    assert (mirror.folder / "mirror.yaml").exists()
    again = (mirror.folder / "mirror.yaml").read_text()
    assert mirror.command("init").returncode != 0, "init must not overwrite"
    assert (mirror.folder / "mirror.yaml").read_text() == again
    (mirror.folder / "mirror.yaml").unlink()
    for command in (["status"], ["query", "select 1"], ["doctor"], ["verify"]):
        p = mirror.command(*command)
        assert p.returncode in (1, 2, 3) and (p.stdout + p.stderr).strip(), f"{command}: {p.returncode} {p.stderr}"


def test_init_discovers_tables(database):
    database.execute("create table parent (id int primary key, name text); create table child (id int primary key, p int references parent); "
                     "create table nokey (a int)")
    mirror = database.mirror()
    mirror.config.unlink()
    p = mirror.command("init", "--source", database.server.url(database.name))
    assert p.returncode == 0, p.stderr
    text = (mirror.folder / "mirror.yaml").read_text()
    for word in ("parent", "child", "nokey"):
        assert word in text
    before = database.execute("select count(*) from pg_replication_slots where database = current_database()")
    assert before == [(0,)], "init must not change the source"


def test_query_formats(database):
    database.execute("create table t (id int primary key, v text, at timestamptz); "
                     "insert into t values (1, 'a,\"b\"', '2024-01-01'), (2, null, 'infinity'), (3, E'line\\nbreak', null)")
    mirror = database.mirror()
    mirror.catch_up()
    database.execute("delete from t where id = 1; update t set v = 'new' where id = 3")
    mirror.catch_up()
    assert mirror.query("select id, v from shop.t order by id") == [{"id": 2, "v": None}, {"id": 3, "v": "new"}]
    p = mirror.with_config("query", "select id, v from shop.t order by id", "--format", "csv")
    assert p.stdout.splitlines() == ["id,v", "2,", "3,new"]
    p = mirror.with_config("query", "select count(*) as n from shop.t")
    assert p.returncode == 0 and "2" in p.stdout


def test_status_counters(database):
    database.execute("create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, 10) i")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    database.execute("insert into t values (11, 1), (12, 1); update t set v = 2 where id <= 5; delete from t where id = 10")
    marker.reached()
    status = mirror.status()
    assert status["running"] is True and status["pid"] == mirror.child.pid
    d = mirror.dataset_status("shop.t")
    assert (d["rows"], d["updated"], d["deleted"], d["quarantined"]) == (11, 5, 1, 0), d
    s = mirror.source_status()
    assert s["state"] == "running" and "/" in s["position"]
    json.dumps(status)
    mirror.until(lambda: mirror.source_status()["lag_bytes"] < 10_000, "the lag to be small", 30)
    assert mirror.stop() == 0
    p = mirror.with_config("status")
    assert "shop.t" in p.stdout


def test_catch_up_of_nothing_is_quick_and_repeatable(database):
    database.execute("create table t (id int primary key); insert into t values (1)")
    mirror = database.mirror()
    for _ in range(3):
        mirror.catch_up(timeout=30)
    first = mirror.lake.pointers()
    mirror.catch_up(timeout=30)
    assert mirror.lake.pointers() == first, "a run without changes made new snapshots"
    database.check(mirror)


def test_format_version_2_is_refused_clearly(database):
    """Every reader that is tested reads version 3; the older one is not written."""
    database.execute("create table t (id int primary key)")
    mirror = database.mirror(options="format_version: 2").start("--until-caught-up")
    assert mirror.wait_end() == 2
    assert "format_version" in mirror.log_tail()


def test_readers_that_hold_the_catalog_do_not_stop_the_mirror(database):
    """A reader keeps a read transaction open on catalog.db, another one locks it for writing for a while."""
    import sqlite3
    database.execute("create table t (id int primary key, v int); insert into t values (1, 0)")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    reader = mirror.lake.connect()
    reader.execute("begin")
    before = reader.execute("select metadata_location from iceberg_tables order by table_name").fetchall()
    for i in range(3):
        database.execute(f"update t set v = {i + 1}")
        marker.reached(30)
    assert reader.execute("select metadata_location from iceberg_tables order by table_name").fetchall() == before
    reader.execute("commit")
    reader.close()
    writer = sqlite3.connect(mirror.lake.catalog, isolation_level=None)
    writer.execute("begin immediate")
    database.execute("update t set v = 10")
    held = time.monotonic()
    process.poll(lambda: time.monotonic() - held > 3 or not mirror.alive(), 10, "three seconds")
    writer.execute("rollback")
    writer.close()
    if not mirror.alive():   # ending with "try again" is allowed, losing something is not
        assert mirror.child.returncode == 4, mirror.log_tail()
        mirror.child = None
        mirror.start()
    marker.reached()
    database.check(mirror)
