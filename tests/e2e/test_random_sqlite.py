"""The same oracle for a SQLite source: concurrent writers, REPLACE that removes other rows, key changes, ALTERs."""
import os
import random
import sqlite3
import threading

import pytest

from oracle.compare import compare
from oracle.mirror import Marker, Mirror
from oracle.pause import Gate, Writers
from oracle.sqlite import Snapshot

SECONDS = float(os.environ.get("DM_SECONDS", "20"))

SCHEMA = """
create table accounts (id integer primary key, name text not null, balance integer not null);
create table contacts (email text primary key, account integer references accounts(id) on delete cascade on update cascade, name varchar(40), phone text unique);
create table orders (region text, number integer, amount decimal(12,2), paid boolean, rate real, primary key (region, number)) without rowid;
create table lines (id integer primary key autoincrement, region text, number integer, quantity int check (quantity >= 0),
                    foreign key (region, number) references orders on delete set null on update cascade);
create table files (id integer primary key, data blob, size integer, checksum text, unique (size, checksum));
create table readings (sensor text collate nocase primary key, value double, note clob);
create table evolve (id integer primary key, base text);
create table ledger (id integer primary key, account integer, delta integer);
"""


class Base:
    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "shop.db"
        self.db = self.connect()
        self.db.execute("pragma journal_mode = wal")
        self.mirrors = []
        self.folder = folder

    def connect(self):
        db = sqlite3.connect(self.path, isolation_level=None, timeout=60, check_same_thread=False)
        db.execute("pragma foreign_keys = on")
        db.execute("pragma synchronous = normal")
        return db

    def execute(self, sql):
        """Several statements are one transaction."""
        if ";" in sql.rstrip().rstrip(";"):
            self.db.executescript(f"begin immediate; {sql}; commit;")
            return None
        return self.db.execute(sql).fetchall()

    def mirror(self, extra="", options="commit_interval: 100ms"):
        m = Mirror(self.folder / "m", f"  shop:\n    type: sqlite\n    path: {self.path}\n{extra}", options)
        self.mirrors.append(m)
        return m

    def check(self, mirror, **kwargs):
        with Snapshot(self.path) as s:
            return compare(s.tables(**kwargs), mirror.live())


@pytest.fixture
def base(folder):
    b = Base(folder / "db")
    yield b
    for m in b.mirrors:
        m.kill()
    b.db.close()


