"""verify says what it knows: what could not be compared is never equal, and rows in quarantine are counted, not differences."""
import json
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle.mirror import Mirror


def sqlite_source(path, name="shop", extra=""):
    return f"  {name}:\n    type: sqlite\n    path: {path}\n{extra}"


@pytest.fixture
def shop(folder):
    """A SQLite shop, its connection, and a mirror of it."""
    db = sqlite3.connect(folder / "shop.db", isolation_level=None)
    db.execute("pragma journal_mode = wal")
    mirror = Mirror(folder / "m", sqlite_source(folder / "shop.db"), "commit_interval: 50ms")
    yield db, mirror
    mirror.kill()
    db.close()


def verify(mirror, *arguments, **kwargs):
    """(exit code, {dataset: object}, the result object, text on stderr)"""
    p = mirror.with_config("verify", "--json", *arguments, timeout=120, **kwargs)
    objects = [json.loads(line) for line in p.stdout.splitlines()]
    results = [o for o in objects if o["kind"] == "result"]
    return p.returncode, {o["dataset"]: o for o in objects if o["kind"] == "dataset"}, results[0] if results else None, p.stderr


def counts(o):
    return o["result"], o["source_rows"], o["lake_rows"], o["quarantined"], o["differences"]


def test_a_dataset_that_cannot_be_compared_is_not_equal(shop):
    """Refused, stopped, dropped and not selected, each alone by name and beside sound ones: code 2, in words and in JSON, with the reason."""
    db, mirror = shop
    db.executescript("create table sound (id integer primary key, v text); insert into sound values (1, 'a'), (2, 'b');"
                     "create table nokey (a int); insert into nokey values (1);"
                     "create table gone (id integer primary key); insert into gone values (1)")
    mirror.catch_up()
    code, datasets, result, _ = verify(mirror)
    assert code == 2
    assert counts(datasets["shop.sound"])[:3] == ("equal", 2, 2)
    assert datasets["shop.nokey"]["result"] == "unknown" and "primary key" in datasets["shop.nokey"]["reason"]
    assert (result["result"], result["equal"], result["different"], result["unknown"]) == ("unknown", 2, 0, 1)
    text = mirror.with_config("verify")
    assert text.returncode == 2 and "equals the source" not in text.stdout and "1 of 3 datasets could not be compared" in text.stdout
    assert mirror.with_config("verify", "shop.nokey").returncode == 2

    db.execute("drop table gone")
    mirror.catch_up()
    db.execute("drop table nokey")
    mirror.catch_up()
    code, datasets, result, _ = verify(mirror)     # kept on purpose, it is told and not in the way for ever
    assert code == 0 and datasets["shop.gone"]["result"] == "dropped" and "not in the source any more" in datasets["shop.gone"]["reason"]
    assert {k: result[k] for k in ("result", "equal", "unknown")} == {"result": "equal", "equal": 1, "unknown": 0} and result["dropped"] >= 1
    text = mirror.with_config("verify")
    assert text.returncode == 0 and "shop.gone: dropped" in text.stdout and "The lake equals the source." in text.stdout
    code, datasets, _, _ = verify(mirror, "shop.gone")
    assert code == 2 and list(datasets) == ["shop.gone"]
    # What can be compared still answers alone, and a difference is the stronger answer.
    code, datasets, result, _ = verify(mirror, "shop.sound")
    assert code == 0 and result == {"kind": "result", "result": "equal", "equal": 1, "different": 0, "unknown": 0, "dropped": 0}


def test_only_dropped_datasets(shop):
    """Nothing was compared: not equal."""
    db, mirror = shop
    db.execute("create table gone (id integer primary key)")
    mirror.catch_up()
    db.execute("drop table gone")
    mirror.catch_up()
    code, datasets, result, _ = verify(mirror)
    assert code == 2 and datasets["shop.gone"]["result"] == "dropped" and result["result"] == "unknown"


def test_a_stopped_dataset_is_not_compared(database):
    """Its rows stand at an older position than the one that verify pins: neither equal nor different."""
    database.execute("create table t (id int primary key, v text); insert into t values (1, 'a'); create table u (id int primary key)")
    mirror = database.mirror()
    mirror.catch_up()
    with sqlite3.connect(mirror.lake.catalog) as db:
        db.execute("update dm_dataset set state = 'stopped', reason = 'a column changed' where name = 't'")
    code, datasets, result, _ = verify(mirror)
    assert code == 2 and datasets["shop.t"]["result"] == "unknown" and "a column changed" in datasets["shop.t"]["reason"]
    assert datasets["shop.u"]["result"] == "equal" and result["unknown"] == 1


