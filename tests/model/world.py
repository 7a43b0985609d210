"""The program: the same commands, by every way in, killed at will."""
import csv
import http.client
import io
import json
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq

from oracle import process
from oracle.mirror import Mirror

from . import evolve, kinds, rules

KILLED = -9
COUNTED = ["received", "upserted", "deleted", "stale", "ties", "noop_deletes", "suppressed", "quarantined"]


class Difference(AssertionError):
    """The program does not do what the model says."""


def encode(rows, kind):
    names = list(dict.fromkeys(n for row in rows for n in row))
    if kind == "csv":
        out = io.StringIO()
        w = csv.DictWriter(out, names, lineterminator="\n")
        w.writeheader()
        w.writerows(rows)
        return out.getvalue().encode()
    if kind == "json":
        return ("[" + ",\n".join(json.dumps(row) for row in rows) + "]").encode()      # of equal bad rows on one line only one is kept
    if kind == "ndjson":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    out = io.BytesIO()
    pq.write_table(pa.table({n: pa.array([row.get(n) for row in rows], pa.string()) for n in names}), out)
    return out.getvalue()


class World:
    def __init__(self, folder, names):
        self.folder = folder
        self.port = process.free_port()
        inboxes = "".join(f"  in_{n[2:]}:\n    type: files\n    path: {folder}/in/{n}\n    dataset: {n}\n    poll_interval: 10ms\n" for n in names)
        self.mirror = Mirror(folder, inboxes, f"http: 127.0.0.1:{self.port}\ncommit_interval: 10ms\ncompression: uncompressed")
        for n in names:
            (folder / "in" / n).mkdir(parents=True)
        self.hours, self.number, self.crash = 0, 0, None

    def environment(self):
        return {"DM_CLOCK_AHEAD": str(int(kinds.NOW.timestamp() - self.began) + 3600 * self.hours)}

    began = time.time()

    # -- the process

    def up(self):
        if self.mirror.alive():
            return
        for _ in range(5):
            self.mirror.kill()
            self.mirror.start(env={**self.environment(), **({"DM_CRASH_AT": self.crash} if self.crash else {})})
            self.crash = None
            if process.poll(lambda: self.listening() or not self.mirror.alive(), 60, "the server", 0.01, self.mirror.log_tail) and self.mirror.alive():
                return
        raise Difference("the mirror does not stay\n" + self.mirror.log_tail())

    def listening(self):
        try:
            return self.request("GET", "/v1/health?live=true")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def request(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            c.request(method, path, body, headers or {})
            a = c.getresponse()
            return a.status, a.read().decode()
        finally:
            c.close()

    def until_through(self, send, what):
        """Sends again after each death of the mirror: what is sent must be safe to repeat."""
        for _ in range(5):
            self.up()
            try:
                return send()
            except (OSError, http.client.HTTPException):
                process.poll(lambda: not self.mirror.alive(), 60, "the crash that cut the connection", context=self.mirror.log_tail)
        raise Difference(f"{what} does not get through\n" + self.mirror.log_tail())

    def cli(self, *arguments, codes=(0,)):
        """A command beside the mirror. When the mirror dies under it, again: all of these may be repeated."""
        for _ in range(5):
            p = self.mirror.with_config(*arguments, env=self.environment())
            if p.returncode in codes:
                return p.stdout
            if self.mirror.child is None or self.mirror.alive():
                break
            self.mirror.kill()
        raise Difference(f"{arguments}: code {p.returncode}\n{p.stdout}{p.stderr}\n{self.mirror.log_tail()}")

    # -- commands

    def do(self, c, model, expected):
        """`model` is the state after the command, `expected` what it counts."""
        getattr(self, "do_" + c["do"].replace(" ", "_"))(c, model, expected)

    def do_declare(self, c, model, expected):
        path = self.folder / "schema.yaml"
        path.write_text("schemas:\n" + "".join(evolve.yaml(d) for d in model.datasets.values()))
        self.cli("schema", "apply", str(path))

    def do_take(self, c, model, expected):
        self.number += 1
        body = encode(c["rows"], c["format"])
        counts = getattr(self, "by_" + c["way"])(c, body, model.datasets[c["dataset"]])
        wrong = {k: (counts[k], expected[k]) for k in COUNTED if counts is not None and counts.get(k, 0) != expected[k]}
        if model.datasets[c["dataset"]].refs:
            wrong = {k: v for k, v in wrong.items() if k in ("received", "suppressed")}
        if wrong:
            raise Difference(f"counted (program, model): {wrong}")

    def by_push(self, c, body, d):
        types = {"csv": "text/csv", "json": "application/json", "ndjson": "application/x-ndjson", "parquet": "application/vnd.apache.parquet"}
        headers = {"Idempotency-Key": str(self.number), "Content-Type": types[c["format"]]}
        status, text = self.until_through(lambda: self.request("POST", f"/v1/datasets/{c['dataset']}/changes", body, headers), "a push")
        if status != 200:
            raise Difference(f"push: {status} {text}")
        return json.loads(text)

    def file(self, c, body):
        path = self.folder / f"{self.number:04}.{c['format']}"
        path.write_bytes(body)
        return path

    def by_ingest(self, c, body, d):
        self.quiet()
        return json.loads(self.cli("ingest", c["dataset"], str(self.file(c, body)), "--json", codes=(0, 7)))["files"][0]

    def by_sql(self, c, body, d):
        """A query over texts, so that each is taken as one of a file's is."""
        self.quiet()
        known = {rules.KIND, *(x.name for x in d.columns)}
        path = self.file({"format": "parquet"}, encode([{n: v for n, v in row.items() if n in known} for row in c["rows"]], "parquet"))
        self.cli("sql", f"insert into {c['dataset']} select * from read_parquet('{path}')", codes=(0, 7))
        return None

    def by_folder(self, c, body, d):
        self.up()
        path = self.file(c, body)
        name = f"in/{c['dataset']}/{path.name}"
        os.utime(path, (kinds.NOW.timestamp() - 60,) * 2)
        path.rename(self.folder / name)
        def taken():
            if not self.mirror.alive():
                self.up()
            return self.received(c["dataset"]) >= d.counts["received"]
        process.poll(taken, 60, f"{name} to be taken", 0.02, self.mirror.log_tail)
        return None

    def received(self, dataset):
        for line in json.loads(self.cli("status", "--json", codes=(0, 3)))["datasets"]:
            if line["dataset"] == dataset:
                return line["received"]
        return 0

    def quiet(self):
        """A crash point that still waits must not meet what cannot be repeated."""
        if self.crash or self.armed():
            self.crash = None
            self.mirror.kill()
            self.up()

    def armed(self):
        if not self.mirror.alive():
            return False
        with open(f"/proc/{self.mirror.child.pid}/environ", "rb") as f:
            return b"DM_CRASH_AT" in f.read()

    def do_replay(self, c, model, expected):
        self.cli("quarantine", "replay", c["dataset"], "--all", codes=(0, 1))

    def do_discard(self, c, model, expected):
        self.cli("quarantine", "discard", c["dataset"], "--all", "--yes", codes=(0, 1))

    def do_delete(self, c, model, expected):
        self.cli("delete", c["dataset"], *(w for k in c["keys"] for w in ("--key", spell(k))), "--yes")

    def do_delete_related(self, c, model, expected):
        self.cli("delete", c["dataset"], *(w for k in c["keys"] for w in ("--key", spell(k))), "--related", "--yes")

    def do_unsuppress(self, c, model, expected):
        self.cli("delete", c["dataset"], *(w for k in c["keys"] for w in ("--key", spell(k))), "--unsuppress")

    def do_reshape(self, c, model, expected):
        path = self.folder / "schema.yaml"
        path.write_text("schemas:\n" + evolve.renamed(evolve.yaml(model.datasets[c["dataset"]], expected), c))
        self.cli("schema", "apply", str(path))

    def do_expire(self):
        self.cli("expire")

    def do_later(self, c, model, expected):
        self.hours = model.hours
        self.mirror.kill()

    def do_kill(self, c, model, expected):
        self.mirror.kill()
        self.crash = c["at"]

    def do_lose_index(self, c, model, expected):
        self.mirror.kill()
        self.mirror.lake.remove_index()


def spell(key):
    """As the command line wants a key of one column, or of several."""
    if len(key) == 1:
        return key[0]
    return ",".join(f'"{v}"' if "," in v or '"' in v else v for v in key)

