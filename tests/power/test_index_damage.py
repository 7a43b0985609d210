"""The key index damaged while no mirror runs: noticed before it is used, said, rebuilt from the lake; the rows are right, and no signal ends the program.

DM_FLIPS (default 6) damages are tried; each on the same index, so that every kind of damage meets the same rows.
"""
import os
import random

import pytest

from oracle.mirror import Mirror

FLIPS = int(os.environ.get("DM_FLIPS", "6"))
KEYS = 4000
SCHEMA = """
schemas:
  sales.orders:
    columns:
      id: {type: long, required: true}
      item: string
      version: {type: long, required: true}
    key: id
    version: version
"""
HEADER = "id,item,version,_change_request_type\n"


def flip(r, path, bits):
    data = bytearray(path.read_bytes())
    for _ in range(bits):
        data[r.randrange(len(data))] ^= 1 << r.randrange(8)
    path.write_bytes(data)


def zero_page(r, path):
    data = bytearray(path.read_bytes())
    page = r.choice([p for p in range(0, len(data), 4096) if any(data[p:p + 4096])])
    data[page:page + 4096] = bytes(4096)
    path.write_bytes(data)


KINDS = {"one bit": lambda r, p: flip(r, p, 1), "200 bits": lambda r, p: flip(r, p, 200), "cut to half": lambda r, p: os.truncate(p, p.stat().st_size // 2),
         "a page of zeros": zero_page, "two bits": lambda r, p: flip(r, p, 2), "gone": lambda r, p: p.unlink()}


@pytest.fixture
def orders(folder):
    m = Mirror(folder / "m", "")
    (folder / "schemas.yaml").write_text(SCHEMA)
    assert m.with_config("schema", "apply", str(folder / "schemas.yaml")).returncode == 0
    ingest(m, folder, "".join(f"{i},first,1,u\n" for i in range(KEYS)))
    yield m
    m.kill()


def ingest(mirror, folder, text):
    path = folder / "changes.csv"
    path.write_text(HEADER + text)
    p = mirror.with_config("ingest", "sales.orders", str(path))
    assert p.returncode == 0, f"code {p.returncode}\n{p.stdout}{p.stderr}"
    return p.stderr


def test_damage_is_noticed(orders, folder, seed):
    r = random.Random(seed)
    index = orders.lake.folder / ".index"
    expected = {i: ("first", 1) for i in range(KEYS)}
    for trial in range(FLIPS):
        kind = list(KINDS)[trial % len(KINDS)]
        KINDS[kind](r, index / "data.mdb")
        doctor = orders.with_config("doctor")
        assert doctor.returncode == 0 and "key index" in doctor.stdout and "damaged" in doctor.stdout, f"{kind}: {doctor.stdout}"
        # Changes and deletes of many keys: each wrong answer of the index shows as a key twice, a row that stays, or a stale change that wins.
        version = trial + 2
        changed = r.sample(range(KEYS + 200), 800)
        deleted = set(r.sample(changed, 100))
        said = ingest(orders, folder, "".join(f"{i},v{version},{version},{'d' if i in deleted else 'u'}\n{i},late,0,u\n" for i in changed))
        assert "damaged" in said, f"{kind}: {said}"
        expected.update({i: (f"v{version}", version) for i in changed})
        for i in deleted:
            del expected[i]
        rows = orders.lake.dataset("sales", "orders").dicts()
        assert len(rows) == len(expected), f"trial {trial}, {kind}, seed {seed}: {len(rows)} rows, not {len(expected)}"
        assert {x["id"]: (x["item"], x["version"]) for x in rows} == expected, f"trial {trial}, {kind}, seed {seed}"
    doctor = orders.with_config("doctor")
    assert doctor.returncode == 0 and "damaged" not in doctor.stdout, doctor.stdout
