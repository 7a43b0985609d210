"""`delete`: rows out of the lake for good, in declared and in mirrored datasets; to the last byte; and `expire`."""
import json
import os
import shutil
import sqlite3
import threading
from datetime import datetime, timedelta, timezone

import pytest

from oracle.mirror import Marker, Mirror

UNCOMPRESSED = "compression: uncompressed\ncommit_interval: 100ms"
SECRET = "alice.liddell@wonderland-secret.example"  # her key
TRACES = [SECRET, "Liddell-The-Secret", "looking-glass-house"]  # key and values of hers, of all her versions


def found(lake, traces=TRACES):
    """[(file, trace)] of the whole lake folder."""
    hits = []
    for folder, _, names in os.walk(lake):
        for name in names:
            path = os.path.join(folder, name)
            try:
                data = open(path, "rb").read()
            except FileNotFoundError:
                continue
            hits += [(os.path.relpath(path, lake), t) for t in traces if t.encode() in data]
    return hits


def delete(mirror, *arguments, code=0, yes=True, **kwargs):
    p = mirror.with_config("delete", *arguments, *(["--yes"] if yes else []), "--json", timeout=120, **kwargs)
    assert p.returncode == code, f"code {p.returncode}: {p.stderr}{p.stdout}"
    return json.loads(p.stdout) if p.stdout else p.stderr


def orders(mirror):
    p = mirror.with_config("delete", "--list", "--json")
    assert p.returncode == 0, p.stderr
    return [json.loads(line) for line in p.stdout.splitlines()]


def part(report, dataset):
    return next(d for d in report["datasets"] if d["dataset"] == dataset)


# ---- declared datasets ----

def schema(history="true", extra=""):
    return f"""
schemas:
  crm.people:
    columns:
      email: {{type: string, required: true}}
      name: string
      street: string
      age: int
      version: {{type: long, required: true}}
    key: email
    version: version
    history: {history}
{extra}"""


@pytest.fixture
def declared(folder):
    m = Mirror(folder, "", UNCOMPRESSED)
    yield m
    m.kill()


def apply(mirror, text):
    file = mirror.folder / "schemas.yaml"
    file.write_text(text)
    p = mirror.with_config("schema", "apply", str(file))
    assert p.returncode == 0, p.stderr + p.stdout


def ingest(mirror, text, name="changes.csv", code=0):
    path = mirror.folder / name
    path.write_text(text)
    p = mirror.with_config("ingest", "crm.people", str(path), "--json", timeout=120)
    assert p.returncode == code, f"code {p.returncode}: {p.stderr}{p.stdout}"
    return json.loads(p.stdout)["files"][0]


HEADER = "email,name,street,age,version,_change_request_type\n"
FILES = [  # superseded versions, a deletion and a return, bad rows
    HEADER + f"{SECRET},Liddell-The-Secret,looking-glass-house 1,7,1,u\nbob@x.example,Bob,Main 1,40,1,u\ncarol@x.example,Carol,Main 2,50,1,u\n",
    HEADER + f"{SECRET},Liddell-The-Secret,looking-glass-house 2,8,2,u\nbob@x.example,Bob,Main 9,41,2,u\n",
    HEADER + f"{SECRET},,,,3,d\ncarol@x.example,,,,3,d\n",
    HEADER + f"{SECRET},Liddell-The-Secret,looking-glass-house 3,8,5,u\ndave@x.example,Dave,Main 3,60,1,u\n",
]
OTHERS = {("bob@x.example", "Bob", "Main 9", 41, 2), ("dave@x.example", "Dave", "Main 3", 60, 1)}


def people(mirror):
    rows = mirror.lake.dataset("crm", "people").dicts()
    return {(r["email"], r["name"], r["street"], r["age"], r["version"]) for r in rows}


def fill(mirror, history):
    apply(mirror, schema(history))
    for i, text in enumerate(FILES):
        ingest(mirror, text, f"f{i}.csv")
    bad = ingest(mirror, HEADER + f"{SECRET},Liddell-The-Secret,looking-glass-house 4,not-a-number,6,u\n", "bad.csv", code=7)
    assert bad["quarantined"] == 1


