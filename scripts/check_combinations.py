#!/usr/bin/env python3
"""Checks docs/combinations.md: every pair of the features that its first table names has exactly one row, with a rule and a test that exists, or "independent"."""
import itertools
import re
import sys

import check_pitfalls

PAGE = check_pitfalls.ROOT / "docs/combinations.md"


def rows(text):
    """The cells of the lines of a table, without its head."""
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("|") and not set(line) <= set("|-") and cells[0] not in ("feature", "with"):
            yield cells


def faults(page):
    head, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    features = [cells[0] for cells in rows(head)]
    found = []
    for section in sections:
        name, _, text = section.partition("\n")
        for cells in rows(text):
            found.append(frozenset((name.strip(), cells[0])))
            if len(cells) != 3 or not cells[1]:
                yield f"{name} with {cells[0]}: no rule"
            elif "`" not in cells[2] and not cells[1].startswith("independent"):
                yield f"{name} with {cells[0]}: no test"
    for pair in map(frozenset, itertools.combinations(features, 2)):
        if found.count(pair) != 1:
            yield f"{' with '.join(sorted(pair))}: {found.count(pair)} rows"
    for pair in set(found) - set(map(frozenset, itertools.combinations(features, 2))):
        yield f"{' with '.join(sorted(pair))}: no such features"


def main():
    page = PAGE.read_text(encoding="utf-8")
    wrong = list(faults(page))
    for number, file, test in check_pitfalls.names(page):
        why = check_pitfalls.missing(file, test)
        if why:
            wrong.append(f"line {number}: {why}")
    for w in wrong:
        print(f"{PAGE.relative_to(check_pitfalls.ROOT)}: {w}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
