"""What can happen to the file of a SQLite source: lost transactions, backups, copies, other databases in its place. After each the mirror goes on
exactly, copies again, or stops and says so; never silently wrong (the table in docs/sqlite.md)."""
import json
import os
import shutil
import sqlite3

import pytest

from oracle.compare import compare
from oracle.mirror import Mirror
from oracle.power import Recording
from oracle.sqlite import Snapshot

CONFLICT = 5


class Shop:
    """A file with its mirror. `lost` puts it back as it was when `keep` was called."""

    def __init__(self, folder, journal="wal"):
        folder.mkdir(parents=True)
        self.folder = folder
        self.path = folder / "shop.db"
        self.db = None
        self.connect()
        self.execute(f"pragma journal_mode = {journal}", "create table t (id integer primary key, v text)",
                     "create table u (k text primary key, n int)", "insert into u values ('a', 1)")
        self.insert(1, 2, 3)
        self.mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {self.path}\n", "commit_interval: 50ms")
        self.mirrors = [self.mirror]

    def connect(self):
        self.db = sqlite3.connect(self.path, isolation_level=None, timeout=60)
        self.db.execute("pragma synchronous = normal")

    def close(self):
        self.db.close()

    def execute(self, *statements):
        for s in statements:
            self.db.execute(s).fetchall()

    def insert(self, *ids, value="first"):
        self.db.executemany("insert into t values (?, ?)", [(i, value) for i in ids])

    def follow(self):
        self.mirror.start()
        self.seen(3)
        return self

    def seen(self, rows):
        self.mirror.until_dataset("t", lambda r: len(r.rows) == rows, f"{rows} rows")

    def keep(self, name="kept.db"):
        """The file as it is, with all that was committed."""
        target = self.folder / name
        target.unlink(missing_ok=True)
        self.db.execute("vacuum into ?", (str(target),))
        return target

    def put(self, other):
        """Another file in its place; nobody has it open."""
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            (self.folder / f"shop.db{suffix}").unlink(missing_ok=True)
        shutil.copy(other, self.path)
        self.connect()

    def source(self):
        with Snapshot(self.path) as s:
            return s.tables()

    def goes_on(self, env=None):
        """Equal, and by following: nothing was copied."""
        self.mirror.catch_up(env=env)
        compare(self.source(), self.mirror.live())

    def foretold(self, env=None):
        """What doctor says that `run` would end with, and all its words."""
        p = self.mirror.with_config("doctor", "--json", env=env)
        return json.loads(p.stdout.splitlines()[-1])["run"], p.stdout

    def copies(self, env=None):
        """Equal, because all was copied again, which is said; doctor knew it."""
        code, told = self.foretold(env)
        assert code == 0 and "all tables are copied again" in told, told
        self.mirror.catch_up(env=env)
        compare(self.source(), self.mirror.live())
        assert "all tables are copied again" in self.last_run()

    def stops(self, words):
        """With the reason and the way out, which works; the lake is as it was."""
        before = self.mirror.lake.pointers()
        code, told = self.foretold()
        assert code == CONFLICT and words in told and "datamirror resync --all" in told, told
        self.mirror.start("--until-caught-up")
        assert self.mirror.wait_end() == CONFLICT, self.mirror.log_tail()
        said = self.last_run()
        assert words in said and "datamirror resync --all" in said, said
        assert self.mirror.lake.pointers() == before
        self.resync()

    def resync(self):
        p = self.mirror.with_config("resync", "--all")
        assert p.returncode == 0, p.stderr
        self.mirror.catch_up()
        compare(self.source(), self.mirror.live())

    def last_run(self):
        return self.mirror.log.read_text().rsplit("--- run", 1)[1]


GONE_BACK = "has gone back"


@pytest.fixture
def shop(folder):
    made = []

    def make(journal="wal"):
        made.append(Shop(folder / f"shop{len(made)}", journal))
        return made[-1]
    yield make
    for s in made:
        s.mirror.kill()
        s.close()


def rebooted(shop):
    """The environment of a program on a machine that was started anew."""
    return Recording(shop.folder / "record", shop.folder / "nothing").after_reboot()


def test_lost_tail_that_was_written_over(shop):
    """WAL and synchronous = normal: what the mirror read was not durable, and the numbers of its log entries are given out again."""
    s = shop().follow()
    kept = s.keep()
    s.insert(*range(100, 110), value="lost")
    s.execute("update t set v = 'lost' where id = 1")
    s.seen(13)
    s.mirror.until_dataset("t", lambda r: "lost" in dict(zip(r.column("id"), r.column("v")))[1], "the update")
    s.mirror.kill()
    s.put(kept)
    s.insert(*range(100, 120), value="new")     # more entries than were lost, for the same keys
    s.execute("update t set v = 'new' where id = 2")
    s.stops(GONE_BACK)


