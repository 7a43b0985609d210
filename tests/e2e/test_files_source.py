"""A source of type `files`: takes the files of a folder in order of name, each exactly once, whatever happens to the process."""
import gzip
import os
import random
import shutil
import time

import pytest

from oracle.mirror import Mirror

SCHEMA = """
schemas:
  sales.orders:
    columns:
      id: {type: long, required: true}
      item: string
      version: {type: long, required: true}
    key: id
    version: version
"""
HEADER = "id,item,version,_change_request_type\n"


def source(name, folder, extra=""):
    return f"  {name}: {{type: files, path: {folder}, dataset: sales.orders, poll_interval: 50ms{extra}}}\n"


@pytest.fixture
def make(folder):
    made = []

    def mirror(extra="", folders=("in",)):
        for f in folders:
            (folder / f).mkdir(exist_ok=True)
        m = Mirror(folder, "".join(source(f, folder / f, extra) for f in folders), "commit_interval: 100ms\nretry_max: 500ms")
        made.append(m)
        return m
    yield mirror
    for m in made:
        m.kill()


def declare(mirror):
    file = mirror.folder / "schemas.yaml"
    file.write_text(SCHEMA)
    p = mirror.with_config("schema", "apply", str(file))
    assert p.returncode == 0, p.stderr + p.stdout


def put(folder, name, text):
    """Complete at once, as a careful program writes it."""
    temporary = folder / f".{name}"
    if name.endswith(".gz"):
        temporary.write_bytes(gzip.compress(text.encode()))
    else:
        temporary.write_text(text)
    os.rename(temporary, folder / name)


def orders(mirror):
    return {r["id"]: (r["item"], r["version"]) for r in mirror.lake.dataset("sales", "orders").dicts()}


def received(mirror):
    return mirror.dataset_status("sales.orders")["received"]


def state(mirror, name="in"):
    return mirror.source_status(name)


def test_takes_what_is_there_once(make):
    m = make()
    declare(m)
    inbox = m.folder / "in"
    put(inbox, "01.csv", HEADER + "1,a,1,u\n2,b,1,u\n")
    put(inbox, "02.csv.gz", HEADER + "2,c,2,u\n1,,2,d\n")
    (inbox / ".hidden.csv").write_text(HEADER + "8,no,1,u\n")
    (inbox / "writing.csv.tmp").write_text(HEADER + "9,no,1,u\n")
    for _ in range(3):
        m.catch_up()
        assert orders(m) == {2: ("c", 2)}
        assert received(m) == 4
    s = state(m)
    assert (s["position"], s["error"], s["type"], s["state"], s["lag_bytes"]) == ("02.csv.gz", None, "files", "ended", None)
    assert sorted(p.name for p in inbox.iterdir()) == [".hidden.csv", "01.csv", "02.csv.gz", "writing.csv.tmp"]


def test_touched_and_rewritten(make):
    m = make()
    declare(m)
    inbox = m.folder / "in"
    put(inbox, "01.csv", HEADER + "1,a,1,u\n")
    m.catch_up()
    os.utime(inbox / "01.csv", (1, 1))
    m.catch_up()
    assert received(m) == 1, "the content is the same"
    put(inbox, "01.csv", HEADER + "1,a,1,u\n2,b,1,u\n")
    m.catch_up()
    assert received(m) == 3 and set(orders(m)) == {1, 2}


def test_running(make):
    m = make()
    declare(m)
    inbox = m.folder / "in"
    m.start()
    for i in range(5):
        put(inbox, f"{i:02}.csv", HEADER + f"{i},x,1,u\n")
        m.until(lambda: i in orders(m), f"file {i} to be taken", 20)
    m.until(lambda: state(m)["position"] == "04.csv" and state(m)["state"] == "running", "the status to say so", 20)
    p = m.with_config("ingest", "sales.orders", "-", stdin=HEADER + "77,pushed,1,u\n")
    assert p.returncode == 0, p.stderr
    assert set(orders(m)) == {0, 1, 2, 3, 4, 77}
    assert m.stop() == 0


def test_a_growing_file_is_left_alone(make):
    m = make(", pattern: \"*.csv\"")
    declare(m)
    inbox = m.folder / "in"
    m.start()
    with open(inbox / "01.csv", "w") as f:
        f.write(HEADER)
        for i in range(30):
            f.write(f"{i},x,1,")
            f.flush()
            time.sleep(0.01)
            f.write("u\n")
            f.flush()
            time.sleep(0.01)
    put(inbox, "02.csv", HEADER + "100,later,1,u\n")
    m.until(lambda: len(orders(m)) == 31, "both files", 20)
    assert received(m) == 31, "the first one was taken when it was complete"
    assert m.dataset_status("sales.orders")["quarantined"] == 0
    assert m.stop() == 0


