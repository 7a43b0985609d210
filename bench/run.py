"""The benchmark: the mirror against the server's own tools, side by side in one run on one throw-away PostgreSQL.

    python bench/run.py            DM_BENCH_SCALE=20 (2 M rows of pgbench_accounts), DM_BENCH_ROWS=10000000,
                                     DM_BENCH_SECONDS=20 (pgbench), DM_BENCH_ROUNDS=2 (best of), DM_BENCH_ONLY=snapshot,large,small,memory,ingest

Prints a Markdown table. Ratios above 1 are better than the yardstick. Yardsticks and the mirror do the same work one after
the other, so the machine is the same; what it is stands above the table.
"""
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from ingest import Ingest  # noqa: E402
from oracle import process  # noqa: E402
from oracle.mirror import BINARY, Marker, Mirror  # noqa: E402
from oracle.postgres import Server, Snapshot, _find  # noqa: E402
from report import Watch, number, row, table  # noqa: E402

SCALE = int(os.environ.get("DM_BENCH_SCALE", "20"))
ROWS = int(os.environ.get("DM_BENCH_ROWS", "10000000"))
LARGE = int(os.environ.get("DM_BENCH_LARGE", "1000000"))
SECONDS = int(os.environ.get("DM_BENCH_SECONDS", "20"))
ROUNDS = int(os.environ.get("DM_BENCH_ROUNDS", "2"))
ONLY = set(os.environ.get("DM_BENCH_ONLY", "snapshot,large,small,memory,ingest").split(","))
MEMORY_LIMIT = 512

