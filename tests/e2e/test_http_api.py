"""The HTTP API of a running mirror: schemas, their descriptors, and record deletes, with the documented bodies."""
import json
import random
import threading
from urllib.parse import quote

import pytest

from oracle import process
from test_http_push import TOKEN, Pushed

SCHEMAS = "/data/foundation/schemaregistry/tenant/schemas"
DESCRIPTORS = "/data/foundation/schemaregistry/tenant/descriptors"
ORDERS = "/data/core/hygiene/workorder"


def body(title, required=(), behavior="record", **properties):
    words = {"string": {"type": "string"}, "long": {"type": "integer"}, "time": {"type": "string", "format": "date-time"}}
    return {"title": title, "type": "object", "description": "…",
            "definitions": {"customFields": {"type": "object", "properties": {n: words.get(p, p) if isinstance(p, str) else p for n, p in properties.items()},
                                             "required": list(required)}},
            "allOf": [{"$ref": "#/definitions/customFields", "meta:xdmType": "object"}],
            "meta:extends": ["https://ns.adobe.com/xdm/data/adhoc-v2"], "meta:behaviorType": behavior}


class Api(Pushed):
    """A mirror with an empty registry, driven over HTTP alone."""
    token = None

    def declare_first(self):
        pass

    def send(self, method, path, data=None, headers=None, token=None):
        if data is not None and not isinstance(data, (bytes, str)):
            data = json.dumps(data).encode()
        if data is not None:
            headers = {"Content-Type": "application/json", **(headers or {})}
        return self.plain(method, path, data, headers, token)

    def plain(self, method, path, data=None, headers=None, token=None):
        return super().send(method, path, data, headers, token=token or self.token)

    def ok(self, method, path, data=None, code=200, headers=None):
        status, answer, _ = self.send(method, path, data, headers)
        assert status == code, (status, answer)
        return answer

    def refused(self, method, path, data, code, *words):
        """A problem: the documented form, and the push API's."""
        status, answer, _ = self.send(method, path, data)
        assert status == code and answer["status"] == code and answer["title"] and answer["detail"] == answer["error"]["message"], (status, answer)
        text = answer["detail"] + " " + (answer["hint"] or "")
        assert all(w in text for w in words), text
        return answer

    def create(self, *arguments, **properties):
        return self.ok("POST", SCHEMAS, body(*arguments, **properties), 201)

    def describe(self, kind, schema, prop, code=201, **more):
        return self.ok("POST", DESCRIPTORS, {"@type": f"xdm:descriptor{kind}", "xdm:sourceSchema": schema, "xdm:sourceProperty": prop, **more}, code)

    def items(self, name="s.items"):
        s = self.create(name, ["id", "v"], id="long", v="long", name="string", email="string")
        self.describe("PrimaryKey", s["$id"], ["/id"])
        self.describe("Version", s["$id"], "/v")
        return s

    def rows(self, dataset="s.items"):
        return sorted(self.query(f"select * from {dataset}"), key=str)


@pytest.fixture
def api(folder):
    m = Api(folder)
    m.start()
    yield m
    assert not m.alive() or m.stop() == 0, m.log_tail()      # a clean end also lets a sanitizer say what it found


# ---- schemas and descriptors ----

