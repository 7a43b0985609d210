"""Declarations: their YAML, and what a new one does to the dataset (docs/schemas.md, Evolution)."""
from collections import defaultdict

from . import kinds, switches
from .state import Dataset, Reference

KEYS = ("int64", "int32", "string", "date")            # types that draw.py has values of, as key and as version
VERSIONS = ("int64", "int32", "string", "timestamptz")


def declare(text):
    """A dataset from its description in a command: {"name", "columns": [[name, type, required]], "key", "version", …}."""
    d = Dataset(text["name"], [], [], 0)
    for name, kind, required in text["columns"]:
        d.add(name, kind, required)
    d.key = [d.column(n).id for n in text["key"]]
    d.version = d.column(text["version"]).id
    d.timestamp = d.column(text["timestamp"]).id if text.get("timestamp") else None
    d.history, d.keeps_on_null, d.expire = text["history"], text["keeps_on_null"], text["expire"]
    return d


def refer(d, ref):
    """A relationship: [name, columns, to, cardinality]."""
    name, columns, to, cardinality = ref
    d.refs.append(Reference(name, [d.column(n).id for n in columns], to, cardinality == "M:1"))


def relationships(d):
    lines = "".join(f"      - {{name: {r.name}, columns: [{', '.join(d.by_id(i).name for i in r.columns)}], to: {r.to}, "
                    f"cardinality: \"{'M:1' if r.must else 'M:0'}\", on_orphan: quarantine}}\n" for r in d.refs)
    return f"    relationships:\n{lines}" if lines else ""


def yaml(d, extra=""):
    columns = "".join(f"      {c.name}: {c.type}{' not null' if c.required else ''}\n" for c in d.columns)
    return (f"  - name: {d.name}\n    columns:\n{columns}    key: [{', '.join(d.by_id(i).name for i in d.key)}]\n"
            f"    version: {d.by_id(d.version).name}\n    tombstone_retention: forever\n"
            + (f"    behavior: time-series\n    timestamp: {d.by_id(d.timestamp).name}\n" if d.timestamp is not None else "")
            + (f"    history: {d.history}\n" if d.history != "false" else "")
            + ("    ignore_null_updates: true\n" if d.keeps_on_null else "")
            + (f"    expire: PT{d.expire}H\n" if d.expire is not None else "") + relationships(d) + extra)


def fits(model, d, c):
    """Whether the command may be given to the dataset as it is; a list that is being shortened has some that may not."""
    column, kind = d.column(c["column"]), c["change"]
    if d.history != "false" and kind not in ("expire", "history") and not switches.RESHAPE_WITH_HISTORY:
        return False
    if kind == "relate":
        return switches.WAITING and relates(model, d, c)
    if kind == "unrelate":
        return bool(d.refs)
    if kind == "history":
        return switches.HISTORY_LATER and c["to"] != d.history
    if kind == "add":
        return column is None
    if kind == "expire":
        return not d.refs and any(d.by_id(i).type == "timestamptz" for i in ([d.timestamp] if d.timestamp is not None else [d.version]))
    if column is None or (kind == "rename" and d.column(c["to"]) is not None):
        return False
    if d.aside and kind in ("rename", "drop") and not switches.RENAME_WITH_QUARANTINE:
        return False
    special = column.id in [*d.key, d.version, d.timestamp]
    if kind != "rename" and (any(column.id in r.columns for r in d.refs) or (column.id in d.key and any(r.to == d.name for e in model.datasets.values() for r in e.refs))):
        return False                     # a relationship keeps what it needs
    if kind == "drop":
        return not special
    if kind in ("key", "version"):
        pointed_to = any(r.to == d.name for e in model.datasets.values() for r in e.refs)
        return switches.KEY_WITH_TOMBSTONES and not special and not (pointed_to and kind == "key") and fits_as(d, column, kind)
    if kind == "widen":
        return column.type in kinds.WIDER and (not special or not d.tombstones or switches.KEY_WITH_TOMBSTONES)
    return True


