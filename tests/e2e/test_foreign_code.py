"""Functions that other people made are never run by the mirror's role: casts, operators, views that take a table's place."""
import signal

import pytest

from oracle.mirror import Marker


@pytest.fixture
def attacker(database):
    """A connection of a role that owns tables and types, and has no other rights; the mirror is a superuser."""
    role = f"attacker_{database.name}"
    database.execute(f"""create table secrets (id int primary key, s text); insert into secrets values (1, 'the secret');
        create role {role} login; grant create on schema public to {role}; grant create on database {database.name} to {role}""")
    connection = database.server.connect(database.name)
    connection.execute(f"set role {role}")
    # whoever runs it needs the right to read `secrets`, and tells it
    connection.execute("create function public.steal(any_text text) returns text language plpgsql as "
                       "$$begin return 'stolen: ' || (select string_agg(s, ',') from public.secrets); end$$")
    connection.execute("create function public.boom() returns text language plpgsql as $$begin raise exception 'boom'; end$$")
    yield connection
    connection.close()
    for m in database.mirrors:
        m.kill()
    database.execute(f"drop owned by {role} cascade; drop role {role}")


TYPES = {   # name: (how it is made, a value, its text by the type's own output function: a list for an array)
    "enum": ("create type {n} as enum ('p', 'q')", "'q'", "q"),
    "composite": ("create type {n} as (a int, b text)", "row(7, 'x y')::{n}", '(7,"x y")'),
    "range": ("create type {n} as range (subtype = int)", "'[3,9)'", "[3,9)"),
    "domain": ("create type {n}_base as enum ('d', 'e'); create domain {n} as {n}_base", "'e'", "e"),
    "domain_of_array": ("create type {n}_base as enum ('m', 'n'); create domain {n} as {n}_base[]", "'{m,n}'", ["m", "n"]),
    "over_range": ("create type {n}_base as range (subtype = int, multirange_type_name = {n}_many); create domain {n} as {n}_base", "'[1,4)'", "[1,4)"),
}


def make_types(attacker, body):
    """A table with a column of each type and one of arrays of it, and every cast to text that their owner can make."""
    columns, values, wanted = [], [], {}
    for name, (how, value, text) in TYPES.items():
        type_name = f"public.t_{name}"
        attacker.execute(how.replace("{n}", type_name))
        value = value.replace("{n}", type_name)
        columns += [f"{name} {type_name}"]
        values += [value]
        wanted[name] = text
        bases = [type_name, f"{type_name}_base", f"{type_name}_base[]"] if "base" in how else [type_name]
        if not isinstance(text, list):
            columns += [f"{name}_list {type_name}[]"]
            values += [f"array[{value}::{type_name}, null]"]
            wanted[name + "_list"] = [text, None]
            bases.append(f"{type_name}[]")
        for i, base in enumerate(bases):
            if base == type_name and "domain" in how:
                continue   # the server ignores casts of domains
            attacker.execute(f"create function public.f_{name}{i}({base}) returns text language sql as $$select {body}$$; "
                             f"create cast ({base} as text) with function public.f_{name}{i}({base}) as implicit")
    attacker.execute(f"create table t (id int primary key, {', '.join(columns)}); insert into t values (1, {', '.join(values)})")
    return wanted


def check(rows, wanted):
    assert len(rows) == 1
    assert {k: v for k, v in rows[0].items() if k != "id"} == wanted


def canonical(rows):
    return [{k: list(v) if isinstance(v, tuple) else v for k, v in r.items()} for r in rows.dicts()]


@pytest.mark.parametrize("body", ["public.steal('x')", "public.boom()"])
def test_casts_to_text(database, attacker, body):
    """Copied and streamed values are those of the types' own output functions; casts that tell secrets or fail are not run."""
    database.execute("create table healthy (id int primary key, v text); insert into healthy values (1, 'a')")
    wanted = make_types(attacker, body)
    mirror = database.mirror()
    mirror.catch_up()
    assert mirror.lake.dataset("shop", "healthy").rows == [(1, "a")]
    check(canonical(mirror.lake.dataset("shop", "t")), wanted)
    attacker.execute("update t set id = 2")
    mirror.catch_up()
    check(canonical(mirror.lake.dataset("shop", "t")), wanted)
    assert mirror.with_config("verify").returncode == 0


