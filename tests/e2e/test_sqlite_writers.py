"""Writers of a SQLite source that wait for no lock: what the mirror does beside them must not make them fail (WAL mode), or hardly ever and
with a word said beforehand (the rollback-journal modes, in which whoever reads keeps others from committing)."""
import sqlite3
import time

import pytest

from oracle.compare import compare
from oracle.mirror import Mirror
from oracle.sqlite import Snapshot


class Writer:
    def __init__(self, folder, journal):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "shop.db"
        self.db = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        self.db.execute(f"pragma journal_mode = {journal}")
        for k in range(8):
            self.db.execute(f"create table t{k} (id integer primary key, v text)")
        self.mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {self.path}\n", "commit_interval: 50ms")
        self.mirrors = [self.mirror]

    def write(self, n, offset=0):
        """n transactions; how many failed, and how long one took that did not."""
        failed, times = 0, []
        for i in range(offset, offset + n):
            began = time.monotonic()
            try:
                self.db.execute("insert into t%d values (?, ?)" % (i % 8), (i, "x" * 50))
                times.append(time.monotonic() - began)
            except sqlite3.OperationalError as e:
                assert "locked" in str(e)
                failed += 1
            time.sleep(0.003)
        return failed, sorted(times)[len(times) // 2]

    def follow(self):
        self.mirror.start()
        self.mirror.until(lambda: [d["state"] for d in self.mirror.status()["datasets"]] == ["streaming"] * 8, "the copies")

    def check(self):
        self.db.execute("pragma busy_timeout = 10000")
        self.mirror.catch_up()
        with Snapshot(self.path) as s:
            compare(s.tables(), self.mirror.live())


@pytest.fixture
def writer(folder):
    made = []

    def make(journal):
        made.append(Writer(folder / journal, journal))
        return made[-1]
    yield make
    for w in made:
        w.mirror.kill()
        w.db.close()


def test_writers_without_a_busy_timeout_in_wal_mode(writer):
    """Reads hold no lock that a writer meets, and the mirror itself writes neither while it follows nor when it ends, but for a log of thousands
    of entries: no write fails."""
    w = writer("wal")
    w.follow()
    failed, _ = w.write(600)
    assert failed == 0
    assert w.mirror.stop() == 0
    w.check()


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist"])
def test_writers_without_a_busy_timeout_in_rollback_modes(writer, journal):
    """A commit that meets a read fails; reads are few and short. `doctor` and `init` say it beforehand, with the way out."""
    w = writer(journal)
    for command in (["doctor", "-c", str(w.mirror.config)], ["init", "--source", str(w.path), "-o", str(w.path) + ".yaml"]):
        said = w.mirror.command(*command).stdout
        assert "not in WAL mode" in said and "PRAGMA journal_mode = WAL" in said and "busy timeout" in said, said
    w.follow()
    failed, _ = w.write(200)
    print(f"{journal}: {failed} of 200 failed")
    assert failed <= 15     # none or one on a quiet machine; 20 to 40 when every commit was followed by a read
    assert w.mirror.stop() == 0
    w.check()