def test_the_only_dataset_is_refused(shop):
    db, mirror = shop
    db.execute("create table nokey (a int)")
    mirror.catch_up()
    p = mirror.with_config("verify")
    assert p.returncode == 2 and "equals" not in p.stdout
    code, _, result, _ = verify(mirror)
    assert code == 2 and result["result"] == "unknown"
    # Left out of the configuration it is no part of the mirror, and nothing is left to compare: said, and not equal.
    mirror.write(sqlite_source(mirror.folder.parent / "shop.db", extra="    exclude: [nokey]\n"), "commit_interval: 50ms")
    mirror.catch_up()
    assert mirror.status()["datasets"] == []
    p = mirror.with_config("verify")
    assert p.returncode == 2 and "nothing to compare" in p.stdout.lower()


def test_declared_datasets_have_no_source_to_compare_with(folder):
    mirror = Mirror(folder / "m", "", "")
    mirror.config.write_text(f"lake: {mirror.lake.folder}\n")
    (folder / "s.yaml").write_text("schemas:\n  - name: sales.orders\n    columns: {id: int64 not null, v: int64 not null}\n    key: [id]\n    version: v\n")
    assert mirror.with_config("schema", "apply", str(folder / "s.yaml")).returncode == 0
    p = mirror.with_config("verify")
    assert p.returncode == 2 and "nothing to compare" in p.stdout.lower(), p.stdout + p.stderr
    code, datasets, _, _ = verify(mirror, "sales.orders")
    assert code == 2 and "declared" in datasets["sales.orders"]["reason"]


def test_a_source_that_is_away_does_not_hide_the_others(database, folder):
    """Two sources, one of them away: the other's datasets are compared, the first's are named as not compared."""
    with sqlite3.connect(folder / "local.db") as db:
        db.executescript("create table t (id integer primary key); insert into t values (1), (2)")
    database.execute("create table t (id int primary key); insert into t values (1)")
    both = database.source() + sqlite_source(folder / "local.db", "local")
    mirror = Mirror(folder / "m", both, "commit_interval: 50ms\nretry_max: 300ms")
    mirror.catch_up()
    away = database.source().replace(database.server.url(database.name), database.server.url(database.name + "_away"))
    mirror.write(away + sqlite_source(folder / "local.db", "local"), "commit_interval: 50ms\nretry_max: 300ms")
    code, datasets, result, _ = verify(mirror, "--timeout", "20s")
    assert code == 2 and datasets["local.t"]["result"] == "equal", datasets
    assert datasets["shop.t"]["result"] == "unknown" and "_away" in datasets["shop.t"]["reason"]
    assert (result["equal"], result["unknown"]) == (1, 1)
    # Asked for by name, the sound one is alone.
    code, datasets, _, _ = verify(mirror, "local.t", "--timeout", "20s")
    assert code == 0 and list(datasets) == ["local.t"]


def test_a_copy_under_way_is_waited_for_or_named(shop):
    """A dataset that is being copied when the time is over is named as not compared; the others are compared."""
    db, mirror = shop
    db.executescript("create table t (id integer primary key); insert into t values (1); create table u (id integer primary key)")
    mirror.catch_up()
    mirror.start()
    mirror.until(lambda: mirror.source_status()["state"] == "running", "the mirror to run")
    with sqlite3.connect(mirror.lake.catalog, timeout=30) as lake:
        lake.execute("update dm_dataset set state = 'copying' where name = 't'")
    code, datasets, _, _ = verify(mirror, "--timeout", "6s")
    assert code == 2 and "copied" in datasets["shop.t"]["reason"] and datasets["shop.u"]["result"] == "equal"


# -- rows in quarantine

