"""Relationships: what `check` counts, many-to-many views, children that wait for their parent."""
import json
import random
import sqlite3
import threading
import time

import pytest

from oracle.declared import Declared
from oracle.mirror import Marker, Mirror

KILLED, QUARANTINED = -9, 7


class Shop:
    """A SQLite file without enforced foreign keys, and its mirror."""

    def __init__(self, folder):
        self.path = folder / "shop.db"
        self.db = self.connect()
        self.db.execute("pragma journal_mode = wal")
        self.folder = folder
        self.mirrors = []

    def connect(self):
        db = sqlite3.connect(self.path, isolation_level=None, timeout=60, check_same_thread=False)
        db.execute("pragma foreign_keys = off")
        return db

    def execute(self, sql):
        if ";" in sql.rstrip().rstrip(";"):
            self.db.executescript(f"begin immediate; {sql}; commit;")
            return None
        return self.db.execute(sql).fetchall()

    def mirror(self, options="commit_interval: 50ms"):
        m = Mirror(self.folder / "m", f"  shop:\n    type: sqlite\n    path: {self.path}\n", options)
        self.mirrors.append(m)
        return m


@pytest.fixture
def shop(folder):
    s = Shop(folder)
    yield s
    for m in s.mirrors:
        m.kill()
    s.db.close()


@pytest.fixture
def declared(folder):
    d = Declared(folder)
    yield d
    d.mirror.kill()


def check(mirror, *arguments, code=0):
    p = mirror.with_config("check", "--json", *arguments)
    assert p.returncode == code, f"check: code {p.returncode}\n{p.stdout}\n{p.stderr}"
    return json.loads(p.stdout)


def only(report):
    assert len(report["relationships"]) == 1, report
    return report["relationships"][0]


# ---- mirrored tables ----

def test_orphans_of_a_foreign_key(shop):
    shop.execute("create table customers (id integer primary key, name text);"
                 "create table orders (id integer primary key, customer_id integer references customers(id));"
                 "insert into customers values (1, 'a'), (2, 'b');"
                 "insert into orders values (10, 1), (11, 1), (12, null), (13, 77), (14, 78), (15, 77)")
    mirror = shop.mirror()
    mirror.catch_up()
    r = only(check(mirror))
    assert (r["child"], r["columns"], r["parent"], r["parent_columns"]) == ("shop.orders", ["customer_id"], "shop.customers", ["id"])
    assert r["discovered"] and r["cardinality"] == "M:0" and r["result"] == "violated"
    assert (r["children"], r["null_references"], r["orphans"], r["violations"]) == (6, 1, 3, 0)
    assert [(s["what"], s["key"], s["reference"]) for s in r["samples"]] == [
        ("orphan", {"id": "13"}, {"customer_id": "77"}), ("orphan", {"id": "14"}, {"customer_id": "78"}),
        ("orphan", {"id": "15"}, {"customer_id": "77"})]
    assert len(only(check(mirror, "--samples", "1"))["samples"]) == 1
    assert only(check(mirror, "--samples", "0"))["samples"] == []
    check(mirror, "--fail-on-orphans", code=1)
    text = mirror.with_config("check").stdout
    assert "shop.orders (customer_id)" in text and "orphan: shop.orders {\"id\":\"13\"}" in text
    shop.execute("insert into customers values (77, 'c'), (78, 'd')")
    mirror.catch_up()
    r = only(check(mirror, "--fail-on-orphans", "--fail-on-violations"))
    assert r["orphans"] == 0 and r["result"] == "fine"


def test_check_takes_names_and_refuses_unknown_ones(shop):
    shop.execute("create table a (id integer primary key); create table b (id integer primary key, a integer references a(id));"
                 "create table c (id integer primary key, b integer references b(id)); insert into a values (1); insert into b values (1, 1)")
    mirror = shop.mirror()
    mirror.catch_up()
    report = check(mirror)
    names = {r["child"]: r["relationship"] for r in report["relationships"]}
    assert set(names) == {"shop.b", "shop.c"}
    assert {r["child"] for r in check(mirror, "shop.b")["relationships"]} == {"shop.b", "shop.c"}, "its own and those that point at it"
    assert {r["child"] for r in check(mirror, "shop.c")["relationships"]} == {"shop.c"}
    assert {r["child"] for r in check(mirror, names["shop.b"])["relationships"]} == {"shop.b"}
    assert {r["child"] for r in check(mirror, "shop.b." + names["shop.b"])["relationships"]} == {"shop.b"}
    p = mirror.with_config("check", "shop.bb")
    assert p.returncode == 2 and "shop.bb" in p.stderr and "did you mean" in p.stderr


