"""Random work for PostgreSQL over related tables of every awkward kind.

Each writer has its own connection and its own generator; the server decides what commits. Expected failures
(unique violations, deadlocks, columns that vanish under a running statement) roll back and count as such; anything else ends the test.
"""
import json
import random
import string
import threading

import psycopg

SCHEMA = """
create type order_status as enum ('new', 'paid', 'shipped', 'it''s "odd"');
create type money_pair as (amount numeric(10,2), currency text);
create domain percent as numeric(5,2) check (value between 0 and 100);
create table accounts_a (id int primary key, balance bigint not null, note text);
create table accounts_b (id int primary key, balance bigint not null, note text);
create table ledger (id bigserial primary key, side "char" not null, account int not null, delta bigint not null,
                     at timestamptz not null default clock_timestamp());
create table orders (region text collate "C", number int, amount numeric(12,2), status order_status,
                     placed timestamptz, discount percent, primary key (region, number));
create table order_lines (region text, number int, line smallint, article uuid, quantity int, price money_pair,
                          primary key (region, number, line),
                          foreign key (region, number) references orders on delete cascade on update cascade);
create table contacts (email text primary key, name varchar(40), attributes jsonb, tags text[], born date);
create table devices (id uuid primary key, payload bytea, seen timestamp, ip inet, readings float8[], on_since time);
create table documents (id bigint primary key, title text, body text, attachment bytea, revision int not null default 0);
alter table documents alter body set storage external, alter attachment set storage external;
create table everything (id bigint primary key, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(20,6),
    big numeric, t text, v varchar(30), c char(7), by bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval,
    u uuid, js json, jb jsonb, e order_status, ia int[], ta text[], na numeric(8,2)[], r int4range, ip inet, cd cidr,
    m macaddr, bits bit varying(20), p money_pair, pc percent, o oid, pt point, ttz timetz);
create table events (id bigint, day date, kind text, v float8, note text, primary key (id, day, kind)) partition by range (day);
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01') partition by list (kind);
create table events_2025_click partition of events_2025 for values in ('click');
create table events_2025_rest partition of events_2025 default;
create table by_index (code text not null, n int not null, x text, y int);
create unique index by_index_u on by_index (code, n);
alter table by_index replica identity using index by_index_u;
create table full_identity (id int primary key, a text, body text, z float8);
alter table full_identity alter body set storage external;
alter table full_identity replica identity full;
create table generated (id int primary key, price numeric(10,2), quantity int);
create table evolve (id int primary key, base text);
"""

EXPECTED = (psycopg.errors.IntegrityError, psycopg.errors.TransactionRollback, psycopg.errors.DeadlockDetected,
            psycopg.errors.SerializationFailure, psycopg.errors.UndefinedColumn,
            psycopg.errors.UndefinedTable, psycopg.errors.LockNotAvailable, psycopg.errors.DuplicateColumn,
            psycopg.errors.DuplicateTable, psycopg.errors.NotNullViolation, psycopg.errors.NumericValueOutOfRange,
            psycopg.errors.DatatypeMismatch, psycopg.errors.FeatureNotSupported, psycopg.errors.QueryCanceled,
            psycopg.errors.StringDataRightTruncation)

ACCOUNTS = 60
START_BALANCE = 1000


def create(execute, accounts=ACCOUNTS):
    execute(SCHEMA)
    for side in "ab":
        execute(f"insert into accounts_{side} select i, {START_BALANCE}, 'start' from generate_series(1, {accounts}) i")
    execute("insert into orders select (array['north','south','Öst','west'])[1 + i % 4], i, i * 1.25, 'new', "
            "timestamptz '2025-01-01' + i * interval '1 hour', i % 100 from generate_series(1, 300) i")
    execute("insert into documents select i, 'title ' || i, repeat(md5(i::text), 200 + i), null, 0 "
            "from generate_series(1, 60) i")
    execute("insert into events select i, date '2024-06-01' + i, case when i % 3 = 0 then 'click' else 'view' end, i / 7.0, null "
            "from generate_series(1, 400) i")
    execute("insert into full_identity select i, 'a' || i, repeat(md5(i::text), 150), i from generate_series(1, 80) i")
    execute("insert into evolve select i, 'base ' || i from generate_series(1, 200) i")
    execute("insert into generated select i, i * 1.5, i from generate_series(1, 50) i")


