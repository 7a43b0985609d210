"""Every Parquet physical and logical type × {least, greatest, one beyond, null, NaN, more digits than anything holds} into every column type.

What is right is computed here, from the numbers that are in the file (integers of any size, Decimal), not by the program; that the numbers mean what this
page takes them for is checked against PyArrow. Read back by PyIceberg.
"""
import datetime
import json
import struct
import urllib.request
from decimal import Context, Decimal
from fractions import Fraction

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle import parquet_file as f
from oracle import process, values
from oracle.mirror import Mirror
from test_http_push import free_port

MIN32, MAX32, MIN64, MAX64 = -2**31, 2**31 - 1, -2**63, 2**63 - 1
DAY = 86400
EXACT = Context(prec=3000)
REFUSED = "the whole file"
UNIT = {"ms": 1000, "us": 10**6, "ns": 10**9}
DECIMALS = {"decimal(38,0)": (38, 0), "decimal(38,10)": (38, 10), "decimal(9,2)": (9, 2)}
TARGETS = ["boolean", "int", "long", "float32", "double", *DECIMALS, "date", "time", "timestamp", "timestamptz", "timestamp_ns", "string", "binary", "uuid"]


def big_endian(n, size):
    return n.to_bytes(size, "big", signed=True)


# ---- sources: name → (physical type, length, annotation, values, meaning); a meaning is (kind, …) of a value ----

def integers(physical, annotation, numbers, bits=None):
    """bits: the number is unsigned, of so many."""
    return physical, None, annotation, numbers, lambda v: ("number", Fraction(v % 2**bits if bits else v), None)


def scaled(physical, annotation, numbers, length=None):
    def meaning(v):
        if physical in (f.BYTE_ARRAY, f.FIXED):
            if v == b"" or len(v) > 1024:
                return ("none", "value_out_of_range")
            v = int.from_bytes(v, "big", signed=True)
        return ("number", Fraction(v) / Fraction(10)**annotation.scale, annotation.scale)
    return physical, length, annotation, numbers, meaning


def moments(unit, utc, annotation=None):
    base = 1_700_000_000 * UNIT[unit]
    numbers = [0, 1, -1, base, base + 1, -62135596800 * UNIT[unit] - 1 if unit != "ns" else -7, DAY * UNIT[unit], MIN64, MIN64 + 1, MIN64 + 2, MAX64, MAX64 - 1]
    return f.INT64, None, annotation or f.timestamp(unit, utc), numbers, lambda v: ("moment", v, unit, utc)


