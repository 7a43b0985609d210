"""sql: the results of queries into datasets; what query and sql refuse; their limits."""
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from decimal import Decimal

import pytest

from oracle.mirror import BINARY, SLOW, Mirror

SCHEMAS = """schemas:
  - name: sales.orders
    columns:
      id: int64 not null
      status: {type: string, enum: [open, sent, done]}
      total: decimal(12,2)
      version: int64 not null
    key: [id]
    version: version
  - name: sales.totals
    columns:
      status: string not null
      n: int64
      total: decimal(38,2)
      version: int64 not null
    key: [status]
    version: version
"""


class Sales:
    def __init__(self, folder, more=""):
        self.mirror = Mirror(folder / "m", "")
        self.mirror.config.write_text(f"lake: {self.mirror.lake.folder}\n{more}")
        self.folder = folder / "work"          # not the mirror's folder: paths are relative to this one
        self.folder.mkdir()
        (self.folder / "schemas.yaml").write_text(SCHEMAS)
        self.command("schema", "apply", "schemas.yaml")

    def command(self, name, *arguments, code=0, stdin=None):
        p = subprocess.run([str(BINARY), name, "-c", str(self.mirror.config), *arguments], capture_output=True, text=True,
                           timeout=120 * SLOW, cwd=self.folder, input=stdin, env=self.mirror.environment())
        assert p.returncode == code, f"{name} {arguments}: code {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p

    def sql(self, *arguments, code=0, stdin=None):
        p = self.command("sql", *arguments, "--json", code=code, stdin=stdin)
        return json.loads(p.stdout)

    def fails(self, *arguments, code=2, stdin=None):
        """What it says on standard error; the lake must stay as it is."""
        before = self.mirror.lake.pointers()
        p = self.command("sql", *arguments, code=code, stdin=stdin)
        assert self.mirror.lake.pointers() == before
        return p.stderr

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name

    def orders(self):
        return {r["id"]: (r["status"], r["total"], r["version"]) for r in self.mirror.query("from sales.orders")}

    def totals(self):
        return {r["status"]: (r["n"], r["total"], r["version"]) for r in self.mirror.query("from sales.totals")}

    def spooled(self):
        folder = self.mirror.lake.folder / ".orders"
        return sorted(os.listdir(folder)) if folder.exists() else []


@pytest.fixture
def sales(folder):
    s = Sales(folder)
    yield s
    s.mirror.kill()


THREE = "insert into sales.orders select i as id, 'open' as status, i * 1.5 as total, 1 as version from range(1, 4) t(i)"


def counts(result, statement=0):
    s = result["statements"][statement]
    return {k: s[k] for k in ("received", "upserted", "deleted", "stale", "quarantined")}


# ---- ways to write ----

def test_insert_matches_columns_by_name(sales):
    assert counts(sales.sql(THREE)) == dict(received=3, upserted=3, deleted=0, stale=0, quarantined=0)
    sales.sql("insert into sales.orders select 2 as version, 'sent' as status, 1 as id")   # another order; total is absent
    assert sales.orders() == {1: ("sent", None, 2), 2: ("open", 3.0, 1), 3: ("open", 4.5, 1)}


def test_insert_with_a_column_list_goes_by_position(sales):
    sales.sql("insert into \"sales\".orders (version, id, status) select 1, 7, 'done'")
    sales.sql("insert into sales.orders (id, status, version) values (8, 'open', 1), (9, 'sent', 1)")
    assert sales.orders() == {7: ("done", None, 1), 8: ("open", None, 1), 9: ("sent", None, 1)}
    assert "2 columns are named, and the query gives 3" in sales.fails("insert into sales.orders (id, version) select 1, 2, 3")


def test_with_in_front_into_and_other_forms(sales):
    sales.sql("with x as (select 1 as id), y as materialized (select id, 1 as version from x) insert into sales.orders with z as (from y) select * from z")
    sales.sql("--into", "sales.orders", "select 2 as id, 1 as version;")
    sales.sql("insert into sales.orders (select 3 as id, 1 as version) -- a comment; with a semicolon")
    sales.sql("insert or replace into sales.orders by name from (values (4, 1)) t(id, version)")
    sales.sql("-", stdin="insert into sales.orders select 5 as id, 1 as version /* ; */, 'open' as status;;\n")
    assert sorted(sales.orders()) == [1, 2, 3, 4, 5]
    assert sales.spooled() == []


