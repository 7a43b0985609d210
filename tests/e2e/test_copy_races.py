"""What happens to a table between the snapshot of a copy and the moment when its turn comes. The program is halted right after the snapshot."""
import os
import signal

import pytest

from oracle import process
from oracle.compare import compare
from oracle.mirror import SLOW, Marker

CASES = {
    "rewritten by the same type": ["alter table t alter v type int using v * 2"],
    "rewritten by another type": ["alter table t alter v type bigint"],
    "rewritten by a default": ["alter table t add column w uuid not null default gen_random_uuid()"],
    "emptied": ["truncate t"],
    "emptied and filled": ["begin; truncate t; insert into t select i, i + 7 from generate_series(1, 50) i; commit"],
    "clustered": ["cluster t using t_pkey"],
    "vacuumed": ["vacuum full t"],
    "names changed places": ["alter table t rename to x; alter table other rename to t; alter table x rename to other"],
    "another in its place": ["alter table t rename to old; create table t (id int primary key, v int); insert into t values (1, 77)"],
    "partition rewritten": ["alter table p alter v type int using v * 2"],
    "partition emptied": ["truncate p1"],
    "partition leaves": ["insert into p values (1000, 1, 1); alter table p detach partition p1"],
    "partition comes": ["insert into lone values (5000, 9, 1); alter table p attach partition lone for values in (9)"],
}


def halted(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


@pytest.mark.parametrize("case", CASES)
def test_between_snapshot_and_copy(database, case):
    database.execute("create table t (id int primary key, v int); insert into t select i, i from generate_series(1, 1000) i")
    database.execute("create table other (id int primary key, v int); insert into other select i, -i from generate_series(1, 10) i")
    database.execute("create table p (id int, region int, v int, primary key (id, region)) partition by list (region)")
    database.execute("create table p1 partition of p for values in (1); create table p2 partition of p for values in (2)")
    database.execute("insert into p select i, 1 + i % 2, i from generate_series(1, 100) i")
    database.execute("create table lone (id int, region int, v int, primary key (id, region)); insert into lone values (1, 9, 1)")
    marker = Marker(database.execute, None)
    mirror = marker.mirror = database.mirror("    heartbeat_interval: 2s\n").start(env={"DM_STOP_AT": "copy-snapshot:1"})
    try:
        process.poll(lambda: halted(mirror.child.pid), 30 * SLOW, "the mirror to halt after its snapshot", context=mirror.log_tail)
        for statement in CASES[case]:
            database.execute(statement)
    finally:
        os.kill(mirror.child.pid, signal.SIGCONT)
    first = database.execute("select v from t limit 1")
    marker.reached()
    last = [None]

    def equal():
        with database.snapshot() as s:
            tables = s.tables()
        try:
            compare(tables, mirror.live())
            return True
        except AssertionError as e:
            last[0] = e
            return False
    if not case.startswith("partition "):   # who reads must not see it empty for as long as it takes until somebody looks
        assert "copied, 0 rows" not in mirror.log.read_text() or not first, mirror.log_tail()
    mirror.until(equal, lambda: f"the lake to equal the source: {last[0]}", 40, every=0.3)
    assert mirror.stop() == 0, mirror.log_tail()
