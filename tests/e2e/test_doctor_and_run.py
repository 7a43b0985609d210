"""One function decides what `run` would do: what `doctor` foretells and how `run` ends are the same, both ways."""
import json
import os
import signal
import socket
import subprocess

import pytest

from oracle import process
from oracle.mirror import Marker

RUN = ("--until-caught-up", "--give-up-after", "300ms")


def foretold(mirror, **kwargs):
    """doctor's checks, and its verdict: the code that `run` would end with."""
    p = mirror.with_config("doctor", "--json", **kwargs)
    checks = [json.loads(line) for line in p.stdout.splitlines()]
    verdict = checks.pop()
    assert verdict["area"] == "verdict", p.stdout + p.stderr
    assert (verdict["result"] == "fail") == (p.returncode == 1) == any(c["result"] == "fail" for c in checks), p.stdout
    return checks, verdict


def agree(mirror, code, *words, refused=(), env=None):
    """doctor and run say the same: the code, the words (in a check and in the log), and which tables are left out."""
    checks, verdict = foretold(mirror, env=env)
    told = "\n".join(f"{c['result']} {c['area']}: {c['what']}; {c['hint']}" for c in checks)
    assert verdict["run"] == code, f"foretold {verdict}\n{told}"
    assert {c["what"].split()[0] for c in checks if c["result"] == "refused"} == {f"public.{t}" for t in refused}, told
    mirror.start(*RUN, env=env)
    ended = mirror.wait_end()
    assert ended == code, f"foretold {code}, ended with {ended}\n{told}\n{mirror.log_tail()}"
    for word in words:
        assert word in told, f"{word!r} is not in doctor's\n{told}"
        assert word in mirror.log_tail() + str(code == 0 and mirror.status()), f"{word!r} is not in\n{mirror.log_tail()}"
    if code == 0:
        left_out = {d["dataset"] for d in mirror.status()["datasets"] if d["state"] == "refused"}
        assert left_out == {f"shop.{t}" for t in refused}
    return told


@pytest.fixture
def shop(database):
    database.execute("create table t (id int primary key, v int); insert into t values (1, 1), (2, 2)")
    return database


@pytest.fixture
def role(shop):
    """A role with the least that a mirror of its own publication needs, and the mirror that uses it."""
    name = f"mirror_{shop.name}"
    shop.execute(f"create role {name} login replication; grant create on database {shop.name} to {name}; "
                 f"grant select on all tables in schema public to {name}; grant {name} to postgres; alter table t owner to {name}")
    yield name
    for m in shop.mirrors:
        m.kill()
    shop.execute(f"reassign owned by {name} to postgres; drop owned by {name} cascade; drop role {name}")


def as_role(shop, role):
    mirror = shop.mirror()
    mirror.write(shop.source().replace("postgres@", f"{role}@"), "commit_interval: 200ms")
    return mirror


def test_sound(shop):
    mirror = shop.mirror()
    agree(mirror, 0)
    agree(mirror, 0)   # also when all is there
    shop.check(mirror)


def test_the_secret_of_the_lake(shop):
    """Without what keeps deleted keys out the lake is not opened; while it keeps nothing out it is made anew, but not what is no secret at all."""
    mirror = shop.mirror()
    agree(mirror, 0)
    secret = mirror.lake.folder / ".secret"
    kept, other = secret.read_bytes(), bytes(32)
    secret.unlink()
    agree(mirror, 0)
    assert secret.read_bytes() != kept
    kept = secret.read_bytes()
    secret.write_bytes(other)
    agree(mirror, 0)
    secret.write_bytes(kept[:-1])
    agree(mirror, 2, ".secret is damaged")
    secret.write_bytes(kept)
    p = mirror.with_config("delete", "shop.t", "1", "--yes")
    assert p.returncode == 0, p.stdout + p.stderr
    for content, word in ((None, "is not there"), (b"", "is not there"), (kept[:-1], "is damaged"), (other, "is another lake's")):
        secret.unlink()
        if content is not None:
            secret.write_bytes(content)
        agree(mirror, 2, f".secret {word}", "from a backup of the lake")
        assert secret.exists() == (content is not None), "doctor or run made one"
        secret.write_bytes(kept)
    agree(mirror, 0)
    assert mirror.query("from shop.t") == [{"id": 2, "v": 2}]


