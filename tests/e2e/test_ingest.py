"""`ingest`: files into declared datasets, without a mirror and beside a running one; standard input, compression, repeats, dry runs, limits."""
import gzip
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from oracle import process
from oracle.mirror import BINARY, Mirror

SCHEMA = """
schemas:
  sales.orders:
    columns:
      id: {type: long, required: true}
      item: string
      price: decimal(10,2)
      version: {type: long, required: true}
    key: id
    version: version
"""
HEADER = "id,item,price,version,_change_request_type\n"


@pytest.fixture
def mirror(folder):
    m = Mirror(folder, "", "commit_interval: 200ms")
    yield m
    m.kill()


def declare(mirror, text=SCHEMA, *arguments):
    file = mirror.folder / "schemas.yaml"
    file.write_text(text)
    p = mirror.with_config("schema", "apply", str(file), *arguments)
    assert p.returncode == 0, p.stderr + p.stdout
    return p


def ingest(mirror, *arguments, code=0, **kwargs):
    p = mirror.with_config("ingest", *[str(a) for a in arguments], "--json", **kwargs)
    assert p.returncode == code, f"code {p.returncode}: {p.stderr}{p.stdout}"
    return json.loads(p.stdout)["files"] if p.stdout else p.stderr


def orders(mirror):
    """{id: (item, price, version)} by an independent reader."""
    rows = mirror.lake.dataset("sales", "orders")
    return {r["id"]: (r["item"], str(r["price"]) if r["price"] is not None else None, r["version"]) for r in rows.dicts()}


def write(mirror, name, text):
    path = mirror.folder / name
    path.write_text(text)
    return path


def test_counts_and_rows(mirror):
    declare(mirror)
    a = write(mirror, "a.csv", HEADER + "1,ant,1.50,3,u\n2,bee,2,3,\n3,cow,3,3,U\n")
    b = write(mirror, "b.csv", HEADER + "1,old,1,2,u\n2,,,4,d\n3,tie,3,3,u\n9,,,1,D\nx,bad,1,1,u\n4,dog,4,1,u\n")
    first, second = ingest(mirror, "sales.orders", a, b, code=7)
    assert (first["received"], first["upserted"], first["quarantined"]) == (3, 3, 0)
    assert {k: second[k] for k in ("received", "upserted", "deleted", "stale", "ties", "noop_deletes", "quarantined")} == \
        {"received": 6, "upserted": 2, "deleted": 1, "stale": 1, "ties": 1, "noop_deletes": 1, "quarantined": 1}
    assert orders(mirror) == {1: ("ant", "1.50", 3), 3: ("tie", "3.00", 3), 4: ("dog", "4.00", 1)}
    d = mirror.dataset_status("sales.orders")
    assert (d["state"], d["source"], d["rows"], d["upserted"], d["deleted"], d["stale"], d["ties"], d["noop_deletes"], d["quarantined"]) == \
        ("declared", None, 3, 5, 1, 1, 1, 1, 1)
    assert mirror.query("select count(*) as n from sales.orders") == [{"n": 3}]
    with mirror.lake.connect() as db:
        assert db.execute("select source, position from dm_quarantine").fetchall() == [("ingest", f"{b}:6")]


def test_text_output_says_what_happened(mirror):
    declare(mirror)
    a = write(mirror, "a.csv", HEADER + "1,ant,1.50,3,u\n2,bee,2,3,\n")
    p = mirror.with_config("ingest", "sales.orders", "a.csv")
    assert p.returncode == 0 and "a.csv: 2 rows: 2 upserted, 0 deleted, 0 stale, 0 quarantined" in p.stdout
    before = orders(mirror)
    again = mirror.with_config("ingest", "sales.orders", str(a))
    assert again.returncode == 0 and "nothing new: all rows are stale or of an equal version" in again.stdout
    assert orders(mirror) == before


def test_compressed_stdin_and_globs(mirror):
    declare(mirror)
    for i in range(1, 4):
        with gzip.open(mirror.folder / f"part-{i}.ndjson.gz", "wt") as f:
            f.writelines(json.dumps({"id": 10 * i + k, "item": f"i{k}", "price": 1, "version": 1}) + "\n" for k in range(5))
    files = ingest(mirror, "sales.orders", "part-*.ndjson.gz")
    assert [os.path.basename(f["file"]) for f in files] == [f"part-{i}.ndjson.gz" for i in (1, 2, 3)]
    assert len(orders(mirror)) == 15
    ingest(mirror, "sales.orders", "-", stdin=HEADER + "1,in,1,1,u\n")
    assert orders(mirror)[1] == ("in", "1.00", 1)
    assert os.listdir(mirror.lake.folder / ".orders") == []
    subprocess.run(["zstd", "-q", str(write(mirror, "z.csv", HEADER + "2,zstd,1,1,u\n"))], check=True)
    ingest(mirror, "sales.orders", mirror.folder / "z.csv.zst")
    assert orders(mirror)[2] == ("zstd", "1.00", 1)


