"""Files that are a little different from what one expects: empty ones and markers in a folder, several objects on a line, columns without a name, letters of other alphabets,
what Delta writes, formats under other names, Parquet in a form that the engine does not read."""
import json
import os
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle.mirror import Mirror

SCHEMA = """
schemas:
  sales.orders:
    columns:
      id: {type: long, required: true}
      item: string
      größe: int
      version: {type: long, required: true}
    key: id
    version: version
"""


@pytest.fixture
def mirror(folder):
    (folder / "in").mkdir()
    m = Mirror(folder, f"  in: {{type: files, path: {folder / 'in'}, dataset: sales.orders, poll_interval: 50ms}}\n", "commit_interval: 100ms")
    (folder / "schemas.yaml").write_text(SCHEMA)
    p = m.with_config("schema", "apply", str(folder / "schemas.yaml"))
    assert p.returncode == 0, p.stderr + p.stdout
    yield m
    m.kill()


def put(mirror, name, content):
    path = mirror.folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (1, 1))
    return path


def ingest(mirror, *arguments, code=0):
    p = mirror.with_config("ingest", "sales.orders", *[str(a) for a in arguments], "--json")
    assert p.returncode == code, f"code {p.returncode}: {p.stderr}{p.stdout}"
    return json.loads(p.stdout)["files"]


def orders(mirror):
    return {r["id"]: (r["item"], r["größe"], r["version"]) for r in mirror.lake.dataset("sales", "orders").dicts()}


def quarantine(mirror):
    with mirror.lake.connect() as db:
        return sorted(db.execute("select position, reason, message from dm_quarantine").fetchall())


def test_empty_files_and_markers_in_a_folder(mirror):
    put(mirror, "in/01.csv", "id,item,version\n1,a,1\n")
    put(mirror, "in/02-empty.csv", "")
    put(mirror, "in/03.csv", "id,item,version\n2,b,1\n")
    put(mirror, "in/04-empty.csv.gz", "")
    put(mirror, "in/05-blank.ndjson", "\n \n")
    put(mirror, "in/_SUCCESS", "")
    put(mirror, "in/_committed_17", "id,item,version\n8,no,1\n")
    put(mirror, "in/.part-0.crc", "id,item,version\n9,no,1\n")
    put(mirror, "in/part-1.parquet", "")
    put(mirror, "in/zz.csv", "id,item,version\n3,c,1\n")
    mirror.catch_up()
    assert orders(mirror) == {1: ("a", None, 1), 2: ("b", None, 1), 3: ("c", None, 1)}
    log = mirror.log_tail(80)
    for name in ("02-empty.csv", "04-empty.csv.gz", "05-blank.ndjson", "part-1.parquet"):
        assert f"{name}: the file is empty" in log
    assert "_SUCCESS is passed over" in log and "_committed_17 is passed over" in log
    s = mirror.source_status("in")
    assert (s["error"], s["position"]) == (None, "zz.csv")
    put(mirror, "in/02-empty.csv", "id,item,version\n4,late,1\n")  # it was not empty for ever
    mirror.catch_up()
    assert orders(mirror)[4] == ("late", None, 1)


def test_empty_files_by_ingest(mirror):
    files = [put(mirror, "a.csv", ""), put(mirror, "b.csv", "id,item,version\n1,a,1\n"), put(mirror, "c.parquet", ""), put(mirror, "d.csv", "\n\n")]
    reports = ingest(mirror, *files)
    assert [r["received"] for r in reports] == [0, 1, 0, 0]
    assert [r["notes"] for r in reports] == [["the file is empty"], [], ["the file is empty"], ["the file is empty"]]
    assert orders(mirror) == {1: ("a", None, 1)}


def test_several_objects_on_a_line(mirror):
    def row(i, more=""):
        return '{"id":%d,"item":"}{","version":1%s}' % (i, more)
    one = put(mirror, "stream", "".join(row(i) for i in range(5000)) + '{"id":"x","version":1}' + row(5000))
    two = put(mirror, "two.ndjson", row(6001) + row(6002) + "\n" + row(6003) + ' {"id":null,"version":1} ' + row(6004) + "\n{broken}" + row(6005) + "\n")
    first, second = ingest(mirror, one, two, code=7)
    assert (first["received"], first["upserted"], first["quarantined"]) == (5002, 5001, 1)
    assert (second["received"], second["upserted"], second["quarantined"]) == (6, 4, 2)
    assert set(orders(mirror)) == set(range(5001)) | {6001, 6002, 6003, 6004}
    bad = quarantine(mirror)
    assert [b[:2] for b in bad] == [(f"{one}:1", "wrong_type"), (f"{two}:2", "null_key"), (f"{two}:3", "corrupt_row")]
    assert "value 5001 of the line" in bad[0][2] and "value 2 of the line" in bad[1][2] and "of the line" not in bad[2][2]