def test_schema_then_descriptors_one_at_a_time(api):
    s = api.create("marketing.customers", ["customer_id", "updated_at"], customer_id={"title": "Customer ID", "type": "string", "minLength": 1}, name="string",
                   email={"type": "string", "format": "email", "minLength": 1}, updated_at="time")
    assert s["$id"] and s["meta:altId"] == "marketing.customers" and s["meta:resourceType"] == "schemas" and s["version"] == "1.0" and s["meta:containerId"]
    assert s["title"] == "marketing.customers" and s["meta:behaviorType"] == "record" and s["datamirror:missing"] == ["xdm:descriptorPrimaryKey", "xdm:descriptorVersion"]
    assert s["definitions"]["customFields"]["required"] == ["customer_id", "updated_at"]
    row = {"customer_id": "a", "name": "x", "updated_at": "2026-01-01T00:00:00Z"}
    status, answer, _ = api.push([row], dataset="marketing.customers")
    assert status == 400 and "still needs primary key, version" in answer["error"]["message"] and "descriptors" in answer["error"]["hint"]
    key = api.describe("PrimaryKey", s["$id"], "/customer_id")
    assert key["@id"] and key["@type"] == "xdm:descriptorPrimaryKey" and key["xdm:sourceSchema"] == s["$id"] and key["xdm:sourceProperty"] == "/customer_id"
    listed = json.loads(api.with_config("schema", "list", "--json").stdout)
    assert (listed["complete"], listed["missing"]) == (False, "version")
    assert "marketing.customers is incomplete" in api.with_config("schema", "list").stdout
    assert "it still needs version" in api.with_config("schema", "show", "marketing.customers").stdout
    assert [(d["dataset"], d["state"], d["reason"]) for d in json.loads(api.with_config("status", "--json").stdout)["datasets"]] == [
        ("marketing.customers", "incomplete", "its schema still needs version")]
    p = api.with_config("ingest", "marketing.customers", "/dev/null")
    assert p.returncode == 2 and "still needs version" in p.stderr
    p = api.with_config("sql", "insert into marketing.customers select 'a' as customer_id")
    assert p.returncode != 0 and "still needs version" in p.stderr
    version = api.describe("Version", "marketing.customers", "/updated_at")
    status, answer, _ = api.push([row], dataset="marketing.customers")
    assert (status, answer["upserted"]) == (200, 1) and api.rows("marketing.customers")[0]["customer_id"] == "a", answer
    assert [d["@id"] for d in api.ok("GET", DESCRIPTORS)["results"]] == [key["@id"], version["@id"]]
    assert api.ok("GET", f"{DESCRIPTORS}?schema={quote(s['$id'])}")["_page"]["count"] == 2
    assert api.ok("GET", f"{DESCRIPTORS}/{quote(version['@id'], safe='')}") == version
    assert "datamirror:missing" not in api.ok("GET", f"{SCHEMAS}/{quote(s['$id'], safe='')}")
    assert api.ok("GET", f"{SCHEMAS}/marketing.customers")["$id"] == s["$id"]
    assert [x["$id"] for x in api.ok("GET", SCHEMAS)["results"]] == [s["$id"]]


def test_an_incomplete_schema_outlives_the_process(api):
    s = api.create("s.t", ["id", "v"], id="long", v="long")
    api.describe("Version", s["$id"], "/v")
    api.kill()
    assert "s.t is incomplete" in api.with_config("schema", "list").stdout
    assert api.with_config("check").returncode == 0                      # nor do other commands stumble over it
    assert api.with_config("expire").returncode == 0
    assert api.with_config("query", "select 1").returncode == 0
    api.start()
    api.describe("PrimaryKey", s["$id"], ["/id"])
    assert api.push([{"id": 1, "v": 1}], dataset="s.t")[0] == 200
    api.kill()
    api.start()
    assert api.rows("s.t") == [{"id": 1, "v": 1}]


def test_an_incomplete_schema_can_be_completed_by_apply_and_dropped(api, folder):
    api.create("s.t", id="long", v="long")
    (folder / "t.yaml").write_text("name: s.t\ncolumns: {id: int64 key, n: string, v: int64 version}\n")
    p = api.with_config("schema", "apply", str(folder / "t.yaml"))
    assert p.returncode == 0, p.stderr
    assert api.push([{"id": 1, "v": 1, "n": "a"}], dataset="s.t")[0] == 200
    api.create("s.u", id="long", v="long")
    assert api.with_config("schema", "drop", "s.u").returncode == 0
    api.create("s.u", id="long", v="long")
    assert api.ok("DELETE", f"{SCHEMAS}/s.u", code=204) is None
    assert [s["title"] for s in api.ok("GET", SCHEMAS)["results"]] == ["s.t"]


def test_a_time_series_needs_its_timestamp(api):
    s = api.create("s.e", ["id", "at", "v"], "time-series", id="long", at="time", v="long")
    assert s["datamirror:missing"] == ["xdm:descriptorPrimaryKey", "xdm:descriptorVersion", "xdm:descriptorTimestamp"]
    api.describe("PrimaryKey", s["$id"], ["/id", "/at"])
    api.describe("Version", s["$id"], "/v")
    assert api.push([{"id": 1, "at": "2026-01-01T00:00:00Z", "v": 1}], dataset="s.e")[0] == 400
    api.refused("POST", DESCRIPTORS, {"@type": "xdm:descriptorTimestamp", "xdm:sourceSchema": s["$id"], "xdm:sourceProperty": "/v"}, 400, '"v"', "date-time")
    api.describe("Timestamp", s["$id"], "/at")
    assert api.push([{"id": 1, "at": "2026-01-01T00:00:00Z", "v": 1}], dataset="s.e")[0] == 200