def test_a_lake_without_relationships(shop):
    shop.execute("create table alone (id integer primary key)")
    mirror = shop.mirror()
    mirror.catch_up()
    assert check(mirror, "--fail-on-orphans")["relationships"] == []
    assert "no relationships" in mirror.with_config("check").stdout


def test_a_parent_that_is_not_mirrored_cannot_be_checked(shop):
    shop.execute("create table a (id integer primary key); create table b (id integer primary key, a integer references a(id));"
                 "insert into b values (1, 5)")
    mirror = shop.mirror()
    mirror.write(f"  shop:\n    type: sqlite\n    path: {shop.path}\n    exclude: [\"a\"]\n", "commit_interval: 50ms")
    mirror.catch_up()
    report = check(mirror)
    if report["relationships"]:   # a relationship whose target nobody knows may also be left out of the registry
        assert only(report)["result"] == "unknown" and only(report)["reason"]
        check(mirror, "--fail-on-orphans", code=2)


def test_composite_references(shop):
    shop.execute("create table orders (region text, number integer, primary key (region, number));"
                 "create table lines (id integer primary key, region text, number integer, "
                 "foreign key (region, number) references orders (region, number));"
                 "insert into orders values ('n', 1), ('s', 1);"
                 "insert into lines values (1, 'n', 1), (2, 's', 1), (3, 's', 2), (4, null, 1), (5, 'n', null), (6, null, null), (7, '1', 1)")
    mirror = shop.mirror()
    mirror.catch_up()
    r = only(check(mirror))
    assert (r["children"], r["null_references"], r["orphans"]) == (7, 3, 2), "a null in any column refers to nothing"
    assert [s["key"] for s in r["samples"] if s["what"] == "orphan"] == [{"id": "3"}, {"id": "7"}]


def test_composite_references_of_postgres(database):
    database.execute("create table orders (region text, number int, primary key (region, number));"
                     "create table lines (id bigint primary key, region text not null, number int not null);"
                     "insert into orders select 'r' || i % 3, i from generate_series(1, 300) i;"
                     "insert into lines select i, 'r' || i % 3, i from generate_series(1, 310) i;"
                     "alter table lines add constraint of_order foreign key (region, number) references orders not valid")
    mirror = database.mirror()
    mirror.catch_up()
    r = only(check(mirror, "--samples", "100"))
    assert r["relationship"] == "of_order"
    assert (r["children"], r["orphans"], r["null_references"]) == (310, 10, 0)
    assert sorted(int(s["key"]["id"]) for s in r["samples"]) == list(range(301, 311))
    assert check(mirror)["positions"][0]["source"] == "shop"


def test_check_sees_one_commit_beside_a_running_mirror(shop):
    """Parents and children come and go in one transaction each: no check may ever see one without the other."""
    shop.execute("create table parents (id integer primary key, n int);"
                 "create table children (id integer primary key, parent integer not null references parents(id))")
    mirror = shop.mirror().start()
    over = threading.Event()

    def write():
        db = shop.connect()
        i = 0
        while not over.is_set():
            i += 1
            db.executescript(f"begin immediate; insert into parents values ({i}, 0); insert into children values ({3 * i}, {i}), ({3 * i + 1}, {i}); commit")
            if i > 20:
                db.executescript(f"begin immediate; delete from children where parent = {i - 20}; delete from parents where id = {i - 20}; commit")
            time.sleep(0.002)
        db.close()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        mirror.until(lambda: mirror.lake.dataset("shop", "children") is not None and mirror.lake.dataset("shop", "parents") is not None and
                     len(mirror.lake.dataset("shop", "children").rows) > 0, "children in the lake")
        positions, children = set(), 0
        for _ in range(25):
            report = check(mirror, "--fail-on-orphans")
            r = only(report)
            assert r["orphans"] == 0 and r["children"] % 2 == 0
            positions.add(report["positions"][0]["position"])
            children = max(children, r["children"])
        assert len(positions) > 3 and children > 0, "the mirror moved on meanwhile"
    finally:
        over.set()
        thread.join()


# ---- cardinalities, on declared datasets ----