def times(unit, utc, annotation=None):
    physical, beyond = (f.INT32, [MAX32, MIN32]) if unit == "ms" else (f.INT64, [MAX64, MIN64])
    day = DAY * UNIT[unit]
    numbers = [0, 1, day // 2 + 7, day - 1, day, day + 1, -1, *beyond]
    return physical, None, annotation or f.time(unit, utc), numbers, lambda v: ("time", v, unit, utc)


def old_stamp(ns_of_day, julian):
    return struct.pack("<qI", ns_of_day, julian)


FLOATS = [0.0, -0.0, 1.0, 0.5, -1.5, 1e10, 123456.789, float("nan"), float("inf"), float("-inf")]
NUMBERS = {
    "i32": integers(f.INT32, f.Logical(), [0, 1, -1, MIN32, MAX32]),
    "i64": integers(f.INT64, f.Logical(), [0, 1, -1, MIN32 - 1, MAX32 + 1, MIN64, MAX64]),
    "i8": integers(f.INT32, f.integer(8, True), [0, 127, -128, 128, 300]),
    "i16": integers(f.INT32, f.integer(16, True), [0, 32767, -32768, 32768]),
    "i32_said": integers(f.INT32, f.integer(32, True), [0, MIN32, MAX32]),
    "i64_said": integers(f.INT64, f.integer(64, True), [1, MIN64, MAX64]),
    "u8": integers(f.INT32, f.integer(8, False), [0, 255, 256], 32),
    "u16": integers(f.INT32, f.integer(16, False), [0, 65535, 65536], 32),
    "u32": integers(f.INT32, f.integer(32, False), [0, 1, MAX32, -1, MIN32], 32),
    "u64": integers(f.INT64, f.integer(64, False), [0, 1, MAX64, -1, MIN64], 64),
    "d4": scaled(f.INT32, f.decimal(4, 2), [0, 1, -150, 9999, 99999, MAX32, MIN32]),
    "d9": scaled(f.INT32, f.decimal(9, 2), [0, 100, -150, 10**9 - 1, MAX32, MIN32]),
    "d9_64": scaled(f.INT64, f.decimal(9, 2), [100, 10**9, 2**33, MIN64]),
    "d18": scaled(f.INT64, f.decimal(18, 4), [0, 10000, 12345, 10**18 - 1, MAX64, MIN64]),
    "d5_3bytes": scaled(f.FIXED, f.decimal(5, 0), [big_endian(n, 3) for n in (0, 1, -1, 99999, 100000, 2**23 - 1, -2**23)], 3),
    "d5_9bytes": scaled(f.FIXED, f.decimal(5, 0), [big_endian(n, 9) for n in (1, 2**33, -2**71)], 9),
    "d38": scaled(f.FIXED, f.decimal(38, 10), [big_endian(n, 16) for n in (0, 10**10, -15 * 10**9, 10**38 - 1, 10**38, 2**127 - 1, -2**127)], 16),
    "d39": scaled(f.FIXED, f.decimal(39, 0), [big_endian(n, 17) for n in (1, 12345678901234567890, 10**38 - 1, 10**38, 1 - 10**38, 10**39 - 1, -2**135)], 17),
    "d76": scaled(f.FIXED, f.decimal(76, 38), [big_endian(n, 32) for n in (0, 10**38, 3 * 10**37, 10**76 - 1, 1, 2**255 - 1, -2**255)], 32),
    "d_bytes": scaled(f.BYTE_ARRAY, f.decimal(10, 2), [b"\x64", b"", b"\xff\x9c", b"\0" * 40 + b"\x64", big_endian(10**10, 6), big_endian(-10**2000, 900)]),
    "d_old": scaled(f.BYTE_ARRAY, f.Logical(5, 2, 10), [b"\x64", b"\xff\x9c"]),
    "f32": (f.FLOAT, None, f.Logical(), [struct.unpack("<f", struct.pack("<f", v))[0] for v in FLOATS] + [3.4028234663852886e38, 1.401298464324817e-45],
            lambda v: ("float", v, 4)),
    "f64": (f.DOUBLE, None, f.Logical(), [*FLOATS, 1.7976931348623157e308, 5e-324, 1e-50, 0.1, 1e16, 1e15], lambda v: ("float", v, 8)),
    "f16": (f.FIXED, 2, f.FLOAT16, [struct.pack("<e", v) for v in (0.0, -0.0, 1.0, 0.5, 65504.0, 5.960464477539063e-08, float("nan"), float("-inf"))],
            lambda v: ("float", struct.unpack("<e", v)[0], 4)),
}
SOURCES = {
    **NUMBERS,
    "bool": (f.BOOLEAN, None, f.Logical(), [True, False], lambda v: ("bool", v)),
    "date": (f.INT32, None, f.DATE, [0, -1, -719529, 2932897, MIN32, MIN32 + 1, MIN32 + 2, MAX32, MAX32 - 1], lambda v: ("date", v)),
    **{f"time_{unit}{'_utc' if utc else ''}": times(unit, utc) for unit in UNIT for utc in (False, True)},
    "time_ms_old": times("ms", False, f.Logical(7)), "time_us_old": times("us", False, f.Logical(8)),
    **{f"ts_{unit}{'_utc' if utc else ''}": moments(unit, utc) for unit in UNIT for utc in (False, True)},
    "ts_ms_old": moments("ms", False, f.Logical(9)), "ts_us_old": moments("us", False, f.Logical(10)),
    "int96": (f.INT96, None, f.Logical(), [old_stamp(0, 2440588), old_stamp(1, 2440588), old_stamp(1000, 2440588), old_stamp(MIN64, 0), old_stamp(MAX64, 2**32 - 1),
                                           old_stamp(0, 2440589)],
              lambda v: ("moment", (struct.unpack("<qI", v)[1] - 2440588) * DAY * 10**9 + struct.unpack("<qI", v)[0], "int96", False)),
    "bytes": (f.BYTE_ARRAY, None, f.Logical(), [b"", b"\0", b"\xff" * 40], lambda v: ("bytes", v)),
    "fixed": (f.FIXED, 3, f.Logical(), [b"\0\0\0", b"\xff" * 3], lambda v: ("bytes", v)),
    "bson": (f.BYTE_ARRAY, None, f.BSON, [b"\x05\0\0\0\0", b"\xff"], lambda v: ("bytes", v)),
    "uuid": (f.FIXED, 16, f.UUID, [bytes(16), b"\xff" * 16, bytes(range(16))], lambda v: ("uuid", v)),
    "interval": (f.FIXED, 12, f.INTERVAL, [bytes(12), b"\xff" * 12, struct.pack("<III", 14, 1, 3_723_004)], lambda v: ("interval", v)),
}
# their presence makes DuckDB refuse a file, which is read in another way then
TEXTS = {name: (f.BYTE_ARRAY, None, annotation, [b"", b"12", b"x", "é".encode(), b"\xff"], lambda v: ("text", v))
         for name, annotation in (("text", f.STRING), ("enum", f.ENUM), ("json", f.JSON))}


# one of each family, for what is refused as a whole; a third of them each turn
FAMILIES = ["i8", "d39", "f16", "bool", "date", "time_us", "time_ns_utc", "ts_us", "ts_ms_utc", "ts_ns", "int96", "bytes", "bson", "uuid", "interval"]

# ---- what becomes of a value: (value,) or a reason ----

def number_text(x, scale):
    if scale is None:
        return str(x.numerator)
    whole = abs(x * 10**scale)
    digits = f"{whole.numerator:0{scale + 1}d}" if scale > 0 else str(whole.numerator)
    return ("-" if x < 0 else "") + (f"{digits[:-scale]}.{digits[-scale:]}" if scale > 0 else digits)


def float_text(v, size):
    if v != v or v in (float("inf"), float("-inf")):
        return {"nan": "nan", "inf": "inf", "-inf": "-inf"}[str(v)]
    if size == 4:
        digits = next(d for d in range(1, 10) if struct.pack("<f", float(f"{v:.{d}g}")) == struct.pack("<f", v)) if abs(v) < 3.4e38 else 9
        v = float(f"{v:.{digits}g}") if abs(v) < 3.4e38 else 3.4028235e38
    return repr(v)


def calendar(days):
    """ISO, of any year: 400 years are 146097 days."""
    eras, rest = divmod(days + 719162, 146097)
    date = datetime.date.fromordinal(rest + 1)
    year = date.year + 400 * eras
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04d}-{date.month:02d}-{date.day:02d}"


