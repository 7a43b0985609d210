"""Every kind of malformed file, twice: a clear error or rows in quarantine with their lines; exactly the good rows are in; the second time nothing changes."""
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from test_ingest import declare, ingest, mirror, orders  # noqa: F401  (fixture)

HEADER = "id,item,price,version\n"
GOOD = HEADER + "1,ant,1.50,3\n2,bee,2.25,3\n"
REFUSED, QUARANTINED, FINE = 6, 7, 0


def parquet(**columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def rows(n, first=10):
    return "".join(f"{i},thing {i},{i}.00,1\n" for i in range(first, first + n))


FINE_PARQUET = parquet(id=pa.array([1, 2]), item=pa.array(["ant", "bee"]), price=pa.array(["1.50", "2.25"]), version=pa.array([3, 3]))

# name: (file name, bytes, exit code, ids that are in afterwards, what is said: (line, reason) per quarantined row, or words of the error)
CASES = {
    "truncated gzip": ("a.csv.gz", gzip.compress((HEADER + rows(5000)).encode())[:-30], REFUSED, [], ["cut off", "gzip"]),
    "gzip with a wrong checksum": ("a.csv.gz", (lambda b: b[:-8] + bytes([b[-8] ^ 255]) + b[-7:])(gzip.compress(GOOD.encode())), REFUSED, [], ["damaged", "data check"]),
    "no gzip at all": ("a.csv.gz", b"\x1f\x8b" + bytes(40), REFUSED, [], ["damaged", "compression"]),
    "wrong delimiter": ("a.csv", GOOD.replace(",", "^").encode(), REFUSED, [], ["id", "version"]),
    "another header": ("a.csv", b"number;thing\n1;ant\n", REFUSED, [], ["id", "version"]),
    "ragged rows": ("a.csv", (GOOD + "3,cow\n4,dog,1,1,more\n5,emu,5.00,1\n").encode(), QUARANTINED, [1, 2, 5], [(4, "ragged_row"), (5, "ragged_row")]),
    "invalid UTF-8": ("a.csv", GOOD.encode() + b"3,\xff\xfe,1,1\n4,dog,4,1\n", QUARANTINED, [1, 2, 4], [(4, "invalid_utf8")]),
    "wrong types": ("a.csv", (GOOD + "three,cow,1,1\n4,dog,many,1\n5,emu,5,1\n").encode(), QUARANTINED, [1, 2, 5], [(4, "wrong_type"), (5, "wrong_type")]),
    "numbers out of range": ("a.csv", (GOOD + "9223372036854775808,cow,1,1\n4,dog,123456789.00,1\n5,emu,0.005,1\n6,fox,6,1\n").encode(), QUARANTINED, [1, 2, 6],
                             [(4, "value_out_of_range"), (5, "value_out_of_range"), (6, "value_out_of_range")]),
    "no key, no version": ("a.csv", (GOOD + ",cow,1,1\n4,dog,1,\n").encode(), QUARANTINED, [1, 2], [(4, "null_key"), (5, "missing_version")]),
    "an open quote": ("a.csv", (GOOD + '3,"cow,1,1\n4,dog,4,1\n').encode(), QUARANTINED, [1, 2, 4], [(4, "corrupt_row")]),
    "a line of 100 MB": ("a.csv", GOOD.encode() + b"3," + b"x" * (100 << 20) + b",1,1\n4,dog,4,1\n", QUARANTINED, [1, 2, 4], [(4, "row_too_large")]),
    "empty": ("a.csv", b"", FINE, [], []),
    "header only": ("a.csv", HEADER.encode(), FINE, [], []),
    "empty JSON": ("a.ndjson", b"\n \n", FINE, [], []),
    "JSON that is cut": ("a.ndjson", b'{"id": 1, "version": 3}\n{"id": 2, "ver', QUARANTINED, [1], [(2, "corrupt_row")]),
    "JSON of other things": ("a.ndjson", b'{"id": 1, "version": 3}\n[1, 2]\n"text"\n{"id": 2, "version": 3}\n', QUARANTINED, [1, 2], [(2, "corrupt_row"), (3, "corrupt_row")]),
    "an array that breaks off": ("a.json", b'[{"id": 1, "version": 3}, {"id": 2, "version": 3}', REFUSED, [], ["array"]),
    "empty Parquet": ("a.parquet", b"", FINE, [], []),
    "damaged Parquet": ("a.parquet", FINE_PARQUET[:200], REFUSED, [], ["Parquet"]),
    "Parquet without the key": ("a.parquet", parquet(item=pa.array(["x"]), version=pa.array([1])), REFUSED, [], ["id"]),
    "Parquet of another schema": ("a.parquet", parquet(id=pa.array([b"\x01"]), version=pa.array([1])), REFUSED, [], ["id"]),
    "Parquet with bad values": ("a.parquet", parquet(id=pa.array([1, 2, None, 4]), price=pa.array(["1.00", "x", "1", "1e9"]), version=pa.array([1, 1, 1, 1])), QUARANTINED,
                                [1], [(2, "wrong_type"), (3, "null_key"), (4, "value_out_of_range")]),
    "text that calls itself Parquet": ("a.parquet", GOOD.encode(), REFUSED, [], ["Parquet"]),
    "zip": ("a.csv", b"PK\x03\x04" + bytes(100), REFUSED, [], ["zip"]),
    "UTF-16": ("a.csv", GOOD.encode("utf-16"), REFUSED, [], ["UTF-16"]),
}


def snapshot(mirror):  # noqa: F811
    found = mirror.lake.dataset("sales", "orders")
    return found.table.metadata.current_snapshot_id


@pytest.mark.smoke
@pytest.mark.parametrize("name", list(CASES))
def test_bad_file_twice(mirror, name):  # noqa: F811
    file, data, code, ids, said = CASES[name]
    declare(mirror)
    path = mirror.folder / file
    path.write_bytes(data)
    first = None
    for time in (1, 2):
        (outcome,) = ingest(mirror, "sales.orders", path, code=code)
        assert sorted(orders(mirror)) == ids
        if code == REFUSED:
            error = outcome["error"]
            text = " ".join(str(error.get(k) or "") for k in ("message", "hint"))
            assert file in text and all(w.lower() in text.lower() for w in said), text
            assert error["hint"], f"no hint what to do: {error}"
        bad = [json.loads(x) for x in mirror.with_config("quarantine", "show", "sales.orders", "--json", "--limit", "0").stdout.splitlines()]
        if code == QUARANTINED:
            assert sorted((int(b["position"].rsplit(":", 1)[1]), b["reason"]) for b in bad) == said, bad
            assert all(b["message"] for b in bad)
        else:
            assert bad == []
        if time == 1:
            first = snapshot(mirror)
    assert snapshot(mirror) == first, "the second time made a snapshot"