def test_upsert_and_delete_by_change_request_type(sales):
    sales.sql(THREE)
    r = sales.sql("""insert into sales.orders
        select id, status, total, version + 1 as version, case when id = 2 then 'd' else 'u' end as _change_request_type from sales.orders
        union all select 3, 'done', 0, 0, 'u'
        union all select 9, null, null, 5, 'D'""")
    assert counts(r) == dict(received=5, upserted=2, deleted=1, stale=1, quarantined=0)
    assert r["statements"][0]["noop_deletes"] == 1
    assert sales.orders() == {1: ("open", 1.5, 2), 3: ("open", 4.5, 2)}
    assert counts(sales.sql("insert into sales.orders select 9 as id, 4 as version"))["stale"] == 1    # its tombstone stays


def test_statement_reads_the_dataset_that_it_writes(sales):
    sales.sql(THREE)
    for _ in range(3):
        sales.sql("insert into sales.orders select * replace (version + 1 as version, total * 2 as total) from sales.orders")
    assert sales.orders() == {i: ("open", i * 1.5 * 8, 4) for i in (1, 2, 3)}


def test_statements_follow_each_other(sales):
    name = sales.write("both.sql", THREE + """;
-- sees the first one's rows
INSERT INTO sales.totals SELECT status, count(*) AS n, sum(total) AS total, max(version) AS version FROM sales.orders GROUP BY status;
INSERT INTO sales.totals SELECT 'all' AS status, sum(n) AS n, max(version) AS version FROM sales.totals;
""")
    r = sales.sql(name)
    assert [s["dataset"] for s in r["statements"]] == ["sales.orders", "sales.totals", "sales.totals"]
    assert [s["line"] for s in r["statements"]] == [1, 3, 4]
    assert sales.totals() == {"open": (3, 9.0, 1), "all": (3, None, 1)}


def test_files_are_read_relative_to_the_folder(sales):
    sales.write("a.csv", "id,status,total,version\n1,open,1.50,1\n2,open,x,1\n")
    sales.write("b.ndjson", '{"id": 3, "status": "sent", "version": 1}\n')
    r = sales.sql("insert into sales.orders select * from read_csv('a.csv')", code=7)
    assert counts(r) == dict(received=2, upserted=1, deleted=0, stale=0, quarantined=1)
    sales.sql("insert into sales.orders select * from 'b.ndjson'")
    sales.mirror.start()                                          # the running mirror is in another folder
    sales.mirror.until(lambda: sales.mirror.status()["running"], "the mirror")
    sales.write("c.csv", "id,version\n5,1\n")
    sales.sql("insert into sales.orders from 'c.csv'")
    assert sorted(sales.orders()) == [1, 3, 5]
    p = sales.command("quarantine", "list", "--json")
    assert "wrong_type" in p.stdout
    assert "missing.csv" in sales.fails("insert into sales.orders from 'missing.csv'")


def test_values_keep_their_exactness(sales):
    big = 10**35 + 1
    sales.sql(f"insert into sales.totals select 'big' as status, sum(i)::hugeint as n, {big}.25::decimal(38,2) as total, 170141183460469231731::hugeint % 1000 as version"
              " from range(4) t(i)")
    row = sales.mirror.lake.dataset("sales", "totals")
    values = {name: row.column(name)[0] for name in ("status", "n", "total", "version")}
    assert values == {"status": "big", "n": 6, "total": Decimal(f"{big}.25"), "version": 731}
    r = sales.sql("insert into sales.totals select 'over' as status, 9223372036854775808::hugeint as n, 1 as version", code=7)
    assert counts(r)["quarantined"] == 1


# ---- what the engine would guess ----

EXACT = """
schemas:
  - name: sales.exact
    columns: {id: int64 not null, code: string, amount: "decimal(38,10)", big: int64, version: int64 not null}
    key: [id]
    version: version
"""