class Bench:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="dm-bench-"))
        self.server = Server({"shared_buffers": "512MB", "max_wal_size": "16GB", "logical_decoding_work_mem": "64MB",
                              "checkpoint_timeout": "1h", "autovacuum": "off"})
        self.number = 0

    def close(self):
        self.server.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self):
        self.number += 1
        name = f"bench{self.number}"
        self.server.create_database(name)
        return name, self.server.connect(name)

    def mirror(self, name, options=""):
        # Only what is measured is mirrored.
        m = Mirror(self.folder / name, f"  shop:\n    type: postgres\n    url: {self.server.url(name)}\n    slot: dm_{name}\n    publication: dm_{name}\n",
                   f"memory_limit: {MEMORY_LIMIT}MiB\n{options}")
        return m

    def pgbench(self, name, *arguments):
        subprocess.run([_find("pgbench"), "-h", str(self.server.folder), "-p", str(self.server.port), "-U", "postgres", *arguments, name],
                       check=True, capture_output=True)

    # -- first copy
    def snapshot(self):
        name, c = self.database()
        self.pgbench(name, "-i", "-s", str(SCALE), "-q")
        c.execute("checkpoint")
        rows = SCALE * 100000
        best = None
        for _ in range(ROUNDS):
            started = time.monotonic()
            with open("/dev/null", "wb") as null:
                subprocess.run([_find("psql"), "-X", "-q", self.server.dsn(name), "-c", "copy pgbench_accounts to stdout (format binary)"],
                               check=True, stdout=null)
            copy = time.monotonic() - started
            m = self.mirror(name)
            shutil.rmtree(m.lake.folder, ignore_errors=True)
            m.write(f"  shop:\n    type: postgres\n    url: {self.server.url(name)}\n    slot: dm_{name}\n    publication: dm_{name}\n"
                    "    tables: [public.pgbench_accounts]\n", f"memory_limit: {MEMORY_LIMIT}MiB")
            started = time.monotonic()
            m.start("--until-caught-up")
            watch = Watch(m.child.pid)
            code = m.wait_end(1200)
            ours = time.monotonic() - started
            watch.stop()
            assert code == 0, m.log_tail()
            assert sum(f.record_count for f in files_of(m, "pgbench_accounts")) == rows
            self.forget(name, c)
            if best is None or ours / copy < best[0] / best[1]:
                best = (ours, copy, watch)
        ours, copy, watch = best
        row("snapshot of pgbench_accounts, rows/s (the whole command, process start and slot included)", number(rows / ours),
            f"psql COPY binary {number(rows / copy)}", f"{copy / ours:.2f}", "≥ 0.5")
        row("snapshot, peak anonymous memory", f"{watch.anon / 2**20:.0f} MiB", "limit", f"{MEMORY_LIMIT} MiB", "≤ 512 MiB")
        row("snapshot, processor seconds per million rows", f"{watch.cpu / rows * 1e6:.2f}", "", "", "")
        c.close()
        self.server.drop_database(name)

    def forget(self, name, c):
        process.poll(lambda: c.execute("select count(*) from pg_replication_slots where active and slot_name = %s", (f"dm_{name}",)).fetchone()[0] == 0,
                     20, "the slot to be free")
        c.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", (f"dm_{name}",))
        c.execute(f"drop publication if exists dm_{name}")

    def receive(self, name, until):
        """pg_recvlogical with pgoutput to /dev/null from a slot made before; seconds until the position `until`."""
        # Streaming in progress is what the mirror asks for too (protocol version 2).
        started = time.monotonic()
        subprocess.run([_find("pg_recvlogical"), "-d", self.server.dsn(name), "--slot", "yardstick", "--start", "-f", "/dev/null", "--endpos", until,
                        "-o", "proto_version=2", "-o", "streaming=on", "-o", "publication_names=yardstick"], check=True, capture_output=True, timeout=1800)
        return time.monotonic() - started

    def changes(self, what, aim, prepare, work, rows_of, options=""):
        """The same changes read from two slots made at the same position: first by the mirror, then by the yardstick."""
        name, c = self.database()
        prepare(name, c)
        mirror = self.mirror(name, options)
        marker = Marker(c.execute, mirror)
        mirror.start()
        marker.reached(600)
        assert mirror.stop() == 0, mirror.log_tail()
        c.execute("create publication yardstick for all tables")
        c.execute("select pg_create_logical_replication_slot('yardstick', 'pgoutput')")
        work(name, c)
        c.execute("update oracle_marker set n = 1000000")
        rows = rows_of(c)
        end, = c.execute("select pg_current_wal_flush_lsn()").fetchone()
        # A keepalive past the end position lets pg_recvlogical end.
        c.execute("select pg_logical_emit_message(true, 'bench', 'end')")
        yardstick = self.receive(name, end)
        started = time.monotonic()
        mirror.start("--until-caught-up")
        watch = Watch(mirror.child.pid)
        code = mirror.wait_end(1800)
        ours = time.monotonic() - started
        watch.stop()
        assert code == 0, mirror.log_tail()
        assert mirror.lake.dataset("shop", "oracle_marker").column("n") == [1000000]
        with Snapshot(self.server, name) as s:
            for _, schema, table_name, *_ in s.tables_found:
                want, = s.connection.execute(f'select count(*) from "{table_name}"').fetchone()
                found = [d for d in mirror.status()["datasets"] if d["dataset"] == f"shop.{table_name}" and d["state"] != "refused"]
                assert not found or found[0]["rows"] == want, f"{table_name}: {found[0]['rows']} rows in the lake, {want} in the source"
        row(f"{what}, row changes/s", number(rows / ours), f"pg_recvlogical {number(rows / yardstick)}", f"{yardstick / ours:.2f}", aim)
        row(f"{what}, peak anonymous memory (resident with file pages {watch.resident / 2**20:.0f} MiB)", f"{watch.anon / 2**20:.0f} MiB", "limit",
            f"{MEMORY_LIMIT} MiB", "≤ 512 MiB")
        row(f"{what}, bytes written per change (lake, index, spill)", f"{watch.written / rows:.0f}", f"{number(rows)} changes", "", "")
        row(f"{what}, processor seconds per million changes", f"{watch.cpu / rows * 1e6:.2f}", "", "", "")
        c.close()
        self.server.drop_database(name)
        shutil.rmtree(mirror.folder, ignore_errors=True)

    def large(self):
        def prepare(name, c):
            c.execute("create table big (id bigint primary key, a int, b text, at timestamptz, amount numeric(12,2))")
            c.execute(f"insert into big select i, i, md5(i::text), now(), i / 100.0 from generate_series(1, {LARGE}) i")
            c.execute("checkpoint")

        def work(name, c):
            c.execute(f"begin; insert into big select i, i, md5(i::text), now(), i / 100.0 from generate_series({LARGE + 1}, {2 * LARGE}) i; "
                      f"update big set a = a + 1 where id <= {LARGE // 2}; delete from big where id > {LARGE // 2} and id <= {LARGE // 2 + LARGE // 10}; commit")
        self.changes("one large transaction (inserts, updates, deletes)", "≥ 0.6", prepare, work, lambda c: LARGE + LARGE // 2 + LARGE // 10)

    def small(self):
        def prepare(name, c):
            self.pgbench(name, "-i", "-s", "5", "-q")
            c.execute("alter table pgbench_history add id bigserial primary key")

        def work(name, c):
            with tempfile.NamedTemporaryFile("w", suffix=".sql") as f:
                f.write("\\set a random(1, 500000)\nupdate pgbench_accounts set abalance = abalance + 1 where aid = :a;\n")
                f.flush()
                os.chmod(f.name, 0o644)
                self.pgbench(name, "-n", "-T", str(SECONDS), "-c", "4", "-j", "2", "-M", "prepared", "-f", f.name)
        self.changes("single-row transactions (pgbench updates)", "≥ 0.6", prepare, work,
                     lambda c: c.execute("select sum(abalance) from pgbench_accounts").fetchone()[0])

    def memory(self):
        def prepare(name, c):
            c.execute("create table huge (id bigint primary key, v int, t text)")

        def work(name, c):
            c.execute(f"insert into huge select i, i % 1000, 'row ' || i from generate_series(1, {ROWS}) i")
        self.changes(f"a transaction of {number(ROWS)} rows", "≥ 0.6", prepare, work, lambda c: ROWS)


def files_of(mirror, name):
    t = mirror.lake.load(mirror.lake.pointers()["shop", name])
    return [s.file for s in t.scan().plan_files()]


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) // 2**20
    version = subprocess.run([_find("postgres"), "--version"], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    load = os.getloadavg()[0]
    return (f"{os.cpu_count()} × {model}, {memory} GiB, {platform.system()} {platform.release()}; {version}, fsync off in the server only; "
            f"datamirror {commit}; load at the start {load:.1f}")


def main():
    assert BINARY.exists(), f"{BINARY} is not built"
    description = machine()
    bench = Bench()
    try:
        for name in ("snapshot", "large", "small", "memory"):
            if name in ONLY:
                getattr(bench, name)()
        if "ingest" in ONLY:
            Ingest(bench.folder).run()
    finally:
        bench.close()
        print(f"{description}\n\n| what | mirror | yardstick | ratio | aim |\n|---|---|---|---|---|")
        for line in table:
            print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
