"""The oracle itself: it must find every kind of difference in a lake that PyIceberg wrote."""
import sqlite3

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from oracle.compare import compare, differences
from oracle.lake import Lake

GOOD = {
    "id": [1, 2, 3],
    "t": ["", None, "x\ny"],
    "f": [0.0, float("nan"), -0.0],
    "n": ["1.50", "-0.01", None],
    "at": [0, 2**63 - 1, -62135596800000001],
    "d": [0, 2**31 - 1, -800000],
    "list": [[1, None], [], None],
    "by": [b"\x00\xff", b"", None],
}


def arrow(rows):
    from decimal import Decimal
    return pa.table({
        "id": pa.array(rows["id"], pa.int32()), "t": pa.array(rows["t"], pa.string()), "f": pa.array(rows["f"], pa.float64()),
        "n": pa.array([None if v is None else Decimal(v) for v in rows["n"]], pa.decimal128(10, 2)),
        "at": pa.array(rows["at"], pa.int64()).cast(pa.timestamp("us")), "d": pa.array(rows["d"], pa.int32()).cast(pa.date32()),
        "list": pa.array(rows["list"], pa.list_(pa.int64())), "by": pa.array(rows["by"], pa.binary()),
    })


@pytest.fixture
def source(database):
    database.execute("create table a (id int primary key, t text, f float8, n numeric(10,2), at timestamp, d date, list int8[], by bytea)")
    database.execute("insert into a values (1, '', 0, 1.5, '1970-01-01', '1970-01-01', '{1,NULL}', '\\x00ff'), "
                     "(2, null, 'NaN', -0.01, 'infinity', 'infinity', '{}', ''), "
                     "(3, E'x\\ny', '-0', null, '0001-12-31 23:59:59.999999 BC', date '1970-01-01' - 800000, null, null)")
    with database.snapshot() as s:
        return s.tables()


def lake_of(folder, rows):
    (folder / "lake").mkdir()
    catalog = SqlCatalog("x", uri=f"sqlite:///{folder}/lake/catalog.db", warehouse=f"file://{folder}/lake")
    catalog.create_namespace("shop")
    table = arrow(rows)
    # Without metrics: PyIceberg computes them in Python dates, which cannot hold these values.
    catalog.create_table("shop.a", schema=table.schema,
                         properties={"write.metadata.metrics.default": "none"}).append(table)
    return Lake(folder / "lake")


def test_equal(source, folder):
    assert compare(source, lake_of(folder, GOOD).everything()) == 3


@pytest.mark.parametrize("column, row, value", [
    ("t", 0, None), ("t", 1, ""), ("t", 2, "x\ny "), ("f", 0, -0.0), ("f", 1, None), ("f", 2, 0.0), ("n", 0, "1.51"), ("n", 2, "0"),
    ("at", 0, 1), ("at", 1, 2**63 - 2), ("at", 2, -62135596800000000), ("d", 1, 2**31 - 2), ("d", 0, None), ("list", 0, [1]),
    ("list", 1, None), ("list", 2, []), ("by", 0, b"\x00"), ("by", 2, b""), ("id", 0, 9), ("id", 0, 2),
])
def test_one_changed_value_is_found(source, folder, column, row, value):
    rows = {k: list(v) for k, v in GOOD.items()}
    rows[column][row] = value
    found = differences(source[0], lake_of(folder, rows).dataset("shop", "a"))
    assert found
    if column != "id":
        assert f"column {column}" in found[0], found
    elif value == 2:
        assert "two rows with key" in found[0]


def test_missing_extra_and_null_key_are_found(source, folder):
    rows = {k: list(v)[:2] for k, v in GOOD.items()}
    rows["id"][1] = None
    found = "\n".join(differences(source[0], lake_of(folder, rows).dataset("shop", "a")))
    assert "null key" in found and "missing in the lake" in found


def test_missing_dataset_and_column_are_found(source, folder):
    lake = lake_of(folder, GOOD)
    rows = lake.everything()
    assert "no such dataset" in differences(source[0], None)[0]
    source[0].columns.append("more")
    source[0].kinds.append(("str",))
    source[0].rows[:] = [r + ("x",) for r in source[0].rows]
    assert "columns differ" in differences(source[0], rows["shop", "a"])[0]
    with pytest.raises(AssertionError, match="no table for"):
        compare([], rows)


def test_pointers_are_read_in_one_transaction(source, folder):
    lake = lake_of(folder, GOOD)
    before = lake.pointers()
    db = sqlite3.connect(folder / "lake/catalog.db", isolation_level=None)
    db.execute("begin immediate")
    db.execute("update iceberg_tables set metadata_location = 'nowhere'")
    assert lake.pointers() == before
    db.execute("rollback")
    db.close()