def clock(seconds):
    whole = seconds.numerator // seconds.denominator
    part = seconds - whole
    text = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return text + (f".{int(part * 10**9):09d}".rstrip("0") if part else "")


def to_number(x, target, text):
    """A number with a finite spelling into a column of numbers."""
    if target == "boolean":
        return (text == "1",) if text in ("0", "1") else "wrong_type"
    if target in ("int", "long"):
        bits = 31 if target == "int" else 63
        return (int(x),) if x.denominator == 1 and -2**bits <= x < 2**bits else "value_out_of_range"
    if target in DECIMALS:
        precision, scale = DECIMALS[target]
        unscaled = x * 10**scale
        if unscaled.denominator != 1 or abs(unscaled) >= 10**precision:
            return "value_out_of_range"
        return (Decimal(unscaled.numerator).scaleb(-scale, EXACT),)
    if target in ("float32", "double"):
        try:
            v = float(x) if target == "double" else float(Fraction(*nearest_single(x)))
        except OverflowError:
            return "value_out_of_range"
        if x != 0 and v == 0:
            return "value_out_of_range"
        return (values.float_bits(-0.0 if text.startswith("-") and v == 0 else v, 4 if target == "float32" else 8),)
    return (text,) if target == "string" else REFUSED


def nearest_single(x):
    import numpy as np
    with np.errstate(over="ignore"):
        v = np.float32(float(x))
    if np.isinf(v):
        raise OverflowError
    return float(v).as_integer_ratio()


def from_float(v, size, target):
    text = float_text(v, size)
    if target == "double" or (target == "float32" and size == 4):
        return (values.float_bits(v, 4 if target == "float32" else 8),)
    if target not in ("string", "boolean", "int", "long", "float32", *DECIMALS):
        return REFUSED
    if v != v or v in (float("inf"), float("-inf")):
        return (text,) if target == "string" else (values.float_bits(v, 4),) if target == "float32" else "wrong_type"
    if target == "float32":
        return to_number(Fraction(v), target, text) if v != 0 else (values.float_bits(v, 4),)
    return to_number(Fraction(text), target, text)


def from_moment(v, unit, utc, target):
    infinite = unit == "us" and abs(v) == MAX64
    if target not in ("timestamp", "timestamptz", "timestamp_ns", "date", "string") or (utc and target in ("timestamp", "date")):
        return REFUSED
    if v == MIN64 and unit != "int96":
        return "value_out_of_range"
    if infinite:
        return (("infinity" if v > 0 else "-infinity"),)
    x = Fraction(v, UNIT[{"int96": "ns"}.get(unit, unit)])
    if target == "string":
        day, rest = divmod(x, DAY)
        return (f"{calendar(day)} {clock(rest)}{'+00' if utc else ''}",)
    if target == "date":
        return (int(x / DAY),) if x % DAY == 0 and abs(x / DAY) < MAX32 else "value_out_of_range"
    count = x * (10**9 if target == "timestamp_ns" else 10**6)
    if unit == "ns" and target == "timestamp_ns" and abs(v) == MAX64:        # the very number
        return (("infinity" if v > 0 else "-infinity"),)
    return (int(count),) if count.denominator == 1 and abs(count) < MAX64 else "value_out_of_range"


def from_time(v, unit, utc, target):
    if target not in ("time", "string"):
        return REFUSED
    x = Fraction(v, UNIT[unit])
    if not 0 <= x <= DAY:
        return "value_out_of_range"
    if target == "string":
        return (clock(x) + ("+00" if utc else ""),)
    return (int(x * 10**6),) if (x * 10**6).denominator == 1 else "value_out_of_range"


