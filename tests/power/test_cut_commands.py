"""Power cuts while commands work on declared datasets: files, schemas, deletion to the last byte, expiry, merging of small files.

The steps are done once, recorded. The state after each of them is known; a cut between two of them must show one of the two, and what was said to
be done must be there. Then the step is done again, as a person would, and must come to the same.
"""
import os
import random
import sqlite3
from collections import Counter

import pytest

from oracle import power
from oracle.mirror import Mirror

OPTIONS = "compression: uncompressed\ncommit_interval: 20ms\nmetadata_versions: 4"
SECRETS = [f"secret-person-{i}@erased.example" for i in (1, 2)]
PEOPLE = [f"person{i}@kept.example" for i in range(12)]
SCHEMA = """
schemas:
  crm.people:
    columns:
      email: {{type: string, required: true}}
      name: string
      {age}: int{renamed}
      version: {{type: long, required: true}}{more}
    key: email
    version: version
    history: scd2
  web.visits:
    columns:
      id: {{type: long, required: true}}
      at: {{type: timestamptz, required: true}}
      page: string
      version: {{type: long, required: true}}
    key: [id, at]
    behavior: time-series
    timestamp: at
    version: version
    expire: P4000D
"""
BEFORE = SCHEMA.format(age="age", renamed="", more="")
AFTER = SCHEMA.format(age="years", renamed="", more="\n      note: string")
RENAMED = AFTER.replace("years: int", "years: {type: int, renamed_from: age}")


class Steps:
    """The work; each step is one commit of what can be seen."""

    def __init__(self, folder):
        self.folder = folder
        self.mirror = Mirror(folder / "m", "", OPTIONS)
        self.steps = [lambda env: self.schema(BEFORE, env)]
        for i in range(3):
            self.ingest("crm.people", self.people(i))
        self.ingest("web.visits", "id,at,page,version\n" + "".join(f"{i},20{10 if i % 3 else 25}-01-0{i % 9 + 1}T00:00:00Z,p{i},1\n" for i in range(30)))
        self.steps.append(lambda env: self.schema(RENAMED, env))
        self.ingest("crm.people", self.people(3, "years"))
        self.steps.append(lambda env: self.run(env, "delete", "crm.people", SECRETS[0], "--until-erased", "--yes"))
        self.steps.append(lambda env: self.run(env, "expire"))
        self.alone = len(self.steps)   # from here on beside a running mirror
        for i in range(4, 24):   # enough for merging
            self.ingest("crm.people", self.people(i, "years"))
        self.steps.append(lambda env: self.run(env, "delete", "crm.people", SECRETS[1], "--until-erased", "--yes"))
        self.ingest("crm.people", self.people(24, "years"))

    def people(self, i, age="age"):
        rows = [f"{e},name {i} of {e},{20 + i},{i + 1},{'d' if (n + i) % 7 == 0 else 'u'}" for n, e in enumerate(PEOPLE + SECRETS) if (n * 5 + i) % 3 or
                (e in SECRETS and i == 0)]
        return f"email,name,{age},version,_change_request_type\n" + "".join(r + "\n" for r in rows if i == 0 or i == 2 or not r.startswith(tuple(SECRETS)))

    def ingest(self, dataset, text):
        path = self.folder / f"step{len(self.steps)}.csv"
        path.write_text(text)
        self.steps.append(lambda env: self.run(env, "ingest", dataset, str(path)))

    def schema(self, text, env):
        path = self.folder / "schemas.yaml"
        path.write_text(text)
        self.run(env, "schema", "apply", str(path))

    def run(self, env, command, *arguments):
        p = self.mirror.with_config(command, *arguments, env=env)
        assert p.returncode == 0, f"{command} {arguments}: code {p.returncode}\n{p.stdout}{p.stderr}"


def state(lake):
    """All rows of all datasets, whatever the order, without the time of day at which they came."""
    return {key: Counter(str(sorted((k, v) for k, v in r.items() if k != "_deleted_at")) for r in rows.dicts()) for key, rows in lake.everything().items()}


def expired(found):
    """The state without the rows that any mirror that starts removes by itself."""
    return {key: Counter({row: n for row, n in rows.items() if key != ("web", "visits") or "('at', 12" not in row})
            for key, rows in found.items()}


def erased(catalog):
    """The orders of which it is said that no byte is left."""
    if not catalog.catalog.exists():
        return []
    db = catalog.connect()
    try:
        return [i for i, in db.execute("select id from dm_work_order where status = 'erased'")]
    except sqlite3.OperationalError as e:
        assert "no such table" in str(e)
        return []
    finally:
        db.close()


