"""Power cuts while a mirror takes in pushes over HTTP and the files of a watched folder.

Who pushes sends the next request when the last one is answered, so the dataset shows the first m of them, and an answered one must be there. A watched
folder has no answer: its dataset shows the first m files. Both keep a history with a row per change: what was taken in twice would be there twice.
"""
import http.client
import json
import os
import random
import socket
from collections import Counter

import pytest

from oracle import power, process
from oracle.mirror import Mirror

PUSHES = 60
FILES = 40
SCHEMA = "schemas:\n" + "".join(f"""
  sales.{name}:
    columns:
      id: {{type: long, required: true}}
      item: string
      version: {{type: long, required: true}}
    key: id
    version: version
    history: true
""" for name in ("pushed", "watched"))


def batch(seed, what, i):
    """Changes number i: (id, item, version, kind)."""
    r = random.Random(f"{seed} {what} {i}")
    return [(k, f"{what} {i}", i + 1, "d" if r.random() < 0.2 else "u") for k in r.sample(range(40), r.randrange(1, 12))]


def states(seed, what, n):
    """The rows after 0, 1, … n batches."""
    rows, out = {}, [{}]
    for i in range(n):
        for k, item, version, kind in batch(seed, what, i):
            rows.pop(k, None)
            if kind == "u":
                rows[k] = (item, version)
        out.append(dict(rows))
    return out


class Shop(Mirror):
    def __init__(self, folder, seed):
        self.seed = seed
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.inbox = folder / "in"
        self.inbox.mkdir()
        super().__init__(folder / "m", f"  inbox: {{type: files, path: {self.inbox}, dataset: sales.watched, poll_interval: 10ms}}",
                         f"http: 127.0.0.1:{self.port}\ncommit_interval: 10ms\nmetadata_versions: 6")

    def send(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def listening(self):
        def ask():
            try:
                return self.send("GET", "/v1/health")[0] in (200, 503)
            except OSError:
                return False
        self.until(ask, "the server", every=0.01)

    def push(self, i):
        lines = [{"id": k, "item": item, "version": v, "_change_request_type": kind} for k, item, v, kind in batch(self.seed, "push", i)]
        status, answer = self.send("POST", "/v1/datasets/sales.pushed/changes", "".join(json.dumps(x) + "\n" for x in lines),
                                   {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"push {i}"})
        assert status == 200, (i, status, answer)

    def put(self, i):
        lines = "".join(f"{k},{item},{v},{kind}\n" for k, item, v, kind in batch(self.seed, "file", i))
        (self.inbox / f".{i:03}.csv").write_text("id,item,version,_change_request_type\n" + lines)
        os.rename(self.inbox / f".{i:03}.csv", self.inbox / f"{i:03}.csv")


def rows(lake, name):
    d = lake.dataset("sales", name)
    return None if d is None else {r["id"]: (r["item"], r["version"]) for r in d.dicts()}


def history(lake, name):
    d = lake.dataset("sales", f"{name}__history")
    return Counter() if d is None else Counter(str(sorted((k, str(v)) for k, v in r.items() if k in ("id", "item", "version", "_op", "_change_type")))
                                               for r in d.dicts())


@pytest.fixture
def shop(folder, seed):
    s = Shop(folder, seed)
    yield s
    s.kill()


def test_intake(shop, folder, seed):
    (folder / "schemas.yaml").write_text(SCHEMA)
    recording = power.Recording(folder / "record", shop.lake.folder)
    p = shop.with_config("schema", "apply", str(folder / "schemas.yaml"), env=recording.environment())
    assert p.returncode == 0, p.stdout + p.stderr
    recording.mark("declared")
    for part in range(2):
        shop.start(env=recording.environment())
        shop.listening()
        for i in range(part * PUSHES // 2, (part + 1) * PUSHES // 2):
            if i < FILES:
                shop.put(i)
            shop.push(i)
            recording.mark("push")
        if part == 0:
            shop.kill()
    pushed, watched = states(seed, "push", PUSHES), states(seed, "file", FILES)
    process.poll(lambda: rows(power.catalog_copy(shop.lake, folder / "catalog"), "watched") == watched[-1], 60, "the last file")
    shop.stop()
    log = recording.finish()
    final = {name: history(shop.lake, name) for name in ("pushed", "watched")}
    assert all(sum(h.values()) > 100 for h in final.values())
    declared = next(i for i, record in enumerate(log) if record.op == power.MARK)
    answered = 0

    def recover(env, cut):
        shop.start(env=env)
        shop.listening()
        shop.until(lambda: rows(power.catalog_copy(shop.lake, folder / "catalog"), "watched") == watched[-1], f"{cut}: the last file")
        shop.kill()
    for cut in power.cut_states(recording, log, seed, power.CUTS, folder, declared, recover):
        catalog = power.catalog_copy(shop.lake, folder / "catalog")
        done = cut.before.count("push")
        assert rows(catalog, "pushed") in pushed[done:done + 2], f"{cut}: not the state after push {done} or {done + 1}"
        assert rows(catalog, "watched") in watched, f"{cut}: files half taken in"
        answered += done > 0
        shop.start(env=recording.after_reboot())
        shop.listening()
        for i in range(max(0, done - 1), PUSHES):   # the last answered one again, and all that were not
            shop.push(i)
        shop.until(lambda: rows(power.catalog_copy(shop.lake, folder / "catalog"), "watched") == watched[-1], f"{cut}: the last file")
        assert rows(shop.lake, "pushed") == pushed[-1], str(cut)
        assert shop.stop() == 0, shop.log_tail()
        for name, expected in final.items():
            found = history(shop.lake, name)
            assert found == expected, f"{cut}: history of {name}: missing {expected - found}, too much {found - expected}"
    print(f"power cuts: {power.CUTS} of {len(log)} records, {answered} after an answer, seed {seed}")
