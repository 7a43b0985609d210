"""Databases whose texts are not UTF-8: converted exactly as the server would, and what has no form in UTF-8 costs its row, no more."""
import json
import sqlite3

import psycopg
import pytest

from oracle import mirror as mirror_module
from oracle.process import poll


class Encoded:
    """A database of another encoding. Statements are bytes in that encoding (or ASCII); the server checks nothing that it need not."""

    def __init__(self, database_in, encoding):
        self.database = database_in(encoding)
        self.connection = self.database.connection
        if encoding == "SQL_ASCII":
            self.connection.execute("set client_encoding = SQL_ASCII")

    def execute(self, sql):
        cursor = self.connection.execute(sql)
        return cursor.fetchall() if cursor.description else None


def quarantine(mirror, table, namespace="shop"):
    p = mirror.with_config("quarantine", "show", f"{namespace}.{table}", "--json")
    assert p.returncode == 0, p.stderr
    return [json.loads(line) for line in p.stdout.splitlines()]


def reasons(mirror, table):
    return sorted((r["key"], r["reason"]) for r in quarantine(mirror, table))


def rows(mirror, table, *columns):
    found = mirror.lake.dataset("shop", table)
    return sorted(zip(*(found.column(c) for c in columns)))


def equal(mirror):
    """Rows in quarantine are counted apart: they are no difference."""
    p = mirror.with_config("verify")
    assert p.returncode == 0, p.stdout + p.stderr + mirror.log_tail()


TABLES = """
create type mood as enum ('fine', E'\\377');
create type pair as (n int, v text);
create table t (id int primary key, v text, a text[], p pair, m mood, j json, b jsonb, c char(3), d varchar(9)[]);
create table k (k text primary key, n int);
create table rest (id int primary key, v text);
insert into rest values (1, 'untouched');
"""


def test_sql_ascii_bytes_that_are_no_text_cost_their_row_only(database_in):
    """In copy and stream, in every kind of text: the column, elements, composites, enum labels, json, keys."""
    d = Encoded(database_in, "SQL_ASCII")
    d.execute(TABLES)
    bad = {2: "(2, E'a\\377b')", 3: "(3, 'x', array['ok', E'\\376'])", 4: "(4, 'x', null, row(1, E'\\377'))",
           5: "(5, 'x', null, null, E'\\377')", 6: "(6, 'x', null, null, null, E'{\"a\": \"\\377\"}')",
           7: "(7, 'x', null, null, null, null, E'{\"a\": \"\\377\"}')", 8: "(8, 'x', null, null, null, null, null, E'\\377')",
           9: "(9, 'x', null, null, null, null, null, null, array[E'\\377'])"}

    def fill(add):
        for n, values in bad.items():
            d.execute(f"insert into t values {values}".replace(f"({n}", f"({n + add}", 1))
        d.execute(f"insert into t values ({1 + add}, E'gr\\303\\274n', array[E'\\303\\274', null], row(1, E'\\303\\274'), 'fine')")
        d.execute(f"insert into k values (E'k\\377{add}', 1), (E'\\303\\274{add}', 1)")
    fill(0)
    mirror = d.database.mirror()
    mirror.start()
    mirror.until_dataset("t", lambda r: r.column("id") == [1], "the copy")
    fill(100)
    d.execute("insert into rest values (2, 'the rest goes on')")
    d.execute("insert into t values (50, 'good'), (51, 'good'), (52, E'\\377')")
    d.execute("update t set v = E'\\377' where id = 50")            # leaves
    d.execute("update t set v = E'\\377' where id = 51; update t set v = 'good again' where id in (51, 52)")
    d.execute("delete from t where id = 2")
    d.execute("update k set k = E'k\\3761' where k = E'\\303\\2740'")  # to a key that is no text
    d.execute("update k set k = 'text' where k = E'k\\377100'")        # and from one
    mirror.until_dataset("rest", lambda r: len(r.rows) == 2, "the row after them")
    mirror.until_dataset("t", lambda r: 51 in r.column("id") and 52 in r.column("id"), "the rows that are good again")
    mirror.until_dataset("k", lambda r: "text" in r.column("k"), "the key that is text now")
    assert rows(mirror, "t", "id", "v") == [(1, "grün"), (51, "good again"), (52, "good again"), (101, "grün")]
    assert rows(mirror, "t", "id", "p")[0] == (1, "(1,ü)")
    assert rows(mirror, "k", "k", "n") == [("text", 1), ("ü100", 1)]
    keys = [(str(n + add), "invalid_utf8") for n in bad for add in (0, 100)]
    assert reasons(mirror, "t") == sorted(keys + [("50", "invalid_utf8"), ("51", "invalid_utf8"), ("52", "invalid_utf8")])
    assert {r for _, r in reasons(mirror, "k")} == {"invalid_utf8"}
    shown = next(r for r in quarantine(mirror, "t") if r["key"] == "2")
    assert json.loads(shown["raw"])["v"] == "\\x61ff62", shown
    equal(mirror)


