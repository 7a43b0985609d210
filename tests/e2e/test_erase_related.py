"""`delete --related --until-erased` asks the lake's past, too: children that wait, that were deleted or belonged to somebody else earlier, and bad rows; none of them
leaves a byte, and nothing of them comes back."""
import json
import sqlite3
import urllib.request

import pytest

from oracle.mirror import Mirror
from oracle.process import free_port
from test_delete import UNCOMPRESSED, delete, found, part

ALICE, CARL = "alice@wonderland-secret.example", "carl-who-never-came@secret.example"
WORDS = {"live": "secret-of-order-1", "deleted": "secret-of-order-2", "moved": "secret-of-order-3", "bad": "secret-of-order-4",
         "torn": "secret-of-order-5", "waits": "secret-of-order-6", "line": "secret-of-line-10", "line_waits": "secret-of-line-11",
         "bad_moved": "secret-of-order-8", "garbage": "secret-of-no-order", "line_gone": "secret-of-line-14"}
TRACES = [ALICE, CARL, *WORDS.values()]


def schema(history, key="id", extra=""):
    return f"""
schemas:
  crm.people:
    columns: {{email: {{type: string, required: true}}, name: string, v: {{type: long, required: true}}}}
    key: email
    version: v
    history: {history}
  crm.orders:
    columns: {{id: {{type: long, required: true}}, person: string, note: string, amount: int, v: {{type: long, required: true}}}}
    key: id
    version: v
    history: {history}
    relationships: [{{columns: person, to: crm.people, cardinality: "M:1", on_orphan: quarantine}}]
  crm.lines:
    columns: {{id: {{type: string, required: true}}, order_id: long, text: string, v: {{type: long, required: true}}}}
    key: id
    version: v
    history: {history}
    relationships: [{{columns: order_id, to: crm.orders, cardinality: "M:0", on_orphan: quarantine}}]
{extra}"""


class Crm:
    def __init__(self, folder, history):
        self.mirror = Mirror(folder, "", UNCOMPRESSED)
        self.folder = self.mirror.folder
        self.files = 0
        self.history = history

    def apply(self, text, code=0):
        file = self.folder / "schemas.yaml"
        file.write_text(text)
        p = self.mirror.with_config("schema", "apply", str(file))
        assert p.returncode == code, p.stderr + p.stdout
        return p.stdout + p.stderr

    def put(self, dataset, *rows, code=0):
        self.files += 1
        path = self.folder / f"rows{self.files}.ndjson"
        path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
        p = self.mirror.with_config("ingest", dataset, str(path), "--json", timeout=120)
        path.unlink()
        assert p.returncode == code, f"code {p.returncode}: {p.stderr}{p.stdout}"
        return json.loads(p.stdout)["files"][0]

    def people(self, *emails, v=1):
        return self.put("crm.people", *({"email": e, "name": e[:3], "v": v} for e in emails))

    def order(self, number, person, note, v, code=0, **more):
        return self.put("crm.orders", {"id": number, "person": person, "note": note, "amount": number, "v": v} | more, code=code)

    def line(self, number, order, text, v=1, code=0):
        return self.put("crm.lines", {"id": f"line-{number}", "order_id": order, "text": text, "v": v}, code=code)

    def rows(self, dataset):
        got = self.mirror.lake.dataset("crm", dataset)
        return {} if got is None else {r["id"]: tuple(r.values())[1:] for r in got.dicts()}

    def past(self, dataset):
        """(id, what it refers to, text) of the history, without the times that it notes."""
        return sorted((r["id"], r.get("person", r.get("order_id")), r.get("note", r.get("text")))
                      for r in self.mirror.lake.dataset("crm", dataset + "__history").dicts() if r["id"] != 9)

    def quarantine(self, dataset):
        p = self.mirror.with_config("quarantine", "show", dataset, "--json")
        assert p.returncode == 0, p.stderr
        return [json.loads(line) for line in p.stdout.splitlines()]