class Traffic:
    def __init__(self, base, seed):
        self.base = base
        self.seed = seed
        self.local = threading.local()
        self.columns = 0
        self.made = 0

    def _state(self):
        if not hasattr(self.local, "db"):
            self.local.db = self.base.connect()
            self.local.r = random.Random(f"{self.seed} {threading.current_thread().name}")
        return self.local.db, self.local.r

    def word(self, r):
        return "".join(r.choice("abcXYZäß漢😀 '\"\\,\n") for _ in range(r.randrange(12)))

    def one(self, db, r):
        what = r.randrange(16)
        i = r.randrange(1, 120)
        if what == 0:
            db.execute("insert or replace into contacts values (?, ?, ?, ?)", (f"c{i}@x", r.choice([None, r.randrange(1, 60)]), self.word(r), f"+{r.randrange(80)}"))
        elif what == 1:
            db.execute("insert or ignore into contacts values (?, null, ?, ?)", (f"c{i}@x", self.word(r), f"+{r.randrange(80)}"))
        elif what == 2:
            db.execute("update or replace contacts set phone = ? where email = ?", (f"+{r.randrange(80)}", f"c{i}@x"))
        elif what == 3:
            db.execute("update or ignore contacts set email = ? where email = ?", (f"c{r.randrange(200)}@x", f"c{i}@x"))
        elif what == 4:
            db.execute("delete from accounts where id = ?", (r.randrange(1, 200),))
        elif what == 5:
            db.execute("insert into accounts values (?, ?, 0) on conflict (id) do update set name = excluded.name", (r.randrange(1, 200), self.word(r)))
        elif what == 6:
            db.execute("insert or replace into orders values (?, ?, ?, ?, ?)", (r.choice(["n", "s", "ö", ""]), i, r.randrange(10**6) / 100,
                                                                               r.choice([0, 1, None]), r.choice([0.1, -0.0, 1e300, 5e-324, float("inf"), None])))
        elif what == 7:
            db.execute("update or replace orders set number = number + ? where number = ?", (r.choice([1, 50]), i))
        elif what == 8:
            db.execute("insert into lines (region, number, quantity) select region, number, ? from orders order by random() limit 3", (r.randrange(9),))
        elif what == 9:
            db.execute("delete from orders where number = ?", (i,))
        elif what == 10:
            db.execute("insert or replace into files values (?, ?, ?, ?)", (i, r.randbytes(r.randrange(3000)), r.randrange(6), f"{r.randrange(9)}"))
        elif what == 11:
            db.execute("update files set data = ? where id = ?", (r.choice([b"", b"\0", None, r.randbytes(20)]), i))
        elif what == 12:
            db.execute("replace into readings values (?, ?, ?)", (r.choice(["Alpha", "ALPHA", "beta", f"s{i}", f"S{i}"]), r.uniform(-1e9, 1e9), self.word(r)))
        elif what == 13:
            db.execute("delete from lines where id % 7 = ?", (r.randrange(7),))
        elif what == 14:
            db.execute("update lines set id = id + 100000 where id = (select min(id) from lines)")
        else:
            a, d = r.randrange(200, 260), r.randrange(-50, 50)
            db.execute("update accounts set balance = balance + ? where id = ?", (d, a))
            db.execute("insert into ledger (account, delta) values (?, ?)", (a, d))

    def mixed(self):
        db, r = self._state()
        db.execute("begin immediate")
        done = "commit"
        try:
            for _ in range(r.choice([1, 2, 4])):
                how = r.random()
                try:
                    if how < 0.2:
                        db.execute("savepoint s")
                        self.one(db, r)
                        db.execute("rollback to s" if r.random() < 0.5 else "release s")
                    else:
                        self.one(db, r)
                except sqlite3.IntegrityError:
                    done = "refused"
            if r.random() < 0.1:
                done = "rollback"
            db.execute("rollback" if done == "rollback" else "commit")
        except Exception:
            if db.in_transaction:
                db.execute("rollback")
            raise
        threading.Event().wait(0.002)   # WAL writers starve each other otherwise
        return done

    def large(self):
        db, r = self._state()
        db.execute("begin immediate")
        low = r.randrange(10**6)
        db.execute("insert or replace into ledger (id, account, delta) with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) "
                   "select ? + i, -1, i from n", (10**6 + low,))
        db.execute("delete from ledger where account = -1 and id % 3 = ?", (r.randrange(3),))
        done = r.choice(["commit", "commit", "rollback"])
        db.execute(done)
        threading.Event().wait(0.3)
        return done

    def ddl(self):
        db, r = self._state()
        db.execute("begin immediate")
        columns = [x[1] for x in db.execute("pragma table_info(evolve)").fetchall()][2:]
        what = r.random()
        done = "rows"
        if what < 0.25 and len(columns) < 8:
            self.columns += 1
            done = "add column"
            db.execute(f"alter table evolve add column c{self.columns} {r.choice(['text', 'integer', 'real', 'integer default 7', 'text not null default $x$'.replace('$', chr(39))])}")
        elif what < 0.35 and columns:
            self.columns += 1
            done = "rename column"
            db.execute(f'alter table evolve rename column "{r.choice(columns)}" to "R {self.columns}"')
        elif what < 0.45 and columns:
            done = "drop column"
            db.execute(f'alter table evolve drop column "{r.choice(columns)}"')
        elif what < 0.55:
            self.made += 1
            done = "create table"
            db.execute(f'create table "made {self.made}" (id integer primary key, v text)')
            db.execute(f'insert into "made {self.made}" values (1, ?)', (self.word(r),))
        elif what < 0.6 and self.made:
            done = "drop table"
            db.execute(f'drop table if exists "made {r.randrange(1, self.made + 1)}"')
        columns = [x for x in db.execute("pragma table_info(evolve)").fetchall()][2:]
        db.execute("insert or replace into evolve (id, base) values (?, ?)", (r.randrange(300), self.word(r)))
        if columns:
            c = r.choice(columns)
            value = {"INTEGER": 5, "REAL": 2.5}.get(c[2].upper(), self.word(r))
            db.execute(f'update evolve set "{c[1]}" = ? where id % 5 = ?', (value, r.randrange(5)))
        db.execute("commit")
        threading.Event().wait(0.1)
        return done


