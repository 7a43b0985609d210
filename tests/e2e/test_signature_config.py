"""What a mirrored table rests on besides the table itself: our own configuration of it, what the publication as a whole does, the mirror's
privileges; and keys that are none. Changed while the mirror is stopped, and, where it can be, while it runs."""
import pytest

from oracle.compare import differences
from oracle.mirror import SLOW, Marker, Mirror

RUNNING = pytest.mark.parametrize("running", ["running", "stopped"])
FAST = "    heartbeat_interval: 500ms\n"


def differ(database, mirror, name, **kwargs):
    with database.snapshot() as s:
        tables = s.tables(only=[name], **kwargs)
    return differences(tables[0], mirror.live().get(("shop", name)))


def becomes_equal(database, mirror, name, **kwargs):
    """While it runs the mirror finds what the stream cannot tell in its own time; after run --until-caught-up it is so at once."""
    if mirror.alive():
        mirror.until(lambda: not differ(database, mirror, name, **kwargs), lambda: str(differ(database, mirror, name, **kwargs)), 40, every=0.3)
    assert differ(database, mirror, name, **kwargs) == [], mirror.log_tail()


# name: (settings before, settings after, what the lake is to show after). Only one table has a time: its type by `time_as:` would have the others copied, too.
TABLE = "(id int primary key, n int not null, v text, q numeric)"
CONFIGURED = {
    "column_taken_in": ("{exclude_columns: [v]}", "{}", {}),
    "column_left_out": ("{}", "{exclude_columns: [v]}", {"columns": ["id", "n", "q"]}),
    "columns_listed": ("{columns: [id, n]}", "{columns: [id, n, v]}", {"columns": ["id", "n", "v"]}),
    "filter_wider": ("{filter: id > 1}", "{filter: id > 0}", {}),
    "filter_narrower": ("{}", "{filter: id > 1}", {"where": "id > 1"}),
    "filter_gone": ("{filter: id > 2}", "{}", {}),
    "decimals_set": ("{}", '{decimals: {q: "20,4"}}', {"kinds": {"q": ("dec", 20, 4)}}),
    "decimals_wider": ('{decimals: {q: "6,2"}}', '{decimals: {q: "12,2"}}', {"kinds": {"q": ("dec", 12, 2)}}),
    "decimals_gone": ('{decimals: {q: "20,4"}}', "{}", {}),
    "append_only_set": ("{}", "{append_only: true}", {"key": []}),
    "append_only_gone": ("{append_only: true}", "{}", {}),
    "key_declared": ("{}", "{key: [n]}", {"key": ["n"], "full": True}),
    "key_undeclared": ("{key: [n]}", "{}", {"full": True}),
    "time_as": ("{}", "{}", {"kinds": {"at": ("str",)}}),
}


def tables_yaml(which):
    """which: 0 before, 1 after. time_as: is the source's, so it concerns all of them."""
    lines = "".join(f"      - {{name: {name}, {case[which][1:]}\n" if case[which] != "{}" else f"      - {name}\n" for name, case in CONFIGURED.items())
    return f"{FAST}    tables:\n{lines}" + ("    time_as: string\n" if which else "")


@pytest.fixture(scope="module")
def configured(postgres, tmp_path_factory):
    """Tables that are mirrored by one configuration, and then by another, with changes in between."""
    from conftest import Database
    database = Database(postgres, tmp_path_factory.mktemp("configured"))
    try:
        for name, case in CONFIGURED.items():
            database.execute(f"create table {name} {TABLE}; insert into {name} values (1, 2, 'one', 1.25), (2, 3, 'two', 1234567.50), (3, 1, 'three', null)")
            if case[2].get("full"):
                database.execute(f"alter table {name} replica identity full")
        database.execute("alter table time_as add at time; update time_as set at = time '10:00' + id * interval '1 minute'")
        mirror = database.mirror(tables_yaml(0))
        mirror.catch_up()
        for name in CONFIGURED:
            database.execute(f"update {name} set v = 'ONE' where id = 1; insert into {name} values (4, 7, 'four', 2.5)")
        mirror.write(database.source(tables_yaml(1)), "commit_interval: 200ms")
        mirror.catch_up()
        yield database, mirror
    finally:
        database.close()


@pytest.mark.parametrize("name", CONFIGURED)
def test_configuration(configured, name):
    database, mirror = configured
    expected = CONFIGURED[name][2]
    kinds = {(name, c): k for c, k in expected.get("kinds", {}).items()}
    where = {name: expected["where"]} if "where" in expected else {}
    if name == "append_only_set":   # the copy has each row once; changes are rows of their own from then on
        assert sorted(mirror.lake.dataset("shop", name).column("id")) == [1, 2, 3, 4]
        return
    assert differ(database, mirror, name, kinds=kinds, where=where, keys={name: expected.get("key", ["id"])},
                  columns={name: expected["columns"]} if "columns" in expected else {}) == [], mirror.log_tail()