def test_names_that_are_no_text_stop_their_table_only(database_in):
    d = Encoded(database_in, "SQL_ASCII")
    d.execute("create table good (id int primary key, v text); insert into good values (1, 'one')")
    d.execute(b'create table "t\xff" (id int primary key); insert into "t\xff" values (1)')
    d.execute(b'create table c (id int primary key, "v\xfe" text); insert into c values (1, \'x\')')
    d.execute('create table "grün" (id int primary key, "größe" text); insert into "grün" values (1, \'ß\')'.encode())
    d.execute('create table later (id int primary key, v text); insert into later values (1, \'x\')')
    mirror = d.database.mirror()
    mirror.start()
    mirror.until_dataset("good", lambda r: len(r.rows) == 1, "the copy")
    mirror.until_dataset("grün", lambda r: r.column("größe") == ["ß"], "the copy")
    d.execute(b'alter table later rename v to "v\xff"')
    d.execute("insert into later values (2, 'y'); insert into good values (2, 'two')")
    d.execute(b'insert into "t\xff" values (2)')
    mirror.until_dataset("good", lambda r: len(r.rows) == 2, "the rest goes on")
    for name in ("c", "t\\xff"):
        status = mirror.dataset_status(f"shop.{name}")
        assert status["state"] == "refused" and "UTF-8" in status["reason"], (name, status)
    d.execute(b'alter table c rename "v\xfe" to v; alter table "t\xff" rename to t')
    mirror.until_dataset("c", lambda r: r.column("v") == ["x"], "the column renamed")
    mirror.until_dataset("t", lambda r: len(r.rows) == 2, "the table renamed")


NOT_IN_WIN1252 = {0x81, 0x8d, 0x8f, 0x90, 0x9d}


def test_a_character_without_a_form_in_utf8_costs_its_row_only(database_in):
    """The server refuses the whole COPY, and the whole stream, for one such character. Names of that encoding, filters too."""
    d = Encoded(database_in, "WIN1252")
    with psycopg.connect(d.database.server.dsn(d.database.name), autocommit=True, client_encoding="SQL_ASCII") as raw:
        raw.execute("create table \"preis€\" (id int primary key, \"größe\" text); alter table \"preis€\" replica identity full".encode("cp1252"))
        for b in range(0x80, 0x100):
            raw.execute(f'insert into "preis€" values ({b}, \''.encode("cp1252") + bytes([b]) + b"')")
        raw.execute("insert into \"preis€\" values (1000, 'ausgelassen für immer')".encode("cp1252"))
        mirror = d.database.mirror("    tables:\n      - name: \"public.preis€\"\n        filter: \"größe <> 'ausgelassen für immer'\"\n")
        mirror.start()
        fits = [b for b in range(0x80, 0x100) if b not in NOT_IN_WIN1252]
        mirror.until_dataset("preis€", lambda r: len(r.rows) == len(fits), "the copy")
        for b in range(0x80, 0x100):
            raw.execute(f'insert into "preis€" values ({b + 1000}, \''.encode("cp1252") + bytes([b]) + b"')")
        found = mirror.until_dataset("preis€", lambda r: len(r.rows) == 2 * len(fits), "the stream")
        assert dict(zip(found.column("id"), found.column("größe"))) == {
            b + add: bytes([b]).decode("cp1252") for b in fits for add in (0, 1000)}
        assert reasons(mirror, "preis€") == sorted((str(b + add), "invalid_utf8") for b in NOT_IN_WIN1252 for add in (0, 1000))
        equal(mirror)


ALL = {"EUC_JP": [bytes([a, b]) for a in list(range(0xa1, 0xff)) + [0x8e] for b in range(0xa1, 0xff)]
       + [bytes([0x8f, a, b]) for a in range(0xa1, 0xff) for b in range(0xa1, 0xff)],
       "EUC_JIS_2004": [bytes([a, b]) for a in list(range(0xa1, 0xff)) + [0x8e] for b in range(0xa1, 0xff)]
       + [bytes([0x8f, a, b]) for a in range(0xa1, 0xff) for b in range(0xa1, 0xff)],
       "EUC_KR": [bytes([a, b]) for a in range(0xa1, 0xff) for b in range(0xa1, 0xff)],
       "KOI8R": [bytes([b]) for b in range(0x80, 0x100)],
       "LATIN10": [bytes([b]) for b in range(0x80, 0x100)]}