@pytest.mark.smoke
def test_random_sqlite(base, seed):
    r = random.Random(seed)
    base.db.executescript(SCHEMA)
    base.db.executemany("insert into accounts values (?, ?, 0)", [(i, f"name {i}") for i in range(1, 260)])
    base.db.executemany("insert into evolve values (?, ?)", [(i, f"base {i}") for i in range(200)])
    mirror = base.mirror()
    marker = Marker(base.execute, mirror)
    work = Traffic(base, seed)
    gate = Gate()
    writers = Writers(gate)
    for name, step in [("one", work.mixed), ("two", work.mixed), ("large", work.large), ("ddl", work.ddl)]:
        writers.add(name, step)
    import time
    pins = compared = restarts = 0
    with writers:
        mirror.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            writers.check()
            if r.random() < 0.25:
                if r.random() < 0.5:
                    assert mirror.stop() == 0, mirror.log_tail()
                else:
                    mirror.kill()
                restarts += 1
                if r.random() < 0.3:
                    mirror.lake.remove_index()
                mirror.start()
            with gate.closed():
                marker.reached(90)
                with Snapshot(base.path) as s:
                    mirror.settled(s.tables())
                pointers = marker.reached(90)
                with Snapshot(base.path) as s:
                    tables = s.tables()
                dropped = mirror.dropped()
            compared += compare(tables, {k: mirror.lake.read(v) for k, v in pointers.items() if k not in dropped})
            pins += 1
        gate.over = True
    writers.check()
    marker.reached()
    with Snapshot(base.path) as s:
        mirror.settled(s.tables())
    marker.reached()
    base.check(mirror)
    assert mirror.stop() == 0, mirror.log_tail()
    print(f"{pins} pinned moments, {compared} rows compared, {restarts} restarts; {dict(sorted(writers.counts.items()))}")
    assert pins >= 2


