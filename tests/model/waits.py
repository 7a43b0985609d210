"""Rows that wait for their parent (docs/relationships.md, Children that wait)."""
from collections import Counter

from . import rules
from .state import Aside


def parents(model, d, values):
    """[(dataset, key)] that a row refers to where a relationship holds rows back; None: it refers to nothing, and must."""
    found = []
    for ref in d.refs:
        key = tuple(values.get(i) for i in ref.columns)
        if None not in key:
            found.append((ref.to, key))
        elif ref.must:
            return None
    return found


def there(model, d, values):
    return all(key in model.datasets[name].rows for name, key in parents(model, d, values))


def nothing_new(d, change):
    row = d.rows.get(change.key)
    return row is not None and change.version == row[d.version] and change.values == {i: row.get(i) for i in change.values}


def is_late(d, change):
    """What is older than what is stored goes into a history at most: it will not be there as a parent, not even as its own."""
    row = d.rows.get(change.key)
    stored = row[d.version] if row is not None else d.tombstones.get(change.key)
    return stored is not None and rules.order(change.version) < rules.order(stored)


def offer(model, d, change, raw):
    """One change: applied, put aside, or made to wait. Returns the counters that it moves."""
    model.arrivals += 1
    change.arrived = change.arrived or model.arrivals
    if change.op == "d" or not d.refs or change.key in d.suppressed or nothing_new(d, change):
        return applied(d, change)
    row = d.rows.get(change.key)
    stored = row[d.version] if row is not None else d.tombstones.get(change.key)
    late = is_late(d, change)
    if (late and d.history != "scd2") or (row is None and stored == change.version):
        return rules.apply(d, change)
    found = parents(model, d, change.values)
    own = (d.name, change.key)
    if found is None:
        d.aside.append(Aside(raw, "null_reference", change.key, None, change.arrived))
        return ["quarantined"]
    if all((p == own and not late) or p[1] in model.datasets[p[0]].rows for p in found):
        return applied(d, change)
    d.aside.append(Aside(raw, "orphan", change.key, change, change.arrived))
    return ["waiting", "quarantined"]


def applied(d, change):
    """Applies the change, and ends the wait of what it overtakes."""
    moved = rules.apply(d, change)
    if moved == ["suppressed"]:
        return moved
    kept = [a for a in d.aside if a.change is None or a.key != change.key or not overtaken(d, a.change, change)]
    ended = len(d.aside) - len(kept)
    d.aside = kept
    return moved + ["stale"] * ended


def overtaken(d, waiting, change):
    """A history by version has a place for older versions, so there they go on waiting."""
    if waiting is change:
        return False
    if waiting.version == change.version:
        return change.op == "d" or waiting.arrived < change.arrived
    return d.history != "scd2" and rules.order(waiting.version) < rules.order(change.version)


def ready(model):
    """The waiting rows that have their parents, were they all applied together: circles come free at once, with all that hangs on them."""
    free = [(d, a) for d in model.datasets.values() for a in d.aside if a.change is not None]
    while True:
        keys = {(d.name, a.key) for d, a in free if not is_late(d, a.change)}
        still = [(d, a) for d, a in free
                 if all(p in keys or p[1] in model.datasets[p[0]].rows for p in parents(model, d, a.change.values) or [])]
        if len(still) == len(free):
            return free
        free = still


def release(model):
    """After each commit, until nothing comes free any more."""
    while True:
        free = ready(model)
        if not free:
            return
        for d, a in free:
            if any(x is a for x in d.aside):
                d.aside = [x for x in d.aside if x is not a]
                d.counts.update(Counter(applied(d, a.change)))
