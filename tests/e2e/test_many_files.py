"""Many small files share commits, by `ingest`, from a watched folder and beside each other: few snapshots, and each file is in for itself, or not, with its own counts."""
import json
import os
import random
import sqlite3

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
FILES = 300


@pytest.fixture
def make(folder):
    made = []

    def mirror(sources="", options="commit_interval: 60s"):
        m = Mirror(folder, sources, options)
        made.append(m)
        file = folder / "schemas.yaml"
        file.write_text(SCHEMA)
        p = m.with_config("schema", "apply", str(file))
        assert p.returncode == 0, p.stderr + p.stdout
        return m
    yield mirror
    for m in made:
        m.kill()


def write(folder, n, row=lambda i: f"{i},item {i},1,u"):
    folder.mkdir(exist_ok=True)
    for i in range(n):
        (folder / f"{i:05}.csv").write_text(HEADER + row(i) + "\n")
        os.utime(folder / f"{i:05}.csv", (1, 1))
    return sorted(folder.iterdir())


def orders(mirror):
    return {r["id"]: (r["item"], r["version"]) for r in mirror.lake.dataset("sales", "orders").dicts()}


def commits(mirror):
    """How many snapshots the dataset has, and how many data files."""
    table = mirror.lake.dataset("sales", "orders").table
    return len(table.metadata.snapshots), len({task.file.file_path for task in table.scan().plan_files()})


def ingest(mirror, *files, code=0, **kwargs):
    p = mirror.with_config("ingest", "sales.orders", *[str(f) for f in files], "--json", timeout=300, **kwargs)
    assert p.returncode == code, f"code {p.returncode}: {p.stderr}{p.stdout}"
    return json.loads(p.stdout)["files"]


def watched(folder, extra=""):
    return f"  in: {{type: files, path: {folder}, dataset: sales.orders, poll_interval: 50ms{extra}}}\n"


def quarantined(mirror):
    with sqlite3.connect(mirror.lake.folder / "catalog.db") as db:
        return sorted(db.execute("select source, position, reason from dm_quarantine").fetchall())


def test_ingest_of_many_files_makes_few_commits(make, folder):
    m = make()
    # Each file brings a row of its own; every tenth one replaces or deletes the row of the file before, or says what is there already.
    def row(i):
        return {7: f"{i - 1},changed,2,u", 8: f"{i - 3},,2,d", 9: f"{i - 5},item {i - 5},1,u"}.get(i % 10, f"{i},item {i},1,u")
    files = write(folder / "in", FILES, row)
    reports = ingest(m, *files)
    assert [r["file"] for r in reports] == [str(f) for f in files]
    for i, r in enumerate(reports):
        expected = {7: (1, 0, 0, 0), 8: (0, 0, 1, 0), 9: (0, 0, 0, 1)}.get(i % 10, (1, 1, 0, 0))
        assert (r["received"], r["error"]) == (1, None)
        assert (r["upserted"], r["inserted"], r["deleted"], r["ties"]) == expected, (i, r)
    expected = {}
    for i in range(FILES):
        if i % 10 == 7:
            expected[i - 1] = ("changed", 2)
        elif i % 10 == 8:
            del expected[i - 3]
        elif i % 10 != 9:
            expected[i] = (f"item {i}", 1)
    assert orders(m) == expected
    snapshots, data_files = commits(m)
    assert snapshots <= 5 and data_files <= 5, "one commit holds them all, besides merging"
    assert m.dataset_status("sales.orders")["received"] == FILES
    # The same files again: nothing is new, said for each.
    assert sum(r["upserted"] + r["deleted"] for r in ingest(m, *files)) == 0 and orders(m) == expected


def test_folder_of_many_files_makes_few_commits(make, folder):
    files = write(folder / "in", FILES)
    m = make(watched(folder / "in"))
    m.catch_up()
    assert orders(m) == {i: (f"item {i}", 1) for i in range(FILES)}
    snapshots, data_files = commits(m)
    assert snapshots <= 5 and data_files <= 5
    assert m.source_status("in")["position"] == files[-1].name
    m.catch_up()
    assert m.dataset_status("sales.orders")["received"] == FILES, "each once"
    with m.lake.connect() as db:
        assert db.execute("select count(*) from dm_receipt where kind = 'file'").fetchone() == (FILES,)