def check_gone(mirror):
    assert found(mirror.lake.folder) == []
    assert people(mirror) == OTHERS


@pytest.mark.smoke
@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("history", ["true", "scd2", "false"])
def test_declared_until_erased(declared, history, running):
    fill(declared, history)
    before = {t for _, t in found(declared.lake.folder)}
    assert before == set(TRACES)  # the search can find something
    others = None
    if history != "false":
        others = sorted(map(str, (r for r in declared.lake.dataset("crm", "people__history").dicts() if r["email"] != SECRET)))
    if running:
        declared.start()
    report = delete(declared, "crm.people", SECRET, "--until-erased", "--name", "request 17")
    assert report["status"] == "erased" and report["erased_at"] and report["not_covered"]
    p = part(report, "crm.people")
    assert p["rows"] == 1 and p["tombstones"] == 1 and p["quarantine_rows"] == 1
    assert p["files_rewritten"] >= 1 and p["files_removed"] >= 1 and p["bytes_removed"] > 0
    assert p["history_rows"] == (0 if history == "false" else 4)
    check_gone(declared)
    if others is not None:
        assert sorted(map(str, declared.lake.dataset("crm", "people__history").dicts())) == others
    # The files come again, and a deletion, and a newer version: nothing of hers comes back; the others are as they were.
    for i, text in enumerate(FILES):
        ingest(declared, text, f"again{i}.csv")
    again = ingest(declared, HEADER + f"{SECRET},Liddell-The-Secret,looking-glass-house 5,9,99,u\n{SECRET},,,,100,d\n", "newer.csv")
    assert again["suppressed"] == 1 and again["noop_deletes"] == 1 and again["upserted"] == 0
    ingest(declared, HEADER + f"{SECRET},Liddell-The-Secret,looking-glass-house 6,not-a-number,101,u\n", "bad2.csv", code=0)
    check_gone(declared)
    declared.stop()
    (declared.lake.folder / ".index" / "state").unlink()  # an index that is not trusted is rebuilt
    ingest(declared, HEADER + f"{SECRET},Liddell-The-Secret,x,9,102,u\nbob@x.example,Bob,Main 9,41,2,u\n", "after.csv")
    check_gone(declared)
    # Taken back: the next change brings the row.
    p = declared.with_config("delete", "crm.people", SECRET, "--unsuppress", "--json")
    assert json.loads(p.stdout)["unsuppressed"] == 1
    assert people(declared) == OTHERS
    assert ingest(declared, HEADER + f"{SECRET},Alice,New Street,10,1,u\n", "back.csv")["upserted"] == 1
    assert people(declared) == OTHERS | {(SECRET, "Alice", "New Street", 10, 1)}


def test_histories_that_ended_are_erased_too(declared):
    """One by another kind, one that had been switched off: kept under names of their own, found by the key."""
    fill(declared, "scd2")
    apply(declared, schema("true"))
    ingest(declared, HEADER + f"{SECRET},Liddell-The-Secret,looking-glass-house 7,9,7,u\nbob@x.example,Bob,Main 8,42,3,u\n", "g1.csv")
    apply(declared, schema("false"))
    apply(declared, schema("scd2"))
    archives = [n for _, n in declared.lake.pointers() if n.startswith("people__history_")]
    assert len(archives) == 2
    others = {n: sorted(map(str, (r for r in declared.lake.dataset("crm", n).dicts() if r["email"] != SECRET))) for n in archives}
    assert all(others.values())
    report = delete(declared, "crm.people", SECRET, "--until-erased")
    # Four in the first, copy and change in the second, one in the last.
    assert report["status"] == "erased" and part(report, "crm.people")["history_rows"] == 7
    assert found(declared.lake.folder) == []
    assert {n: sorted(map(str, declared.lake.dataset("crm", n).dicts())) for n in archives} == others