def test_configuration_then_changes(configured):
    """After the change, by the new one; and nothing is copied once more."""
    database, mirror = configured
    before = len(mirror.log.read_text())
    for name in CONFIGURED:
        database.execute(f"update {name} set v = v || '!' where id = 2; delete from {name} where id = 3")
    mirror.catch_up()
    for name in CONFIGURED:
        if name != "append_only_set":
            test_configuration(configured, name)
    assert sorted(mirror.lake.dataset("shop", "append_only_set").column("id")) == [1, 2, 2, 3, 4]
    assert "will be copied again" not in mirror.log.read_text()[before:]


@RUNNING
@pytest.mark.parametrize("back", [False, True])
def test_operations_of_the_publication(database, running, back):
    """Altered by hand so that updates and deletes are not published (and back again, which shows in no setting)."""
    database.execute("create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b'), (3, 'c')")
    mirror = database.mirror(FAST).start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    if running == "stopped":
        assert mirror.stop() == 0
    publication = f"dm_{database.name}"
    database.execute(f"alter publication {publication} set (publish = 'insert')")
    database.execute("update t set v = 'unseen' where id = 1")
    database.execute("delete from t where id = 2")
    database.execute("insert into t values (4, 'd')")
    if back:
        database.execute(f"alter publication {publication} set (publish = 'insert, update, delete, truncate')")
    if running == "stopped":
        mirror.catch_up()
    becomes_equal(database, mirror, "t")
    if running == "stopped":
        mirror.start()
    database.execute("update t set v = 'seen' where id = 3; delete from t where id = 4")
    marker.reached()
    becomes_equal(database, mirror, "t")


def test_publication_made_beforehand(database):
    """One of the mirror's name that publishes inserts only, or by the partitions, is set as the mirror needs it."""
    database.execute("create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b')")
    database.execute(f"create publication dm_{database.name} for table t with (publish = 'insert')")
    mirror = database.mirror()
    mirror.catch_up()
    database.execute("update t set v = 'A' where id = 1; delete from t where id = 2")
    mirror.catch_up()
    becomes_equal(database, mirror, "t")
    verify = mirror.with_config("verify")
    assert verify.returncode == 0, verify.stdout


def test_publish_via_root_changes(database):
    database.execute("create table r (id int primary key, v text) partition by range (id); create table r1 partition of r for values from (0) to (10); "
                     "create table r2 partition of r for values from (10) to (20); insert into r values (1, 'a'), (11, 'b')")
    mirror = database.mirror()
    mirror.catch_up()
    database.execute("update r set v = v || '!'")
    mirror.write(database.source("    publish_via_root: false\n"), "commit_interval: 200ms")
    mirror.catch_up()
    database.execute("update r set v = v || '?'")
    mirror.catch_up()
    assert mirror.lake.dataset("shop", "r1").rows == [(1, "a!?")] and mirror.lake.dataset("shop", "r2").rows == [(11, "b!?")]
    mirror.write(database.source(""), "commit_interval: 200ms")
    database.execute("delete from r where id = 11; insert into r values (2, 'c')")
    mirror.catch_up()
    database.execute("update r set v = v || '.' where id = 1")
    mirror.catch_up()
    assert sorted(mirror.lake.dataset("shop", "r").rows) == [(1, "a!?."), (2, "c")]


@RUNNING
@pytest.mark.parametrize("what", ["row security", "privilege"])
def test_what_hides_rows_refuses_the_table(database, running, what):
    """A role without BYPASSRLS: the table is refused while rows are hidden, the other goes on, and when it is mended it is copied."""
    role = f"reader_{database.name}_{running}_{what.split()[0]}"
    database.execute(f"create role {role} login replication; grant create on database {database.name} to {role}; grant create, usage on schema public to {role}")
    try:
        database.execute("create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b'); create table u (id int primary key, v text); "
                         "insert into u values (1, 'a')")
        database.execute(f"alter table u owner to {role}; create role {role}_owner; alter table t owner to {role}_owner; grant {role}_owner to {role}")
        mirror = database.mirror(FAST)
        mirror.write(database.source(FAST).replace("postgresql://postgres@", f"postgresql://{role}@"), "commit_interval: 200ms")
        mirror.start()
        mirror.until(lambda: mirror.dataset_status("shop.t") and mirror.dataset_status("shop.t")["state"] == "streaming" and
                     mirror.dataset_status("shop.u")["state"] == "streaming", "the copies")
        if running == "stopped":
            assert mirror.stop() == 0
        if what == "row security":
            database.execute("alter table t enable row level security, force row level security")
        else:
            database.execute(f"alter table t owner to postgres; revoke all on t from {role}")
        database.execute("update t set v = 'hidden' where id = 1; update u set v = 'followed'")
        if running == "stopped":
            mirror.start()
        mirror.until(lambda: mirror.dataset_status("shop.t")["state"] == "refused", "the table to be refused")
        becomes_equal(database, mirror, "u")
        if what == "row security":
            database.execute("alter table t disable row level security")
        else:
            database.execute(f"alter table t owner to {role}_owner")
        mirror.until(lambda: mirror.dataset_status("shop.t")["state"] == "streaming", "the table to be taken up again")
        becomes_equal(database, mirror, "t")
        database.execute("update t set v = v || '!'")
        becomes_equal(database, mirror, "t")
        mirror.kill()
    finally:
        database.execute(f"reassign owned by {role}, {role}_owner to postgres; drop owned by {role}, {role}_owner; drop role {role}; drop role {role}_owner")


