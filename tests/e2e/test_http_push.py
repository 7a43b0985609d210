"""HTTP push: changes sent to a running mirror are answered when they are committed, once however often they are sent."""
import gzip
import http.client
import json
import random
import socket
import subprocess
import threading

import pytest

from oracle import process
from oracle.mirror import BINARY, Mirror

SCHEMA = """schemas:
  - name: sales.orders
    columns:
      id: int64 not null
      status: {type: string, enum: [open, sent, done]}
      total: decimal(12,2)
      version: int64 not null
    key: [id]
    version: version
"""
TOKEN = "correct horse battery staple"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Pushed(Mirror):
    """A mirror that only listens."""

    def __init__(self, folder, more=""):
        self.port = free_port()
        self.more = more
        super().__init__(folder, "")
        self.declare_first()

    def declare_first(self):
        (self.folder / "schema.yaml").write_text(SCHEMA)
        p = self.with_config("schema", "apply", str(self.folder / "schema.yaml"))
        assert p.returncode == 0, p.stdout + p.stderr

    def write(self, sources, options=""):
        self.config.write_text(f"lake: {self.lake.folder}\nhttp: 127.0.0.1:{self.port}\n{self.more}\n")

    def start(self, *arguments, env=None):
        super().start(*arguments, env=env)

        def listening():
            self.check_alive()
            try:
                return self.send("GET", "/v1/health", token=None)[0] == 200
            except OSError:
                return False
        process.poll(listening, 20, "the server", context=self.log_tail)
        return self

    def send(self, method, path, body=None, headers=None, token=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            c.request(method, path, body=body, headers={**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})})
            r = c.getresponse()
            text = r.read()
            return r.status, json.loads(text) if text else None, r.headers
        finally:
            c.close()

    def push(self, rows, key=None, dataset="sales.orders", **kwargs):
        headers = {"Content-Type": "application/x-ndjson", **({"Idempotency-Key": key} if key else {})}
        return self.send("POST", f"/v1/datasets/{dataset}/changes", "".join(json.dumps(r) + "\n" for r in rows), headers, **kwargs)

    def orders(self):
        return {r["id"]: (r["status"], r["version"]) for r in self.query("select * from sales.orders")}


@pytest.fixture
def pushed(folder):
    m = Pushed(folder)
    m.start()
    yield m
    m.kill()


def order(i, version, status="open", **more):
    return {"id": i, "status": status, "total": "1.50", "version": version, **more}


def test_push_is_answered_after_the_commit(pushed):
    assert "no sources to follow" in pushed.log_tail()
    status, answer, _ = pushed.push([order(1, 1), order(2, 1), order(1, 2, "sent"), order(2, 0)])
    assert status == 200, answer
    assert (answer["received"], answer["upserted"], answer["stale"], answer["quarantined"]) == (4, 3, 1, 0)
    assert pushed.orders() == {1: ("sent", 2), 2: ("open", 1)}    # at once: no waiting
    status, answer, _ = pushed.push([{"id": 1, "version": 2, "_change_request_type": "d"}, {"id": 9, "version": 5, "_change_request_type": "D"}])
    assert status == 200 and answer["deleted"] == 1 and answer["noop_deletes"] == 1
    assert pushed.orders() == {2: ("open", 1)}
    status, answer, _ = pushed.push([order(9, 4)])                # older than its delete
    assert answer["stale"] == 1 and pushed.orders() == {2: ("open", 1)}


def test_push_survives_kill_9_after_the_answer(pushed):
    for i in range(20):
        assert pushed.push([order(i, 1)])[0] == 200
    pushed.kill()
    assert pushed.orders() == {i: ("open", 1) for i in range(20)}


def test_resent_request_changes_nothing(pushed):
    first = pushed.push([order(1, 1)], key="a-1")
    assert first[0] == 200 and first[1]["upserted"] == 1 and not first[1]["repeated"]
    assert pushed.push([order(1, 2, "done")], key="a-2")[0] == 200
    again = pushed.push([order(1, 1)], key="a-1")
    assert again[0] == 200 and again[1]["repeated"] and again[1]["upserted"] == 1
    pushed.kill()
    pushed.start()                                                # the receipt outlives the process
    again = pushed.push([order(1, 1)], key="a-1")
    assert again[1]["repeated"] and pushed.orders() == {1: ("done", 2)}
    other = pushed.push([order(7, 1)], key="a-1")                 # the key of another request: not silently dropped
    assert other[0] == 409 and other[1]["error"]["code"] == "conflict" and 7 not in pushed.orders()


