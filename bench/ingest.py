"""Files of changes into a declared dataset, beside what DuckDB alone needs to turn the same file into Parquet, and beside PyIceberg's upsert.

DM_BENCH_INGEST (default 1 000 000) rows a file; the mixed file goes into a dataset of ten times as many. PyIceberg's upsert compares row by row in
memory and takes minutes for a million rows, so it gets DM_BENCH_UPSERT (default 20 000) rows; its figure is rows/s all the same.

The two sides take turns, DM_BENCH_INGEST_ROUNDS (default 3) times, and the round of the median ratio counts. Beside the wall clock stand the processor
seconds of both, which other work on the machine disturbs less.
"""
import os
import resource
import shutil
import time
from pathlib import Path

import duckdb
from pyiceberg.catalog.sql import SqlCatalog

from oracle import process
from oracle.mirror import BINARY, Mirror
from report import Watch, number, row

ROWS = int(os.environ.get("DM_BENCH_INGEST", "1000000"))
UPSERT = int(os.environ.get("DM_BENCH_UPSERT", "20000"))
ROUNDS = int(os.environ.get("DM_BENCH_INGEST_ROUNDS", "3"))
SCHEMA = """schemas:
  - name: bench.orders
    columns:
      id: int64 not null
      customer: int32
      status: string
      note: string
      amount: decimal(12,2)
      placed: date
      updated_at: timestamp not null
      score: float64
    key: [id]
    version: updated_at
"""
COLUMNS = ("i as id, (i * 7919 % 100000)::int as customer, ['open','paid','sent','done'][1 + i % 4] as status, 'note ' || md5(i::varchar) as note, "
           "(i % 100000 / 100.0)::decimal(12,2) as amount, date '2026-01-01' + (i % 300)::int as placed, "
           "timestamp '{at}' + to_microseconds(i) as updated_at, (i % 1000) / 8.0 as score")
FORMATS = {"csv": "(format csv, header)", "ndjson": "(format json)", "parquet": "(format parquet, compression zstd)"}
READ = {"csv": "read_csv('{}')", "ndjson": "read_json('{}', format='newline_delimited')", "parquet": "read_parquet('{}')"}


def processor(whose):
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


