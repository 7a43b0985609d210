"""Everything that a mirrored PostgreSQL table's rows rest on, changed without a row event that says so: while the mirror runs, and while it is
stopped. The rows are such that each wrong way (nothing, rows by the old key, nulls for old rows) gives another result.

Each case has tables of its own; all of them are changed under one mirror, which is what makes this fast. Two more worlds below: what concerns the
publication as a whole, and what concerns the server.
"""


import pytest


from oracle.compare import compare, differences
from oracle.mirror import SLOW, Marker, Mirror
from oracle.process import poll

ROWS3 = "insert into {t} values (1, 2, 'one'), (2, 3, 'two'), (3, 1, 'three')"
TABLE3 = "create table {t} (id int primary key, n int not null, v text); " + ROWS3
FULL3 = TABLE3 + "; alter table {t} replica identity full"
# Rows by the new key n: of those, ids 1 to 3 meet another row's n.
BY_N = ["update {t} set v = 'ONE' where n = 2", "insert into {t} values (7, 9, 'nine')", "update {t} set n = 12 where n = 9",
        "delete from {t} where n = 3"]
TO_N = "alter table {t} drop constraint {t}_pkey, add primary key (n)"
ENUM = "create type {t}_st as enum ('open', 'closed'); "

# name: (make, statements); {t} is the table, {p} the publication.
CASES = {
    "key_to_another_column": (TABLE3, [TO_N, *BY_N]),
    "key_to_another_column_with_rows_before": (TABLE3, ["update {t} set n = n + 10, v = v || '!'", "delete from {t} where id = 3",
                                                       "insert into {t} values (13, 1, 'new')", TO_N, "update {t} set v = 'ONE' where n = 12"]),
    "key_to_another_column_in_one_transaction": (TABLE3, ["begin; update {t} set v = 'before' where id = 1; delete from {t} where id = 2; " + TO_N +
                                                         "; update {t} set v = 'after' where n = 1; insert into {t} values (1, 3, 'again'); commit"]),
    "key_to_another_column_and_old_one_twice": (TABLE3, [TO_N, "insert into {t} values (1, 50, 'second of id 1'), (1, 51, 'third')",
                                                        "delete from {t} where n = 2"]),
    "key_gone_for_a_while": (TABLE3, ["alter table {t} drop constraint {t}_pkey", "insert into {t} values (1, 50, 'second of id 1')",
                                      "alter table {t} add primary key (n)", "update {t} set v = 'x' where n = 50"]),
    "key_wider": (TABLE3, ["alter table {t} drop constraint {t}_pkey, add primary key (id, n)", "insert into {t} values (1, 99, 'id 1 again')",
                           "update {t} set n = 4 where id = 2", "delete from {t} where n = 2"]),
    "key_narrower": ("create table {t} (id int, n int, v text, primary key (id, n)); " + ROWS3,
                     ["alter table {t} drop constraint {t}_pkey, add primary key (n)", "update {t} set id = 5 where n = 1", "delete from {t} where n = 2"]),
    "key_columns_swap": ("create table {t} (a text, b text, v int, primary key (a, b)); insert into {t} values ('x', 'y', 1), ('y', 'x', 2), ('z', 'z', 3)",
                         ["alter table {t} drop constraint {t}_pkey, add primary key (b, a)", "update {t} set v = 4 where a = 'x'",
                          "delete from {t} where a = 'y'"]),
    "key_there_and_back": (TABLE3, [TO_N, "update {t} set id = id + 100 where n <> 1", "alter table {t} drop constraint {t}_pkey, add primary key (id)",
                                    "update {t} set v = 'back' where id = 101"]),
    "key_of_another_type": (TABLE3, ["alter table {t} alter id type text using 'k' || id", "update {t} set v = 'x' where id = 'k2'"]),
    "key_of_a_wider_type": (TABLE3, ["alter table {t} alter id type bigint", "insert into {t} values (5000000000, 5, 'five')",
                                     "update {t} set v = 'x' where id = 2"]),
    "identity_using_index": (TABLE3 + "; update {t} set n = n * 10; create unique index {t}_n_key on {t} (n)",
                             ["alter table {t} replica identity using index {t}_n_key", "update {t} set v = v || '!'", "update {t} set id = id + 100",
                              "update {t} set n = n + 5", "delete from {t} where n = 15"]),
    "identity_back_to_default": (TABLE3 + "; create unique index {t}_n_key on {t} (n); alter table {t} replica identity using index {t}_n_key",
                                 ["alter table {t} replica identity default", "update {t} set n = n + 5", "update {t} set id = id + 100",
                                  "delete from {t} where n = 7"]),
    "identity_full": (TABLE3, ["alter table {t} replica identity full", "update {t} set id = id + 10", "delete from {t} where id = 12"]),
    "identity_full_and_back": (FULL3, ["update {t} set id = id + 10", "alter table {t} replica identity default", "update {t} set id = id + 10"]),
    "full_key_to_another_column": (FULL3, [TO_N, "insert into {t} values (1, 50, 'second of id 1')", *BY_N]),
    "full_two_rows_of_one_key_for_a_while": (FULL3, ["alter table {t} drop constraint {t}_pkey", "insert into {t} values (1, 50, 'second of id 1')",
                                                    "delete from {t} where n = 50", "alter table {t} add primary key (id)"]),
    "full_key_to_another_column_after_two_of_one": (FULL3, ["alter table {t} drop constraint {t}_pkey", "insert into {t} values (9, 2, 'second of n 2')",
                                                           "update {t} set n = 60 where id = 9", "alter table {t} add primary key (n)"]),
    "publication_left": (TABLE3, ["alter publication {p} drop table {t}", "update {t} set v = 'unseen' where id = 1", "delete from {t} where id = 2"]),
    "publication_out_and_in": (TABLE3, ["alter publication {p} drop table {t}", "update {t} set v = 'unseen' where id = 1",
                                        "delete from {t} where id = 2", "alter publication {p} add table only {t}", "insert into {t} values (9, 9, 'seen')"]),
    "publication_row_filter": (TABLE3, ["alter publication {p} drop table {t}", "alter publication {p} add table only {t} where (id > 2)",
                                        "update {t} set v = 'unseen' where id = 1", "delete from {t} where id = 2"]),
    "publication_column_list": (TABLE3, ["alter publication {p} drop table {t}", "alter publication {p} add table only {t} (id, n)",
                                         "update {t} set v = 'unseen' where id = 1"]),
    "generated_no_more": ("create table {t} (id int primary key, a int, g int generated always as (a * 2) stored); insert into {t} (id, a) "
                          "values (1, 10), (2, 20)", ["alter table {t} alter g drop expression", "insert into {t} values (3, 30, 7)"]),
    "enum_label": (ENUM + "create table {t} (id int primary key, s {t}_st, l {t}_st[]); insert into {t} values (1, 'open', '{{open,closed}}'), (2, 'closed', null)",
                   ["alter type {t}_st rename value 'open' to 'opened'", "insert into {t} values (3, 'opened', null)"]),
    "enum_label_and_back": (ENUM + "create table {t} (id int primary key, s {t}_st); insert into {t} values (1, 'open')",
                            ["alter type {t}_st rename value 'open' to 'opened'", "insert into {t} values (3, 'opened')",
                             "alter type {t}_st rename value 'opened' to 'open'"]),
    "enum_label_in_domain": (ENUM + "create domain {t}_d as {t}_st; create table {t} (id int primary key, s {t}_d); insert into {t} values (1, 'open')",
                             ["alter type {t}_st rename value 'open' to 'opened'"]),
    "enum_label_in_composite": (ENUM + "create type {t}_c as (x int, s {t}_st); create table {t} (id int primary key, c {t}_c, l {t}_c[]); "
                                "insert into {t} values (1, row(1, 'open'), array[row(2, 'open')::{t}_c])",
                                ["alter type {t}_st rename value 'open' to 'opened'"]),
    "enum_label_in_range": (ENUM + "create type {t}_r as range (subtype = {t}_st); create table {t} (id int primary key, r {t}_r); "
                            "insert into {t} values (1, '[open,closed)')", ["alter type {t}_st rename value 'open' to 'opened'"]),
    "composite_attribute_added": ("create type {t}_c as (x int, y int); create table {t} (id int primary key, c {t}_c); insert into {t} values (1, row(1, 2))",
                                  ["alter type {t}_c add attribute z text", "insert into {t} values (2, row(3, 4, 'five'))"]),
    "composite_attribute_dropped": ("create type {t}_c as (x int, y int); create table {t} (id int primary key, c {t}_c[]); "
                                    "insert into {t} values (1, array[row(1, 2)::{t}_c])", ["alter type {t}_c drop attribute x"]),
    "composite_of_a_table": ("create table {t}_of (x int primary key); create table {t} (id int primary key, c {t}_of); insert into {t} values (1, row(1))",
                             ["alter table {t}_of add column y int"]),
    "type_with_using": (TABLE3, ["alter table {t} alter v type varchar(30) using upper(v)"]),
    "column_with_computed_default": (TABLE3, ["alter table {t} add column u uuid not null default gen_random_uuid()"]),
    "column_made_again": (TABLE3, ["alter table {t} drop column v", "alter table {t} add column v text default 'again'", "insert into {t} values (8, 8, 'x')"]),
}
# Changes that no row rests on, or that the stream brings: right without a copy.
QUIET = {
    "enum_label_added": (ENUM + "create table {t} (id int primary key, s {t}_st); insert into {t} values (1, 'open')",
                         ["alter type {t}_st add value 'lost' before 'closed'", "insert into {t} values (2, 'lost')"]),
    "column_renamed": (TABLE3, ["alter table {t} rename n to m", "update {t} set m = 8 where id = 1"]),
    "column_added": (TABLE3, ["alter table {t} add column d int default 5", "insert into {t} values (8, 8, 'x', 8)"]),
    "column_longer": ("create table {t} (id int primary key, v varchar(10)); insert into {t} values (1, 'x')",
                      ["alter table {t} alter v type varchar(20)", "update {t} set v = 'longer than ten'"]),
    "key_rebuilt_by_reindex": (FULL3, ["reindex table concurrently {t}", "update {t} set id = id + 10"]),
    "default_changed": (TABLE3, ["alter table {t} alter v set default 'later'", "insert into {t} (id, n) values (8, 8)"]),
    "collation_changed": (TABLE3, ["alter table {t} alter v type text collate \"C\"", "update {t} set v = 'x' where id = 1"]),
    "constraints_and_comments": (TABLE3, ["alter table {t} add check (id > 0)", "comment on table {t} is 'x'", "create index on {t} (v)", "analyze {t}"]),
    **{name: CASES[name] for name in ("key_to_another_column", "key_to_another_column_in_one_transaction", "key_wider", "key_narrower",
                                      "identity_using_index", "identity_back_to_default")},
}
MADE = {**CASES, **QUIET}
SETTINGS = "    heartbeat_interval: 500ms\n"