def test_another_timestamp_divides_anew_before_the_first_row_only(api):
    s = api.create("s.e", ["id", "a", "b", "v"], "time-series", id="long", a="time", b="time", v="long")
    api.describe("PrimaryKey", s["$id"], ["/id", "/a", "/b"])
    api.describe("Version", s["$id"], "/v")
    timestamp = api.describe("Timestamp", s["$id"], "/a")
    path = f"{DESCRIPTORS}/{quote(timestamp['@id'], safe='')}"

    def divided():
        return [f.name for f in api.lake.dataset("s", "e").table.spec().fields]
    assert divided() == ["a_day"]
    api.ok("PUT", path, {**timestamp, "xdm:sourceProperty": "/b"}, 201)
    assert divided() == ["b_day"]
    row = {"id": 1, "a": "2026-01-01T00:00:00Z", "b": "2026-02-02T00:00:00Z", "v": 1}
    assert api.push([row], dataset="s.e")[0] == 200
    api.refused("PUT", path, timestamp, 400, "timestamp a", "another name")
    assert api.push([{**row, "_change_request_type": "d", "v": 2}], dataset="s.e")[1]["deleted"] == 1
    api.refused("PUT", path, timestamp, 400, "has had rows", "another name")
    assert divided() == ["b_day"] and api.push([{**row, "v": 3}], dataset="s.e")[1]["upserted"] == 1


def test_rules_are_those_of_the_files_and_name_field_and_rule(api):
    def bad(b, *words, code=400):
        api.refused("POST", SCHEMAS, b, code, *words)
    good = body("s.t", ["id", "v"], id="long", v="long", optional="long", flag={"type": "boolean"}, list={"type": "array", "items": {"type": "integer"}})
    bad({**good, "meta:immutableTags": ["union"]}, "union")
    bad({**good, "meta:tags": ["union"]}, "union")
    bad({**good, "title": ""}, "title")
    bad({**good, "allOf": [{"$ref": "https://ns.adobe.com/xdm/context/profile"}]}, "inherits no fields")
    bad({**good, "meta:behaviorType": "adhoc"}, "meta:behaviorType")
    bad(body("s.t", ["nowhere"], id="long"), '"nowhere"', "not a column")
    bad(body("s.t", [], id={"type": "object"}), "properties.id", "cannot be an object")
    bad(body("s.t", [], id="long", ID="long"), "differ in case only")
    bad(body("s.t", [], id="long", _change_request_type="string"), "_change_request_type", "reserved")
    bad(body("s.t__history", [], id="long"), "__history")
    bad(body("s.t", [], id={"type": "integer", "minLength": 2}), '"id"', "only a string has a length")
    bad([good], "object")
    api.refused("POST", SCHEMAS, b"{not json", 400, "not JSON")
    api.refused("POST", SCHEMAS, b'{"title": "a", "title": "b"}', 400, "not JSON")
    s = api.ok("POST", SCHEMAS, good, 201)
    bad(good, "there is a schema s.t already", code=409)
    bad({**good, "title": "S.T"}, "another case")

    def wrong(kind, prop, *words, code=400, schema=s["$id"], **more):
        api.refused("POST", DESCRIPTORS, {"@type": f"xdm:descriptor{kind}", "xdm:sourceSchema": schema, "xdm:sourceProperty": prop, **more}, code, *words)
    wrong("PrimaryKey", "/optional", '"optional"', "must be required")
    wrong("PrimaryKey", ["/id", "/nowhere"], '"nowhere"', "not a column")
    wrong("PrimaryKey", "/address/zip", "root-level")
    wrong("Version", "/flag", '"flag"', "must be required")
    wrong("Version", ["/id", "/v"], "one column")
    wrong("Version", "/v", "no such schema", schema="nowhere")
    wrong("Timestamp", "/v", "only a time-series schema has a timestamp")
    wrong("Label", "/v", "no descriptor")
    wrong("Relationship", "/id", "no xdm:destinationSchema")
    wrong("Relationship", "/id", "M:M", "junction", **{"xdm:destinationSchema": s["$id"], "xdm:cardinality": "M:M"})
    wrong("Relationship", "/id", "no primary key that it could point to", **{"xdm:destinationSchema": s["$id"]})
    api.describe("PrimaryKey", s["$id"], "/id")
    wrong("PrimaryKey", "/v", "already", code=409)
    wrong("Version", "/id", "cannot be both part of the primary key and the version")
    api.refused("POST", DESCRIPTORS, {"xdm:sourceSchema": "s.t"}, 400, "@type")
    assert api.ok("GET", DESCRIPTORS)["_page"]["count"] == 1


