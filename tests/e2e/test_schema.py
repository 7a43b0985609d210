"""`schema`: declared in YAML, DDL and JSON; evolved with the rows that are there; mirrored tables appear by themselves and follow their source."""
import json
import sqlite3

import pytest

from oracle.mirror import Mirror


class Schemas:
    """A mirror and the schema command on it."""

    def __init__(self, mirror):
        self.mirror = mirror

    def run(self, *arguments, code=0, stdin=None):
        p = self.mirror.with_config("schema", *arguments, stdin=stdin)
        assert p.returncode == code, f"schema {' '.join(arguments)}: code {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p

    def file(self, text, name="s.yaml"):
        path = self.mirror.folder / name
        path.write_text(text)
        return str(path)

    def apply(self, text, *arguments, code=0, name="s.yaml"):
        return self.run("apply", self.file(text, name), *arguments, code=code)

    def refused(self, text, *words, name="s.yaml"):
        p = self.apply(text, code=2, name=name)
        for word in words:
            assert word in p.stderr, p.stderr
        return p.stderr

    def list(self):
        return {s["schema"]: s for s in map(json.loads, self.run("list", "--json").stdout.splitlines())}

    def show(self, *names):
        """{name: schema body}, and the descriptors."""
        documents = json.loads(self.run("show", "--json", *names).stdout)
        return ({d["title"]: d for d in documents if "title" in d}, [d for d in documents if "@type" in d])

    def ingest(self, dataset, *rows, code=0):
        path = self.mirror.folder / "rows.ndjson"
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        p = self.mirror.with_config("ingest", dataset, str(path))
        assert p.returncode == code, p.stderr + p.stdout

    def rows(self, dataset):
        return self.mirror.lake.dataset(*dataset.split(".", 1)).dicts()


@pytest.fixture
def schemas(folder):
    m = Mirror(folder, "", "commit_interval: 200ms")
    yield Schemas(m)
    m.kill()


SALES = """
schemas:
  - name: sales.customers
    columns: {customer_id: int64 key, email: {type: string, format: email, max_length: 20}, updated_at: timestamptz version}
  - name: sales.orders
    description: What was ordered
    columns: {order_id: int64 not null, status: {type: string, enum: [A, B]}, total: decimal(12,2), customer_id: int64,
              updated_at: timestamptz not null}
    key: [order_id]
    version: updated_at
    relationships: [{columns: customer_id, to: sales.customers, cardinality: M:1}]
    expire: P3M
"""


def test_apply_list_show_diff_drop(schemas):
    assert "No schemas yet" in schemas.run("list").stdout
    p = schemas.run("diff", schemas.file(SALES), code=1)
    assert "sales.orders: new, with 5 columns" in p.stdout
    assert "nothing was changed" in schemas.apply(SALES, "--dry-run").stdout
    assert schemas.list() == {}
    schemas.apply(SALES)
    assert "sales.orders: unchanged" in schemas.apply(SALES).stdout
    assert "no change" in schemas.run("diff", schemas.file(SALES)).stdout
    orders = schemas.list()["sales.orders"]
    assert (orders["origin"], orders["behavior"], orders["key"], orders["version"], orders["columns"]) == ("declared", "record", ["order_id"], "updated_at", 5)
    relationship = orders["relationships"][0]
    assert (relationship["target"], relationship["target_columns"], relationship["cardinality"]) == ("sales.customers", ["customer_id"], "M:1")
    table = schemas.run("list").stdout
    assert "M:1 sales.customers" in table and "updated_at" in table
    text = schemas.run("show", "sales.orders").stdout
    assert "decimal(12, 2)" in text and "one of: A, B" in text and "expire              P3M" in text
    bodies, descriptors = schemas.show("sales.orders")
    fields = bodies["sales.orders"]["definitions"]["customFields"]
    assert list(fields["properties"]) == ["order_id", "status", "total", "customer_id", "updated_at"]
    assert fields["required"] == ["order_id", "updated_at"]
    assert bodies["sales.orders"]["meta:behaviorType"] == "record" and bodies["sales.orders"]["$id"]
    assert [(d["@type"], d["xdm:sourceProperty"]) for d in descriptors] == [
        ("xdm:descriptorPrimaryKey", "/order_id"), ("xdm:descriptorVersion", "/updated_at"), ("xdm:descriptorRelationship", "/customer_id")]
    assert len({d["@id"] for d in descriptors}) == 3
    diagram = schemas.run("show", "--all", "--mermaid").stdout
    assert diagram.startswith("erDiagram") and '"sales.orders" }o--|| "sales.customers"' in diagram
    assert "there is no schema \"sales.order\"" in (p := schemas.run("drop", "sales.order", code=2)).stderr and "sales.orders" in p.stderr
    assert "sales.orders has the relationship" in schemas.run("drop", "sales.customers", code=2).stderr
    schemas.run("drop", "sales.orders", "sales.customers")
    assert schemas.list() == {} and schemas.mirror.lake.dataset("sales", "orders") is None


