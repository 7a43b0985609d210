"""Canonical values: what both sides are turned into before they are compared.

kind      canonical Python value
bool      True, False
int       int
f32, f64  8 or 4 bytes, big endian (all NaN are one)
dec       Decimal
date      days since 1970-01-01; 'infinity', '-infinity'
time      microseconds since midnight
ts, tstz  microseconds since 1970-01-01; 'infinity', '-infinity'
tsns      nanoseconds
str       str
bin       lower case hex
uuid      32 hex digits
list      tuple of the element's canonical values
None is null everywhere.
"""
import struct
from decimal import Decimal

import pyarrow as pa
from pyiceberg import types as it

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


def float_bits(value, size):
    if value is None:
        return None
    if value != value:
        return "NaN"
    return struct.pack(">f" if size == 4 else ">d", value).hex()


def infinite(value, limit):
    if value == limit:
        return "infinity"
    if value == -limit:
        return "-infinity"
    return value


def kind_of_iceberg(t):
    """('dec', 10, 2), ('list', ('int',)), …"""
    simple = [(it.BooleanType, "bool"), (it.IntegerType, "int"), (it.LongType, "long"), (it.FloatType, "f32"),
              (it.DoubleType, "f64"), (it.DateType, "date"), (it.TimeType, "time"), (it.TimestampType, "ts"),
              (it.TimestamptzType, "tstz"), (it.TimestampNanoType, "tsns"), (it.StringType, "str"), (it.BinaryType, "bin"), (it.UUIDType, "uuid")]
    for cls, name in simple:
        if isinstance(t, cls):
            return (name,)
    if isinstance(t, it.DecimalType):
        return ("dec", t.precision, t.scale)
    if isinstance(t, it.ListType):
        return ("list", kind_of_iceberg(t.element_type))
    raise AssertionError(f"the lake has a column of type {t}, which no source type maps to")


def from_arrow(column, kind):
    """Arrow array or chunked array → list of canonical values. Never through datetime: its range is too small."""
    if isinstance(column, pa.ChunkedArray):
        out = []
        for chunk in column.chunks:
            out += from_arrow(chunk, kind)
        return out
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    name = kind[0]
    if name == "list":
        child = from_arrow(column.values, kind[1])
        offsets = column.offsets.to_pylist()
        valid = column.is_valid().to_pylist()
        return [tuple(child[offsets[i]:offsets[i + 1]]) if valid[i] else None for i in range(len(column))]
    if name == "date":
        return [None if v is None else infinite(v, INT32_MAX) for v in column.cast(pa.int32()).to_pylist()]
    if name in ("ts", "tstz", "tsns"):
        if str(column.type.unit) != ("ns" if name == "tsns" else "us"):
            raise AssertionError(f"timestamps in {column.type.unit}")
        return [None if v is None else infinite(v, INT64_MAX) for v in column.cast(pa.int64()).to_pylist()]
    if name == "time":
        return column.cast(pa.int64()).to_pylist()
    values = column.to_pylist()
    if name == "f32":
        return [float_bits(v, 4) for v in values]
    if name == "f64":
        return [float_bits(v, 8) for v in values]
    if name in ("bin", "uuid"):
        return [v if v is None else (v.hex() if isinstance(v, (bytes, bytearray)) else v.hex) for v in values]
    return values


def from_text(text, kind):
    """The source's unambiguous text → canonical value of the kind that the lake should have."""
    if text is None:
        return None
    name = kind[0]
    if name == "bool":
        return {"true": True, "false": False}[text]
    if name in ("int", "long"):
        return int(text)
    if name == "f32":
        return float_bits(float(text), 4)
    if name == "f64":
        return float_bits(float(text), 8)
    if name == "dec":
        return Decimal(text)
    if name in ("date", "time", "ts", "tstz"):
        return text if "infinity" in text else int(text)
    if name == "uuid":
        return text.replace("-", "")
    return text
