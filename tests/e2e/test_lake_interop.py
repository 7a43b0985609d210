"""The lake's tables read by PyIceberg (through the catalog file) after each step of a dataset's life, and by DuckDB.

The steps are made by the unit-test executable lake-test_lake_steps, found below DM_BUILD (default build/dev).
"""
import json
import os
import pathlib
import subprocess

import pytest

pyiceberg_sql = pytest.importorskip("pyiceberg.catalog.sql")

ROOT = pathlib.Path(__file__).resolve().parents[2]


def driver():
    build = pathlib.Path(os.environ.get("DM_BUILD", ROOT / "build" / "dev"))
    path = build / "lake-test_lake_steps"
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return path


def steps(folder):
    """Yields what each step should have made visible; the next step runs when the caller asks for it."""
    with subprocess.Popen([driver(), "--steps", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield json.loads(line)
            process.stdin.write("next\n")
            process.stdin.flush()
        process.stdin.close()
        assert process.wait() == 0


def micros(moment):
    from datetime import datetime, timedelta, timezone

    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


def rows_of(arrow):
    """Rows by id, values as the driver spells them; tags and uid, which follow from the id, are checked here."""
    rows = {}
    for row in arrow.to_pylist():
        number = row["id"]
        assert number not in rows, f"two rows with the key {number}"
        assert row.pop("tags") == ["tag"] * (number % 3)
        uid = row.pop("uid")
        assert (uid.bytes if hasattr(uid, "bytes") else bytes(uid)) == number.to_bytes(8, "little") + bytes(8)
        row["price"] = str(row["price"])
        row["at"] = micros(row["at"])
        rows[number] = row
    return rows


def open_catalog(folder):
    return pyiceberg_sql.SqlCatalog("datamirror", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")


def check_lineage(table):
    """Row ids: every data file of a snapshot has its own range below next-row-id."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return
    assert snapshot.first_row_id is not None and snapshot.added_rows is not None
    assert snapshot.first_row_id + snapshot.added_rows <= table.metadata.next_row_id


def check_summary(table, expected):
    snapshot = table.current_snapshot()
    summary = snapshot.summary.additional_properties
    visible = int(summary["total-records"]) - int(summary["total-position-deletes"])
    assert visible == len(expected)
    assert summary["datamirror.source"] == "shop"
    assert summary["datamirror.position"] == "0/16B3748"
    assert summary["datamirror.source-commit-time"].startswith("2023-11-14T22:13:20")


def test_pyiceberg_sees_every_step(tmp_path):
    seen = 0
    for expected in steps(str(tmp_path)):
        catalog = open_catalog(tmp_path)
        assert (expected["namespace"],) in catalog.list_namespaces()
        identifier = (expected["namespace"], expected["table"])
        assert identifier in catalog.list_tables(expected["namespace"])
        table = catalog.load_table(identifier)
        assert table.metadata.format_version == 3
        want = {row["id"]: row for row in expected["rows"]}
        assert rows_of(table.scan().to_arrow()) == want, expected["step"]
        # A filter makes the reader use the column bounds in the manifests.
        for key in list(want)[:3]:
            assert list(rows_of(table.scan(row_filter=f"id = {key}").to_arrow())) == [key], expected["step"]
        assert table.schema().identifier_field_ids == [table.schema().find_field("id").field_id]
        check_lineage(table)
        check_summary(table, want)
        seen += 1
    assert seen == 15


def test_older_snapshots_stay_readable(tmp_path):
    states = {}
    for expected in steps(str(tmp_path)):
        if expected["step"] in ("evolve", "sweep", "default", "sweep again"):
            continue  # no new snapshot
        table = open_catalog(tmp_path).load_table((expected["namespace"], expected["table"]))
        states[table.current_snapshot().snapshot_id] = {row["id"] for row in expected["rows"]}
    table = open_catalog(tmp_path).load_table((expected["namespace"], expected["table"]))
    for snapshot, ids in states.items():
        assert set(table.scan(snapshot_id=snapshot).to_arrow()["id"].to_pylist()) == ids


def test_hint_files_lead_to_the_current_state(tmp_path):
    """Readers without a catalog: version-hint.text names N, vN.metadata.json is the current metadata."""
    from pyiceberg.table import StaticTable

    for expected in steps(str(tmp_path)):
        metadata = pathlib.Path(expected["location"]) / "metadata"
        version = int((metadata / "version-hint.text").read_text())
        table = StaticTable.from_metadata(f"file://{metadata}/v{version}.metadata.json")
        assert rows_of(table.scan().to_arrow()) == {row["id"]: row for row in expected["rows"]}