class World:
    """A database of its own with a mirror; `change` does the statements of all cases."""

    def __init__(self, database, running):
        self.database = database
        self.running = running
        self.publication = f"dm_{database.name}"
        self.mirror = database.mirror(SETTINGS)

    def sql(self, text, name):
        return text.format(t=name, p=self.publication)

    def change(self):
        for name, (make, _) in MADE.items():
            self.database.execute(self.sql(make, name))
        self.mirror.start()
        self.marker = Marker(self.database.execute, self.mirror)
        self.marker.reached(120)
        self.log_from = len(self.mirror.log.read_text())
        if not self.running:
            assert self.mirror.stop() == 0, self.mirror.log_tail()
        longest = max(len(statements) for _, statements in MADE.values())
        for step in range(longest):
            for name, (_, statements) in MADE.items():
                if step < len(statements):
                    self.database.execute(self.sql(statements[step], name))
        if self.running:
            self.marker.reached()
        else:
            self.mirror.catch_up()

    def log(self):
        return self.mirror.log.read_text()[self.log_from:]

    def differences(self, name):
        with self.database.snapshot() as s:
            tables = s.tables(only=[name], keys={"identity_using_index": ["n"]})
        return differences(tables[0], self.mirror.live().get(("shop", name)))

    def check(self, name):
        """At once when the mirror had ended; while it runs it finds what the stream cannot tell in its own time."""
        if not self.running:
            found = self.differences(name)
        else:
            found = []

            def equal():
                found[:] = self.differences(name)
                return not found
            try:
                self.mirror.until(equal, "the lake to equal the source", 40, every=0.3)
            except AssertionError:
                if not found:
                    raise
        assert not found, "\n".join(found) + "\n" + self.mirror.log_tail()