def test_json_of_one_lake_declares_the_same_in_another(schemas, folder):
    schemas.apply(SALES)
    text = schemas.run("show", "--all", "--json").stdout
    other = Schemas(Mirror(folder / "other", ""))
    other.apply(text, name="all.json")
    strip = [{k: v for k, v in d.items() if not k.endswith("Micros") and k != "@id"} for d in json.loads(text)]
    again = [{k: v for k, v in d.items() if not k.endswith("Micros") and k != "@id"} for d in json.loads(other.run("show", "--all", "--json").stdout)]
    assert strip == again


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "snowflake", "databricks", "bigquery"])
def test_ddl_of_one_lake_declares_tables_in_another(schemas, folder, dialect):
    schemas.apply(SALES)
    text = schemas.run("show", "--all", "--ddl", dialect).stdout
    assert text.startswith("CREATE TABLE ")
    other = Schemas(Mirror(folder / "other", ""))
    other.apply(text, "--dialect", dialect, name="all.sql")
    a, b = schemas.list(), other.list()
    for name in a:
        assert all(a[name][k] == b[name][k] for k in ("key", "version", "columns", "behavior"))
        assert [(r["columns"], r["target"], r["target_columns"]) for r in a[name]["relationships"]] == [
            (r["columns"], r["target"], r["target_columns"]) for r in b[name]["relationships"]]


def test_ddl_with_the_version_given_and_what_is_passed_over_said(schemas):
    text = """
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE people (id int PRIMARY KEY, mood mood, boss int REFERENCES people, updated_at timestamptz);
    CREATE INDEX i ON people (mood);
    """
    assert "--version updated_at" in schemas.apply(text, code=2, name="p.sql").stderr
    p = schemas.apply(text, "--version", "updated_at", "--namespace", "hr", name="p.sql")
    assert "CREATE INDEX is passed over" in p.stderr
    assert schemas.list()["hr.people"]["relationships"][0]["target"] == "hr.people"
    # The next time the version need not be said, and settings that DDL has no words for stay.
    schemas.apply("schemas: [{name: hr.people, columns: {id: int32 key, mood: {type: string, enum: [good, bad]}, boss: int32, updated_at: "
                  "timestamptz version}, history: true, relationships: [{columns: boss, to: people, cardinality: 'M:0'}]}]")
    p = schemas.apply(text.replace("boss int", "note text, boss int"), "--namespace", "hr", name="p.sql")
    assert "add column note string" in p.stdout and "history" not in p.stdout
    schemas.ingest("hr.people", {"id": 1, "mood": "good", "updated_at": "2026-01-01T00:00:00Z"})
    schemas.ingest("hr.people", {"id": 2, "mood": "fine", "updated_at": "2026-01-01T00:00:00Z"}, code=7)
    assert [r["id"] for r in schemas.rows("hr.people")] == [1]


def test_standard_input_and_formats(schemas):
    assert "default.a" in schemas.run("apply", "-", stdin="name: a\ncolumns: {id: int key, v: int version}\n").stdout
    assert "default.b" in schemas.run("apply", "-", "--format", "ddl", stdin="CREATE TABLE b (id int PRIMARY KEY, v int COMMENT 'datamirror:version')").stdout
    assert "--format cannot be" in schemas.run("apply", "-", "--format", "xml", code=2).stderr
    assert "--dialect cannot be" in schemas.run("apply", "-", "--dialect", "oracle", code=2).stderr
    assert "did you mean \"schema apply\"" in schemas.run("aply", "x", code=2).stderr
    assert "needs a file" in schemas.run("apply", code=2).stderr
    assert "--all" in schemas.run("show", code=2).stderr
    missing = schemas.run("apply", "none.yaml", code=2).stderr
    assert "none.yaml" in missing


# ---- evolution, with rows ----

TABLE = "schemas: [{{name: s.t, columns: {{{columns}}}, {rest}}}]\n"


def evolve(schemas, columns, rest="key: id, version: v", code=0, *arguments):
    return schemas.apply(TABLE.format(columns=columns, rest=rest), *arguments, code=code)


