"""kill -9 at every numbered step of the commit and at random moments: nothing lost, nothing twice.

DM_KILLS (default 40) is the number of kills; the nightly form is 500. DM_SEED repeats a run.
"""
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest

from oracle import process
from oracle.mirror import Marker

KILLS = int(os.environ.get("DM_KILLS", "40"))
STEPS = ["after-data-files", "after-deletion-vectors", "after-metadata", "before-publish", "before-hint", "after-publish", "before-index-commit",
         "after-index-commit", "before-ack"]
# Visited only when small files are merged: the mirror gets a moment, and is killed all the same when it does not come there.
MAYBE = ["compact-before-publish", "compact-after-publish"]


class Work:
    """Writers whose every transaction touches several tables; counters, key changes, TOAST, deletes, large ones."""

    def __init__(self, database, seed):
        self.database = database
        self.seed = seed
        self.over = threading.Event()
        self.pause = threading.Event()
        self.resting = [threading.Event() for _ in range(2)]
        self.errors = []
        self.transactions = 0
        database.execute(
            "create table a (id int primary key, n bigint not null, body text); create table b (k text primary key, n bigint not null); "
            "create table log (id bigserial primary key, a int, b text, n bigint); create table churn (id int primary key, v text); "
            "alter table a alter body set storage external;"
            "insert into a select i, 0, repeat(md5(i::text), 80) from generate_series(1, 300) i; "
            "insert into b select 'k' || i, 0 from generate_series(1, 300) i")
        self.threads = [threading.Thread(target=self._loop, args=(i,), daemon=True) for i in range(2)]

    def _loop(self, number):
        r = random.Random(f"{self.seed} {number}")
        try:
            with self.database.server.connect(self.database.name) as c:
                while not self.over.is_set():
                    if self.pause.is_set():
                        self.resting[number].set()
                        self.over.wait(0.01)
                        continue
                    self.resting[number].clear()
                    self._transaction(c, r, number)
                    self.transactions += 1
        except Exception as e:
            self.errors.append(e)
        finally:
            self.resting[number].set()

    def _transaction(self, c, r, number):
        import psycopg
        try:
            with c.transaction():
                for _ in range(r.choice([1, 1, 2, 5])):
                    i, k, n = r.randrange(1, 301), f"k{r.randrange(1, 301)}", r.randrange(1, 100)
                    c.execute("update a set n = n + %s where id = %s", (n, i))
                    c.execute("update b set n = n - %s where k = %s", (n, k))
                    c.execute("insert into log (a, b, n) values (%s, %s, %s)", (i, k, n))
                what = r.random()
                low = 1000 * number
                if what < 0.2:
                    c.execute("insert into churn values (%s, md5(random()::text)) on conflict (id) do update set v = excluded.v",
                              (low + r.randrange(200),))
                elif what < 0.3:
                    c.execute("delete from churn where id = %s", (low + r.randrange(200),))
                elif what < 0.4:
                    c.execute("update churn set id = %s where id = %s", (low + 200 + r.randrange(400), low + r.randrange(200)))
                elif what < 0.45:
                    c.execute("update a set body = repeat(md5(random()::text), 90) where id = %s", (r.randrange(1, 301),))
                elif what < 0.47:
                    c.execute("insert into churn select %s + i, repeat('large', 20) from generate_series(1, 2000) i on conflict (id) do update "
                              "set v = excluded.v", (10000 + low * 10,))
                elif what < 0.49:
                    c.execute("delete from churn where id between %s and %s", (10000 + low * 10, 10000 + low * 10 + 5000))
        except (psycopg.errors.IntegrityError, psycopg.errors.DeadlockDetected):
            pass

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(30)

    def rest(self):
        self.pause.set()
        for e in self.resting:
            assert e.wait(30), "the writers did not come to rest"
        assert not self.errors, self.errors

    def go_on(self):
        for e in self.resting:
            e.clear()
        self.pause.clear()