def test_parquet(mirror):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from decimal import Decimal
    declare(mirror)
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.int64()), "item": ["a", None], "price": pa.array([Decimal("1.25"), None], pa.decimal128(10, 2)),
                             "version": pa.array([5, 5], pa.int64())}), mirror.folder / "p.parquet")
    ingest(mirror, "sales.orders", mirror.folder / "p.parquet")
    assert orders(mirror) == {1: ("a", "1.25", 5), 2: (None, None, 5)}


def test_dry_run_changes_nothing(mirror):
    declare(mirror)
    a = write(mirror, "a.csv", HEADER + "1,ant,1.50,3,u\nx,bee,2,3,\n")
    pointers = mirror.lake.pointers()
    (outcome,) = ingest(mirror, "sales.orders", a, "--dry-run", code=7)
    assert (outcome["upserted"], outcome["quarantined"]) == (1, 1)
    assert mirror.lake.pointers() == pointers and orders(mirror) == {}
    with mirror.lake.connect() as db:
        assert db.execute("select count(*) from dm_quarantine").fetchone() == (0,)


@pytest.mark.parametrize("limit, bad, stops", [("max_quarantined: 3", 3, False), ("max_quarantined: 3", 4, True),
                                               ("max_quarantined: 10%", 10, False), ("max_quarantined: 10%", 11, True)])
def test_limits(mirror, limit, bad, stops):
    declare(mirror, SCHEMA + f"    {limit}\n")
    rows = [f"{i},ok,1,1,u\n" for i in range(100 - bad)] + [f"x{i},bad,1,1,u\n" for i in range(bad)]
    random.Random(7).shuffle(rows)
    a = write(mirror, "a.csv", HEADER + "".join(rows))
    good = write(mirror, "good.csv", HEADER + "1000,good,1,1,u\n")
    outcome = ingest(mirror, "sales.orders", a, good, code=6 if stops else 7)
    assert (outcome[0]["error"] is not None) == stops and outcome[1]["error"] is None
    if stops:
        assert "max_quarantined" in outcome[0]["error"]["message"]
        assert set(orders(mirror)) == {1000}
        with mirror.lake.connect() as db:
            assert db.execute("select count(*) from dm_quarantine").fetchone() == (0,)
    else:
        assert len(orders(mirror)) == 101 - bad


def test_bad_names_and_files(mirror):
    declare(mirror)
    a = write(mirror, "a.csv", HEADER + "1,ant,1.50,3,u\n")
    (outcome,) = ingest(mirror, "sales.oders", a, code=2)
    assert "did you mean sales.orders" in outcome["error"]["message"]
    assert "there is no file" in ingest(mirror, "sales.orders", "nowhere.csv", code=2)
    assert "no file matches" in ingest(mirror, "sales.orders", "nowhere-*.csv", code=2)
    cut = mirror.folder / "cut.csv.gz"
    cut.write_bytes(gzip.compress((HEADER + "5,cut,1,1,u\n" * 1000).encode())[:-20])
    bad, good = ingest(mirror, "sales.orders", cut, a, code=6)
    assert bad["error"] is not None and good["upserted"] == 1
    assert set(orders(mirror)) == {1}


def test_beside_a_running_mirror(mirror):
    """The lake has one writer: the running mirror takes the order, and the outcome is the same."""
    mirror.start()
    mirror.until(lambda: mirror.lake.catalog.exists() and mirror.status()["running"], "the mirror to run")
    declare(mirror)
    a = write(mirror, "a.csv", HEADER + "1,ant,1.50,3,u\n2,bee,2,3,\nx,bad,1,1,\n")
    (outcome,) = ingest(mirror, "sales.orders", a, code=7)
    assert (outcome["upserted"], outcome["quarantined"]) == (2, 1)
    ingest(mirror, "sales.orders", "-", stdin=HEADER + "3,in,1,1,u\n")
    assert os.listdir(mirror.lake.folder / ".orders") == []
    assert "did you mean" in ingest(mirror, "sales.oders", a, code=2)[0]["error"]["message"]
    assert set(orders(mirror)) == {1, 2, 3}
    with mirror.lake.connect() as db:
        assert db.execute("select count(*) from dm_order").fetchone() == (0,)
    assert mirror.stop() == 0


