"""The lake as an outsider sees it: catalog pointers in one SQLite read transaction, rows by PyIceberg."""
import os
import sqlite3
from pathlib import Path

from pyiceberg.table import StaticTable

from . import values


class Rows:
    """The visible rows of one dataset at one metadata file."""

    def __init__(self, columns, kinds, rows, properties, table):
        self.columns = columns        # names
        self.kinds = kinds            # of values.kind_of_iceberg
        self.rows = rows              # tuples of canonical values
        self.properties = properties  # of the current snapshot's summary
        self.table = table

    @property
    def position(self):
        return self.properties.get("datamirror.position")

    def column(self, name):
        i = self.columns.index(name)
        return [r[i] for r in self.rows]

    def dicts(self):
        return [dict(zip(self.columns, r)) for r in self.rows]


class Lake:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.catalog = self.folder / "catalog.db"

    def connect(self):
        db = sqlite3.connect(f"file:{self.catalog}?mode=ro", uri=True, timeout=30, isolation_level=None)
        return db

    def pointers(self):
        """{(namespace, table): metadata location}, all of one instant. {} when there is no lake yet."""
        if not self.catalog.exists():
            return {}
        db = self.connect()
        try:
            db.execute("begin")
            found = db.execute("select table_namespace, table_name, metadata_location from iceberg_tables").fetchall()
            db.execute("commit")
        except sqlite3.OperationalError as e:
            if "no such table" in str(e):
                return {}
            raise
        finally:
            db.close()
        return {(ns, name): location for ns, name, location in found}

    def load(self, location):
        return StaticTable.from_metadata(location)

    def read(self, location, columns=None):
        """The rows at one metadata location."""
        table = self.load(location)
        fields = [f for f in table.schema().fields if columns is None or f.name in columns]
        kinds = [values.kind_of_iceberg(f.field_type) for f in fields]
        names = [f.name for f in fields]
        snapshot = table.current_snapshot()
        properties = {}
        rows = []
        if snapshot is not None:
            properties = dict(snapshot.summary.additional_properties)
            arrow = table.scan().to_arrow()
            by_column = [values.from_arrow(arrow.column(arrow.schema.get_field_index(n)), k)
                         for n, k in zip(names, kinds)]
            rows = list(zip(*by_column)) if by_column else []
            assert len(rows) == arrow.num_rows
        return Rows(names, kinds, rows, properties, table)

    def dataset(self, namespace, name):
        location = self.pointers().get((namespace, name))
        return None if location is None else self.read(location)

    def everything(self):
        """All datasets at one instant."""
        return {key: self.read(location) for key, location in self.pointers().items()}

    def remove_index(self):
        import shutil
        shutil.rmtree(self.folder / ".index", ignore_errors=True)

    def files(self):
        for base, _, names in os.walk(self.folder):
            for n in names:
                yield os.path.join(base, n)