def exact_rows(sales):
    return {r["id"]: (r["code"], r["amount"], r["big"]) for r in sales.mirror.lake.dataset("sales", "exact").dicts()}


@pytest.fixture
def exact(sales):
    sales.write("exact.yaml", EXACT)
    sales.command("schema", "apply", "exact.yaml")
    sales.write("x.csv", "id,code,amount,big,version\n1,007,12345678901234567.89,9007199254740993,1\n2,1e3,1.10,9223372036854775807,1\n3,true,0.1,3.0,1\n")
    return sales


@pytest.mark.parametrize("query", ["select * from read_csv('x.csv')", "from read_csv('x.csv')", "from 'x.csv'", "select version, id, amount, big, code from read_csv_auto('x.csv')",
                                   "select * exclude (amount), amount::decimal(38,10) as amount from 'x.csv'"])
def test_columns_of_a_csv_file_are_taken_exactly(exact, query):
    exact.sql(f"insert into sales.exact {query}")
    assert exact_rows(exact) == {1: ("007", Decimal("12345678901234567.8900000000"), 9007199254740993), 2: ("1e3", Decimal("1.1000000000"), 9223372036854775807),
                                 3: ("true", Decimal("0.1000000000"), 3)}


def test_a_guess_that_would_change_values_is_refused(exact):
    exact.write("d.csv", "id,code,amount,version\n1,1.10,12345678901234567.89,1\n")
    exact.write("d.ndjson", '{"id": 1, "amount": 12345678901234567.89, "version": 1}\n')
    for query, column in [("select id, amount, version from 'd.csv' where id > 0", "amount"), ("select id, code, version from read_csv('d.csv') order by id", "code"),
                          ("with t as (from 'd.csv') select id, amount * 2 as amount, version from t", "amount"), ("from 'd.ndjson'", "amount"),
                          ("select id, amount, version from read_json('d.ndjson')", "amount")]:
        message = exact.fails(f"insert into sales.exact {query}")
        assert f'column "{column}" comes as' in message and "guess" in message and "datamirror ingest" in message, message
    exact.sql("insert into sales.exact select id, amount, version from read_csv('d.csv', types = {'amount': 'DECIMAL(38,10)'}) where id > 0")
    assert exact_rows(exact)[1][1] == Decimal("12345678901234567.89")
    r = exact.sql("insert into sales.exact select id + 10 as id, amount::decimal(38,10) as amount, version from 'd.csv' where id > 0")  # the caller's own cast: but it is said
    assert any("amount as DOUBLE" in n for n in r["statements"][0]["notes"])
    exact.sql("insert into sales.exact select id + 20 as id, version from 'd.csv' where id > 0")  # nothing that is guessed matters


def test_rows_that_the_engine_would_skip_are_not_lost(exact):
    exact.write("more.csv", "id,code,amount,version\n1,a,1.5,1\n2,b,2.5,1\n3,c,3.5,1,extra\n4,d,4.5,1,extra\n5,e,5.5,1,extra\n")
    exact.write("fewer.csv", "id,code,amount,version\n1,a,1.5,1\n2,b,2.5,1\n3,c\n4,d\n5,e\n6,f\n")
    for name, query in [("more.csv", "from 'more.csv'"), ("more.csv", "(id, code, amount, version) select column0, column1, column2, column3 from read_csv('more.csv')"),
                        ("more.csv", "(id, code, amount, version) select #1, #2, #3, #4 from 'more.csv'"), ("fewer.csv", "from read_csv('fewer.csv')")]:
        message = exact.fails(f"insert into sales.exact {query}")
        assert name not in ("more.csv",) or "would be lost" in message, message
    p = exact.command("ingest", "sales.exact", "more.csv", "fewer.csv", code=7)
    assert set(exact_rows(exact)) == {1, 2} and "quarantined" in p.stdout