def word(r, n=8):
    alphabet = string.ascii_letters + "äöß€漢😀 '\"\\,;\n\t{}"
    return "".join(r.choice(alphabet) for _ in range(r.randrange(n + 1)))


def everything_row(r):
    """Text literals per column of `everything`; None for null."""
    def maybe(f):
        return None if r.random() < 0.15 else f()
    number = lambda: r.choice([0, 1, -1, r.randrange(-10**9, 10**9)])  # noqa: E731
    return {
        "b": maybe(lambda: r.choice("tf")), "i2": maybe(lambda: r.choice([-32768, 32767, r.randrange(-99, 99)])),
        "i4": maybe(lambda: r.choice([-2**31, 2**31 - 1, number()])),
        "i8": maybe(lambda: r.choice([-2**63, 2**63 - 1, number() * 10**9])),
        "f4": maybe(lambda: r.choice(["NaN", "Infinity", "-Infinity", "-0", "3.4e38", "1e-45", r.uniform(-1e6, 1e6)])),
        "f8": maybe(lambda: r.choice(["NaN", "Infinity", "-Infinity", "-0", "1.7e308", "5e-324", r.uniform(-1e6, 1e6)])),
        "n": maybe(lambda: f"{number()}.{r.randrange(10**6):06d}"),
        "big": maybe(lambda: r.choice(["NaN", "Infinity", "1e50", "-1e-50", "0.000", "123456789012345678901234567890.5"])),
        "t": maybe(lambda: word(r, 40)), "v": maybe(lambda: word(r, 30)), "c": maybe(lambda: word(r, 7)),
        "by": maybe(lambda: "\\x" + r.randbytes(r.randrange(30)).hex()),
        "d": maybe(lambda: r.choice(["infinity", "-infinity", "0001-01-01", "4713-01-01 BC", "9999-12-31", "2024-02-29",
                                     "20000-01-01"])),
        "tm": maybe(lambda: f"{r.randrange(24):02d}:{r.randrange(60):02d}:{r.uniform(0, 59):09.6f}"),
        "ts": maybe(lambda: r.choice(["infinity", "-infinity", "0044-03-15 12:00:00 BC", "9999-12-31 23:59:59.999999",
                                      "2024-02-29 13:14:15.000001", "1969-12-31 23:59:59.999999", "12000-01-01"])),
        "tz": maybe(lambda: r.choice(["infinity", "-infinity", "2024-03-31 02:30:00+02", "1900-01-01 00:00:00+00:19:32",
                                      "9999-12-31 23:59:59.999999-12"])),
        "iv": maybe(lambda: f"{r.randrange(-30, 30)} months {r.randrange(-99, 99)} days {r.uniform(-1e5, 1e5):.6f} seconds"),
        "u": maybe(lambda: f"{r.getrandbits(128):032x}"), "js": maybe(lambda: '{"a" :  [1, 2.50, null], "a": "x"}'),
        "jb": maybe(lambda: r.choice(['{"k": 1e3, "ä": "\\u20ac"}', "[]", "null", '"x"', "12345678901234567890.10"])),
        "e": maybe(lambda: r.choice(["new", "paid", 'it\'s "odd"'])),
        "ia": maybe(lambda: r.choice(["{}", "{NULL}", "{1,NULL,3}", f"{{{number()}}}"])),
        "ta": maybe(lambda: r.choice(["{}", "{NULL,\"NULL\",\"\"}", '{"a,b","c\\"d","e\\\\f","{}"}'])),
        "na": maybe(lambda: r.choice(["{}", "{1.50,-0.01,NULL}"])), "r": maybe(lambda: r.choice(["empty", "[1,5)", "(,7]", "(,)"])),
        "ip": maybe(lambda: r.choice(["10.0.0.1", "10.1.2.3/8", "::1", "fe80::1/64"])), "cd": maybe(lambda: "10.0.0.0/8"),
        "m": maybe(lambda: "08:00:2b:01:02:03"), "bits": maybe(lambda: "".join(r.choice("01") for _ in range(r.randrange(20)))),
        "p": maybe(lambda: r.choice(['(1.50,EUR)', '(,"a ""quoted"", text")', "(,)"])), "pc": maybe(lambda: r.uniform(0, 100)),
        "o": maybe(lambda: r.choice([0, 2**32 - 1, 42])), "pt": maybe(lambda: "(1.5,-2)"), "ttz": maybe(lambda: "12:34:56.789+05:30"),
    }


