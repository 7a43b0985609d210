#!/usr/bin/env python3
"""Checks the #include lines of src/ against the layer table: includes point strictly downwards.

A folder may include itself, and the folders listed for it here. Prints file, line and rule of each breach.
"""
import re
import sys
from pathlib import Path

BASE = {"base"}
CONFIG = BASE | {"config"}
COLUMN = CONFIG | {"column"}
FORMAT = COLUMN | {"format"}
ENGINE = FORMAT | {"engine"}
# source/ and lake/ meet only through column/: neither may include the other.
SOURCE = COLUMN | {"source"}
LAKE = ENGINE | {"lake"}
APPLY = ENGINE | {"apply"}
REGISTRY = SOURCE | LAKE | APPLY | {"registry"}
MIRROR = REGISTRY | {"mirror"}

LAYERS = {
    "base": BASE,
    "config": CONFIG,
    "column": COLUMN,
    "format": FORMAT,
    "engine": ENGINE,
    "source": SOURCE,
    "lake": LAKE,
    "apply": APPLY,
    "registry": REGISTRY,
    "mirror": MIRROR,
    "http": MIRROR | {"http"},
    "cli": MIRROR | {"cli", "http"},
    ".": MIRROR | {"cli", "http"},  # main.c
}

# Headers of libraries that belong to one place: header prefix -> folders that may include it.
LIBRARIES = {
    "duckdb.h": {"engine"},
    "libpq-fe.h": {"source", "cli"},  # cli: the version of the library
    "lmdb.h": {"apply"},
    "yaml.h": {"config", "registry"},
    "microhttpd.h": {"http"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def check_file(root, path):
    relative = path.relative_to(root)
    folder = relative.parts[0] if len(relative.parts) > 1 else "."
    allowed = LAYERS.get(folder)
    if allowed is None:
        yield 1, f'folder "{folder}" is not in the layer table of scripts/check_includes.py'
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, header = match.groups()
        if bracket == "<":
            if header in LIBRARIES and folder not in LIBRARIES[header]:
                yield number, f"<{header}> belongs to {', '.join(sorted(LIBRARIES[header]))}/ only"
            continue
        target = header.split("/")[0]
        if "/" not in header or not (root / header).exists():
            if "/" not in header:
                yield number, f'"{header}": write the path from src/, as in "base/error.h"'
            else:
                yield number, f'"{header}": there is no such header in src/'
        elif target not in allowed:
            yield number, (f'{folder}/ may not include {target}/ ("{header}"); '
                           f"it may include {', '.join(sorted(allowed))}")


def main():
    root = Path(__file__).resolve().parent.parent / "src"
    breaches = 0
    names = {}
    for path in sorted(root.rglob("*.[ch]")):
        for number, message in check_file(root, path):
            print(f"src/{path.relative_to(root)}:{number}: {message}")
            breaches += 1
        other = names.setdefault(path.name, path)
        if other != path:
            print(f"src/{path.relative_to(root)}:1: the name {path.name} is taken by src/{other.relative_to(root)}; "
                  "file names are unique")
            breaches += 1
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
