"""Quarantine: rows that cannot be applied are kept, shown, mended, replayed or discarded."""
import csv
import io
import json
import sqlite3

import pytest

from oracle.mirror import Marker, Mirror

QUARANTINED = 7

ORDERS = """
schemas:
  - name: sales.orders
    columns: {{id: int64 not null, v: int64 not null, amount: {amount}, note: {note}, tags: "list<string>"}}
    key: [id]
    version: v
{more}"""


class Sales:
    """A lake with one declared dataset."""

    def __init__(self, folder):
        self.mirror = Mirror(folder / "m", "")
        self.mirror.config.write_text(f"lake: {self.mirror.lake.folder}\n")
        self.folder = self.mirror.folder
        self.files = 0

    def run(self, command, *arguments, code=0, stdin=None):
        p = self.mirror.with_config(command, *arguments, stdin=stdin)
        assert p.returncode == code, f"{command} {arguments}: code {p.returncode}\n{p.stdout}\n{p.stderr}\n{self.mirror.log_tail()}"
        return p

    def apply(self, amount="\"decimal(6,2)\"", note="string", more=""):
        path = self.folder / "schemas.yaml"
        path.write_text(ORDERS.format(amount=amount, note=note, more=more))
        return self.run("schema", "apply", str(path))

    def ingest(self, text, name, code=QUARANTINED):
        path = self.folder / name
        path.write_text(text)
        return self.run("ingest", "sales.orders", str(path), code=code)

    def rows(self):
        return {r["id"]: r for r in self.mirror.lake.dataset("sales", "orders").dicts()}

    def quarantine(self, *arguments):
        p = self.run("quarantine", "show", "sales.orders", "--json", "--limit", "0", *arguments)
        return [json.loads(line) for line in p.stdout.splitlines()]

    def replay(self, *arguments, code=0):
        return json.loads(self.run("quarantine", "replay", "sales.orders", "--json", *arguments, code=code).stdout)


@pytest.fixture
def sales(folder):
    s = Sales(folder)
    yield s
    s.mirror.kill()


BAD = "id,v,amount,note\n1,1,1.50,fine\n2,1,12345.00,too large\n3,1,abc,no number\n,1,1.00,no key\n4,x,1.00,no version\n5,1,2.00,fine too\n"


def test_list_and_show(sales):
    sales.apply()
    sales.ingest(BAD, "orders.csv")
    assert sorted(sales.rows()) == [1, 5], "one bad row never stops the rest"
    shown = sales.quarantine()
    assert [(q["position"].rsplit("/", 1)[-1], q["source"], q["operation"]) for q in shown] == [
        (f"orders.csv:{line}", "ingest", "upsert") for line in (3, 4, 5, 6)]
    by_line = {q["position"].rsplit(":", 1)[-1]: q for q in shown}
    assert by_line["3"]["reason"] == "value_out_of_range" and "amount" in by_line["3"]["message"]
    assert by_line["4"]["reason"] == "wrong_type" and by_line["5"]["reason"] == "null_key"
    assert json.loads(by_line["3"]["raw"])["amount"] == "12345.00", "the row as it was spelled"
    assert all(q["time"].startswith("20") and q["waiting"] is False and q["raw_bytes"] is None for q in shown)
    listed = [json.loads(line) for line in sales.run("quarantine", "list", "--json").stdout.splitlines()]
    assert {(g["dataset"], g["reason"]): g["rows"] for g in listed}[("sales.orders", "value_out_of_range")] == 1
    assert sum(g["rows"] for g in listed) == 4 and all(g["first"] <= g["last"] and g["message"] for g in listed)
    assert len(sales.quarantine("--reason", "null_key")) == 1
    assert [q["id"] for q in sales.quarantine("--id", f"{shown[1]['id']}-{shown[2]['id']}")] == [shown[1]["id"], shown[2]["id"]]
    text = sales.run("quarantine", "show", "sales.orders", "--limit", "1").stdout
    assert "orders.csv:3" in text and "12345.00" in text and "3 more" in text
    text = sales.run("quarantine", "list", "sales.orders").stdout
    assert "DATASET" in text and "wrong_type" in text