def test_relationships_and_their_life(api):
    customers, orders = api.items("sales.customers"), api.create("sales.orders", ["id", "v"], id="long", v="long", customer="long", other="long")
    r = api.describe("Relationship", orders["$id"], "/customer", **{
        "xdm:sourceVersion": 1, "xdm:destinationSchema": customers["$id"], "xdm:destinationProperty": "/id",
        "xdm:sourceToDestinationName": "OrderToCustomer", "xdm:destinationToSourceName": "CustomerToOrder", "xdm:cardinality": "M:1"})
    assert (r["xdm:cardinality"], r["xdm:destinationSchema"], r["xdm:sourceToDestinationName"]) == ("M:1", customers["$id"], "OrderToCustomer")
    path = f"{DESCRIPTORS}/{quote(r['@id'], safe='')}"
    api.refused("POST", DESCRIPTORS, r, 409, "already")
    changed = api.ok("PUT", path, {**r, "xdm:cardinality": "M:0", "xdm:sourceProperty": "/other"}, 201)
    assert (changed["@id"], changed["xdm:cardinality"], changed["xdm:sourceProperty"]) == (r["@id"], "M:0", "/other")
    api.refused("PUT", path, {**r, "@type": "xdm:descriptorVersion"}, 400, "@type")
    api.refused("PUT", path, {**r, "xdm:sourceSchema": customers["$id"], "xdm:sourceProperty": "/id"}, 400, "xdm:sourceSchema", "belongs to sales.orders")
    api.refused("PUT", path, {**r, "xdm:destinationProperty": "/email"}, 400, "is long", "is string")
    api.refused("PUT", f"{DESCRIPTORS}/urn:datamirror:descriptor:99", r, 404, "no descriptor")
    api.refused("DELETE", f"{SCHEMAS}/sales.customers", None, 400, "relationship")
    api.describe("PrimaryKey", orders["$id"], "/id")
    api.describe("Version", orders["$id"], "/v")
    assert api.send("DELETE", path)[0] == 204 and api.send("DELETE", path)[0] == 404
    assert api.send("DELETE", f"{SCHEMAS}/sales.customers")[0] == 204


def test_put_evolves_like_apply(api):
    s = api.items()
    api.push([{"id": 1, "v": 1, "name": "a", "email": "e"}], dataset="s.items")
    path = f"{SCHEMAS}/{quote(s['$id'], safe='')}"
    wanted = body("s.items", ["id", "v"], id="long", v="long", name="string", email="string", more="time")
    preview = api.ok("PUT", path + "?dry_run=true", wanted)
    assert any("add column more" in c for c in preview["datamirror:changes"]) and "more" not in api.rows()[0]
    changed = api.ok("PUT", path, wanted)
    assert "more" in changed["definitions"]["customFields"]["properties"] and api.rows() == [{"id": 1, "v": 1, "name": "a", "email": "e", "more": None}]
    assert api.ok("GET", DESCRIPTORS)["_page"]["count"] == 2                                        # they stay
    without = body("s.items", ["id", "v"], id="long", v="long", email="string", more="time")
    api.refused("PUT", path, without, 400, "drop column name", "values would be lost")
    api.refused("PUT", path, body("s.items", ["id", "v", "more"], id="long", v="long", name="string", email="string", more="time"), 400, "more", "1")
    api.refused("PUT", path, body("s.items", ["id"], id="long", v="long", name="string", email="string", more="time"), 400, '"v"', "must be required")
    api.refused("PUT", path, body("s.items", ["id", "v"], id="string", v="long", name="string", email="string", more="time"), 400, "id")
    api.refused("PUT", path, {**wanted, "title": "s.other"}, 400, "title")
    api.refused("PUT", path, {**wanted, "meta:immutableTags": ["union"]}, 400, "union")
    api.refused("PUT", f"{SCHEMAS}/s.nowhere", wanted, 404, "no schema")
    renamed = json.loads(json.dumps(without))
    renamed["definitions"]["customFields"]["properties"]["title"] = {"type": "string", "datamirror:renamedFrom": "name"}
    renamed["definitions"]["customFields"]["properties"]["number"] = {**renamed["definitions"]["customFields"]["properties"].pop("id"), "datamirror:renamedFrom": "id"}
    renamed["definitions"]["customFields"]["required"] = ["number", "v"]
    api.ok("PUT", path, renamed)                                                                     # the key follows its column
    assert api.rows() == [{"number": 1, "v": 1, "title": "a", "email": "e", "more": None}]
    gone = api.ok("GET", path)                                                                       # what is shown can be put
    api.ok("PUT", path, gone)
    del gone["definitions"]["customFields"]["properties"]["title"]
    api.ok("PUT", path + "?drop_columns=true", gone)
    assert api.rows() == [{"number": 1, "v": 1, "email": "e", "more": None}]
    api.push([{"number": 1, "v": 2, "email": "f"}, {"number": 2, "v": 1}], dataset="s.items")
    assert sorted(r["number"] for r in api.rows()) == [1, 2]


