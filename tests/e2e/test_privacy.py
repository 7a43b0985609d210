"""What stays private: deleted keys behind their hashes, files and folders of the lake, and terminals and logs from what others wrote."""
import hashlib
import hmac
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import time

import pytest

from oracle import process
from oracle.mirror import BINARY, Mirror

SCHEMA = """schemas:
  crm.people:
    columns: {id: {type: %s, required: true}, v: {type: long, required: true}, name: string}
    key: id
    version: v
"""


def declared(folder, kind="string", options="commit_interval: 50ms"):
    m = Mirror(folder / "m", "", options)
    (m.folder / "schema.yaml").write_text(SCHEMA % kind)
    ok(m, "schema", "apply", str(m.folder / "schema.yaml"))
    return m


def ok(m, *arguments, code=0, **kwargs):
    p = m.with_config(arguments[0], *arguments[1:], timeout=120, **kwargs)
    assert p.returncode == code, f"{arguments}: code {p.returncode}\n{p.stdout}{p.stderr}"
    return p.stdout + p.stderr


def ingest(m, rows, name="rows.json", code=0):
    (m.folder / name).write_text("".join(json.dumps(r) + "\n" for r in rows))
    return ok(m, "ingest", "crm.people", str(m.folder / name), code=code)


# ---- deleted keys ----

def hashes(m):
    with sqlite3.connect(m.lake.folder / "catalog.db") as db:
        return {bytes(h) for h, in db.execute("select hash from dm_suppression")}


def long_key(n):
    """Integers are 64 bits, big endian, with the sign bit flipped (column/key.h)."""
    return ((n ^ (1 << 63)) & (2**64 - 1)).to_bytes(8, "big")


@pytest.mark.parametrize("kind,keys,form", [("string", ["ada@example.com", "4111111111111111", "aaaa", "sixteen bytes ..", "x"], str.encode),
                                            ("long", [-77, 0, 2**40], long_key)])
def test_deleted_keys_are_behind_a_keyed_one_way_function(folder, kind, keys, form):
    m = declared(folder, kind)
    ingest(m, [{"id": k, "v": 1, "name": "x"} for k in keys])
    ok(m, "delete", "crm.people", "--yes", "--until-erased", "--", *map(str, keys))
    secret = m.lake.folder / ".secret"
    key = secret.read_bytes()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600 and len(key) == 32
    assert hashes(m) == {hmac.new(key, form(k), hashlib.sha256).digest()[:16] for k in keys}
    # nothing in the catalog says the secret, and it is another one in each lake
    for name in os.listdir(m.lake.folder):
        if name.startswith("catalog.db"):
            assert key not in (m.lake.folder / name).read_bytes()
    with sqlite3.connect(m.lake.folder / "catalog.db") as db:
        assert "dm_suppression_secret" not in {n for n, in db.execute("select name from sqlite_master")}
    other = declared(folder / "other", kind)
    assert (other.lake.folder / ".secret").read_bytes() != key
    # without the secret, or with another one, nothing is taken in that might be a deleted key
    text = "put it back from a backup"
    secret.rename(folder / "kept")
    assert text in ok(m, "ingest", "crm.people", str(m.folder / "rows.json"), code=2)
    secret.write_bytes((other.lake.folder / ".secret").read_bytes())
    assert text in ok(m, "ingest", "crm.people", str(m.folder / "rows.json"), code=2)
    secret.write_bytes(key[:-1])
    assert "is damaged" in ok(m, "ingest", "crm.people", str(m.folder / "rows.json"), code=2)
    (folder / "kept").replace(secret)
    assert f"{len(keys)} suppressed" in ingest(m, [{"id": k, "v": 9} for k in keys]).replace("deleted by order", "suppressed")
    assert m.query("select count(*) as n from crm.people") == [{"n": 0}]


# ---- modes ----

def open_to_others(folder, allowed=0):
    found = []
    for path, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            mode = stat.S_IMODE(os.stat(os.path.join(path, name), follow_symlinks=False).st_mode)
            if mode & 0o77 & ~allowed:
                found.append((os.path.relpath(os.path.join(path, name), folder), oct(mode)))
    return sorted(set(found))


