"""What the HTTP API says and does: parameters and fields that it does not know, its health, and renamed work orders."""
import json
import sqlite3
from urllib.parse import quote

import pytest

from oracle import process
from oracle.mirror import Mirror
from test_http_api import DESCRIPTORS, ORDERS, SCHEMAS, Api, body
from test_http_push import free_port


@pytest.fixture
def api(folder):
    m = Api(folder)
    m.start()
    yield m
    assert not m.alive() or m.stop() == 0, m.log_tail()


def test_every_route_refuses_parameters_that_it_does_not_know(api):
    """A misspelled ?dry_run must not commit: name and value are checked before anything is done, on every route."""
    api.items()
    push = "/v1/datasets/s.items/changes"
    rows = {"id": 1, "v": 1}
    routes = [("POST", push, rows), ("GET", "/v1/health", None), ("GET", SCHEMAS, None), ("POST", SCHEMAS, body("s.new", ["id"], id="long")),
              ("GET", f"{SCHEMAS}/s.items", None), ("PUT", f"{SCHEMAS}/s.items", body("s.items", ["id", "v"], id="long", v="long", name="string", email="string", more="long")),
              ("DELETE", f"{SCHEMAS}/s.items", None), ("GET", DESCRIPTORS, None),
              ("POST", DESCRIPTORS, {"@type": "xdm:descriptorVersion", "xdm:sourceSchema": "s.items", "xdm:sourceProperty": "/v"}),
              ("GET", f"{DESCRIPTORS}/1", None), ("PUT", f"{DESCRIPTORS}/1", {}), ("DELETE", f"{DESCRIPTORS}/1", None), ("GET", ORDERS, None),
              ("POST", ORDERS, {"datasetId": "s.items", "keys": ["1"]}), ("GET", f"{ORDERS}/1", None), ("PUT", f"{ORDERS}/1", {"displayName": "x"})]
    before = api.ok("GET", SCHEMAS), api.ok("GET", DESCRIPTORS)
    for method, path, data in routes:
        for parameter in ("foo=1", "dryrun=true", "Dry_Run=true", "=1", "dry_run%20=true"):
            api.refused(method, f"{path}?{parameter}", data, 400, "parameter", parameter.split("=")[0].replace("%20", " "))
    for value in ("yes", "on", "2", "", "tru", "true%00", "null"):
        api.refused("POST", f"{push}?dry_run={value}", rows, 400, "dry_run", "true or false")
        api.refused("DELETE", f"{SCHEMAS}/s.items?drop_rows={value}", None, 400, "drop_rows")
    for parameter, word in (("dry_run=false&dry_run=true", "twice"), ("delimiter=ab", "one character"), ("delimiter=", "one character"),
                            ("drop_rows=true", "unknown"), ("dry_run=true&foo=1", "foo")):
        api.refused("POST", f"{push}?{parameter}", rows, 400, word)
    api.refused("DELETE", f"{SCHEMAS}/s.items?dry_run=true", None, 400, "dry_run")
    assert (api.ok("GET", SCHEMAS), api.ok("GET", DESCRIPTORS)) == before and api.rows() == []
    # What is known goes on working, in every spelling that docs name.
    for value, committed in (("dry_run", 0), ("dry_run=1", 0), ("dry_run=true", 0), ("dry_run=TRUE", 0), ("dry_run=0", 1), ("dry_run=false&null=NA", 1)):
        answer = api.ok("POST", f"{push}?{value}", rows)
        assert (answer["dry_run"], len(api.rows())) == (not committed, committed), value


def test_fields_of_a_work_order_that_nobody_knows_are_refused(api):
    """A misspelled dryRun in the body must not delete."""
    api.items()
    api.ok("POST", "/v1/datasets/s.items/changes", [{"id": 1, "v": 1}, {"id": 2, "v": 1}])
    for extra in ({"dryrun": True}, {"dry_run": True}, {"untilerased": False}, {"Related": True}, {"": 1}, {"dataset": "x"}):
        api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": ["1"], **extra}, 400, "unknown field", list(extra)[0])
    assert len(api.rows()) == 2 and api.ok("GET", ORDERS)["total"] == 0


def test_a_work_order_can_be_renamed(api):
    api.items()
    api.ok("POST", "/v1/datasets/s.items/changes", [{"id": 1, "v": 1}, {"id": 2, "v": 1}])
    order = api.ok("POST", ORDERS, {"displayName": "first", "description": "one", "datasetId": "s.items", "keys": ["1"], "untilErased": False}, 201)
    path = f"{ORDERS}/{order['workorderId']}"
    changed = api.ok("PUT", path, {"displayName": "second", "description": "two"})
    assert changed == {**order, "displayName": "second", "description": "two"} == api.ok("GET", path)
    assert api.ok("PUT", path, {"description": "three"})["displayName"] == "second"
    assert json.loads(api.with_config("delete", "--show", order["workorderId"], "--json").stdout)["name"] == "second"
    api.refused("PUT", path, {}, 400, "changes nothing")
    api.refused("PUT", path, {"datasetId": "s.items"}, 400, "datasetId")
    api.refused("PUT", path, {"displayName": 7}, 400, "displayName")
    api.refused("PUT", f"{ORDERS}/99", {"displayName": "x"}, 404)
    api.refused("PUT", f"{ORDERS}/abc", {"displayName": "x"}, 404)
    assert api.ok("GET", path)["description"] == "three" and len(api.rows()) == 1


# -- health and lag

