"""The program under test: its configuration, its process, and waiting for it."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from . import process
from .lake import Lake

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("DATAMIRROR", ROOT / "build/dev/datamirror")).resolve()
SLOW = float(os.environ.get("DM_SLOW", "1"))  # sanitizer builds: DM_SLOW=4 stretches every timeout


class Mirror:
    def __init__(self, folder, sources, options="", name="mirror.yaml"):
        """sources: the YAML text below `sources:`, indented by two; options: top level YAML lines."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / name
        self.lake = Lake(self.folder / "lake")
        self.log = self.folder / "mirror.log"
        self.child = None
        self.write(sources, options)

    def write(self, sources, options=""):
        self.config.write_text(f"lake: {self.lake.folder}\n{options}\nsources:\n{sources}\n")

    def environment(self, extra=None):
        return {**os.environ, "LC_ALL": "C.UTF-8", **(extra or {})}

    def start(self, *arguments, env=None):
        assert self.child is None or self.child.poll() is not None, "the mirror is already running"
        with open(self.log, "ab") as log:
            log.write(f"--- run {' '.join(arguments)} {env or ''}\n".encode())
            log.flush()
            self.child = process.start([str(BINARY), "run", "-c", str(self.config), *arguments], stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL, cwd=self.folder, env=self.environment(env))
        return self

    def log_tail(self, n=40):
        return f"--- the mirror's log, {self.log}:\n" + process.tail(self.log, n)

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def check_alive(self):
        if self.child is not None and self.child.poll() is not None:
            raise AssertionError(f"the mirror ended with code {self.child.returncode}\n{self.log_tail()}")

    def stop(self, first=signal.SIGTERM, timeout=40):
        """A clean end; returns the exit code."""
        if self.child is None:
            return None
        # Before the program has set its handler, the signal would just end it.
        process.poll(lambda: self.child.poll() is not None or self._catches(first), 10, "the program to handle signals")
        try:
            return process.stop(self.child, first, timeout * SLOW)
        except TimeoutError as e:
            raise AssertionError(f"{e}\n{self.log_tail()}") from None
        finally:
            self.child = None

    def _catches(self, number):
        with open(f"/proc/{self.child.pid}/status") as f:
            caught = next(line for line in f if line.startswith("SigCgt:"))
        return int(caught.split()[1], 16) >> (number - 1) & 1

    def kill(self):
        if self.child is not None:
            process.stop(self.child, signal.SIGKILL)
            self.child = None

    def wait_end(self, timeout=60):
        """Waits for the process to end by itself; returns its code."""
        try:
            code = self.child.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"the mirror did not end within {timeout} s\n{self.log_tail()}") from None
        self.child = None
        return code

    def catch_up(self, timeout=120, env=None):
        """run --until-caught-up, which must end with 0."""
        self.start("--until-caught-up", env=env)
        code = self.wait_end(timeout)
        assert code == 0, f"run --until-caught-up ended with code {code}\n{self.log_tail()}"

    def command(self, *arguments, timeout=60, env=None, stdin=None):
        """Any other command: CompletedProcess with text output."""
        return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=timeout * SLOW,
                              cwd=self.folder, env=self.environment(env), input=stdin)

    def with_config(self, command, *arguments, **kwargs):
        return self.command(command, "-c", str(self.config), *arguments, **kwargs)

    def status(self):
        p = self.with_config("status", "--json")
        # 3: the mirror does not run, or something is stopped; the answer is complete all the same.
        assert p.returncode in (0, 3), f"status --json: code {p.returncode}\n{p.stderr}\n{self.log_tail()}"
        return json.loads(p.stdout)

    def dataset_status(self, dataset):
        for d in self.status()["datasets"]:
            if d["dataset"] == dataset:
                return d
        return None

    def source_status(self, name="shop"):
        for s in self.status()["sources"]:
            if s["name"] == name:
                return s
        return None

    def query(self, sql):
        """Rows of `query --format json` as dicts."""
        p = self.with_config("query", sql, "--format", "json")
        assert p.returncode == 0, f"query: code {p.returncode}\n{p.stderr}"
        text = p.stdout.strip()
        if text.startswith("["):
            return json.loads(text)
        return [json.loads(line) for line in text.splitlines()]

    def until(self, condition, what, timeout=60, every=0.1, progress=None):
        """Polls while watching that the mirror lives."""
        def step():
            self.check_alive()
            return condition()
        return process.poll(step, timeout * SLOW, what, every, self.log_tail, progress)

    def live(self, pointers=None):
        """{(ns, name): Rows} of one instant, without the datasets that status calls dropped: those of tables that the source no longer
        has are kept in the lake on purpose."""
        pointers = self.lake.pointers() if pointers is None else pointers
        dropped = self.dropped()
        return {k: self.lake.read(v) for k, v in pointers.items() if k not in dropped}

    def dropped(self):
        return {tuple(d["dataset"].split(".", 1)) for d in self.status()["datasets"] if d["state"] == "dropped"}

    def settled(self, tables, timeout=60):
        """Waits until every source table (of oracle.compare.Table) has its dataset, no other table has one, and no copy is open.
        A table made while the mirror runs is found by it in its own time; until then it is no difference."""
        wanted = {(t.namespace, t.name) for t in tables}

        def done():
            found = {k for k in self.lake.pointers() if not k[1].endswith("__history")} - self.dropped()
            return found == wanted and all(d["state"] not in ("waiting", "copying") for d in self.status()["datasets"])
        self.until(done, lambda: f"the tables of the source to be the datasets of the lake: missing {wanted - set(self.lake.pointers())}, too many "
                                 f"{set(self.lake.pointers()) - wanted}; {[(d['dataset'], d['state']) for d in self.status()['datasets']]}", timeout)

    def until_dataset(self, name, condition, what, namespace="shop", timeout=60):
        """Waits until the dataset is there and condition(Rows) holds; returns the Rows. Reads only new versions."""
        seen = [None]

        def step():
            location = self.lake.pointers().get((namespace, name))
            if location is None or location == seen[0]:
                return None
            seen[0] = location
            rows = self.lake.read(location)
            return rows if condition(rows) else None
        return self.until(step, f"{namespace}.{name}: {what}", timeout)


