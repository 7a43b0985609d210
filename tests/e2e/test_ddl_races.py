"""DDL that is over before the mirror reads of it: the catalog then no longer tells what the stream's rows were made with."""
import signal

import pytest

from oracle.compare import compare
from oracle.mirror import Marker

CASES = {
    "default, then rename": ["alter table t add column d int not null default 3", "insert into t (id) values (100)",
                             "alter table t rename column d to e", "update t set a = 'x' where id = 2"],
    "default, rename in one transaction": ["begin; alter table t add column d text default 'it is'; update t set a = 'q' where id = 1; "
                                           "alter table t rename column d to e; insert into t (id) values (101); commit"],
    "default, then another default": ["alter table t add column d int default 3", "insert into t (id) values (100)",
                                      "alter table t alter d set default 4", "insert into t (id) values (101)"],
    "default, then dropped": ["alter table t add column d int default 3", "update t set a = 'x' where id = 3", "alter table t drop column d",
                              "insert into t (id) values (101)"],
    "default without a change after it": ["alter table t add column d int default 3"],
    "default, no change, then rename and one change": ["alter table t add column d int default 3", "alter table t rename column d to e",
                                                       "update t set a = 'x' where id = 3"],
    "row inserted before, updated after": ["insert into t (id, a) values (200, 'before')", "alter table t add column d int default 3",
                                           "update t set a = 'after' where id = 200"],
    "row inserted before, not touched after": ["insert into t (id, a) values (200, 'before')", "alter table t add column d int default 3",
                                               "update t set a = 'after' where id = 1"],
    "dropped and added under its name": ["update t set a = 'x' where id = 1", "alter table t drop column a",
                                         "alter table t add column a int default 5", "update t set n = 1 where id = 2"],
    "dropped and added as it was": ["begin; alter table t drop column n, add column n int not null default 7; insert into t (id, n) values (100, 100); commit",
                                    "update t set a = 'x' where id = 3"],
    "names swapped": ["alter table t add column b text default 'b'", "update t set n = 1 where id = 1",
                      "alter table t rename a to x; alter table t rename b to a; alter table t rename x to b", "update t set n = 2 where id = 2"],
    "widened, then narrowed values": ["update t set n = 5 where id = 1", "alter table t alter n type bigint", "update t set n = 9000000000 where id = 2"],
    "table renamed without a change": ["alter table t rename to t2"],
    "table renamed, then changed": ["alter table t rename to t2", "update t2 set n = 4 where id = 1"],
    "table names swapped": ["create table u (id int primary key, w text); insert into u values (1, 'u')", "update t set n = 4 where id = 1",
                            "alter table t rename to x; alter table u rename to t; alter table x rename to u", "insert into t values (2, 'u too')",
                            "insert into u (id) values (300)"],
    "table dropped and made again": ["update t set n = 6", "drop table t", "create table t (id int primary key, other text); insert into t values (7, 'new')",
                                     "update t set other = 'newer'"],
    "key column renamed": ["alter table t rename id to ident", "update t set n = 3 where ident = 4", "delete from t where ident = 5"],
    "primary key changed": ["alter table t drop constraint t_pkey, add primary key (n)", "update t set a = 'k' where n = 3",
                            "insert into t (id, a, n) values (1, 'same id', 99)"],
    "volatile default": ["alter table t add column d text default md5(random()::text)"],
    "column made required": ["update t set a = 'x' where a is null", "alter table t alter a set not null", "insert into t values (77, 'y', 77)"],
    "known columns, then several renamed, dropped and widened": [
        "alter table t add column x int, add column d int default 3, add column s text default 'it is', add column w int",
        "update t set a = 'known' where id = 1", "-- caught up",
        "update t set n = 1 where id = 2", "alter table t alter w type bigint", "update t set n = 1 where id = 3",
        "alter table t rename d to e", "update t set n = 1 where id = 4", "alter table t drop column x", "update t set n = 1 where id = 5",
        "alter table t rename s to d", "update t set n = 1 where id = 6", "alter table t add column s bool default true",
        "update t set n = 1 where id = 7", "alter table t rename w to x", "update t set n = 1 where id = 8"],
    "known columns, then one dropped and its neighbour renamed": [
        "alter table t add column x int, add column d int default 3", "update t set a = 'known' where id = 1", "-- caught up",
        "update t set n = 1 where id = 2", "alter table t drop column x", "update t set n = 1 where id = 3", "alter table t rename d to e",
        "update t set n = 1 where id = 4"],
    "known columns, then renamed twice": [
        "alter table t add column d int default 3, add column f int default 4", "update t set a = 'known' where id = 1", "-- caught up",
        "update t set n = 1 where id = 2", "alter table t rename d to e; alter table t rename f to g", "update t set n = 1 where id = 3",
        "alter table t rename e to f; alter table t rename g to d", "update t set n = 1 where id = 4"],
    "known columns, then dropped": [
        "alter table t add column d int default 3, add column f int default 4", "update t set a = 'known' where id = 1", "-- caught up",
        "update t set n = 1 where id = 2", "alter table t drop column d", "alter table t rename f to g", "update t set n = 1 where id = 3"],
    # A rewrite takes the default of older rows (attmissingval) out of the server's catalog.
    "default, then the table is rewritten": ["alter table t add column d int default 3, add column b bool not null default true",
                                             "update t set a = 'x' where id = 1", "alter table t alter n type bigint", "update t set a = 'x' where id = 2"],
    "default, then that column is widened": ["alter table t add column d int default 3", "update t set a = 'x' where id = 1",
                                             "alter table t alter d type bigint", "update t set a = 'x' where id = 2"],
    "default, then vacuum full": ["alter table t add column d int default 3", "vacuum full t", "update t set a = 'x' where id = 2"],
    "type of the same kind with USING": ["update t set n = 5 where id = 1", "alter table t alter a type varchar(30) using upper(a)",
                                         "update t set n = 6 where id = 2"],
    "made and renamed twice": ["create table made (id int primary key, v text); insert into made values (1, 'x')", "alter table made rename to made2",
                               "alter table made2 rename to made3"],
    "many at once": ["begin; alter table t add column c1 int default 1; alter table t add column c2 text default 'two'; alter table t drop column a; "
                     "insert into t (id) values (50); alter table t rename c1 to a; update t set n = 8 where id = 4; commit",
                     "alter table t drop column c2", "update t set n = 9 where id = 5"],
}