def test_copy_and_stream_agree(base):
    """Every declared type with edge values, by copy and by stream."""
    rows = [(1, 0, "", 0.0, b"", 0, 0, 1), (2, -2**63, "ä\n漢😀", -0.0, b"\0\xff", 1, 12.34, "text"), (3, 2**63 - 1, "'\"", 1.7976931348623157e308, b"x" * 9000, None, -99999999.99, 7),
            (4, None, None, None, None, None, None, None), (5, 1, " ", 5e-324, None, 0, 0.1, 5)]
    for table in ("copied", "streamed"):
        base.execute(f"create table {table} (id integer primary key, i int8, t text, r real, b blob, o boolean, d decimal(10,2), n datetime)")
    base.db.executemany("insert into copied values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    mirror = base.mirror().start()
    marker = Marker(base.execute, mirror)
    marker.reached()
    base.db.executemany("insert into streamed values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    marker.reached()
    base.check(mirror)
    copied, streamed = ({r[0]: r for r in mirror.lake.dataset("shop", t).rows} for t in ("copied", "streamed"))
    assert copied == streamed and len(copied) == 5


def test_verify_beside_writers(base):
    """The stream reads states, not a log, so it must be made to stop exactly where the snapshot of verify stands."""
    base.execute("create table t (id integer primary key, v int); create table u (id integer primary key, v int)")
    base.db.executemany("insert into t values (?, 0)", [(i,) for i in range(2000)])
    mirror = base.mirror().start()
    marker = Marker(base.execute, mirror)
    marker.reached()
    over = threading.Event()
    written = [0]

    def write():
        db = base.connect()
        while not over.wait(0.001):
            written[0] += 1
            db.execute("begin immediate")
            db.execute("update t set v = v + 1 where id = ?", (written[0] * 7 % 2000,))
            db.execute("insert into u (v) values (?)", (written[0],))
            db.execute("commit")
        db.close()
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        for _ in range(5):
            before = written[0]
            p = mirror.with_config("verify")
            assert p.returncode == 0, p.stdout + p.stderr
            assert written[0] > before + 5, "the writer was held"
    finally:
        over.set()
        thread.join(30)
    marker.reached()
    base.check(mirror)


def test_values_that_do_not_fit_go_to_quarantine(base):
    for table in ("copied", "streamed"):
        base.execute(f"create table {table} (id integer primary key, i int, r real, b blob, o boolean)")

    def fill(table):
        base.db.execute(f"insert into {table} values (1, 'not a number', 1.5, null, 1), (2, 2, 2.5, null, 0), (3, 3.5, 1.0, null, 1), (4, 4, 'x', null, 1), "
                        "(5, 5, 5, 'text in a blob', 1), (6, 6, 6, null, 7), (7, 7, 7, x'00', null)")
    fill("copied")
    mirror = base.mirror().start()
    marker = Marker(base.execute, mirror)
    marker.reached()
    fill("streamed")
    marker.reached()
    for table in ("copied", "streamed"):
        assert sorted(mirror.lake.dataset("shop", table).column("id")) == [2, 7]
        assert mirror.dataset_status(f"shop.{table}")["quarantined"] == 5
    base.execute("update streamed set i = 1 where id = 1")
    base.execute("update copied set i = 'no' where id = 2")
    marker.reached()
    assert sorted(mirror.lake.dataset("shop", "streamed").column("id")) == [1, 2, 7]
    assert sorted(mirror.lake.dataset("shop", "copied").column("id")) == [7]


def test_replace_that_removes_other_rows(base):
    """REPLACE deletes rows that conflict on a secondary unique index, without firing delete triggers by default."""
    base.execute("create table t (id integer primary key, a text unique, b text, c text, unique (b, c)); "
                 "insert into t values (1, 'a', 'b', 'c'), (2, 'x', 'y', 'z'), (3, null, null, null), (4, null, 'b', null)")
    mirror = base.mirror().start()
    marker = Marker(base.execute, mirror)
    marker.reached()
    base.execute("insert or replace into t values (9, 'a', 'y', 'z')")    # removes 1 and 2
    base.execute("update or replace t set a = 'a' where id = 3")          # removes 9
    base.execute("replace into t values (4, 'q', null, null)")
    base.execute("insert into t values (5, 'u', 'v', 'w') on conflict do nothing; insert or ignore into t values (6, 'u', 'v', 'w')")
    marker.reached()
    base.check(mirror)


def test_writer_without_the_mirror_running(base):
    base.execute("create table t (id integer primary key, v text); insert into t values (1, 'a')")
    mirror = base.mirror()
    mirror.catch_up()
    base.execute("update t set v = 'b'; insert into t values (2, 'c')")
    base.execute("delete from t where id = 1")
    mirror.catch_up()
    base.check(mirror)


def test_changes_made_with_triggers_dropped_are_not_lost_silently(base):
    """Somebody drops and makes a table again: its triggers are gone; the mirror must notice."""
    base.execute("create table t (id integer primary key, v text); insert into t values (1, 'a'), (2, 'b')")
    mirror = base.mirror()
    mirror.catch_up()
    base.execute("drop table t; create table t (id integer primary key, v text); insert into t values (3, 'new')")
    mirror.catch_up()
    base.check(mirror)
    base.execute("alter table t rename to t_old; create table t (id integer primary key, v text, w int); "
                 "insert into t select id, v, 1 from t_old; drop table t_old; update t set w = 2")
    mirror.catch_up()
    base.check(mirror)


def test_file_that_is_missing_or_no_database(folder):
    m = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder}/nothere.db\n")
    m.start("--until-caught-up")
    assert m.wait_end(40) not in (0, -6, -11)
    assert "nothere.db" in m.log_tail()
    (folder / "text.db").write_text("this is not a database, but it is long enough to look at" * 100)
    m.write(f"  shop:\n    type: sqlite\n    path: {folder}/text.db\n")
    m.start("--until-caught-up")
    assert m.wait_end(40) not in (0, -6, -11)
    assert "text.db" in m.log_tail() and "not a database" in m.log_tail()


def test_verify(base):
    base.execute("create table t (id integer primary key, v text); insert into t values (1, 'a'), (2, 'b')")
    mirror = base.mirror()
    mirror.catch_up()
    assert mirror.with_config("verify").returncode == 0


def test_kill_at_every_step(base, seed):
    r = random.Random(seed)
    base.execute("create table t (id integer primary key, n int); create table log (id integer primary key, k int)")
    base.db.executemany("insert into t values (?, 0)", [(i,) for i in range(1, 101)])
    mirror = base.mirror(options="commit_interval: 20ms")
    mirror.catch_up()
    over = threading.Event()

    def write():
        db = base.connect()
        while not over.is_set():
            k = r.randrange(1, 101)
            db.execute("begin immediate")
            db.execute("update t set n = n + 1 where id = ?", (k,))
            db.execute("insert into log (k) values (?)", (k,))
            db.execute("commit")
            over.wait(0.003)
        db.close()
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        for step in ("after-data-files", "before-publish", "after-publish", "before-index-commit", "after-index-commit") * 2:
            mirror.start(env={"DM_CRASH_AT": f"{step}:{r.choice([1, 2, 4])}"})
            assert mirror.wait_end(30) == -9, f"{step}\n{mirror.log_tail()}"
            t, log = mirror.lake.dataset("shop", "t"), mirror.lake.dataset("shop", "log")
            assert len(t.rows) == len(set(t.column("id"))) == 100
    finally:
        over.set()
        thread.join(30)
    mirror.catch_up()
    base.check(mirror)
    pointers = mirror.lake.pointers()
    log = mirror.lake.read(pointers["shop", "log"])
    assert sum(mirror.lake.read(pointers["shop", "t"]).column("n")) == len(log.rows)
