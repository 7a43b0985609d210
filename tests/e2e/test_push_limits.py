"""What a small request could cost: bytes that unpack, rows for the quarantine, values of JSON, work that nobody waits for. Memory stays within memory_limit."""
import gzip
import io
import json
import re
import threading

import pyarrow
import pyarrow.parquet
import pytest

from oracle import process
from oracle.mirror import SLOW
from test_http_api import ORDERS, SCHEMAS, Api, body

CHANGES = "/v1/datasets/s.items/changes"
NDJSON = {"Content-Type": "application/x-ndjson"}
GZIP = {**NDJSON, "Content-Encoding": "gzip"}


@pytest.fixture
def start(folder):
    made = []

    def make(more=""):
        m = Api(folder, more=more)
        made.append(m)
        m.start()
        m.items()
        return m
    yield make
    for m in made:
        m.kill()


def line(i, name="n"):
    return json.dumps({"id": i, "v": 1, "name": name, "email": None}).encode() + b"\n"


def push(api, data, headers=NDJSON):
    status, answer, _ = api.send("POST", CHANGES, data, headers)
    return status, answer


def packed(piece, times):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as f:
        for _ in range(times):
            f.write(piece)
    return out.getvalue()


def ids(api):
    return sorted(api.lake.dataset("s", "items").column("id"))


def bad_rows(api):
    return json.loads(api.with_config("quarantine", "list", "--json").stdout or "[]")


def test_bytes_that_a_body_unpacks_to(start):
    """Text of one line, of blank lines, of rows; Parquet of one value ten million times. Refused with the option's name, and nothing of it taken."""
    api = start("http_max_unpacked: 20MiB")
    rows = pyarrow.table({"id": pyarrow.array([7] * 3_000_000, pyarrow.int64()), "v": pyarrow.array([1] * 3_000_000, pyarrow.int64()),
                          "name": ["n" * 30] * 3_000_000, "email": pyarrow.nulls(3_000_000, pyarrow.string())})
    parquet = io.BytesIO()
    pyarrow.parquet.write_table(rows, parquet, compression="zstd")
    parquet = parquet.getvalue()
    assert len(parquet) < 200_000
    for data, headers in ((packed(b" " * 1_000_000, 30), GZIP), (packed(b"\n" * 1_000_000, 30), GZIP), (packed(line(1) * 10_000, 60), GZIP),
                          (parquet, {"Content-Type": "application/vnd.apache.parquet"})):
        status, answer = push(api, data, headers)
        assert status == 422 and "http_max_unpacked" in answer["hint"], answer
        assert ".push" not in answer["detail"]
    status, answer = push(api, packed(line(5) * 10_000, 30), GZIP)
    assert status == 200 and answer["received"] == 300_000 and ids(api) == [5], answer


def test_rows_of_a_push_for_the_quarantine(start):
    """Ten thousand by default, and nothing is taken of a push with more; the option and the schema's own limit change that."""
    api = start()
    status, answer = push(api, line(1) + b"x\n" * 10_001)
    assert status == 422 and "10000" in answer["detail"] and answer["hint"] == "mend the input, or raise http_max_quarantined", answer
    assert re.fullmatch(r"request [0-9a-f]{16}: more than 10000 rows cannot be used \(max_quarantined\)", answer["detail"]), answer
    assert bad_rows(api) == [] and ids(api) == []
    status, answer = push(api, line(1) + b"x\n" * 10_000)
    assert status == 200 and answer["quarantined"] == 10_000 and ids(api) == [1], answer
    api.stop()
    api.more = "http_max_quarantined: 3"
    api.write("")
    api.start()
    status, answer = push(api, line(2) + b"x\n" * 4)
    assert status == 422 and ids(api) == [1], answer
    status, answer = push(api, line(2) + b"x\n" * 3)
    assert status == 200 and answer["quarantined"] == 3 and ids(api) == [1, 2], answer


@pytest.mark.parametrize("limit, bad, hint", [("5", 5, None), ("5", 6, "max_quarantined of the schema"), ("50%", 3, None), ("50%", 4, "http_max_quarantined"),
                                              ("10%", 3, "max_quarantined of the schema")])
