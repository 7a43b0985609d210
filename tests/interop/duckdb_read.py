"""Datasets read the long way, with none of the mirror's code nor its libraries for vectors: metadata and manifests by PyIceberg, deletion
vectors by the few lines below (from the Puffin and roaring bitmap specifications), the rows of the Parquet files by SQL in DuckDB.
"""
import json
import struct
import zlib
from decimal import Decimal
from pathlib import Path

from pyiceberg.avro.file import AvroFile
from pyiceberg.manifest import MANIFEST_ENTRY_SCHEMAS

from oracle import values

# PyIceberg's own reading of manifests is by version 2, which leaves out where in its Puffin file a vector stands.
ENTRY = MANIFEST_ENTRY_SCHEMAS[3]
STATUS = [f.name for f in ENTRY.fields].index("status")
FILE = [f.name for f in ENTRY.fields].index("data_file")
WANTED = [[f.name for f in ENTRY.fields[FILE].field_type.fields].index(n) for n in
          ("content", "file_path", "record_count", "referenced_data_file", "content_offset", "content_size_in_bytes")]
DELETED = 2       # status
DATA, POSITIONS = 0, 1   # content


class Bytes:
    """A reader over bytes; reading past the end is an error."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        assert self.at + n <= len(self.data), "a bitmap ends early"
        self.at += n
        return self.data[self.at - n:self.at]

    def numbers(self, form, n):
        return struct.unpack(f"<{n}{form}", self.take(n * struct.calcsize("<" + form)))


def roaring(b):
    """One 32-bit bitmap in the portable format: sorted positions."""
    cookie, = b.numbers("I", 1)
    if cookie & 0xffff == 12347:
        n = (cookie >> 16) + 1
        flags = b.take((n + 7) // 8)
        runs = [flags[i // 8] >> i % 8 & 1 for i in range(n)]
    else:
        assert cookie == 12346, f"no roaring bitmap begins with {cookie}"
        n, = b.numbers("I", 1)
        runs = [0] * n
    header = b.numbers("H", 2 * n)
    if cookie == 12346 or n >= 4:
        b.take(4 * n)   # where the containers begin; they follow in order
    out = []
    for i in range(n):
        high, count = header[2 * i] << 16, header[2 * i + 1] + 1
        if runs[i]:
            pairs = b.numbers("H", 2 * b.numbers("H", 1)[0])
            low = [v for start, more in zip(pairs[::2], pairs[1::2]) for v in range(start, start + more + 1)]
        elif count <= 4096:
            low = b.numbers("H", count)
        else:
            words = b.take(8192)
            low = [v for v in range(65536) if words[v // 8] >> v % 8 & 1]
        assert len(low) == count, "a container does not hold what its header says"
        out += [high | v for v in low]
    return out


def vector(blob):
    """The positions in a deletion-vector-v1 blob: length, magic, 64-bit roaring bitmap, checksum."""
    length, = struct.unpack(">I", blob[:4])
    assert length == len(blob) - 8, "the length in front of the vector is not that of its blob"
    assert blob[4:8] == b"\xd1\xd3\x39\x64", "the vector has no magic number"
    assert struct.unpack(">I", blob[-4:])[0] == zlib.crc32(blob[4:-4]), "the vector's checksum is wrong"
    b = Bytes(blob[8:-4])
    out = []
    for _ in range(b.numbers("Q", 1)[0]):
        high, = b.numbers("I", 1)
        out += [high << 32 | v for v in roaring(b)]
    assert b.at == len(b.data), "there is more in the blob than its bitmaps"
    assert all(x < y for x, y in zip(out, out[1:])), "the positions are not sorted"
    return out


def entries(table):
    """The live entries of the current snapshot: (content, path, rows, referenced data file, offset, size)."""
    for manifest in table.current_snapshot().manifests(table.io):
        with AvroFile(table.io.new_input(manifest.manifest_path), ENTRY) as found:
            yield from ([e[FILE][i] for i in WANTED] for e in found if e[STATUS] != DELETED)


def files(table):
    """({path: rows}, {path: dead positions}) of the current snapshot."""
    data, dead = {}, {}
    for content, path, count, target, offset, size in entries(table):
        path = path.removeprefix("file://")
        if content == DATA:
            assert path not in data, f"{path} is in the snapshot twice"
            data[path] = count
            continue
        assert content == POSITIONS and path.endswith(".puffin"), f"{path}: no deletion vector"
        with open(path, "rb") as puffin:
            puffin.seek(offset)
            positions = vector(puffin.read(size))
        assert len(positions) == count, f"{path}: another number of deleted rows than its manifest says"
        target = target.removeprefix("file://")
        assert target not in dead, f"{target} has two deletion vectors"
        dead[target] = positions
    assert set(dead) <= set(data), f"vectors of files that are not in the snapshot: {set(dead) - set(data)}"
    return data, dead


SQL_TYPES = {"bool": "BOOLEAN", "int": "INTEGER", "long": "BIGINT", "f32": "FLOAT", "f64": "DOUBLE", "date": "DATE", "time": "TIME",
             "ts": "TIMESTAMP", "tstz": "TIMESTAMPTZ", "str": "VARCHAR", "bin": "BLOB", "uuid": "UUID"}


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def canonical_sql(e, kind):
    """SQL of a value that Python can turn into the canonical one (see oracle.values) without loss; dates beyond Python's own range, so
    never as DuckDB's Python objects."""
    name = kind[0]
    if name == "list":
        return f"list_transform({e}, lambda x: {canonical_sql('x', kind[1])})"
    if name == "date":
        return f"CASE WHEN isinf({e}) THEN CASE WHEN {e} > DATE '1970-01-01' THEN 'infinity' ELSE '-infinity' END " \
               f"ELSE ({e} - DATE '1970-01-01')::VARCHAR END"
    if name in ("ts", "tstz"):
        return f"CASE WHEN isinf({e}) THEN CASE WHEN {e} > {SQL_TYPES[name]} '1970-01-01' THEN 'infinity' ELSE '-infinity' END " \
               f"ELSE epoch_us({e})::VARCHAR END"
    if name == "time":
        return f"epoch_us({e})"
    if name == "bin":
        return f"lower(hex({e}))"
    if name == "uuid":
        return f"replace({e}::VARCHAR, '-', '')"
    return f"{e}::VARCHAR" if name == "dec" else e