@pytest.mark.parametrize("running", ["running", "stopped"])
@pytest.mark.parametrize("case", CASES)
def test_ddl(database, case, running):
    """The statements of each case in quick succession, while the mirror runs and while it is stopped."""
    database.execute("create table t (id int primary key, a text, n int not null default 0)")
    database.execute("insert into t select i, 'a' || i, i from generate_series(1, 20) i")
    mirror = database.mirror("    heartbeat_interval: 2s\n").start()   # what only a look at the catalog shows is waited for
    marker = Marker(database.execute, mirror)
    marker.reached()
    statements = list(CASES[case])
    if "-- caught up" in statements:
        for statement in statements[:statements.index("-- caught up")]:
            database.execute(statement)
        marker.reached()
        statements = statements[statements.index("-- caught up") + 1:]
    if running == "stopped":
        assert mirror.stop() == 0, mirror.log_tail()
    for statement in statements:
        database.execute(statement)
    if running == "stopped":
        mirror.start()
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
    # What the stream cannot tell is found by the mirror in its own time, and no later than this.
    mirror.until(equal, lambda: f"the lake to equal the source: {last[0]}", 40, every=0.3)
    database.execute("update oracle_marker set n = n")
    for table, in database.execute("select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"):
        database.execute(f"delete from {table} where ctid = (select max(ctid) from {table}) and '{table}' <> 'oracle_marker'")
    marker.reached()
    assert equal(), last[0]