def test_declared_without_erasing(declared):
    fill(declared, "true")
    report = delete(declared, "crm.people", SECRET)
    assert report["status"] == "applied" and "erased_at" in report and report["erased_at"] is None
    assert people(declared) == OTHERS
    assert found(declared.lake.folder)  # older files may hold it, and it is said so
    text = declared.with_config("delete", "--show", str(report["order"]))
    assert "--until-erased" in text.stdout
    # The same key again, now to the last byte.
    again = delete(declared, "crm.people", SECRET, "--until-erased")
    assert again["order"] != report["order"] and again["status"] == "erased"
    check_gone(declared)
    assert [o["status"] for o in orders(declared)] == ["erased", "applied"]


def test_preview_and_questions(declared):
    fill(declared, "false")
    before = declared.lake.pointers()
    report = delete(declared, "crm.people", SECRET, "nobody@x.example", "--dry-run", yes=False)
    assert part(report, "crm.people")["rows"] == 1 and part(report, "crm.people")["keys"] == 2
    assert "order" not in report and orders(declared) == []
    p = declared.with_config("delete", "crm.people", SECRET)  # nobody to ask
    assert p.returncode == 2 and "--yes" in p.stderr
    for arguments, words in [(["crm.peeple", "x"], "did you mean crm.people"), (["crm.people"], "which rows"),
                             (["crm.people", "x", "--where", "true"], "which rows"),
                             (["crm.people", "--where", "nonsense = 1"], "nonsense"),
                             (["crm.people", "--where", "true; drop table x"], ""),
                             (["crm.people", "--where", "email in (select content from read_text('/etc/passwd'))"], "not allowed"),
                             (["--show", "77"], "no order 77"), (["--show", "x"], "number of an order")]:
        p = declared.with_config("delete", *arguments, *([] if "--show" in arguments else ["--yes"]))
        assert p.returncode == 2 and words in p.stderr, p.stderr + p.stdout
    assert declared.lake.pointers() == before
    nothing = delete(declared, "crm.people", "--where", "age > 1000")
    assert "order" not in nothing and declared.lake.pointers() == before


def test_where_and_key_file(declared):
    apply(declared, schema("false"))
    ingest(declared, HEADER + "".join(f"p{i}@x,P{i},S,{i},1,u\n" for i in range(3000)), "many.csv")
    report = delete(declared, "crm.people", "--where", "age % 2 = 0 -- the even ones")
    assert part(report, "crm.people")["rows"] == 1500
    keys = declared.folder / "keys.txt"
    keys.write_text("".join(f"p{i}@x\r\n" for i in range(1, 2999, 2)))
    report = delete(declared, "crm.people", "--key-file", str(keys), "--key", "p2999@x", "--key", "p2999@x")
    assert part(report, "crm.people")["rows"] == 1500 and part(report, "crm.people")["keys"] == 1500
    assert people(declared) == set()
    assert ingest(declared, HEADER + "".join(f"p{i}@x,P{i},S,{i},2,u\n" for i in range(3001)), "again.csv")["suppressed"] == 3000
    assert {r[0] for r in people(declared)} == {"p3000@x"}


COMPOSITE = """
schemas:
  web.visitors: {columns: {visitor: {type: string, required: true}, v: {type: long, required: true}}, key: visitor, version: v}
  web.events:
    columns:
      visitor: {type: string, required: true}
      at: {type: timestamptz, required: true}
      page: string
      v: {type: long, required: true}
    key: [visitor, at]
    version: v
    relationships: [{columns: visitor, to: web.visitors, cardinality: "M:1"}]
  web.clicks:
    columns:
      click: {type: uuid, required: true}
      visitor: string
      at: timestamptz
      v: {type: long, required: true}
    key: click
    version: v
    relationships: [{columns: [visitor, at], to: web.events, cardinality: "M:0"}]
"""


