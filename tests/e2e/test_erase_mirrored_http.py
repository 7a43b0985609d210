"""Orders of deletion over HTTP on mirrored tables whose mirror goes on: the bytes go while it runs, and every change after that finds its row."""
import json
import sqlite3
import urllib.request

import pytest

from oracle.mirror import Mirror
from oracle.process import free_port


def order(port, keys):
    body = json.dumps({"datasetId": "shop.t", "keys": keys}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/data/core/hygiene/workorder", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["workorderId"]


def wait_erased(mirror, port, number):
    def done():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/core/hygiene/workorder/{number}") as answer:
            return json.load(answer)["status"] == "erased"
    mirror.until(done, f"order {number} to be done", every=0.05)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_changes_after_an_order_find_their_rows(folder, database, kind):
    port = free_port()
    rows = {i: f"v{i}" for i in range(1, 301)}
    options = f"commit_interval: 100ms\nhttp: 127.0.0.1:{port}"
    if kind == "sqlite":
        db = sqlite3.connect(folder / "shop.db", isolation_level=None)
        db.execute("pragma journal_mode = wal")
        execute = db.execute
        mirror = Mirror(folder / "m2", f"  shop:\n    type: sqlite\n    path: {folder / 'shop.db'}\n", options)
    else:
        execute = database.execute
        mirror = database.mirror(options=options)
    execute("create table t (id integer primary key, v text)")
    execute("insert into t values " + ", ".join(f"({i}, '{v}')" for i, v in rows.items()))
    mirror.start()
    mirror.until_dataset("t", lambda r: len(r.rows) == 300, "copied")
    for n, key in enumerate((5, 150), 1):
        wait_erased(mirror, port, order(port, [key]))
        del rows[key]
        execute(f"update t set v = 'changed {n}' where id in (7, {100 + n})")
        execute(f"delete from t where id = {200 + n}")
        execute(f"insert into t values ({1000 + n}, 'new')")
        rows.update({7: f"changed {n}", 100 + n: f"changed {n}", 1000 + n: "new"})
        del rows[200 + n]
        mirror.until_dataset("t", lambda r: any(x["id"] == 1000 + n for x in mirror.query("from shop.t")), "the changes")  # noqa: B023
        assert sorted((x["id"], x["v"]) for x in mirror.query("from shop.t")) == sorted(rows.items())
    assert mirror.stop() == 0, mirror.log_tail()
    p = mirror.with_config("verify")
    assert p.returncode == 0, p.stdout + p.stderr