def test_evolution_keeps_the_rows(schemas):
    evolve(schemas, "id: int32 not null, v: int32 not null, name: string, n: int32, m: decimal(9,2), gone: string")
    schemas.ingest("s.t", {"id": 1, "v": 1, "name": "a", "n": 7, "m": "1.50", "gone": "x"}, {"id": 2, "v": 1, "name": "b"})
    p = evolve(schemas, "id: int64 not null, v: int64 not null, title: {type: string, renamed_from: name}, n: int64, m: 'decimal(12,2)', extra: date",
               "key: id, version: v, drop_columns: [gone]")
    for words in ["rename column name to title", "type int32 to int64", "add column extra date", "drop column gone"]:
        assert words in p.stdout
    rows = {r["id"]: r for r in schemas.rows("s.t")}
    first = next(r for r in rows.values() if r["title"] == "a")
    assert (str(first["n"]), str(first["m"]), first["extra"]) == ("7", "1.50", None)
    assert "gone" not in next(iter(rows.values())) and "name" not in next(iter(rows.values()))
    schemas.ingest("s.t", {"id": 2**40, "v": 1, "title": "c"}, {"id": 1, "v": 2, "title": "new"}, {"id": 2, "v": 0, "title": "stale"})
    assert sorted(r["title"] for r in schemas.rows("s.t")) == ["b", "c", "new"]
    # The same file again, with its renames, is no change.
    p = evolve(schemas, "id: int64 not null, v: int64 not null, title: {type: string, renamed_from: name}, n: int64, m: 'decimal(12,2)', extra: date",
               "key: id, version: v, drop_columns: [gone]")
    assert "unchanged" in p.stdout


def test_what_would_lose_values_is_refused_with_the_way_out(schemas):
    evolve(schemas, "id: int64 not null, v: int64 not null, a: int64, b: string")
    schemas.ingest("s.t", {"id": 1, "v": 1, "a": 2**40, "b": "x"}, {"id": 2, "v": 1})
    before = schemas.mirror.lake.pointers()
    for columns, words in [("id: int64 not null, v: int64 not null, b: string", ["refused: drop column a", "drop_columns"]),
                           ("id: int64 not null, v: int64 not null, a: int32, b: string", ["refused: column a: type int64 to int32", "only widening"]),
                           ("id: int64 not null, v: int64 not null, a: string, b: string", ["type int64 to string"]),
                           ("id: int64 not null, v: int64 not null, a: int64 not null, b: string", ["a"]),
                           ("id: int64 not null, v: int64 not null, a: int64, b: {type: string, enum: [y]}", ["b"]),
                           ("id: int64 not null, v: int64 not null, a: int64, b: string, c: int64 not null", ["c"])]:
        p = evolve(schemas, columns, code=2)
        for word in words:
            assert word in p.stderr, p.stderr
    assert schemas.mirror.lake.pointers() == before
    p = evolve(schemas, "id: int64 not null, v: int64 not null, b: string", "key: id, version: v", 0, "--drop-columns")
    assert "drop column a" in p.stdout


def test_a_new_key_must_be_unique_in_the_rows(schemas):
    evolve(schemas, "id: int64 not null, v: int64 not null, code: string not null, n: int64 not null")
    schemas.ingest("s.t", {"id": 1, "v": 1, "code": "a", "n": 1}, {"id": 2, "v": 1, "code": "b", "n": 1}, {"id": 3, "v": 1, "code": "b", "n": 2})
    p = evolve(schemas, "id: int64 not null, v: int64 not null, code: string not null, n: int64 not null", "key: code, version: v", code=2)
    assert "code" in p.stderr and "unique" in p.stderr
    evolve(schemas, "id: int64 not null, v: int64 not null, code: string not null, n: int64 not null", "key: [code, n], version: v")
    schemas.ingest("s.t", {"id": 9, "v": 2, "code": "b", "n": 2}, {"id": 8, "v": 0, "code": "a", "n": 1})
    assert sorted(int(r["id"]) for r in schemas.rows("s.t")) == [1, 2, 9]


def test_all_or_nothing(schemas):
    evolve(schemas, "id: int64 not null, v: int64 not null, a: string")
    schemas.ingest("s.t", {"id": 1, "v": 1})
    both = ("schemas: [{name: s.u, columns: {id: int key, v: int version}}, {name: s.t, columns: {id: int64 not null, v: int64 not null, "
            "a: string not null}, key: id, version: v}]")
    schemas.apply(both, code=2)
    assert list(schemas.list()) == ["s.t"] and schemas.mirror.lake.dataset("s", "u") is None


