"""Who goes with a row that is deleted with --related (docs/delete.md)."""


def parents_of(d, values):
    return {(ref.to, tuple(values.get(i) for i in ref.columns)) for ref in d.refs}


def now(d, key):
    """What the rows of a key refer to: the one that is there, else those that wait."""
    if key in d.rows:
        return [parents_of(d, d.rows[key])]
    return [parents_of(d, a.change.values) for a in d.aside if a.change is not None and a.key == key]


def family(model, d, keys):
    """{dataset: keys} that go, from parent to child, on and on. None where rows were given away or deleted earlier: how much the lake's past still
    knows of them depends on what was merged and expired meanwhile, which tests of their own look at; or where a row that is bad may refer to one."""
    gone, todo = {d.name: set(keys)}, [(d.name, k) for k in keys]
    while todo:
        parent = todo.pop()
        for child in model.datasets.values():
            if any(r.to == parent[0] for r in child.refs) and any(a.change is None for a in child.aside):
                return None
            known = {*child.rows, *child.referred, *(a.key for a in child.aside if a.change is not None)}
            for key in known:
                refers = now(child, key)
                ever = child.referred.get(key, set()).union(*refers)
                if parent not in ever or key in gone.get(child.name, ()):
                    continue
                if key in child.suppressed:
                    continue
                if not refers or any(parent not in r for r in refers) or ever != {parent}:
                    return None
                gone.setdefault(child.name, set()).add(key)
                todo.append((child.name, key))
    return gone