def test_related_transitively(declared):
    apply(declared, COMPOSITE)

    def put(dataset, text):
        path = declared.folder / "x.csv"
        path.write_text(text)
        p = declared.with_config("ingest", dataset, str(path))
        assert p.returncode == 0, p.stderr + p.stdout
    put("web.visitors", 'visitor,v\n"a, ""b""",1\nc,1\n')
    put("web.events", 'visitor,at,page,v\n"a, ""b""",2024-05-01T10:00:00Z,p,1\n"a, ""b""",2024-05-02T10:00:00.5Z,q,1\nc,2024-05-01T10:00:00Z,r,1\n')
    put("web.clicks", "click,visitor,at,v\n" + "".join(
        f"00000000-0000-0000-0000-00000000000{i},{w},{t},1\n" for i, w, t in
        [(1, '"a, ""b"""', "2024-05-01T10:00:00Z"), (2, '"a, ""b"""', "2024-05-02T10:00:00.5Z"), (3, "c", "2024-05-01T10:00:00Z"),
         (4, '"a, ""b"""', "2024-05-09T10:00:00Z"), (5, "", "")]))
    alone = delete(declared, "web.visitors", 'a, "b"', "--dry-run", yes=False)
    assert [(r["dataset"], r["rows"]) for r in alone["references"]] == [("web.events", 2)]
    report = delete(declared, "web.visitors", 'a, "b"', "--related")
    assert {(d["dataset"], d["rows"]) for d in report["datasets"]} == {("web.visitors", 1), ("web.events", 2), ("web.clicks", 2)}
    assert declared.lake.dataset("web", "visitors").column("visitor") == ["c"]
    assert declared.lake.dataset("web", "events").column("page") == ["r"]
    assert sorted(str(c)[-1] for c in declared.lake.dataset("web", "clicks").column("click")) == ["3", "4", "5"]
    # A key of several columns, with a quoted value; without --related the others stay.
    put("web.events", 'visitor,at,page,v\n"x, ""y""",2024-05-01T10:00:00Z,p,1\n')
    report = delete(declared, "web.events", '"x, ""y""",2024-05-01 10:00:00+00')
    assert part(report, "web.events")["rows"] == 1
    p = declared.with_config("delete", "web.events", "only-one", "--yes")
    assert p.returncode == 2 and "2 columns" in p.stderr


# ---- mirrored datasets ----

class SqliteShop:
    def __init__(self, folder):
        self.path = folder / "shop.db"
        self.db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        self.db.executescript(f"""
            pragma journal_mode = wal;
            create table people (email text primary key, name text, street text, age int);
            create table orders (id integer primary key, person text references people(email), amount int);
            insert into people values ('{SECRET}', 'Liddell-The-Secret', 'looking-glass-house 1', 7),
                ('bob@x.example', 'Bob', 'Main 1', 40), ('carol@x.example', 'Carol', 'Main 2', 50);
            insert into orders values (1, '{SECRET}', 10), (2, 'bob@x.example', 20), (3, '{SECRET}', 30);
        """)

    def mirror(self, folder, options=UNCOMPRESSED):
        return Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {self.path}\n    history: true\n", options)

    def execute(self, sql):
        return self.db.execute(sql).fetchall()


@pytest.fixture
def shop(folder):
    s = SqliteShop(folder)
    s.m = s.mirror(folder)
    yield s
    s.m.kill()
    s.db.close()


def dataset(mirror, name):
    rows = mirror.lake.dataset("shop", name)
    return sorted(tuple(sorted(r.items())) for r in rows.dicts()) if rows is not None else None


def wait_for(mirror, sql, expected, what):
    mirror.until(lambda: [tuple(r.values()) for r in mirror.query(sql)] == expected, what)