STREAMED = ["add column d int", "add column d int default 3", "add column x int, add column d int default 3", "rename a to b", "drop column a",
            "rename a to b; alter table {t} rename n to a", "drop column a; alter table {t} add column a int default 4",
            "add x int; alter table {t} drop x; alter table {t} add y int default 2",
            "drop column n; alter table {t} add column n int default 9", "alter n type bigint", "drop column n; insert into {t} select generate_series(6000, 9000); alter table {t} add column n int default 9"]


def test_ddl_that_is_streamed(database):
    """The mirror reads of each change while its transaction is in progress, and the catalog shows nothing of it yet."""
    tables = [f"t{i}" for i in range(len(STREAMED))]
    for t in tables:
        database.execute(f"create table {t} (id int primary key, a text, n int); insert into {t} values (1, 'there', 1), (2, 'too', 2)")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    c = database.server.connect(database.name)
    for t, ddl in zip(tables, STREAMED):
        c.execute("begin")
        c.execute(f"alter table {t} {ddl}".format(t=t))
        c.execute(f"insert into {t} (id) select generate_series(100, 3000)")
        marker.reached()
        c.execute("commit")
        c.execute(f"insert into {t} (id) values (3)")
    c.close()
    marker.reached()
    same_again = tables[STREAMED.index("drop column n; alter table {t} add column n int default 9")]
    with database.snapshot() as s:
        mirror.settled(s.tables())
        compare(s.tables(skip=[same_again]), mirror.live(), also_extra=False)
    # Of this one the stream tells nothing: the mirror finds it out in its own time.
    mirror.until(lambda: all(r["n"] == 9 for r in mirror.lake.dataset("shop", same_again).dicts()), "the column to be the new one", 40, every=0.3)
    for t in tables:
        database.execute(f"update {t} set id = -id where id = 2")
    marker.reached()
    with database.snapshot() as s:
        mirror.settled(s.tables())
    database.check(mirror)


def test_a_copy_that_could_not_begin_yet_is_not_forgotten(database):
    """A table is to be copied again while another copy is under way, and the mirror is killed before its turn came. Its changes were left
    out meanwhile, so the next run must know."""
    database.execute("create table t (id int primary key, a text); insert into t values (1, 'a')")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    holder = database.server.connect(database.name)
    holder.execute("begin")
    holder.execute("select txid_current()")   # the next snapshot waits for the end of this transaction
    database.execute("create table later (id int primary key)")
    mirror.until(lambda: (mirror.dataset_status("shop.later") or {}).get("state") == "copying", "the other copy to begin")
    assert mirror.with_config("resync", "shop.t").returncode == 0
    mirror.until(lambda: mirror.dataset_status("shop.t")["state"] != "streaming", "the wish to be heard")
    database.execute("insert into t values (2, 'left to the copy')")
    database.execute("alter table t add column b int")
    database.execute("insert into t values (3, 'left to the copy too', 3)")
    marker.reached()   # the position is beyond these rows now
    mirror.kill()
    holder.execute("rollback")
    holder.close()
    mirror.start()
    marker.reached()
    with database.snapshot() as s:
        mirror.settled(s.tables())
    marker.reached()
    database.check(mirror)


@pytest.mark.parametrize("ddl", ["alter table late rename to later", "drop table late", "alter table late drop column a",
                                 "drop table late; create table late (id int primary key, other text); insert into late values (7, 'new')"])
def test_ddl_before_a_copy_reads_the_table(database, ddl):
    """The copy's snapshot knows the table by a name or a column that is not there any more when the table's turn comes. That is this table's matter: the other
    copies and the stream go on."""
    database.execute("create table early (id int primary key, a text); create table late (id int primary key, a text)")
    database.execute("insert into early select i, repeat('e', 200) || i from generate_series(1, 200000) i; insert into late values (1, 'l')")
    mirror = database.mirror("    copy_workers: 1").start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    assert mirror.with_config("resync", "shop.early", "shop.late").returncode == 0
    mirror.until(lambda: database.execute("select 1 from pg_stat_activity where datname = current_database() and query like 'COPY (SELECT%\"early\"%'"),
                 "the copy to read the first table", every=0.001)
    mirror.child.send_signal(signal.SIGSTOP)   # what it has read is in the socket at most; the second table's turn is yet to come
    database.execute(ddl)
    mirror.child.send_signal(signal.SIGCONT)
    marker.reached()
    with database.snapshot() as s:
        mirror.settled(s.tables())
    database.execute("update early set a = 'after' where id = 3")
    marker.reached()
    database.check(mirror)
    assert "trying again" not in mirror.log.read_text(), mirror.log_tail()