class Marker:
    """A table whose one row says how far the source has come. Touched last, it shows in the lake when everything
    committed before is there: an independent 'caught up' that asks neither the program nor its position."""

    def __init__(self, execute, mirror, namespace="shop"):
        self.execute = execute
        self.mirror = mirror
        self.namespace = namespace
        self.number = 0
        execute("create table if not exists oracle_marker (id int primary key, n int)")
        execute("insert into oracle_marker values (1, 0)")

    def reached(self, timeout=60):
        """Writes the next number and waits until the lake shows it; returns the pointers of that instant."""
        if self.number == 0:   # each table appears when its first copy is done; the marker's may be done first
            self.mirror.until(lambda: self.mirror.lake.pointers() and all(
                d["state"] not in ("waiting", "copying") for d in self.mirror.status()["datasets"]), "the first copies", timeout)
        self.number += 1
        self.execute(f"update oracle_marker set n = {self.number} where id = 1")
        key = (self.namespace, "oracle_marker")
        seen = [None]

        def step():
            pointers = self.mirror.lake.pointers()
            location = pointers.get(key)
            if location is None or location == seen[0]:
                return None
            seen[0] = location
            return pointers if self.mirror.lake.read(location).column("n") == [self.number] else None
        started = time.monotonic()
        # The lake may be far behind: each commit is a step.
        pointers = self.mirror.until(step, f"marker {self.number} in the lake", timeout, progress=self.mirror.lake.pointers)
        self.waited = time.monotonic() - started
        return pointers