def test_columns_without_a_name(mirror):
    index = put(mirror, "pandas.csv", ",id,item,version\n0,1,a,1\n")
    comma = put(mirror, "comma.csv", "id,item,version,\n2,b,1,\n")
    first, second = ingest(mirror, index, comma)
    assert first["notes"] == ["column 1 has no name; it is left out"] and second["notes"] == ["column 4 has no name; it is left out"]
    assert orders(mirror) == {1: ("a", None, 1), 2: ("b", None, 1)}
    for r in ingest(mirror, index, comma, "--strict-columns", code=6):
        assert "has no name" in r["error"]["message"]


def test_case_of_letters_of_any_alphabet(mirror):
    a = put(mirror, "a.csv", "ID,Item,GRÖßE,VERSION\n1,a,17,1\n")
    b = put(mirror, "b.ndjson", '{"Id":2,"GRÖẞE":18,"version":1}\n')
    c = mirror.folder / "c.parquet"
    pq.write_table(pa.table({"ID": [3], "Größe": pa.array([19], pa.int32()), "VERSION": [1]}), c)
    assert [r["notes"] for r in ingest(mirror, a, b, c)] == [[], [], []]
    assert orders(mirror) == {1: ("a", 17, 1), 2: (None, 18, 1), 3: (None, 19, 1)}


def test_delta_change_feed(mirror):
    def feed(path, types):
        n = len(types)
        pq.write_table(pa.table({"id": [1] * n, "item": [f"{t} {i}" for i, t in enumerate(types)], "version": list(range(1, n + 1)), "_change_type": types}), path)
        return path
    types = ["insert", "update_preimage", "update_postimage", "update_preimage", "update_postimage"]
    parquet = feed(mirror.folder / "feed.parquet", types)
    text = put(mirror, "feed.csv", "id,item,version,_change_type\n" + "".join(f"2,{t} {i},{i + 1},{t}\n" for i, t in enumerate(types)))
    objects = put(mirror, "feed.ndjson", "".join(json.dumps({"id": 3, "item": f"{t} {i}", "version": i + 1, "_change_type": t}) + "\n" for i, t in enumerate(types)))
    for r in ingest(mirror, parquet, text, objects):
        assert (r["received"], r["upserted"], r["quarantined"]) == (3, 3, 0)
        assert "2 rows say how a row was before an update, and were passed over" in r["notes"]
    assert orders(mirror) == {i: ("update_postimage 4", None, 5) for i in (1, 2, 3)}
    assert ingest(mirror, feed(mirror.folder / "end.parquet", ["update_preimage"] * 6 + ["delete"]))[0]["deleted"] == 1
    assert set(orders(mirror)) == {2, 3}


def test_formats_under_other_names(mirror):
    cases = {"encrypted.parquet": (b"PARE" + struct.pack("<I", 60) + bytes(60) + b"PARE", "encrypted Parquet"),
             "a.csv": (b"PARE" + struct.pack("<I", 60) + bytes(60) + b"PARE", "encrypted Parquet"),
             "b.csv": (b"ORC" + bytes([10, 3, 0, 0]) + bytes(40), "ORC"),
             "c": (b"Obj\x01\x04\x16avro.schema" + bytes(20), "Avro"),
             "d.json": (b"Obj\x01\x04\x16avro.schema" + bytes(20), "Avro")}
    files = [put(mirror, name, content) for name, (content, _) in cases.items()]
    for r, (_, words) in zip(ingest(mirror, *files, code=6), cases.values()):
        assert words in r["error"]["message"] and "cut off" not in r["error"]["message"] + r["error"]["hint"]
    assert orders(mirror) == {}


def test_parquet_in_a_form_that_the_engine_does_not_read(mirror):
    path = mirror.folder / "split.parquet"
    table = pa.table({"id": list(range(100)), "item": ["x"] * 100, "version": [1] * 100})
    pq.write_table(table, path, use_dictionary=False, column_encoding={"id": "BYTE_STREAM_SPLIT"})
    assert pq.read_table(path).equals(table), "the file is whole"
    report, = ingest(mirror, path, code=6)
    assert "cut off" not in report["error"]["hint"] and "encoding" in report["error"]["hint"]