@pytest.mark.parametrize("after", [0, 1, 11, 30])
def test_lost_tail(shop, after):
    """Fewer, as many, and more changes than were lost. When the machine was started anew it was a power cut, and the mirror helps itself."""
    s = shop().follow()
    kept = s.keep()
    s.insert(*range(100, 111), value="lost")
    s.seen(14)
    assert s.mirror.stop() == 0
    s.put(kept)
    s.insert(*range(100, 100 + after), value="new")
    if after == 1:   # without one somebody did it
        s.stops(GONE_BACK)
    else:
        s.copies(rebooted(s))
    s.insert(*range(200, 203))
    s.goes_on()


def test_end_of_the_process_while_all_is_copied_again(shop):
    """The capture is taken out and made anew on the way: a kill in between finds neither the old log nor the new one."""
    s = shop().follow()
    kept = s.keep()
    s.insert(4, 5, value="lost")
    s.seen(5)
    s.mirror.kill()
    s.put(kept)
    s.insert(4, 5, 6, value="new")
    env = rebooted(s)
    s.mirror.start(env={**env, "DM_CRASH_AT": "after-publish:1"})
    assert s.mirror.wait_end() == -9, s.mirror.log_tail()
    s.mirror.catch_up(env=env)
    compare(s.source(), s.mirror.live())


def test_what_the_mirror_had_not_read_may_be_lost(shop):
    """Only the part of the log that was read counts: the file may lose what came after it, and go on."""
    s = shop().follow()
    s.insert(4)
    s.seen(4)
    assert s.mirror.stop() == 0
    kept = s.keep()
    s.insert(*range(10, 20), value="lost")
    s.put(kept)
    s.goes_on()
    s.insert(*range(10, 15), value="new")
    s.goes_on()


def test_backups_and_other_databases_in_its_place(shop):
    """Each in turn, found at the start. The right file put back goes on as if nothing had been."""
    s = shop()
    before_us = s.keep("before_us.db")
    s.follow()
    older = s.keep("older.db")
    s.insert(4)
    s.seen(4)
    assert s.mirror.stop() == 0
    right = s.keep("right.db")
    other = shop()
    other.follow()
    other.insert(*range(10, 60))     # of this one the log is longer
    other.seen(53)
    assert other.mirror.stop() == 0
    foreign = other.keep("foreign.db")
    for put, words in ((before_us, "has no change capture"), (older, GONE_BACK), (foreign, "is not the one that the mirror read")):
        s.put(put)
        tables = s.db.execute("select count(*) from sqlite_schema").fetchone()
        log = s.mirror.lake.pointers()
        s.mirror.start("--until-caught-up")
        assert s.mirror.wait_end() == CONFLICT, s.mirror.log_tail()
        assert words in s.last_run() and "datamirror resync --all" in s.last_run(), s.last_run()
        assert s.mirror.lake.pointers() == log
        assert s.db.execute("select count(*) from sqlite_schema").fetchone() == tables, "the wrong file was written to"
    s.put(right)
    s.insert(5)
    s.goes_on()
    assert "copied" not in s.last_run()
    s.put(before_us)
    s.execute("insert into u values ('b', 2)")
    s.stops("has no change capture")


@pytest.mark.parametrize("what", ["older", "other"])
def test_file_replaced_under_a_running_mirror(shop, what):
    """By rename, so that the mirror's connections still see the old one."""
    s = shop().follow()
    kept = s.keep()
    if what == "other":
        kept = shop().keep()
    s.insert(4, 5)
    s.seen(5)
    s.close()
    for suffix in ("-wal", "-shm"):
        (s.folder / f"shop.db{suffix}").unlink(missing_ok=True)
    os.rename(kept, s.path)
    s.connect()
    s.insert(*range(20, 30))
    assert s.mirror.wait_end(60) == CONFLICT, s.mirror.log_tail()
    s.stops(GONE_BACK if what == "older" else "has no change capture")


@pytest.mark.parametrize("running", [True, False])
def test_restored_through_sqlite_into_the_same_file(shop, running):
    """The backup API writes the older state as one transaction; the file stays the file."""
    s = shop().follow()
    kept = s.keep()
    s.insert(4, 5)
    s.seen(5)
    if not running:
        assert s.mirror.stop() == 0
    backup = sqlite3.connect(kept)
    backup.backup(s.db)
    backup.close()
    s.insert(*range(20, 30))
    if running:
        assert s.mirror.wait_end(60) == CONFLICT, s.mirror.log_tail()
    s.stops(GONE_BACK)