def test_untyped_nulls(sales):
    sales.write("t.yaml", "schemas:\n  - name: sales.t\n    columns: {id: int64 not null, d: date, t: timestamptz, b: boolean, u: uuid, x: binary, l: 'list<string>', "
                          "s: string, n: 'decimal(5,2)', version: int64 not null}\n    key: [id]\n    version: version\n")
    sales.command("schema", "apply", "t.yaml")
    sales.sql("insert into sales.t select 1 as id, null as d, null as t, null as b, null as u, null as x, null as l, null as s, null as n, 1 as version")
    sales.sql("insert into sales.t (id, d, version) values (2, null, 1), (3, null, 1)")
    assert sorted((r["id"], r["d"], r["l"]) for r in sales.mirror.lake.dataset("sales", "t").dicts()) == [(1, None, None), (2, None, None), (3, None, None)]


def test_errors_do_not_name_our_own_files(sales):
    p = sales.command("sql", "insert into sales.orders select 1 as id, '\\xff'::blob as status, 1 as version", code=2)
    assert ".orders/" not in p.stderr
    p = sales.command("ingest", "sales.orders", "-", "--format", "parquet", code=6, stdin="id,version\n")
    assert ".orders/" not in p.stderr and "standard input" in p.stderr


# ---- dry run ----

def test_dry_run_changes_nothing_and_says_what_would_happen(sales):
    sales.sql(THREE)
    sales.sql("insert into sales.orders select 3 as id, 9 as version, 'd' as _change_request_type")
    pointers = sales.mirror.lake.pointers()
    r = sales.sql("insert into sales.orders (id, status, version, _change_request_type) values (1, 'sent', 2, 'u'), (2, null, 2, 'd'), (2, 'open', 0, 'u'), "
                  "(3, 'open', 5, 'u'), (4, 'lost', 1, 'u'), (5, 'open', 1, 'u')", "--dry-run", "--samples", "5", code=7)
    assert r["dry_run"] and counts(r) == dict(received=6, upserted=2, deleted=1, stale=2, quarantined=1)
    samples = r["statements"][0]["samples"]
    outcome = [next(k for k in ("quarantined", "upserted", "deleted", "stale") if s[k]) for s in samples]
    assert outcome == ["upserted", "deleted", "stale", "stale", "quarantined"]       # 3 is stale by its tombstone
    assert json.loads(samples[0]["row"])["id"] == 1
    assert sales.mirror.lake.pointers() == pointers and sales.spooled() == []
    assert json.loads(sales.command("quarantine", "list", "--json").stdout or "{}").get("rows", 0) in (0, [])
    text = sales.command("sql", "insert into sales.orders select 1 as id, 1 as version", "-n").stdout
    assert "A dry run: nothing was changed." in text and '{"id":1,"version":1}' in text


# ---- what is refused ----

def test_missing_version_says_the_way_out(sales):
    message = sales.fails("insert into sales.totals select status, count(*) as n from sales.orders group by status")
    assert "required columns are missing: version" in message and "max(…) AS version" in message and "epoch_ms(now()) AS version" in message


def test_unknown_column_says_both_ways_out(sales):
    ways = ("… AS column", "INSERT INTO sales.orders (a, b) SELECT …", "the dataset's columns are: id, status, total, version")
    for arguments in (["insert into sales.orders select 1, 'open', 2.5, 1"], ["--into", "sales.orders", "select 1 as id, 1 as version, 2 as colour"]):
        message = sales.fails(*arguments)
        assert " is not in the schema" in message and all(w in message for w in ways), message
    sales.sql("insert into sales.orders select 1 as id, 'open' as status, 2.5 as total, 1 as version")        # the one
    sales.sql("insert into sales.orders (id, status, total, version) select 2, 'open', 2.5, 1")               # the other
    assert sales.orders() == {1: ("open", 2.5, 1), 2: ("open", 2.5, 1)}
    message = sales.fails("insert into sales.orders (id, version, colour) select 1, 1, 2")      # there is a list already
    assert 'column "colour" is not in the schema' in message and "by position" not in message and "the dataset's columns are" in message