def traces(folder, text):
    """The files that hold it, wherever."""
    paths = [os.path.join(base, n) for base, _, names in os.walk(folder) for n in names]
    return [p for p in paths if text.encode() in power.Content.of(p).data]


@pytest.fixture
def steps(folder):
    s = Steps(folder)
    yield s
    s.mirror.kill()


def test_erased_is_said_when_it_cannot_come_back(folder, seed):
    """`erased` is on the disk only when the removals of the files are, too: on a file system that keeps no order they came back with a cut."""
    steps = Steps(folder)
    mirror, lake = steps.mirror, steps.mirror.lake
    recording = power.Recording(folder / "record", lake.folder)
    for step in steps.steps[:4]:
        step(recording.environment())
    steps.run(recording.environment(), "delete", "crm.people", SECRETS[0], "--until-erased", "--yes")
    log = recording.finish()
    assert not traces(lake.folder, SECRETS[0])
    syncs = [i for i, record in enumerate(log) if record.op == power.FSYNC]
    moments = syncs[-12:] + [len(log) - 1] * 12
    said = 0
    for number, (moment, disk) in enumerate(power.cuts(recording, log, moments)):
        cut = folder / f"cut{number}"
        disk.cut(random.Random(f"{seed} {number}"), cut, "strict")
        with power.in_place_of(lake.folder, cut):
            done = erased(power.catalog_copy(lake, folder / "catalog"))
            said += len(done)
            assert moment < len(log) - 1 or done == [1]
            assert not done or not traces(lake.folder, SECRETS[0]), (moment, traces(lake.folder, SECRETS[0]))
    assert said >= 12


def test_commands(steps, folder, seed):
    mirror, lake = steps.mirror, steps.mirror.lake
    recording = power.Recording(folder / "record", lake.folder)
    states = [{}]
    for i, step in enumerate(steps.steps):
        if i == steps.alone:
            mirror.start(env=recording.environment())
        step(recording.environment())
        recording.mark(str(i))
        states.append(state(power.catalog_copy(lake, folder / "catalog")))
    assert all(states[i] != states[i + 1] for i in range(len(steps.steps))), "each step can be seen"
    mirror.stop()
    log = recording.finish()
    merged = not_begun = again = 0
    for cut in power.cut_states(recording, log, seed, power.CUTS, folder, recover=lambda env, cut: mirror.catch_up(env=env)):
        done = len(cut.before)
        catalog = power.catalog_copy(lake, folder / "catalog")
        for order in erased(catalog):
            assert not traces(lake.folder, SECRETS[order - 1]), f"{cut}: order {order} is erased, and the bytes are there"
        found = state(catalog)
        allowed = states[done:done + 2]
        if cut.again is not None:   # the mirror of the recovery has removed them
            found, allowed = expired(found), [expired(a) for a in allowed]
        assert found in allowed, f"{cut}: what can be seen is not the state after step {done - 1}, nor after {done}"
        env = recording.after_reboot()
        mirror.catch_up(env=env)
        now = expired(state(lake))   # a mirror does the orders that commands left
        assert now in (expired(found), expired(allowed[-1])), f"{cut}: another state after the restart"
        assert len(erased(lake)) >= done_deletes(done, steps), f"{cut}: an order was forgotten, or not ended"
        if done < len(steps.steps):
            steps.steps[done](env)
            assert expired(state(lake)) == expired(allowed[1]), f"{cut}: step {done} done again has another result"
            again += 1
        last(steps, done, env)
        not_begun += not found
    print(f"power cuts: {power.CUTS} of {len(log)} records, {len(steps.steps)} steps, {not_begun} before the first, {again} steps done again, seed {seed}")


def done_deletes(done, steps):
    return (done > steps.alone - 2) + (done > len(steps.steps) - 2)


def last(steps, done, env):
    """Every key changed once more: what the key index says of any of them shows."""
    if done < 2:
        return
    age = "age" if done < 5 else "years"
    path = steps.folder / f"last{done}.csv"
    path.write_text(f"email,name,{age},version,_change_request_type\n" + "".join(f"{e},last,1,1000,u\n" for e in PEOPLE))
    steps.run(env, "ingest", "crm.people", str(path))
    rows = steps.mirror.lake.dataset("crm", "people").dicts()
    kept = sorted(r["email"] for r in rows if r["email"] not in SECRETS)
    assert kept == sorted(PEOPLE) and all(r["version"] == 1000 for r in rows if r["email"] in PEOPLE), rows
    p = steps.mirror.with_config("doctor", env=env)
    assert p.returncode == 0, p.stdout + p.stderr
