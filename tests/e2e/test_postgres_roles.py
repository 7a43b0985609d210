"""Whose the tables are: publications made by the tables' owner, tables of other owners, the least privileges that are enough."""
import json

import pytest

from oracle.mirror import Marker


class Owned:
    """Tables of an owner, and a mirror whose role may replicate and read them, and nothing else."""

    def __init__(self, database):
        self.d = database
        self.owner, self.role = f"owner_{database.name}", f"reader_{database.name}"
        database.execute(f"""create role {self.owner} login; create role {self.role} login replication; grant {self.owner} to postgres;
            grant create on schema public to {self.owner}; grant create on database {database.name} to {self.owner};
            alter default privileges for role {self.owner} grant select on tables to {self.role}""")
        self.connection = database.server.connect(database.name)
        self.connection.execute(f"set role {self.owner}")
        self.mirror = database.mirror()
        self.configure()

    def configure(self, extra=""):
        self.mirror.write(self.d.source(extra).replace("postgres@", f"{self.role}@"), "commit_interval: 100ms")

    def execute(self, sql):
        cursor = self.connection.execute(sql)
        return cursor.fetchall() if cursor.description else None

    def publish(self, what, publication=None, options="publish_via_partition_root = true"):
        self.execute(f"create publication {publication or 'dm_' + self.d.name} {what} with ({options})")

    def doctor(self):
        p = self.mirror.with_config("doctor", "--json")
        checks = [json.loads(line) for line in p.stdout.splitlines()]
        return p.returncode, {c["what"].split()[0]: c for c in checks if c["result"] == "refused"}, checks

    def states(self):
        return {d["dataset"]: d["state"] for d in self.mirror.status()["datasets"]}

    def close(self):
        self.mirror.kill()
        self.connection.close()
        self.d.execute(f"drop owned by {self.owner} cascade; drop owned by {self.role} cascade; drop role {self.owner}; drop role {self.role}")


@pytest.fixture
def owned(database):
    o = Owned(database)
    yield o
    o.close()


def test_publication_of_the_owner_with_the_least_privileges(owned):
    """REPLICATION, SELECT and the owner's one publication are enough; a table that is not in it stops only itself."""
    owned.execute("create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b'), (3, 'c'); "
                  "create table p (id int, day date, primary key (id, day)) partition by range (day); "
                  "create table p1 partition of p for values from ('2024-01-01') to ('2025-01-01'); insert into p values (1, '2024-05-05')")
    owned.publish("for table t, p")
    code, refused, checks = owned.doctor()
    assert code == 0 and refused == {}, checks
    mirror = owned.mirror.start()
    mirror.until_dataset("t", lambda rows: len(rows.rows) == 3, "the copy")
    mirror.until_dataset("p", lambda rows: len(rows.rows) == 1, "the copy")
    owned.execute("update t set v = 'A' where id = 1; delete from t where id = 2; insert into p values (2, '2024-06-06'); delete from p where id = 1")
    mirror.until_dataset("t", lambda rows: sorted(rows.rows) == [(1, "A"), (3, "c")], "changes")
    mirror.until_dataset("p", lambda rows: rows.column("id") == [2], "changes of the partitioned table")
    # A new table: that one alone waits for its owner.
    owned.execute("create table late (id int primary key, v int); insert into late values (1, 1)")
    mirror.until(lambda: owned.states().get("shop.late") == "refused", "the new table to be refused")
    reason = mirror.dataset_status("shop.late")["reason"]
    assert f'ALTER PUBLICATION "dm_{owned.d.name}" ADD TABLE "public"."late"' in reason, reason
    owned.execute("insert into t values (4, 'd')")
    mirror.until_dataset("t", lambda rows: 4 in rows.column("id"), "others go on")
    code, refused, checks = owned.doctor()
    assert code == 0 and set(refused) == {"public.late"}, checks
    assert mirror.stop() == 0
    mirror.start("--until-caught-up")   # the next start too
    assert mirror.wait_end() == 0
    mirror.start()
    # The remedy, as it was told.
    owned.execute(reason[reason.index("ALTER PUBLICATION"):].split(";")[0])
    mirror.until_dataset("late", lambda rows: rows.rows == [(1, 1)], "the table after its owner published it")
    owned.execute("update late set v = 2; insert into late values (2, 2)")
    mirror.until_dataset("late", lambda rows: sorted(rows.rows) == [(1, 2), (2, 2)], "its changes")
    # Taken out again: it is known that changes are missing from here on.
    owned.execute(f"alter publication dm_{owned.d.name} drop table late")
    mirror.until(lambda: owned.states().get("shop.late") == "refused", "the table to be refused again")
    owned.execute("update late set v = 3")
    owned.execute(f"alter publication dm_{owned.d.name} add table late")
    mirror.until_dataset("late", lambda rows: sorted(rows.rows) == [(1, 3), (2, 3)], "the table copied anew")
    assert mirror.stop() == 0
    owned.d.check(mirror)