FAMILY = """
schemas:
  - name: crm.parents
    columns: {{id: int64 not null, v: int64 not null, code: string}}
    key: [id]
    version: v
  - name: crm.children
    columns: {{id: int64 not null, v: int64 not null, parent: {type}}}
    key: [id]
    version: v
    relationships:
      - {{name: of, columns: [parent], to: crm.parents, to_columns: [{to}], cardinality: "{cardinality}"{more}}}
"""


def family(declared, cardinality="M:1", type="int64", to="id", more=""):
    declared.apply(FAMILY.format(cardinality=cardinality, type=type, to=to, more=more))


@pytest.mark.parametrize("cardinality, violations", [("M:1", {"null_reference"}), ("M:0", set()),
                                                     ("1:1", {"null_reference", "crowded_parent", "childless_parent"}), ("1:0", {"crowded_parent"})])
def test_relationship_cardinality(declared, cardinality, violations):
    family(declared, cardinality)
    declared.ingest("crm.parents", [{"id": i, "v": 1} for i in (1, 2, 3)])
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": 1}, {"id": 2, "v": 1, "parent": 1}, {"id": 3, "v": 1, "parent": None},
                                     {"id": 4, "v": 1, "parent": 2}, {"id": 5, "v": 1, "parent": 99}])
    r = only(check(declared.mirror))
    assert (r["orphans"], r["null_references"]) == (1, 1), "an orphan is one whatever the cardinality"
    assert {s["what"] for s in r["samples"]} == violations | {"orphan"}
    assert r["violations"] == len(violations)
    if "crowded_parent" in violations:
        assert (r["crowded_parents"], r["crowded_children"]) == (1, 2)
        assert [s for s in r["samples"] if s["what"] == "crowded_parent"] == [
            {"what": "crowded_parent", "key": None, "reference": {"parent": "1"}, "rows": 2}]
    if "childless_parent" in violations:
        assert r["childless_parents"] == 1
        assert [s["reference"] for s in r["samples"] if s["what"] == "childless_parent"] == [{"id": "3"}]
    check(declared.mirror, "--fail-on-violations", code=1)
    # mended: the orphan gets its parent, each child its own
    declared.ingest("crm.parents", [{"id": 99, "v": 1}])
    declared.ingest("crm.children", [{"id": 2, "v": 2, "parent": 3}, {"id": 3, "v": 2, "_change_request_type": "d"}])
    check(declared.mirror, "--fail-on-violations", "--fail-on-orphans")


@pytest.mark.parametrize("type", ["int32", "\"decimal(20,0)\"", "float64"])
def test_types_that_differ_but_compare(declared, type):
    family(declared, "M:0", type)
    declared.ingest("crm.parents", [{"id": i, "v": 1} for i in (1, 2**31 - 1)])
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": 1}, {"id": 2, "v": 1, "parent": 2**31 - 1}, {"id": 3, "v": 1, "parent": 5}])
    r = only(check(declared.mirror))
    assert r["orphans"] == 1 and r["samples"][0]["key"] == {"id": "3"}


def test_a_candidate_key_must_be_unique(declared):
    family(declared, "M:0", "string", "code")
    declared.ingest("crm.parents", [{"id": 1, "v": 1, "code": "a"}, {"id": 2, "v": 1, "code": "a"}, {"id": 3, "v": 1, "code": "b"}, {"id": 4, "v": 1}])
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": "a"}, {"id": 2, "v": 1, "parent": "b"}, {"id": 3, "v": 1, "parent": "c"}])
    r = only(check(declared.mirror))
    assert (r["children"], r["orphans"], r["ambiguous_parents"], r["violations"]) == (3, 1, 1, 1), "a child of two parents is counted once"
    assert [(s["what"], s["reference"], s["rows"]) for s in r["samples"]] == [("orphan", {"parent": "c"}, 1), ("ambiguous_parent", {"code": "a"}, 2)]


# ---- many to many ----

SCHOOL = ("create table students (id integer primary key, name text); create table courses (id integer primary key, title text);"
          "create table enrolments (student_id integer not null references students(id), course_id integer not null references courses(id), grade text, "
          "primary key (student_id, course_id));"
          "create table follows (follower_id integer not null references students(id), followee_id integer not null references students(id), "
          "primary key (follower_id, followee_id));"
          "insert into students values (1, 'Ada'), (2, 'Bob'); insert into courses values (7, 'Logic'), (8, 'Art');"
          "insert into enrolments values (1, 7, 'A'), (1, 8, null), (2, 8, 'B'), (2, 99, 'C'); insert into follows values (1, 2)")