REFUSED = [
    ("select 1", "writes nowhere"),
    ("update sales.orders set status = 'open'", "UPDATE"),
    ("delete from sales.orders", "_change_request_type"),
    ("merge into sales.orders using x on true when matched then delete", "INSERT INTO"),
    ("create table x (a int)", "schema apply"),
    ("copy sales.orders to 'x.csv'", "COPY"),
    ("attach 'x.db'", "INSERT INTO is expected"),
    ("insert into sales.orders", "it ends where a query is expected"),
    ("insert into a.b.c select 1", "two parts"),
    ("insert into sales.orders select 'a", "not closed"),
    ("insert into sales.orders select 1 as id, 1 as version on conflict do nothing", "ON CONFLICT"),
    ("insert into sales.orders select 1 as id, 1 as version returning id", "RETURNING"),
    ("insert into sales.order select 1 as id, 1 as version", "did you mean \"sales.orders\""),
    ("insert into sales.orders select 1 as id, 1 as version, 2 as colour", "colour"),
    ("insert into sales.orders select 1 as id, 1 as version from read_csv('a.csv'), (select 1) x; copy sales.orders to 'x'", "COPY"),
    ("insert into sales.orders select 1 as id, 1 as version from pragma_database_list()", "not allowed"),
    ("insert into sales.orders select date '2024-01-01' as id, 1 as version", "DATE"),
    (" ; -- nothing\n", "there is no SQL"),
]


def test_refused_with_a_reason(sales):
    for sql, said in REFUSED:
        assert said in sales.fails(sql), sql


def test_mirrored_datasets_are_not_written(sales, folder):
    db = sqlite3.connect(folder / "shop.db")
    db.executescript("pragma journal_mode=wal; create table things (id integer primary key, name text); insert into things values (1, 'a')")
    db.close()
    sales.mirror.config.write_text(f"lake: {sales.mirror.lake.folder}\nsources:\n  shop:\n    type: sqlite\n    path: {folder}/shop.db\n")
    sales.mirror.catch_up()
    assert 'mirrored from source "shop"' in sales.fails("insert into shop.things select 2 as id")
    sales.sql("insert into sales.orders select id, 1 as version from shop.things")     # but read
    assert sorted(sales.orders()) == [1]


def test_errors_name_statement_and_line(sales):
    name = sales.write("many.sql", f"{THREE};\n\n-- two\ninsert into sales.totals\nselect status,\n  nosuch as version from sales.orders;\n")
    message = sales.fails(name)                      # nothing of statement 1, either: all are checked first
    assert "statement 2 (line 4)" in message and "LINE 6" in message and "nosuch" in message
    message = sales.fails(sales.write("syntax.sql", f"{THREE};\ninsert into sales.totals\nselect\n status frm x x;\n"))
    assert "statement 2 (line 2)" in message and "line 4: syntax error" in message
    message = sales.fails(sales.write("kind.sql", f"{THREE};\n\ndrop table x;"))
    assert "statement 2 (line 3)" in message


def test_statement_that_fails_while_it_runs_leaves_nothing_of_it(sales):
    p = sales.command("sql", f"{THREE}; insert into sales.orders select id + 10 as id, version, error('boom ' || id) as status from sales.orders; "
                      "insert into sales.orders select 99 as id, 1 as version", code=2)
    assert "statement 2 (line 1)" in p.stderr and "boom" in p.stderr and "2 of 3 statements were not done" in p.stderr
    assert sorted(sales.orders()) == [1, 2, 3] and sales.spooled() == []
    r = sales.sql(f"{THREE}; insert into sales.orders select id, version, error('boom') as status from sales.orders", code=2)
    assert r["not_tried"] == 1 and "boom" in r["error"]["message"] and counts(r)["received"] == 3


# ---- beside a running mirror ----