def fits_as(d, column, kind):
    """Whether a column can be of the key, or the version: no row may be in the way, and no suppressed key, which is known by its hash alone."""
    if any(row.get(column.id) is None for row in d.rows.values()) or any(a.change is None or a.change.values.get(column.id) is None for a in d.aside):
        return False
    if kind == "version":
        return column.type in VERSIONS and d.expire is None
    return column.type in KEYS and not d.suppressed


def relates(model, d, c):
    """Whether a relationship by these columns can be made: one of a dataset is enough here, and the types are the parent's."""
    parent = model.datasets.get(c["to"])
    columns = [d.column(n) for n in c["columns"]]
    if d.refs or parent is None or None in columns or d.expire is not None or (d.keeps_on_null and not switches.NULLS_WITH_WAITING):
        return False
    return [x.type for x in columns] == [parent.by_id(i).type for i in parent.key]


def end_history(d):
    """What the history held stays as it is, and under its name until another one takes its place."""
    if d.past or d.intervals:
        d.ended = (d.history, d.past, d.intervals, list(d.columns))
    d.past, d.intervals = [], defaultdict(dict)


def begin_history(d):
    """With the rows that are there and the deletions that are remembered."""
    if d.history != "false" and d.ended:
        d.archives.append(d.ended)
        d.ended = None
    for key, version in d.tombstones.items():
        if key not in d.rows:
            values = {**dict(zip(d.key, key)), d.version: version}
            d.past.append(("delete", version, values))
            d.intervals[key][version] = ("d", values)
    for key, row in d.rows.items():
        d.past.append(("copy", row[d.version], row))
        d.intervals[key][row[d.version]] = ("u", row)
    if d.history != "true":
        d.past = []
    if d.history != "scd2":
        d.intervals.clear()


def reorder(d, column, kind):
    """Another key or version: the remembered deletions cannot be compared with it and are forgotten."""
    ends = kind == "version" or d.history == "scd2"
    if ends:
        end_history(d)
    d.tombstones = {}
    column.required = True
    if kind == "version":
        d.version = column.id
    else:
        d.key.append(column.id)
        d.rows = {tuple(row[i] for i in d.key): row for row in d.rows.values()}
    if ends:
        begin_history(d)
    for a in d.aside:
        if a.change is not None:
            a.change.key = a.key = tuple(a.change.values[i] for i in d.key)
            a.change.version = a.change.values[d.version]


def evolve(d, c):
    """Does the change to the model's dataset; returns the lines that the YAML needs besides."""
    column, kind = d.column(c["column"]), c["change"]
    if kind == "add":
        d.add(c["column"], c["type"])
    elif kind == "rename":
        column.name = c["to"]
        for a in d.aside:
            a.raw = {c["to"] if n == c["column"] else n: v for n, v in a.raw.items()}
    elif kind == "drop":
        d.columns.remove(column)
        for row in [*d.rows.values(), *(p[2] for p in d.past), *(v[1] for k in d.intervals.values() for v in k.values())]:
            row.pop(column.id, None)
        for a in d.aside:
            a.raw = {n: v for n, v in a.raw.items() if n != c["column"]}
            if a.change is not None:
                a.change.values.pop(column.id, None)
        return f"    drop_columns: [{c['column']}]\n"
    elif kind == "widen":
        column.type = kinds.WIDER[column.type]
    elif kind == "expire":
        d.expire = c["hours"]
    elif kind == "relate":
        refer(d, ["up", c["columns"], c["to"], c["cardinality"]])
    elif kind == "unrelate":
        d.refs = []
    elif kind in ("key", "version"):
        reorder(d, column, kind)
    elif kind == "history":
        if d.history != "false":
            end_history(d)
        d.history = c["to"]
        begin_history(d)
    return ""


def renamed(text, c):
    """The YAML with the old name of a renamed column."""
    if c["change"] != "rename":
        return text
    lines = []
    for line in text.split("\n"):
        name, _, rest = line.strip().partition(": ")
        if line.startswith("      ") and name == c["to"]:
            kind, required = rest.removesuffix(" not null"), rest.endswith(" not null")
            kind = f'"{kind}"'
            line = f"      {name}: {{type: {kind}, required: {str(required).lower()}, renamed_from: {c['column']}}}"
        lines.append(line)
    return "\n".join(lines)
