"""The way to a PostgreSQL server: what it waits for, what it never says, and when it gives up."""
import signal
import time
import urllib.parse

import psycopg
import pytest

from oracle import process
from oracle.mirror import SLOW


@pytest.mark.parametrize("where", ["slot", "copy"])
def test_waits_for_an_open_transaction_and_says_for_whom(database, where):
    """Making a slot waits for transactions that are running. Log and status name the session; the first signal ends it."""
    state = {"slot": "waiting", "copy": "running"}[where]   # beside a copy that waits, the stream goes on
    database.execute("create table t (id int primary key, v int); insert into t values (1, 1); create table other (id int primary key)")
    mirror = database.mirror()
    if where == "copy":
        mirror.catch_up()
        assert mirror.with_config("resync", "shop.t").returncode == 0
    with database.server.connect(database.name) as other:
        other.execute("begin; insert into t values (2, 2)")
        pid = other.info.backend_pid
        mirror.start()
        status = mirror.until(lambda: (lambda s: s if s and f"pid {pid} " in str(s["error"]) else None)(mirror.source_status()), "the session in the status")
        assert status["state"] == state, status
        mirror.until(lambda: f"pid {pid}" in mirror.log_tail(), "a line of the log")
        assert "since" in mirror.log_tail()
        started = time.monotonic()
        assert mirror.stop(signal.SIGTERM) == 0
        assert time.monotonic() - started < 5 * SLOW, "the first signal had no effect"
        process.poll(lambda: database.execute("select count(*) from pg_stat_activity where application_name = 'datamirror'") == [(0,)], 20,
                     "nothing of the mirror to be left at the server")
        mirror.start()
        mirror.until(lambda: f"pid {pid} " in str(mirror.source_status()), "the session in the status")
        other.execute("commit")
        mirror.until_dataset("t", lambda rows: len(rows.rows) == 2, "the copy after the transaction has ended")
        mirror.until(lambda: mirror.source_status()["state"] == "running" and not mirror.source_status()["error"], "the state running")
    assert mirror.stop() == 0


def test_prepared_transaction_is_named_too(database):
    database.execute("create table t (id int primary key)")
    database.execute("begin; insert into t values (2); prepare transaction 'forgotten'")
    mirror = database.mirror().start()
    try:
        mirror.until(lambda: "forgotten" in str(mirror.source_status()), "the name of the prepared transaction")
    finally:
        database.execute("rollback prepared 'forgotten'")
    mirror.until_dataset("t", lambda rows: rows.rows == [], "the copy")


SECRETS = ["ab@cd:S3cretTail", "/slash/S3cretTail", "100%S3cretTail", "q?u=e&r#y S3cretTail", "1234/S3cretTail@x", "%41S3cretTail", "ü'\\\"S3cretTail",
           " S3cretTail ", "${S3cretTail}", "[::1]:S3cretTail"]


def with_password(database):
    database.execute("do $$ begin create role with_password login superuser password 'x'; exception when duplicate_object then null; end $$")
    return "with_password"   # pg_hba.conf asks this role for its password


def said(mirror, **kwargs):
    """Everything that the commands say with this configuration, and how run ends."""
    mirror.start("--until-caught-up", "--give-up-after", "300ms", **kwargs)
    code = mirror.wait_end()
    text = mirror.log_tail(1000)
    for command in (["doctor"], ["doctor", "--json"], ["status"], ["status", "--json"], ["verify"]):
        p = mirror.with_config(*command, **kwargs)
        text += p.stdout + p.stderr
    return code, text


def test_any_password_from_a_variable_works_and_shows_nowhere(database):
    """Values of ${…} in a URL or in keywords stand for themselves, whatever signs they hold."""
    with_password(database)
    database.execute("create table t (id int primary key); insert into t values (1)")
    mirror = database.mirror()
    server = database.server
    for i, secret in enumerate(SECRETS):
        with server.connect("postgres") as c:
            c.execute("alter role with_password password '" + secret.replace("'", "''") + "'")
        forms = (f"'postgresql://with_password:${{PW}}@127.0.0.1:{server.port}/{database.name}'",
                 f"'host=127.0.0.1 port={server.port} user=with_password password=${{PW}} dbname={database.name}'",
                 f"\"host=127.0.0.1 port={server.port} user=with_password password='${{PW}}' dbname={database.name}\"",
                 f"'postgresql://with_password@127.0.0.1:{server.port}/{database.name}?password=${{PW}}'")
        url = forms[i % len(forms)]
        mirror.write(database.source().replace(f"url: {server.url(database.name)}", f"url: {url}"))
        mirror.catch_up(env={"PW": secret})
        p = mirror.with_config("doctor", env={"PW": secret})
        assert p.returncode == 0, (secret, p.stdout)
        assert "S3cretTail" not in p.stdout + p.stderr
    assert "S3cret" not in "".join(line for line in mirror.log.read_text().splitlines() if not line.startswith("--- run"))