def test_operators_and_functions_of_the_same_names(database, attacker):
    """Operators and functions that other people made, under names that the mirror uses, in every schema on a usual search path."""
    role = attacker.execute("select current_user").fetchone()[0]
    for schema in ("public", f'"{role}"'):
        if schema != "public":
            attacker.execute(f"create schema {schema}")
        attacker.execute(f"""create type {schema}.kind as enum ('p', 'q');
            create function {schema}.format(text, {schema}.kind) returns text language sql as $$select public.steal('x')$$;
            create function {schema}.octet_length({schema}.kind) returns int language sql as $$select length(public.boom())$$;
            create function {schema}.pg_column_size({schema}.kind) returns int language sql as $$select length(public.boom())$$;
            create function {schema}.differs({schema}.kind, {schema}.kind) returns bool language sql as $$select public.boom() is null$$;
            create operator {schema}.= (leftarg = {schema}.kind, rightarg = {schema}.kind, function = {schema}.differs);
            create operator {schema}.>= (leftarg = tid, rightarg = tid, function = tideq)""")
    attacker.execute("create table public.t (id int primary key, k public.kind); insert into public.t values (1, 'p'), (2, null)")
    database.execute(f"alter role postgres in database {database.name} set search_path = public, \"{role}\", pg_catalog")
    mirror = database.mirror()
    mirror.catch_up()
    assert sorted(mirror.lake.dataset("shop", "t").rows) == [(1, "p"), (2, None)]


@pytest.mark.parametrize("what", ["view", "other type"])
def test_another_relation_in_the_place_of_a_table_that_is_to_be_copied(database, attacker, what):
    """Between the look at the catalog and the table's turn its owner puts a view there, or gives a column another type."""
    database.execute("create table a_large (id int primary key, v text); "
                     "insert into a_large select i, repeat(md5(i::text), 60) from generate_series(1, 20000) i")
    attacker.execute("create type kind as (a text); create table t (id int primary key, k kind, v text); insert into t values (1, row('p'), 'long')")
    mirror = database.mirror("    copy_workers: 1\n").start()
    mirror.until(lambda: database.execute("select 1 from pg_stat_activity where query ~ '^COPY .*a_large' and state = 'active' and datname = current_database()"),
                 "the copy of the first table", every=0.005)
    mirror.child.send_signal(signal.SIGSTOP)
    try:
        if what == "view":
            attacker.execute("drop table t; create view t as select 1 as id, null::kind as k, public.steal('x') as v")
        else:
            attacker.execute("create function public.f(kind) returns text language sql as $$select public.steal('x')$$; "
                             "create cast (kind as text) with function public.f(kind) as implicit; "
                             "alter table t alter v type kind using row(v)::kind")
    finally:
        mirror.child.send_signal(signal.SIGCONT)
    Marker(database.execute, mirror).reached()
    stored = mirror.lake.dataset("shop", "t")
    if what == "view":
        assert stored is None
    else:
        assert stored.rows == [(1, '(p)', '(long)')]
    assert mirror.stop() == 0


def test_a_column_that_cannot_be_read_stops_its_own_table_only(database):
    """A type whose output function fails: its table is refused with the server's words, three others are copied and followed."""
    database.execute("""create type bad; create function bad_in(cstring) returns bad language internal immutable strict as 'int4in';
        create function bad_out(bad) returns cstring language internal stable strict as 'enum_out';
        create type bad (input = bad_in, output = bad_out, internallength = 4, passedbyvalue, alignment = int4);
        create table b_bad (id int primary key, v bad); insert into b_bad values (1, '77')""")
    for name in ("a", "c", "d"):
        database.execute(f"create table {name} (id int primary key, v text); insert into {name} values (1, '{name}')")
    mirror = database.mirror("    copy_workers: 1\n").start()
    mirror.until(lambda: all(mirror.lake.dataset("shop", n) for n in ("a", "c", "d")), "the healthy tables")
    for name in ("a", "c", "d"):
        database.execute(f"update {name} set v = v || '2'")
        mirror.until_dataset(name, lambda rows, n=name: rows.rows == [(1, n + "2")], "the update")
    state = mirror.until(lambda: (d := mirror.dataset_status("shop.b_bad")) and d["state"] not in ("waiting", "copying") and d, "its state")
    assert state["state"] == "stopped"
    assert "enum" in state["reason"] and "77" in state["reason"]
    assert mirror.stop() == 0