def test_a_bad_file_costs_the_others_nothing(make, folder):
    m = make()
    files = write(folder / "in", 40)
    files[7].write_text("this,is,another,table\n1,2,3,4\n")
    files[11].write_text(HEADER + "11,a,1,u\nx,b,1,u\n12,c,1,u\n")
    files[20].write_bytes(b"\x1f\x8b\x08\x00\x00cut off")
    files[33].write_text(HEADER + "33,\"open,1,u\n")
    reports = ingest(m, *files, code=6)
    for i, r in enumerate(reports):
        assert (r["error"] is not None) == (i in (7, 20)), (i, r)
        if r["error"] is not None:
            assert files[i].name in r["error"]["message"] and r["received"] == 0
    assert reports[11]["quarantined"] == 1 and reports[11]["upserted"] == 2 and reports[33]["quarantined"] == 1
    assert set(orders(m)) == set(range(40)) - {7, 20, 33} | {12}
    assert quarantined(m) == [("ingest", f"{files[11]}:3", "wrong_type"), ("ingest", f"{files[33]}:2", "corrupt_row")]
    assert commits(m)[0] <= 5


def test_a_folder_stops_at_the_bad_file_and_not_before(make, folder):
    files = write(folder / "in", 30)
    files[17].write_text("another,table\n1,2\n")
    os.utime(files[17], (1, 1))
    m = make(watched(folder / "in"))
    p = m.command("run", "--until-caught-up")
    assert p.returncode != 0 and files[17].name in p.stderr
    assert set(orders(m)) == set(range(17)), "all in front of it, none behind it"
    assert m.source_status("in")["state"] == "stopped"
    files[17].write_text(HEADER + "17,item 17,1,u\n")
    os.utime(files[17], (2, 2))
    m.catch_up()
    assert set(orders(m)) == set(range(30))


def test_rows_that_fail_late_fail_their_own_file(make, folder):
    """max_quarantined is a limit of each file; a file that passes it is left out, and the commit made again without it."""
    m = make()
    (folder / "schemas.yaml").write_text(SCHEMA + "    max_quarantined: 1\n")
    assert m.with_config("schema", "apply", str(folder / "schemas.yaml")).returncode == 0
    files = write(folder / "in", 12)
    for i in (3, 8):
        files[i].write_text(HEADER + f"{i},good,1,u\n" + "x,bad,1,u\n" * 2)
    files[5].write_text(HEADER + "5,good,1,u\nx,bad,1,u\n")
    reports = ingest(m, *files, code=6)
    assert [i for i, r in enumerate(reports) if r["error"] is not None] == [3, 8]
    assert set(orders(m)) == set(range(12)) - {3, 8}
    assert quarantined(m) == [("ingest", f"{files[5]}:3", "wrong_type")]


def test_dry_run_of_many_files(make, folder):
    m = make()
    files = write(folder / "in", 50, lambda i: f"{i // 2},x,{i % 2},u")
    reports = ingest(m, *files, "--dry-run")
    assert [r["inserted"] for r in reports] == [1, 0] * 25, "each sees what those before it would have done"
    assert orders(m) == {}


def test_files_of_every_size_are_divided_among_commits(make, folder):
    """A commit closes when it is as large as commit_bytes: large files between small ones, each in whole."""
    m = make(options="commit_interval: 60s\ncommit_bytes: 64KiB")
    files = write(folder / "in", 40)
    for i in range(0, 40, 10):
        files[i].write_text(HEADER + "".join(f"{1000 * (i + 1) + k},{'x' * 50},1,u\n" for k in range(4000)))
    reports = ingest(m, *files)
    assert [r["upserted"] for r in reports] == [4000 if i % 10 == 0 else 1 for i in range(40)]
    assert len(orders(m)) == 4 * 4000 + 36
    assert 4 <= commits(m)[0] <= 20


@pytest.mark.parametrize("point", ["before-publish:1", "after-publish:1", "before-index-commit:1"])
def test_each_file_once_when_killed(make, folder, point):
    write(folder / "in", 60)
    m = make(watched(folder / "in"), "commit_interval: 10ms")
    p = m.command("run", "--until-caught-up", env={"DM_CRASH_AT": point})
    assert p.returncode != 0
    m.catch_up()
    assert orders(m) == {i: (f"item {i}", 1) for i in range(60)}
    assert m.dataset_status("sales.orders")["received"] == 60


def test_order_of_names_decides_ties(make, folder, seed):
    """Equal versions: the later arrival wins, whatever shares a commit."""
    chance = random.Random(seed)
    keys = [chance.randrange(20) for _ in range(200)]
    write(folder / "in", 200, lambda i: f"{keys[i]},from {i},1,u")
    m = make(watched(folder / "in"))
    m.catch_up()
    assert orders(m) == {k: (f"from {max(i for i in range(200) if keys[i] == k)}", 1) for k in set(keys)}