def test_nothing_in_quarantine(sales):
    sales.apply()
    assert "Nothing is in quarantine" in sales.run("quarantine", "list").stdout
    assert sales.run("quarantine", "export", "sales.orders").stdout == ""
    assert sales.replay("--all") == {"replayed": 0, "applied": 0, "stale": 0, "stayed": 0, "cut": 0}


def test_replay_when_the_schema_was_mended(sales):
    sales.apply()
    sales.ingest(BAD, "orders.csv")
    before = {q["id"]: q for q in sales.quarantine()}
    sales.apply(amount="\"decimal(12,2)\"")
    assert sales.replay("--all", code=1) == {"replayed": 4, "applied": 1, "stale": 0, "stayed": 3, "cut": 0}
    assert sorted(sales.rows()) == [1, 2, 5] and str(sales.rows()[2]["amount"]) == "12345.00"
    after = {q["id"]: q for q in sales.quarantine()}
    assert set(after) == {i for i, q in before.items() if not q["position"].endswith(":3")}
    assert all(after[i] == before[i] for i in after), "what stays keeps its number, place, time and content"
    status = sales.mirror.dataset_status("sales.orders")
    assert status["quarantined"] == 4, "counted once, however often it is tried"


def test_replay_chooses_and_drops_what_is_stale(sales):
    sales.apply()
    sales.ingest('{"id": 1, "v": 5, "amount": 99999}\n{"id": 2, "v": 5, "amount": 99999}\n{"id": 3, "v": 5, "amount": "x"}\n', "a.ndjson")
    sales.ingest('{"id": 1, "v": 6, "amount": 1}\n', "b.ndjson", code=0)
    sales.apply(amount="\"decimal(12,2)\"")
    ids = [q["id"] for q in sales.quarantine()]
    assert sales.replay("--id", str(ids[1])) == {"replayed": 1, "applied": 1, "stale": 0, "stayed": 0, "cut": 0}
    assert sales.replay("--reason", "value_out_of_range") == {"replayed": 1, "applied": 0, "stale": 1, "stayed": 0, "cut": 0}
    assert sales.rows()[1]["v"] == 6, "an older version changes nothing"
    assert [q["id"] for q in sales.quarantine()] == [ids[2]]
    sales.run("quarantine", "replay", "sales.orders", code=2)   # which rows?


def test_replayed_deletes_and_new_reasons(sales):
    sales.apply()
    sales.ingest('{"id": 1, "v": 1, "amount": 1}\n{"id": 1, "v": "x", "_change_request_type": "d"}\n{"id": 2, "v": 1, "_change_request_type": "?"}\n', "a.ndjson")
    reasons = [q["reason"] for q in sales.quarantine()]
    assert reasons == ["wrong_type", "unknown_change_type"]
    assert sales.replay("--all", code=1)["stayed"] == 2
    assert [q["reason"] for q in sales.quarantine()] == reasons
    assert 1 in sales.rows()


