"""PyIceberg reads the manifests, manifest lists and deletion vectors that we write, and we read what it writes.

The C side is the test program test_manifest_interop, found in the build folder that DM_BUILD names.
"""
import json
import os
import subprocess
import zlib
from pathlib import Path

import pytest
from pyroaring import BitMap
from pyiceberg.avro.file import AvroFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (
    MANIFEST_ENTRY_SCHEMAS, MANIFEST_LIST_FILE_SCHEMAS, DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry,
    ManifestEntryStatus, ManifestFile, PartitionFieldSummary, write_manifest, write_manifest_list,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
from pyiceberg.table.puffin import PuffinFile
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

BUILD = os.environ.get("DM_BUILD")
TOOL = Path(BUILD or "") / "lake-iceberg-test_manifest_interop"
pytestmark = pytest.mark.skipif(BUILD is None, reason="DM_BUILD does not name a build folder")

BASE = 7000000000000000000


def tool(*args):
    return subprocess.run([str(TOOL), *map(str, args)], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours")
    tool("write", folder)
    return folder


def read_avro(path, schema, types, enums):
    with AvroFile(PyArrowFileIO().new_input(str(path)), schema, read_types=types, read_enums=enums) as reader:
        return dict(reader.header.meta), list(reader)


def read_manifest(path, version):
    return read_avro(path, MANIFEST_ENTRY_SCHEMAS[version], {-1: ManifestEntry, 2: Record},
                     {0: ManifestEntryStatus, 101: FileFormat, 134: DataFileContent})


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("content", ["data", "deletes"])
@pytest.mark.parametrize("count", [5, 5000])
def test_pyiceberg_reads_our_manifests(ours, version, content, count):
    meta, entries = read_manifest(ours / f"m-v{version}-{content}-{count}.avro", version)
    assert meta["format-version"] == str(version)
    assert meta["content"] == content
    assert (meta["partition-spec"], meta["partition-spec-id"], meta["schema-id"]) == ("[]", "0", "3")
    assert Schema.model_validate_json(meta["schema"]).find_field("x").field_id == 2
    assert meta["avro.codec"] == ("null" if count == 5 else "deflate")
    assert len(entries) == count
    names = [f.name for f in MANIFEST_ENTRY_SCHEMAS[version].find_field("data_file").field_type.fields]
    for i, entry in enumerate(entries):
        added = i % 3 == 1
        assert entry.status == ManifestEntryStatus(i % 3)
        assert entry.snapshot_id == (None if added else BASE + i)
        assert entry.sequence_number == (None if added else i)
        assert entry.file_sequence_number == (None if added else i + 1)
        file = dict(zip(names, entry.data_file._data))
        vector = version == 3 and content == "deletes"
        expected = {name: None for name in names} | {
            "content": DataFileContent.DATA if content == "data" else DataFileContent.POSITION_DELETES,
            "file_path": f"/lake/shop/ä/data/{i:08}." + ("puffin" if vector else "parquet"),
            "file_format": FileFormat.PUFFIN if vector else FileFormat.PARQUET,
            "partition": Record(),
            "record_count": i * 100 + 1,
            "file_size_in_bytes": i * 4096 + 5,
        }
        if content == "deletes" and version == 3:
            expected |= {"content_offset": i * 50 + 4, "content_size_in_bytes": 50,
                         "referenced_data_file": f"/lake/shop/data/{i:08}.parquet"}
        if content == "data" and version == 3 and i % 2 == 0:
            expected["first_row_id"] = i * 1000
        if content == "data" and i != 2:
            expected |= {"value_counts": {1: i * 100 + 1, 2: i * 100 + 1}, "null_value_counts": {1: 0, 2: i},
                         "nan_value_counts": {2: 1}, "lower_bounds": {1: (1).to_bytes(8, "little")},
                         "upper_bounds": {1: (255).to_bytes(8, "little")}}
        assert file == expected


def test_version_2_manifests_carry_the_referenced_data_file(ours):
    # PyIceberg's version 2 schema does not have the field; its version 3 schema finds it by id.
    _, entries = read_manifest(ours / "m-v2-deletes-5.avro", 3)
    names = [f.name for f in MANIFEST_ENTRY_SCHEMAS[3].find_field("data_file").field_type.fields]
    files = [dict(zip(names, e.data_file._data))["referenced_data_file"] for e in entries]
    assert files == [f"/lake/shop/data/{i:08}.parquet" for i in range(5)]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("count", [4, 400])
def test_pyiceberg_reads_our_manifest_lists(ours, version, count):
    meta, files = read_avro(ours / f"l-v{version}-{count}.avro", MANIFEST_LIST_FILE_SCHEMAS[version],
                            {-1: ManifestFile, 508: PartitionFieldSummary}, {517: ManifestContent})
    assert meta["snapshot-id"] == str(BASE + 9)
    assert meta["parent-snapshot-id"] == (str(BASE + 8) if version == 3 else "null")
    assert (meta["sequence-number"], meta["format-version"]) == ("9", str(version))
    assert meta.get("first-row-id") == ("77" if version == 3 else None)
    assert len(files) == count
    for i, f in enumerate(files):
        expected = [f"/lake/shop/metadata/m{i}.avro", 1000 + i, 0, ManifestContent(i % 2), 9 + i, 5, BASE + i, 1, 2, 3,
                    10000000000, 20, 30, [], None]
        if version == 3:
            expected.append(i * 500 if i % 2 == 0 else None)
        assert list(f._data) == expected


SCHEMA = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "x", DoubleType(), required=False),
                NestedField(3, "region", StringType(), required=False))