class Ingest:
    def __init__(self, folder):
        self.folder = Path(folder) / "ingest"
        self.folder.mkdir()
        self.db = duckdb.connect()
        self.db.execute("set timezone = 'UTC'")

    def run(self):
        for kind in FORMATS:
            self.make(self.folder / f"new.{kind}", f"select {COLUMNS.format(at='2026-01-01')} from range(0, {ROWS}) t(i)", kind)
        for kind in FORMATS:
            self.inserts(kind)
        self.mixed()
        self.pyiceberg()
        shutil.rmtree(self.folder)

    def make(self, path, query, kind):
        self.db.execute(f"copy ({query}) to '{path}' {FORMATS[kind]}")

    def duckdb_alone(self, path, kind):
        """Reading the file and writing the same rows as Parquet: nothing can be faster that uses the same library. Seconds, processor seconds."""
        started, used = time.monotonic(), processor(resource.RUSAGE_SELF)
        self.db.execute(f"copy (select * from {READ[kind].format(path)}) to '{self.folder}/alone.parquet' (format parquet, compression zstd, compression_level 1)")   # as the mirror does
        return time.monotonic() - started, processor(resource.RUSAGE_SELF) - used

    def mirror(self, name):
        m = Mirror(self.folder / name, "")
        m.config.write_text(f"lake: {m.lake.folder}\n")
        (m.folder / "schema.yaml").write_text(SCHEMA)
        p = m.with_config("schema", "apply", str(m.folder / "schema.yaml"))
        assert p.returncode == 0, p.stdout + p.stderr
        return m

    def ingest(self, m, path):
        """Seconds and processor seconds of the whole command, and what was watched of it."""
        started, used = time.monotonic(), processor(resource.RUSAGE_CHILDREN)
        with open(m.log, "ab") as log:
            child = process.start([str(BINARY), "ingest", "-c", str(m.config), "bench.orders", str(path)], stdout=log, stderr=log, cwd=m.folder)
        watch = Watch(child.pid)
        code = child.wait(1800)
        seconds = time.monotonic() - started
        watch.stop()
        assert code == 0, m.log_tail()
        return seconds, processor(resource.RUSAGE_CHILDREN) - used, watch

    def rows_in(self, m):
        return sum(d["rows"] for d in m.status()["datasets"] if d["dataset"] == "bench.orders")

    def inserts(self, kind):
        path, rounds, anon = self.folder / f"new.{kind}", [], 0
        for i in range(ROUNDS):
            alone = self.duckdb_alone(path, kind)
            m = self.mirror(f"{kind}{i}")
            *ours, watch = self.ingest(m, path)
            assert self.rows_in(m) == ROWS
            rounds.append((ours, alone))
            anon = max(anon, watch.anon)
            shutil.rmtree(m.folder)
        rounds.sort(key=lambda r: r[0][0] / r[1][0])
        self.compare(f"ingest of {number(ROWS)} new rows, {kind}, rows/s (the whole command)", *rounds[len(rounds) // 2], "≥ 0.5")
        row(f"ingest of {number(ROWS)} new rows, {kind}, peak anonymous memory", f"{anon / 2**20:.0f} MiB", "limit", "512 MiB", "≤ 512 MiB")

    def compare(self, what, ours, alone, aim):
        row(what, f"{number(ROWS / ours[0])} ({ours[1]:.2f} processor s)", f"DuckDB file → Parquet {number(ROWS / alone[0])} ({alone[1]:.2f} processor s)",
            f"{alone[0] / ours[0]:.2f}", aim)

    def mixed(self):
        base = self.folder / "base.parquet"
        self.make(base, f"select {COLUMNS.format(at='2026-01-01')} from range(0, {10 * ROWS}) t(i)", "parquet")
        for kind in FORMATS:
            self.make(self.folder / f"mixed.{kind}",
                      f"select {COLUMNS.format(at='2026-06-01')}, if(n % 5 = 0, 'd', 'u') as _change_request_type "
                      f"from (select (n * 104729) % {12 * ROWS} as i, n from range(0, {ROWS}) t(n))", kind)
        want, = self.db.execute(f"select count(*) from (select i from range(0, {10 * ROWS}) t(i) where i not in "
                                f"(select (n * 104729) % {12 * ROWS} from range(0, {ROWS}) u(n)) union all "
                                f"select (n * 104729) % {12 * ROWS} from range(0, {ROWS}) v(n) where n % 5 <> 0)").fetchone()
        first = self.mirror("mixed")
        seconds, _, watch = self.ingest(first, base)
        row(f"ingest of {number(10 * ROWS)} new rows, parquet, rows/s", number(10 * ROWS / seconds),
            f"peak anonymous memory {watch.anon / 2**20:.0f} MiB", "", "")
        base.unlink()
        for kind in FORMATS:
            copy = self.folder / f"mixed_{kind}"
            shutil.copytree(first.folder, copy)
            # Manifests hold absolute paths: the copy takes the place of the first.
            moved = first.folder.with_name("aside")
            first.folder.rename(moved)
            copy.rename(first.folder)
            path = self.folder / f"mixed.{kind}"
            alone = self.duckdb_alone(path, kind)
            *ours, _ = self.ingest(first, path)
            assert self.rows_in(first) == want, f"{self.rows_in(first)} rows, not {want}"
            self.compare(f"ingest of {number(ROWS)} mixed changes into {number(10 * ROWS)} rows, {kind}, changes/s", ours, alone, "")
            shutil.rmtree(first.folder)
            moved.rename(first.folder)
        shutil.rmtree(first.folder)

    def pyiceberg(self):
        """What a user would take instead."""
        warehouse = self.folder / "pyiceberg"
        warehouse.mkdir()
        catalog = SqlCatalog("yardstick", uri=f"sqlite:///{warehouse}/catalog.db", warehouse=f"file://{warehouse}")
        catalog.create_namespace("bench")
        base = self.db.sql(f"select {COLUMNS.format(at='2026-01-01')} from range(0, {10 * UPSERT}) t(i)").to_arrow_table()
        table = catalog.create_table("bench.orders", base.schema)
        table.append(base)
        changes = self.db.sql(f"select {COLUMNS.format(at='2026-06-01')} from (select (n * 17) % {12 * UPSERT} as i from range(0, {UPSERT}) t(n))").to_arrow_table()
        started = time.monotonic()
        table.upsert(changes, join_cols=["id"])
        theirs = time.monotonic() - started
        m = self.mirror("small")
        for name, data in (("base", base), ("changes", changes)):
            self.db.register("data", data)
            self.db.execute(f"copy data to '{self.folder}/{name}.parquet' (format parquet)")
        self.ingest(m, self.folder / "base.parquet")
        ours, *_ = self.ingest(m, self.folder / "changes.parquet")
        assert self.rows_in(m) == table.scan().to_arrow().num_rows
        row(f"upsert of {number(UPSERT)} rows into {number(10 * UPSERT)}, rows/s (the whole command)", number(UPSERT / ours),
            f"PyIceberg upsert {number(UPSERT / theirs)}", f"{theirs / ours:.1f}", "")