@pytest.fixture(scope="module", params=["running", "stopped"])
def world(request, postgres, tmp_path_factory):
    from conftest import Database
    database = Database(postgres, tmp_path_factory.mktemp("signature"))
    try:
        w = World(database, request.param == "running")
        w.change()
        yield w
    finally:
        database.close()


@pytest.mark.parametrize("case", MADE)
def test_table(world, case):
    world.check(case)


@pytest.mark.parametrize("case", QUIET)
def test_no_copy_without_need(world, case):
    """What the stream brings in its order needs no copy, another key included."""
    world.check(case)
    log = world.log()
    assert f"shop.{case} will be copied again" not in log, log
    if case.startswith(("key_to", "key_wider", "key_narrower", "identity_using", "identity_back")):
        assert f"shop.{case}: the key changed; the key index was made anew" in log


def test_afterwards_everything_is_followed(world):
    """By its key, whichever it is now; and the next start has nothing to mend."""
    for name in MADE:
        world.check(name)
    if not world.running:
        world.mirror.start()
    world.marker.reached()
    for name in MADE:
        world.database.execute(f"delete from {name} where ctid = (select min(ctid) from {name})")
    world.marker.reached()
    assert world.mirror.stop() == 0
    before = len(world.mirror.log.read_text())
    world.mirror.catch_up()
    with world.database.snapshot() as s:
        compare(s.tables(skip=["oracle_marker"]), {k: v for k, v in world.mirror.live().items() if k[1] != "oracle_marker"})
    verify = world.mirror.with_config("verify")
    assert verify.returncode == 0, verify.stdout + verify.stderr
    again = world.mirror.log.read_text()[before:]
    assert "will be copied again" not in again, again


