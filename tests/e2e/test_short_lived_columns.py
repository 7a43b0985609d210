"""A column that is added, filled and dropped within one commit of the lake leaves its values in that commit's files. No later column may be read from them."""
import sqlite3

import pytest

from oracle.compare import compare
from oracle.mirror import Mirror
from oracle.sqlite import Snapshot


class InFile:
    """The same words for a SQLite file as for the fixture `database`."""

    def __init__(self, folder):
        self.path = folder / "shop.db"
        self.folder = folder
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("pragma journal_mode = wal")

    def execute(self, sql):
        self.db.executescript(sql)

    def mirror(self, options=""):
        return Mirror(self.folder / "m", f"  shop:\n    type: sqlite\n    path: {self.path}", options)

    def check(self, mirror):
        with Snapshot(self.path) as s:
            return compare(s.tables(), mirror.live())


@pytest.fixture(params=["postgres", "sqlite"])
def source(request, folder):
    if request.param == "postgres":
        yield request.getfixturevalue("database")
    else:
        source = InFile(folder)
        yield source
        source.db.close()


TABLES = ("other", "same")


def lives_for_one_commit(source, mirror, n):
    """Column gone<n> of both tables comes, is filled, and goes. Were both ends of its life in one commit?"""
    before = mirror.lake.pointers()
    for last in (2 * n - 1, 2 * n):
        for t in TABLES:
            source.execute(f"alter table {t} add column gone{n} integer; update {t} set gone{n} = 77 where id <= 2; insert into {t} values ({10 + last}, 'd', 77)"
                           if last % 2 else f"alter table {t} drop column gone{n}; insert into {t} values ({10 + last}, 'e')")
        mirror.until(lambda: all(mirror.log.read_text().count(f"shop.{t}: the columns changed") >= last for t in TABLES), "the columns to be seen", every=0.02)
    return mirror.lake.pointers() == before


def test_a_column_that_lives_for_one_commit(source):
    """What comes later is of another type (unreadable, if it were the same column to the lake), or of the same one (values of the column that is gone)."""
    for t in TABLES:
        source.execute(f"create table {t} (id integer primary key, a text); insert into {t} values (1, 'a'), (2, 'b'), (3, 'c')")
    mirror = source.mirror(options="commit_interval: 1h")
    mirror.catch_up()
    mirror.start()
    n = 1   # an idle position is published now and then, with all that waits: tried until none came between
    while not lives_for_one_commit(source, mirror, n):
        n += 1
        assert n < 20
    assert mirror.stop() == 0
    source.check(mirror)
    source.execute("alter table other add column late text; insert into other values (100, 'f', 'late'); "
                   "alter table same add column late integer; insert into same values (100, 'f', 6)")
    mirror.catch_up()
    source.check(mirror)
    assert sorted(v for v in mirror.lake.dataset("shop", "same").column("late") if v is not None) == [6]
