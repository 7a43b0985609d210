"""Receipts, by which files and requests are taken exactly once, hold no name of a file and no idempotency key; they go on working after an erasure."""
import json
import os
import sqlite3

from oracle import process
from oracle.mirror import Mirror
from test_delete import delete, found
from test_http_push import free_port

NAME = "erika.mustermann@secret.example"  # in the name of a file, and in a key that a program gave its request
SCHEMA = """
schemas:
  crm.people: {columns: {email: {type: string, required: true}, v: {type: long, required: true}}, key: email, version: v}
"""


class Watched(Mirror):
    """A mirror with a watched folder and a door for requests."""

    def __init__(self, folder):
        self.port, self.box = free_port(), folder / "in"
        self.box.mkdir()
        source = f"  box: {{type: files, path: {self.box}, dataset: crm.people, poll_interval: 50ms}}\n"
        super().__init__(folder, source, f"commit_interval: 50ms\ncompression: uncompressed\nhttp: 127.0.0.1:{self.port}")
        (self.folder / "schemas.yaml").write_text(SCHEMA)
        p = self.with_config("schema", "apply", str(self.folder / "schemas.yaml"))
        assert p.returncode == 0, p.stderr + p.stdout

    def push(self, key, *rows):
        import http.client
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request("POST", "/v1/datasets/crm.people/changes", "".join(json.dumps(r) + "\n" for r in rows),
                  {"Content-Type": "application/x-ndjson", "Idempotency-Key": key})
        answer = json.loads(c.getresponse().read())
        c.close()
        return answer

    def put(self, name, *rows):
        (self.box / f".{name}").write_text("".join(json.dumps(r) + "\n" for r in rows))
        os.rename(self.box / f".{name}", self.box / name)

    def people(self):
        got = self.lake.dataset("crm", "people")
        return {} if got is None else {r["email"]: r["v"] for r in got.dicts()}

    def received(self):
        return self.dataset_status("crm.people")["received"]

    def until_people(self, expected):
        self.until(lambda: self.people() == expected, f"{expected}")

    def listen(self):
        self.start()

        def listening():
            self.check_alive()
            try:
                return "repeated" in self.push("warm-up")
            except OSError:
                return False
        process.poll(listening, 20, "the server", context=self.log_tail)


def test_names_of_files_and_keys_of_requests(folder):
    m = Watched(folder)
    try:
        m.put(f"{NAME}.ndjson", {"email": NAME, "v": 1}, {"email": "bob", "v": 1})
        m.listen()
        m.until_people({NAME: 1, "bob": 1})
        assert m.push(f"for {NAME}", {"email": NAME, "v": 2}, {"email": "carol", "v": 1})["repeated"] is False
        assert delete(m, "crm.people", NAME, "--until-erased")["status"] == "erased"
        assert found(m.lake.folder, [NAME]) == []
        # The receipts are as good as before: the same request is known, another one of its key is refused, and the file is not taken again.
        received = m.received()
        assert m.push(f"for {NAME}", {"email": NAME, "v": 2}, {"email": "carol", "v": 1})["repeated"] is True
        assert "other content" in json.dumps(m.push(f"for {NAME}", {"email": "dora", "v": 2}))
        m.stop()
        m.put("z.ndjson", {"email": "eve", "v": 1})
        m.listen()
        m.until_people({"bob": 1, "carol": 1, "eve": 1})
        assert m.received() == received + 1
        assert found(m.lake.folder, [NAME]) == []
    finally:
        m.kill()


def test_receipts_of_an_older_lake(folder):
    """Where names stand in clear, they are hashed when the lake is opened."""
    m = Watched(folder)
    try:
        m.put(f"{NAME}.ndjson", {"email": "bob", "v": 1})
        m.listen()
        m.until_people({"bob": 1})
        m.stop()
        file = m.box / f"{NAME}.ndjson"
        with sqlite3.connect(m.lake.folder / "catalog.db") as db:
            tail, = db.execute("select key from dm_receipt where kind = 'file'").fetchone()
            tail = "/".join(tail.split("/")[-3:])
            assert tail.split("/")[0] == str(file.stat().st_size)
            db.execute("update dm_receipt set key = ?, hashed = 0 where kind = 'file'", (f"box/{NAME}.ndjson/{tail}",))
            db.execute("insert into dm_receipt(kind, dataset, key, content, result, time_us, hashed)"
                       " values ('request', 'crm.people', ?, null, '{\"received\": 7}', 4000000000000000, 0)", (f"old {NAME}",))
        db.close()
        m.put("z.ndjson", {"email": "eve", "v": 1})
        before = m.received()
        m.listen()
        m.until_people({"bob": 1, "eve": 1})
        assert m.received() == before + 1
        assert m.push(f"old {NAME}", {"email": "frank", "v": 1})["received"] == 7
        with sqlite3.connect(m.lake.folder / "catalog.db") as db:
            assert NAME not in str(db.execute("select * from dm_receipt").fetchall())
        db.close()
    finally:
        m.kill()