def test_descriptors_of_a_dataset_with_rows_are_replaced_and_not_taken_out(api):
    s = api.items()
    key, version = [d["@id"] for d in api.ok("GET", DESCRIPTORS)["results"]]
    api.ok("PUT", f"{SCHEMAS}/s.items", body("s.items", ["id", "v", "name"], id="long", v="long", name="string", email="string"))
    for row in ({"id": 1, "v": 1, "name": "a"}, {"id": 2, "v": 1, "name": "a"}):
        assert api.push([row], dataset="s.items")[0] == 200
    for d in (key, version):
        api.refused("DELETE", f"{DESCRIPTORS}/{quote(d, safe='')}", None, 409, "has rows", "PUT")
    name = {"@type": "xdm:descriptorPrimaryKey", "xdm:sourceSchema": s["$id"], "xdm:sourceProperty": "/name"}
    api.refused("PUT", f"{DESCRIPTORS}/{quote(key, safe='')}", name, 400, "name")                     # not unique
    api.push([{"id": 2, "v": 2, "name": "b"}], dataset="s.items")
    assert api.ok("PUT", f"{DESCRIPTORS}/{quote(key, safe='')}", name, 201)["@id"] == key
    api.push([{"id": 7, "v": 3, "name": "b"}], dataset="s.items")
    assert {(r["id"], r["name"]) for r in api.rows()} == {(1, "a"), (7, "b")}
    api.refused("DELETE", f"{SCHEMAS}/s.items", None, 409, "2 rows", "drop_rows")
    assert api.send("DELETE", f"{SCHEMAS}/s.items?drop_rows=true")[0] == 204
    assert api.push([{"id": 1, "v": 1, "name": "a"}], dataset="s.items")[0] == 404


def test_before_the_first_row_a_descriptor_may_go(api):
    s = api.items()
    version = api.ok("GET", DESCRIPTORS)["results"][1]
    assert api.send("DELETE", f"{DESCRIPTORS}/{quote(version['@id'], safe='')}")[0] == 204
    assert api.ok("GET", f"{SCHEMAS}/s.items")["datamirror:missing"] == ["xdm:descriptorVersion"]
    assert api.push([{"id": 1, "v": 1}], dataset="s.items")[0] == 400
    api.ok("PUT", f"{SCHEMAS}/s.items", body("s.items", ["id", "at"], id="long", at="time"))          # nothing to lose
    api.describe("Version", s["$id"], "/at")
    assert api.push([{"id": 1, "at": "2026-01-01T00:00:00Z"}], dataset="s.items")[0] == 200
    api.kill()
    api.start()
    assert len(api.rows()) == 1


def test_mirrored_tables_are_shown_and_get_declared_relationships_only(folder):
    import sqlite3
    db = sqlite3.connect(folder / "shop.db")
    db.executescript("create table customers (id integer primary key); create table orders (id integer primary key, customer int references customers, other int)")
    db.close()
    m = Api(folder)
    m.config.write_text(f"lake: {m.lake.folder}\nhttp: 127.0.0.1:{m.port}\nsources:\n  shop: {{type: sqlite, path: {folder / 'shop.db'}}}\n")
    m.start()
    try:
        process.poll(lambda: m.ok("GET", SCHEMAS)["_page"]["count"] == 2, 30, "the tables")
        found = {d["@type"] + d["xdm:sourceSchema"].split(":")[-1]: d for d in m.ok("GET", DESCRIPTORS)["results"]}
        foreign, key = found["xdm:descriptorRelationshipshop.orders"], found["xdm:descriptorPrimaryKeyshop.orders"]
        for d in (foreign, key):
            m.refused("DELETE", f"{DESCRIPTORS}/{quote(d['@id'], safe='')}", None, 409, "mirrored from source shop")
            m.refused("PUT", f"{DESCRIPTORS}/{quote(d['@id'], safe='')}", d, 409, "mirrored from source shop")
        m.refused("POST", DESCRIPTORS, {"@type": "xdm:descriptorVersion", "xdm:sourceSchema": "shop.orders", "xdm:sourceProperty": "/other"}, 400, "mirrored")
        r = m.describe("Relationship", "shop.orders", "/other", **{"xdm:destinationSchema": "shop.customers", "xdm:cardinality": "M:0"})
        assert m.send("DELETE", f"{DESCRIPTORS}/{quote(r['@id'], safe='')}")[0] == 204
        m.refused("DELETE", f"{SCHEMAS}/shop.orders", None, 409, "mirrored from source shop")
        m.refused("POST", SCHEMAS, body("shop.mine", id="long"), 400, "namespace")
        assert m.ok("GET", DESCRIPTORS)["_page"]["count"] == 3
    finally:
        m.kill()