def lake_agrees(mirror):
    """What must hold in the lake at any moment: counters equal to the log, whatever was killed."""
    pointers = mirror.lake.pointers()
    if not all(("shop", n) in pointers for n in ("a", "b", "log")):
        return
    rows = {n: mirror.lake.read(pointers["shop", n]) for n in ("a", "b", "log")}
    ids = rows["log"].column("id")
    assert len(ids) == len(set(ids)), f"the log has {len(ids) - len(set(ids))} rows twice"
    a, b = {}, {}
    for r in rows["log"].dicts():
        a[r["a"]] = a.get(r["a"], 0) + r["n"]
        b[r["b"]] = b.get(r["b"], 0) - r["n"]
    for name, key, sums in (("a", "id", a), ("b", "k", b)):
        d = rows[name].dicts()
        assert len({r[key] for r in d}) == len(d) == 300, f"{name} has {len(d)} rows"
        wrong = [(r[key], r["n"], sums.get(r[key], 0)) for r in d if r["n"] != sums.get(r[key], 0)]
        assert not wrong, f"{name}: {len(wrong)} counters differ from the log: {wrong[:5]}"


def hints_behind(mirror):
    """The datasets that readers of their folder see in another state than the catalog has."""
    behind = []
    for name, location in mirror.lake.pointers().items():
        metadata = Path(location.removeprefix("file://")).parent
        try:
            hinted = metadata / f"v{(metadata / 'version-hint.text').read_text()}.metadata.json"
            if hinted.read_bytes() != Path(location.removeprefix("file://")).read_bytes():
                behind.append(name)
        except FileNotFoundError:
            behind.append(name)
    return behind


@pytest.mark.parametrize("by", ["run", "doctor"])
def test_hints_left_behind_are_mended(database, by):
    """Killed between the catalog's commit and the hint for readers without it: the next start mends it, not the next commit of the table."""
    database.execute("create table t (id int primary key, v int); insert into t values (1, 0); create table other (id int primary key)")
    mirror = database.mirror(options="commit_interval: 50ms")
    mirror.catch_up()
    assert hints_behind(mirror) == []
    database.execute("update t set v = 1")
    mirror.start(env={"DM_CRASH_AT": "before-hint:1"})
    assert mirror.wait_end(30) == -9, mirror.log_tail()
    assert mirror.lake.dataset("shop", "t").column("v") == [1] and hints_behind(mirror) == [("shop", "t")]
    metadata = mirror.lake.folder / "shop/other/metadata"   # as a power cut may leave them: the number not written, or its file gone
    (metadata / "version-hint.text").write_text("")
    if by == "run":
        mirror.catch_up()
    else:
        p = mirror.with_config("doctor")
        assert p.returncode == 0 and "2 hints" in p.stdout and "mended" in p.stdout, p.stdout + p.stderr
        assert "hint" not in mirror.with_config("doctor").stdout
    assert hints_behind(mirror) == []


def test_kill(database, seed):
    r = random.Random(seed)
    mirror = database.mirror(options="commit_interval: 30ms\ncommit_bytes: 1MiB")
    with Work(database, seed) as work:
        mirror.start()
        marker = Marker(database.execute, mirror)
        visited = {s: 0 for s in STEPS}
        marker.reached(300)
        mirror.kill()
        kills = index_gone = moments = 0
        plan = []
        while kills < KILLS:
            if not plan:
                # Each round: every step once, and as many random moments, in random order.
                plan = STEPS + MAYBE + ["random"] * (len(STEPS) - len(MAYBE))
                r.shuffle(plan)
            step = plan.pop()
            if r.random() < 0.15:
                mirror.lake.remove_index()
                index_gone += 1
            if step == "random" or step in MAYBE:
                mirror.start(env={"DM_CRASH_AT": f"{step}:1"})
                try:
                    code = mirror.child.wait(r.choice([r.uniform(0, 0.1), r.uniform(0, 0.6), r.uniform(0, 2)]) if step == "random" else 3)
                    assert code == -9 and step in MAYBE, f"{step}: ended with {code}\n{mirror.log_tail()}"
                except subprocess.TimeoutExpired:
                    pass
                mirror.kill()
                moments += 1
            else:
                mirror.start(env={"DM_CRASH_AT": f"{step}:{r.choice([1, 1, 2, 3, 5])}"})
                code = mirror.wait_end(40)
                assert code == -9, f"{step}: ended with {code}\n{mirror.log_tail()}"
                visited[step] += 1
            kills += 1
            assert not work.errors, work.errors
            lake_agrees(mirror)
            if kills % 10 == 0:
                mirror.start()
                work.rest()
                marker.reached(300)  # hundreds of kills leave a backlog
                database.check(mirror)
                work.go_on()
                mirror.kill()
        work.rest()
    mirror.start()
    marker.reached(300)
    database.check(mirror)
    assert mirror.stop() == 0, mirror.log_tail()
    p = mirror.with_config("doctor")
    assert p.returncode == 0, p.stdout + p.stderr
    assert hints_behind(mirror) == []
    print(f"{kills} kills ({moments} at random moments, by step {visited}), index deleted {index_gone} times, "
          f"{work.transactions} transactions")
    assert KILLS < 2 * len(STEPS) or all(visited.values()), visited


