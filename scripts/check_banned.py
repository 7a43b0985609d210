#!/usr/bin/env python3
"""Finds calls in src/ that are too easy to get wrong, and says what to use instead."""
import re
import sys
from pathlib import Path

BANNED = {
    "strcpy": "dm_xstrdup or snprintf", "strcat": "snprintf or struct dm_buffer", "strncpy": "snprintf or memcpy",
    "strncat": "snprintf or struct dm_buffer", "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets",
    "strtok": "strcspn and strspn", "atoi": "dm_value_int or strtoll with checks", "atol": "strtoll with checks",
    "atoll": "strtoll with checks", "atof": "strtod with checks", "rand": "getrandom", "srand": "getrandom",
    "random": "getrandom", "alloca": "malloc or struct dm_buffer", "tmpnam": "mkstemp", "mktemp": "mkstemp",
    "system": "posix_spawn", "popen": "posix_spawn", "asctime": "dm_clock_format_us", "ctime": "dm_clock_format_us",
    # they throw C++ exceptions for values that a file may hold, which end a C program
    "duckdb_get_varchar": "dm_value_text", "duckdb_value_to_string": "dm_value_text",
    "gmtime": "gmtime_r", "localtime": "localtime_r", "strerror_l": "strerror",
}
# what is shown goes through one function: in these folders only files that print our own words may do without
SHOWN = re.compile(r"(?<![\w>.])v?f?printf\s*\(")
OWN_WORDS = {"usage.c", "report_table.c", "json_output.c"}
EXIT = re.compile(r"(?<![\w>.])_?exit\s*\(")
CALL = re.compile(r"(?<![\w>.])(" + "|".join(BANNED) + r")\s*\(")
NOISE = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/|//[^\n]*', re.S)


def blank(match):
    """Comments and literals become spaces, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group())


def main():
    root = Path(__file__).resolve().parent.parent
    found = 0
    for path in sorted((root / "src").rglob("*.[ch]")):
        text = NOISE.sub(blank, path.read_text(encoding="utf-8"))
        name = path.relative_to(root)
        for number, line in enumerate(text.splitlines(), 1):
            for match in CALL.finditer(line):
                print(f"{name}:{number}: {match.group(1)} is banned; use {BANNED[match.group(1)]}")
                found += 1
            if SHOWN.search(line) and name.parts[1] in ("cli", "http", "mirror") and name.name not in OWN_WORDS:
                print(f"{name}:{number}: values are shown by dm_print")
                found += 1
            if EXIT.search(line) and name.parts[1] not in ("cli", "main.c") and "crash_point" not in name.name:
                print(f"{name}:{number}: no exit below cli/; return an error")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
