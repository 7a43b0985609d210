"""Every dataset of a mirrored database, read by Spark, PyIceberg and DuckDB: all equal to the source, by content hash."""
import hashlib
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fetch  # noqa: E402
from conftest import Database  # noqa: E402
from oracle import traffic, values  # noqa: E402
from oracle.compare import compare  # noqa: E402
from oracle.lake import Rows  # noqa: E402
from oracle.mirror import Marker  # noqa: E402
from oracle.pause import Gate, Writers  # noqa: E402


@pytest.fixture(scope="module")
def mirrored(request, postgres, tmp_path_factory):
    """A database with every kind of table, worked on while it was mirrored."""
    import time
    d = Database(postgres, tmp_path_factory.mktemp("interop"))
    request.addfinalizer(d.close)
    traffic.create(d.execute, times=False)
    # Spark has no type for Iceberg's `time` (the runtime refuses the whole table); one table says so as long as it is true.
    d.execute("create table clock (id int primary key, at time); insert into clock values (1, '12:34:56.789')")
    mirror = d.mirror(options="commit_interval: 100ms").start()
    marker = Marker(d.execute, mirror)
    marker.reached()
    work = traffic.Traffic(lambda: d.server.connect(d.name), 7)
    gate = Gate()
    writers = Writers(gate)
    for name, step in [("one", work.mixed), ("toast", work.toasted), ("large", work.large), ("rare", work.rare)]:
        writers.add(name, step)
    with writers:
        end = time.monotonic() + 8
        while time.monotonic() < end and not gate.over:
            time.sleep(0.1)   # the work goes on for this long; nothing waits for anything
    writers.check()
    marker.reached()
    mirror.until(lambda: all(x["state"] not in ("waiting", "copying") for x in mirror.status()["datasets"]), "all copies to be done")
    marker.reached()
    assert mirror.stop() == 0, mirror.log_tail()
    with d.snapshot() as s:
        return s.tables(), mirror


def digest(rows):
    """A content hash that does not depend on the order of rows."""
    return hashlib.sha256("\n".join(sorted(repr(r) for r in rows)).encode()).hexdigest()


def test_pyiceberg(mirrored):
    tables, mirror = mirrored
    assert compare(tables, mirror.live()) > 1000


def test_pyiceberg_through_the_sql_catalog(mirrored):
    """The way that users go: SqlCatalog on catalog.db."""
    from pyiceberg.catalog.sql import SqlCatalog
    tables, mirror = mirrored
    catalog = SqlCatalog("datamirror", uri=f"sqlite:///{mirror.lake.catalog}", warehouse=f"file://{mirror.lake.folder}",
                         init_catalog_tables="false")
    assert ("shop",) in catalog.list_namespaces()
    assert {("shop", t.name) for t in tables} == {tuple(i) for i in catalog.list_tables("shop")}
    assert catalog.load_table("shop.orders").scan().to_arrow().num_rows == len(next(t for t in tables if t.name == "orders").rows)


def spark_value(v, kind):
    if v is None:
        return None
    name = kind[0]
    if name == "list":
        return tuple(spark_value(x, kind[1]) for x in v)
    if name == "date":
        return values.infinite(v, values.INT32_MAX)
    if name in ("ts", "tstz"):
        return values.infinite(v, values.INT64_MAX)
    if name == "f32":
        return values.float_bits(float(v), 4)
    if name == "f64":
        return values.float_bits(float(v), 8)
    if name == "dec":
        return Decimal(v)
    if name == "uuid":
        return v.replace("-", "")
    return v