SPECS = {
    "plain": PartitionSpec(),
    "partitioned": PartitionSpec(PartitionField(3, 1000, IdentityTransform(), "region"),
                                 PartitionField(1, 1001, IdentityTransform(), "id")),
}


def data_file(i, spec):
    return DataFile.from_args(
        content=DataFileContent.DATA, file_path=f"s3://b/ä/{i}.parquet", file_format=FileFormat.PARQUET,
        partition=Record() if spec == "plain" else Record(None if i % 2 else "EU", i), record_count=i + 1, file_size_in_bytes=i + 10,
        column_sizes={1: 5, 2: 6}, value_counts={2: i + 1, 1: i + 1, 3: i + 1}, null_value_counts={1: 0, 2: 1},
        nan_value_counts={2: 0}, lower_bounds={1: b"\1", 2: b"l" * 200}, upper_bounds={1: b"\2", 2: b"u"}, key_metadata=None,
        split_offsets=[4, 1000], equality_ids=None, sort_order_id=1)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("spec", list(SPECS))
def test_we_read_manifests_of_pyiceberg(tmp_path, version, codec, spec):
    path = tmp_path / "m.avro"
    with write_manifest(version, SPECS[spec], SCHEMA, PyArrowFileIO().new_output(str(path)), BASE, codec) as writer:
        for i in range(50):
            if i % 2:
                writer.add(ManifestEntry.from_args(snapshot_id=BASE, sequence_number=None, data_file=data_file(i, spec)))
            else:
                writer.existing(ManifestEntry.from_args(snapshot_id=i, sequence_number=i, file_sequence_number=i + 1,
                                                        data_file=data_file(i, spec)))
    got = json.loads(tool("manifest", path))
    assert (got["format_version"], got["content"], len(got["entries"])) == (version, 0, 50)
    for i, entry in enumerate(got["entries"]):
        numbers = (-1, -1) if i % 2 else (i, i + 1)
        if version == 1:
            numbers = (0, 0)
        assert entry == {
            "status": i % 2, "snapshot_id": BASE if i % 2 else i, "sequence_number": numbers[0],
            "file_sequence_number": numbers[1], "content": 0, "file_path": f"s3://b/ä/{i}.parquet", "file_format": "PARQUET",
            "record_count": i + 1, "file_size_in_bytes": i + 10, "first_row_id": -1, "referenced_data_file": None,
            "content_offset": -1, "content_size_in_bytes": -1,
            # column 2's lower bound is too long to carry; column 3 has no null count
            "stats": [[1, i + 1, 0, 0, False, True, "01", "02"], [2, i + 1, 1, 0, True, False, "", ""]],
        }


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_we_read_manifest_lists_of_pyiceberg(tmp_path, version, codec):
    path = tmp_path / "l.avro"
    files = [ManifestFile.from_args(
        manifest_path=f"s3://b/{i}.avro", manifest_length=i + 1, partition_spec_id=3,
        content=ManifestContent.DELETES if version == 2 and i % 2 else ManifestContent.DATA, sequence_number=i + 5,
        min_sequence_number=i, added_snapshot_id=BASE + i, added_files_count=1, existing_files_count=2, deleted_files_count=3,
        added_rows_count=4, existing_rows_count=5, deleted_rows_count=6,
        partitions=[PartitionFieldSummary(True, False, b"a", b"b")] * (i % 3), key_metadata=None) for i in range(30)]
    with write_manifest_list(version, PyArrowFileIO().new_output(str(path)), BASE, None, 9, codec) as writer:
        writer.add_manifests(files[:10])
        writer.add_manifests(files[10:])
    expected = [{"path": f"s3://b/{i}.avro", "length": i + 1, "content": i % 2 if version == 2 else 0,
                 "sequence_number": i + 5 if version == 2 else 0, "min_sequence_number": i if version == 2 else 0,
                 "added_snapshot_id": BASE + i, "files": [1, 2, 3], "rows": [4, 5, 6], "first_row_id": -1} for i in range(30)]
    assert json.loads(tool("list", path)) == expected