def canonical(v, kind):
    if v is None:
        return None
    name = kind[0]
    if name == "list":
        return tuple(canonical(x, kind[1]) for x in v)
    if name in ("date", "ts", "tstz"):
        return v if "infinity" in v else int(v)
    if name == "f32":
        return values.float_bits(v, 4)
    if name == "f64":
        return values.float_bits(v, 8)
    return Decimal(v) if name == "dec" else v


def default_sql(field, kind):
    """A column that a file was written without: the field's initial default, as its JSON says it, else null."""
    value = field.get("initial-default")
    if value is None:
        return "NULL"
    if kind[0] == "bin":
        return f"from_hex({literal(value)})"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{literal(text)}::" + (f"DECIMAL({kind[1]}, {kind[2]})" if kind[0] == "dec" else SQL_TYPES[kind[0]])


def read(db, location):
    """(column names, kinds, rows of canonical values) of the dataset at a metadata location."""
    from pyiceberg.table import StaticTable
    table = StaticTable.from_metadata(location)
    names = [f.name for f in table.schema().fields]
    kinds = [values.kind_of_iceberg(f.field_type) for f in table.schema().fields]
    if table.current_snapshot() is None:
        return names, kinds, []
    metadata = json.loads(Path(location.removeprefix("file://")).read_text())
    schema = next(s for s in metadata["schemas"] if s["schema-id"] == metadata["current-schema-id"])
    rows = []
    data, dead = files(table)
    for path, count in data.items():
        stored = {i: n for i, n in db.execute("select field_id, name from parquet_schema(?) where field_id is not null", [path]).fetchall()}
        columns = [canonical_sql(identifier(stored[f["id"]]) if f["id"] in stored else f"({default_sql(f, k)})", k)
                   for f, k in zip(schema["fields"], kinds)]
        db.execute("create or replace temp table dead as select unnest(?::bigint[]) as pos", [dead.get(path, [])])
        total, outside = db.execute("select count(*), (select count(*) from dead where pos < 0 or pos >= ?) from read_parquet(?)",
                                    [count, path]).fetchone()
        assert total == count, f"{path}: {total} rows instead of {count}"
        assert outside == 0, f"{path}: its vector deletes rows that it does not have"
        found = db.execute(f"select {', '.join(columns)} from read_parquet(?, file_row_number = true) "
                           "where file_row_number not in (select pos from dead)", [path]).fetchall()
        assert len(found) == count - len(dead.get(path, [])), path
        rows += [tuple(canonical(v, k) for v, k in zip(r, kinds)) for r in found]
    return names, kinds, rows
