"""Depths, formulas, traces of who did what, encryption of the connection to PostgreSQL, and how the program is built and what it is built of."""
import csv
import io
import json
import re
import subprocess
import sys

import pytest

from oracle import process
from oracle.mirror import BINARY, ROOT, SLOW, Mirror
from test_http_security import Guarded
from test_privacy import declared, ingest, ok

# ---- input that is too deep ----

@pytest.mark.parametrize("text", ["[" * 80000, "{a: " * 20000, "- " * 30000, "a: " + "[" * 80000 + "]" * 80000, "? " * 40000, "&a [" * 20000])
def test_deep_yaml_is_refused_at_once(folder, text):
    m = Mirror(folder / "m", "")
    for name, arguments in (("mirror.yaml", ["status", "-c"]), ("schema.yaml", ["schema", "diff", "-c", str(m.config)])):
        file = folder / f"deep-{name}"
        file.write_text(text)
        p = m.command(*arguments, str(file), timeout=5)
        assert p.returncode == 2 and ("nested too deeply" in p.stderr or "not YAML" in p.stderr), (p.returncode, p.stderr[:300])
    deep = "sources: " + "[" * 60 + "]" * 60
    (folder / "deep.yaml").write_text(deep)
    assert "nested too deeply" not in m.command("status", "-c", str(folder / "deep.yaml")).stderr


# ---- spreadsheets ----

def test_sheets_hold_no_formulas(folder):
    m = declared(folder)
    evil = ["=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", '=HYPERLINK("x","y")']
    ingest(m, [{"id": e, "v": -5, "name": "-5"} for e in evil] + [{"id": e, "v": e} for e in evil], code=7)
    exact = m.command("query", "-c", str(m.config), "select id, v, name from crm.people order by id", "-f", "csv").stdout
    sheet = ok(m, "query", "select id, v, name from crm.people order by id", "-f", "sheet")
    rows = list(csv.reader(io.StringIO(sheet, newline="")))[1:]
    assert [r[0] for r in rows] == ["'" + e.replace("\r", "\n") for e in sorted(evil)] and all(r[1:] == ["-5", "-5"] for r in rows)
    assert [r[0] for r in csv.reader(io.StringIO(exact, newline=""))][1:] == [e.replace("\r", "\n") for e in sorted(evil)]     # data stays data (\r was read as \n)
    bad = list(csv.reader(io.StringIO(ok(m, "quarantine", "export", "crm.people", "--format", "sheet", "--reasons"), newline="")))[1:]
    assert len(bad) == len(evil) and all(not cell or cell[0] not in "=+-@\t\r" for row in bad for cell in row), bad


# ---- who did it ----

def test_deletes_say_who_ordered_them(folder):
    m = Guarded(folder)
    m.start()
    m.fill()
    answer = m.ok("POST", "/data/core/hygiene/workorder", {"datasetId": "s.items", "keys": ["1"]}, 201)
    assert answer["report"]["ordered_by"] == "127.0.0.1, over HTTP"
    ok(m, "delete", "s.items", "2", "--yes")
    user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    process.poll(lambda: m.log_tail(100).count("deleted for good, ordered by") == 2, 10, "the lines")
    assert "ordered by 127.0.0.1, over HTTP" in m.log_tail(100) and f"ordered by user {user} (" in m.log_tail(100)
    listed = json.loads(ok(m, "delete", "--show", "2", "--json"))
    assert listed["report"]["ordered_by"].startswith(f"user {user} (") if "report" in listed else True
    # what is in memory stays there
    with open(f"/proc/{m.child.pid}/limits") as f:
        assert re.search(r"Max core file size +0 +0 ", f.read())
    assert m.stop() == 0


# ---- the connection to PostgreSQL ----

def doctor(m):
    return m.with_config("doctor", timeout=60).stdout


def keywords(server, name, more):
    """The name is not this machine's, the address is."""
    url = server.url(name, tcp=True)
    user, host, port = re.match(r"postgresql://([^@]+)@([^:/]+):(\d+)/", url).groups()
    return f'"host=db.example.test hostaddr={host} port={port} user={user} dbname={name} {more}"'


def test_doctor_leads_to_checked_encryption(database):
    database.execute("create table t(id int primary key)")
    for more, words in (("", "is in clear, and sslmode is prefer"), ("sslmode=disable", "is in clear, and sslmode is disable")):
        m = database.mirror()
        source = re.sub(r"url: .*", lambda _: "url: " + keywords(database.server, database.name, more), database.source())
        m.write(source)
        text = doctor(m)
        assert words in text and "sslmode=verify-full" in text, text
    m = database.mirror(folder="local")
    assert "sslmode" not in doctor(m)
    m.write(re.sub(r"url: .*", lambda _: "url: " + keywords(database.server, database.name, "sslmode=verify-full sslrootcert=system"), database.source()))
    p = m.with_config("doctor", timeout=60)
    assert p.returncode == 1 and "FAIL" in p.stdout                  # a server that cannot prove who it is gets no password
    p = m.command("init", "--source", database.server.url(database.name), "-o", "new.yaml")
    assert p.returncode == 0 and "sslmode=verify-full" in (m.folder / "new.yaml").read_text()


# ---- how it is built ----

def test_the_program_is_hardened():
    def read(*options):
        return subprocess.run(["readelf", "-W", *options, str(BINARY)], capture_output=True, text=True, check=True).stdout
    dynamic, segments = read("-d"), read("-l")
    symbols = read("--dyn-syms")
    if "__asan_init" in symbols or "__tsan_init" in symbols:
        pytest.skip("a sanitizer does its own")
    assert "DYN" in read("-h") and "FLAGS_1" in dynamic and "PIE" in dynamic        # any address
    assert "GNU_RELRO" in segments and "NOW" in dynamic                            # no table to write into
    assert re.search(r"GNU_STACK.* RW ", segments)                                 # no code on the stack
    meson = (ROOT / "meson.build").read_text()                                     # the rest is for what users run
    assert all(flag in meson for flag in ("-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection", "-D_FORTIFY_SOURCE=2"))
    assert "-Db_pie=true" in (ROOT / "Makefile").read_text()


def test_parts_are_named_and_pinned():
    notice = (ROOT / "NOTICE").read_text().lower()
    meson = (ROOT / "meson.build").read_text()
    for name in re.findall(r"dependency\('(lib)?([a-z]+)", meson):
        known = {"threads": "", "pq": "libpq", "yaml": "libyaml", "cmocka": "cmocka", "sqlite": "sqlite", "zstd": "zstandard"}.get(name[1], name[1])
        assert known in notice, name
    assert "duckdb" in notice and "croaring" in notice
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text()
    text = (ROOT / "tests/requirements.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " "))
    packages = [e for e in entries if "==" in e]
    assert len(packages) > 30 and all("--hash=sha256:" in p for p in packages)
    wanted = re.findall(r"^([\w-]+)(?:\[\w+\])?(==[\w.]+)", (ROOT / "tests/requirements.in").read_text(), re.M)
    assert all(any(p.lower().startswith("".join(w).lower()) for p in packages) for w in wanted), wanted
    assert subprocess.run([sys.executable, str(ROOT / "scripts/check_duckdb.py")]).returncode == 0
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert all("integrity" in p for name, p in lock.items() if name)