def test_tables_that_are_left_out(shop, role):
    """Each for another reason; the others go on, so doctor is content."""
    shop.execute(f"""create role other_{shop.name}; grant other_{shop.name} to postgres;
        create table nokey (a int); alter table nokey owner to {role};
        create table foreigner (id int primary key); alter table foreigner owner to other_{shop.name}; grant select on foreigner to {role};
        create table secret (id int primary key); alter table secret owner to other_{shop.name};
        create table hidden (id int primary key); alter table hidden owner to other_{shop.name}; alter table hidden enable row level security;
        grant select on hidden to {role};
        create unlogged table unlogged (id int primary key); alter table unlogged owner to {role}""")
    try:
        mirror = as_role(shop, role)
        told = agree(mirror, 0, refused=("nokey", "foreigner", "secret", "hidden", "unlogged"))
        assert f"other_{shop.name}" in told and role in told, told   # the names as they are, no <user>
        assert "<user>" not in told and "<table>" not in told
        assert mirror.lake.dataset("shop", "t").rows == [(1, 1), (2, 2)]
        # What doctor proposes works.
        shop.execute(f"grant other_{shop.name} to {role}; alter table hidden disable row level security")
        agree(mirror, 0, refused=("nokey", "unlogged"))
    finally:
        shop.execute(f"drop owned by other_{shop.name} cascade; drop role other_{shop.name}")


def test_privileges_of_the_whole(shop, role):
    mirror = as_role(shop, role)
    shop.execute(f"alter role {role} noreplication")
    agree(mirror, 2, "replication", role, f"ALTER ROLE \"{role}\" REPLICATION")
    shop.execute(f"alter role {role} replication; revoke create on database {shop.name} from {role}")
    agree(mirror, 2, "publication", f"GRANT CREATE ON DATABASE \"{shop.name}\" TO \"{role}\"")
    shop.execute(f"grant create on database {shop.name} to {role}; alter role {role} set default_transaction_read_only = on")
    agree(mirror, 2, "default_transaction_read_only", f"ALTER ROLE \"{role}\"")
    shop.execute(f"alter role {role} reset default_transaction_read_only")
    agree(mirror, 0)
    shop.check(mirror)


def test_privileges_on_columns_and_partitions(shop, role):
    """A column that may not be read leaves its table out, unless it is left out itself; the root of partitions is enough."""
    shop.execute(f"""create table few (id int primary key, v int, secret int, hidden int); grant select (id, v) on few to {role};
        create table listed (id int primary key, v text, secret int); grant select (id, v) on listed to {role};
        insert into listed select i, repeat('x', 900), i from generate_series(1, 40000) i; insert into few values (1, 1, 1, 1);
        create table root (id int primary key, v int) partition by range (id); grant select on root to {role};
        create table leaf_1 partition of root for values from (0) to (10); create table leaf_2 partition of root for values from (10) to (20);
        grant select on leaf_1 to {role};
        create table apart (id int primary key, v int) partition by range (id); create table apart_1 partition of apart for values from (0) to (10);
        grant select on apart_1 to {role}; insert into apart values (1, 1);
        insert into root select i, i from generate_series(1, 15) i;
        create publication dm_{shop.name} for table t, few, listed, root, apart with (publish_via_partition_root);
        create publication dm_{shop.name}_inserts with (publish = 'insert, truncate', publish_via_partition_root)""")
    mirror = shop.mirror()
    mirror.write(shop.source("    tables: [{name: listed, columns: [id, v]}, t, few, root, apart]\n").replace("postgres@", f"{role}@"), "commit_interval: 200ms")
    told = agree(mirror, 0, "may not be read by the mirror's user: secret", refused=("few", "apart"))
    assert "GRANT SELECT" in told and "exclude_columns" in told
    assert len(mirror.lake.dataset("shop", "listed").rows) == 40000
    assert sorted(mirror.lake.dataset("shop", "root").rows) == [(i, i) for i in range(1, 16)]
    shop.execute(f"grant select (hidden) on few to {role}; grant select on apart to {role}; insert into root values (16, 16); insert into apart values (2, 2)")
    agree(mirror, 0, ": secret", refused=("few",))
    shop.execute(f"grant select (secret) on few to {role}; create table leaf_3 partition of root for values from (20) to (30); insert into root values (20, 20)")
    agree(mirror, 0)
    assert mirror.lake.dataset("shop", "few").rows == [(1, 1, 1, 1)]
    assert sorted(mirror.lake.dataset("shop", "apart").rows) == [(1, 1), (2, 2)]
    assert sorted(mirror.lake.dataset("shop", "root").rows) == [(i, i) for i in (*range(1, 17), 20)]


