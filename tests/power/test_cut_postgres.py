"""Power cuts of the mirror's machine while it follows PostgreSQL: the server lives on, with what the mirror told it.

One writer, whose transactions touch several tables and are numbered in `log`: from the transactions 1 … m all other tables follow. In each state
after a cut the lake shows some m, in all tables the same, and not behind what PostgreSQL was told: those changes it would not send again. Then the
slot is put to where it was told to be at the moment of the cut, the mirror starts on "another boot", and must come to the source's rows.
"""
import random
from collections import Counter

from oracle import power, process

TRANSACTIONS = 120
TABLES = ["log", "account", "churn", "bulk", "churn__history"]


class Shop:
    def __init__(self, database, seed):
        self.database = database
        self.seed = seed
        self.next = 1
        database.execute(
            "create table log (id int primary key, account int, n int); create table account (id int primary key, n bigint not null); "
            "create table churn (id int primary key, v text, body text); create table bulk (id int primary key, v text); "
            "alter table churn alter body set storage external; insert into account select i, 0 from generate_series(1, 20) i; "
            "insert into churn select i, 'v0', repeat('b', 3000) from generate_series(1, 30) i")

    def steps(self, i):
        """Transaction i as (SQL, what it does to the model)."""
        r = random.Random(f"{self.seed} {i}")
        a, n, k = r.randrange(1, 21), r.randrange(1, 100), r.randrange(1, 60)
        yield f"update account set n = n + {n} where id = {a}", lambda m: m["account"].update({a: m["account"][a] + n})
        what = r.random()
        if i == TRANSACTIONS // 2:
            yield "alter table churn add column extra int", lambda m: None
        if what < 0.5:
            yield (f"insert into churn values ({k}, 'v{i}', 'new') on conflict (id) do update set v = excluded.v",
                   lambda m: m["churn"].update({k: f"v{i}"}))
        elif what < 0.7:
            yield f"delete from churn where id = {k}", lambda m: m["churn"].pop(k, None)
        elif what < 0.85:
            def move(m):
                m["churn"].pop(k + 1000, None)
                if k in m["churn"]:
                    m["churn"][k + 1000] = m["churn"].pop(k)
            yield f"delete from churn where id = {k + 1000}; update churn set id = id + 1000 where id = {k}", move
        elif what < 0.93:
            yield (f"insert into bulk select x, repeat('{i}', 40) from generate_series({i * 1000}, {i * 1000 + 799}) x",
                   lambda m: m["bulk"].update(range(i * 1000, i * 1000 + 800)))
        else:   # no TRUNCATE: a mirror that was away copies the table again, which is another test
            yield "delete from bulk where id % 3 = 0", lambda m: m["bulk"].difference_update([x for x in m["bulk"] if x % 3 == 0])
        yield f"insert into log values ({i}, {a}, {n})", lambda m: m["log"].append(i)

    def write(self, n):
        for i in range(self.next, self.next + n):
            self.database.execute("begin; " + "; ".join(sql for sql, _ in self.steps(i)) + "; commit")
        self.next += n

    def models(self):
        """What the tables hold after 0, 1, 2, … transactions."""
        m = {"log": [], "account": {i: 0 for i in range(1, 21)}, "churn": {i: "v0" for i in range(1, 31)}, "bulk": set()}
        yield _frozen(m)
        for i in range(1, self.next):
            for _, change in self.steps(i):
                change(m)
            yield _frozen(m)


def _frozen(m):
    return Counter(m["log"]), Counter(m["account"].items()), Counter(m["churn"].items()), Counter(m["bulk"])


def visible(lake):
    """The lake as the models have it; None while a table is not there."""
    pointers = lake.pointers()
    if not all(("shop", t) in pointers for t in TABLES):
        return None
    rows = {t: lake.read(pointers["shop", t]) for t in TABLES}
    return (Counter(rows["log"].column("id")), Counter(zip(rows["account"].column("id"), rows["account"].column("n"))),
            Counter(zip(rows["churn"].column("id"), rows["churn"].column("v"))), Counter(rows["bulk"].column("id")))


def history(lake):
    """One row per change: what was taken in twice is there twice. Without the columns that say when."""
    return Counter(str(sorted((k, v) for k, v in r.items() if k in ("id", "v", "_op", "_change_type", "body", "extra")))
                   for r in lake.dataset("shop", "churn__history").dicts())