def test_token_and_limit_hold_for_every_route(folder):
    m = Api(folder, f"http_token: {TOKEN}\nhttp_max_body: 10KiB")
    m.start()
    try:
        for method, path in (("GET", SCHEMAS), ("POST", SCHEMAS), ("GET", DESCRIPTORS), ("POST", DESCRIPTORS), ("GET", ORDERS), ("POST", ORDERS),
                             ("DELETE", SCHEMAS + "/x"), ("PUT", DESCRIPTORS + "/1"), ("GET", ORDERS + "/1")):
            assert m.send(method, path, {} if method in ("POST", "PUT") else None)[0] == 401, path
        m.token = TOKEN
        assert m.ok("GET", SCHEMAS)["results"] == []
        m.refused("POST", SCHEMAS, b" " * 20000, 413, "larger")
        m.refused("POST", SCHEMAS, b"", 400, "not JSON")
        m.refused("PATCH", SCHEMAS + "/x", None, 405, "PATCH")
        m.refused("GET", ORDERS + "/1", None, 404, "no such work order")
        m.refused("GET", SCHEMAS + "/x", None, 404, "no schema")
        assert m.send("POST", SCHEMAS, b"{}", {"Content-Encoding": "gzip"})[0] == 415
    finally:
        m.kill()


def test_requests_side_by_side_lose_nothing(api, seed):
    """Each adds its column and relationship by what it read before; none undoes another's, and one of equal ones wins."""
    r = random.Random(seed)
    target = api.items("s.target")
    names = [f"s.t{i}" for i in range(4)]
    for n in names:
        api.create(n, ["id", "v", "x"], id="long", v="long", x="long")
    tasks = [("PrimaryKey", n, "/id", {}) for n in names] * 2 + [("Version", n, "/v", {}) for n in names] * 2
    tasks += [("Relationship", n, "/x", {"xdm:destinationSchema": target["$id"]}) for n in names] * 2
    r.shuffle(tasks)
    codes, lock = [], threading.Lock()

    def work():
        while True:
            with lock:
                if not tasks:
                    return
                kind, n, prop, more = tasks.pop()
            status, answer, _ = api.send("POST", DESCRIPTORS, {"@type": f"xdm:descriptor{kind}", "xdm:sourceSchema": n, "xdm:sourceProperty": prop, **more})
            codes.append((status, answer.get("detail")))
    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert sorted(c for c, _ in codes) == [201] * 12 + [409] * 12, codes
    for n in names:
        assert api.push([{"id": 1, "v": 1, "x": 1}], dataset=n)[0] == 200
    assert api.ok("GET", DESCRIPTORS)["_page"]["count"] == 2 + 12


@pytest.mark.smoke
def test_answered_requests_outlive_kill_9(api, seed):
    """Whatever was answered is there after a kill, and what was not is there wholly or not at all."""
    r, known = random.Random(seed), set()
    for turn in range(3):
        answered, in_hand = {}, {}

        def work(n):
            for i in range(1000):
                name = f"turn{turn}.s{n}_{i}"
                in_hand[n] = name
                try:
                    if api.send("POST", SCHEMAS, body(name, ["id", "v"], id="long", v="long"))[0] != 201:
                        return
                    answered[name] = 0
                    for kind, prop in (("PrimaryKey", "/id"), ("Version", "/v")):
                        if api.send("POST", DESCRIPTORS, {"@type": f"xdm:descriptor{kind}", "xdm:sourceSchema": name, "xdm:sourceProperty": prop})[0] != 201:
                            return
                        answered[name] += 1
                    if i % 2 == 1 and api.push([{"id": i, "v": 1}], dataset=name)[0] == 200:
                        answered[name] += 1
                except Exception:
                    return
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for t in threads:
            t.start()
        process.poll(lambda: len(answered) > 5, 60, "some work")
        threading.Event().wait(r.random() * 0.5)
        api.kill()
        for t in threads:
            t.join(60)
        api.start()
        found = {s["title"]: s for s in api.ok("GET", SCHEMAS)["results"]}
        kinds = {}
        for d in api.ok("GET", DESCRIPTORS)["results"]:
            kinds.setdefault(d["xdm:sourceSchema"].split(":")[-1], []).append(d["@type"])
        assert set(answered) <= set(found) <= set(answered) | set(in_hand.values()) | known
        for name, steps in answered.items():
            there = kinds.get(name, [])
            assert min(steps, 2) <= len(there) <= min(steps, 2) + (name in in_hand.values()), (name, steps, there)
            status, answer, _ = api.push([{"id": -1, "v": 1}], dataset=name)
            assert status == (200 if len(there) == 2 else 400), answer
            if steps == 3:
                assert len(api.rows(name)) == 2
        known |= set(found)