def test_many_at_once(mirror):
    """Commands without a mirror wait for each other; with one starting in between, nobody fails."""
    declare(mirror)
    codes = []

    def one(i):
        path = mirror.folder / f"f{i}.csv"
        path.write_text(HEADER + "".join(f"{100 * i + k},i{i},1,1,u\n" for k in range(50)))
        codes.append(mirror.with_config("ingest", "sales.orders", str(path)).returncode)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for t in threads[:4]:
        t.start()
    mirror.start()
    for t in threads[4:]:
        t.start()
    for t in threads:
        t.join()
    assert codes == [0] * 8
    assert len(orders(mirror)) == 400
    assert mirror.stop() == 0


def test_the_mirror_dies_with_the_order_in_hand(mirror):
    """The asker takes over, and the outcome is that of one ingestion."""
    declare(mirror)
    rows = 30000
    a = write(mirror, "a.csv", HEADER + "".join(f"{i},item,1,1,u\n" for i in range(rows)))
    for at in ("after-data-files", "after-publish", "after-index-commit"):
        mirror.start(env={"DM_CRASH_AT": f"{at}:1"})
        mirror.until(lambda: mirror.status()["running"], "the mirror to run")
        (outcome,) = ingest(mirror, "sales.orders", a)
        assert outcome["received"] == rows
        assert process.poll(lambda: mirror.child.poll() is not None, 20, "the mirror to be killed")
        assert mirror.child.returncode == -signal.SIGKILL
        mirror.child = None
        assert len(orders(mirror)) == rows
    d = mirror.dataset_status("sales.orders")
    assert d["received"] == 3 * rows, "each file was counted once"


def test_killed_at_each_step(mirror):
    """The command itself is killed: all of the file or nothing, and the next one goes on."""
    declare(mirror)
    wanted = {}
    steps = ["after-data-files", "after-deletion-vectors", "after-metadata", "before-publish", "after-publish", "before-index-commit", "after-index-commit"]
    for n, step in enumerate(steps):
        text = HEADER + "".join(f"{i},{step},1,{n},{'d' if (i + n) % 5 == 0 else 'u'}\n" for i in range(200))
        p = mirror.with_config("ingest", "sales.orders", str(write(mirror, "a.csv", text)), env={"DM_CRASH_AT": f"{step}:1"})
        after = {i: (step, "1.00", n) for i in range(200) if (i + n) % 5 != 0}
        if p.returncode == 0:   # not every step is passed by every commit
            wanted = after
        else:
            assert p.returncode == -signal.SIGKILL
            found = orders(mirror) if ("sales", "orders") in mirror.lake.pointers() else {}
            assert found in (wanted, after), f"killed at {step}: neither before nor after"
            wanted = found
        ingest(mirror, "sales.orders", mirror.folder / "a.csv")
        assert orders(mirror) == after
        wanted = after


def test_interrupted(mirror):
    """Ctrl-C: nothing of the file in hand is in."""
    declare(mirror)
    a = mirror.folder / "big.csv"
    with open(a, "w") as f:
        f.write(HEADER)
        for i in range(600000):
            f.write(f"{i},an item that is long enough to take its time,1,1,u\n")
    child = process.start([str(BINARY), "ingest", "-c", str(mirror.config), "sales.orders", str(a)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd=mirror.folder, env=mirror.environment())
    time.sleep(0.4)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode in (0, 4)
    assert len(orders(mirror)) == (600000 if child.returncode == 0 else 0)


def test_a_mirror_waits_for_a_command(mirror):
    declare(mirror)
    a = mirror.folder / "big.csv"
    with open(a, "w") as f:
        f.write(HEADER)
        for i in range(400000):
            f.write(f"{i},an item that is long enough to take its time,1,1,u\n")
    child = process.start([str(BINARY), "ingest", "-c", str(mirror.config), "sales.orders", str(a)], stdout=subprocess.DEVNULL, cwd=mirror.folder,
                          env=mirror.environment())
    process.poll(lambda: (mirror.lake.folder / ".lock").read_text().strip() == f"{child.pid} command", 10, "the command to hold the lake")
    mirror.catch_up()
    assert child.wait(60) == 0
    assert len(orders(mirror)) == 400000


def ingest_measured(mirror, path):
    """KiB of anonymous memory at its peak."""
    child = process.start([str(BINARY), "ingest", "-c", str(mirror.config), "sales.orders", str(path)], stdout=subprocess.DEVNULL, cwd=mirror.folder,
                          env=mirror.environment())
    peak = 0
    while child.poll() is None:
        try:
            with open(f"/proc/{child.pid}/status") as f:
                anonymous = [line for line in f if line.startswith("RssAnon:")]
            peak = max(peak, int(anonymous[0].split()[1])) if anonymous else peak
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.01)
    assert child.returncode == 0
    return peak