def test_export_is_mended_and_taken_in(sales):
    sales.apply()
    sales.ingest('{"id": 1, "v": 1, "amount": "1,5", "note": "a \\"quoted\\" word", "tags": ["x", null]}\n'
                 '{"id": 2, "v": 1, "amount": 123456.5, "note": ""}\n{"id": 3, "v": 1, "amount": "-", "note": null}\n{"id": 4, "v"\n', "a.ndjson")
    lines = sales.run("quarantine", "export", "sales.orders").stdout.splitlines()
    assert [json.loads(line).get("amount") for line in lines] == ["1,5", 123456.5, "-", None]
    assert "_raw" in json.loads(lines[3]), "a corrupt line is there as text"
    assert [json.loads(line)["_quarantine_reason"] for line in sales.run("quarantine", "export", "sales.orders", "--reasons").stdout.splitlines()][3] == "corrupt_row"
    out = sales.folder / "mend.csv"
    p = sales.run("quarantine", "export", "sales.orders", "--format", "csv", "-o", str(out))
    assert "3 rows" in p.stdout and "1 rows" in p.stderr, "what is no row cannot be a line of CSV, and that is said"
    table = list(csv.DictReader(io.StringIO(out.read_text(), newline="")))
    assert [(r["id"], r["amount"], r["note"]) for r in table] == [("1", "1,5", 'a "quoted" word'), ("2", "123456.5", ""), ("3", "-", "")]
    sales.ingest(out.read_text().replace('"1,5"', "1.5").replace("123456.5", "1234.5").replace("3,1,-,", "3,1,0,"), "mended.csv", code=0)
    rows = sales.rows()
    assert {i: str(r["amount"]) for i, r in rows.items()} == {1: "1.50", 2: "1234.50", 3: "0.00"}
    assert (rows[1]["note"], rows[2]["note"], rows[3]["note"]) == ('a "quoted" word', "", None), "null and the empty text stay apart"
    assert sales.replay("--all", code=1)["stayed"] == 4, "mended rows were taken in; these are the old ones"
    assert len(sales.quarantine()) == 4


def test_a_replay_keeps_the_reason_of_what_is_no_row(sales):
    """A ragged or corrupt row has no columns by name: it stays as it is, beside rows that are applied."""
    sales.apply()
    sales.ingest('id,v,amount,note\n1,1\n2,"open,1,x\n3,1,12345.00,too large\n4,1,1.00,a,b\n', "bad.csv")
    sales.ingest('{"id":7,"v":1}\n{"id":5,"v":1\n[6]\n', "bad.ndjson")
    before = {r["id"]: (r["reason"], r["message"], r["raw"]) for r in sales.quarantine()}
    assert sorted(r for r, _, _ in before.values()) == ["corrupt_row"] * 3 + ["ragged_row"] * 2 + ["value_out_of_range"]
    sales.apply(amount='"decimal(8,2)"')
    result = sales.replay("--all", code=1)
    assert (result["replayed"], result["applied"], result["stayed"]) == (6, 1, 5)
    assert set(sales.rows()) == {3, 7}
    assert {r["id"]: (r["reason"], r["message"], r["raw"]) for r in sales.quarantine()} == {i: r for i, r in before.items() if r[0] != "value_out_of_range"}
    result = sales.replay("--reason", "ragged_row", code=1)
    assert (result["replayed"], result["applied"], result["stayed"]) == (2, 0, 2)


def test_bytes_that_are_not_utf8_come_back_as_they_were(sales):
    sales.apply()
    content = b'id,v,amount,note\n1,1,1.00,\xff\xc3\n2,1,1.00,"a\xe4""\\udcff\xf0\x9f\x98\x80"\n3,1,1.00,fine\n'
    (sales.folder / "bytes.csv").write_bytes(content)
    sales.run("ingest", "sales.orders", str(sales.folder / "bytes.csv"), code=QUARANTINED)
    sales.run("quarantine", "export", "sales.orders", "--format", "csv", "-o", str(sales.folder / "mend.csv"))
    exported = (sales.folder / "mend.csv").read_bytes()
    assert b",\xff\xc3," in exported and b'"a\xe4""\\udcff\xf0\x9f\x98\x80"' in exported
    sales.run("quarantine", "discard", "sales.orders", "--all", "--yes")
    sales.run("ingest", "sales.orders", str(sales.folder / "mend.csv"), code=QUARANTINED)
    assert [r["reason"] for r in sales.quarantine()] == ["invalid_utf8"] * 2 and set(sales.rows()) == {3}
    (sales.folder / "mend.csv").write_bytes(exported.decode("latin-1").encode())  # as a person mends it
    sales.run("ingest", "sales.orders", str(sales.folder / "mend.csv"), code=0)
    assert sales.rows()[1]["note"] == "\xff\xc3"