def big_text(r, low=2500, high=30000):
    return "".join(r.choices("0123456789abcdef äöü", k=r.randrange(low, high)))


class Traffic:
    """The steps; each is one source transaction (or two halves of a prepared one)."""

    def __init__(self, connect, seed, toast=True):
        self.connect = connect
        self.seed = seed
        self.toast = toast
        self.local = threading.local()
        self.lock = threading.Lock()
        self.made = []        # tables created while running
        self.made_count = 0

    # each thread has one connection and one generator
    def _state(self):
        if not hasattr(self.local, "c"):
            self.local.c = self.connect()
            self.local.c.execute("set lock_timeout = '3s'; set deadlock_timeout = '50ms'; set statement_timeout = '30s'")
            self.local.r = random.Random(f"{self.seed} {threading.current_thread().name}")
        return self.local.c, self.local.r

    def run(self, *bodies):
        """A step that runs one to three of the bodies in one transaction, with savepoints, sometimes rolled back."""
        c, r = self._state()
        name = "empty"
        try:
            c.execute("begin")
            for _ in range(r.choice([1, 1, 1, 2, 3])):
                body = r.choice(bodies)
                name = body.__name__
                how = r.random()
                if how < 0.15:
                    c.execute("savepoint s")
                    body(c, r)
                    c.execute("rollback to s" if r.random() < 0.6 else "release s")
                else:
                    body(c, r)
            if r.random() < 0.08:
                c.execute("rollback")
                return "rolled back"
            c.execute("commit")
            return name
        except EXPECTED as e:
            c.execute("rollback")
            return f"{name} refused ({type(e).__name__})"

    # -- bank
    def transfer(self, c, r):
        one, two = r.randrange(1, ACCOUNTS + 1), r.randrange(1, ACCOUNTS + 1)
        amount = r.randrange(1, 50)
        note = word(r)
        sides = r.choice([("a", "b"), ("b", "a"), ("a", "a")])
        for side, account, delta in ((sides[0], one, -amount), (sides[1], two, amount)):
            c.execute(f"update accounts_{side} set balance = balance + %s, note = %s where id = %s", (delta, note, account))
            c.execute('insert into ledger (side, account, delta) values (%s, %s, %s)', (side, account, delta))

    # -- keyed tables
    def order(self, c, r):
        region, number = r.choice(["north", "south", "Öst", "west", "", "new'region"]), r.randrange(1, 400)
        what = r.random()
        if what < 0.45:
            c.execute("insert into orders values (%s, %s, %s, 'paid', now(), %s) on conflict (region, number) do update set "
                      "amount = excluded.amount, status = 'shipped'", (region, number, r.randrange(10**6) / 100, r.randrange(100)))
            for line in range(r.randrange(3)):
                c.execute("insert into order_lines values (%s, %s, %s, gen_random_uuid(), %s, (%s, 'EUR')::money_pair) on conflict do nothing",
                          (region, number, line, r.randrange(100), r.randrange(100)))
        elif what < 0.6:
            c.execute("delete from orders where region = %s and number = %s", (region, number))
        elif what < 0.8:  # key change, cascades to the lines
            c.execute("update orders set number = %s where region = %s and number = %s", (r.randrange(400, 800), region, number))
        else:
            c.execute("update orders set amount = amount + 1, placed = null where number between %s and %s", (number, number + 10))

    def key_swap(self, c, r):
        a, b = r.sample(range(1, 80), 2)
        c.execute("update full_identity set id = -1 where id = %s", (a,))
        c.execute("update full_identity set id = %s where id = %s", (a, b))
        c.execute("update full_identity set id = %s where id = -1", (b,))

    def contact(self, c, r):
        email = f"user{r.randrange(200)}@example.org" + ("x" * 600 if r.random() < 0.1 else "")
        what = r.random()
        if what < 0.6:
            c.execute("insert into contacts values (%s, %s, %s, %s, '1990-01-01') on conflict (email) do update set name = excluded.name, "
                      "attributes = excluded.attributes, tags = excluded.tags",
                      (email, word(r, 40), json.dumps({"n": r.random(), "s": word(r)}), r.choice([None, [], ["a", None, word(r)]])))
        elif what < 0.8:
            c.execute("delete from contacts where email = %s", (email,))
        else:
            c.execute("update contacts set email = %s where email = %s", (f"moved{r.randrange(400)}@example.org", email))

    def same_row_often(self, c, r):
        """Insert, update, delete, insert again of one key within one transaction."""
        k = r.randrange(1000, 1030)
        c.execute("delete from full_identity where id = %s", (k,))
        c.execute("insert into full_identity values (%s, 'one', %s, 1)", (k, big_text(r)))
        c.execute("update full_identity set a = 'two' where id = %s", (k,))
        if r.random() < 0.5:
            c.execute("delete from full_identity where id = %s", (k,))
            c.execute("insert into full_identity values (%s, 'three', 'short', 'NaN')", (k,))
            c.execute("update full_identity set z = -0.0 where id = %s", (k,))

    def device(self, c, r):
        known = c.execute("select id from devices offset floor(random() * greatest((select count(*) from devices), 1)) limit 1").fetchone()
        if known is None or r.random() < 0.5:
            c.execute("insert into devices values (gen_random_uuid(), %s, localtimestamp, '10.0.0.7', '{1.5,NaN,NULL}', '23:59:59.999999')",
                      (r.randbytes(r.randrange(60)),))
        elif r.random() < 0.5:
            c.execute("update devices set seen = localtimestamp, payload = payload || '\\x00ff'::bytea where id = %s", known)
        elif r.random() < 0.5:
            c.execute("update devices set id = gen_random_uuid() where id = %s", known)
        else:
            c.execute("delete from devices where id = %s", known)

    def document(self, c, r):
        k = r.randrange(1, 90)
        what = r.random()
        if what < 0.3:
            c.execute("insert into documents values (%s, 't', %s, %s, 0) on conflict (id) do update set body = excluded.body",
                      (k, big_text(r), r.randbytes(4000) if r.random() < 0.5 else None))
        elif what < 0.75:  # body stays: the stream does not carry it
            c.execute("update documents set revision = revision + 1, title = %s where id = %s", (word(r), k))
        elif what < 0.85:  # key changes, body stays
            c.execute("update documents set id = %s where id = %s", (r.randrange(90, 200), k))
        elif what < 0.93:
            c.execute("update documents set body = null where id = %s", (k,))
        else:
            c.execute("delete from documents where id = %s", (k,))
        if r.random() < 0.5:
            c.execute("update full_identity set a = %s where id = %s", (word(r), r.randrange(1, 80)))

    def everything(self, c, r):
        row = everything_row(r)
        k = r.randrange(300)
        names = list(row)
        if r.random() < 0.7:
            places = ", ".join(["%s"] * len(names))
            sets = ", ".join(f"{n} = excluded.{n}" for n in names)
            c.execute(f"insert into everything (id, {', '.join(names)}) values ({k}, {places}) on conflict (id) do update set {sets}",
                      [None if v is None else str(v) for v in row.values()])
        elif r.random() < 0.7:
            n = r.choice(names)
            v = row[n]
            c.execute(f"update everything set {n} = %s where id = {k}", (None if v is None else str(v),))
        else:
            c.execute(f"delete from everything where id = {k}")

    def event(self, c, r):
        k = r.randrange(1, 600)
        what = r.random()
        if what < 0.5:
            c.execute("insert into events values (%s, %s, %s, %s, %s) on conflict do nothing",
                      (k, f"202{r.choice([4, 5])}-0{r.randrange(1, 10)}-11", r.choice(["click", "view", "buy"]), r.random(), word(r)))
        elif what < 0.7:
            c.execute("update events set v = v * 2, note = 'x' where id = %s", (k,))
        elif what < 0.85:  # moves between partitions
            c.execute("update events set day = day + %s, kind = 'click' where id = %s and day between '2024-02-01' and '2025-10-01'",
                      (r.choice([-30, 30, 60]), k))
        else:
            c.execute("delete from events where id = %s", (k,))

    def indexed(self, c, r):
        code, n = r.choice("ABCDÄ"), r.randrange(40)
        if r.random() < 0.6:
            c.execute("insert into by_index values (%s, %s, %s, %s) on conflict (code, n) do update set x = excluded.x, y = by_index.y + 1",
                      (code, n, word(r), r.randrange(9)))
        elif r.random() < 0.5:
            c.execute("update by_index set n = n + 100 where code = %s and n = %s", (code, n))
        else:
            c.execute("delete from by_index where code = %s and n = %s", (code, n))

    def truncate(self, c, r):
        # Not a leaf of `events`: the server does not publish that through the root (test_p08_truncate_of_one_leaf_via_root).
        what = r.choice(["orders cascade", "order_lines", "by_index", "events", "devices, contacts", "generated"])
        if r.random() < 0.5:
            c.execute(f"truncate {what}")
        if r.random() < 0.7:
            c.execute("insert into generated select i, i, i from generate_series(1, 20) i on conflict do nothing")
            c.execute("insert into by_index select 'T', i, 'after truncate', 0 from generate_series(1, 20) i on conflict do nothing")

    # -- whole steps
    def mixed(self):
        return self.run(self.transfer, self.order, self.contact, self.device, self.everything, self.event, self.indexed)

    def toasted(self):
        return self.run(self.document, self.key_swap, self.same_row_often, self.document)

    def bank(self):
        return self.run(self.transfer)

    def rare(self):
        c, r = self._state()
        self.local.event = getattr(self.local, "event", threading.Event())
        self.local.event.wait(0.3)
        return self.run(self.truncate) if r.random() < 0.3 else self.run(self.event)

    def large(self):
        """Thousands of rows with savepoints, streamed while others commit; a third of them is rolled back."""
        c, r = self._state()
        c.execute("begin")
        try:
            for part in range(r.randrange(2, 6)):
                c.execute(f"savepoint p{part}")
                low = r.randrange(10**6, 10**6 + 5000)
                c.execute("insert into everything (id, t, i4, n, ia) select i, 'large ' || i, %s, i, array[i::int] from generate_series(%s, %s) i "
                          "on conflict (id) do update set i4 = excluded.i4", (part, low, low + r.randrange(200, 1500)))
                c.execute("update everything set t = t || '+' where id between %s and %s", (low, low + 300))
                c.execute("update full_identity set z = z + 1")
                if r.random() < 0.3:
                    c.execute("delete from everything where id between %s and %s", (low + 50, low + 250))
                if r.random() < 0.3:
                    c.execute(f"rollback to p{part}")
                self.transfer(c, r)
            done = "rollback" if r.random() < 0.35 else "commit"
            c.execute(done)
            return done
        except EXPECTED as e:
            c.execute("rollback")
            return f"refused ({type(e).__name__})"

    def prepared(self):
        c, r = self._state()
        name = f"dm_{threading.get_ident()}_{r.randrange(10**9)}"
        try:
            c.execute("begin")
            self.transfer(c, r)
            self.order(c, r)
            c.execute(f"prepare transaction '{name}'")
        except EXPECTED as e:
            c.execute("rollback")
            return f"refused ({type(e).__name__})"
        c.execute("select pg_sleep(0.05)")
        done = "commit" if r.random() < 0.6 else "rollback"
        c.execute(f"{done} prepared '{name}'")
        c.execute("select pg_sleep(0.1)")
        return done

    def ddl(self):
        """One change of the table `evolve` or of the set of tables, then some rows."""
        c, r = self._state()
        what = "rows"
        try:
            c.execute("begin")
            columns = [x for x, in c.execute("select attname from pg_attribute where attrelid = 'evolve'::regclass and attnum > 2 "
                                             "and not attisdropped").fetchall()]
            n = r.randrange(10**6)
            choice = r.random()
            if choice < 0.2 and len(columns) < 12:
                what = "add column"
                c.execute(f"alter table evolve add column c{n} {r.choice(['int', 'text', 'numeric(8,2)', 'varchar(10)', 'date'])}")
            elif choice < 0.3 and len(columns) < 12:
                what = "add column with default"
                c.execute(f"alter table evolve add column d{n} {r.choice(['int default 7', 'text default $$it is$$', 'int not null default 3', 'bool default true'])}")
            elif choice < 0.4 and columns:
                what = "drop column"
                c.execute(f'alter table evolve drop column "{r.choice(columns)}"')
            elif choice < 0.5 and columns:
                what = "rename column"
                c.execute(f'alter table evolve rename column "{r.choice(columns)}" to "R{n}"')
            elif choice < 0.6 and columns:
                what = "widen"
                name = r.choice(columns)
                t, = c.execute("select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'evolve'::regclass and attname = %s",
                               (name,)).fetchone()
                wider = {"integer": "bigint", "character varying(10)": "varchar(50)", "numeric(8,2)": "numeric(14,2)"}.get(t)
                if wider:
                    c.execute(f'alter table evolve alter column "{name}" type {wider}')
            elif choice < 0.7 and len(self.made) < 6:
                what = "create table"
                self.made_count += 1
                c.execute(f'create table "Made {self.made_count}" (id int primary key, v text)')
                c.execute(f'insert into "Made {self.made_count}" select i, $$v$$ || i from generate_series(1, %s) i', (r.randrange(200),))
                c.execute("commit")
                self.made.append(f"Made {self.made_count}")
                return what
            elif choice < 0.76 and self.made:
                what = "drop table"
                name = self.made[0]
                c.execute(f'drop table "{name}"')
                c.execute("commit")
                self.made.remove(name)
                return what
            elif choice < 0.82 and self.made:
                what = "rename table"
                name = self.made[-1]
                self.made_count += 1
                c.execute(f'alter table "{name}" rename to "Made {self.made_count}"')
                c.execute("commit")
                self.made[-1] = f"Made {self.made_count}"
                return what
            c.execute("insert into evolve (id, base) values (%s, %s) on conflict (id) do update set base = excluded.base",
                      (r.randrange(1000), word(r)))
            if columns and r.random() < 0.7:
                now = c.execute("select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'evolve'::regclass "
                                "and attnum > 2 and not attisdropped order by random() limit 1").fetchone()
                if now:
                    value = {"date": "2024-02-29", "boolean": "f"}.get(now[1], str(r.randrange(1000)))
                    c.execute(f'update evolve set "{now[0]}" = %s where id %% 7 = %s', (value, r.randrange(7)))
            for name in self.made:
                c.execute(f'insert into "{name}" values (%s, %s) on conflict (id) do update set v = excluded.v', (r.randrange(500), word(r)))
            c.execute("commit")
            c.execute("select pg_sleep(0.05)")
            return what
        except EXPECTED as e:
            c.execute("rollback")
            return f"{what} refused ({type(e).__name__})"


def bank_holds(datasets, namespace="shop"):
    """The invariants of one instant: total unchanged, and every balance is its start plus its ledger. Returns a list
    of what is wrong. datasets: {(ns, name): Rows}."""
    balances = {}
    total = 0
    for side in "ab":
        rows = datasets[(namespace, f"accounts_{side}")]
        for r in rows.dicts():
            balances[side, r["id"]] = r["balance"]
            total += r["balance"]
    out = []
    if total != 2 * ACCOUNTS * START_BALANCE:
        out.append(f"the sum of all balances is {total}")
    moved = dict.fromkeys(balances, START_BALANCE)
    for r in datasets[(namespace, "ledger")].dicts():
        moved[r["side"], r["account"]] = moved.get((r["side"], r["account"]), 0) + r["delta"]
    wrong = [k for k in balances if balances[k] != moved[k]]
    if wrong:
        out.append(f"{len(wrong)} balances do not agree with the ledger, e.g. {wrong[:5]}")
    return out