def test_slot(shop):
    mirror = shop.mirror()
    mirror.catch_up()
    slot = f"dm_{shop.name}"
    thief = process.start(["pg_recvlogical", "-d", shop.server.dsn(shop.name), "--slot", slot, "--start", "-f", "/dev/null",
                           "-o", "proto_version=2", "-o", f"publication_names=dm_{shop.name}"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pid = process.poll(lambda: shop.execute("select active_pid from pg_replication_slots where slot_name = %s", slot)[0][0], 20, "the slot in use")
        thief.send_signal(signal.SIGSTOP)   # it acknowledges nothing
        agree(mirror, 4, str(pid))
    finally:
        process.stop(thief, signal.SIGKILL)
    process.poll(lambda: shop.execute("select not active from pg_replication_slots where slot_name = %s", slot)[0][0], 20, "the slot to be free")
    agree(mirror, 0)
    shop.execute("select pg_drop_replication_slot(%s)", slot)
    shop.execute("update t set v = 3 where id = 1; delete from t where id = 2")
    agree(mirror, 5, "resync --all", "replication slot")
    agree(mirror, 5, "replication slot")   # the first try made none
    assert mirror.with_config("resync", "--all").returncode == 0
    agree(mirror, 0)
    assert mirror.lake.dataset("shop", "t").rows == [(1, 3)]
    mirror.kill()
    # One that somebody read further: nothing that came in between is known here.
    shop.execute("set synchronous_commit = on")   # so that the log is written as far as the update
    shop.execute("update t set v = 4")
    shop.execute("select pg_replication_slot_advance(%s, pg_current_wal_lsn())", slot)
    told = agree(mirror, 5, "resync --all")
    assert "failover" in told, told
    # One of another kind.
    shop.execute("select pg_drop_replication_slot(%s)", slot)
    shop.execute("select pg_create_logical_replication_slot(%s, 'test_decoding')", slot)
    agree(mirror, 5, "test_decoding", "belongs to somebody else")


def test_slot_lost(own_postgres, database_on):
    """Also: datasets beyond any batch of requests are all copied anew by one resync --all."""
    d = database_on(own_postgres(max_slot_wal_keep_size="1MB", max_wal_size="32MB", min_wal_size="32MB"))
    d.execute(";".join(f"create table t{i} (id int primary key, v int); insert into t{i} values ({i}, 0)" for i in range(130)))
    mirror = d.mirror()
    mirror.catch_up()
    d.execute(";".join(f"update t{i} set v = 1" for i in range(130)) + "; create table noise (v text); alter table noise alter v set storage plain")

    def lost():
        d.execute("insert into noise select repeat(md5(i::text), 100) from generate_series(1, 3000) i; select pg_switch_wal()")
        d.execute("checkpoint")
        return d.execute("select wal_status = 'lost' from pg_replication_slots where slot_name = %s", f"dm_{d.name}")[0][0]
    process.poll(lost, 90, "the server to invalidate the slot")
    d.execute("drop table noise")
    agree(mirror, 5, "resync --all", "lost")
    assert mirror.with_config("resync", "--all").returncode == 0
    agree(mirror, 0)
    d.check(mirror)


def test_no_replication_slot_is_free(shop):
    made = 0
    total = int(shop.execute("show max_replication_slots")[0][0])
    try:
        while shop.execute("select count(*) from pg_replication_slots")[0][0] < total:
            shop.execute(f"select pg_create_physical_replication_slot('full_{shop.name}_{made}')")
            made += 1
        mirror = shop.mirror()
        agree(mirror, 2, "max_replication_slots")
        # One for the stream, none for the copy.
        made -= 1
        shop.execute(f"select pg_drop_replication_slot('full_{shop.name}_{made}')")
        agree(mirror, 2, "max_replication_slots")
        made -= 1
        shop.execute(f"select pg_drop_replication_slot('full_{shop.name}_{made}')")
        agree(mirror, 0)
        # With all copied, the stream's own is enough.
        shop.execute(f"select pg_create_physical_replication_slot('full_{shop.name}_{made}')")
        made += 1
        shop.execute("update t set v = 9")
        agree(mirror, 0)
        assert mirror.lake.dataset("shop", "t").column("v") == [9, 9]
    finally:
        for i in range(made):
            shop.execute(f"select pg_drop_replication_slot('full_{shop.name}_{i}')")


def test_settings_of_the_server(own_postgres, database_on):
    """wal_level, a standby, and one that goes away: one server after the other of one folder."""
    server = own_postgres(wal_level="replica")
    d = database_on(server)
    d.execute("create table t (id int primary key); insert into t values (1)")
    mirror = d.mirror()
    agree(mirror, 2, "wal_level")
    d.connection.close()
    server.settings["wal_level"] = "logical"
    server.restart()
    d.connection = server.connect(d.name)
    agree(mirror, 0)
    d.connection.close()
    server.stop()
    (server.data / "standby.signal").touch()
    server.start()
    agree(mirror, 2, "standby", "primary")
    fresh = d.mirror(folder="fresh")
    agree(fresh, 2, "standby", "primary")
    server.stop()
    agree(mirror, 4, "cannot connect")


def test_connection_strings(shop):
    password = "correct-horse"
    shop.server.connect("postgres").execute(f"do $$ begin create role with_password login superuser password '{password}'; "
                                            "exception when duplicate_object then null; end $$")
    mirror = shop.mirror()
    good = shop.server.url(shop.name)
    for url, code, *words in (
            (shop.server.url("nothere_" + shop.name), 2, "database", f"nothere_{shop.name}"),
            (shop.server.url(shop.name, user="nobody_at_all"), 2, "CREATE ROLE \"nobody_at_all\" LOGIN REPLICATION"),
            (shop.server.url(shop.name, user="with_password", tcp=True, password="wrong-battery"), 2, "password"),
            (shop.server.url(shop.name, tcp=True) + "?sslmode=require", 2, "sslmode"),
            (shop.server.url(shop.name, tcp=True, port=process.free_port()), 4, "cannot connect"),
            ("postgresql://h:x/db", 2, "url")):
        mirror.write(shop.source().replace(good, f"'{url}'"))
        told = agree(mirror, code, *words)
        assert "wrong-battery" not in told + mirror.log_tail(500)
        assert "pg_hba" not in told or "pg_hba" in str(words), told   # a hint about something else
    mirror.write(shop.source())
    agree(mirror, 0)


def test_configuration(shop, folder):
    mirror = shop.mirror()
    for text in ("", "lake: [", "lake: ./lake\nsources: {shop: {type: oracle, path: x}}", "lake: ./lake\nsources: {shop: {type: postgres}}"):
        mirror.config.write_text(text)
        agree(mirror, 2)


def test_http(shop):
    mirror = shop.mirror()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for address, code, *words in (("0.0.0.0:0", 2, "http_token"), ("127.0.0.1:http", 2, "port"), ("nowhere.invalid:80", 2, "nowhere.invalid"),
                                      (f"127.0.0.1:{taken.getsockname()[1]}", 4, "cannot listen"), ("203.0.113.7:80", 2, "http_token")):
            mirror.write(shop.source(), f'http: "{address}"')
            agree(mirror, code, *words)
        mirror.write(shop.source(), 'http: "203.0.113.7:8181"\nhttp_token: abc')   # no address of this machine
        agree(mirror, 2, "cannot listen")
    port = process.free_port()
    mirror.write(shop.source(), f'http: "127.0.0.1:{port}"')
    agree(mirror, 0)
    # A running mirror's own port is no fault; a second run would find the lake in use.
    mirror.start()
    Marker(shop.execute, mirror).reached()
    checks, verdict = foretold(mirror)
    assert verdict["result"] != "fail" and verdict["run"] == 5, checks
    assert str(mirror.child.pid) in str(checks)
    second = shop.mirror()
    second.write(shop.source(), f'http: "127.0.0.1:{port}"')
    second.start(*RUN)
    assert second.wait_end() == 5


def test_lake_that_cannot_be_written(shop, folder):
    mirror = shop.mirror()
    blocker = folder / "file"
    blocker.write_text("not a folder")
    text = mirror.config.read_text()
    mirror.config.write_text(text.replace(f"lake: {mirror.lake.folder}", f"lake: {blocker / 'lake'}"))
    agree(mirror, 2, str(blocker))
    if os.geteuid() != 0:   # root may write everywhere
        closed = folder / "closed"
        closed.mkdir(mode=0o500)
        mirror.config.write_text(text.replace(f"lake: {mirror.lake.folder}", f"lake: {closed / 'lake'}"))
        agree(mirror, 2, str(closed))


def test_other_sources(folder):
    """A folder and a SQLite file that are not there, or cannot be used."""
    from oracle.mirror import Mirror
    mirror = Mirror(folder / "m", "")
    mirror.write(f"  shop: {{type: sqlite, path: {folder}/nothere.db}}")
    agree(mirror, 2, "nothere.db")
    (folder / "text.db").write_text("this is no database at all " * 100)
    mirror.write(f"  shop: {{type: sqlite, path: {folder}/text.db}}")
    agree(mirror, 2, "text.db")
    import sqlite3
    with sqlite3.connect(folder / "shop.db") as db:
        db.execute("pragma journal_mode = wal")
        db.execute("create table t (id integer primary key)")
        db.execute("create table nokey (a int) ")
    mirror.write(f"  shop: {{type: sqlite, path: {folder}/shop.db}}")
    mirror.start(*RUN)
    code = mirror.wait_end()
    checks, verdict = foretold(mirror)
    assert code == verdict["run"] == 0, checks
    mirror.write(f"  drop: {{type: files, path: {folder}/nothere, dataset: sales.orders}}")
    mirror.start(*RUN)
    code = mirror.wait_end()
    checks, verdict = foretold(mirror)
    assert verdict["run"] == code, (code, checks, mirror.log_tail())
