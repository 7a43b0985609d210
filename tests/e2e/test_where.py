"""Conditions of record deletes are other people's programs: they get a process, time, memory and disk of their own, and nothing else waits for them."""
import http.client
import json
import os
import signal
import subprocess
import time

import pytest

from oracle import process
from oracle.mirror import BINARY, SLOW
from test_http_api import ORDERS, Api

ENDLESS = "(select count(*) from range(1000000000000) r(x) where hash(x) = 3) > 0"


@pytest.fixture
def start(folder):
    made = []

    def make(more=""):
        m = Api(folder, more=more)
        made.append(m)
        m.start()
        m.items()
        push(m, "a", 1)
        return m
    yield make
    for m in made:
        m.kill()


def push(api, v, *ids):
    lines = "".join(json.dumps({"id": i, "v": 1, "name": f"{v}{i}", "email": None}) + "\n" for i in ids)
    status, answer, _ = api.send("POST", "/v1/datasets/s.items/changes", lines.encode(), {"Content-Type": "application/x-ndjson"})
    assert status == 200 and answer["upserted"] == len(ids), answer


def ids(api):
    return sorted(api.lake.dataset("s", "items").column("id"))


def order(where, **more):
    return {"action": "delete_identity", "datasetId": "s.items", "where": where, **more}


def health(api):
    status, answer, _ = api.send("GET", "/v1/health", token=None)
    assert status == 200 and answer["state"] == "running", answer
    return answer


class Asked:
    """A request under way, on a connection that can be closed."""

    def __init__(self, api, body):
        self.api = api
        self.connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=120 * SLOW)
        self.connection.request("POST", ORDERS, json.dumps(body), {"Content-Type": "application/json"})
        api.until(lambda: "condition_seconds" in health(api), "health to tell of the condition", every=0.02)

    def answer(self):
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


def children(api):
    return subprocess.run(["pgrep", "-P", str(api.child.pid)], capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("dry", [True, False])
def test_a_condition_that_runs_for_ever(start, dry):
    """Commits and health go on beside it; it ends with its time; nothing is deleted."""
    api = start(f"condition_timeout: {int(3 * SLOW)}s")
    asked = Asked(api, order(ENDLESS, dryRun=dry))
    push(api, "b", 2, 3)
    assert ids(api) == [1, 2, 3]
    assert "condition_seconds" in health(api), "the push was not answered beside it"
    status, answer = asked.answer()
    assert status == 400 and "condition_timeout" in answer["hint"] and "s.items" in answer["detail"], answer
    assert "condition_seconds" not in health(api) and children(api) == []
    assert ids(api) == [1, 2, 3] and api.ok("GET", ORDERS)["total"] == 0
    api.ok("POST", ORDERS, order("name = 'b2'"), 201)
    assert ids(api) == [1, 3]


def test_it_ends_with_its_client(start):
    """Over HTTP and by command; the next one then has its turn."""
    api = start("condition_timeout: 1h")
    Asked(api, order(ENDLESS)).connection.close()
    api.until(lambda: "condition_seconds" not in health(api), "the condition to end with its client")
    command = subprocess.Popen([str(BINARY), "delete", "-c", str(api.config), "s.items", "--where", ENDLESS, "--yes"], cwd=api.folder,
                               env=api.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    api.until(lambda: "condition_seconds" in health(api), "the command's condition")
    command.send_signal(signal.SIGINT)
    assert command.wait(30 * SLOW) != 0, command.stdout.read()
    api.until(lambda: "condition_seconds" not in health(api), "the condition to end with its command")
    assert children(api) == [] and ids(api) == [1]
    api.ok("POST", ORDERS, order("id = 1"), 201)
    assert ids(api) == []


def test_it_ends_with_the_mirror(start):
    """At the first SIGTERM; and killed, the mirror leaves no process behind."""
    api = start("condition_timeout: 1h")
    asked = Asked(api, order(ENDLESS))
    assert api.stop() == 0
    status, answer = asked.answer()
    assert status == 503, answer
    api.start()
    asked = Asked(api, order(ENDLESS))
    [child] = children(api)
    api.kill()
    process.poll(lambda: not os.path.exists(f"/proc/{child}") or " Z " in open(f"/proc/{child}/stat").read(), 20 * SLOW, "the process to end with the mirror")
    api.start()
    assert ids(api) == [1] and not list((api.lake.folder / ".spill").glob("condition-*"))


GREEDY = {   # held while it runs, and while it is planned; spilled; returned; a long text; a deep one
    "rows": "(select count(*) from (select hash(x) h, repeat('y', 100) from range(300000000) r(x) order by h)) > 0",
    "list": "(select len(list(repeat('z', 1000) || x)) from range(100000000) r(x)) > 0",
    "text while it is planned": "length(repeat(repeat('x', 50000), 100000)) > 0",
    "list while it is planned": "list_sum(range(3000000000)) > 0",
    "nested": "(" * 5000 + "true" + ")" * 5000,
    "long": " or ".join(f"id = {i + 100}" for i in range(60000)),
}


@pytest.mark.parametrize("what", GREEDY)
def test_a_condition_that_wants_everything(start, what):
    """It is refused, or answered rightly, within its limits; the mirror's own process takes part in nothing of it."""
    api = start(f"condition_timeout: {int(8 * SLOW)}s\nmemory_limit: 256MiB")
    push(api, "c", 100, 159)
    most = 0
    asked = Asked(api, order(GREEDY[what], dryRun=True))
    end = time.monotonic() + 100 * SLOW
    while "condition_seconds" in health(api) and time.monotonic() < end:
        for child in children(api):
            try:
                line = next(l for l in open(f"/proc/{child}/status") if l.startswith("VmHWM"))
                most = max(most, int(line.split()[1]) / 1024)
            except (OSError, StopIteration):
                pass
        time.sleep(0.05)
    status, answer = asked.answer()
    assert status in (200, 400, 503), answer
    if status == 200:
        assert what == "long" and answer["report"]["datasets"][0]["keys"] == 2 or what == "nested" and answer["report"]["datasets"][0]["keys"] == 3, answer
    if "DM_SANITIZED" not in os.environ:
        assert most < 32 + 256 + 64, f"{most} MiB"
    push(api, "d", 5)
    assert ids(api) == [1, 5, 100, 159]


def test_what_it_hits_is_what_met_it_at_one_moment(start):
    """A row that changes, or comes, while the condition is answered: the keys found are deleted, others are not."""
    api = start("condition_timeout: 10m")
    push(api, "x", 10, 11, 12)
    slow = "name like 'x%' and (select count(*) from range(400000000) r(x) where hash(x) = 3) >= 0"
    asked = Asked(api, order(slow))
    push(api, "x", 13)                                      # comes to meet it
    status, answer = asked.answer()
    assert status == 201 and answer["report"]["datasets"][0]["rows"] in (3, 4), answer
    assert ids(api) in ([1, 13], [1])
