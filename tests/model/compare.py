"""The program's lake beside the model: rows, histories, tombstones and columns by PyIceberg, quarantine and counters by the program's own lists."""
import json
from collections import Counter
from decimal import Decimal, InvalidOperation

from .rules import KIND, order
from .world import COUNTED, Difference

WORDS = {"int32": "int", "int64": "long", "decimal(6,2)": "decimal(6, 2)", "decimal(12,2)": "decimal(12, 2)"}


def differ(what, found, wanted):
    found, wanted = Counter(map(repr, found)), Counter(map(repr, wanted))
    if found != wanted:
        raise Difference(f"{what}\n  missing: {sorted((wanted - found).elements())}\n  too many: {sorted((found - wanted).elements())}")


def plain(v):
    return v.isoformat() if hasattr(v, "hour") else v


def table(world, pointers, name):
    location = pointers.get(tuple(name.split(".", 1)))
    if location is None:
        return [], []
    t = world.mirror.lake.load(location)
    return t.schema().fields, t.scan().to_arrow().to_pylist()


def pick(row, names):
    return tuple(plain(row.get(n)) for n in names)


def rows(world, pointers, d):
    fields, found = table(world, pointers, d.name)
    differ(f"{d.name}: columns", [(f.name, str(f.field_type), f.required) for f in fields],
           [(c.name, WORDS.get(c.type, c.type), c.required) for c in d.columns])
    names = [c.name for c in d.columns]
    differ(f"{d.name}: rows {names}", [pick(r, names) for r in found],
           [tuple(plain(row.get(c.id)) for c in d.columns) for row in d.rows.values()])


def tombstones(world, pointers, d):
    _, found = table(world, pointers, d.name + "__tombstones")
    names = [d.by_id(i).name for i in d.key] + ["_version"]
    last = {}
    for row in found:                    # the table may hold several of a key: the highest counts
        *key, version = pick(row, names)
        key = tuple(key)
        last[key] = max(version, last.get(key, version), key=order)
    beneath = {tuple(map(plain, k)) for k in d.rows} if d.refs else set()    # rows that come free within a commit leave none beneath them
    differ(f"{d.name}: tombstones {names}", [i for i in last.items() if i[0] not in beneath],
           [(tuple(map(plain, k)), plain(v)) for k, v in d.tombstones.items() if tuple(map(plain, k)) not in beneath])


def history(world, pointers, d):
    space, name = d.name.split(".")
    archives = [n for s, n in pointers if s == space and n.startswith(name + "__history_")]
    differ(f"{d.name}: archives", [len(archives)], [len(d.archives)])
    for held in d.archives:
        archives.remove(same(world, pointers, space, archives, held))
    ended(world, pointers, d.name + "__history", *(d.ended or (d.history, d.past, d.intervals, d.columns)))


def same(world, pointers, space, archives, held):
    """The one of the archives that holds what the model says; their numbers say nothing about their order."""
    for name in archives:
        try:
            ended(world, pointers, f"{space}.{name}", *held)
            return name
        except Difference:
            if name == archives[-1]:
                raise
    return None


def ended(world, pointers, name, kind, past, intervals, columns):
    _, found = table(world, pointers, name)
    names = [c.name for c in columns]
    ids = [c.id for c in columns]
    if kind == "true":
        differ(f"{name}: {['op', 'version', *names]}", [pick(r, ["_op", "_version", *names]) for r in found],
               [(op, plain(v), *(plain(row.get(i)) for i in ids)) for op, v, row in past])
    elif kind == "scd2":
        wanted = []
        for versions in intervals.values():
            ends = sorted(versions, key=order)
            for v, to in zip(ends, [*ends[1:], None]):
                op, row = versions[v]
                wanted.append(("delete" if op == "d" else "upsert", plain(v), plain(to), *(plain(row.get(i)) for i in ids)))
        differ(f"{name}: {['op', 'from', 'to', *names]}", [pick(r, ["_op", "_valid_from", "_valid_to", *names]) for r in found], wanted)


def quarantine(world, d):
    found = []
    for line in world.cli("quarantine", "show", d.name, "--json", "--limit", "0", codes=(0, 1)).splitlines():
        entry = json.loads(line)
        found.append((entry["reason"], spelled(d, json.loads(entry["raw"]))))
    differ(f"{d.name}: quarantine", once(found), once([(a.reason, spelled(d, a.raw)) for a in d.aside]))


def once(entries):
    """Of equal rows that wait one may stand for all."""
    waiting = []
    for e in entries:
        if e[0] == "orphan" and e not in waiting:
            waiting.append(e)
    return waiting + [e for e in entries if e[0] != "orphan"]


def spelled(d, raw):
    """The values of the dataset's columns, and the kind of change; what waits does not keep what the dataset has no column for."""
    known = {KIND, *(c.name for c in d.columns)}
    return sorted((n, number(str(v).lower() if isinstance(v, bool) else str(v))) for n, v in raw.items()
                  if n in known and v is not None and not (n == KIND and str(v).lower() == "u"))


def number(text):
    """What waits is kept by its values: 1.50 may come back as 1.5."""
    try:
        return str(Decimal(text).normalize())
    except InvalidOperation:
        return text


def counters(world, model):
    lines = {line["dataset"]: line for line in json.loads(world.cli("status", "--json", codes=(0, 3)))["datasets"]}
    for d in model.datasets.values():
        names = [*COUNTED, "inserted", "updated"]
        if d.refs:                       # rows that come free with others are ordered among themselves as the program likes
            names = ["received", "suppressed"]
        differ(f"{d.name}: counters", [(n, lines[d.name][n]) for n in names], [(n, d.counts[n]) for n in names])
        differ(f"{d.name}: status", [lines[d.name][n] for n in ("rows", "suppressed_keys")], [len(d.rows), len(d.suppressed)])


def compare(world, model):
    pointers = world.mirror.lake.pointers()
    for d in model.datasets.values():
        rows(world, pointers, d)
        tombstones(world, pointers, d)
        history(world, pointers, d)
        quarantine(world, d)
    counters(world, model)
