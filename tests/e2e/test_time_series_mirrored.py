"""Mirrored tables of events, divided by the day of a column (`timestamp:`): each data file holds one day, whatever the source does; read by PyIceberg."""
import datetime
import sqlite3

import pyarrow.parquet
import pytest

from oracle.mirror import Mirror


def days_of(table, column):
    """Checks that every data file holds one day, the one of its partition; {day (None: no time): visible and deleted rows}."""
    found = {}
    for task in table.scan().plan_files():
        day = task.file.partition[0] if task.file.partition else None
        if isinstance(day, datetime.date):
            day = (day - datetime.date(1970, 1, 1)).days
        rows = pyarrow.parquet.read_table(task.file.file_path.removeprefix("file://"))
        id = table.schema().find_field(column).field_id  # files keep the names that columns had
        values = next(rows.column(i) for i, f in enumerate(rows.schema) if f.metadata[b"PARQUET:field_id"] == b"%d" % id)
        days = {None if v.value is None else v.value // 86_400_000_000 for v in values}
        assert days == {day}, task.file.file_path
        found[day] = found.get(day, 0) + len(values)
    return found


def number(text):
    return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days


TABLES = "    tables:\n      - {name: ev, timestamp: %s}\n      - other\n"


def test_postgres(database):
    """Copied, streamed, late, moved to another day, without a time, truncated; a query over one day plans the files of that day."""
    database.execute("create table ev (id int primary key, at timestamptz, v text)")
    database.execute("create table other (id int primary key)")
    database.execute("insert into ev select i, timestamptz '2026-03-01 00:00+00' + i * interval '5 hours', 'v' || i from generate_series(0, 999) i")
    database.execute("insert into ev values (-1, null, 'none'), (-2, '1969-12-31 23:59:59.999999+00', 'before'), (-3, '2026-03-02 00:30+02', 'zone')")
    m = database.mirror(extra=TABLES % "at")
    m.catch_up()
    database.check(m)
    table = m.lake.dataset("shop", "ev").table
    field, = table.spec().fields
    assert (str(field.transform), field.name) == ("day", "at_day")
    days = days_of(table, "at")
    assert days[None] == 1 and days[-1] == 1 and days[number("2026-03-01")] == 6 and len(days) == 211
    database.execute("update ev set at = at + interval '1 day', v = 'moved' where id % 10 = 0")
    database.execute("update ev set at = null where id = 5; update ev set at = '2020-01-01' where id = -1; delete from ev where id between 20 and 40")
    database.execute("insert into ev values (5000, '2001-01-01', 'late'), (5001, now(), 'new'), (5002, null, 'none')")
    m.catch_up()
    database.check(m)
    table = m.lake.dataset("shop", "ev").table
    days = days_of(table, "at")
    assert number("2001-01-01") in days and number("2020-01-01") in days
    one = list(table.scan(row_filter="at >= '2001-01-01T00:00:00+00:00' and at < '2001-01-02T00:00:00+00:00'").plan_files())
    assert len(one) == 1
    database.execute("truncate ev; insert into ev values (1, '2026-01-01', 'again')")
    m.catch_up()
    database.check(m)
    assert len(days_of(m.lake.dataset("shop", "ev").table, "at")) == 1


def test_sqlite(folder):
    db = sqlite3.connect(folder / "shop.db", isolation_level=None)
    db.execute("create table ev (id integer primary key, at timestamp, v text)")
    db.executemany("insert into ev values (?, ?, 'v')", [(i, f"2026-03-{1 + i % 9:02} 12:{i % 60:02}:00") for i in range(500)] + [(-1, None)])
    m = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder / 'shop.db'}\n    tables: [{{name: ev, timestamp: at}}]\n")

    def check():
        rows = m.lake.dataset("shop", "ev").table.scan().to_arrow().to_pylist()
        have = sorted((r["id"], r["at"] and r["at"].strftime("%Y-%m-%d %H:%M:%S"), r["v"]) for r in rows)
        assert have == sorted(db.execute("select id, strftime('%Y-%m-%d %H:%M:%S', at), v from ev where typeof(at) <> 'integer' and at <> 'soon' or at is null"))
        return days_of(m.lake.dataset("shop", "ev").table, "at")
    m.catch_up()
    assert len(check()) == 10
    db.execute("update ev set at = '2026-04-01 00:00:00' where id < 100")
    db.execute("delete from ev where id % 7 = 0")
    db.execute("insert into ev values (1000, '1999-12-31 23:59:59', 'late'), (1001, '2031-01-01T00:30:00+01:00', 'zone'), (1002, 'soon', 'none'), (1003, 7, 'none')")
    m.catch_up()
    assert {number("2026-04-01"), number("1999-12-31"), number("2030-12-31")} <= set(check())
    assert m.dataset_status("shop.ev")["quarantined"] == 2
    # Two texts may be one time: as a key they stay texts, or the table is refused.
    db.execute("create table log (at text, n int, primary key (at, n)) without rowid")
    m.write(f"  shop:\n    type: sqlite\n    path: {folder / 'shop.db'}\n    tables: [{{name: ev, timestamp: at}}, {{name: log, timestamp: at}}]\n")
    m.start("--until-caught-up")
    m.wait_end()
    assert "column of the key" in m.dataset_status("shop.log")["reason"]
    check()
    db.close()