# ---- record deletes ----

def filled(api):
    api.items()
    assert api.push([{"id": i, "v": 1, "name": "ab"[i % 2], "email": f"p{i}@example.com"} for i in range(6)], dataset="s.items")[0] == 200


def ids(api, dataset="s.items"):
    return sorted(r["id"] for r in api.rows(dataset))


def erased(api, order):
    return process.poll(lambda: (o := api.ok("GET", f"{ORDERS}/{order['workorderId']}"))["status"] == "erased" and o, 60, "the bytes to be gone", context=api.log_tail)


def test_record_delete_by_key_with_status_and_report(api):
    filled(api)
    order = api.ok("POST", ORDERS, {"displayName": "Ticket 12", "description": "asked on Monday", "action": "delete_identity", "datasetId": "s.items",
                                    "keys": ["1", 2, ["3"]]}, 201)
    assert ids(api) == [0, 4, 5]
    assert (order["displayName"], order["description"], order["datasetId"], order["operationCount"]) == ("Ticket 12", "asked on Monday", "s.items", 3)
    assert order["status"] in ("erasing", "erased") and order["createdAt"] and order["report"]["datasets"][0]["rows"] == 3
    done = erased(api, order)
    assert done["erasedAt"] >= order["createdAt"] and done["updatedAt"] == done["erasedAt"] and done["report"]["datasets"][0]["files_rewritten"] >= 0
    assert [o["workorderId"] for o in api.ok("GET", ORDERS)["results"]] == [order["workorderId"]]
    api.push([{"id": 1, "v": 99}, {"id": 7, "v": 1}], dataset="s.items")                    # for good
    assert ids(api) == [0, 4, 5, 7]
    for f in (api.lake.folder / "s" / "items").rglob("*.parquet"):
        assert b"p1@example.com" not in f.read_bytes()
    assert json.loads(api.with_config("delete", "--show", order["workorderId"], "--json").stdout)["name"] == "Ticket 12"


def test_record_delete_preview_changes_nothing(api):
    filled(api)
    for how in ({"dryRun": True}, {}):
        preview = api.ok("POST", ORDERS + ("" if how else "?dry_run=true"), {"datasetId": "s.items", "where": "name = 'a'", **how})
        assert preview["workorderId"] is None and preview["status"] == "preview" and preview["report"]["datasets"][0]["rows"] == 3
    assert ids(api) == list(range(6)) and api.ok("GET", ORDERS)["total"] == 0
    nothing = api.ok("POST", ORDERS, {"datasetId": "s.items", "where": "name = 'z'"})
    assert nothing["status"] == "nothing_to_do" and api.ok("GET", ORDERS)["total"] == 0
    order = api.ok("POST", ORDERS, {"datasetId": "s.items", "where": "name = 'a'", "untilErased": False}, 201)
    assert order["status"] == "applied" and ids(api) == [1, 3, 5]


def test_record_delete_by_documented_identities(api):
    """A namespace is the name of a column; the key's own, "primaryKey" and none mean the key."""
    s = filled(api) or api.ok("GET", f"{SCHEMAS}/s.items")
    delete = {"action": "delete_identity", "datasetId": s["$id"]}
    api.ok("POST", ORDERS, {**delete, "identities": [{"namespace": {"code": "Email"}, "id": "p3@example.com"}, {"namespace": {"code": "id"}, "id": "4"}]}, 201)
    assert ids(api) == [0, 1, 2, 5]
    api.ok("POST", ORDERS, {**delete, "namespacesIdentities": [{"namespace": {"code": "email"}, "IDs": ["p0@example.com", "nobody' or 'a'='a"]}]}, 201)
    assert ids(api) == [1, 2, 5]
    api.ok("POST", ORDERS, {**delete, "identities": [{"namespace": {"code": "primaryKey"}, "id": "9"}, {"id": 5}]}, 201)
    assert ids(api) == [1, 2]
    api.push([{"id": 9, "v": 1}, {"id": 3, "v": 9}, {"id": 6, "v": 1, "email": "p3@example.com"}], dataset="s.items")
    assert ids(api) == [1, 2, 6]                        # a key that had no row is kept out, too; an e-mail address is no key
    api.refused("POST", ORDERS, {**delete, "identities": [{"namespace": {"code": "ECID"}, "id": "1"}]}, 400, "ECID", "no such column")
    api.refused("POST", ORDERS, {**delete, "identities": [{"namespace": {"code": "id"}, "id": "x"}]}, 400, "id")


