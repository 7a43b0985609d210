"""Limits of the system that it runs on: open files, sizes of files, a lake that cannot be written."""
import os
import resource
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from oracle.mirror import BINARY, Mirror, SLOW


def sqlite_mirror(folder, script, options="commit_interval: 50ms"):
    folder.mkdir(exist_ok=True)
    with sqlite3.connect(folder / "shop.db") as db:
        db.executescript("pragma journal_mode = wal; begin; " + script + "; commit")
    return Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder}/shop.db\n", options)


def limited(mirror, limits, *arguments, timeout=120, **kwargs):
    """The command under limits: {resource: number}."""
    def set_limits():
        for which, n in limits.items():
            resource.setrlimit(which, (n, n))
    return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=timeout * SLOW, cwd=mirror.folder, preexec_fn=set_limits, **kwargs)


def test_many_tables_with_few_descriptors(folder):
    """300 tables with 128 open files: copied, changed in one transaction, queried and verified; what is written together is synced in smaller batches."""
    tables = "; ".join(f"create table t{i} (id integer primary key, v text); insert into t{i} values ({i}, 'a')" for i in range(300))
    mirror = sqlite_mirror(folder, tables)
    few = {resource.RLIMIT_NOFILE: 128}
    p = limited(mirror, few, "run", "--until-caught-up", "-c", str(mirror.config))
    assert p.returncode == 0 and "Too many" not in p.stderr, p.stderr[-2000:]
    with sqlite3.connect(folder / "shop.db") as db:
        db.executescript("begin; " + "; ".join(f"insert into t{i} values (1000, 'b')" for i in range(300)) + "; commit")
    p = limited(mirror, few, "run", "--until-caught-up", "-c", str(mirror.config))
    assert p.returncode == 0 and "Too many" not in p.stderr, p.stderr[-2000:]
    pointers = mirror.lake.pointers()
    assert len(pointers) == 300
    for i in (0, 17, 150, 299):
        assert sorted(mirror.lake.read(pointers[("shop", f"t{i}")]).rows) == [(i, "a"), (1000, "b")]
    p = limited(mirror, few, "query", "-c", str(mirror.config), "--format", "csv",
                "select sum(n) as n from (" + " union all ".join(f"select count(*) as n from shop.t{i}" for i in range(300)) + ")")
    assert p.returncode == 0 and p.stdout.split() == ["n", "600"], p.stderr
    p = limited(mirror, few, "verify", "-c", str(mirror.config))
    assert p.returncode == 0, p.stdout[-500:] + p.stderr[-2000:]


def test_a_file_that_may_not_grow_is_an_error(folder):
    """ulimit -f: no signal ends the process; the message names the file and the limit, the lake stays as it was, and without the limit all goes on."""
    mirror = sqlite_mirror(folder, "create table t (id integer primary key, v text); insert into t values (1, 'a')")
    mirror.catch_up()
    with sqlite3.connect(folder / "shop.db") as db:
        db.executescript("begin; " + "; ".join(f"insert into t values ({i}, hex(randomblob(3000)))" for i in range(2, 400)) + "; commit")
    before = mirror.lake.pointers()
    p = limited(mirror, {resource.RLIMIT_FSIZE: 64_000}, "run", "--until-caught-up", "-c", str(mirror.config))
    assert p.returncode > 0, f"signal {-p.returncode}"
    assert "too large" in p.stderr.lower() and "ulimit -f" in p.stderr, p.stderr
    assert mirror.lake.pointers() == before
    mirror.catch_up()
    assert len(mirror.lake.dataset("shop", "t").rows) == 399


# -- a lake that cannot be written

NOBODY = 65534


@pytest.fixture
def readable(folder):
    """A lake with rows, closed cleanly, in folders that everybody may read and only the owner may write."""
    os.chmod(folder, 0o755)
    mirror = sqlite_mirror(folder, "create table t (id integer primary key, v text); insert into t values (1, 'a'), (2, 'b')")
    mirror.catch_up()
    for base, folders, files in os.walk(folder):
        for n in folders:
            os.chmod(Path(base) / n, 0o555)
        for n in files:
            os.chmod(Path(base) / n, 0o444)
    yield mirror
    for base, folders, _ in os.walk(folder):
        for n in folders:
            os.chmod(Path(base) / n, 0o755)


def as_reader(mirror, *arguments):
    """The command as a user without the right to write: root may write everywhere, so it becomes somebody else."""
    def become():
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    program = BINARY
    for parent in BINARY.parents:      # of a folder that only its owner may enter a copy is run
        if os.getuid() == 0 and not parent.stat().st_mode & 1:
            pytest.skip(f"{parent} cannot be entered by others")
    return subprocess.run([str(program), *arguments[:1], "-c", str(mirror.config), *arguments[1:]], capture_output=True, text=True, timeout=60 * SLOW,
                          cwd="/", preexec_fn=become, env={**os.environ, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"})


def fingerprint(folder):
    return sorted((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in Path(folder).rglob("*"))


@pytest.mark.parametrize("wal", ["closed", "left behind"])
def test_reading_a_lake_that_cannot_be_written(readable, wal):
    """query, status, schema, check and quarantine read a lake on a read-only mount; also one whose mirror was killed and left its log behind."""
    if wal == "left behind":
        lake = readable.lake.folder
        os.chmod(lake, 0o755)
        os.chmod(lake / "catalog.db", 0o644)
        db = sqlite3.connect(lake / "catalog.db", isolation_level=None)
        db.execute("pragma wal_autocheckpoint = 0")
        db.execute("create table if not exists only_in_the_log (n int)")
        for name in ("catalog.db-wal", "catalog.db-shm"):
            shutil.copy(lake / name, lake / (name + ".kept"))
        db.close()
        for name in ("catalog.db-wal", "catalog.db-shm"):
            os.replace(lake / (name + ".kept"), lake / name)
            os.chmod(lake / name, 0o444)
        os.chmod(lake / "catalog.db", 0o444)
        os.chmod(lake, 0o555)
    before = fingerprint(readable.lake.folder)
    p = as_reader(readable, "query", "select v from shop.t order by id", "--format", "csv")
    assert p.returncode == 0 and p.stdout.split() == ["v", "a", "b"], p.stderr
    p = as_reader(readable, "status")
    assert p.returncode == 3 and "shop.t" in p.stdout, p.stderr
    for command in (["schema", "list"], ["schema", "show", "shop.t"], ["check"], ["quarantine", "list"], ["delete", "--list"]):
        p = as_reader(readable, *command)
        assert p.returncode == 0, f"{command}: {p.stderr}"
    # What has to write says which folder it cannot write to.
    for command in (["run", "--until-caught-up"], ["resync", "shop.t"], ["verify"]):
        p = as_reader(readable, *command)
        assert p.returncode not in (0, 1) and "lake" in p.stderr and ("ermission denied" in p.stderr or "ead-only" in p.stderr or "readonly" in p.stderr), f"{command}: {p.returncode} {p.stderr}"
    assert fingerprint(readable.lake.folder) == before, "a reader changed the lake"
