"""Random work on a dozen related tables while the mirror runs, stops and starts; every value compared at pinned moments.

DM_SEED repeats a run; DM_SECONDS lengthens it. A pinned moment: all writers rest between two transactions, a
marker row goes through the mirror, the catalog's pointers are read and the source in one repeatable-read snapshot; then the
writers go on while the lake is read at those pointers and the two are compared. Between these moments the tables whose columns stay
are compared at positions where no writer of rows rests (oracle/pin.py).
"""
import os
import random
import time

import pytest

from oracle import traffic
from oracle.compare import compare
from oracle.mirror import Marker
from oracle.pause import Gate, Writers
from oracle.pin import compare_while_writing

SECONDS = float(os.environ.get("DM_SECONDS", "30"))
# Never altered.
STEADY = ["accounts_a", "accounts_b", "ledger", "orders", "order_lines", "contacts", "devices", "documents", "everything", "events", "by_index",
          "full_identity", "generated"]


@pytest.mark.smoke
def test_random_postgres(database, seed):
    r = random.Random(seed)
    traffic.create(database.execute)
    mirror = database.mirror()
    marker = Marker(database.execute, mirror)
    work = traffic.Traffic(lambda: database.server.connect(database.name), seed)
    gate, shape = Gate(), Gate()
    writers = Writers(gate)

    def shaping(step):
        def gated():
            with shape.transaction():
                return step()
        return gated
    for name, step in [("mixed 1", work.mixed), ("mixed 2", work.mixed), ("toast", work.toasted), ("large", work.large),
                       ("prepared", work.prepared), ("rare", shaping(work.rare)), ("ddl", shaping(work.ddl))]:
        writers.add(name, step)
    pins = compared = restarts = unheld = 0
    with writers:
        # The mirror starts in the middle of the work: copy and stream overlap.
        mirror.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            writers.check()
            what = r.random()
            if what < 0.2:
                assert mirror.stop() == 0, mirror.log_tail()
                restarts += 1
                if r.random() < 0.3:
                    mirror.lake.remove_index()
                mirror.start()
            if pins > 0 and r.random() < 0.6:
                # Rows go on; tables keep their shape, since a snapshot cannot be read any more once its table was truncated or altered.
                with shape.closed():
                    with database.snapshot() as s:
                        mirror.settled(s.tables())
                    unheld += compare_while_writing(database, mirror, STEADY)
            with gate.closed():
                marker.reached(timeout=90)
                with database.snapshot() as s:
                    mirror.settled(s.tables())
                pointers = marker.reached(timeout=90)
                dropped = mirror.dropped()
                # Read here: DDL is not bound to snapshots, so a later reading could fail on a column that went meanwhile.
                with database.snapshot() as s:
                    tables = s.tables()
            compared += compare(tables, {key: mirror.lake.read(location) for key, location in pointers.items()
                                         if key not in dropped})
            pins += 1
        gate.over = True
    writers.check()
    marker.reached()
    with database.snapshot() as s:
        mirror.settled(s.tables())
    marker.reached()
    database.check(mirror)
    assert mirror.stop() == 0, mirror.log_tail()
    # A run after the end, with the index gone, must not change anything.
    mirror.lake.remove_index()
    database.execute("update accounts_a set note = 'last'")
    mirror.catch_up()
    database.check(mirror)
    print(f"{pins} pinned moments, {compared} rows compared, {unheld} more while writing, {restarts} restarts; transactions: "
          f"{dict(sorted(writers.counts.items()))}")
    assert pins >= 2


def test_pinned_versions_stay_readable(database):
    """The pointers of a pinned moment can be read long after; the rows are those of that moment."""
    database.execute("create table t (id int primary key, v int)")
    database.execute("insert into t select i, 0 from generate_series(1, 100) i")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    first = marker.reached()
    for i in range(1, 6):
        database.execute("update t set v = %s", i)
        database.execute("delete from t where id = %s", i)
        marker.reached()
    assert sorted(mirror.lake.read(first["shop", "t"]).rows) == [(i, 0) for i in range(1, 101)]
    assert sorted(mirror.lake.dataset("shop", "t").rows) == [(i, 5) for i in range(6, 101)]