@pytest.mark.parametrize("mode,allowed", [(None, 0), ("0640", 0o50), ("0644", 0o55)])
def test_files_are_private_unless_said_otherwise(folder, mode, allowed):
    os.umask(0)
    try:
        m = declared(folder, options="commit_interval: 50ms" + (f"\nfile_mode: {mode}" if mode else ""))
        ingest(m, [{"id": str(i), "v": 1, "name": "x"} for i in range(9)])
        ok(m, "delete", "crm.people", "3", "--yes")
        ingest(m, [{"id": "4", "v": 2, "name": "y"}], "more.json")
    finally:
        os.umask(0o22)
    assert open_to_others(m.lake.folder, allowed) == []
    data = [p for p in (m.lake.folder / "crm").rglob("*.parquet")]
    assert data and all(stat.S_IMODE(p.stat().st_mode) == int(mode or "0600", 8) for p in data)
    assert stat.S_IMODE((m.lake.folder / "catalog.db").stat().st_mode) == int(mode or "0600", 8)
    for name in os.listdir(m.lake.folder):
        if name.startswith(".") and (m.lake.folder / name).is_dir():
            assert stat.S_IMODE((m.lake.folder / name).stat().st_mode) == 0o700, name
    assert stat.S_IMODE((m.lake.folder / ".secret").stat().st_mode) == 0o600
    doctor = ok(m, "doctor")
    assert "can be read by others" not in doctor
    (m.lake.folder / "catalog.db").chmod(0o666)
    m.config.write_text(m.config.read_text() + "http: 127.0.0.1:0\nhttp_token: abcdefgh\n")
    m.config.chmod(0o644)
    doctor = ok(m, "doctor")
    assert "catalog.db can be read by others" in doctor and "mirror.yaml has a secret in it" in doctor and "abcdefgh" not in doctor
    m.config.chmod(0o600)
    assert "has a secret" not in ok(m, "doctor")
    m.config.write_text(m.config.read_text().replace("abcdefgh", "${DM_TOKEN}"))
    m.config.chmod(0o644)
    assert "has a secret" not in ok(m, "doctor", env={"DM_TOKEN": "abcdefgh"})


def test_init_writes_a_token_that_nobody_else_reads(folder):
    (folder / "shop.db").touch()
    tokens = set()
    for i in range(2):
        p = subprocess.run([str(BINARY), "init", "--source", "shop.db", "-o", f"m{i}.yaml"], cwd=folder, capture_output=True, text=True)
        assert p.returncode == 0, p.stderr
        file = folder / f"m{i}.yaml"
        token = re.search(r"^http_token: (\w+)", file.read_text(), re.M)[1]
        assert len(token) >= 32 and stat.S_IMODE(file.stat().st_mode) == 0o600 and token not in p.stdout + p.stderr
        tokens.add(token)
    assert len(tokens) == 2


def spills(temp):
    return [n for n in os.listdir(temp) if n.startswith("datamirror-")]