def from_date(v, target):
    if target not in ("date", "timestamp", "timestamptz", "timestamp_ns", "string"):
        return REFUSED
    if v == MIN32:
        return "value_out_of_range"
    if abs(v) == MAX32:
        return (("infinity" if v > 0 else "-infinity"),)
    if target == "string":
        return (calendar(v),)
    if target == "date":
        return (v,)
    count = v * DAY * (10**9 if target == "timestamp_ns" else 10**6)
    return (count,) if abs(count) < MAX64 else "value_out_of_range"


def from_text(v, target):
    if target == "string":
        return "invalid_utf8" if v == b"\xff" else (v.decode(),)
    if target == "binary" and v in (b"", b"12"):
        return (v.decode(),)
    numbers = {"int": (12,), "long": (12,), "float32": (values.float_bits(12.0, 4),), "double": (values.float_bits(12.0, 8),)}
    if v == b"12" and target in numbers:
        return numbers[target]
    return (Decimal(12),) if v == b"12" and target in DECIMALS else "wrong_type"


def interval_text(v):
    months, days, millis = struct.unpack("<III", v)
    parts = [f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in ((months // 12, "year"), (months % 12, "month"), (days, "day")) if n]
    return " ".join(parts + ([clock(Fraction(millis, 1000))] if millis or not parts else []))


def expected(meaning, target):
    kind, *rest = meaning
    if kind == "none":
        return rest[0] if target in ("string", "boolean", "int", "long", "float32", "double", *DECIMALS) else REFUSED
    if kind == "number":
        return to_number(rest[0], target, number_text(*rest))
    if kind == "float":
        return from_float(*rest, target)
    if kind == "moment":
        return from_moment(*rest, target)
    if kind == "time":
        return from_time(*rest, target)
    if kind == "date":
        return from_date(*rest, target)
    if kind == "text":
        return from_text(*rest, target)
    (v,) = rest
    here = {"bool": {"boolean": lambda: v, "string": lambda: str(v).lower()}, "bytes": {"binary": lambda: v.hex()},
            "uuid": {"uuid": lambda: v.hex(), "string": lambda: "-".join(v.hex()[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))},
            "interval": {"string": lambda: interval_text(v)}}[kind]
    return (here[target](),) if target in here else REFUSED


# ---- the files ----

def rows_of(sources, first):
    """(id, source, value, meaning or None) of every value of every source, and of one null each."""
    rows = []
    for name, (_, _, _, numbers, meaning) in sources.items():
        rows += [(first + len(rows) + i, name, v, meaning(v)) for i, v in enumerate(numbers)]
        rows.append((first + len(rows), name, None, None))
    return rows


def column(name, source, vs, **kwargs):
    physical, length, annotation, _, _ = source
    return f.Column(name, physical, vs, annotation, length, **kwargs)


def content(sources, rows, dictionary=False, **options):
    columns = [f.Column("id", f.INT64, [r[0] for r in rows]), f.Column("v", f.INT64, [1] * len(rows))]
    for name, source in sources.items():
        if name in {r[1] for r in rows}:
            columns.append(column(name, source, [r[2] if r[1] == name else None for r in rows], dictionary=dictionary and source[0] != f.BOOLEAN))
    return f.content(columns, **options)


class Parquet(Mirror):
    def __init__(self, folder):
        self.port = free_port()
        super().__init__(folder, "", f"http: 127.0.0.1:{self.port}\ncommit_interval: 50ms")

    def run(self, *arguments, code=0):
        p = self.with_config(*[str(a) for a in arguments])
        assert p.returncode in (code if isinstance(code, tuple) else (code,)), f"{arguments}: code {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p.stdout

    def declare(self, schema):
        (self.folder / "schema.yaml").write_text(schema)
        self.run("schema", "apply", self.folder / "schema.yaml")

    def put(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def ingest(self, dataset, *paths, code=(0, 6, 7)):
        return json.loads(self.run("ingest", dataset, *paths, "--json", code=code))["files"]

    def quarantined(self, dataset):
        return [json.loads(line) for line in self.run("quarantine", "show", dataset, "--json", "--limit", "0").splitlines()]


@pytest.fixture
def mirror(folder):
    m = Parquet(folder)
    yield m
    m.kill()


def table_of(target):
    return "".join(c if c.isalnum() else "_" for c in target)


def test_matrix(mirror):
    everything = {**SOURCES, **TEXTS}
    plan, schema = {}, "schemas:\n"
    for target in TARGETS:
        fits = {n: s for n, s in everything.items() if expected(s[4](s[3][0]), target) != REFUSED}
        assert all((expected(s[4](v), target) == REFUSED) == (n not in fits) for n, s in everything.items() for v in s[3]), "a type is refused, not a value"
        plan[target] = fits
        schema += f"  - name: t.{table_of(target)}\n    columns:\n      id: int64 key\n      v: int64 version\n"
        schema += "".join(f"      {n}: {target}\n" for n in everything)
    mirror.declare(schema)
    wrong = []
    for turn, (target, fits) in enumerate(plan.items()):
        plain = {n: s for n, s in fits.items() if n not in TEXTS}
        a, b, c = rows_of(plain, 0), rows_of(plain, 10_000), rows_of(fits, 20_000)
        paths = [mirror.put("a.parquet", content(fits, a)), mirror.put("b.parquet", content(fits, b, dictionary=True, v2=True, crc=True)),
                 mirror.put("c.parquet", content(fits, c))]      # c is read without any conversion of DuckDB's, if it holds a text that is none
        refused = [n for n in FAMILIES[turn % 3::3] if n not in fits]
        paths += [mirror.put(f"{n}.no.parquet", content({n: everything[n]}, rows_of({n: everything[n]}, 50_000))) for n in refused]
        files = mirror.ingest(f"t.{table_of(target)}", *paths)
        assert len(files) == len(paths)
        for name, file in zip(["a", "b", "c"] + refused, files):
            if (file["error"] is None) != (len(name) == 1):
                wrong.append(f"{name} into {target}: {file['error']}")
            elif file["error"] is not None and f'column "{name}" is' not in file["error"]["message"]:
                wrong.append(f"{name} into {target} is refused with {file['error']['message']}")
        found = mirror.lake.dataset("t", table_of(target))
        lake = {row[found.columns.index("id")]: dict(zip(found.columns, row)) for row in found.rows}
        bad = {int(q["key"]): q["reason"] for q in mirror.quarantined(f"t.{table_of(target)}")}
        for number, name, v, meaning in a + b + c:
            want = (None,) if meaning is None else expected(meaning, target)
            got = bad.get(number) if number not in lake else (lake[number][name],)
            if got != want:
                wrong.append(f"{name} {v!r} into {target}: {got}, not {want}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:60])


def test_pyarrow_reads_these_numbers_so(folder):
    """What this page takes the numbers for is what PyArrow makes of them, where it can."""
    def arrow(name, source, v):
        path = folder / f"{name}.parquet"
        path.write_bytes(f.content([column("x", source, [v, None])]))
        found = pq.read_table(path).column(0).combine_chunks()
        if isinstance(found, pa.ExtensionArray):
            found = found.storage
        return found
    checked = 0
    for name, source in SOURCES.items():
        if name in ("i8", "i16", "u8", "u16", "interval", "bson"):       # it cuts to 8 bits; it has no such type
            continue
        for v in source[3]:
            kind, *rest = source[4](v)
            if kind == "none" or (kind == "number" and rest[1] is not None and abs(rest[0]) * 10**rest[1] >= 10**source[2].precision):
                continue
            if name == "int96" and abs(rest[0]) > 2**63:
                continue
            if name == "d_bytes" and not 0 < len(v) <= 16:
                continue
            found = arrow(name, source, v)
            assert found[1].as_py() is None
            if kind in ("moment", "time", "date"):
                bits = pa.int32() if kind == "date" or rest[1] == "ms" and kind == "time" else pa.int64()
                assert found.cast(bits)[0].as_py() == rest[0], (name, v)
                if kind == "moment" and not name.endswith("_old"):      # PyArrow takes those for UTC, DuckDB and this program for no zone at all
                    assert (found.type.unit, found.type.tz is not None) == ({"int96": "ns"}.get(rest[1], rest[1]), rest[2]), name
                if kind == "time":
                    assert found.type.unit == rest[1]
            elif kind == "number":
                assert Fraction(found[0].as_py()) == rest[0], (name, v)
            elif kind == "float":
                assert found[0].as_py() == rest[0] or rest[0] != rest[0], (name, v)
            else:
                assert found[0].as_py() == rest[0], (name, v)
            checked += 1
    assert checked > 150


LISTS = {"list<long>": ["i64", "u64", "d39"], "list<decimal(38,10)>": ["d38", "d39", "d76", "i64", "f64"], "list<timestamp>": ["ts_ms", "ts_us", "ts_ns", "int96", "date"],
         "list<timestamp_ns>": ["ts_ns", "ts_ns_utc", "ts_ms_utc"], "list<time>": ["time_ms", "time_us", "time_ns_utc"], "list<date>": ["date"],
         "list<string>": ["ts_ms", "time_us", "d39", "uuid", "text"], "list<double>": ["f64", "f16"], "list<uuid>": ["uuid"], "list<boolean>": ["bool"]}


def test_lists(mirror):
    everything = {**SOURCES, **TEXTS}
    mirror.declare("schemas:\n" + "".join(f"  - name: t.l{i}\n    columns:\n      id: int64 key\n      v: int64 version\n" + "".join(f"      {n}: \"{t}\"\n" for n in names)
                                          for i, (t, names) in enumerate(LISTS.items())))
    wrong = []
    for i, (target, names) in enumerate(LISTS.items()):
        element = target[5:-1]
        rows = []
        for name in names:
            good = next(v for v in everything[name][3] if isinstance(expected(everything[name][4](v), element), tuple))
            rows += [(name, [v, good, v]) for v in everything[name][3]] + [(name, []), (name, None)]
        columns = [f.Column("id", f.INT64, list(range(len(rows)))), f.Column("v", f.INT64, [1] * len(rows))]
        columns += [column(n, everything[n], [vs if name == n else None for name, vs in rows], repeated=True) for n in names]
        (file,) = mirror.ingest(f"t.l{i}", mirror.put("l.parquet", f.content(columns, v2=i % 2 == 1)))
        assert file["error"] is None, (target, file["error"])
        found = mirror.lake.dataset("t", f"l{i}")
        lake = {row[found.columns.index("id")]: dict(zip(found.columns, row)) for row in found.rows}
        bad = {int(q["key"]): q["reason"] for q in mirror.quarantined(f"t.l{i}")}
        for number, (name, vs) in enumerate(rows):
            each = [] if not vs else [expected(everything[name][4](v), element) for v in vs]
            reason = next((e for e in each if not isinstance(e, tuple)), None)
            want = reason if reason else (None if vs is None else tuple(e[0] for e in each),)
            got = bad.get(number) if number not in lake else (lake[number][name],)
            if got != want:
                wrong.append(f"{name} {vs!r} into {target}: {got}, not {want}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:60])


def test_once_fatal_values_by_every_way_in(mirror):
    """NaT, whole rows around it: by `ingest`, by a push, from a watched folder; then every command that shows what is there."""
    inbox = mirror.folder / "inbox"
    inbox.mkdir()
    kinds = {"s": "string", "d": "date", "n": "timestamp_ns", "t": "timestamp"}
    mirror.declare("schemas:\n" + "".join(f"  - {{name: t.{way}, columns: {{id: int64 key, v: int64 version, {', '.join(f'{k}: {t}' for k, t in kinds.items())}}}}}\n"
                                          for way in ("file", "push", "folder", "query")))

    def file_of(unit):
        """A row each with NaT in one column, and a good one."""
        rows = len(kinds) + 1
        columns = [f.Column("id", f.INT64, list(range(rows))), f.Column("v", f.INT64, [1] * rows)]
        columns += [f.Column(k, f.INT64, [MIN64 if i == at else 86_400 * UNIT[unit] for i in range(rows)], f.timestamp(unit, False)) for at, k in enumerate(kinds)]
        return f.content(columns)
    good = [{"id": 4, "v": 1, "s": "1970-01-02 00:00:00", "d": 1, "n": DAY * 10**9, "t": DAY * 10**6}]
    units = {"file": "us", "push": "ms", "folder": "ns"}
    (file,) = mirror.ingest("t.file", mirror.put("file.parquet", file_of("us")), code=7)
    assert (file["upserted"], file["quarantined"]) == (1, 4)
    # a query that reads the file itself gets DuckDB's types of it
    mirror.run("sql", f"insert into t.query select * from read_parquet('{mirror.folder}/file.parquet')", code=(0, 7))
    mirror.config.write_text(mirror.config.read_text() + f"  drops:\n    type: files\n    path: {inbox}\n    dataset: t.folder\n    pattern: \"*\"\n")
    (inbox / "a.parquet").write_bytes(file_of(units["folder"]))
    mirror.start()

    def push():
        request = urllib.request.Request(f"http://127.0.0.1:{mirror.port}/v1/datasets/t.push/changes", method="POST", data=file_of(units["push"]),
                                         headers={"Content-Type": "application/vnd.apache.parquet"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.URLError as e:
            if isinstance(e.reason, ConnectionRefusedError):
                return None
            raise
    answer = process.poll(push, 20, "the server", context=mirror.log_tail)
    assert (answer["upserted"], answer["quarantined"]) == (1, 4)
    process.poll(lambda: mirror.lake.dataset("t", "folder").rows, 20, "the dropped file", context=mirror.log_tail)
    mirror.check_alive()
    for way in ("file", "push", "folder", "query"):
        assert mirror.lake.dataset("t", way).dicts() == good, way
        bad = mirror.quarantined(f"t.{way}")
        assert {q["reason"] for q in bad} == {"value_out_of_range"} and len(bad) == 4, (way, bad)
        assert all("NaT" in q["message"] or "hold" in q["message"] for q in bad), bad
        assert all(json.loads(q["raw"])["v"] == 1 for q in bad)
        mirror.run("query", f"select * from t.{way}")
        mirror.run("quarantine", "show", f"t.{way}")
    mirror.stop()


def test_values_that_the_engine_cannot_print(mirror):
    """Whatever a query makes is printed, or refused in words; nothing of it ends the process."""
    odd = ["make_timestamp_ns(-9223372036854775806)", "'infinity'::timestamptz", "'-infinity'::date", "'24:00:00'::time",
           "date '5877642-06-25 (BC)'", "interval '-178000000 years -3 days 04:05:06.5'", "'nan'::double", "-0.0::float", "'00:00:00+15:59:59'::timetz",
           "340282366920938463463374607431768211455::uhugeint", "'infinity'::timestamp_s", "make_timestamp_ms(-9223372036854775)", "'290000-01-01'::timestamp_ms",
           "99999999999999999999999999999999999999::decimal(38,0)"]
    mirror.declare("schemas:\n  - {name: t.x, columns: {id: int64 key, v: int64 version}}\n")
    for how in ("table", "csv", "json"):
        out = mirror.run("query", "select " + ", ".join(f"{x} as c{i}" for i, x in enumerate(odd)), "--format", how)
        assert "infinity" in out and "340282366920938463463374607431768211455" in out and "(BC)" in out or how == "json", out


def test_decimals_of_more_digits_than_a_column_holds(mirror):
    """By PyArrow's own writer: exact where it fits, else in quarantine with all digits."""
    mirror.declare("schemas:\n  - {name: t.d, columns: {id: int64 key, v: int64 version, d: \"decimal(38,0)\", s: string}}\n")
    numbers = [Decimal(1), Decimal(12345678901234567890), Decimal(10**38 - 1), Decimal(10**38), None]
    table = pa.table({"id": pa.array(range(5), pa.int64()), "v": pa.array([1] * 5, pa.int64()), "d": pa.array(numbers, pa.decimal256(39, 0)),
                      "s": pa.array(numbers, pa.decimal256(39, 0))})
    pq.write_table(table, mirror.folder / "d.parquet")
    (file,) = mirror.ingest("t.d", mirror.folder / "d.parquet", code=7)
    assert (file["upserted"], file["quarantined"]) == (4, 1)
    found = {r["id"]: (r["d"], r["s"]) for r in mirror.lake.dataset("t", "d").dicts()}
    assert found == {i: (n, None if n is None else str(n)) for i, n in enumerate(numbers) if i != 3}
    (bad,) = mirror.quarantined("t.d")
    assert bad["reason"] == "value_out_of_range" and json.loads(bad["raw"], parse_int=str)["d"] == str(10**38)


def test_nested_values_keep_their_digits(mirror):
    """Structs and maps become JSON: what is inside is as exact, and NaT inside is no time either."""
    mirror.declare("schemas:\n  - {name: t.n, columns: {id: int64 key, v: int64 version, s: string, m: string}}\n")
    big = Decimal(12345678901234567890123456789012345678901)
    inner = pa.struct([("d", pa.decimal256(41, 0)), ("t", pa.timestamp("ms", "UTC")), ("n", pa.timestamp("ns", "UTC")), ("c", pa.time64("ns")), ("i", pa.int8())])
    rows = [{"d": big, "t": 1, "n": 1_700_000_000_123_456_789, "c": 1, "i": -128}, {"d": None, "t": MIN64, "n": None, "c": None, "i": None}]
    s = pa.StructArray.from_arrays([pa.array([r["d"] for r in rows], pa.decimal256(41, 0)), pa.array([r["t"] for r in rows], pa.int64()).cast(pa.timestamp("ms", "UTC")),
                                    pa.array([r["n"] for r in rows], pa.timestamp("ns", "UTC")), pa.array([r["c"] for r in rows], pa.int64()).cast(pa.time64("ns")),
                                    pa.array([r["i"] for r in rows], pa.int8())], fields=list(inner))
    m = pa.array([[("a", big)], None], pa.map_(pa.string(), pa.decimal256(41, 0)))
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.int64()), "v": pa.array([1, 1], pa.int64()), "s": s, "m": m}), mirror.folder / "n.parquet")
    (file,) = mirror.ingest("t.n", mirror.folder / "n.parquet", code=7)
    assert (file["upserted"], file["quarantined"]) == (1, 1)
    (row,) = mirror.lake.dataset("t", "n").dicts()
    assert json.loads(row["s"], parse_int=str) == {"d": str(big), "t": "1970-01-01T00:00:00.001Z", "n": "2023-11-14T22:13:20.123456789Z", "c": "00:00:00.000000001", "i": "-128"}
    assert json.loads(row["m"], parse_int=str) == [{"key": "a", "value": str(big)}]
    assert [q["reason"] for q in mirror.quarantined("t.n")] == ["value_out_of_range"]


def test_a_delete_needs_its_key_and_version_only(mirror):
    """Values of a deleted row may be anything; its key may not."""
    mirror.declare("schemas:\n  - {name: t.d, columns: {id: timestamp key, v: int64 version, t: timestamp, c: time, l: \"list<timestamp>\", n: timestamp_ns}}\n")

    def rows(ids, version, kinds, at):
        n = len(ids)
        us = f.timestamp("us", False)
        return f.content([f.Column("id", f.INT64, ids, us), f.Column("v", f.INT64, [version] * n), f.Column("t", f.INT64, [at] * n, us),
                          f.Column("c", f.INT64, [at] * n, f.time("us", False)), f.Column("l", f.INT64, [[at, 1]] * n, us, repeated=True),
                          f.Column("n", f.INT64, [at] * n, f.timestamp("ms", False)), f.Column("_change_request_type", f.BYTE_ARRAY, kinds, f.STRING)])
    (file,) = mirror.ingest("t.d", mirror.put("a.parquet", rows([1, 2, 3], 1, [b"u"] * 3, 5)), code=0)
    assert file["upserted"] == 3
    (file,) = mirror.ingest("t.d", mirror.put("b.parquet", rows([1, 2, MIN64], 2, [b"d", b"u", b"d"], MIN64)), code=7)
    assert (file["deleted"], file["upserted"], file["quarantined"]) == (1, 0, 2)
    assert sorted(r["id"] for r in mirror.lake.dataset("t", "d").dicts()) == [2, 3]
    assert {q["reason"] for q in mirror.quarantined("t.d")} == {"value_out_of_range"}


def test_columns_of_nulls_and_of_unknown_annotations(mirror):
    """A column of the null type is for every column; an annotation that nobody knows leaves bytes, which are for binary ones."""
    mirror.declare("schemas:\n" + "".join(f"  - {{name: t.u{i}, columns: {{id: int64 key, v: int64 version, x: {t}}}}}\n" for i, t in enumerate(("timestamp", "binary", "string"))))
    nothing, geometry = (f.Logical(logical=f.Struct([(n, f.Struct())])) for n in (11, 17))
    rows = [f.Column("id", f.INT64, [1, 2]), f.Column("v", f.INT64, [1, 1])]
    paths = [mirror.put("null.parquet", f.content([*rows, f.Column("x", f.INT32, [None, None], nothing)])),
             mirror.put("geometry.parquet", f.content([*rows, f.Column("x", f.BYTE_ARRAY, [b"\x01\x02", b""], geometry)], v2=True))]
    outcomes = [[o["error"] is None for o in mirror.ingest(f"t.u{i}", *paths)] for i in range(3)]
    assert outcomes == [[True, False], [True, True], [True, False]]
    assert {r["id"]: r["x"] for r in mirror.lake.dataset("t", "u1").dicts()} == {1: "0102", 2: ""}
    assert {r["id"]: r["x"] for r in mirror.lake.dataset("t", "u0").dicts()} == {1: None, 2: None}


def pages_of(data, path):
    """(offset, bytes) of the pages of a chunk, behind their headers: found by their content."""
    meta = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    for i in range(meta.num_columns):
        c = meta.column(i)
        if c.path_in_schema == path:
            start = c.dictionary_page_offset or c.data_page_offset
            return start, start + c.total_compressed_size
    raise AssertionError(path)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_page_checksums_are_verified(mirror, version):
    mirror.declare("schemas:\n  - {name: t.c, columns: {id: int64 key, v: int64 version, words: string, body: binary}}\n")
    n = 20_000
    table = pa.table({"id": pa.array(range(n), pa.int64()), "v": pa.array([1] * n, pa.int64()), "words": pa.array([f"word {i % 7}" for i in range(n)]),
                      "body": pa.array([bytes([i % 256, i // 256]) for i in range(n)])})
    good = mirror.folder / "good.parquet"
    pq.write_table(table, good, write_page_checksum=True, data_page_version=version, data_page_size=4096, use_dictionary=["words"], compression={"words": "snappy", "body": "none",
                                                                                                                         "id": "zstd", "v": "none"})
    data, paths = good.read_bytes(), []
    for path in ("id", "words", "body"):
        start, end = pages_of(data, path)
        for name, at in (("first", start + (30 if path == "words" else 300)), ("last", end - 2)):      # words: in the dictionary's page, and in data
            broken = bytearray(data)
            broken[at] ^= 1
            paths.append((path, mirror.put(f"{path}-{name}.parquet", bytes(broken))))
    outcomes = mirror.ingest("t.c", *[p for _, p in paths], good, code=6)
    for (path, _), outcome in zip(paths, outcomes):
        assert outcome["error"] and f"column {path}: the checksum of the page at byte " in outcome["error"]["message"], (path, outcome)
        assert outcome["error"]["hint"]
    assert outcomes[-1]["error"] is None and outcomes[-1]["upserted"] == n
    assert len(mirror.lake.dataset("t", "c").rows) == n