def test_junction_view(shop):
    shop.execute(SCHOOL)
    mirror = shop.mirror()
    mirror.catch_up()
    junctions = {j["junction"]: j for j in check(mirror)["junctions"]}
    assert junctions["shop.enrolments"] == {"junction": "shop.enrolments", "left": "shop.students", "right": "shop.courses",
                                            "view": "shop.students__courses"}
    assert junctions["shop.follows"]["view"] == "shop.students__students"
    rows = mirror.query('select students_name, courses_title, grade from shop.students__courses order by all')
    assert rows == [{"students_name": "Ada", "courses_title": "Art", "grade": None}, {"students_name": "Ada", "courses_title": "Logic", "grade": "A"},
                    {"students_name": "Bob", "courses_title": "Art", "grade": "B"}], "a row whose parent is not there joins nothing"
    assert mirror.query("select * from shop.students__students") == [
        {"follower_id": 1, "follower_name": "Ada", "followee_id": 2, "followee_name": "Bob"}]
    assert "many to many" in mirror.with_config("check").stdout


def test_junction_view_gives_way_to_a_dataset_of_its_name(shop):
    shop.execute(SCHOOL + "; create table students__courses (id integer primary key); insert into students__courses values (5)")
    mirror = shop.mirror()
    mirror.catch_up()
    assert mirror.query("from shop.students__courses") == [{"id": 5}]
    assert mirror.query("select count(*) as n from shop.students__courses__enrolments") == [{"n": 3}]


def test_junction_view_of_awkward_names(shop):
    shop.execute('create table "le ft""s" ("i d" integer primary key, "SELECT" text); create table "Rïght" (id integer primary key);'
                 'create table "j" ("a""b" integer not null references "le ft""s"("i d"), b integer not null references "Rïght"(id), primary key ("a""b", b));'
                 'insert into "le ft""s" values (1, \'x\'); insert into "Rïght" values (2); insert into "j" values (1, 2)')
    mirror = shop.mirror()
    mirror.catch_up()
    assert mirror.query('from shop."le ft""s__Rïght"') == [{'le ft"s_i d': 1, 'le ft"s_SELECT': "x", "Rïght_id": 2}]


# ---- children that wait ----

WAITS = ", on_orphan: quarantine"


def test_on_orphan_waits_for_the_parent(declared):
    family(declared, "M:1", more=WAITS)
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": 10}, {"id": 2, "v": 1, "parent": 20}])
    assert declared.rows("crm.children") == []
    waiting = declared.quarantine("crm.children")
    assert [(w["reason"], w["waiting"]) for w in waiting] == [("orphan", True)] * 2
    assert "crm.parents" in waiting[0]["message"] and "10" in waiting[0]["message"]
    r = only(check(declared.mirror))
    assert (r["children"], r["orphans"], r["waiting"], r["enforced"]) == (0, 0, 2, True)
    check(declared.mirror, "--fail-on-orphans", code=1)
    declared.ingest("crm.parents", [{"id": 10, "v": 1}])
    assert declared.column("crm.children") == [1], "released with its parent"
    assert [w["key"] for w in declared.quarantine("crm.children")] == ["2"]
    declared.ingest("crm.parents", [{"id": 20, "v": 1}, {"id": 30, "v": 1}])
    declared.ingest("crm.children", [{"id": 3, "v": 1, "parent": 30}])
    assert declared.column("crm.children") == [1, 2, 3]
    assert declared.quarantine("crm.children") == []
    check(declared.mirror, "--fail-on-orphans", "--fail-on-violations")


def test_on_orphan_each_version_waits(declared):
    family(declared, "M:1", more=WAITS)
    declared.ingest("crm.children", [{"id": 1, "v": 5, "parent": 10}])
    declared.ingest("crm.children", [{"id": 1, "v": 7, "parent": 20}])
    declared.ingest("crm.children", [{"id": 1, "v": 6, "parent": 30}])
    waiting = declared.quarantine("crm.children")
    assert [json.loads(w["raw"])["v"] for w in waiting] == [5, 7, 6]
    declared.ingest("crm.parents", [{"id": 10, "v": 1}, {"id": 30, "v": 1}])
    assert [(r["id"], r["v"]) for r in declared.rows("crm.children")] == [(1, 6)], "the newest that has its parent"
    declared.ingest("crm.parents", [{"id": 20, "v": 1}])
    assert [(r["id"], r["v"]) for r in declared.rows("crm.children")] == [(1, 7)]