# ---- mirrored tables ----

def test_mirrored_sqlite_tables_appear(folder):
    db = sqlite3.connect(folder / "shop.db", isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.executescript("create table customers (id integer primary key, name text not null);"
                     "create table orders (id integer, line integer, customer integer not null references customers, primary key (id, line));"
                     "create table profiles (id integer primary key references customers(id), bio text)")
    mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder}/shop.db\n", "commit_interval: 100ms")
    mirror.catch_up()
    schemas = Schemas(mirror)
    listed = schemas.list()
    assert listed["shop.orders"]["key"] == ["id", "line"] and listed["shop.orders"]["version"] == "(position)" and listed["shop.orders"]["origin"] == "shop"
    r = listed["shop.orders"]["relationships"][0]
    assert (r["columns"], r["target"], r["target_columns"], r["cardinality"], r["discovered"]) == (["customer"], "shop.customers", ["id"], "M:1", True)
    assert listed["shop.profiles"]["relationships"][0]["cardinality"] == "1:1"
    assert "(position)" in schemas.run("list").stdout
    # Only relationships and texts can be declared on top.
    schemas.refused("name: shop.customers\nversion: id\n", "mirrored from source shop")
    schemas.apply("name: shop.customers\ndescription: who buys\nrelationships: [{name: twin, columns: id, to: shop.profiles, cardinality: '1:0'}]\n")
    assert "cannot be dropped here" in schemas.run("drop", "shop.customers", code=2).stderr
    db.execute("alter table customers add column email text")
    mirror.catch_up()
    listed = schemas.list()
    assert listed["shop.customers"]["columns"] == 3 and [r["name"] for r in listed["shop.customers"]["relationships"]] == ["twin"]
    assert "who buys" in schemas.run("show", "shop.customers").stdout
    db.close()


CARDINALITIES = """create table p (id integer primary key, code int unique);
create table many_must (id integer primary key, p integer not null references p (id));
create table many_may (id integer primary key, p integer references p (id));
create table one_must (id integer primary key, p integer not null unique references p (id));
create table one_may (id integer primary key, p integer unique references p (id));
create table one_by_index (id integer primary key, p integer not null references p (id), n int);
create unique index one_by_index_p on one_by_index (p);
create table partial_index (id integer primary key, p integer not null references p (id), n int);
create unique index partial_index_p on partial_index (p) where n > 0;
create table wider_index (id integer primary key, p integer not null references p (id), n int, unique (p, n));
create table by_key (p integer references p (id), primary key (p));
create table part_of_key (p integer references p (id), n int, primary key (p, n));
create table pairs (a int, b int, primary key (a, b));
create table two_must (id integer primary key, a int not null, b int not null, foreign key (a, b) references pairs (a, b));
create table two_may (id integer primary key, a int not null, b int, foreign key (a, b) references pairs (a, b));
create table two_one (id integer primary key, a int not null unique, b int not null, foreign key (a, b) references pairs (a, b));"""
EXPECTED = {"many_must": "M:1", "many_may": "M:0", "one_must": "1:1", "one_may": "1:0", "one_by_index": "1:1", "partial_index": "M:1", "wider_index": "M:1",
            "by_key": "1:1", "part_of_key": "M:1", "two_must": "M:1", "two_may": "M:0", "two_one": "1:1"}


def cardinalities(schemas):
    return {n.removeprefix("shop."): s["relationships"][0]["cardinality"] for n, s in schemas.list().items() if s["relationships"]}


def test_cardinality_of_foreign_keys_sqlite(folder):
    db = sqlite3.connect(folder / "shop.db", isolation_level=None)
    db.executescript("pragma journal_mode=wal;" + CARDINALITIES)
    mirror = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder}/shop.db\n", "commit_interval: 100ms")
    mirror.catch_up()
    assert cardinalities(Schemas(mirror)) == EXPECTED
    db.execute("create unique index later on many_must (p)")
    mirror.catch_up()
    assert cardinalities(Schemas(mirror)) == {**EXPECTED, "many_must": "1:1"}
    db.close()


def test_cardinality_of_foreign_keys_postgres(database):
    database.execute(CARDINALITIES)
    mirror = database.mirror()
    mirror.catch_up()
    assert cardinalities(Schemas(mirror)) == EXPECTED
    database.execute("alter table many_must alter p drop not null")
    mirror.catch_up()
    assert cardinalities(Schemas(mirror)) == {**EXPECTED, "many_must": "M:0"}