def position(catalog):
    db = catalog.connect()
    try:
        return next((p for p, in db.execute("select position from dm_source where name = 'shop'")), 0)
    finally:
        db.close()


class Slot:
    """The mirror's slot, put back to earlier positions: a copy made at the beginning keeps the log."""

    def __init__(self, database):
        self.database = database
        self.name = f"dm_{database.name}"
        self.base = f"base_{database.name}"

    def keep(self, mirror):
        mirror.until(lambda: self.database.execute("select 1 from pg_replication_slots where slot_name = %s and confirmed_flush_lsn is not null",
                                                   self.name), "the slot", every=0.002)
        self.database.execute("select pg_copy_logical_replication_slot(%s, %s)", self.name, self.base)

    def put_to(self, told):
        process.poll(lambda: not self.database.execute("select 1 from pg_replication_slots where slot_name = %s and active", self.name), 20, "the slot")
        self.database.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", self.name)
        self.database.execute("select pg_copy_logical_replication_slot(%s, %s)", self.base, self.name)
        lsn = f"{told >> 32:X}/{told & 0xffffffff:X}"
        if told and self.database.execute("select %s::pg_lsn > confirmed_flush_lsn from pg_replication_slots where slot_name = %s", lsn, self.name)[0][0]:
            self.database.execute("select pg_replication_slot_advance(%s, %s::pg_lsn)", self.name, lsn)


def pace(mirror, lake):
    """Until the mirror has committed something more: many small commits, as in a living database."""
    wal = lake.folder / "catalog.db-wal"
    before = wal.stat().st_mtime_ns if wal.exists() else 0
    mirror.until(lambda: wal.exists() and wal.stat().st_mtime_ns != before, "a commit", every=0.005)


def test_postgres(database, folder, seed):
    shop = Shop(database, seed)
    mirror = database.mirror("    history: true\n", options="commit_interval: 20ms\ncommit_bytes: 64KiB\nmetadata_versions: 8")
    lake = mirror.lake
    recording = power.Recording(folder / "record", lake.folder)
    slot = Slot(database)
    mirror.start(env=recording.environment())
    slot.keep(mirror)
    recording.mark("slot kept")
    mirror.until(lambda: (s := mirror.status()["datasets"]) and all(d["state"] not in ("waiting", "copying") for d in s), "the first copies")
    recording.mark("copied")
    for part in range(2):
        for _ in range(TRANSACTIONS // 10):
            shop.write(5)
            pace(mirror, lake)
        if part == 0:
            mirror.kill()
            mirror.start(env=recording.environment())
    models = list(shop.models())
    mirror.until(lambda: visible(power.catalog_copy(lake, folder / "catalog")) == models[-1], "the last transaction")
    final = history(power.catalog_copy(lake, folder / "catalog"))
    mirror.kill()
    log = recording.finish()
    begun, copied = [i for i, record in enumerate(log) if record.op == power.MARK]
    told, shown = 0, set()

    def recover(env, cut):
        slot.put_to(cut.acknowledged)
        mirror.catch_up(env=env)
    # Those during the first copy come last: a mirror that begins anew makes its publication anew, which the server would not have forgotten.
    early = max(1, power.CUTS // 10)
    for first, end, count in ((copied, len(log), power.CUTS - early), (begun, copied, early)):
        for cut in power.cut_states(recording, log, seed, count, folder, first, recover, end):
            catalog = power.catalog_copy(lake, folder / "catalog")
            if first == copied:
                found = visible(catalog)
                assert found in models, f"{cut}: no state that ever was: {found}"
                shown.add(models.index(found))
                assert position(catalog) >= cut.acknowledged, f"{cut}: PostgreSQL was told {cut.acknowledged}, the lake has {position(catalog)}"
                told += cut.acknowledged > 0
            slot.put_to(cut.acknowledged)
            mirror.catch_up(env=recording.after_reboot())
            database.check(mirror)
            if first == copied:   # else the copy is made again, as of now, and the history begins there
                assert history(lake) == final, f"{cut}: history: missing {final - history(lake)}, too much {history(lake) - final}"
    print(f"power cuts: {power.CUTS} of {len(log)} records, {told} after something was told, {len(shown)} different states, seed {seed}")