def test_the_configuration_changes(database):
    """Switched on, to another column, off: copied again, each time once; a rename is no other column."""
    database.execute("create table ev (id int primary key, at timestamp, upto timestamptz)")
    database.execute("create table other (id int primary key)")
    database.execute("insert into ev select i, timestamp '2026-03-01' + i * interval '7 hours', timestamptz '2026-05-01' + i * interval '1 hour'"
                     " from generate_series(1, 100) i")
    m = database.mirror()
    copies = [0]

    def now(column, copied=True):
        m.write(database.source(TABLES % column if column else ""), "commit_interval: 200ms")
        m.catch_up()
        database.check(m)
        table = m.lake.dataset("shop", "ev").table
        assert [f.name for f in table.spec().fields] == ([f"{column}_day"] if column else [])
        if column:
            days_of(table, column)
        log = m.log.read_text().count("shop.ev: copied")
        copies[0] += copied
        assert log == copies[0]
    now(None)
    now("at")
    database.execute("update ev set at = at + interval '40 days' where id < 10")
    now("at", copied=False)
    now("upto")
    database.execute("alter table ev rename upto to ended")
    database.execute("insert into ev values (1000, now(), '2030-01-01')")
    now("ended", copied=False)
    now(None)


@pytest.mark.parametrize("what,words", [("nothing", "not mirrored"), ("note", "no timestamp"), ("d", "no timestamp")])
def test_a_column_that_cannot_divide_refuses_its_table_only(database, what, words):
    database.execute("create table ev (id int primary key, note text, d date)")
    database.execute("create table other (id int primary key)")
    database.execute("insert into other values (1)")
    m = database.mirror(extra=TABLES % what)
    doctor = m.with_config("doctor")
    assert words in doctor.stdout + doctor.stderr
    m.start("--until-caught-up")
    m.wait_end()
    assert m.lake.dataset("shop", "other").rows == [(1,)]
    status = m.dataset_status("shop.ev")
    assert status["state"] == "refused" and words in status["reason"] and "timestamp:" in status["reason"]


def test_the_column_goes_while_the_mirror_runs(database):
    """Dropped, or of another type: nothing is written that no reader could place; the other tables go on."""
    database.execute("create table ev (id int primary key, at timestamp, upto timestamp)")
    database.execute("create table other (id int primary key)")
    database.execute("insert into ev select i, timestamp '2026-03-01' + i * interval '7 hours', now() from generate_series(1, 100) i")
    m = database.mirror(extra=TABLES % "at").start()
    m.until_dataset("ev", lambda r: len(r.rows) == 100, "copied")
    database.execute("alter table ev alter at type timestamptz")
    database.execute("insert into ev values (200, '2026-01-01', now())")
    m.until_dataset("ev", lambda r: len(r.rows) == 101, "copied again")
    database.check(m)
    days_of(m.lake.dataset("shop", "ev").table, "at")
    database.execute("alter table ev drop at; insert into ev values (201, now()); insert into other values (7)")
    m.until_dataset("other", lambda r: r.rows == [(7,)], "the other table goes on")
    m.until(lambda: m.dataset_status("shop.ev")["state"] in ("refused", "stopped"), "the table is refused")
    assert "timestamp:" in m.dataset_status("shop.ev")["reason"]
    m.stop()