def test_limits_of_the_schema_and_of_the_server(start, limit, bad, hint):
    """A number of the schema's takes the place of the option; a share holds beside it."""
    api = start("http_max_quarantined: 3")
    (api.folder / "s.yaml").write_text("schemas:\n  s.limited:\n    columns: {id: {type: long, required: true}, v: {type: long, required: true}}\n"
                                       f"    key: id\n    version: v\n    max_quarantined: {limit}\n")
    p = api.with_config("schema", "apply", str(api.folder / "s.yaml"))
    assert p.returncode == 0, p.stderr
    status, answer, _ = api.send("POST", "/v1/datasets/s.limited/changes", b"".join(b'{"id": %d, "v": 1}\n' % i for i in range(10)) + b"x\n" * bad, NDJSON)
    if hint:
        assert status == 422 and answer["hint"] == f"mend the input, or raise {hint}", answer
    else:
        assert status == 200 and answer["quarantined"] == bad, answer


@pytest.mark.parametrize("path", [SCHEMAS, ORDERS])
def test_json_bodies(start, path):
    """4 MiB; and of those, no more values than there is memory for."""
    api = start("memory_limit: 128MiB")
    status, answer, _ = api.send("POST", path, b'{"a": "' + b"x" * (4 << 20) + b'"}')
    assert status == 413 and answer["error"]["code"] == "body_too_large", answer
    status, answer, _ = api.send("POST", path, b'{"a": [' + b"{}," * 1_000_000 + b"{}]}")
    assert status == 413 and "memory" in answer["detail"], answer
    many = [str(i) for i in range(100_000)]
    api.ok("POST", ORDERS, {"action": "delete_identity", "datasetId": "s.items", "keys": many, "dryRun": True})


def test_a_push_ends_with_its_client(start):
    """A large body whose client went away is not read to its end, and others do not wait for it."""
    api = start()
    data = packed(line(9) * 10_000, 1200)       # 12 million rows
    connection = __import__("http.client", fromlist=["x"]).HTTPConnection("127.0.0.1", api.port)
    connection.request("POST", CHANGES, data, GZIP)
    folder = api.lake.folder / ".push"
    api.until(lambda: [f for f in folder.iterdir() if f.name.endswith(".gz")], "the push to be taken up", every=0.01)
    connection.close()
    status, answer = push(api, line(1))
    assert status == 200 and answer["upserted"] == 1, answer
    assert ids(api) == [1]
    api.until(lambda: not list(folder.iterdir()), "its body to be removed")


def test_memory_under_parallel_requests(start):
    """Pushes that unpack to hundreds of megabytes, JSON of a million values, bad rows: twelve at once, and the most that was resident."""
    api = start("memory_limit: 256MiB\nhttp_max_unpacked: 300MiB")
    bodies = [(CHANGES, packed(line(3, "n" * 1000) * 1000, 200), GZIP), (SCHEMAS, b"[" + b"{}," * 1_300_000 + b"{}]", {}),
              (ORDERS, json.dumps({"datasetId": "s.items", "keys": ["1"] * 400_000, "dryRun": True}).encode(), {}),
              (SCHEMAS, b"[" * 4_000_000, {}), (CHANGES, packed(b"x" * 999 + b"\n", 300_000), GZIP),
              (CHANGES, b"[" + b"1," * 5_000_000 + b"1]", {"Content-Type": "application/json"})]
    answers = []
    threads = [threading.Thread(target=lambda b=b: answers.append(api.send("POST", *b)[0])) for b in bodies * 2]
    for t in threads:
        t.start()
    for t in threads:
        t.join(300 * SLOW)
    assert len(answers) == len(threads) and set(answers) <= {200, 400, 413, 422, 503}, answers
    most = int(next(l for l in open(f"/proc/{api.child.pid}/status") if l.startswith("VmHWM")).split()[1]) / 1024
    print(f"{most:.0f} MiB, {sorted(answers)}")
    assert most < 256 + 64, f"{most} MiB"
    status, answer = push(api, line(1))
    assert status == 200, answer