def fill(crm):
    """Alice has: a live order 1 with a line, a deleted order 2 with a line, an order 3 that is Bob's now, orders 4 and 5 that are bad rows, a line that is no row at all, an old
    bad row of order 8, which is Bob's. Carl was never there: order 6 waits for him, and a line waits for it. All else is Bob's and stays."""
    crm.apply(schema(crm.history))
    crm.people(ALICE, "bob@x.example")
    crm.order(1, ALICE, WORDS["live"], 1)
    crm.order(2, ALICE, WORDS["deleted"], 1)
    crm.line(10, 2, WORDS["line"])
    crm.put("crm.orders", {"id": 2, "v": 2, "_change_request_type": "d"})
    crm.order(3, ALICE, WORDS["moved"], 1)
    crm.order(3, "bob@x.example", "bobs order three", 2)
    crm.order(4, ALICE, WORDS["bad"], 1, amount="no number", code=7)
    crm.put("crm.orders", {"id": 3, "person": "bob@x.example", "note": "bobs order three", "amount": 3, "v": 2},
            f'{{"id": 5, "person": "{ALICE}", "note": "{WORDS["torn"]}', f"no JSON: {ALICE} {WORDS['garbage']}", code=7)
    crm.order(8, ALICE, WORDS["bad_moved"], 1, amount="no number", code=7)
    crm.order(8, "bob@x.example", "bobs order eight", 2)
    crm.order(6, CARL, WORDS["waits"], 1)
    crm.line(11, 6, WORDS["line_waits"])
    crm.line(12, 3, "bobs line twelve")
    crm.line(13, 8, "bobs line thirteen")
    crm.line(14, 2, WORDS["line_gone"])
    crm.order(9, "nobody@x.example", "waits for somebody else", 1)
    assert len(crm.quarantine("crm.orders")) == 6 and len(crm.quarantine("crm.lines")) == 2


BOBS = {3: ("bob@x.example", "bobs order three", 3, 2), 8: ("bob@x.example", "bobs order eight", 8, 2)}
LINES = {"line-12": (3, "bobs line twelve", 1), "line-13": (8, "bobs line thirteen", 1)}


def check_gone(crm):
    assert found(crm.mirror.lake.folder, TRACES) == []
    assert crm.rows("orders") == BOBS and crm.rows("lines") == LINES
    assert [q["raw"]["id"] if isinstance(q["raw"], dict) else json.loads(q["raw"])["id"] for q in crm.quarantine("crm.orders")] in ([9], ["9"])
    assert crm.quarantine("crm.lines") == []


@pytest.fixture(params=["true", "scd2", "false"])
def crm(folder, request):
    c = Crm(folder, request.param)
    fill(c)
    yield c
    c.mirror.kill()


def test_what_waits_was_deleted_moved_or_bad_is_erased(crm):
    assert {t for _, t in found(crm.mirror.lake.folder, TRACES)} == set(TRACES)  # the search can find each of them
    hers = (0, 0) if crm.history == "false" else (
        sum(r["id"] in (1, 2, 4, 5, 6) or r["person"] in (ALICE, CARL) for r in crm.mirror.lake.dataset("crm", "orders__history").dicts()),
        sum(r["id"] in ("line-10", "line-11", "line-14") for r in crm.mirror.lake.dataset("crm", "lines__history").dicts()))
    preview = delete(crm.mirror, "crm.people", ALICE, CARL, "--related", "--dry-run", yes=False)
    report = delete(crm.mirror, "crm.people", ALICE, CARL, "--related", "--until-erased")
    assert report["status"] == "erased"
    check_gone(crm)
    # The preview said it all: how many keys, rows, histories, tombstones, rows in quarantine, and rows that stay, since they are Bob's now.
    orders, lines = part(report, "crm.orders"), part(report, "crm.lines")
    assert (orders["keys"], orders["rows"], orders["quarantine_rows"], orders["moved_rows"]) == (5, 1, 5, 2)  # 1, 2, 4, 5 and 6; 3 and 8
    assert (lines["keys"], lines["rows"], lines["quarantine_rows"], lines["moved_rows"]) == (3, 1, 2, 0)
    assert orders["tombstones"] == 1
    assert (orders["history_rows"], lines["history_rows"]) == hers
    counts = ("keys", "rows", "history_rows", "tombstones", "quarantine_rows", "moved_rows")
    for dataset in ("crm.people", "crm.orders", "crm.lines"):
        assert [part(preview, dataset)[c] for c in counts] == [part(report, dataset)[c] for c in counts]
    if crm.history != "false":
        assert crm.past("orders") == [(3, "bob@x.example", "bobs order three"), (8, "bob@x.example", "bobs order eight")]
        assert crm.past("lines") == [("line-12", 3, "bobs line twelve"), ("line-13", 8, "bobs line thirteen")]
    # Nothing of it comes back: not by a replay, nor when it is sent again, mended, at a later version, nor when the parent's row is sent again.
    p = crm.mirror.with_config("quarantine", "replay", "crm.orders", "--all")
    assert p.returncode in (0, 1), p.stderr + p.stdout
    crm.people(ALICE, CARL, v=2)
    for number, person, word in [(1, ALICE, "live"), (2, ALICE, "deleted"), (4, ALICE, "bad"), (6, CARL, "waits")]:
        assert crm.order(number, person, WORDS[word], 5)["suppressed"] == 1
    crm.order(3, ALICE, WORDS["moved"], 1)  # what is Bob's now, as it was then
    for number, order, word in [(10, 2, "line"), (11, 6, "line_waits"), (14, 2, "line_gone")]:
        assert crm.line(number, order, WORDS[word], 5)["suppressed"] == 1
    check_gone(crm)