def test_on_orphan_a_newer_version_with_a_parent_ends_the_wait(declared):
    family(declared, "M:1", more=WAITS)
    declared.ingest("crm.parents", [{"id": 10, "v": 1}])
    declared.ingest("crm.children", [{"id": 1, "v": 5, "parent": 20}])
    declared.ingest("crm.children", [{"id": 1, "v": 6, "parent": 10}])
    assert declared.quarantine("crm.children") == []
    declared.ingest("crm.children", [{"id": 2, "v": 5, "parent": 20}, {"id": 2, "v": 6, "parent": 10}, {"id": 3, "v": 6, "parent": 10}, {"id": 3, "v": 5, "parent": 20}])
    assert declared.quarantine("crm.children") == [], "also within one file, in either order"
    declared.ingest("crm.parents", [{"id": 20, "v": 1}])
    assert [r["v"] for r in declared.rows("crm.children")] == [6, 6, 6]


def test_on_orphan_delete_of_a_waiting_child(declared):
    family(declared, "M:1", more=WAITS)
    declared.ingest("crm.children", [{"id": 1, "v": 5, "parent": 10}, {"id": 2, "v": 5, "parent": 10}])
    declared.ingest("crm.children", [{"id": 1, "v": 5, "_change_request_type": "d"}, {"id": 2, "v": 4, "_change_request_type": "d"}])
    assert [w["key"] for w in declared.quarantine("crm.children")] == ["2"], "an older delete does not reach it"
    declared.ingest("crm.parents", [{"id": 10, "v": 1}])
    assert declared.column("crm.children") == [2]


@pytest.mark.parametrize("cardinality", ["M:0", "1:0", "M:1", "1:1"])
def test_on_orphan_null_reference(declared, cardinality):
    family(declared, cardinality, more=WAITS)
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": None}], code=0 if cardinality.endswith("0") else QUARANTINED)
    if cardinality.endswith("0"):
        assert len(declared.rows("crm.children")) == 1 and declared.quarantine("crm.children") == []
    else:
        assert declared.rows("crm.children") == []
        assert [(w["reason"], w["waiting"]) for w in declared.quarantine("crm.children")] == [("null_reference", False)]


def test_on_orphan_needs_the_whole_key_and_its_types(declared):
    for type, to, word in (("string", "code", "whole primary key"), ("\"decimal(10,0)\"", "id", "same type")):
        p = declared.apply(FAMILY.format(cardinality="M:0", type=type, to=to, more=WAITS), code=2)
        assert "on_orphan" in p.stderr and word in p.stderr, p.stderr


TREE = """
schemas:
  - name: org.people
    columns: {id: int64 not null, v: int64 not null, boss: int32}
    key: [id]
    version: v
    relationships:
      - {name: reports_to, columns: [boss], to: org.people, cardinality: "M:0", on_orphan: quarantine}
"""


def test_on_orphan_a_dataset_that_is_its_own_parent(declared):
    declared.apply(TREE)
    declared.ingest("org.people", [{"id": i, "v": 1, "boss": i + 1} for i in range(1, 50)])
    assert declared.rows("org.people") == [] and len(declared.quarantine("org.people")) == 49
    declared.ingest("org.people", [{"id": 50, "v": 1, "boss": None}])
    assert len(declared.rows("org.people")) == 50 and declared.quarantine("org.people") == [], "the whole chain follows its head"
    declared.ingest("org.people", [{"id": 100 + i, "v": 1, "boss": 100 + i + 1 if i < 30 else None} for i in range(31)])
    assert len(declared.rows("org.people")) == 81 and declared.quarantine("org.people") == []


TWO = """
schemas:
  - {name: s.a, columns: {id: string not null, v: int64 not null}, key: [id], version: v}
  - {name: s.b, columns: {x: string not null, y: int64 not null, v: int64 not null}, key: [x, y], version: v}
  - name: s.c
    columns: {id: int64 not null, v: int64 not null, a: string, x: string, y: int32}
    key: [id]
    version: v
    relationships:
      - {name: to_a, columns: [a], to: s.a, cardinality: "M:0", on_orphan: quarantine}
      - {name: to_b, columns: [x, y], to: s.b, cardinality: "M:0", on_orphan: quarantine}
"""