@pytest.mark.parametrize("running", [False, True])
def test_sqlite_until_erased(shop, running):
    m = shop.m
    m.catch_up()
    for i in range(2, 5):  # superseded versions
        shop.execute(f"update people set street = 'looking-glass-house {i}', age = {i} where email = '{SECRET}'")
        m.catch_up()
    if running:
        m.start()
        m.until(lambda: m.source_status("shop")["state"] == "running", "the mirror to stream")
    assert {t for _, t in found(m.lake.folder)} == set(TRACES)
    report = delete(m, "shop.people", SECRET, "--related", "--until-erased")
    assert report["status"] == "erased", report
    assert part(report, "shop.people")["rows"] == 1 and part(report, "shop.people")["history_rows"] == 3
    assert part(report, "shop.orders")["rows"] == 2
    assert found(m.lake.folder) == []
    # The source goes on with the row: update, new key and back, delete and insert.
    shop.execute(f"update people set street = 'looking-glass-house 9' where email = '{SECRET}'")
    shop.execute("update orders set amount = amount + 1")
    shop.execute("insert into people values ('dave@x.example', 'Dave', 'Main 4', 1)")
    if running:
        wait_for(m, "select name from shop.people where name = 'Dave'", [("Dave",)], "Dave")
        wait_for(m, "select amount from shop.orders", [(21,)], "the order")
    else:
        m.catch_up()
    assert found(m.lake.folder) == []
    shop.execute(f"delete from people where email = '{SECRET}'")
    shop.execute(f"insert into people values ('{SECRET}', 'Liddell-The-Secret', 'looking-glass-house 10', 1)")
    shop.execute("delete from people where email = 'carol@x.example'")
    if running:
        wait_for(m, "select count(*) from shop.people", [(2,)], "Carol to go")
        m.stop()
    else:
        m.catch_up()
    assert found(m.lake.folder) == []
    assert m.query("select name from shop.people order by 1") == [{"name": "Bob"}, {"name": "Dave"}]
    # A new copy, and the proof.
    for name in ("shop.people", "shop.orders"):
        assert m.with_config("resync", name).returncode == 0
    m.catch_up()
    assert found(m.lake.folder) == []
    assert m.query("select name from shop.people order by 1") == [{"name": "Bob"}, {"name": "Dave"}]
    assert m.query("select id from shop.orders") == [{"id": 2}]
    p = m.with_config("verify", "--json", timeout=120)
    assert p.returncode == 0, p.stdout + p.stderr
    left_out = {d["dataset"]: d["suppressed"] for d in map(json.loads, p.stdout.splitlines()) if d.get("kind") != "difference" and "suppressed" in d}
    assert left_out.get("shop.people") == 1 and left_out.get("shop.orders") == 2, p.stdout
    # Taken back: a change of the row brings it.
    p = m.with_config("delete", "shop.people", SECRET, "--unsuppress")
    assert p.returncode == 0 and "next change" in p.stdout
    shop.execute(f"update people set age = 99 where email = '{SECRET}'")
    m.catch_up()
    assert m.query("select age from shop.people where age = 99") == [{"age": 99}]


def test_verify_still_finds_differences(shop):
    """A suppressed key that is in the lake all the same, or another row that is missing, is a difference."""
    m = shop.m
    m.catch_up()
    delete(m, "shop.people", SECRET)
    db = sqlite3.connect(m.lake.catalog)
    for table in ("dm_suppression", "dm_suppression_marked", "dm_suppression_columns"):
        db.execute(f"update {table} set dataset = dataset + 1000")
    db.commit()
    db.close()
    p = m.with_config("verify", "--json", timeout=120)
    assert p.returncode == 1 and SECRET in p.stdout


def test_postgres_until_erased(database):
    database.execute(f"""create table people (email text primary key, name text, street text, blob text);
        create table orders (id int primary key, person text references people(email) on update cascade, amount int);
        alter table people alter column blob set storage external;
        insert into people values ('{SECRET}', 'Liddell-The-Secret', 'looking-glass-house 1', repeat('looking-glass-house', 400)),
            ('bob@x.example', 'Bob', 'Main 1', 'b');
        insert into orders values (1, '{SECRET}', 10), (2, 'bob@x.example', 20)""")
    m = database.mirror(extra="    history: true\n", options=UNCOMPRESSED).start()
    marker = Marker(database.execute, m)
    marker.reached()
    for i in range(5):
        database.execute(f"update people set street = 'looking-glass-house {i}' where email = '{SECRET}'")
        marker.reached()
    assert {t for _, t in found(m.lake.folder)} == set(TRACES)
    report = delete(m, "shop.people", SECRET, "--related", "--until-erased")
    assert report["status"] == "erased", report
    assert part(report, "shop.orders")["rows"] == 1 and part(report, "shop.people")["rows"] == 1
    assert found(m.lake.folder) == []
    database.execute(f"update people set street = 'looking-glass-house 7' where email = '{SECRET}'")
    # A row that was deleted by order stays so under a new key, unchanged values included; and nobody else can take the old key.
    database.execute(f"update people set email = 'new-name-of-alice@x.example' where email = '{SECRET}'")
    database.execute("update people set street = 'looking-glass-house 8' where name like 'Lid%'")
    database.execute("update people set email = 'robert@x.example' where name = 'Bob'")
    marker.reached()
    assert found(m.lake.folder, TRACES + ["new-name-of-alice"]) == []
    assert m.query("select email from shop.people") == [{"email": "robert@x.example"}]
    assert m.dataset_status("shop.people")["quarantined"] == 0
    assert m.with_config("resync", "--all").returncode == 0
    marker.reached()
    m.until(lambda: all(d["state"] == "streaming" for d in m.status()["datasets"]), "the new copies")
    marker.reached()
    assert found(m.lake.folder, TRACES + ["new-name-of-alice"]) == []
    p = m.with_config("verify", timeout=120)
    assert p.returncode == 0 and "1 more deleted by order" in p.stdout, p.stdout + p.stderr
    # A row that takes on a suppressed key leaves the lake.
    database.execute(f"update people set email = '{SECRET}' where name = 'Bob'")
    marker.reached()
    assert m.query("select email from shop.people") == []
    # Taken back by its new name.
    delete(m, "shop.people", "new-name-of-alice@x.example", "--unsuppress", yes=False)
    database.execute("update people set blob = 'short' where email = 'new-name-of-alice@x.example'")
    marker.reached()
    assert m.query("select blob from shop.people") == [{"blob": "short"}]


