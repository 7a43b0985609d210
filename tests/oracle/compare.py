"""Every value of the lake against every value of the source."""
from collections import Counter
from decimal import Decimal

from . import values

SHOWN = 15


class Table:
    """A source table as text values, with how each column is to be read."""

    def __init__(self, namespace, name, columns, kinds, key, rows):
        self.namespace = namespace
        self.name = name
        self.columns = columns
        self.kinds = kinds    # expected kinds; ('num',) follows the lake (decimal or text)
        self.key = key        # names; [] append-only
        self.rows = rows      # tuples of text (lists: lists of text)


def _compatible(expected, found):
    if expected == found:
        return True
    if expected[0] == "num":
        return found[0] in ("dec", "str")
    if expected[0] == "any":
        return True
    if expected[0] == "int" and found[0] == "long":
        return True  # the column was widened before, or the mirror chose the wider type
    if expected[0] == "list" and found[0] == "list":
        return _compatible(expected[1], found[1])
    return False


def canonical(text, expected, found):
    """The source's text as the canonical value of a column that is of the kind `found` in the lake."""
    if text is None:
        return None
    if expected[0] == "list":
        if found[0] != "list":
            return text if isinstance(text, str) else tuple(text)
        return tuple(canonical(t, expected[1], found[1]) for t in text)
    if expected[0] == "any" and found[0] in ("int", "long"):
        return int(text)
    return values.from_text(text, found)


def _show(value):
    text = repr(value)
    return text if len(text) < 120 else text[:100] + f"… ({len(text)} characters)"


def differences(source, lake):
    """A list of sentences; empty when the two are equal. `lake` is lake.Rows or None."""
    name = f"{source.namespace}.{source.name}"
    if lake is None:
        return [f"{name}: the lake has no such dataset ({len(source.rows)} rows in the source)"]
    out = []
    if set(source.columns) != set(lake.columns):
        out.append(f"{name}: columns differ: source {sorted(source.columns)}, lake {sorted(lake.columns)}")
    common = [c for c in source.columns if c in lake.columns]
    missing_key = [c for c in source.key if c not in common]
    if missing_key:
        return out + [f"{name}: key columns {missing_key} are not in the lake"]
    pairs = []
    for c in common:
        expected = source.kinds[source.columns.index(c)]
        found = lake.kinds[lake.columns.index(c)]
        if not _compatible(expected, found):
            out.append(f"{name}.{c}: type {found} in the lake, expected {expected}")
        else:
            pairs.append((c, source.columns.index(c), lake.columns.index(c), expected, found))
    wanted = [tuple(canonical(r[i], e, f) for _, i, _, e, f in pairs) for r in source.rows]
    found = [tuple(r[j] for _, _, j, _, _ in pairs) for r in lake.rows]
    names = [p[0] for p in pairs]
    # A decimal's scale is part of the type: 1.5 in decimal(10,2) is 1.50.
    for n, (c, _, j, e, f) in enumerate(pairs):
        if f[0] == "dec":
            for r in found:
                if r[n] is not None and -r[n].as_tuple().exponent != f[2]:
                    out.append(f"{name}.{c}: scale of {r[n]} is not {f[2]}")
                    break
    if not source.key:
        a, b = Counter(wanted), Counter(found)
        lost, extra = a - b, b - a
        out += [f"{name}: {n} times missing in the lake: {_show(r)}" for r, n in list(lost.items())[:SHOWN]]
        out += [f"{name}: {n} times too many in the lake: {_show(r)}" for r, n in list(extra.items())[:SHOWN]]
        return out
    at = [names.index(c) for c in source.key]

    def key(row):
        return tuple(row[i] for i in at)

    lake_by_key = {}
    for r in found:
        k = key(r)
        if any(v is None for v in k):
            out.append(f"{name}: a row with a null key: {_show(r)}")
        if k in lake_by_key:
            out.append(f"{name}: two rows with key {k}: {_show(lake_by_key[k])} and {_show(r)}")
        lake_by_key[k] = r
    source_by_key = {key(r): r for r in wanted}
    lost = [k for k in source_by_key if k not in lake_by_key]
    extra = [k for k in lake_by_key if k not in source_by_key]
    changed = []
    for k, r in source_by_key.items():
        other = lake_by_key.get(k)
        if other is not None and other != r:
            for c, x, y in zip(names, r, other):
                if x != y:
                    changed.append(f"{name} key {k} column {c}: source {_show(x)}, lake {_show(y)}")
    if lost:
        out.append(f"{name}: {len(lost)} of {len(source_by_key)} rows missing in the lake, e.g. keys {lost[:SHOWN]}")
    if extra:
        out.append(f"{name}: {len(extra)} rows in the lake that the source does not have, e.g. keys {extra[:SHOWN]}")
    out += changed[:SHOWN]
    if len(changed) > SHOWN:
        out.append(f"{name}: {len(changed) - SHOWN} more values differ")
    return out


def compare(sources, lake_rows, also_extra=True):
    """sources: list of Table; lake_rows: {(ns, name): Rows} of one instant. Raises with all differences."""
    out = []
    for t in sources:
        out += differences(t, lake_rows.get((t.namespace, t.name)))
    if also_extra:
        known = {(t.namespace, t.name) for t in sources}
        for key in lake_rows:
            if key not in known and not key[1].endswith("__history"):
                out.append(f"{key[0]}.{key[1]}: a dataset that the source has no table for")
    assert not out, "the lake differs from the source:\n  " + "\n  ".join(out)
    return sum(len(t.rows) for t in sources)
