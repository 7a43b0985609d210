"""Commands from a seed. Each is plain data that means something by itself, so that a list stays valid when some of it is left out."""
from . import evolve, kinds, switches

KEYS = {"int64": ["1", "2", "3", "4"], "int32": ["1", "2", "3"], "string": ["a", "A", "b c", "é"], "date": ["2020-01-01", "2020-01-02"]}
VERSIONS = {"int64": lambda r: str(r.randrange(12)), "int32": lambda r: str(r.randrange(9)), "string": lambda r: r.choice(["9", "10", "a", "B", "Zz", "é", "aa"]),
            "timestamptz": lambda r: kinds.hour(r.choice([-90, -60, -30, -20, -10, -5, -2, -1]))}
CRASHES = ["after-data-files", "after-deletion-vectors", "after-metadata", "before-publish", "after-publish", "before-index-commit", "after-index-commit"]


def dataset(name, r):
    kind = r.choice(["one", "one", "two", "event"])
    columns = [["id", r.choice(["int64", "int32", "string"]), True]]
    if kind == "two":
        columns.append(["part", r.choice(["string", "int32", "date"]), True])
    if kind == "event":
        columns.append(["at", "timestamptz", True])
    key = [c[0] for c in columns]
    version = r.choice(["int64", "int64", "string", "timestamptz", "int32"])
    columns.append(["v", version, True])
    columns += [[f"c{i}", r.choice(sorted(kinds.DRAW)), False] for i in range(r.choice([1, 2, 3]))]
    keeps = r.random() < 0.25 and switches.NULLS_OUT_OF_ORDER
    history = r.choice(["false", "true", "scd2"] if not keeps or switches.NULLS_WITH_INTERVALS else ["false", "true"])
    timed = kind == "event" or version == "timestamptz"
    return {"name": name, "columns": columns, "key": key, "version": "v", "timestamp": "at" if kind == "event" else None, "history": history,
            "keeps_on_null": keeps, "expire": r.choice([None, 24, 48]) if timed and not (keeps and history == "scd2") else None}


def declare(r):
    texts = [dataset(f"m.d{i}", r) for i in range(r.choice([1, 2, 2, 3]))]
    for t in texts if switches.WAITING else []:
        if r.random() < 0.5 and (not t["keeps_on_null"] or switches.NULLS_WITH_WAITING):
            refer(t, r.choice(texts), r)
    return {"do": "declare", "datasets": texts}


def refer(t, parent, r):
    """A relationship to another dataset, to itself, or back."""
    kinds_ = [next(c[1] for c in parent["columns"] if c[0] == k) for k in parent["key"]]
    columns = [[f"p{i}", kind, False] for i, kind in enumerate(kinds_)]
    t["columns"] += columns
    t["expire"] = None
    t["refs"] = [["up", [c[0] for c in columns], parent["name"], r.choice(["M:1", "M:0", "M:0"])]]


def key_text(d, i, r):
    c = d.by_id(i)
    return kinds.hour(r.choice([-50, -30, -26, -5, -2])) if c.type == "timestamptz" else r.choice(KEYS[c.type])


def row(model, d, r):
    raw = {d.by_id(i).name: key_text(d, i, r) for i in d.key}
    raw[d.by_id(d.version).name] = VERSIONS[d.by_id(d.version).type](r)
    free = [c for c in d.columns if c.name not in raw]
    if r.random() < 0.25:
        raw["_change_request_type"] = "d"
        return raw
    up = {i: model.datasets[ref.to].key[n] for ref in d.refs for n, i in enumerate(ref.columns)}
    for c in free:
        if c.id in up:
            raw[c.name] = key_text(model.datasets[d.refs[0].to], up[c.id], r) if r.random() < 0.85 else None
            continue
        raw[c.name] = kinds.DRAW[c.type](r) if c.required or r.random() < 0.8 else None
    spoil = [c for c in free if c.type in kinds.BAD and c.id not in up]
    if spoil and r.random() < 0.08:
        c = r.choice(spoil)
        raw[c.name] = r.choice(kinds.BAD[c.type])
    elif r.random() < 0.02:
        raw["_change_request_type"] = "x"
    elif r.random() < 0.02:
        raw[d.by_id(r.choice([*d.key, d.version])).name] = None
    return raw


def push(model, r):
    d = r.choice(list(model.datasets.values()))
    rows = [row(model, d, r) for _ in range(r.choice([1, 1, 2, 3, 6, 12]))]
    if r.random() < 0.2:
        rows += r.choices(rows, k=2)
    return {"do": "take", "dataset": d.name, "rows": rows, "way": r.choice(["push", "push", "push", "push", "ingest", "folder", "sql"]),
            "format": r.choice(["csv", "json", "ndjson", "parquet"])}


def erase(model, r):
    d = r.choice(list(model.datasets.values()))
    known = sorted({*d.rows, *d.tombstones, *d.suppressed}, key=repr)
    what = "unsuppress" if d.suppressed and r.random() < 0.5 else "delete"
    pool = sorted(d.suppressed, key=repr) if what == "unsuppress" else known
    if not pool:
        return push(model, r)
    if what == "delete" and r.random() < 0.4:
        what = "delete related"
    keys = r.sample(pool, min(len(pool), r.choice([1, 1, 2])))
    return {"do": what, "dataset": d.name, "keys": [[text_of(v) for v in k] for k in keys]}


def text_of(v):
    return v.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(v, "hour") else str(v)


def reshape(model, r):
    d = r.choice(list(model.datasets.values()))
    names = [c.name for c in d.columns]
    number = r.randrange(100)
    c = r.choice([
        {"change": "add", "column": f"n{number}", "type": r.choice(sorted(kinds.DRAW))},
        {"change": "rename", "column": r.choice(names), "to": f"r{number}"},
        {"change": "drop", "column": r.choice(names)},
        {"change": "widen", "column": r.choice([x.name for x in d.columns if x.type in kinds.WIDER] or names)},
        {"change": "expire", "column": "", "hours": r.choice([24, 48, 72])},
        {"change": "history", "column": "", "to": r.choice(["false", "true", "scd2"])},
        {"change": r.choice(["key", "version"]), "column": r.choice(names)},
        {"change": "unrelate", "column": ""} if d.refs else relate(model, d, r),
    ])
    c = {"do": "reshape", "dataset": d.name, **c}
    return c if evolve.fits(model, d, c) else push(model, r)


def relate(model, d, r):
    """A relationship by columns that are there, if some have the types of another dataset's key."""
    parent = r.choice(list(model.datasets.values()))
    columns = []
    for i in parent.key:
        fitting = [x.name for x in d.columns if x.type == parent.by_id(i).type and x.name not in columns]
        columns.append(r.choice(fitting) if fitting else "")
    return {"change": "relate", "column": "", "columns": columns, "to": parent.name, "cardinality": r.choice(["M:1", "M:0"])}


def draw(model, r):
    some = r.choice(list(model.datasets))
    return r.choices([
        lambda: push(model, r),
        lambda: {"do": r.choice(["replay", "replay", "discard"]), "dataset": some},
        lambda: erase(model, r),
        lambda: reshape(model, r),
        lambda: {"do": "later", "hours": r.choice([1, 6, 12, 24])},
        lambda: {"do": "kill", "at": r.choice([None, f"{r.choice(CRASHES)}:{r.randrange(1, 4)}"])},
        lambda: {"do": "lose index"},
    ], [60, 6, 8, 8, 4, 6, 3])[0]()