@pytest.mark.parametrize("encoding", sorted(ALL))
def test_characters_are_those_of_the_servers_conversion(database_in, postgres, encoding):
    """Every character that the server can convert, by copy and by stream."""
    d = Encoded(database_in, encoding)
    with postgres.connect("postgres") as c:
        c.execute("create or replace function pg_temp.utf8(b bytea, e name) returns text language plpgsql as "
                  "$$ begin return convert_from(convert(b, e, 'UTF8'), 'UTF8'); exception when others then return null; end $$")
        expected = [r for r, in c.execute("select pg_temp.utf8(x, %s) from unnest(%s::bytea[]) with ordinality u(x, o) order by o",
                                          (encoding, ALL[encoding])).fetchall()]
    known = [(b, u) for b, u in zip(ALL[encoding], expected) if u is not None]
    assert len(known) > 100
    d.execute("create table t (id int primary key, v text)")
    with d.connection.cursor() as cursor:
        cursor.execute("insert into t select o, convert_from(x, %s) from unnest(%s::bytea[]) with ordinality u(x, o)",
                       (encoding, [b for b, _ in known]))
    mirror = d.database.mirror()
    mirror.start()
    want = {i + 1: u for i, (_, u) in enumerate(known)}
    r = mirror.until_dataset("t", lambda r: len(r.rows) == len(known), "the copy")
    found = dict(zip(r.column("id"), r.column("v")))
    assert found == want, [(known[k - 1], found[k]) for k in want if found[k] != want[k]][:20]
    d.execute("update t set v = v || v")
    r = mirror.until_dataset("t", lambda r: len(r.column("v")[0]) == 2 * len(want[r.column("id")[0]]), "the stream")
    assert dict(zip(r.column("id"), r.column("v"))) == {k: u + u for k, u in want.items()}
    assert mirror.dataset_status("shop.t")["quarantined"] == 0
    equal(mirror)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_sqlite_text_that_is_no_text_costs_its_row_only(folder, encoding):
    """A text may hold any bytes, and a NUL; a UTF-16 database half a surrogate pair."""
    path = folder / "shop.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"pragma encoding = '{encoding}'")
    db.executescript("pragma journal_mode = wal; create table t (id integer primary key, v text); create table k (k text primary key, n int);"
                     "create table rest (id integer primary key, v text)")
    bad = {"UTF-8": "x'61ff62'", "UTF-16le": "x'61003dd8'", "UTF-16be": "x'0061d83d'"}[encoding]

    def fill(n):
        db.execute(f"insert into t values ({n + 1}, 'grün €'), ({n + 2}, cast({bad} as text)), ({n + 3}, '𝄞')")
        db.execute("insert into t values (?, ?)", (n + 4, "a\0b"))
        db.execute(f"insert into k values ('{n}' || cast({bad} as text), 1), ('grün{n}', 1)")
        db.execute(f"insert into rest values ({n + 1}, 'x')")
    fill(0)
    mirror = mirror_module.Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {path}\n", "commit_interval: 100ms")
    try:
        mirror.start()
        mirror.until_dataset("rest", lambda r: len(r.rows) == 1, "the copy")
        fill(100)
        db.execute(f"update t set v = cast({bad} as text) where id = 3")
        db.execute("update t set v = 'mended' where id = 2")
        mirror.until_dataset("rest", lambda r: len(r.rows) == 2, "the stream")
        poll(lambda: (2, "mended") in rows(mirror, "t", "id", "v"), 30, "the update")
        found = dict(rows(mirror, "t", "id", "v"))
        assert {k: v for k, v in found.items() if k not in (4, 104)} == {
            1: "grün €", 2: "mended", 101: "grün €", 103: "𝄞"}
        whole = [k for k in (4, 104) if found.get(k) == "a\0b"]
        held = [json.loads(r["key"])["id"] for r in quarantine(mirror, "t")]
        assert sorted(whole + [k for k in held if k in (4, 104)]) == [4, 104], (found, held)
        assert {2, 3, 102} <= set(held)
        assert [k for k, in rows(mirror, "k", "k")] == ["grün0", "grün100"]
        equal(mirror)
    finally:
        mirror.kill()
        db.close()


def test_files_in_latin1_cost_their_rows_only(folder):
    """Also a header, which is the whole file's."""
    mirror = mirror_module.Mirror(folder / "m", "")
    (folder / "schema.yaml").write_text("schemas:\n  shop.t:\n    columns: {id: {type: int, required: true}, name: string, v: {type: long, required: true}}\n"
                                        "    key: id\n    version: v\n")
    p = mirror.with_config("schema", "apply", str(folder / "schema.yaml"))
    assert p.returncode == 0, p.stderr
    (folder / "a.csv").write_bytes("id,name,v\n1,gut,1\n2,grün,1\n3,gut,1\n".encode("latin-1"))
    (folder / "b.json").write_bytes('{"id": 4, "name": "gut", "v": 1}\n{"id": 5, "name": "grün", "v": 1}\n'.encode("latin-1"))
    (folder / "c.csv").write_bytes("id,näme,v\n6,x,1\n".encode("latin-1"))
    for name, code in (("a.csv", 7), ("b.json", 7)):
        p = mirror.with_config("ingest", "shop.t", str(folder / name))
        assert p.returncode == code, (name, p.returncode, p.stdout, p.stderr)
    p = mirror.with_config("ingest", "shop.t", str(folder / "c.csv"))
    assert p.returncode != 0 and "UTF-8" in p.stderr, (p.returncode, p.stderr)
    assert rows(mirror, "t", "id", "name") == [(1, "gut"), (3, "gut"), (4, "gut")]
    assert {r["reason"] for r in quarantine(mirror, "t")} == {"invalid_utf8"}