def test_record_delete_of_all_datasets(api):
    filled(api)
    other, third = api.create("crm.people", ["p", "v"], p="string", v="long", email="string"), api.items("s.without")
    api.describe("PrimaryKey", other["$id"], "/p")
    api.describe("Version", other["$id"], "/v")
    api.ok("PUT", f"{SCHEMAS}/s.without", body("s.without", ["id", "v"], id="long", v="long"))
    api.describe("Relationship", third["$id"], "/id", **{"xdm:destinationSchema": "s.items", "xdm:cardinality": "M:0"})
    api.create("s.incomplete", email="string")
    api.push([{"p": "a", "v": 1, "email": "p1@example.com"}, {"p": "b", "v": 1, "email": "q@example.com"}], dataset="crm.people")
    api.push([{"id": i, "v": 1} for i in range(3)], dataset="s.without")
    order = {"action": "delete_identity", "datasetId": "ALL", "identities": [{"namespace": {"code": "email"}, "id": "p1@example.com"}]}
    preview = api.ok("POST", ORDERS + "?dry_run=true", order)["report"]
    assert {d["dataset"]: d["rows"] for d in preview["datasets"]} == {"s.items": 1, "crm.people": 1}
    assert [(r["dataset"], r["rows"]) for r in preview["references"]] == [("s.without", 1)]
    done = api.ok("POST", ORDERS, {**order, "related": True}, 201)
    assert {d["dataset"]: (d["rows"], d["via"]) for d in done["report"]["datasets"]} == {
        "s.items": (1, None), "crm.people": (1, None), "s.without": (1, "id to s.items")}
    assert (ids(api), [r["p"] for r in api.rows("crm.people")], ids(api, "s.without")) == ([0, 2, 3, 4, 5], ["b"], [0, 2])
    erased(api, done)
    api.refused("POST", ORDERS, {**order, "identities": [{"namespace": {"code": "ECID"}, "id": "1"}]}, 400, "no dataset has a column")
    api.refused("POST", ORDERS, {**order, "identities": [{"id": "1"}]}, 400, "namespace")
    api.refused("POST", ORDERS, {"datasetId": "ALL", "where": "true"}, 400, "ALL")


def test_record_delete_sent_again_is_one_order(api):
    filled(api)
    order = {"datasetId": "s.items", "keys": ["1"]}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(api.send("POST", ORDERS, order, {"Idempotency-Key": "k"}))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert {(a[0], a[1]["workorderId"]) for a in answers} == {(201, "1")} and api.ok("GET", ORDERS)["total"] == 1
    assert api.send("POST", ORDERS, {**order, "keys": ["2"]}, {"Idempotency-Key": "k"})[0] == 409 and 2 in ids(api)


def test_record_delete_refusals(api):
    filled(api)
    api.create("s.incomplete", id="long")
    api.refused("POST", ORDERS, [], 400, "object")
    api.refused("POST", ORDERS, {"keys": ["1"]}, 400, "datasetId")
    api.refused("POST", ORDERS, {"datasetId": "s.items"}, 400, "identities")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": ["1"], "where": "true"}, 400, "one way")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": []}, 400, "keys")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": "1"}, 400, "keys")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": [["1", "2"]]}, 400, "1 columns")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": [{"a": 1}]}, 400)
    api.refused("POST", ORDERS, {"datasetId": "s.items", "where": "nowhere = 1"}, 400, "nowhere")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "where": "name = 'a'); delete from x; --"}, 400)
    api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": ["1"], "action": "purge"}, 400, "action")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": ["1"], "related": "yes"}, 400, "related")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "keys": ["1"], "displayName": 7}, 400, "displayName")
    api.refused("POST", ORDERS, {"datasetId": "s.nowhere", "keys": ["1"]}, 404, "s.nowhere")
    api.refused("POST", ORDERS, {"datasetId": "s.incomplete", "keys": ["1"]}, 400, "incomplete")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "identities": {}}, 400, "identities")
    api.refused("POST", ORDERS, {"datasetId": "s.items", "identities": ["a"]}, 400, "identities[0]")
    assert ids(api) == list(range(6)) and api.alive()