@pytest.mark.parametrize("when", [0.2, 0.5, 1.0, 1.6])
def test_kill_during_the_first_copy(database, when):
    """A copy that dies is started anew; what it left is not in the way, and other tables' copies that were done are kept."""
    database.execute("create table small (id int primary key); insert into small values (1); "
                     "create table big (id int primary key, v text); insert into big select i, repeat(md5(i::text), 5) from generate_series(1, 150000) i")
    mirror = database.mirror()
    for _ in range(3):
        mirror.start()
        try:
            code = mirror.child.wait(when)
            raise AssertionError(f"ended with {code}\n{mirror.log_tail()}")
        except subprocess.TimeoutExpired:
            pass
        mirror.kill()
        database.execute("update big set v = 'changed meanwhile' where id % 1000 = 1; insert into small select max(id) + 1 from small")
        pointers = mirror.lake.pointers()
        if ("shop", "big") in pointers:
            n = len(mirror.lake.read(pointers["shop", "big"], columns=["id"]).rows)
            assert n in (0, 150000), f"{n} of 150000 rows are visible"
    mirror.start()
    Marker(database.execute, mirror).reached(90)
    database.check(mirror)
    slots = database.execute("select slot_name from pg_replication_slots where database = current_database()")
    assert slots == [(f"dm_{database.name}",)], f"slots are left behind: {slots}"


def test_kill_in_a_large_transaction(database):
    """Streamed, half of it received, killed, several times; then committed."""
    database.execute("create table big (id int primary key, v text); insert into big select i, 'old' from generate_series(1, 1000) i")
    mirror = database.mirror(options="commit_interval: 50ms\ncommit_bytes: 1MiB")
    mirror.start()
    marker = Marker(database.execute, mirror)
    marker.reached(300)
    c = database.server.connect(database.name)
    c.execute("begin; update big set v = 'new'")
    for i in range(4):
        c.execute(f"insert into big select i, repeat('n', 200) from generate_series({10000 * (i + 1)}, {10000 * (i + 2) - 1}) i")
        database.execute("update oracle_marker set n = n")
        before = time.monotonic()
        process.poll(lambda b=before: time.monotonic() - b > 0.3, 5, "0.3 s", every=0.05)
        mirror.kill()
        assert set(mirror.lake.dataset("shop", "big").column("v")) == {"old"}
        mirror.start()
    c.execute("commit")
    c.close()
    marker.reached(90)
    database.check(mirror)


def test_sweep_removes_what_crashes_left(database):
    """Files of commits that never happened are gone in the end, and files in use are not."""
    database.execute("create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, 100) i")
    mirror = database.mirror(options="commit_interval: 50ms")
    mirror.catch_up()
    for step in ("after-data-files", "before-publish"):
        database.execute("update t set v = v + 1")
        mirror.start(env={"DM_CRASH_AT": f"{step}:1"})
        assert mirror.wait_end(30) == -9, mirror.log_tail()
    for _ in range(3):
        database.execute("update t set v = v + 1")
        mirror.catch_up()
        database.check(mirror)
    assert mirror.with_config("doctor").returncode == 0
