#!/usr/bin/env python3
"""DuckDB's header and library come from different packages and may be of different versions. A function of the stable C API keeps its form in all versions (the header
says which are: struct duckdb_ext_api_v1, up to the part marked unstable). What we use beyond those was compared by hand, with the library of the version named here."""
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPARED_WITH = "1.5.6-r.1"
COMPARED = {
    "duckdb_execute_prepared_streaming", "duckdb_prepared_statement_column_count", "duckdb_prepared_statement_column_logical_type",
    "duckdb_prepared_statement_column_name", "duckdb_value_varchar",
}


def main():
    package = json.loads((ROOT / "package.json").read_text())
    library = {**package.get("dependencies", {}), **package.get("optionalDependencies", {})}["@duckdb/node-bindings-linux-x64"]
    header = (ROOT / "node_modules/duckdb/src/duckdb/src/include/duckdb_extension.h").read_text()
    struct = header[header.index("// v1.2.0"):]
    stable = set(re.findall(r"\(\*(duckdb_\w+)\)", struct[:struct.index("#ifdef DUCKDB_EXTENSION_API_VERSION_UNSTABLE")]))
    declared = set(re.findall(r"\b(duckdb_\w+)\(", (ROOT / "node_modules/duckdb/src/duckdb/src/include/duckdb.h").read_text()))
    text = "".join(re.sub(r'"(?:\\.|[^"\\])*"|/\*.*?\*/', "", p.read_text(), flags=re.S) for p in (ROOT / "src").rglob("*.c"))
    used = set(re.findall(r"\b(duckdb_\w+)\b", text)) & declared
    found = 0
    for name in sorted(used - stable - COMPARED):
        print(f"{name} is not of DuckDB's stable API: compare its form in the library of {library}, then list it in scripts/check_duckdb.py")
        found += 1
    for name in sorted(COMPARED - (used - stable)):
        print(f"{name} needs not be listed in scripts/check_duckdb.py any more")
        found += 1
    if COMPARED and library != COMPARED_WITH:
        print(f"the library is of version {library}; the listed functions were compared with {COMPARED_WITH}: compare them again")
        found += 1
    return 1 if found or not used or not stable else 0


if __name__ == "__main__":
    sys.exit(main())
