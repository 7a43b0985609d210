"""Parquet files of any physical values under any annotation, which no library writes: one row group, one data page a column, nothing packed.

    column = Column("at", INT64, [1, None], logical=timestamp("ms", utc=True))
    write(path, [column], crc=True)

Values are what is in the file: integers, floats, bytes; None is null; lists with `repeated` (a column of three levels, no null elements).
"""
import dataclasses
import struct
import zlib

BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8
OPTIONAL, REPEATED = 1, 2
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3


# ---- Thrift's compact protocol: what is written is a list of (field, value) ----

def varint(n):
    out = bytearray()
    while True:
        out.append(n & 0x7f | (0x80 if n > 0x7f else 0))
        n >>= 7
        if n == 0:
            return bytes(out)


def zigzag(n):
    return varint(n << 1 if n >= 0 else (-n << 1) - 1)


@dataclasses.dataclass
class I64:
    value: int


class Struct(list):
    """[(field number, value), …] in order; values: bool, int (i32), I64, bytes or str, Struct, list of Structs or ints or bytes; None is left out."""


def kind_of(value):
    if isinstance(value, bool):
        return 1 if value else 2
    return {int: 5, I64: 6, bytes: 8, str: 8, Struct: 12, list: 9}[type(value)]


def value_bytes(value):
    if isinstance(value, bool):
        return b""
    if isinstance(value, int):
        return zigzag(value)
    if isinstance(value, I64):
        return zigzag(value.value)
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return varint(len(value)) + value
    if isinstance(value, Struct):
        return struct_bytes(value)
    kind = kind_of(value[0]) if value else 12
    head = bytes([len(value) << 4 | kind]) if len(value) < 15 else bytes([0xf0 | kind]) + varint(len(value))
    return head + b"".join(value_bytes(v) for v in value)


def struct_bytes(fields):
    out, last = bytearray(), 0
    for number, value in fields:
        if value is None:
            continue
        step = number - last
        out += bytes([step << 4 | kind_of(value)]) if 0 < step < 16 else bytes([kind_of(value)]) + zigzag(number)
        out += value_bytes(value)
        last = number
    return bytes(out) + b"\0"


# ---- annotations: (converted type, scale, precision, logical type) ----

UNIT = {"ms": 1, "us": 2, "ns": 3}


@dataclasses.dataclass
class Logical:
    converted: int = None
    scale: int = None
    precision: int = None
    logical: Struct = None


def simple(number, converted=None):
    return Logical(converted=converted, logical=Struct([(number, Struct())]))


STRING, ENUM, DATE, JSON, BSON, UUID, FLOAT16 = simple(1, 0), simple(4, 4), simple(6, 6), simple(12, 19), simple(13, 20), simple(14), simple(15)
INTERVAL = Logical(converted=21)


def decimal(precision, scale, converted=True):
    return Logical(5 if converted else None, scale, precision, Struct([(5, Struct([(1, scale), (2, precision)]))]))


def timestamp(unit, utc):
    return Logical(logical=Struct([(8, Struct([(1, utc), (2, Struct([(UNIT[unit], Struct())]))]))]))


def time(unit, utc):
    return Logical(logical=Struct([(7, Struct([(1, utc), (2, Struct([(UNIT[unit], Struct())]))]))]))


def integer(bits, signed):
    return Logical({(8, True): 15, (16, True): 16, (32, True): 17, (64, True): 18, (8, False): 11, (16, False): 12, (32, False): 13, (64, False): 14}[bits, signed])


@dataclasses.dataclass
class Column:
    name: str
    physical: int
    values: list
    logical: Logical = dataclasses.field(default_factory=Logical)
    length: int = None          # of FIXED
    dictionary: bool = False
    repeated: bool = False      # a list of them


