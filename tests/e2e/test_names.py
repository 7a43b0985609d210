"""Table and column names with quotes, dots, spaces, capitals, unicode and reserved words."""
import pytest

from oracle.mirror import Marker
from oracle.postgres import quote

NAMES = ["Capital", "with space", "with.dot", 'with"quote', "with'apostrophe", "select", "order", "größe 漢字", "emoji😀", "a/b", "..", "a\\b",
         "%s", "a:b", "tab\there", "x" * 63, "table__histor", "${HOME}", "_", "1starts_with_digit", "semi;colon", "UPPER", "upper"]


def test_table_names(database):
    for i, name in enumerate(NAMES):
        database.execute(f"create table {quote(name)} (id int primary key, v int)")
        database.execute(f"insert into {quote(name)} select i, {i} from generate_series(1, 10) i")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    for name in NAMES:
        database.execute(f"update {quote(name)} set v = v + 100 where id < 4; delete from {quote(name)} where id = 9; "
                         f"insert into {quote(name)} values (50, 50)")
    marker.reached()
    database.check(mirror)
    root = mirror.folder.resolve()
    assert all(str(f).startswith(str(root)) for f in mirror.lake.files())
    assert not [p for p in database.folder.rglob("*.parquet") if mirror.lake.folder not in p.parents], "files outside of the lake"


def test_column_names(database):
    columns = [n for n in NAMES if n not in ("upper",)] + ["upper", "_pos", "_file", "_row_id", "ctid2", "datamirror", "id"]
    list_of = ", ".join(f"{quote(c)} text" for c in columns if c != "id")
    database.execute(f"create table t (id int, {list_of}, primary key (id, {quote('with.dot')}, {quote('order')}))")
    places = ", ".join(["%s"] * (len(columns) - 1))
    names = ", ".join(quote(c).replace("%", "%%") for c in columns if c != "id")

    def insert(i):
        database.execute(f"insert into t (id, {names}) values ({i}, {places})", *[f"{i} {c}" for c in columns if c != "id"])
    for i in range(5):
        insert(i)
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    for i in range(5, 10):
        insert(i)
    database.execute(f"update t set {quote('select')} = null, {quote('with.dot')} = 'new key' where id = 2; delete from t where id = 3")
    marker.reached()
    database.check(mirror)


def test_schema_names(database):
    for schema in ["sales", "Sales", "with space", "größe", "a.b", "user"]:
        database.execute(f"create schema {quote(schema)}; create table {quote(schema)}.t (id int primary key); "
                         f"insert into {quote(schema)}.t values (1), (2)")
    mirror = database.mirror().start()
    marker = Marker(database.execute, mirror)
    marker.reached()
    for schema in ["sales", "Sales", "with space", "größe", "a.b", "user"]:
        database.execute(f"insert into {quote(schema)}.t values (3); delete from {quote(schema)}.t where id = 1")
    marker.reached()
    database.check(mirror)


@pytest.mark.parametrize("name", ["Capital", 'with"quote', "with.dot", "größe 漢字", "with'apostrophe"])
def test_query_and_resync_and_verify_take_the_name(database, name):
    database.execute(f"create table {quote(name)} (id int primary key); insert into {quote(name)} select generate_series(1, 10)")
    mirror = database.mirror()
    mirror.catch_up()
    assert [list(r.values()) for r in mirror.query(f'select count(*) from shop.{quote(name)}')] == [[10]]
    assert mirror.with_config("resync", f"shop.{name}").returncode == 0
    mirror.catch_up()
    p = mirror.with_config("verify", f"shop.{name}")
    assert p.returncode == 0, p.stdout + p.stderr
    database.check(mirror)