def test_spills_of_queries_are_private_and_swept(folder):
    m = declared(folder)
    ingest(m, [{"id": "1", "v": 1}])
    temp = folder / "temp"
    temp.mkdir()
    env = {"TMPDIR": str(temp)}
    trap = folder / "trap"
    trap.mkdir()
    (temp / "datamirror-query-1").symlink_to(trap)          # somebody else's, in the way
    slow = "select count(*) from range(100000000000) a, crm.people"
    child = subprocess.Popen([str(BINARY), "query", "-c", str(m.config), slow], cwd=m.folder, env=m.environment(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.poll(lambda: len(spills(temp)) == 2, 20, "its folder")
    mine = next(temp / n for n in spills(temp) if n != "datamirror-query-1")
    assert str(child.pid) not in mine.name and stat.S_IMODE(mine.stat().st_mode) == 0o700
    ok(m, "query", "select 1", env=env)                      # one that is in use stays
    assert mine.exists()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert mine.exists()
    ok(m, "query", "select 1", env=env)
    assert spills(temp) == ["datamirror-query-1"] and list(trap.iterdir()) == []
    old = temp / "datamirror-aaaaaa"                          # killed before it had its lock
    old.mkdir(mode=0o700)
    ok(m, "query", "select 1", env=env)
    assert old.exists()
    os.utime(old, (time.time() - 3600,) * 2)
    ok(m, "query", "select 1", env=env)
    assert not old.exists()


# ---- symbolic links ----

def test_symbolic_links_in_a_watched_folder_are_not_followed(folder):
    inbox, outside = folder / "in", folder / "outside.csv"
    (inbox / "sub").mkdir(parents=True)
    outside.write_text("id,v,name\noutside,1,secret\n")
    (inbox / "sub" / "x").write_text("id,v,name\ninside,1,x\n")
    (inbox / "a.csv").symlink_to(outside)
    (inbox / "b.csv").symlink_to(inbox / "sub" / "x")
    (inbox / "c.csv").symlink_to("../outside.csv")
    (inbox / "d.csv").symlink_to("gone.csv")
    (inbox / "e.csv").write_text("id,v,name\nplain,1,x\n")
    m = declared(folder)
    source = "  drop: {type: files, path: %s, dataset: crm.people, pattern: '*.csv', poll_interval: 100ms%s}"
    m.write(source % (inbox, ""), "commit_interval: 50ms")
    m.catch_up()
    assert [r["id"] for r in m.query("select id from crm.people order by id")] == ["plain"]
    log = m.log_tail(100)
    assert all(f"{n}.csv is passed over: it is a symbolic link" in log for n in "abc") and "secret" not in log
    assert "Nothing" in ok(m, "quarantine", "list")
    m.write(source % (inbox, ", follow_links: true"), "commit_interval: 50ms")
    m.catch_up()
    assert [r["id"] for r in m.query("select id from crm.people order by id")] == ["inside", "plain"]
    assert "leads out of the folder" in m.log_tail(100)


# ---- what is shown ----

EVIL = "a\x1b[2J\x1b]0;title\x07\x9b31m\r\nerror: forged line\x7f\u202egpj\u2066"


def clean(text):
    """Nothing that a terminal obeys, and no line that a value began."""
    assert not [c for c in text if (c < " " and c != "\n") or "\x7f" <= c <= "\x9f" or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"], repr(text)
    assert not [line for line in text.splitlines() if line.startswith("error: forged")], text
    return text


def test_what_others_wrote_is_shown_without_what_terminals_obey(folder):
    """Names, values, descriptions and messages in the log, and in everything that commands print for people."""
    m = declared(folder)
    ingest(m, [{"id": EVIL, "v": 1, "name": EVIL}, {"id": "bad", "v": EVIL, "name": EVIL}, {"id": "b", "v": 1, "name": EVIL}], "x\x1b[31m\n.json", code=7)
    shown = [ok(m, "status", code=3)]
    shown += [ok(m, *a) for a in (["quarantine", "list"], ["quarantine", "show", "crm.people"], ["schema", "show", "crm.people"], ["schema", "list"], ["doctor"],
                                 ["query", "select * from crm.people"], ["query", "select id as \"%s\" from crm.people" % EVIL], ["quarantine", "show", "crm.people", "--json"])]
    shown.append(ok(m, "delete", "crm.people", EVIL, "--name", EVIL, "--description", EVIL, "--yes"))
    shown += [ok(m, "delete", "--list"), ok(m, "delete", "--show", "1"), ok(m, "delete", "--list", "--json")]
    for arguments in (["ingest", "crm.people", EVIL], ["query", "select '" + EVIL], ["resync", EVIL], ["status", EVIL], ["query", "-c", EVIL, "select 1"], ["schema", "show", EVIL]):
        p = m.with_config(*arguments) if "-c" not in arguments else m.command(*arguments)
        assert p.returncode != 0 or p.stdout, arguments
        shown.append(p.stdout + p.stderr)
    for text in shown:
        clean(text)
    assert any("\\x1b[2J" in text and "\\u202egpj" in text and "\\x9b31m" in text for text in shown)
    # the log, as text and as JSON
    inbox = folder / "in"
    inbox.mkdir()
    (inbox / "x\x1b[2J\nerror: forged.csv").write_text("nothing,of,it\n1,2,3\n")
    (inbox / "_\x9b\u202e").write_text("")
    source = "  drop: {type: files, path: %s, dataset: crm.people, poll_interval: 100ms, on_bad_file: skip}" % inbox
    m.write(source, "commit_interval: 50ms")
    for arguments in ([], ["--json"]):
        m.log.unlink(missing_ok=True)
        m.start("--until-caught-up", "-v", *arguments)
        m.wait_end()
        text = clean(m.log.read_text(errors="surrogateescape"))
        lines = text.splitlines()[1:]
        assert "\\x1b[2J" in text and "forged" in text, text
        assert all(json.loads(line)["message"] for line in lines) if arguments else all(re.match(r"\d{4}-", line) for line in lines)