@pytest.mark.smoke
def test_many_clients_share_commits(pushed):
    """Every request is answered with its own counts, though many share one commit."""
    answers, errors = [], []

    def client(number):
        try:
            for i in range(20):
                rows = [order(number * 1000 + i * 10 + k, 1) for k in range(number % 3 + 1)]
                status, answer, _ = pushed.push(rows, key=f"{number}-{i}")
                answers.append((status, answer["received"], answer["upserted"], len(rows)))
        except Exception as e:
            errors.append(e)
    threads = [threading.Thread(target=client, args=(n,)) for n in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert not errors, errors
    assert len(answers) == 240 and all(a[0] == 200 and a[1] == a[2] == a[3] for a in answers)
    assert len(pushed.orders()) == sum(a[3] for a in answers)


def test_one_resent_while_the_first_is_on_its_way(pushed):
    """Two equal requests at once: one is applied, both hear the same."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(pushed.push([order(1, 1)], key="twin"))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert [a[0] for a in answers] == [200] * 8
    assert sorted(a[1]["repeated"] for a in answers) == [False] + [True] * 7 and all(a[1]["upserted"] == 1 for a in answers)


@pytest.mark.parametrize("content_type,body", [
    ("application/json", b'[{"id": 1, "status": "open", "total": 2.5, "version": 1}, {"id": 2, "version": 1}]'),
    ("text/csv", b"id,status,total,version\r\n1,open,2.50,1\r\n2,,,1\r\n"),
    ("text/csv; charset=utf-8", b"version;total;status;id\n1;2.5;open;1\n1;;;2\n"),
    ("application/x-ndjson", b'{"id": 1, "status": "open", "total": "2.5", "version": 1}\n\n{"id": 2, "version": 1}\n'),
    (None, b'{"id": 1, "status": "open", "total": 2.50, "version": 1}\n{"id": 2, "version": 1}\n'),
], ids=["json", "csv", "semicolons", "ndjson", "untold"])
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_push_formats(pushed, content_type, body, encoding):
    headers = {**({"Content-Type": content_type} if content_type else {}), **({"Content-Encoding": encoding} if encoding else {})}
    status, answer, _ = pushed.send("POST", "/v1/datasets/sales.orders/changes", gzip.compress(body) if encoding else body, headers)
    assert status == 200 and answer["upserted"] == 2, answer
    assert pushed.query("select id, status, cast(total as varchar) as total, version from sales.orders order by id") == [
        {"id": 1, "status": "open", "total": "2.50", "version": 1}, {"id": 2, "status": None, "total": None, "version": 1}]


def test_bad_rows_are_quarantined_and_counted(pushed):
    body = b'{"id": 1, "status": "open", "version": 1}\n{"id": "x", "version": 1}\nnot json\n{"id": 3, "status": "lost", "version": 1}\n{"id": 4}\n'
    status, answer, _ = pushed.send("POST", "/v1/datasets/sales.orders/changes", body, {"Content-Type": "application/x-ndjson", "Idempotency-Key": "q"})
    assert status == 200 and (answer["received"], answer["upserted"], answer["quarantined"]) == (5, 1, 4), answer
    assert pushed.orders() == {1: ("open", 1)}
    p = pushed.with_config("quarantine", "show", "sales.orders", "--json")
    assert p.returncode == 0, p.stderr
    assert [n in p.stdout for n in ("request q:2", "request q:3", "request q:4", "request q:5")] == [True] * 4, p.stdout


def test_refusals_say_why(pushed):
    def code(answer):
        assert answer[1]["error"]["message"], answer
        return answer[0], answer[1]["error"]["code"]
    assert code(pushed.push([order(1, 1)], dataset="sales.order")) == (404, "unknown_dataset")
    assert code(pushed.send("GET", "/v1/datasets/sales.orders/changes")) == (405, "method_not_allowed")
    assert code(pushed.send("POST", "/nowhere", b"x")) == (404, "not_found")
    assert code(pushed.send("POST", "/v1/datasets/sales.orders/changes", b"{}", {"Content-Type": "text/html"})) == (415, "unknown_content_type")
    assert code(pushed.send("POST", "/v1/datasets/sales.orders/changes", b"{}", {"Content-Encoding": "br"})) == (415, "unknown_content_encoding")
    bad = gzip.compress(b'{"id": 1, "version": 1}\n' * 100000)[:-200]
    assert pushed.send("POST", "/v1/datasets/sales.orders/changes", bad, {"Content-Encoding": "gzip"})[0] == 422
    assert pushed.orders() == {}
    assert pushed.push([])[0] in (200, 422)                       # an empty body is no change, never an error of ours
    assert pushed.alive()


def test_errors_name_the_request(pushed):
    """Not the file that its body was put into."""
    url = "/v1/datasets/sales.orders/changes"
    for body, headers in [(b"PAR1 no", {"Content-Type": "application/vnd.apache.parquet"}), (b"no,such,columns\n1,2,3\n", {"Content-Type": "text/csv"}),
                          (b'[{"id": 1}, ', {"Content-Type": "application/json"}), (gzip.compress(b'{"id": 1}\n' * 99999)[:-99], {"Content-Encoding": "gzip"}),
                          (b"no gzip", {"Content-Encoding": "gzip"})]:
        status, answer, _ = pushed.send("POST", url, body, {"Idempotency-Key": "r-1", **headers})
        text = json.dumps(answer)
        assert status == 422 and "request r-1" in text and ".push" not in text and str(pushed.folder) not in text, text


def test_token_and_body_limit(folder):
    port = free_port()
    m = Mirror(folder, "")
    m.config.write_text(f"lake: {m.lake.folder}\nhttp: 127.0.0.1:{port}\nhttp_token: {TOKEN}\nhttp_max_body: 10KiB\n")
    (folder / "schema.yaml").write_text(SCHEMA)
    assert m.with_config("schema", "apply", str(folder / "schema.yaml")).returncode == 0
    m.port = port
    send = lambda *a, **k: Pushed.send(m, *a, **k)   # noqa: E731
    m.start()
    try:
        def listening():
            m.check_alive()
            try:
                return send("GET", "/v1/health")[0] == 200
            except OSError:
                return False
        process.poll(listening, 20, "the server", context=m.log_tail)
        path, body = "/v1/datasets/sales.orders/changes", json.dumps(order(1, 1)).encode()
        for token in (None, "wrong", TOKEN + "x", TOKEN[:-1]):
            status, answer, headers = send("POST", path, body, token=token)
            assert status == 401 and answer["error"]["code"] == "unauthorized" and headers["WWW-Authenticate"] == "Bearer"
        assert send("POST", path, body, headers={"Authorization": f"bearer {TOKEN}"})[0] == 200     # the scheme's case says nothing
        assert send("POST", path, body, headers={"Authorization": f"Basic {TOKEN}"})[0] == 401
        assert send("POST", path, body, token=TOKEN)[0] == 200
        status, answer, _ = send("POST", path, iter([b" " * 4096] * 8), token=TOKEN)    # chunked: no length told before
        assert status == 413 and answer["error"]["code"] == "body_too_large"
        assert send("GET", "/v1/health")[0] == 200
        assert TOKEN not in m.log.read_text()
        process.poll(lambda: not list((m.lake.folder / ".push").iterdir()), 10, "the bodies to be removed")
    finally:
        assert m.stop() == 0


def test_open_address_wants_a_token(folder):
    m = Mirror(folder, "")
    m.config.write_text(f"lake: {m.lake.folder}\nhttp: 0.0.0.0:{free_port()}\n")
    p = subprocess.run([str(BINARY), "run", "-c", str(m.config)], capture_output=True, text=True, timeout=60)
    assert p.returncode == 2 and "http_token" in p.stderr, p.stderr


def test_clean_end_answers_what_is_in_hand(pushed, seed):
    """Requests meet the end of the mirror: what was answered 200 is there, what was not can be sent again."""
    r = random.Random(seed)
    outcome = {}

    def client(number):
        for i in range(1000):
            key = number * 1000 + i
            try:
                status, _, _ = pushed.push([order(key, 1)])
                outcome[key] = status == 200
                if status != 200:
                    return
            except OSError:
                return
    threads = [threading.Thread(target=client, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    pushed.until(lambda: len(outcome) > r.randrange(20, 60), "some requests", 60, 0.01)
    assert pushed.stop() == 0
    for t in threads:
        t.join(60)
    there = pushed.orders()
    assert {k for k, ok in outcome.items() if ok} <= set(there)
