"""The key index is derived: whatever happened to a dataset, a lake that lost its index answers later changes as one that kept it.

The same random operations (changes, deletes, old files again, expiry, record deletions and their end) go to two lakes. One keeps its index; the other loses
it at random moments, or dies between the publication of a commit and its index commit. Rows, history and outcomes must stay the same.
DM_CASES (default 6) is the number of sequences, DM_SEED repeats a run.
"""
import json
import os
import random
from datetime import datetime, timedelta, timezone

import pytest

from oracle.mirror import Mirror

CASES = int(os.environ.get("DM_CASES", "6"))
STEPS = 40
KEYS = ["a", "b", "c"]
DAYS = [300, 200, 150, 120, 100, 20]   # ago; those over 90 are past their expiry
NOW = datetime.now(timezone.utc).replace(microsecond=0)
COUNTS = ["received", "upserted", "inserted", "deleted", "stale", "ties", "noop_deletes", "suppressed"]
KILLED = -9


def schema(history):
    return ("schemas:\n  web.states:\n    columns:\n      id: {type: string, required: true}\n      v: {type: timestamptz, required: true}\n"
            f"      body: string\n    key: id\n    version: v\n    expire: P90D\n    tombstone_retention: forever\n{history}")


class World:
    def __init__(self, folder, history, loses):
        self.mirror = Mirror(folder, "", "compression: uncompressed")
        self.loses = loses
        file = folder / "schema.yaml"
        file.write_text(schema(history))
        self.run("schema", "apply", str(file))

    def run(self, *arguments, crash=None, code=0):
        p = self.mirror.with_config(*arguments, env={"DM_CRASH_AT": crash} if crash else None)
        if crash and p.returncode == KILLED:
            return None
        assert p.returncode == code, f"{arguments}: code {p.returncode}\n{p.stdout}{p.stderr}"
        return p.stdout

    def order(self, *arguments, crash=None):
        """An order that may be given twice: dies at the crash point, and is given again."""
        if self.run(*arguments, crash=crash if self.loses else None) is None:
            self.run(*arguments)

    def ingest(self, name, text):
        path = self.mirror.folder / name
        path.write_text(text)
        d = json.loads(self.run("ingest", "web.states", str(path), "--json"))["files"][0]
        return {k: d[k] for k in COUNTS if k in d}

    def rows(self, name):
        d = self.mirror.lake.dataset("web", name)
        return [] if d is None else sorted(tuple(str(r[c]) for c in sorted(r) if c != "_committed_at") for r in d.dicts())


def changes(r):
    """The text of a file: few keys, few versions, so that late changes and ties are many. What a version of a key holds is one thing, mostly."""
    lines = ["id,v,body,_change_request_type"]
    for _ in range(r.choice([1, 1, 1, 2, 4])):
        key, days, gone = r.choice(KEYS), r.choice(DAYS), r.random() < 0.4
        at = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f"{key} {days}" if r.random() < 0.8 else f"{key} {r.random()}"
        lines.append(f"{key},{at},{'' if gone else body},{'d' if gone else 'u'}")
    return "\n".join(lines) + "\n"


def sequence(folder, r):
    history = r.choice(["", "", "    history: changes\n", "    history: scd2\n"])
    worlds = [World(folder / "keeps", history, False), World(folder / "loses", history, True)]
    texts, log, suppressed = [], [], set()
    for step in range(STEPS):
        what = r.choices(["changes", "again", "expire", "delete", "unsuppress"], [12, 2, 5, 2, 3])[0]
        name = f"{step:03}.csv"
        if what == "again" and not texts:
            what = "changes"
        if what == "unsuppress" and not suppressed:
            what = "expire"
        if what in ("changes", "again"):
            text = changes(r) if what == "changes" else r.choice(texts)
            texts.append(text)
            log.append(text)
            outcomes = [w.ingest(name, text) for w in worlds]
            assert outcomes[0] == outcomes[1], describe(log, worlds)
        elif what == "expire":
            crash = r.choice([None, "expire-rows-before-publish:1", "expire-rows-after-publish:1"])
            log.append(f"expire {crash}")
            for w in worlds:
                w.order("expire", crash=crash)
        else:
            key = r.choice(sorted(suppressed)) if what == "unsuppress" else r.choice(KEYS)
            crash = r.choice([None, "delete-before-publish:1", "delete-after-publish:1"]) if what == "delete" else None
            log.append(f"{what} {key} {crash}")
            for w in worlds:
                w.order("delete", "web.states", key, *(["--unsuppress"] if what == "unsuppress" else ["--yes"]), crash=crash)
            (suppressed.discard if what == "unsuppress" else suppressed.add)(key)
        if r.random() < 0.4:
            log.append("index lost")
            worlds[1].mirror.lake.remove_index()
        for side in ["states", "states__history"] if step % 3 == 0 or step + 1 == STEPS else []:
            found = [w.rows(side) for w in worlds]
            assert found[0] == found[1], f"{side}\n" + "\n".join(map(str, found)) + "\n" + describe(log, worlds)


def describe(log, worlds):
    return "\n".join(log) + f"\nkeeps: {worlds[0].rows('states')}\nloses: {worlds[1].rows('states')}"


@pytest.mark.smoke
def test_a_lost_index_changes_nothing(folder, seed):
    r = random.Random(seed)
    for case in range(CASES):
        sequence(folder / str(case), r)


def line(key, days, body=None):
    """An upsert, or without a body a delete."""
    at = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"id,v,body,_change_request_type\n{key},{at},{body or ''},{'u' if body else 'd'}\n"


def test_the_tombstone_behind_an_expired_row_counts_again(folder):
    for name, lose in [("keeps", False), ("loses", True)]:
        w = World(folder / name, "", lose)
        w.ingest("1.csv", line("a", 200))
        w.ingest("2.csv", line("a", 100, "row"))
        w.run("expire")
        if lose:
            w.mirror.lake.remove_index()
        assert w.ingest("3.csv", line("a", 300, "late"))["stale"] == 1, name
        assert w.ingest("4.csv", line("a", 150, "newer"))["inserted"] == 1, name
        assert [r[0] for r in w.rows("states")] == ["newer"]


def test_a_killed_deletion_of_what_is_not_visible(folder):
    """Only tombstones and history rows go, so the dataset's own snapshot stays: the index must hear of it all the same."""
    w = World(folder, "    history: scd2\n", True)
    others = "".join(line(f"other{i}", 100, "x" if i else None).split("\n", 1)[1] for i in range(2))   # a file without rows would go as a whole
    w.ingest("1.csv", line("tomb", 200) + others)
    w.ingest("2.csv", line("past", 100, "secret") + others)
    w.run("expire")
    assert w.rows("states") == [] and len(w.rows("states__history")) == 4
    assert w.run("delete", "web.states", "tomb", "past", "--yes", crash="delete-after-publish:1") is None
    assert len(w.rows("states__tombstones")) == 1 and len(w.rows("states__history")) == 2
    w.run("delete", "web.states", "tomb", "past", "--unsuppress")
    assert w.ingest("3.csv", line("tomb", 300, "late"))["inserted"] == 1
    assert w.ingest("4.csv", line("past", 50, "new"))["inserted"] == 1
    # The new version would have ended the interval of the deleted one, and so brought it back.
    assert sorted(r[3] for r in w.rows("states__history")) == ["None", "late", "new", "x"]
