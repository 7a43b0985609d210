"""One lake has one writer; who comes while another holds it for a moment waits, and says so."""
import re
import sqlite3

from oracle import process
from oracle.mirror import BINARY, Mirror


def sqlite_mirror(folder, options="commit_interval: 50ms"):
    with sqlite3.connect(folder / "shop.db") as db:
        db.executescript("pragma journal_mode = wal; create table if not exists t (id integer primary key); insert into t values (1)")
    return Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder}/shop.db\n", options)


def holder(mirror):
    path = mirror.lake.folder / ".lock"
    return path.read_text().split() if path.exists() else []


def test_run_waits_for_a_verify_that_mirrors_for_itself(folder):
    """A verify without a running mirror holds the lake until it has compared; a run that starts meanwhile waits, says for whom, and mirrors then."""
    mirror = sqlite_mirror(folder)
    mirror.catch_up()
    with sqlite3.connect(folder / "shop.db") as db:   # a writer that lets no snapshot be held keeps verify busy
        db.execute("begin immediate")
        child = process.start([str(BINARY), "verify", "-c", str(mirror.config), "--timeout", "30s"], cwd=mirror.folder)
        process.poll(lambda: holder(mirror)[:1] == [str(child.pid)] and holder(mirror)[1] == "run", 20, "verify to hold the lake")
        waits = re.compile(f"waiting for .*pid {child.pid}")
        for last in (False, True):
            mirror.start()
            mirror.until(lambda: waits.search(mirror.log.read_text().rsplit("--- run", 1)[1]), "the run to say that it waits")
            if not last:   # asked to end while it waits it ends well: it was not refused
                assert mirror.stop() == 0 and "error" not in mirror.log.read_text()
        db.rollback()
    mirror.until(lambda: holder(mirror)[:1] == [str(mirror.child.pid)], "the run to have the lake")
    child.wait(60)
    mirror.until(lambda: mirror.source_status()["state"] == "running", "the mirror to run")
    assert mirror.stop() == 0


def test_a_second_run_is_refused_at_once(folder):
    mirror = sqlite_mirror(folder)
    mirror.start()
    mirror.until(lambda: holder(mirror)[:1] == [str(mirror.child.pid)], "the run to have the lake")
    p = mirror.with_config("run", "--until-caught-up")
    assert p.returncode == 5 and str(mirror.child.pid) in p.stderr and "waiting" not in p.stderr
    assert mirror.stop() == 0


def test_a_command_waits_for_a_verify(folder):
    """A command that writes is done by verify's own mirror, or after it: never refused."""
    mirror = sqlite_mirror(folder)
    (folder / "s.yaml").write_text("schemas:\n  - name: sales.orders\n    columns: {id: int64 not null, v: int64 not null}\n    key: [id]\n    version: v\n")
    mirror.catch_up()
    with sqlite3.connect(folder / "shop.db") as db:
        db.execute("begin immediate")
        child = process.start([str(BINARY), "verify", "-c", str(mirror.config), "--timeout", "4s"], cwd=mirror.folder)
        process.poll(lambda: holder(mirror)[:1] == [str(child.pid)], 20, "verify to hold the lake")
        p = mirror.with_config("schema", "apply", str(folder / "s.yaml"))
        db.rollback()
    assert p.returncode == 0, p.stdout + p.stderr
    child.wait(60)