def test_discard(sales):
    sales.apply()
    sales.ingest(BAD, "orders.csv")
    sales.run("quarantine", "discard", "sales.orders", "--all", code=2, stdin="")
    assert len(sales.quarantine()) == 4, "a script has to say --yes"
    assert "1 rows discarded" in sales.run("quarantine", "discard", "sales.orders", "--reason", "null_key", "--yes").stdout
    assert json.loads(sales.run("quarantine", "discard", "sales.orders", "--all", "--yes", "--json").stdout) == {"discarded": 3}
    assert sales.quarantine() == []


def test_orders_are_done_by_a_running_mirror(sales):
    sales.apply()
    sales.ingest(BAD, "orders.csv")
    sales.apply(amount="\"decimal(12,2)\"")
    sales.mirror.start()
    sales.mirror.until(lambda: sales.mirror.status()["running"], "the mirror to run")
    assert sales.replay("--all", code=1)["applied"] == 1
    assert 2 in sales.rows()
    sales.run("quarantine", "discard", "sales.orders", "--all", "--yes")
    assert sales.quarantine() == []
    assert sales.mirror.stop() == 0


@pytest.mark.parametrize("point", ["before-publish", "after-publish", "after-index-commit"])
def test_replay_survives_a_crash(sales, point):
    sales.apply()
    sales.ingest(BAD, "orders.csv")
    sales.apply(amount="\"decimal(12,2)\"")
    p = sales.mirror.with_config("quarantine", "replay", "sales.orders", "--all", env={"DM_CRASH_AT": point})
    assert p.returncode == -9
    rows, left = sorted(sales.rows()), len(sales.quarantine())
    assert (rows, left) in (([1, 5], 4), ([1, 2, 5], 3)), "applied and gone from quarantine, or neither"
    sales.replay("--all", code=1)
    assert (sorted(sales.rows()), len(sales.quarantine())) == ([1, 2, 5], 3)


def test_limits_do_not_count_replays(sales):
    sales.apply(more="    max_quarantined: 2\n")
    p = sales.ingest(BAD, "orders.csv", code=6)
    assert "max_quarantined" in p.stderr and sales.quarantine() == []
    sales.ingest('{"id": 1, "v": "x"}\n{"id": 2, "v": "x"}\n', "a.ndjson")
    sales.ingest('{"id": 3, "v": "x"}\n{"id": 4, "v": "x"}\n', "b.ndjson")
    assert sales.replay("--all", code=1)["stayed"] == 4


def test_rows_that_are_very_long(sales):
    """Up to 16 MiB a row is kept whole, above that its beginning and its place."""
    sales.apply()
    long, longer = "y" * 1_000_000, "z" * 20_000_000
    p = sales.ingest(f'{{"id": 1, "v": 1, "amount": "x", "note": "{long}"}}\n{{"id": 2, "v": 1, "amount": "x", "note": "{longer}"}}\n', "a.ndjson")
    assert "2 quarantined" in p.stdout
    first, second = sales.quarantine()
    assert json.loads(first["raw"])["note"] == long
    assert second["position"].endswith("a.ndjson:2") and len(second["raw"]) < 1_000_000 and "zzz" in second["raw"]
    if second["reason"] != "row_too_large":
        assert second["raw_bytes"] > 20_000_000


def test_unknown_words(sales):
    sales.apply()
    assert "did you mean" in sales.run("quarantine", "lst", code=2).stderr
    assert "sales.orders" in sales.run("quarantine", "show", "sales.order", code=2).stderr
    sales.run("quarantine", "show", code=2)
    sales.run("quarantine", "show", "sales.orders", "--id", "1,x", code=2)
    sales.run("quarantine", "export", "sales.orders", "--format", "xml", code=2)