def test_what_a_publication_of_the_owner_lacks_is_told(owned):
    """Each lack concerns its tables, or the whole, and the statement that mends it is told and works."""
    owned.execute("create table t (id int primary key, v int, w int); insert into t values (1, 1, 1), (2, 2, 2); "
                  "create table cut (id int primary key, v int, w int); insert into cut values (1, 1, 1), (2, 2, 2); "
                  "create table p (id int primary key) partition by range (id); create table p1 partition of p for values from (0) to (10); "
                  "insert into p values (1)")
    name = f"dm_{owned.d.name}"
    owned.publish("for table t, cut (id, v), p", options="publish = 'insert'")
    code, refused, checks = owned.doctor()
    assert code == 1 and any(f'ALTER PUBLICATION "{name}" SET (publish = ' in c["hint"] for c in checks if c["result"] == "fail"), checks
    owned.mirror.start("--until-caught-up")
    assert owned.mirror.wait_end() == 2
    owned.execute(f"alter publication {name} set (publish = 'insert, update, delete, truncate')")
    code, refused, checks = owned.doctor()
    assert code == 0 and set(refused) == {"public.cut", "public.p"}, checks
    owned.mirror.catch_up()
    assert {k: v for k, v in owned.states().items() if v != "streaming"} == {"shop.cut": "refused", "shop.p": "refused"}
    assert "publish_via_partition_root = true" in refused["public.p"]["hint"]
    owned.execute(refused["public.p"]["hint"].split(";")[0])
    owned.execute(f"alter publication {name} set table t, cut, p")
    owned.mirror.catch_up()
    assert set(owned.states().values()) == {"streaming"}
    owned.execute("update t set v = 5; update cut set w = 7 where id = 1; delete from p")
    owned.mirror.catch_up()
    owned.d.check(owned.mirror)
    # A row filter that the configuration does not name.
    owned.execute(f"alter publication {name} set table t where (id > 1), cut, p")
    code, refused, checks = owned.doctor()
    assert code == 0 and set(refused) == {"public.t"}, checks


def test_publication_for_all_tables_of_an_administrator(owned):
    owned.execute("create table t (id int primary key); insert into t values (1)")
    owned.d.execute(f"create publication dm_{owned.d.name} for all tables with (publish_via_partition_root = true)")
    code, refused, checks = owned.doctor()
    assert code == 0 and refused == {}, checks
    mirror = owned.mirror.start()
    mirror.until_dataset("t", lambda rows: rows.rows == [(1,)], "the copy")
    owned.execute("create table u (id int primary key); insert into u values (7); insert into t values (2)")
    mirror.until_dataset("u", lambda rows: rows.rows == [(7,)], "a new table needs nobody")
    assert mirror.stop() == 0
    owned.d.check(mirror)


def test_append_only_table_in_a_publication_of_inserts(owned):
    """A table without identity that updates must go on working for: its owner publishes inserts only, in a publication of their own."""
    owned.configure("    tables: [{name: log, append_only: true}, t]\n")
    owned.execute("create table t (id int primary key); create table log (line text); insert into log values ('a')")
    owned.publish("for table t")
    code, refused, checks = owned.doctor()
    assert code == 0 and set(refused) == {"public.log"}, checks
    assert f'CREATE PUBLICATION "dm_{owned.d.name}_inserts" FOR TABLE "public"."log"' in refused["public.log"]["hint"]
    owned.execute(refused["public.log"]["hint"][refused["public.log"]["hint"].index("CREATE PUBLICATION"):].split(";")[0])
    code, refused, checks = owned.doctor()
    assert code == 0 and refused == {}, checks
    owned.mirror.catch_up()
    owned.execute("insert into log values ('b'); update log set line = 'c' where line = 'a'; insert into t values (1)")
    owned.mirror.catch_up()
    assert sorted(owned.mirror.lake.dataset("shop", "log").column("line")) == ["a", "b"]


def test_table_of_another_owner_made_while_the_mirror_runs(database):
    """The mirror's role owns its tables and its publication; somebody else makes a table that it may read, and may not publish."""
    role, other = f"mirror_{database.name}", f"other_{database.name}"
    database.execute(f"create role {role} login replication; create role {other}; grant {role}, {other} to postgres; "
                     f"grant create on database {database.name} to {role}; grant all on schema public to {role}, {other}; "
                     f"set role {role}; create table t (id int primary key); insert into t values (1); reset role")
    try:
        mirror = database.mirror()
        mirror.write(database.source().replace("postgres@", f"{role}@"), "commit_interval: 100ms")
        mirror.start()
        mirror.until_dataset("t", lambda rows: rows.rows == [(1,)], "the copy")
        database.execute(f"set role {other}; create table theirs (id int primary key); grant select on theirs to {role}; "
                         "insert into theirs values (1); reset role")
        mirror.until(lambda: (mirror.dataset_status("shop.theirs") or {}).get("state") == "refused", "the table to be refused")
        reason = mirror.dataset_status("shop.theirs")["reason"]
        assert other in reason and f'GRANT "{other}" TO "{role}"' in reason, reason
        database.execute("insert into t values (2)")
        mirror.until_dataset("t", lambda rows: len(rows.rows) == 2, "the others go on")
        assert mirror.stop() == 0
        database.execute("insert into t values (3)")
        mirror.catch_up()
        assert len(mirror.lake.dataset("shop", "t").rows) == 3
        database.execute(f"grant {other} to {role}; insert into theirs values (2)")
        mirror.catch_up()
        assert len(mirror.lake.dataset("shop", "theirs").rows) == 2
        # A table in our publication whose owner changed stays where it is.
        database.execute(f"revoke {other} from {role}; delete from theirs where id = 1")
        mirror.catch_up()
        assert mirror.lake.dataset("shop", "theirs").rows == [(2,)]
        database.check(mirror)
    finally:
        for m in database.mirrors:
            m.kill()
        database.execute(f"drop owned by {role} cascade; drop owned by {other} cascade; drop role {role}; drop role {other}")
