"""Fixtures shared by the end-to-end, crash and interoperability tests."""
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from oracle import mirror as mirror_module  # noqa: E402
from oracle.postgres import Server  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "smoke: one of the few that reach furthest; `make sanitize` runs these under sanitizers")


def pytest_report_header():
    return f"binary: {mirror_module.BINARY}, seed: {SEED} (repeat with DM_SEED={SEED})"


# In the environment, so that workers beside each other draw the same.
SEED = int(os.environ.setdefault("DM_SEED", str(random.SystemRandom().randrange(10**6))))


@pytest.fixture
def seed(request):
    """One number per test, derived from the session's seed; printed when the test fails."""
    number = SEED
    print(f"DM_SEED={number}")
    return number


@pytest.fixture
def folder(request):
    """A temporary folder, kept when DM_KEEP is set."""
    path = Path(tempfile.mkdtemp(prefix="dm-test-"))
    yield path
    if os.environ.get("DM_KEEP"):
        print(f"kept: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres():
    """One server for all tests that need no settings of their own."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def own_postgres(request):
    """Starts servers with settings of the test's own: own_postgres(wal_level="replica")."""
    servers = []

    def make(durable=False, **settings):
        servers.append(Server(settings, durable))
        return servers[-1]
    yield make
    for s in servers:
        s.remove()


class Database:
    """One database of the shared server with a mirror of it named `shop`."""

    number = 0

    def __init__(self, server, folder, options=""):
        Database.number += 1
        self.server = server
        self.name = f"shop{Database.number}"
        self.folder = folder
        server.create_database(self.name, options)
        self.connection = server.connect(self.name)
        self.mirrors = []

    def execute(self, sql, *parameters):
        cursor = self.connection.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else None

    def source(self, extra="", tcp_port=None, slot=None):
        """The YAML of the source `shop`; extra lines are indented by four."""
        url = self.server.url(self.name, tcp=tcp_port is not None, port=tcp_port)
        slot = slot or f"dm_{self.name}"
        return (f"  shop:\n    type: postgres\n    url: {url}\n    slot: {slot}\n    publication: {slot}\n"
                f"{extra}")

    def mirror(self, extra="", options="commit_interval: 200ms", folder="m", tcp_port=None, slot=None):
        m = mirror_module.Mirror(self.folder / folder, self.source(extra, tcp_port, slot), options)
        self.mirrors.append(m)
        return m

    def snapshot(self):
        from oracle.postgres import Snapshot
        return Snapshot(self.server, self.name)

    def check(self, mirror, **kwargs):
        """The source as it is now equals the lake as it is now."""
        from oracle.compare import compare
        with self.snapshot() as s:
            return compare(s.tables(**kwargs), mirror.live())

    def close(self):
        failed = None
        for m in self.mirrors:
            try:
                m.kill()
            except Exception as e:
                failed = e
        self.connection.close()
        self.server.drop_database(self.name)
        if failed:
            raise failed


@pytest.fixture
def database(postgres, folder):
    d = Database(postgres, folder)
    yield d
    d.close()


@pytest.fixture
def database_in(postgres, folder):
    """database_in("LATIN1"): like `database`, in another encoding."""
    made = []

    def make(encoding):
        made.append(Database(postgres, folder, f"encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'"))
        return made[-1]
    yield make
    for d in made:
        d.close()


@pytest.fixture
def database_on(folder):
    """database_on(server): like `database` on a server of the test's own."""
    made = []

    def make(server):
        made.append(Database(server, folder))
        return made[-1]
    yield make
    for d in made:
        for m in d.mirrors:
            m.kill()
        d.connection.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the tails of its mirrors' logs."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for value in getattr(item, "funcargs", {}).values():
            for m in getattr(value, "mirrors", []):
                report.sections.append((f"log of {m.folder}", m.log_tail(60)))
