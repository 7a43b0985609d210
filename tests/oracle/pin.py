"""Source and lake at one position while nobody waits: the oracle asks the running mirror for a pin, as `verify` does, and then reads the
source's snapshot and the lake's metadata of that position by itself (psycopg or sqlite3, and PyIceberg).

The pin is a row of dm_request in catalog.db: asked (1) → held (2: the mirror's stream stands still) → positioned (3: here is the snapshot's
position) → done (4: dm_pin names the metadata files of the commit exactly there).
"""
import sqlite3
import time

import psycopg

from . import process
from .compare import compare
from .mirror import SLOW
from .postgres import Snapshot

ASKED, HELD, POSITIONED, DONE = 1, 2, 3, 4


class GivenUp(Exception):
    """The mirror lost the stream that stood still for the pin: ask for another."""


class Pin:
    """with Pin(mirror) as pin: pin.held(); …take a snapshot…; locations = pin.at(position)"""

    def __init__(self, mirror, source="shop"):
        self.mirror = mirror
        self.source = source
        self.db = sqlite3.connect(mirror.lake.catalog, isolation_level=None, timeout=60)
        self.id = None
        self.position = None   # of the snapshot, once it is told

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.id is not None:
            self.db.execute("delete from dm_pin where request = ?", (self.id,))
            self.db.execute("delete from dm_request where id = ?", (self.id,))
        self.db.close()

    def _until(self, state, timeout):
        def there():
            self.mirror.check_alive()
            row = self.db.execute("select state from dm_request where id = ?", (self.id,)).fetchone()
            if row is None:
                raise GivenUp(self.mirror.log_tail())
            return row[0] >= state

        def stands():
            row = self.db.execute("select position from dm_source where name = ?", (self.source,)).fetchone()
            return row[0] if row else 0

        def progress():   # what comes behind the pin is no step towards it
            return min(stands(), self.position or 0)
        process.poll(there, timeout * SLOW, lambda: f"the pin to reach state {state}; its position is {self.position}, the lake's {stands()}", 0.01,
                     self.mirror.log_tail, progress)

    def ask(self):
        self.id = self.db.execute("insert into dm_request (kind, state, source, asked_us) values (2, ?, ?, ?)",
                                  (ASKED, self.source, int(time.time() * 1e6))).lastrowid

    def held(self, timeout=60):
        if self.id is None:
            self.ask()
        self._until(HELD, timeout)

    def at(self, position, timeout=60):
        """{(namespace, table): metadata location} of the datasets that were being streamed at the position."""
        self.position = position
        self.db.execute("update dm_request set state = ?, position = ? where id = ?", (POSITIONED, position, self.id))
        self._until(DONE, timeout)
        found = self.db.execute("select namespace, name, metadata_location from dm_pin where request = ?", (self.id,)).fetchall()
        return {(ns, name): location for ns, name, location in found}


class ExportedSnapshot:
    """A PostgreSQL snapshot whose exact position is known: that of a temporary slot made with it."""

    def __init__(self, server, database):
        self.replication = psycopg.connect(server.dsn(database) + " replication=database", autocommit=True)
        result = self.replication.pgconn.exec_(f"CREATE_REPLICATION_SLOT oracle_{time.monotonic_ns()} TEMPORARY LOGICAL pgoutput "
                                               "(SNAPSHOT 'export')".encode())
        assert result.ntuples == 1, result.error_message
        high, low = result.get_value(0, 1).decode().split("/")
        self.position = int(high, 16) << 32 | int(low, 16)
        self.snapshot = Snapshot(server, database, result.get_value(0, 2).decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.snapshot.close()
        self.replication.close()


def compare_while_writing(database, mirror, only):
    """Compares the tables `only` (whose columns must not change meanwhile) at a position of their own, writers running. Returns the rows compared.
    A pin that the mirror gave up is asked for again, as `verify` does; not for ever."""
    for _ in range(3):
        try:
            return _compare_once(database, mirror, only)
        except GivenUp as e:
            last = e
    raise AssertionError(f"the mirror gave the pin up again and again\n{last}")


def _compare_once(database, mirror, only):
    with Pin(mirror) as pin:
        pin.held()
        with ExportedSnapshot(database.server, database.name) as s:
            locations = pin.at(s.position)
            tables = [t for t in s.snapshot.tables(only=only) if (t.namespace, t.name) in locations]
        lake = {(t.namespace, t.name): mirror.lake.read(locations[t.namespace, t.name]) for t in tables}
    return compare(tables, lake, also_extra=False)