def test_deferrable_key_is_refused(database):
    """Within a transaction two rows may have one key, and old rows cannot be told apart by it."""
    database.execute("create table t (id int primary key deferrable, v text); alter table t replica identity full; insert into t values (1, 'a'), (2, 'b'); "
                     "create table u (id int primary key deferrable, n int not null unique, v text); alter table u replica identity full; "
                     "insert into u values (1, 1, 'a'), (2, 2, 'b'); create table w (id int unique deferrable, v text); alter table w replica identity full; "
                     "insert into w values (1, 'a'), (2, 'b')")
    mirror = database.mirror("    tables: [t, u, {name: w, key: [id]}]\n")
    mirror.catch_up()
    for name in ("t", "w"):
        d = mirror.dataset_status(f"shop.{name}")
        assert d["state"] == "refused" and "deferrable" in d["reason"], d
    database.execute("update u set id = 3 - id")   # by its other key, which is not deferrable
    mirror.catch_up()
    assert sorted(mirror.lake.dataset("shop", "u").rows) == [(1, 2, "b"), (2, 1, "a")]
    database.execute("update t set id = 3 - id")
    database.execute("alter table t drop constraint t_pkey, add primary key (id)")
    mirror.catch_up()
    assert sorted(mirror.lake.dataset("shop", "t").rows) == [(1, "b"), (2, "a")]


@RUNNING
def test_key_that_becomes_deferrable(database, running):
    database.execute("create table t (id int primary key, v text); alter table t replica identity full; insert into t values (1, 'a'), (2, 'b')")
    mirror = database.mirror(FAST).start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    if running == "stopped":
        assert mirror.stop() == 0
    database.execute("alter table t drop constraint t_pkey, add primary key (id) deferrable")
    database.execute("update t set id = 3 - id")
    if running == "stopped":
        mirror.catch_up()
        assert mirror.dataset_status("shop.t")["state"] == "refused"
    else:
        mirror.until(lambda: mirror.dataset_status("shop.t")["state"] == "refused", "the table to be refused")
    database.execute("alter table t drop constraint t_pkey, add primary key (id)")
    if running == "stopped":
        mirror.catch_up()
    becomes_equal(database, mirror, "t")


def test_lake_of_the_version_before(database):
    """It knows of the storage only: what is there is taken over, without a copy; from then on differences count."""
    import sqlite3
    database.execute("create type st as enum ('open'); create table t (id int primary key, s st); insert into t values (1, 'open'); "
                     "create table u (id int primary key, v text); insert into u values (1, 'a')")
    mirror = database.mirror()
    mirror.catch_up()
    storage = {name: number for name, number in database.execute("select relname, relfilenode::int from pg_class where relname in ('t', 'u')")}
    catalog = sqlite3.connect(mirror.lake.folder / "catalog.db")
    catalog.execute("drop table dm_basis")
    for name, number in storage.items():
        catalog.execute("update dm_dataset set storage = ? where source_table = ?", (number, name))
    catalog.commit()
    catalog.close()
    database.execute("update t set s = null")
    database.execute("truncate u; insert into u values (2, 'b')")   # new storage while no mirror ran: cannot be told from a rewrite
    before = len(mirror.log.read_text())
    mirror.catch_up()
    log = mirror.log.read_text()[before:]
    assert "shop.u will be copied again: its storage" in log and "shop.t will be copied" not in log, log
    database.execute("update t set s = 'open'")
    mirror.catch_up()
    database.execute("alter type st rename value 'open' to 'opened'")
    mirror.catch_up()
    database.check(mirror)
    assert mirror.lake.dataset("shop", "t").rows == [(1, "opened")]
