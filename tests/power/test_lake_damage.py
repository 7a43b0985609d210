"""Files of the lake that are missing, cut or changed: named by `doctor` with the way out, and no mirror goes on beside them."""
import os
import sqlite3
from pathlib import Path

import pytest

from oracle.mirror import Mirror


def files(mirror, namespace, name):
    """{kind: path} of one file of each kind that the current snapshot of the dataset refers to."""
    location = mirror.lake.pointers()[namespace, name]
    table = mirror.lake.load(location)
    snapshot = table.current_snapshot()
    found = {"metadata": location, "list": snapshot.manifest_list}
    for manifest in snapshot.manifests(table.io):
        found["manifest"] = manifest.manifest_path
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            found["vector" if manifest.content else "data"] = entry.data_file.file_path
    return {kind: Path(path.removeprefix("file://")) for kind, path in found.items()}


DAMAGES = {"data": Path.unlink, "cut": lambda p: os.truncate(p, p.stat().st_size // 2), "vector": Path.unlink, "list": Path.unlink,
           "manifest": Path.unlink, "metadata": Path.unlink}


def test_mirrored(database):
    """Each damage stops its dataset, with the file's name; the others go on; resync mends it."""
    for n in [*DAMAGES, "sound"]:
        database.execute(f"create table {n} (id int primary key, v text); insert into {n} select i, repeat(md5(i::text), 9) from generate_series(1, 500) i")
    mirror = database.mirror(options="commit_interval: 50ms")
    mirror.catch_up()
    for n in [*DAMAGES, "sound"]:
        database.execute(f"delete from {n} where id % 50 = 0")
    mirror.catch_up()
    database.check(mirror)
    damaged = {}
    for n, damage in DAMAGES.items():
        damaged[n] = files(mirror, "shop", n)["data" if n == "cut" else n]
        damage(damaged[n])
    p = mirror.with_config("doctor")
    assert p.returncode == 1, p.stdout
    for n, path in damaged.items():
        assert any(str(path) in line for line in p.stdout.splitlines()), (n, path, p.stdout)
        assert f"datamirror resync shop.{n}\n" in p.stdout, p.stdout
    for n in [*DAMAGES, "sound"]:
        database.execute(f"insert into {n} values (1000, 'later')")
    mirror.catch_up()
    assert 1000 in mirror.lake.dataset("shop", "sound").column("id")
    p = mirror.with_config("status", "--json")
    assert p.returncode == 3
    for n, path in damaged.items():
        d = mirror.dataset_status(f"shop.{n}")
        assert d["state"] == "stopped" and path.name in d["reason"] and f"datamirror resync shop.{n}" in d["reason"], d
    assert mirror.dataset_status("shop.sound")["state"] == "streaming"
    for n in DAMAGES:
        assert mirror.with_config("resync", f"shop.{n}").returncode == 0
    mirror.catch_up()
    database.check(mirror)
    p = mirror.with_config("doctor")
    assert p.returncode == 0, p.stdout


SCHEMA = """
schemas:
  sales.orders:
    columns:
      id: {type: long, required: true}
      item: string
      version: {type: long, required: true}
    key: id
    version: version
  sales.sound:
    columns:
      id: {type: long, required: true}
      version: {type: long, required: true}
    key: id
    version: version
"""


@pytest.fixture
def declared(folder):
    m = Mirror(folder / "m", "")
    (folder / "schemas.yaml").write_text(SCHEMA)
    (folder / "orders.csv").write_text("id,item,version\n" + "".join(f"{i},item {i * 7919},1\n" for i in range(20000)))
    (folder / "more.csv").write_text("id,item,version\n5,changed,2\n")
    (folder / "sound.csv").write_text("id,version\n1,1\n")
    for arguments in (("schema", "apply", "schemas.yaml"), ("ingest", "sales.orders", "orders.csv")):
        p = m.with_config(*[str(folder / a) if "." in a and a != "sales.orders" else a for a in arguments])
        assert p.returncode == 0, p.stdout + p.stderr
    yield m
    m.kill()


def test_declared(declared, folder):
    """Refused while a file is missing, the others not; goes on when it is there again."""
    data = files(declared, "sales", "orders")["data"]
    data.rename(folder / "aside")
    p = declared.with_config("ingest", "sales.orders", str(folder / "more.csv"))
    assert p.returncode != 0 and data.name in p.stderr and "restore" in p.stderr, p.stdout + p.stderr
    assert declared.with_config("ingest", "sales.sound", str(folder / "sound.csv")).returncode == 0
    assert declared.dataset_status("sales.orders")["state"] == "stopped"
    p = declared.with_config("doctor")
    assert p.returncode == 1 and str(data) in p.stdout, p.stdout
    (folder / "aside").rename(data)
    p = declared.with_config("ingest", "sales.orders", str(folder / "more.csv"))
    assert p.returncode == 0, p.stdout + p.stderr
    rows = {r["id"]: r["item"] for r in declared.lake.dataset("sales", "orders").dicts()}
    assert len(rows) == 20000 and rows[5] == "changed"
    assert declared.with_config("doctor").returncode == 0


def test_deep(declared):
    """Bytes changed within a data file: its ends and its size say nothing, reading it does."""
    data = files(declared, "sales", "orders")["data"]
    content = bytearray(data.read_bytes())
    middle = len(content) // 2
    content[middle:middle + 64] = bytes(b ^ 0x55 for b in content[middle:middle + 64])
    data.write_bytes(content)
    assert declared.with_config("doctor").returncode == 0
    p = declared.with_config("doctor", "--deep")
    assert p.returncode == 1 and str(data) in p.stdout and "sales.orders" in p.stdout, p.stdout


def test_catalog(declared):
    """A catalog that fails SQLite's own check: a page of an index is of another table."""
    catalog = declared.lake.folder / "catalog.db"
    db = sqlite3.connect(catalog)
    db.execute("pragma wal_checkpoint(truncate)")
    page, = db.execute("select rootpage from sqlite_master where type = 'index' and tbl_name = 'iceberg_namespace_properties'").fetchone()
    size, = db.execute("pragma page_size").fetchone()
    db.close()
    content = bytearray(catalog.read_bytes())
    content[(page - 1) * size + 8:page * size] = bytes(size - 8)
    catalog.write_bytes(content)
    p = declared.with_config("doctor")
    assert p.returncode == 1 and "catalog.db" in p.stdout and "backup" in p.stdout, p.stdout