# ---- mirrored tables ----

@pytest.fixture
def shop(folder):
    path = folder / "shop.db"
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    db.execute("pragma journal_mode = wal")
    mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {path}\n", "commit_interval: 50ms")
    yield db, mirror
    mirror.kill()
    db.close()


def show(mirror, dataset):
    p = mirror.with_config("quarantine", "show", dataset, "--json")
    assert p.returncode == 0, p.stderr
    return [json.loads(line) for line in p.stdout.splitlines()]


def test_rows_of_a_mirrored_sqlite_table(shop):
    db, mirror = shop
    db.execute("create table t (id integer primary key, n int)")
    db.execute("insert into t values (1, 1), (2, 'text')")
    mirror.catch_up()
    db.execute("insert into t values (3, 'streamed')")
    mirror.catch_up()
    copied, streamed = show(mirror, "shop.t")
    assert (copied["source"], copied["operation"], streamed["operation"]) == ("shop", "copy", "insert")
    assert "streamed" in streamed["raw"] and streamed["position"]
    p = mirror.with_config("quarantine", "replay", "shop.t", "--all")
    assert p.returncode == 2 and "resync shop.t" in p.stderr
    out = mirror.with_config("quarantine", "export", "shop.t", "--format", "csv").stdout
    assert [r["n"] for r in csv.DictReader(io.StringIO(out))] == ["text", "streamed"]
    # mended in the source, and copied anew: what is still bad is there once
    db.execute("update t set n = 2 where id = 2")
    assert mirror.with_config("resync", "shop.t").returncode == 0
    mirror.catch_up()
    assert [json.loads(q["raw"])["id"] for q in show(mirror, "shop.t")] == [3]
    assert sorted(mirror.lake.dataset("shop", "t").column("id")) == [1, 2]


def test_rows_of_a_mirrored_postgres_table(database):
    database.execute("create table t (id int primary key, n numeric(6,2)); insert into t values (1, 1.5), (2, 'NaN')")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    database.execute("insert into t values (3, 'NaN')")
    marker.reached()
    copied, streamed = show(mirror, "shop.t")
    assert (copied["operation"], streamed["operation"]) == ("copy", "insert")
    assert all(q["source"] == "shop" and q["reason"] == "numeric_nan" and "NaN" in q["raw"] and "/" in q["position"] for q in (copied, streamed))
    p = mirror.with_config("quarantine", "replay", "shop.t", "--all")
    assert p.returncode == 2 and "resync shop.t" in p.stderr
    p = mirror.with_config("quarantine", "discard", "shop.t", "--id", str(copied["id"]), "--yes")
    assert p.returncode == 0 and [q["id"] for q in show(mirror, "shop.t")] == [streamed["id"]]
    assert mirror.stop() == 0


def test_a_catalog_of_an_older_version(shop):
    db, mirror = shop
    db.execute("create table t (id integer primary key, n int)")
    db.execute("insert into t values (1, 'text')")
    mirror.catch_up()
    catalog = sqlite3.connect(mirror.lake.catalog, isolation_level=None)
    catalog.executescript("begin; create table old as select id, dataset, reason, message, key, raw, op, position, time_us from dm_quarantine;"
                          "drop table dm_quarantine;"
                          "create table dm_quarantine(id INTEGER PRIMARY KEY AUTOINCREMENT, dataset INTEGER NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL,"
                          " key TEXT, raw TEXT, op INTEGER NOT NULL, position TEXT, time_us INTEGER NOT NULL);"
                          "insert into dm_quarantine select * from old; drop table old; commit")
    catalog.close()
    assert [q["source"] for q in show(mirror, "shop.t")] == [None]
    db.execute("insert into t values (2, 'more')")
    mirror.catch_up()
    assert [q["source"] for q in show(mirror, "shop.t")] == [None, "shop"]