def test_vacuum_and_dump_are_no_change(shop):
    """All of the log goes along, so the mirror does too: VACUUM beside it and while it is stopped, and a file made anew from its dump."""
    s = shop().follow()
    s.execute("delete from t where id = 2", "vacuum")
    s.insert(4, 5, 6)
    s.seen(5)
    assert s.mirror.stop() == 0
    s.insert(7)
    s.execute("vacuum")
    s.goes_on()
    s.insert(8)
    dumped = s.folder / "dumped.db"
    new = sqlite3.connect(dumped, isolation_level=None)
    new.executescript("\n".join(s.db.iterdump()))
    new.close()
    s.put(dumped)
    s.execute("update t set v = 'after the dump' where id = 1")
    s.goes_on()
    assert "copied" not in s.last_run()


def test_wal_file_deleted(shop):
    """Harmless when all of it was in the file already; otherwise a lost tail."""
    s = shop().follow()
    s.insert(4)
    s.seen(4)
    s.mirror.kill()
    s.execute("pragma wal_checkpoint(truncate)")
    whole = s.folder / "whole.db"
    shutil.copy(s.path, whole)
    s.put(whole)
    s.goes_on()
    s.mirror.start()
    s.insert(5, 6)
    s.seen(6)
    s.mirror.kill()
    alone = s.folder / "alone.db"
    shutil.copy(s.path, alone)           # in use, and without its -wal: how files are copied by mistake
    s.put(alone)
    s.stops(GONE_BACK)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("what", ["emptied", "part", "dropped", "triggers"])
def test_hands_in_the_capture(shop, running, what):
    s = shop().follow()
    s.insert(4)
    s.seen(4)
    if not running:
        assert s.mirror.stop() == 0
    if what == "triggers":
        s.execute("begin", *[f"drop trigger {n}" for n, in s.db.execute("select name from sqlite_schema where type = 'trigger' and tbl_name = 't'")],
                  "insert into t values (5, 'unseen')", "update t set v = 'unseen' where id = 1", "commit")
        if running:
            s.seen(5)
            assert s.mirror.stop() == 0
        s.goes_on()
        return
    capture = [n for n, in s.db.execute("select name from sqlite_schema where name glob '_datamirror_*' and type = 'table'")]
    s.execute("begin", *{"emptied": ["insert into t values (5, 'x')", "delete from _datamirror_log", "insert into t values (6, 'y')"],
                         "part": ["insert into t values (5, 'x'), (6, 'y')", "delete from _datamirror_log where seq < (select max(seq) from _datamirror_log)"],
                         "dropped": ["insert into t values (5, 'x')", *[f"drop trigger {n}" for n, in s.db.execute(
                             "select name from sqlite_schema where type = 'trigger'")], *[f"drop table {n}" for n in capture],
                             "insert into t values (6, 'y')"]}[what], "commit")
    if running:
        assert s.mirror.wait_end(60) == CONFLICT, s.mirror.log_tail()
    s.stops({"emptied": GONE_BACK, "part": "no longer in the file", "dropped": "has no change capture"}[what])


def test_lake_put_back_from_an_older_copy(shop):
    """The log still has what the lake lacks, until that was acknowledged and cleaned away."""
    s = shop().follow()
    assert s.mirror.stop() == 0
    lake, kept = s.mirror.lake.folder, s.folder / "lake.kept"
    shutil.copytree(lake, kept)
    first, = s.db.execute("select min(seq) from _datamirror_log").fetchone()
    s.insert(4, 5)
    s.mirror.start()
    s.seen(5)
    s.insert(6)
    s.seen(6)
    s.mirror.until(lambda: s.db.execute("select min(seq) from _datamirror_log").fetchone()[0] > first, "the log to be cleaned", 120)
    assert s.mirror.stop() == 0
    shutil.rmtree(lake)
    shutil.copytree(kept, lake)
    s.stops("no longer in the file")


def test_log_of_an_older_version(shop):
    """Without stamps: they are added, the mirror goes on, and from then on a lost tail is seen."""
    s = shop().follow()
    assert s.mirror.stop() == 0
    triggers = s.db.execute("select name, sql from sqlite_schema where type = 'trigger'").fetchall()
    s.execute("begin", *[f"drop trigger {n}" for n, _ in triggers], "alter table _datamirror_log drop column stamp", "drop table _datamirror_capture",
              *[sql.replace(", stamp", "").replace(", random()", "") for _, sql in triggers], "commit")
    lake = sqlite3.connect(s.mirror.lake.folder / "catalog.db")
    with lake:
        lake.execute("update dm_source set log_id = 0, log_stamp = 0, boot = ''")
    lake.close()
    s.insert(4)
    s.goes_on()
    assert "copied" not in s.last_run()
    kept = s.keep()
    s.insert(5, 6)
    s.goes_on()
    s.put(kept)
    s.insert(5, 6, 7, 8)
    s.stops(GONE_BACK)