def test_on_orphan_waits_for_each_of_its_parents(declared):
    declared.apply(TWO)
    row = {"id": 1, "v": 1, "a": "p", "x": "q", "y": 3}
    declared.ingest("s.c", [row, {"id": 2, "v": 1, "a": None, "x": "q", "y": None}])
    assert declared.column("s.c") == [2]
    declared.ingest("s.a", [{"id": "p", "v": 1}])
    waiting = declared.quarantine("s.c")
    assert len(waiting) == 1 and "to_b" in waiting[0]["message"], "the next parent is what it waits for now"
    assert "rows" in waiting[0]["position"] and waiting[0]["source"] == "ingest", "it keeps its place"
    declared.ingest("s.b", [{"x": "q", "y": 3, "v": 1}])
    assert len(declared.rows("s.c")) == 2 and declared.quarantine("s.c") == []


def test_on_orphan_of_a_mirrored_parent(shop):
    """Children from files wait for a row of a database."""
    shop.execute("create table customers (id integer primary key, name text); insert into customers values (1, 'a')")
    mirror = shop.mirror().start()
    d = Declared(None, mirror)
    marker = Marker(shop.execute, mirror)
    marker.reached()
    d.apply("schemas:\n  - name: crm.notes\n    columns: {id: int64 not null, v: int64 not null, customer: int64}\n    key: [id]\n    version: v\n"
            "    relationships:\n      - {name: about, columns: [customer], to: shop.customers, cardinality: \"M:1\", on_orphan: quarantine}\n")
    d.ingest("crm.notes", [{"id": 1, "v": 1, "customer": 1}, {"id": 2, "v": 1, "customer": 2}])
    assert len(d.rows("crm.notes")) == 1 and len(d.quarantine("crm.notes")) == 1
    shop.execute("insert into customers values (2, 'b')")
    mirror.until(lambda: len(d.rows("crm.notes")) == 2, "the note to follow its customer")
    assert d.quarantine("crm.notes") == []
    assert mirror.stop() == 0


@pytest.mark.parametrize("point", ["before-publish", "after-publish", "before-index-commit", "after-index-commit"])
def test_on_orphan_survives_a_crash(declared, point):
    family(declared, "M:1", more=WAITS)
    crash = {"DM_CRASH_AT": point}
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": 10}], code=KILLED, env=crash)
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": 10}])
    assert len(declared.quarantine("crm.children")) == 1
    declared.ingest("crm.parents", [{"id": 10, "v": 1}], code=KILLED, env=crash)
    declared.ingest("crm.parents", [{"id": 10, "v": 1}])
    assert len(declared.rows("crm.children")) == 1 and declared.quarantine("crm.children") == []


@pytest.mark.smoke
def test_on_orphan_any_order_ends_alike(declared, seed):
    """Three levels, one version a row: whatever the order and the split, in the end all rows are there that have a line of parents."""
    r = random.Random(seed)
    declared.apply("schemas:\n" + "".join(
        f"  - name: t.l{level}\n    columns: {{id: int64 not null, v: int64 not null, up: int64}}\n    key: [id]\n    version: v\n"
        + (f"    relationships:\n      - {{name: up, columns: [up], to: t.l{level - 1}, cardinality: \"M:1\", on_orphan: quarantine}}\n" if level else "")
        for level in range(3)))
    rows = [(0, {"id": i, "v": 1}) for i in range(8)]
    rows += [(1, {"id": i, "v": 1, "up": r.randrange(10)}) for i in range(20)]
    rows += [(2, {"id": i, "v": 1, "up": r.randrange(24)}) for i in range(40)]
    level1 = {x["id"] for n, x in rows if n == 1 and x["up"] < 8}
    level2 = {x["id"] for n, x in rows if n == 2 and x["up"] in level1}
    r.shuffle(rows)
    while rows:
        n = r.randrange(1, 20)
        piece, rows = rows[:n], rows[n:]
        for level in r.sample(range(3), 3):
            mine = [x for k, x in piece if k == level]
            if mine:
                declared.ingest(f"t.l{level}", mine)
    assert set(declared.column("t.l1")) == level1
    assert set(declared.column("t.l2")) == level2
    assert {w["reason"] for level in (1, 2) for w in declared.quarantine(f"t.l{level}")} <= {"orphan"}
    assert len(declared.quarantine("t.l2")) == 40 - len(level2)