def test_bad_file_stops_until_mended(make):
    m = make()
    declare(m)
    inbox = m.folder / "in"
    put(inbox, "01.csv", HEADER + "1,a,1,u\n")
    put(inbox, "02.csv", "nothing,that\nfits,here\n")
    put(inbox, "03.csv", HEADER + "3,c,1,u\n")
    m.start("--until-caught-up")
    assert m.wait_end() == 6
    assert orders(m) == {1: ("a", 1)}
    m.start()
    m.until(lambda: state(m)["state"] == "stopped" and "02.csv" in (state(m)["error"] or ""), "the status to name the file", 20)
    assert orders(m) == {1: ("a", 1)}, "no file overtakes a bad one"
    assert m.with_config("status").returncode == 3
    put(inbox, "02.csv", HEADER + "2,b,1,u\n")
    m.until(lambda: len(orders(m)) == 3, "the mended file and those behind it", 20)
    m.until(lambda: state(m)["state"] == "running" and state(m)["error"] is None, "the status to be good again", 20)
    assert m.stop() == 0


def test_bad_file_skipped(make):
    m = make(", on_bad_file: skip")
    declare(m)
    inbox = m.folder / "in"
    put(inbox, "01.csv", "nothing,that\nfits,here\n")
    put(inbox, "02.csv", HEADER + "2,b,1,u\n")
    m.catch_up()
    assert set(orders(m)) == {2}
    m.start()
    m.until(lambda: "01.csv" in (state(m)["error"] or "") and state(m)["state"] == "running", "the status to name the file", 20)
    put(inbox, "01.csv", HEADER + "1,a,1,u\n")
    m.until(lambda: set(orders(m)) == {1, 2}, "the mended file", 20)
    assert m.stop() == 0


def test_waits_for_its_schema_and_folder(make):
    m = make()
    inbox = m.folder / "in"
    put(inbox, "01.csv", HEADER + "1,a,1,u\n")
    m.start()
    m.until(lambda: "sales.orders" in ((state(m) or {}).get("error") or ""), "the status to name the dataset", 20)
    declare(m)
    m.until(lambda: ("sales", "orders") in m.lake.pointers() and orders(m) == {1: ("a", 1)}, "the file", 20)
    shutil.rmtree(inbox)
    m.until(lambda: state(m)["state"] == "retrying" and "cannot read the folder" in state(m)["error"], "the folder to be missed", 20)
    inbox.mkdir()
    put(inbox, "02.csv", HEADER + "2,b,1,u\n")
    m.until(lambda: set(orders(m)) == {1, 2}, "the file of the new folder", 20)
    assert m.stop() == 0


def test_several_sources_and_ingest_into_one_dataset(make):
    m = make(folders=("east", "west"))
    declare(m)
    m.start()
    r = random.Random(5)
    changes = [(r.randrange(40), version) for version in range(300)]
    shuffled = changes[:]
    r.shuffle(shuffled)
    for n in range(0, 300, 30):
        text = HEADER + "".join(f"{i},v{v},{v},{'d' if v % 7 == 0 else 'u'}\n" for i, v in shuffled[n:n + 30])
        where = n // 30 % 3
        if where == 2:
            p = m.with_config("ingest", "sales.orders", "-", stdin=text)
            assert p.returncode == 0, p.stderr
        else:
            put(m.folder / ("east", "west")[where], f"{n:03}.csv", text)
    m.until(lambda: received(m) == 300, "all changes", 30)
    last = {}
    for i, v in changes:
        last[i] = max(v, last.get(i, -1))
    assert orders(m) == {i: (f"v{v}", v) for i, v in last.items() if v % 7 != 0}
    assert m.stop() == 0


def test_exactly_once_across_kills(make, seed):
    """kill -9 at commit steps and at random moments, while files come: each is counted once, and the rows are those of the files."""
    m = make()
    declare(m)
    inbox = m.folder / "in"
    r = random.Random(seed)
    steps = ["after-data-files", "after-metadata", "before-publish", "after-publish", "before-index-commit", "after-index-commit"]
    rows, wanted, n = 0, {}, 0
    kills = int(os.environ.get("DM_KILLS", "40")) // 3
    for kill in range(kills):
        step = r.choice(steps + [None, None])
        m.start(env={"DM_CRASH_AT": f"{step}:{r.randint(1, 3)}"} if step else None)
        for _ in range(r.randint(1, 4)):
            n += 1
            lines = []
            for _ in range(r.randint(1, 300)):
                i = r.randrange(500)
                v = r.randrange(10**6) * 2 + (r.random() < 0.3)   # odd: a delete
                lines.append(f"{i},n{v},{v},{'d' if v % 2 else 'u'}\n")
                wanted[i] = max(v, wanted.get(i, -1))
            rows += len(lines)
            put(inbox, f"{n:05}.csv", HEADER + "".join(lines))
            time.sleep(r.random() * 0.1)
        if step is None:
            time.sleep(r.random() * 0.3)
        else:
            try:
                m.child.wait(0.5)
            except Exception:
                pass
        m.kill()
    m.catch_up()
    assert received(m) == rows
    assert orders(m) == {i: (f"n{v}", v) for i, v in wanted.items() if v % 2 == 0}