def test_mirrored_postgres_tables_follow_their_source(database):
    database.execute("create table customers (id bigint primary key, name text not null);"
                     "create table orders (id int primary key, customer bigint references customers, m numeric(9,2));"
                     "insert into customers values (1, 'a'); insert into orders values (1, 1, 2.5)")
    mirror = database.mirror().start()
    schemas = Schemas(mirror)
    mirror.until(lambda: "shop.orders" in schemas.list(), "the tables to be listed")
    r = schemas.list()["shop.orders"]["relationships"][0]
    assert (r["name"], r["target"], r["cardinality"]) == ("orders_customer_fkey", "shop.customers", "M:0")
    ids = {d["@id"] for d in schemas.show("shop.orders")[1]}
    # Declared through the running mirror.
    schemas.apply("- {name: shop.orders, description: what they bought}\n- {name: notes.n, columns: {id: int key, v: int version, customer: int64}, "
                  "relationships: [{columns: customer, to: shop.customers}]}\n")
    database.execute("alter table customers rename to clients; alter table orders add column note text;"
                     "insert into clients values (2, 'b')")
    mirror.until(lambda: "shop.clients" in schemas.list() and schemas.list()["shop.orders"]["columns"] == 4, "the registry to follow", timeout=90)
    mirror.until(lambda: schemas.list()["shop.orders"]["relationships"][0]["target"] == "shop.clients", "the relationship to follow", timeout=90)
    listed = schemas.list()
    assert "shop.customers" not in listed
    assert listed["shop.orders"]["relationships"][0]["target"] == "shop.clients"
    assert listed["notes.n"]["relationships"][0]["target"] == "shop.clients"
    assert {d["@id"] for d in schemas.show("shop.orders")[1]} == ids
    assert "what they bought" in schemas.run("show", "shop.orders").stdout
    assert mirror.stop() == 0


def test_declared_beside_a_running_mirror(schemas, folder):
    sqlite3.connect(folder / "x.db").execute("create table t (id integer primary key)")
    mirror = schemas.mirror
    mirror.write(f"  x:\n    type: sqlite\n    path: {folder}/x.db\n", "commit_interval: 100ms")
    mirror.start()
    mirror.until(lambda: "x.t" in schemas.list(), "the mirrored table to be listed")
    schemas.apply(SALES)
    schemas.ingest("sales.customers", {"customer_id": 1, "updated_at": "2026-01-01T00:00:00Z"})
    assert len(schemas.rows("sales.customers")) == 1
    schemas.refused("name: x.t2\ncolumns: {id: int key, v: int version}\n", "x")
    schemas.run("drop", "sales.orders")
    assert sorted(schemas.list()) == ["sales.customers", "x.t"]
    assert mirror.stop() == 0


@pytest.mark.parametrize("running", [False, True])
def test_drop_of_a_dataset_with_rows_needs_to_be_said(schemas, folder, running):
    """Rows, rows of history after the last row was deleted, rows in quarantine: none of them goes without --drop-rows; an empty dataset does."""
    if running:
        schemas.mirror.start()
        schemas.mirror.until(lambda: schemas.mirror.lake.catalog.exists(), "the mirror to run")
    schemas.apply("""
schemas:
  - {name: s.rows, columns: {id: int key, v: int version}}
  - {name: s.past, columns: {id: int key, v: int version}, history: scd2}
  - {name: s.aside, columns: {id: int key, v: int version}}
  - {name: s.empty, columns: {id: int key, v: int version}}
""")
    schemas.ingest("s.rows", {"id": 1, "v": 1})
    schemas.ingest("s.past", {"id": 1, "v": 1})
    schemas.ingest("s.past", {"id": 1, "v": 2, "_change_request_type": "d"})
    p = schemas.mirror.with_config("ingest", "s.aside", "-", "--format", "json", stdin='{"id": "x", "v": 1}')
    assert p.returncode == 7, p.stdout + p.stderr
    for name, words in (("s.rows", "1 rows"), ("s.past", "2 of history"), ("s.aside", "1 in quarantine")):
        p = schemas.run("drop", name, code=5)
        assert words in p.stderr and "--drop-rows" in p.stderr, p.stderr
    assert sorted(schemas.list()) == ["s.aside", "s.empty", "s.past", "s.rows"] and schemas.rows("s.rows") == [{"id": 1, "v": 1}]
    schemas.run("drop", "s.empty")
    schemas.run("drop", "s.rows", "s.past", "s.aside", "--drop-rows")
    assert schemas.list() == {} and schemas.mirror.lake.dataset("s", "rows") is None