@pytest.mark.parametrize("until_erased", [False, True])
def test_of_a_dropped_table_without_its_key_index(shop, until_erased):
    """The start does not make the index of a dropped table anew: nobody adds to it. Its rows can be deleted for all that."""
    m = shop.m
    m.catch_up()
    shop.execute("drop table people")
    m.catch_up()
    assert {d["dataset"]: d["state"] for d in m.status()["datasets"]} == {"shop.people": "dropped", "shop.orders": "streaming"}
    before = dataset(m, "people")
    shutil.rmtree(m.lake.folder / ".index")
    m.catch_up()
    report = delete(m, "shop.people", SECRET, *(["--until-erased"] if until_erased else []))
    assert report["status"] == ("erased" if until_erased else "applied") and part(report, "shop.people")["rows"] == 1
    assert dataset(m, "people") == [r for r in before if ("email", SECRET) not in r] and len(before) > 1
    assert (found(m.lake.folder, TRACES[1:]) == []) == until_erased


def test_a_table_without_key_is_refused(shop):
    shop.execute("create table log (line text)")
    shop.execute("insert into log values ('x')")
    shop.m.catch_up()
    p = shop.m.with_config("delete", "shop.log", "x", "--yes")
    assert p.returncode == 2 and ("no key" in p.stderr or "no rows yet" in p.stderr)


# ---- beside other work ----

def test_beside_a_busy_mirror(shop):
    """Deletions while the source is written to all the time: what is deleted stays away, all else arrives."""
    m = shop.m
    shop.execute("create table many (id integer primary key, n int)")
    shop.execute("with recursive s(i) as (select 1 union all select i + 1 from s where i < 2000) insert into many select i, 0 from s")
    m.catch_up()
    m.start()
    wait_for(m, "select count(*) from shop.many", [(2000,)], "the copy")
    over, failed = threading.Event(), []

    def work():
        db = sqlite3.connect(shop.path, timeout=30, isolation_level=None)
        i = 0
        try:
            while not over.is_set():
                i += 1
                db.execute("update many set n = n + 1 where id % 7 = ?", (i % 7,))
        except Exception as e:
            failed.append(e)
        db.close()
    writer = threading.Thread(target=work)
    writer.start()
    try:
        for k in range(1, 6):
            r = delete(m, "shop.many", *[str(i) for i in range(k, 2001, 400)], *(["--until-erased"] if k % 2 else []))
            assert part(r, "shop.many")["rows"] == 5
    finally:
        over.set()
        writer.join()
    assert not failed
    p = m.with_config("verify", timeout=180)
    assert p.returncode == 0 and "25 more deleted by order" in p.stdout, p.stdout + p.stderr


# ---- kill -9 ----

