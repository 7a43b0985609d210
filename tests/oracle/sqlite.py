"""A SQLite source: its tables as canonical text, read in one read transaction."""
import re
import sqlite3

from .compare import Table


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def kind(declared):
    """By the declared type alone (docs/types.md). Only the spellings that the tests use."""
    d = (declared or "").upper()
    m = re.fullmatch(r"(?:DECIMAL|NUMERIC)\((\d+),\s*(\d+)\)", d)
    if m:
        return ("dec", int(m[1]), int(m[2]))
    if "INT" in d:
        return ("long",)
    if d.startswith("BOOL"):
        return ("bool",)
    if any(w in d for w in ("CHAR", "CLOB", "TEXT")):
        return ("str",)
    if "BLOB" in d:
        return ("bin",)
    if any(w in d for w in ("REAL", "FLOA", "DOUB")):
        return ("f64",)
    return ("any",)


def text(value, k):
    if value is None:
        return None
    if k[0] == "bool":
        assert value in (0, 1)
        return "true" if value else "false"
    if k[0] == "bin":
        return bytes(value).hex()
    if k[0] == "f64":
        return repr(float(value))
    if k[0] == "dec":
        return repr(value)
    if k[0] == "any" and isinstance(value, bytes):
        return value.hex()
    return str(value)


class Snapshot:
    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.db.execute("begin")
        self.db.execute("select count(*) from sqlite_master").fetchone()

    def close(self):
        self.db.execute("rollback")
        self.db.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def tables(self, source="shop", skip=(), only=None, keys=None):
        out = []
        names = self.db.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' "
                                "escape '\\' and name not like '%datamirror%' order by 1").fetchall()
        for name, in names:
            if name in skip or (only is not None and name not in only):
                continue
            info = self.db.execute(f"pragma table_xinfo({quote(name)})").fetchall()
            columns = [r[1] for r in info]
            kinds = [kind(r[2]) for r in info]
            key = [r[1] for r in sorted((r for r in info if r[5]), key=lambda r: r[5])]
            select = ", ".join(quote(c) for c in columns)
            rows = self.db.execute(f"select {select} from {quote(name)}").fetchall()
            rows = [tuple(text(v, k) for v, k in zip(r, kinds)) for r in rows]
            out.append(Table(source, name, columns, kinds, (keys or {}).get(name, key), rows))
        return out