def test_spark(mirrored, tmp_path):
    """Format version 3 with deletion vectors through JdbcCatalog."""
    tables, mirror = mirrored
    out = tmp_path / "rows"
    p = subprocess.run([fetch.python(), Path(__file__).parent / "spark_read.py", ",".join(map(str, fetch.jars())), mirror.lake.folder,
                        "datamirror", out], capture_output=True, text=True, timeout=600)
    assert p.returncode == 0, p.stderr[-6000:]
    lake = mirror.lake.everything()
    found, refused = {}, {}
    with open(out) as f:
        for line in f:
            header = json.loads(line)
            key = (header["namespace"], header["table"])
            if "error" in header:
                refused[key] = header["error"]
                continue
            kinds = [lake[key].kinds[lake[key].columns.index(c)] for c in header["columns"]]
            rows = []
            for line in f:
                row = json.loads(line)
                if row is None:
                    break
                rows.append(tuple(spark_value(v, k) for v, k in zip(row, kinds)))
            found[key] = Rows(header["columns"], kinds, rows, {}, None)
    assert list(refused) == [("shop", "clock")], refused
    assert "does not support time" in refused["shop", "clock"]
    tables = [t for t in tables if t.name != "clock"]
    compare(tables, found)
    for t in tables:
        key = (t.namespace, t.name)
        order = [found[key].columns.index(c) for c in lake[key].columns]
        assert digest(tuple(r[i] for i in order) for r in found[key].rows) == digest(lake[key].rows), key
    vectors = [f for f in mirror.lake.files() if f.endswith(".puffin")]
    assert vectors and lake["shop", "orders"].table.metadata.format_version == 3


def test_duckdb_over_the_parquet_files(mirrored):
    """The data files by DuckDB, deletion vectors applied by their positions: the counts and a content hash of every column."""
    from pyiceberg.manifest import DataFileContent
    from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
    from pyiceberg.table.puffin import PuffinFile
    tables, mirror = mirrored
    lake = mirror.lake.everything()
    db = duckdb.connect()
    for key, rows in lake.items():
        table = rows.table
        if table.current_snapshot() is None:
            continue
        data, dead = {}, {}
        for manifest in table.current_snapshot().manifests(table.io):
            for e in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                f = e.data_file
                path = f.file_path.removeprefix("file://")
                if f.content == DataFileContent.DATA:
                    data[path] = f.record_count
                elif path.endswith(".puffin"):
                    for v in deletion_vectors_from_puffin_file(PuffinFile(Path(path).read_bytes())):
                        dead.setdefault(v.referenced_data_file.removeprefix("file://"), set()).update(v.to_vector().to_pylist())
                else:
                    for name, pos in db.execute("select file_path, pos from read_parquet(?)", [path]).fetchall():
                        dead.setdefault(name.removeprefix("file://"), set()).add(pos)
        ids = {f.field_id: f.name for f in table.schema().fields}
        keys = [f for f in table.schema().fields if f.required]
        count, key_values = 0, []
        for path, records in data.items():
            assert db.execute("select count(*) from read_parquet(?)", [path]).fetchone() == (records,)
            assert max(dead.get(path, {-1})) < records
            names = dict(db.execute("select field_id, name from parquet_schema(?) where field_id is not null", [path]).fetchall())
            columns = ", ".join('"' + names[f.field_id].replace('"', '""') + '"::varchar' for f in keys)
            found = db.execute(f"select file_row_number, {columns} from read_parquet(?, file_row_number = true)", [path]).fetchall()
            alive = [r[1:] for r in found if r[0] not in dead.get(path, ())]
            count += len(alive)
            key_values += alive
        assert count == len(rows.rows), key
        assert len(set(key_values)) == count, f"{key}: a key is there twice"
        assert ids


def test_catalogless_readers(mirrored):
    """version-hint.text and vN.metadata.json lead to the current metadata."""
    _, mirror = mirrored
    for (namespace, name), location in mirror.lake.pointers().items():
        path = Path(location.removeprefix("file://"))
        hint = path.parent / "version-hint.text"
        assert hint.exists(), path.parent
        current = path.parent / f"v{hint.read_text().strip()}.metadata.json"
        assert json.loads(current.read_text()) == json.loads(path.read_text()), name