@pytest.mark.parametrize("step", ["before-publish", "after-publish", "before-index-commit", "after-index-commit"])
def test_killed_while_the_index_is_made_anew(database, step):
    """Before or after the commit that has the new key: the index is the one of the lake's key."""
    database.execute("create table t (id int primary key, n int not null, v text); insert into t select i, 1001 - i, 'row' from generate_series(1, 1000) i")
    mirror = database.mirror()
    mirror.catch_up()
    database.execute("alter table t drop constraint t_pkey, add primary key (n)")
    database.execute("update t set v = 'by n', id = id + 5 where n % 3 = 0; delete from t where n % 7 = 0; update t set n = n + 2000 where n % 5 = 0")
    mirror.start("--until-caught-up", env={"DM_CRASH_AT": f"{step}:1"})
    assert mirror.wait_end() == -9, mirror.log_tail()
    database.execute("update t set v = 'later' where n % 2 = 0; delete from t where n % 11 = 0")
    mirror.catch_up()
    database.check(mirror)
    mirror.lake.remove_index()
    database.execute("update t set v = 'without index' where n % 4 = 0")
    mirror.catch_up()
    database.check(mirror)


def test_declared_key_among_the_identity(database):
    """key: names a part of the primary key. Where the rows have it the index is made anew; where they do not, the copy says so, and the others go on."""
    database.execute("create table t (id int, n int, v text, primary key (id, n)); insert into t values (1, 2, 'a'), (2, 3, 'b'), (3, 1, 'c'); "
                     "create table u (id int, n int, v text, primary key (id, n)); insert into u values (1, 2, 'a'), (2, 2, 'b')")
    mirror = database.mirror()
    mirror.catch_up()
    mirror.write(database.source("    tables: [{name: t, key: [n]}, {name: u, key: [n]}]\n"), "commit_interval: 200ms")
    database.execute("update t set v = 'A' where n = 2; update t set id = 9 where n = 1; update u set v = 'x' where id = 1")
    mirror.start("--until-caught-up")
    mirror.wait_end()
    log = mirror.log.read_text()
    assert sorted(mirror.lake.dataset("shop", "t").rows) == [(1, 2, "A"), (2, 3, "b"), (9, 1, "c")]
    assert "shop.t: the key changed; the key index was made anew" in log and "shop.t will be copied again" not in log
    assert "shop.u will be copied again: its rows do not have the new key" in log
    stopped = mirror.dataset_status("shop.u")
    assert stopped["state"] == "stopped" and "two visible rows have the key" in stopped["reason"], stopped