def levels(bits, width=1):
    """RLE: runs of equal levels."""
    out, at = bytearray(), 0
    while at < len(bits):
        end = at
        while end < len(bits) and bits[end] == bits[at]:
            end += 1
        out += varint((end - at) << 1) + bits[at].to_bytes((width + 7) // 8, "little")
        at = end
    return bytes(out)


def plain(column, values):
    if column.physical == BOOLEAN:
        bits = sum(bool(v) << i for i, v in enumerate(values))
        return bits.to_bytes((len(values) + 7) // 8, "little")
    pack = {INT32: "<i", INT64: "<q", FLOAT: "<f", DOUBLE: "<d"}.get(column.physical)
    if pack:
        return b"".join(v if isinstance(v, bytes) else struct.pack(pack, v) for v in values)
    if column.physical == BYTE_ARRAY:
        return b"".join(struct.pack("<I", len(v)) + v for v in values)
    size = 12 if column.physical == INT96 else column.length
    assert all(len(v) == size for v in values)
    return b"".join(values)


def shred(column):
    """Values that are there, definition levels, repetition levels."""
    if not column.repeated:
        return [v for v in column.values if v is not None], [int(v is not None) for v in column.values], None
    values, definition, repetition = [], [], []
    for row in column.values:
        if not row:
            definition.append(0 if row is None else 1)
            repetition.append(0)
        for i, v in enumerate(row or []):
            values.append(v)
            definition.append(2)
            repetition.append(int(i > 0))
    return values, definition, repetition


def page(kind, body, header, crc):
    fields = [(1, kind), (2, len(body)), (3, len(body))]
    if crc:
        check = zlib.crc32(body)
        fields.append((4, check - (1 << 32) if check >= 1 << 31 else check))
    number = {DATA_PAGE: 5, DICTIONARY_PAGE: 7, DATA_PAGE_V2: 8}[kind]
    return struct_bytes([*fields, (number, header)]) + body


def chunk(column, v2, crc):
    """The pages; where the first data page is in them; how many values and levels there are."""
    values, definition, repetition = shred(column)
    width = 2 if column.repeated else 1
    d, r = levels(definition, width), levels(repetition) if repetition is not None else b""
    pages, encoding, body = b"", PLAIN, plain(column, values)
    if column.dictionary:
        values = [struct.pack("<d", v) if column.physical == DOUBLE else struct.pack("<f", v) if column.physical == FLOAT else v for v in values]   # -0.0 is not 0.0
        distinct = list(dict.fromkeys(values))
        pages = page(DICTIONARY_PAGE, plain(column, distinct), Struct([(1, len(distinct)), (2, PLAIN)]), crc)
        bits = max(1, (len(distinct) - 1).bit_length())
        body = bytes([bits]) + levels([distinct.index(v) for v in values], bits)
        encoding = RLE_DICTIONARY
    at = len(pages)
    if v2:
        header = Struct([(1, len(definition)), (2, len(definition) - len(values)), (3, len(column.values)), (4, encoding), (5, len(d)), (6, len(r)), (7, False)])
        pages += page(DATA_PAGE_V2, r + d + body, header, crc)
    else:
        sized = lambda b: struct.pack("<I", len(b)) + b   # noqa: E731
        body = (sized(r) if repetition is not None else b"") + sized(d) + body
        pages += page(DATA_PAGE, body, Struct([(1, len(definition)), (2, encoding), (3, RLE), (4, RLE)]), crc)
    return pages, at, len(definition)


def elements(column):
    def leaf(repetition, name):
        a = column.logical
        return Struct([(1, column.physical), (2, column.length), (3, repetition), (4, name), (6, a.converted), (7, a.scale), (8, a.precision), (10, a.logical)])
    if not column.repeated:
        return [leaf(OPTIONAL, column.name)]
    return [Struct([(3, OPTIONAL), (4, column.name), (5, 1), (6, 3)]), Struct([(3, REPEATED), (4, "list"), (5, 1)]), leaf(0, "element")]


def content(columns, v2=False, crc=False):
    rows = len(columns[0].values)
    assert all(len(c.values) == rows for c in columns)
    out, chunks = bytearray(b"PAR1"), []
    for c in columns:
        start = len(out)
        pages, first, n = chunk(c, v2, crc)
        out += pages
        path = [c.name, "list", "element"] if c.repeated else [c.name]
        encodings = [PLAIN, RLE] + ([RLE_DICTIONARY] if c.dictionary else [])
        meta = Struct([(1, c.physical), (2, encodings), (3, path), (4, 0), (5, I64(n)), (6, I64(len(pages))), (7, I64(len(pages))), (9, I64(start + first)),
                       (11, I64(start) if c.dictionary else None)])
        chunks.append(Struct([(2, I64(start)), (3, meta)]))
    schema = [Struct([(4, "schema"), (5, len(columns))])] + [e for c in columns for e in elements(c)]
    group = Struct([(1, chunks), (2, I64(len(out) - 4)), (3, I64(rows))])
    footer = struct_bytes([(1, 2), (2, schema), (3, I64(rows)), (4, [group]), (6, "tests/oracle/parquet_file.py")])
    return bytes(out) + footer + struct.pack("<I", len(footer)) + b"PAR1"


def write(path, columns, **options):
    path.write_bytes(content(columns, **options))
    return path
