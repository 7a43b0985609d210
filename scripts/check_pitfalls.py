#!/usr/bin/env python3
"""Checks that every test that docs/pitfalls.md names exists: the file, the function, and the words of parameters in brackets.

The last column of each row holds names in backquotes: `file::test`, `alias::test` (the page says "`alias` is `file`"), `file`, or `test`, which is then of
the file named before it in the row. `…` stands for any text.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/pitfalls.md"


def names(page):
    """(line, file below tests/, test or None) of everything that is named."""
    alias = dict(re.findall(r"`(\w+)`\s+is\s+`([\w/.]+)`", page))
    for number, line in enumerate(page.splitlines(), 1):
        if not line.startswith("|"):
            continue
        file = None
        for name in re.findall(r"`([^`]+)`", line.rsplit("|", 2)[-2]):
            left, colons, test = name.partition("::")
            if colons:
                file = alias.get(left, left)
                yield number, file, test
            elif name.endswith((".py", ".c")):
                file = name
                yield number, file, None
            elif file and (name.startswith(("test_", "[")) or (file.endswith(".c") and re.fullmatch(r"\w+", name))):
                yield number, file, name


def missing(file, test):
    """What of the name is not there; None: all is."""
    path = ROOT / file if file.startswith(("bench/", "scripts/")) else ROOT / "tests" / file.removeprefix("tests/")
    if not path.is_file():
        return f"there is no {path.relative_to(ROOT)}"
    text = path.read_text(encoding="utf-8")
    function, _, parameters = (test or "").partition("[")
    if function.endswith("…"):
        found = re.search(rf"\b{re.escape(function[:-1])}", text)
    else:
        found = re.search(rf"\b{re.escape(function)}\b", text)
    if not found:
        return f"{file} has no {function}"
    for word in re.findall(r"[a-z]\w+", parameters):
        if word not in text:
            return f"{file} has no parameter {word}"
    return None


def main():
    wrong = count = 0
    for number, file, test in names(PAGE.read_text(encoding="utf-8")):
        count += 1
        why = missing(file, test)
        if why:
            print(f"{PAGE.relative_to(ROOT)}:{number}: {why}")
            wrong = 1
    if count < 100:
        print(f"{PAGE.relative_to(ROOT)}: only {count} tests were found: has its form changed?")
        wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