def test_a_wrong_url_shows_no_part_of_its_password(database):
    """Written into the file, or the whole URL in one variable: what cannot be understood is not repeated."""
    with_password(database)
    database.execute("create table t (id int primary key)")
    mirror = database.mirror()
    server = database.server
    hints = 0
    for secret in SECRETS[:6] + ["ab@cd:S3cretTail@", "12/S3cretTail", "a:S3cretTail"]:
        url = f"postgresql://with_password:{secret}@127.0.0.1:{server.port}/{database.name}"
        mirror.write(database.source().replace(f"url: {server.url(database.name)}", "url: ${URL}"))
        code, text = said(mirror, env={"URL": url})
        text = "\n".join(line for line in text.splitlines() if not line.startswith("--- run"))
        assert code != 0 and "S3cret" not in text and "Tail" not in text, (secret, text)
        assert "password" in text or "percent" in text, text
        hints += "percent-encode" in text
    assert hints >= 5
    for url in (f"host=127.0.0.1 port={server.port} user=with_password password=S3cret Tail dbname={database.name}",
                f"host=127.0.0.1 port={server.port} user=with_password password='S3cretTail dbname={database.name}",
                f"host=127.0.0.1 port={server.port} user=with_password sslkey=/nonexistent sslcert=/nonexistent sslpassword=S3cretTail dbname={database.name}",
                f"postgres:/with_password:S3cretTail@127.0.0.1/{database.name}", f"postgresql//with_password:S3cretTail@127.0.0.1/{database.name}",
                f"//with_password:S3cretTail@127.0.0.1:{server.port}/{database.name}"):
        code, text = said(mirror, env={"URL": url})
        text = "\n".join(line for line in text.splitlines() if not line.startswith("--- run"))
        assert code != 0 and "S3cret" not in text and "Tail" not in text, (url, text)
        p = mirror.command("init", "-o", "x.yaml", "--source", url)
        assert p.returncode != 0 and "S3cret" not in p.stdout + p.stderr and "Tail" not in p.stdout + p.stderr, (url, p.stderr)


def test_init_takes_name_and_password_as_they_are(database):
    """The name is made of the decoded one, and what stands in the variable afterwards is the password itself."""
    with_password(database)
    name, secret = f"my {database.name}", "p@ss w/rd%"
    with database.server.connect("postgres") as c:
        c.execute(f'create database "{name}" template template0')
        c.execute(f"alter role with_password password '{secret}'")
    try:
        with psycopg.connect(host=str(database.server.folder), port=database.server.port, user="postgres", dbname=name, autocommit=True) as c:
            c.execute("create table t (id int primary key); insert into t values (5)")
        mirror = database.mirror()
        mirror.config.unlink()
        quoted = urllib.parse.quote(name)
        p = mirror.command("init", "--source",
                           f"postgresql://with_password:{urllib.parse.quote(secret, safe='')}@127.0.0.1:{database.server.port}/{quoted}")
        assert p.returncode == 0, p.stderr
        source = f"my_{database.name}"
        assert f"\n  {source}:" in mirror.config.read_text(), mirror.config.read_text()
        variable = f"{source.upper()}_PASSWORD"
        assert variable in p.stdout and "as it is" in p.stdout, p.stdout
        mirror.catch_up(env={variable: secret})
        assert mirror.lake.dataset(source, "t").rows == [(5,)]
    finally:
        for m in database.mirrors:
            m.kill()
        database.server.drop_database(name)


def test_gives_up_after_a_limit(database):
    """run --until-caught-up beside a server that is away ends with code 4, by default after the time that --help names."""
    database.execute("create table t (id int primary key)")
    mirror = database.mirror()
    mirror.write(database.source().replace(f"port={database.server.port}", f"port={process.free_port()}"), "retry_max: 100ms")
    p = mirror.command("run", "--help")
    assert "--give-up-after" in p.stdout and "60s" in p.stdout
    mirror.start("--until-caught-up", "--give-up-after", "1s")
    assert mirror.wait_end() == 4
    assert "trying again" in mirror.log_tail() and "--give-up-after" in mirror.log_tail()
    # Without it a mirror that follows never gives up; a signal ends it with 0.
    mirror.start()
    mirror.until(lambda: mirror.log_tail().count("trying again") > 3, "several tries")
    assert mirror.stop() == 0


def test_server_that_soon_takes_readers_for_dead(own_postgres, database_on):
    """wal_sender_timeout below the time for which a busy mirror may say nothing: the server is asked for patience with this one connection."""
    d = database_on(own_postgres(wal_sender_timeout="400ms"))
    d.execute("create table t (id int primary key, v int); insert into t values (1, 0)")
    mirror = d.mirror(options="commit_interval: 100ms").start()
    mirror.until_dataset("t", lambda rows: rows.rows == [(1, 0)], "the copy")

    def walsender():
        return d.execute("select pid from pg_stat_replication where application_name = 'datamirror' and state = 'streaming'")
    before = process.poll(walsender, 20, "the stream")
    mirror.child.send_signal(signal.SIGSTOP)
    time.sleep(1.5)   # silence is the subject
    mirror.child.send_signal(signal.SIGCONT)
    d.execute("update t set v = 1")
    mirror.until_dataset("t", lambda rows: rows.rows == [(1, 1)], "the update")
    assert walsender() == before, mirror.log_tail()
    assert mirror.stop() == 0
