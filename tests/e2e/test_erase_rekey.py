"""A dataset gets another key after rows were deleted for good: they stay away, known by the columns that they were deleted by, and a value of the new key that happens to be
one of the old key's says nothing."""
import json
import sqlite3

from oracle.mirror import Marker, Mirror
from test_delete import UNCOMPRESSED, delete, found, part

ALICE, NICK = "alice@secret.example", "the-nick-of-alice"  # her old key; her new one
TRACES = [ALICE, NICK, "secret-street"]


def schema(key, columns="email: {type: string, required: true}, nick: {type: string, required: true}, street: string, v: {type: long, required: true}"):
    return f"schemas:\n  crm.people: {{columns: {{{columns}}}, key: {key}, version: v, history: true}}\n"


def test_a_declared_dataset(folder):
    m = Mirror(folder, "", UNCOMPRESSED)

    def apply(text, *options, code=0):
        (m.folder / "s.yaml").write_text(text)
        p = m.with_config("schema", "apply", str(m.folder / "s.yaml"), *options)
        assert p.returncode == code, p.stdout + p.stderr
        return p.stdout + p.stderr

    def put(*rows, code=0):
        path = m.folder / "rows.ndjson"
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        p = m.with_config("ingest", "crm.people", str(path), "--json")
        path.unlink()
        assert p.returncode == code, p.stdout + p.stderr
        return json.loads(p.stdout)["files"][0]

    def people():
        return {r["nick"]: (r["email"], r["v"]) for r in m.lake.dataset("crm", "people").dicts()}
    alice = {"email": ALICE, "nick": NICK, "street": "secret-street", "v": 1}
    apply(schema("email"))
    put(alice, {"email": "bob@x", "nick": "bob", "v": 1})
    assert delete(m, "crm.people", ALICE, "--until-erased")["status"] == "erased"
    apply(schema("nick"))
    got = put(alice | {"v": 9}, {"email": "bob@x", "nick": "bob", "v": 2}, {"email": "carol@x", "nick": "alice@secret.other", "v": 1})
    assert (got["suppressed"], got["upserted"]) == (1, 2)
    put(alice | {"v": "no number"})  # a bad row of hers, too
    assert found(m.lake.folder, TRACES) == []
    # A value of the new key that was one of the old key: another row.
    assert put({"email": "dora@x", "nick": ALICE, "v": 1})["upserted"] == 1
    assert people() == {"bob": ("bob@x", 2), "alice@secret.other": ("carol@x", 1), ALICE: ("dora@x", 1)}
    # By the new key, and then back to the old one: both hold.
    assert part(delete(m, "crm.people", "bob", "--until-erased"), "crm.people")["rows"] == 1
    apply(schema("email"))
    got = put({"email": "bob@x", "nick": "bob", "v": 5}, alice | {"v": 10}, {"email": "eve@x", "nick": "eve", "v": 1})
    assert (got["suppressed"], got["upserted"]) == (2, 1)
    # The column that they are known by has to stay: said before anything is lost.
    before = m.lake.pointers()
    said = apply(schema("email", "email: {type: string, required: true}, street: string, v: {type: long, required: true}"), "--drop-columns", code=2)
    assert "could come back" in said and m.lake.pointers() == before, said


def test_mirrored_tables(folder, database):
    """PostgreSQL, where the stream goes on with the new key; SQLite, where the table is made anew and copied."""
    database.execute(f"""create table people (email text primary key, nick text not null, street text);
        insert into people values ('{ALICE}', '{NICK}', 'secret-street 1'), ('bob@x', 'bob', 'Main 1'), ('carol@x', '{ALICE}', 'Main 2')""")
    m = database.mirror(options=UNCOMPRESSED).start()
    marker = Marker(database.execute, m)
    marker.reached()
    assert delete(m, "shop.people", ALICE, "--until-erased")["status"] == "erased"
    database.execute("alter table people drop constraint people_pkey, add primary key (nick)")
    database.execute(f"update people set street = 'secret-street 2' where email = '{ALICE}'; update people set street = 'Main 3' where nick <> '{NICK}'")
    marker.reached()
    expected = {("bob@x", "bob", "Main 3"), ("carol@x", ALICE, "Main 3")}
    assert {(r["email"], r["nick"], r["street"]) for r in m.query("select * from shop.people")} == expected
    assert m.with_config("resync", "--all").returncode == 0
    marker.reached()
    m.until(lambda: all(d["state"] == "streaming" for d in m.status()["datasets"]), "the new copies")
    marker.reached()
    assert {(r["email"], r["nick"], r["street"]) for r in m.query("select * from shop.people")} == expected
    assert found(m.lake.folder, [NICK, "secret-street"]) == []
    p = m.with_config("verify", timeout=120)
    assert p.returncode == 0, p.stdout + p.stderr
    m.stop()

    path = folder / "shop.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(f"""pragma journal_mode = wal;
        create table people (email text primary key, nick text not null, street text) without rowid;
        insert into people values ('{ALICE}', '{NICK}', 'secret-street 1'), ('bob@x', 'bob', 'Main 1'), ('carol@x', '{ALICE}', 'Main 2');""")
    s = Mirror(folder / "s", f"  shop:\n    type: sqlite\n    path: {path}\n", UNCOMPRESSED)
    s.catch_up()
    assert delete(s, "shop.people", ALICE, "--until-erased")["status"] == "erased"
    db.executescript("""begin; create table next (email text not null, nick text primary key, street text) without rowid;
        insert into next select * from people; drop table people; alter table next rename to people; commit;""")
    db.execute("update people set street = 'Main 3' where nick <> 'x'")
    s.catch_up()
    rows = {(r["email"], r["nick"], r["street"]) for r in s.lake.dataset("shop", "people").dicts()}
    assert rows == {("bob@x", "bob", "Main 3"), ("carol@x", ALICE, "Main 3")}
    assert found(s.lake.folder, [NICK, "secret-street"]) == []
    db.close()