POINTS = ["delete-before-publish", "delete-after-publish", "erase-before-publish", "erase-after-publish", "erase-before-index",
          "erase-before-catalog", "erase-before-end"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_in_place(declared, point):
    """All or nothing; what was begun is ended by the next mirror."""
    fill(declared, "scd2")
    p = declared.with_config("delete", "crm.people", SECRET, "--until-erased", "--yes", env={"DM_CRASH_AT": f"{point}:1"})
    assert p.returncode == -9, p.stdout + p.stderr
    if point == "delete-before-publish":
        assert orders(declared) == []
        assert len(people(declared)) == len(OTHERS) + 1
        ingest(declared, HEADER + f"{SECRET},Liddell-The-Secret,s,9,50,u\n", "more.csv")
        assert {r[4] for r in people(declared)} == {1, 2, 50}
        return
    assert people(declared) == OTHERS
    assert orders(declared)[0]["status"] == "erasing"
    declared.start()
    declared.until(lambda: orders(declared)[0]["status"] == "erased", "the order to be ended", 60)
    declared.stop()
    check_gone(declared)
    assert ingest(declared, HEADER + f"{SECRET},Liddell-The-Secret,s,9,50,u\n", "more.csv")["suppressed"] == 1
    check_gone(declared)


@pytest.mark.parametrize("point", POINTS)
def test_mirror_killed_at_it(shop, point):
    """The asker does it itself when the mirror dies, or the next mirror does; either way once."""
    m = shop.m
    m.catch_up()
    shop.execute(f"update people set street = 'looking-glass-house 2' where email = '{SECRET}'")
    m.start(env={"DM_CRASH_AT": f"{point}:1"})
    wait_for(m, "select street from shop.people where age = 7", [("looking-glass-house 2",)], "the update")
    report = delete(m, "shop.people", SECRET, "--related", "--until-erased")
    assert m.child.wait(30) == -9
    m.child = None
    assert report["status"] == "erased" and report["order"] == 1
    assert len(orders(m)) == 1
    assert found(m.lake.folder) == []
    m.catch_up()
    assert found(m.lake.folder) == []
    p = m.with_config("verify", timeout=120)
    assert p.returncode == 0, p.stdout + p.stderr


# ---- expiry ----

EVENTS = """
schemas:
  web.events:
    behavior: time-series
    columns:
      visitor: {{type: string, required: true}}
      at: {{type: timestamptz, required: true}}
      v: {{type: long, required: true}}
    key: [visitor, at]
    version: v
    timestamp: at
    expire: {period}
  web.states:
    columns:
      id: {{type: int, required: true}}
      changed: {{type: {type}, required: true}}
    key: id
    version: changed
    expire: {period}
"""


def ago(days):
    return (datetime.now(timezone.utc) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def put(mirror, dataset, text):
    path = mirror.folder / "put.csv"
    path.write_text(text)
    p = mirror.with_config("ingest", dataset, str(path), "--json")
    assert p.returncode == 0, p.stderr + p.stdout


@pytest.mark.parametrize("kind", ["timestamptz", "date"])
def test_expire(declared, kind):
    apply(declared, EVENTS.format(period="P3M", type=kind))
    when = (lambda d: ago(d)) if kind == "timestamptz" else (lambda d: ago(d)[:10])
    put(declared, "web.events", "visitor,at,v\n" + "".join(f"v{d},{ago(d)},1\n" for d in (1, 80, 100, 400)))
    put(declared, "web.states", "id,changed\n" + "".join(f"{d},{when(d)}\n" for d in (1, 80, 100, 400)))
    p = declared.with_config("expire", "--dry-run", "--json")
    assert p.returncode == 0, p.stderr
    assert {(d["dataset"], d["rows"]) for d in json.loads(p.stdout)["datasets"]} == {("web.events", 2), ("web.states", 2)}
    assert len(declared.lake.dataset("web", "events").rows) == 4
    p = declared.with_config("expire", "--json")
    assert {(d["dataset"], d["rows"]) for d in json.loads(p.stdout)["datasets"]} == {("web.events", 2), ("web.states", 2)}
    assert sorted(declared.lake.dataset("web", "events").column("visitor")) == ["v1", "v80"]
    assert sorted(declared.lake.dataset("web", "states").column("id")) == [1, 80]
    # Nothing is suppressed: an old row may come, and a running mirror removes it.
    put(declared, "web.events", f"visitor,at,v\nlate,{ago(200)},1\nv80,{ago(80)},1\n")
    put(declared, "web.states", f"id,changed\n100,{when(2)}\n")
    assert "late" in declared.lake.dataset("web", "events").column("visitor")
    declared.start()
    declared.until(lambda: "late" not in declared.lake.dataset("web", "events").column("visitor"), "the mirror to expire rows")
    assert sorted(declared.lake.dataset("web", "states").column("id")) == [1, 80, 100]
    declared.stop()
    p = declared.with_config("expire", "web.nothing")
    assert p.returncode == 2 and "no dataset" in p.stderr


def test_expire_killed(declared):
    apply(declared, EVENTS.format(period="P3M", type="timestamptz"))
    put(declared, "web.states", "id,changed\n" + "".join(f"{d},{ago(d)}\n" for d in (1, 80, 100, 400)))
    p = declared.with_config("expire", env={"DM_CRASH_AT": "expire-rows-before-publish:1"})
    assert p.returncode == -9 and len(declared.lake.dataset("web", "states").rows) == 4
    p = declared.with_config("expire", env={"DM_CRASH_AT": "expire-rows-after-publish:1"})
    assert p.returncode == -9 and len(declared.lake.dataset("web", "states").rows) == 2
    put(declared, "web.states", f"id,changed\n80,{ago(1)}\n100,{ago(1)}\n")
    assert sorted(declared.lake.dataset("web", "states").column("id")) == [1, 80, 100]


def test_expire_of_a_mirrored_table(database):
    """By a timestamp that the schema names; rows past it are neither missing nor different for verify."""
    database.execute("create table visits (id int primary key, at timestamptz, note text)")
    for i, days in enumerate([0.1, 20, 40, 400]):
        database.execute(f"insert into visits values ({i}, '{ago(days)}', 'x')")
    database.execute("insert into visits values (9, null, 'no time'), (11, '-infinity', 'before all')")
    m = database.mirror(options=UNCOMPRESSED)
    m.catch_up()
    file = m.folder / "schemas.yaml"
    for text, words in [("expire: P1M", "treatment of changes"), ("expire: P1M\n    timestamp: note", "no time"),
                        ("expire: 3 weeks\n    timestamp: at", "ISO-8601"), ("timestamp: at", "decides its version")]:
        file.write_text(f"schemas:\n  shop.visits:\n    {text}\n")
        p = m.with_config("schema", "apply", str(file))
        assert p.returncode != 0 and words in p.stderr, p.stderr + p.stdout
    file.write_text("schemas:\n  shop.visits:\n    expire: P1M\n    timestamp: at\n")
    p = m.with_config("schema", "apply", str(file))
    assert p.returncode == 0, p.stderr + p.stdout
    p = m.with_config("expire", "shop.visits", "--json")
    assert json.loads(p.stdout)["datasets"][0]["rows"] == 2, p.stdout + p.stderr
    assert m.query("select id from shop.visits order by id") == [{"id": 0}, {"id": 1}, {"id": 9}, {"id": 11}]
    # A change of an expired row, one that comes back, and one that has not been removed yet.
    database.execute("update visits set note = 'y' where id = 3")
    database.execute(f"update visits set at = '{ago(1)}' where id = 2")
    database.execute(f"insert into visits values (10, '{ago(90)}', 'late')")
    m.catch_up()
    p = m.with_config("verify", "shop.visits", timeout=120)
    assert p.returncode == 0 and "2 more past their expiry" in p.stdout, p.stdout + p.stderr
    p = m.with_config("expire", "--json")
    assert p.returncode == 0, p.stderr
    assert [r["id"] for r in m.query("select id from shop.visits order by id")] == [0, 1, 2, 9, 11]
    # The setting stays when the mirror tells the registry of the table again, and differences are still found.
    database.execute("alter table visits add column more int")
    m.catch_up()
    assert "P1M" in m.with_config("schema", "show", "shop.visits", "--json").stdout
    p = m.with_config("verify", "shop.visits", timeout=120)
    assert p.returncode == 0, p.stdout + p.stderr
