"""What changes, replays, deletions and expiry do: the rules of docs/schemas.md, files.md, quarantine.md and delete.md, row by row."""
import datetime
from collections import Counter

from . import kinds, switches, waits
from .state import Aside, Change

KIND = "_change_request_type"


def read(d, raw):
    """The change that a row means; kinds.Bad with the reason when it means none."""
    op = (raw.get(KIND) or "u").lower()
    if op not in ("u", "d"):
        raise kinds.Bad("unknown_change_type")
    needed = {*d.key, d.version}
    values = {}
    for c in d.columns:
        text = raw.get(c.name)
        if op == "d" and c.id not in needed:
            continue
        if text is None:
            if c.id in d.key:
                raise kinds.Bad("null_key")
            if c.id == d.version:
                raise kinds.Bad("missing_version")
            if c.required:
                raise kinds.Bad("missing_required")
        values[c.id] = None if text is None else kinds.value(c.type, text)
    return Change(op, tuple(values[i] for i in d.key), values[d.version], values)


def key_of(d, raw):
    try:
        return tuple(kinds.value(d.by_id(i).type, raw[d.by_id(i).name]) for i in d.key)
    except (kinds.Bad, KeyError, TypeError):
        return None


def order(version):
    """Strings are ordered by their bytes."""
    return version.encode() if isinstance(version, str) else version


def filled(values, base):
    return {i: base.get(i) if v is None else v for i, v in values.items()}


def remember(d, change, op):
    """One row of the history of kind `true`."""
    if d.history == "true":
        d.past.append((op, change.version, change.values))


def interval(d, change):
    """The history of kind `scd2` has every version, also one that comes late; of equal versions the same wins as in the dataset."""
    if d.history != "scd2":
        return
    versions = d.intervals[change.key]
    if change.op == "u" and versions.get(change.version, ("u",))[0] == "d":
        return
    if change.op == "u" and d.keeps_on_null:     # what was valid at its version fills its nulls
        valid = versions.get(max((v for v in versions if order(v) <= order(change.version)), key=order, default=None), ("d", None))
        change.values = filled(change.values, valid[1] if valid[0] == "u" else {})
    versions[change.version] = (change.op, change.values)


def apply(d, change):
    """The version rule. Returns the counters that the change moves."""
    if change.key in d.suppressed:
        return ["suppressed" if change.op == "u" else "noop_deletes"]
    for ref in d.refs:
        d.referred[change.key].add((ref.to, tuple(change.values.get(i) for i in ref.columns)))
    row = d.rows.get(change.key)
    grave = d.tombstones.get(change.key)
    stored = row[d.version] if row is not None else grave
    tie = stored is not None and change.version == stored
    if stored is not None and order(change.version) < order(stored):
        interval(d, change)
        return ["stale"]
    if change.op == "u" and row is not None and d.keeps_on_null:
        change.values = filled(change.values, row)
    if tie and row is None:
        return ["ties"]                  # a delete won, or is there already
    if tie and change.op == "u" and change.values == {i: row.get(i) for i in change.values}:
        return ["ties"]                  # equal in every column
    interval(d, change)
    moved = ["ties"] if tie else []
    if change.op == "d":
        remember(d, change, "delete")
        d.rows.pop(change.key, None)
        d.tombstones[change.key] = change.version
        return [*moved, "deleted" if row is not None else "noop_deletes"]
    remember(d, change, "update" if row is not None else "insert")
    d.rows[change.key] = dict(change.values)
    return [*moved, "upserted", "updated" if row is not None else "inserted"]


def overtaken(d, before):
    """Of one commit only what is left of a key is written: a deletion that an upsert of the same commit overtakes leaves no tombstone."""
    for key in d.rows:
        if key in before:
            d.tombstones[key] = before[key]
        else:
            d.tombstones.pop(key, None)


def take(model, d, raws):
    """One intake, which is one commit. Returns what the answer counts."""
    before = dict(d.tombstones)
    counts = Counter(received=len(raws))
    for raw in raws:
        try:
            change = read(d, raw)
        except kinds.Bad as bad:
            key = key_of(d, raw)
            if key is not None and key in d.suppressed:
                counts["suppressed"] += 1
                continue
            model.arrivals += 1
            d.aside.append(Aside(raw, str(bad), key, None, model.arrivals))
            counts["quarantined"] += 1
            continue
        counts.update(waits.offer(model, d, change, raw))
    overtaken(d, before)
    d.counts.update(counts)
    waits.release(model)
    return counts


def replay(model, d):
    """Rows of the quarantine are tried again, in the order in which they came; what is overtaken leaves it, too."""
    before, tried, d.aside = dict(d.tombstones), d.aside, []
    for row in tried:
        try:
            change = read(d, row.raw)
            change.arrived = row.arrived
            moved = waits.offer(model, d, change, row.raw)
        except kinds.Bad as bad:
            d.aside.append(Aside(row.raw, str(bad), row.key, None, row.arrived))
            continue
        d.counts.update(m for m in moved if m not in ("quarantined", "waiting"))
    d.counts["received"] += len(tried) if switches.REPLAY_IS_RECEIVED else 0
    overtaken(d, before)
    waits.release(model)


def discard(d):
    d.aside = []


def delete(d, keys):
    """For good: rows, history, tombstones, quarantine; and nobody brings them back."""
    def gone(values):
        return tuple(values.get(i) for i in d.key) in keys
    for key in keys:
        d.rows.pop(key, None)
        d.tombstones.pop(key, None)
        d.suppressed.add(key)
    for past, intervals in [(d.past, d.intervals), *((a[1], a[2]) for a in [*d.archives, *([d.ended] if d.ended else [])])]:
        past[:] = [p for p in past if not gone(p[2])]
        for versions in intervals.values():
            for v in [v for v, (_, values) in versions.items() if gone(values)]:
                del versions[v]
    d.aside = [a for a in d.aside if a.key not in keys]


def unsuppress(d, keys):
    d.suppressed -= set(keys)


def moment(d, row):
    at = row[d.timestamp if d.timestamp is not None else d.version]
    return at if isinstance(at, datetime.datetime) else None


def expire(d, now):
    """Rows past their time go; the deletion that lies beneath one counts again, and history stays."""
    if d.expire is None:
        return False
    limit = now - datetime.timedelta(hours=d.expire)
    kept = {k: row for k, row in d.rows.items() if moment(d, row) is None or moment(d, row) >= limit}
    aside = [a for a in d.aside if not switches.QUARANTINE_EXPIRES or time_aside(d, a) is None or time_aside(d, a) >= limit]
    gone = len(d.rows) - len(kept) + len(d.aside) - len(aside)
    d.rows, d.aside = kept, aside
    return gone > 0


def time_aside(d, a):
    """The time that a row in quarantine goes by, when it can be read."""
    column = d.by_id(d.timestamp if d.timestamp is not None else d.version)
    try:
        return kinds.value(column.type, a.raw[column.name]) if column.type == "timestamptz" else None
    except (kinds.Bad, KeyError, TypeError):
        return None