def test_quarantined_rows_are_counted_apart(database):
    """numeric(5,2) with NaN: in the copy, in the stream, several of them, an updated row, a mended one, a deleted one, and with history."""
    database.execute("create table t (id int primary key, n numeric(5,2)); insert into t values (1, 1.25), (2, 'NaN'), (3, 'NaN'), (4, 4)")
    mirror = database.mirror("    history: true\n")
    mirror.catch_up()
    code, datasets, result, _ = verify(mirror)
    assert (code, counts(datasets["shop.t"])) == (0, ("equal", 4, 2, 2, 0)), datasets
    assert result["result"] == "equal"
    assert "2 rows in quarantine" in mirror.with_config("verify").stdout.splitlines()[-1]
    # A good row turns bad, a bad one good, a bad one goes, a new bad one comes.
    database.execute("update t set n = 'NaN' where id = 1; update t set n = 2 where id = 2; delete from t where id = 3; insert into t values (5, 'NaN'), (6, 6)")
    mirror.catch_up()
    code, datasets, _, _ = verify(mirror)
    assert (code, counts(datasets["shop.t"])) == (0, ("equal", 5, 3, 2, 0)), datasets
    assert sorted(mirror.lake.dataset("shop", "t").column("id")) == [2, 4, 6]


def test_rows_that_only_the_stream_had_to_put_aside(database):
    """A large value that PostgreSQL did not send again, for a row that the lake does not have: reading it finds nothing wrong, yet it is in quarantine."""
    database.execute("create table t (id int primary key, n numeric(5,2), big text); alter table t alter big set storage external;"
                     "insert into t values (1, 1, repeat('x', 5000)), (2, 'NaN', repeat('y', 5000)), (3, 3, repeat('z', 5000)), (4, 4, 'small')")
    mirror = database.mirror()
    mirror.catch_up()
    database.execute("update t set n = 2 where id = 2")   # big is unchanged, and no stored row has it
    mirror.catch_up()
    reasons = mirror.with_config("quarantine", "show", "shop.t", "--json").stdout
    assert "unchanged_value_unknown" in reasons
    code, datasets, _, _ = verify(mirror)
    assert (code, counts(datasets["shop.t"])) == (0, ("equal", 4, 3, 1, 0)), datasets
    database.execute("update t set big = 'whole' where id = 2; delete from t where id = 3")
    mirror.catch_up()
    code, datasets, _, _ = verify(mirror)
    assert (code, counts(datasets["shop.t"])) == (0, ("equal", 3, 3, 0, 0)), datasets


@pytest.mark.parametrize("declared, good, bad", [("decimal(5,2)", "1.5", "'abc'"), ("integer", "7", "'x'"), ("boolean", "1", "7"),
                                                 ("text", "'t'", "cast(x'ff' as text)")])
def test_quarantined_rows_of_sqlite_are_counted_apart(shop, declared, good, bad):
    db, mirror = shop
    db.executescript(f"create table t (id integer primary key, v {declared}); insert into t values (1, {good}), (2, {bad}), (3, {bad})")
    mirror.catch_up()
    code, datasets, _, _ = verify(mirror)
    assert (code, counts(datasets["shop.t"])) == (0, ("equal", 3, 1, 2, 0)), datasets
    db.executescript(f"update t set v = {bad} where id = 1; update t set v = {good} where id = 2; delete from t where id = 3; insert into t values (4, {bad})")
    mirror.catch_up()
    code, datasets, _, _ = verify(mirror)
    assert (code, counts(datasets["shop.t"])) == (0, ("equal", 3, 1, 2, 0)), datasets


def test_a_lost_row_beside_quarantined_ones_is_a_difference(database):
    """A row that was in quarantine once is not excused when the source's row is sound and the lake has lost it."""
    database.execute("create table t (id int primary key, n numeric(5,2)); insert into t values (1, 1), (2, 'NaN'), (3, 3)")
    mirror = database.mirror()
    mirror.catch_up()
    database.execute("update t set n = 2 where id = 2")
    mirror.catch_up()
    assert "NaN" in mirror.with_config("quarantine", "show", "shop.t", "--json").stdout
    mirror.start()      # at a start it would find a file of another size by itself
    mirror.until(lambda: mirror.source_status()["state"] == "running", "the mirror to run")
    for task in mirror.lake.dataset("shop", "t").table.scan().plan_files():   # the row of id 2 becomes one of id 22
        path = task.file.file_path.removeprefix("file://")
        table = pq.read_table(path)
        field = table.schema.field("id")
        pq.write_table(table.set_column(0, field, pa.array([22 if i == 2 else i for i in table.column("id").to_pylist()], field.type)), path)
    code, datasets, _, _ = verify(mirror, "shop.t")
    assert (code, counts(datasets["shop.t"])) == (1, ("different", 3, 3, 0, 2)), datasets["shop.t"]["reason"]
