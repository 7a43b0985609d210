"""A throw-away PostgreSQL server, and its tables as canonical text."""
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from . import process
from .compare import Table


def _find(program):
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda p: -int(p.parts[4]))
    if candidates:
        return str(candidates[0])
    found = shutil.which(program)
    assert found, f"{program} is not installed"
    return found


class Server:
    """initdb in a temporary folder, unix socket and 127.0.0.1, own port. Never runs as root."""

    def __init__(self, settings=None, durable=False):
        self.folder = Path(tempfile.mkdtemp(prefix="dm-pg-"))
        self.data = self.folder / "data"
        self.port = process.free_port()
        self.log = self.folder / "log"
        self.child = None
        self._user = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.folder.chmod(0o755)
        subprocess.run([_find("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                        "--locale=C.UTF-8", "-N"], check=True, capture_output=True, cwd="/", **self._user)
        self.settings = {
            "wal_level": "logical", "max_replication_slots": "20", "max_wal_senders": "20", "max_connections": "60",
            "max_prepared_transactions": "10", "logical_decoding_work_mem": "64kB", "listen_addresses": "127.0.0.1",
            "shared_buffers": "64MB", "max_wal_size": "2GB", "unix_socket_directories": str(self.folder),
            "log_min_messages": "warning", "wal_sender_timeout": "20s", "autovacuum_naptime": "5s",
            "timezone": "UTC",
        }
        if not durable:
            self.settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        self.settings |= settings or {}
        with open(self.data / "pg_hba.conf", "w") as f:
            f.write("local all all trust\nlocal replication all trust\n"
                    "host all with_password 127.0.0.1/32 scram-sha-256\n"
                    "host replication with_password 127.0.0.1/32 scram-sha-256\n"
                    "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n")
        self.start()

    def start(self):
        command = [_find("postgres"), "-D", str(self.data), "-p", str(self.port)]
        for k, v in self.settings.items():
            command += ["-c", f"{k}={v}"]
        with open(self.log, "ab") as log:
            self.child = process.start(command, stdout=log, stderr=log, cwd="/", **self._user)

        def up():
            assert self.child.poll() is None, "the server ended:\n" + process.tail(self.log)
            try:
                psycopg.connect(self.dsn("postgres")).close()
                return True
            except psycopg.OperationalError:
                return False
        process.poll(up, 60, "PostgreSQL to accept connections", context=lambda: process.tail(self.log))

    def stop(self, how=signal.SIGINT):
        if self.child is not None:
            process.stop(self.child, how, timeout=60)
            self.child = None

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        self.start()

    def remove(self):
        try:
            self.stop(signal.SIGQUIT)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database, user="postgres", tcp=False, port=None, password=None):
        host = "127.0.0.1" if tcp else self.folder
        text = f"host={host} port={port or self.port} user={user} dbname={database}"
        return text + (f" password={password}" if password else "")

    def url(self, database, user="postgres", tcp=False, port=None, password=None):
        """As it stands in mirror.yaml."""
        if tcp:
            secret = f":{password}" if password else ""
            return f"postgresql://{user}{secret}@127.0.0.1:{port or self.port}/{database}"
        return f"postgresql://{user}@/{database}?host={self.folder}&port={port or self.port}"

    def connect(self, database, **kwargs):
        return psycopg.connect(self.dsn(database), autocommit=True, **kwargs)

    def create_database(self, name, options=""):
        with self.connect("postgres") as c:
            c.execute(f'create database "{name}" {options}')

    def drop_database(self, name):
        """With its slots, so that the next test has room."""
        with self.connect("postgres") as c:
            for slot, pid in c.execute("select slot_name, active_pid from pg_replication_slots where database = %s",
                                       (name,)).fetchall():
                if pid:
                    c.execute("select pg_terminate_backend(%s)", (pid,))
                process.poll(lambda s=slot: c.execute("select 1 from pg_replication_slots where slot_name = %s and "
                                                      "active", (s,)).fetchone() is None, 10, f"slot {slot} to be free")
                c.execute("select pg_drop_replication_slot(%s)", (slot,))
            for gid, in c.execute("select gid from pg_prepared_xacts where database = %s", (name,)).fetchall():
                with psycopg.connect(self.dsn(name), autocommit=True) as d:
                    d.execute(f"rollback prepared '{gid}'")
            c.execute(f'drop database if exists "{name}" with (force)')


def quote(name):
    return '"' + name.replace('"', '""') + '"'


SCALAR = {"bool": "bool", "int2": "int", "int4": "int", "int8": "long", "float4": "f32", "float8": "f64",
          "date": "date", "time": "time", "timestamp": "ts", "timestamptz": "tstz", "bytea": "bin", "uuid": "uuid",
          "oid": "any"}


class Catalog:
    """What the types of this database are."""

    def __init__(self, connection):
        rows = connection.execute("select oid::bigint, typname, typtype, typelem::bigint, typbasetype::bigint, "
                                  "typtypmod, typcategory, typlen, typnamespace::regnamespace::text from pg_type")
        self.types = {r[0]: r[1:] for r in rows.fetchall()}

    def kind(self, oid, typmod):
        """(kind, SQL function from expression to text expression or None for lists)"""
        name, typtype, elem, base, base_mod, category, length, schema = self.types[oid]
        if typtype == "d":
            return self.kind(base, base_mod if base_mod != -1 else typmod)
        if category == "A" and elem and length == -1 and name.startswith("_"):
            return ("list", self.kind(elem, typmod))
        if schema == "pg_catalog":
            if name in SCALAR:
                return (SCALAR[name],)
            if name == "numeric":
                if typmod == -1:
                    return ("str",)  # unbounded: text, unless configured otherwise
                precision, scale = (typmod - 4) >> 16 & 0xffff, (typmod - 4) & 0x7ff
                if precision <= 38 and 0 <= scale <= precision:
                    return ("dec", precision, scale)
                return ("num",)
        return ("str",)


def expression(e, kind):
    """SQL text of the value of SQL expression e: unambiguous, whatever the settings of the session."""
    name = kind[0]
    null = f"case when ({e}) is not distinct from null then null else "
    if name == "list":
        # By subscript: unnest() would take composite elements apart.
        inner = expression(f"({e})[u.o]", kind[1])
        return (f"{null} case when cardinality({e}) = 0 then '[]' when array_ndims({e}) > 1 then 'multi ' || "
                f"format('%s', {e}) else (select json_agg({inner} order by u.o)::text from "
                f"generate_subscripts({e}, 1) as u(o)) end end")
    if name == "date":
        return f"{null} case when isfinite({e}) then (({e}) - date '1970-01-01')::text else ({e})::text end end"
    if name in ("ts", "tstz"):
        return (f"{null} case when isfinite({e}) then (extract(epoch from {e}) * 1000000)::numeric(40,0)::text "
                f"else ({e})::text end end")
    if name == "time":
        return f"(extract(epoch from {e}) * 1000000)::numeric(40,0)::text"
    if name == "bin":
        return f"encode({e}, 'hex')"
    if name in ("bool", "int", "long", "f32", "f64", "dec", "num", "uuid"):
        return f"({e})::text"
    return f"{null} format('%s', {e}) end"  # the output function: (x)::text strips char(n) and decorates inet


TABLES = """
select c.oid::bigint, n.nspname, c.relname, c.relkind, c.relreplident,
       (select array_agg(a.attname order by k.o) from pg_index i, unnest(i.indkey) with ordinality as k(n, o), pg_attribute a
         where i.indrelid = c.oid and a.attrelid = c.oid and a.attnum = k.n and k.o <= i.indnkeyatts
           and (i.indisprimary or (c.relreplident = 'i' and i.indisreplident
                and not exists (select from pg_index p where p.indrelid = c.oid and p.indisprimary))))
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
   and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
 order by 2, 3
"""


class Snapshot:
    """The source at one instant: a repeatable-read transaction that stays open until close()."""

    def __init__(self, server, database, exported=None):
        """exported: the name of a snapshot of another session, instead of one of this moment."""
        self.connection = psycopg.connect(server.dsn(database))
        self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        if exported is not None:
            self.connection.execute(f"set transaction snapshot '{exported}'")
        self.connection.execute("set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres'; "
                                "set local timezone = 'UTC'; set local extra_float_digits = 3; "
                                "set local bytea_output = 'hex'")
        # The first query takes the snapshot.
        self.tables_found = self.connection.execute(TABLES).fetchall()
        self.catalog = Catalog(self.connection)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def tables(self, source="shop", skip=(), only=None, keys=None, kinds=None, columns=None, where=None):
        """Reads the tables. keys: {table: [columns]} where the mirror was told; kinds: {(table, column): kind};
        columns: {table: [names]} when only some are mirrored; where: {table: SQL}."""
        out = []
        for oid, schema, name, _, _, key in self.tables_found:
            if name in skip or (only is not None and name not in only):
                continue
            out.append(self.table(oid, schema, name, key, source, keys or {}, kinds or {}, columns or {}, where or {}))
        return out

    def table(self, oid, schema, name, key, source, keys, kinds, columns, where):
        attributes = self.connection.execute(
            "select attname, atttypid::bigint, atttypmod from pg_attribute where attrelid = %s and attnum > 0 "
            "and not attisdropped order by attnum", (oid,)).fetchall()
        attributes = [a for a in attributes if name not in columns or a[0] in columns[name]]
        names = [a[0] for a in attributes]
        table_kinds = [kinds.get((name, a[0])) or self.catalog.kind(a[1], a[2]) for a in attributes]
        select = ", ".join(expression("t." + quote(n), k) for n, k in zip(names, table_kinds)) or "1"
        condition = f" where {where[name]}" if name in where else ""
        cursor = self.connection.execute(f"select {select} from {quote(schema)}.{quote(name)} t{condition}")
        lists = [i for i, k in enumerate(table_kinds) if k[0] == "list"]
        rows = cursor.fetchall()
        if lists:
            rows = [tuple(_list(v) if i in lists else v for i, v in enumerate(r)) for r in rows]
        namespace = source if schema == "public" else f"{source}_{schema}"
        return Table(namespace, name, names, table_kinds, keys.get(name, key or []), rows)


def _list(text):
    if text is None or text.startswith("multi "):
        return text
    return tuple(json.loads(text))