class Served(Api):
    """A mirror of sources that also listens."""

    def __init__(self, folder, sources):
        self.sources_text = sources
        super().__init__(folder)

    def write(self, sources, options=""):
        self.config.write_text(f"lake: {self.lake.folder}\nhttp: 127.0.0.1:{self.port}\nretry_max: 300ms\ncommit_interval: 50ms\nsources:\n{self.sources_text}")

    def start(self, *arguments, env=None):
        Mirror.start(self, *arguments, env=env)
        process.poll(lambda: self.health() is not None, 20, "the server", context=self.log_tail)

    def health(self, path="/v1/health"):
        self.check_alive()
        try:
            status, answer, _ = self.send("GET", path)
        except OSError:
            return None
        return status, answer["state"], {s["name"]: s["state"] for s in answer.get("sources", [])}


def test_health_tells_a_broken_source_from_a_sound_one(folder):
    """200 while all sources are followed, 503 while one is not; the process alone is asked for with ?live=true. The lag grows meanwhile."""
    with sqlite3.connect(folder / "good.db") as db:
        db.executescript("pragma journal_mode = wal; create table t (id integer primary key); insert into t values (1)")
    with sqlite3.connect(folder / "bad.db") as db:
        db.executescript("pragma journal_mode = wal; create table t (id integer primary key); insert into t values (1)")
    m = Served(folder / "m", f"  good:\n    type: sqlite\n    path: {folder}/good.db\n  bad:\n    type: sqlite\n    path: {folder}/bad.db\n")
    m.start()
    m.until(lambda: m.health() == (200, "running", {"good": "running", "bad": "running"}), "both to run")
    assert m.stop() == 0
    status = m.status()
    assert {s["name"]: (s["state"], s["error"]) for s in status["sources"]} == {"good": ("ended", None), "bad": ("ended", None)}

    server = f"postgresql://nobody@127.0.0.1:{free_port()}/shop"     # nobody listens there
    m.sources_text = f"  good:\n    type: sqlite\n    path: {folder}/good.db\n  bad:\n    type: postgres\n    url: {server}\n"
    m.write("")
    m.start()
    m.until(lambda: m.health() == (503, "degraded", {"good": "running", "bad": "retrying"}), "one to be missed")
    assert m.health("/v1/health?live=true") == (200, "running", {})
    assert "nobody" not in json.dumps(m.send("GET", "/v1/health")[1])         # what it says to whoever asks
    good, bad = m.source_status("good"), m.source_status("bad")
    assert good["lag_seconds"] < 3 and bad["error"] and bad["lag_seconds"] > 0 and bad["lag_bytes"] is None
    m.until(lambda: m.source_status("bad")["lag_seconds"] > bad["lag_seconds"] + 0.2, "the lag to grow")
    assert m.dataset_status("bad.t")["lag_seconds"] > 0 and m.dataset_status("good.t")["lag_seconds"] < 3
    assert "up to" in m.with_config("status").stdout
    m.kill()
    s = m.source_status("good")
    assert s["state"] == "stopped" and "without a clean end" in s["error"] and s["lag_seconds"] > 0


def test_a_source_that_was_never_reached_has_an_unknown_lag(folder):
    m = Mirror(folder / "m", f"  shop:\n    type: postgres\n    url: postgresql://nobody@127.0.0.1:{free_port()}/shop\n", "retry_max: 300ms").start()
    m.until(lambda: m.source_status() and m.source_status()["state"] == "retrying", "the source to be missed")
    s = m.source_status()
    assert s["lag_seconds"] is None and s["lag_bytes"] is None and "unknown" in m.with_config("status").stdout
    m.kill()


def test_a_source_that_is_not_configured_any_more_is_no_trouble(folder):
    for name in ("one", "two"):
        with sqlite3.connect(folder / f"{name}.db") as db:
            db.executescript("pragma journal_mode = wal; create table t (id integer primary key)")
    text = {n: f"  {n}:\n    type: sqlite\n    path: {folder}/{n}.db\n" for n in ("one", "two")}
    m = Served(folder / "m", text["one"] + text["two"])
    m.start()
    m.until(lambda: m.health()[:2] == (200, "running") and set(m.health()[2].values()) == {"running"}, "both to run")
    m.kill()
    m.sources_text = text["one"]
    m.write("")
    m.start()
    m.until(lambda: m.health() == (200, "running", {"one": "running", "two": "not configured"}), "one to run")
    m.until(lambda: m.with_config("status").returncode == 0, "the status to be good")
    assert m.stop() == 0


def test_json_has_no_floating_point_noise(folder):
    """No number of --json has more digits than it needs to read back as itself."""
    with sqlite3.connect(folder / "shop.db") as db:
        db.executescript("pragma journal_mode = wal; create table t (id integer primary key)")
    m = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder}/shop.db\n")
    m.catch_up()
    (folder / "s.yaml").write_text("schemas:\n  - {name: s.items, columns: {id: int64 not null, v: int64 not null}, key: [id], version: v}\n")
    assert m.with_config("schema", "apply", str(folder / "s.yaml")).returncode == 0
    numbers = []
    for i in range(12):   # each takes another time: some of these have no short form as a sum of powers of two
        path = folder / f"{i}.csv"
        path.write_text(f"id,v\n{i},1\n")
        json.loads(m.with_config("ingest", "--json", "s.items", str(path)).stdout, parse_float=numbers.append)
    for _ in range(4):
        json.loads(m.with_config("status", "--json").stdout, parse_float=numbers.append)
    assert len(numbers) >= 16 and all(n == repr(float(n)) for n in numbers), numbers