BITMAPS = [[0, 65536 * 7 + 3, 2**32 - 1], [*range(100, 500000), 1000000], list(range(0, 200000, 3))]


def test_pyiceberg_reads_our_deletion_vectors(ours):
    raw = (ours / "dv.puffin").read_bytes()
    puffin = PuffinFile(raw)
    vectors = deletion_vectors_from_puffin_file(puffin)
    names = ['/lake/ä/few "quoted".parquet', "/lake/runs.parquet", "/lake/dense.parquet"]
    assert [v.referenced_data_file for v in vectors] == names
    assert puffin.footer.properties == {"created-by": "Data Mirror test"}
    for blob, vector, expected in zip(puffin.footer.blobs, vectors, BITMAPS):
        assert vector.to_vector().to_pylist() == expected
        assert (blob.type, blob.fields, blob.snapshot_id, blob.sequence_number) == ("deletion-vector-v1", [2147483645], -1, -1)
        assert blob.properties["cardinality"] == str(len(expected))
        payload = puffin.get_blob_payload(blob)  # PyIceberg checks neither magic nor checksum
        assert payload[4:8] == bytes.fromhex("d1d33964")
        assert int.from_bytes(payload[:4], "big") == len(payload) - 8
        assert int.from_bytes(payload[-4:], "big") == zlib.crc32(payload[4:-4])
        assert json.loads(tool("vector", ours / "dv.puffin", blob.offset, blob.length)) == expected
    assert tool("puffin", ours / "dv.puffin") == "3\n"


@pytest.mark.parametrize("positions", [[], *BITMAPS], ids=["empty", "few", "runs", "dense"])
@pytest.mark.parametrize("runs", [False, True])
def test_we_read_vectors_made_with_another_bitmap_library(tmp_path, positions, runs):
    bitmap = BitMap(positions)
    if runs:
        bitmap.run_optimize()
    vector = (1).to_bytes(8, "little") + bytes(4) + bitmap.serialize()
    checked = bytes.fromhex("d1d33964") + vector
    blob = len(checked).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")
    footer = json.dumps({"blobs": [{
        "type": "deletion-vector-v1", "fields": [2147483645], "snapshot-id": -1, "sequence-number": -1, "offset": 4,
        "length": len(blob), "properties": {"referenced-data-file": "f", "cardinality": str(len(bitmap))}}]}).encode()
    path = tmp_path / "dv.puffin"
    path.write_bytes(b"PFA1" + blob + b"PFA1" + footer + len(footer).to_bytes(4, "little") + bytes(4) + b"PFA1")
    assert tool("puffin", path) == "1\n"
    assert json.loads(tool("vector", path, 4, len(blob))) == positions