def test_reads_of_one_statement_are_of_one_commit(sales, folder):
    """Money moves between two mirrored tables in one transaction each; a statement that reads both never sees it in between."""
    path = folder / "bank.db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.executescript("pragma journal_mode=wal; create table a (id integer primary key, n int); create table b (id integer primary key, n int);"
                     "insert into a values (1, 1000); insert into b values (1, 0)")
    sales.mirror.config.write_text(f"lake: {sales.mirror.lake.folder}\ncommit_interval: 20ms\nsources:\n  bank:\n    type: sqlite\n    path: {path}\n")
    sales.mirror.catch_up()
    sales.mirror.start()
    ending = threading.Event()

    def move():
        while not ending.is_set():
            db.executescript("begin immediate; update a set n = n - 1; update b set n = n + 1; commit")
            time.sleep(0.002)
    thread = threading.Thread(target=move)
    thread.start()
    try:
        for i in range(15):
            sales.sql(f"insert into sales.totals select 'run {i}' as status, (select sum(n) from bank.a) + (select sum(n) from bank.b) as n, "
                      "(select n from bank.b) as version")
    finally:
        ending.set()
        thread.join()
        db.close()
    rows = sales.totals()
    assert [rows[f"run {i}"][0] for i in range(15)] == [1000] * 15
    assert len({r[2] for r in rows.values()}) > 1                 # it did move meanwhile


# ---- limits and read-only ----

SLOW_QUERY = "select 1 as id, sum(a.i * b.i) as version from range(1000000) a(i), range(1000000) b(i)"
LARGE_QUERY = "select 1 as id, len(list(i::varchar || repeat('x', 50))) as version from range(20000000) t(i)"


def test_query_ends_at_its_limits(sales):
    started = time.monotonic()
    p = sales.command("query", SLOW_QUERY, "--timeout", "300ms", code=4)
    assert "took longer than 300ms" in p.stderr and "--timeout" in p.stderr and time.monotonic() - started < 20 * SLOW
    p = sales.command("query", LARGE_QUERY, "--memory-limit", "64MiB", code=4)
    assert "Out of Memory" in p.stderr and "--memory-limit" in p.stderr and "SET " not in p.stderr
    assert sales.command("query", "select current_setting('threads') as n", "--threads", "1", "--format", "csv").stdout.split() == ["n", "1"]
    for bad in (["--timeout", "soon"], ["--memory-limit", "3"], ["--memory-limit", "much"], ["--threads", "-1"]):
        sales.command("query", "select 1", *bad, code=2)


def test_sql_ends_at_its_limits(sales):
    assert "took longer than 300ms" in sales.fails(f"insert into sales.orders {SLOW_QUERY}", "--timeout", "300ms", code=4)
    assert "Out of Memory" in sales.fails(f"insert into sales.orders {LARGE_QUERY}", "--memory-limit", "64MiB", code=4)
    assert sales.spooled() == []


def test_sql_is_interrupted(sales):
    child = subprocess.Popen([str(BINARY), "sql", "-c", str(sales.mirror.config), f"insert into sales.orders {SLOW_QUERY}"],
                             stderr=subprocess.PIPE, text=True, cwd=sales.folder)
    try:
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        _, message = child.communicate(timeout=20 * SLOW)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 4 and "ended before it was done" in message
    assert sales.orders() == {} and sales.spooled() == []


NOT_READING = [
    "insert into sales.orders values (9, 'open', 1, 1)", "delete from sales.orders", "update sales.orders set total = 0", "drop view sales.orders",
    "create table t (a int)", "create temp table t as select 1", "copy sales.orders to 'out.csv'", "copy (select 1) to 'out.parquet'",
    "attach 'other.db'", "pragma database_list", "pragma memory_limit='1GB'", "set memory_limit = '1GB'", "reset threads", "load httpfs", "install httpfs",
    "call pragma_version()", "explain analyze select 1", "prepare x as select 1", "begin", "checkpoint", "export database 'x'", "vacuum",
    "select 1; select 2", "from 'schemas.yaml'", "from read_csv('schemas.yaml')", "select * from read_text('schemas.yaml')", "from glob('*')",
    "from query('select 1')", "select * from sqlite_scan('x', 'y')",
]


def test_query_is_read_only(sales):
    sales.sql(THREE)
    before = sales.mirror.lake.pointers()
    files = sorted(os.listdir(sales.folder))
    for statement in NOT_READING:
        p = sales.command("query", statement, code=2)
        assert "error: " in p.stderr and p.stdout == "", statement
    assert sales.mirror.lake.pointers() == before and sorted(os.listdir(sales.folder)) == files