@pytest.mark.parametrize("history", ["", "    history: scd2\n"])
def test_merging_in_a_small_memory(mirror, history):
    """memory_limit: 128MiB holds also for what merges files: the 16 files of a class have much more than that in them."""
    mirror.write("", "memory_limit: 128MiB\ncompression: uncompressed")
    declare(mirror, SCHEMA + history)
    peaks = []
    for n in range(20):
        file = write(mirror, f"{n}.csv", HEADER + "".join(f"{n * 30000 + i},{n} {i} {'wide ' * 36},1,1,u\n" for i in range(30000)))
        peaks.append(ingest_measured(mirror, file))
        file.unlink()
    table = mirror.lake.load(mirror.lake.pointers()[("sales", "orders")])
    files = [c for c in table.inspect.files().column("content").to_pylist() if c == 0]
    assert len(files) < 18, "nothing was merged"
    assert max(peaks) < 128 * 1024 or os.environ.get("DM_SLOW"), f"KiB of memory: {peaks}"
    assert mirror.query("select count(*) as n, count(distinct id) as d from sales.orders") == [{"n": 600000, "d": 600000}]


def test_large_file_in_bounded_memory(mirror):
    """Many times larger than what is held at once, as one commit."""
    mirror.write("", "memory_limit: 256MiB\ncommit_bytes: 8MiB")
    declare(mirror)
    a = mirror.folder / "big.csv"
    rows = 400000
    pad = "x" * 400
    with open(a, "w") as f:
        f.write(HEADER)
        for i in range(rows):
            f.write(f"{i},{pad}{i},1,1,u\n")
    before = len(mirror.lake.load(mirror.lake.pointers()[("sales", "orders")]).snapshots())
    peak = ingest_measured(mirror, a)
    assert mirror.query("select count(*) as n, count(distinct id) as d from sales.orders") == [{"n": rows, "d": rows}]
    table = mirror.lake.load(mirror.lake.pointers()[("sales", "orders")])
    assert len(table.snapshots()) - before <= 2, "one commit, and what compaction makes of it"
    assert peak < 256 * 1024 or os.environ.get("DM_SLOW"), f"{peak} KiB of memory"


def test_same_file_again(mirror):
    """Run twice: no change, neither of the rows nor of the quarantine."""
    declare(mirror)
    file = write(mirror, "o.csv", HEADER + "1,a,1.50,1,u\nx,b,1,1,u\n2,b,2.00,5,u\n3,c,3.00,1,u\n3,,,2,d\n4,d,zz,1,u\n")
    ingest(mirror, "sales.orders", file, code=7)
    rows = orders(mirror)
    kept = json.loads(mirror.with_config("quarantine", "list", "sales.orders", "--json").stdout)
    shown = mirror.with_config("quarantine", "show", "sales.orders", "--json").stdout
    assert rows == {1: ("a", "1.50", 1), 2: ("b", "2.00", 5)} and shown.count('"position"') == 2
    again = ingest(mirror, "sales.orders", file, code=7)
    assert again[0]["quarantined"] == 2 and again[0]["deleted"] == 0
    assert orders(mirror) == rows
    assert json.loads(mirror.with_config("quarantine", "list", "sales.orders", "--json").stdout) == kept
    assert mirror.with_config("quarantine", "show", "sales.orders", "--json").stdout == shown


@pytest.mark.parametrize("history", ["", "    history: true\n", "    history: scd2\n"])
def test_a_file_again_changes_nothing(mirror, history):
    """Equal rows of equal versions: no snapshot of the dataset, its history or its tombstones; what differs still wins by its later arrival."""
    declare(mirror, SCHEMA + history)
    rows = [f"{i},item {i},{i}.50,{i % 7},u" for i in range(3000)] + ["5000,,,4,d", "6000,,,1,u"]
    random.Random(1).shuffle(rows)
    first = write(mirror, "1.csv", HEADER + "\n".join(rows) + "\n")
    second = write(mirror, "2.csv", HEADER + "\n".join(f"{i},newer,1,9,u" for i in range(0, 3000, 3)) + "\n")
    assert ingest(mirror, "sales.orders", first)[0]["inserted"] == 3001
    for path in [first, second, first, second]:
        before = mirror.lake.pointers()
        d = ingest(mirror, "sales.orders", path)[0]
        if path == second and d["upserted"] > 0:
            continue    # it is new
        assert d["upserted"] == d["deleted"] == d["noop_deletes"] == 0 and d["stale"] + d["ties"] == d["received"]
        assert mirror.lake.pointers() == before
    third = write(mirror, "3.csv", HEADER + "\n".join(["1,item 1,1.50,1,u", "2,other,2.50,2,u", "6000,,1,1,u"]) + "\n")
    d = ingest(mirror, "sales.orders", third)[0]
    assert (d["ties"], d["upserted"]) == (3, 2)
    found = orders(mirror)
    assert found[1] == ("item 1", "1.50", 1) and found[2] == ("other", "2.50", 2) and found[6000] == (None, "1.00", 1)