def test_a_former_child_stays_and_goes_on(crm):
    """Bob's order, which was Alice's once, has a life after the order."""
    delete(crm.mirror, "crm.people", ALICE, CARL, "--related", "--until-erased")
    crm.order(3, "bob@x.example", "bobs order three again", 3)
    assert crm.rows("orders")[3] == ("bob@x.example", "bobs order three again", 3, 3)
    if crm.history != "false":
        assert crm.past("orders") == [(3, "bob@x.example", "bobs order three"), (3, "bob@x.example", "bobs order three again"),
                                      (8, "bob@x.example", "bobs order eight")]


def test_the_first_dataset_of_an_identity_has_only_a_former_row(folder):
    """Of all datasets, by an identity, the one whose name comes first has no row of hers: its note is Bob's by now. The order is carried out for all that."""
    port = free_port()
    crm = Crm(folder, "false")
    m = crm.mirror
    m.write("", f"{UNCOMPRESSED}\nhttp: 127.0.0.1:{port}")
    crm.apply("""
schemas:
  crm.notes:
    columns: {id: {type: long, required: true}, email: string, note: string, v: {type: long, required: true}}
    key: id
    version: v
    relationships: [{columns: email, to: crm.people, cardinality: "M:1"}]
  crm.people:
    columns: {email: {type: string, required: true}, name: string, v: {type: long, required: true}}
    key: email
    version: v
""")
    crm.people(ALICE, "bob@x.example")
    crm.put("crm.notes", {"id": 1, "email": ALICE, "note": WORDS["moved"], "v": 1})
    crm.put("crm.notes", {"id": 1, "email": "bob@x.example", "note": "bobs", "v": 2})
    m.start()
    m.until(lambda: "listening" in m.log.read_text(), "the server")
    body = {"action": "delete_identity", "datasetId": "ALL", "related": True, "identities": [{"namespace": {"code": "email"}, "id": ALICE}]}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/data/core/hygiene/workorder", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201, answer.read()
    m.until(lambda: found(m.lake.folder, [ALICE, WORDS["moved"]]) == [], "the last byte to go")
    assert m.stop() == 0, m.log_tail()
    assert crm.rows("notes") == {1: ("bob@x.example", "bobs", 2)}
    assert [r["email"] for r in m.lake.dataset("crm", "people").dicts()] == ["bob@x.example"]


# ---- mirrored tables ----

@pytest.mark.parametrize("history", ["true", "false"])
def test_children_of_a_mirrored_table_that_are_no_more(folder, history):
    """SQLite: an order that was deleted, and one that was given to another person, both while the mirror followed."""
    path = folder / "shop.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(f"""
        pragma journal_mode = wal;
        create table people (email text primary key, name text);
        create table orders (id integer primary key, person text references people(email), note text);
        insert into people values ('{ALICE}', 'Alice'), ('bob@x.example', 'Bob');
        insert into orders values (1, '{ALICE}', '{WORDS["live"]}'), (2, '{ALICE}', '{WORDS["deleted"]}'), (3, '{ALICE}', '{WORDS["moved"]}'),
            (4, 'bob@x.example', 'bobs');
    """)
    mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {path}\n    history: {history}\n", UNCOMPRESSED)
    mirror.catch_up()
    db.execute("delete from orders where id = 2")
    db.execute("update orders set person = 'bob@x.example', note = 'bobs, too' where id = 3")
    mirror.catch_up()
    traces = [ALICE, WORDS["live"], WORDS["deleted"], WORDS["moved"]]
    assert {t for _, t in found(mirror.lake.folder, traces)} == set(traces)
    report = delete(mirror, "shop.people", ALICE, "--related", "--until-erased")
    orders = part(report, "shop.orders")
    assert (orders["keys"], orders["rows"], orders["moved_rows"]) == (2, 1, 1)
    assert found(mirror.lake.folder, traces) == []
    got = sorted((r["id"], r["person"], r["note"]) for r in mirror.lake.dataset("shop", "orders").dicts())
    assert got == [(3, "bob@x.example", "bobs, too"), (4, "bob@x.example", "bobs")]
    db.execute(f"insert into orders values (2, '{ALICE}', '{WORDS['deleted']}')")
    mirror.catch_up()
    assert found(mirror.lake.folder, traces) == []
    db.close()