@pytest.mark.parametrize("ddl,undo", [("alter table late drop column a", "rollback"), ("alter table late rename to elsewhere", "rollback"),
                                      ("alter table late add column d int", "rollback to s; commit"),
                                      ("alter table late rename column a to b", "rollback to s; commit")])
def test_ddl_that_is_rolled_back_after_it_was_streamed(database, ddl, undo):
    """The server sends the changes of a large transaction, and the shape that only it sees, before it is committed. This one never is, or its part with
    the DDL is not; meanwhile the table is being copied. Nothing of that shape may come into the dataset when the copy is attached."""
    database.execute("create table early (id int primary key, a text); create table late (id int primary key, a text)")
    database.execute("insert into early select i, repeat('e', 200) || i from generate_series(1, 200000) i; insert into late values (1, 'l')")
    mirror = database.mirror("    copy_workers: 1").start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    columns = mirror.lake.dataset("shop", "late").columns
    assert mirror.with_config("resync", "shop.early", "shop.late").returncode == 0
    mirror.until(lambda: database.execute("select 1 from pg_stat_activity where datname = current_database() and query like 'COPY (SELECT%\"early\"%'"),
                 "the copy to read the first table", every=0.001)
    mirror.child.send_signal(signal.SIGSTOP)   # the second table's turn is yet to come
    database.execute("update oracle_marker set n = n")   # what follows is told behind the copy's snapshot
    c = database.server.connect(database.name)
    c.execute("begin; savepoint s")
    c.execute(ddl)
    c.execute(f"insert into {'elsewhere' if 'elsewhere' in ddl else 'late'} (id) select generate_series(100, 5000)")
    mirror.child.send_signal(signal.SIGCONT)
    marker.reached()   # the stream has passed those rows, of the transaction that is still open
    assert mirror.dataset_status("shop.late")["state"] == "copying"
    c.execute(undo)
    c.close()
    with database.snapshot() as s:
        mirror.settled(s.tables())
    assert mirror.lake.dataset("shop", "late").columns == columns
    database.check(mirror)
    database.execute("insert into late values (2, 'after')")
    marker.reached()
    database.check(mirror)


def test_a_table_made_meanwhile_changes_before_its_first_row(database):
    """Made while the mirror runs, and changed before the stream has told anything of it: seen by looking at the catalog all the same."""
    database.execute("create table t (id int primary key); insert into t values (1)")
    mirror = database.mirror("    heartbeat_interval: 1s\n", options="commit_interval: 50ms").start()
    Marker(database.execute, mirror).reached()
    database.execute("create table a (id int primary key, v text); insert into a select i, 'v' || i from generate_series(1, 50) i;"
                     "create table b (id int primary key); create table c (id int primary key, v text); insert into c values (1, 'one')")

    def streaming():
        states = {d["dataset"]: d["state"] for d in mirror.status()["datasets"]}
        return all(states.get(f"shop.{x}") == "streaming" for x in "abc")
    mirror.until(streaming, "the new tables to be copied")
    database.execute("alter table a rename to a2; alter table b add column w int default 7; drop table c")

    def followed():
        datasets = mirror.lake.pointers()
        return (("shop", "a2") in datasets and ("shop", "a") not in datasets and mirror.lake.dataset("shop", "b").columns == ["id", "w"]
                and ("shop", "c") in mirror.dropped())
    mirror.until(followed, lambda: f"the changes to be seen: {sorted(mirror.lake.pointers())}, dropped {mirror.dropped()}", timeout=30)
    with database.snapshot() as s:
        tables = s.tables()
        mirror.settled(tables)
        compare(tables, mirror.live())
    assert mirror.stop() == 0, mirror.log_tail()
