"""Runs spark_read.py, and does not wait for a Spark that stands still.

A JVM that hangs says nothing by itself: when neither its log nor what it writes has grown for STILL seconds, the stacks of all its threads and
of the interpreter go into the log and both are ended. Spark is then given one more try on the same lakes: what hangs by its own gets through,
what one of our files makes hang does not, and fails with both logs.
"""
import os
import signal
import subprocess
import time
import warnings
from pathlib import Path

import fetch

STILL = 150
TRIES = 2


def read(arguments, folder):
    """Spark's reading of (catalog, lake, out)… as spark_read.py takes them; logs in `folder`."""
    command = [fetch.python(), Path(__file__).parent / "spark_read.py", ":".join(map(str, fetch.jars())), *arguments]
    outs = [Path(out) for out in arguments[2::3]]
    told = []
    for attempt in range(1, TRIES + 1):
        log = folder / f"spark-{attempt}.log"
        code = _attempt(command, log, outs)
        if code == 0:
            if told:
                warnings.warn("Spark stood still and was started again:\n" + "\n".join(told))
            return
        told.append(f"--- try {attempt}: {'stood still' if code is None else f'exit code {code}'}\n{_tail(log, 30000)}")
        if code is not None:
            break
    raise AssertionError("\n".join(told))


def _attempt(command, log, outs):
    """The exit code, or None if it stood still and was ended."""
    with open(log, "wb") as f:
        p = subprocess.Popen(command, stdout=f, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"})
    seen, since = None, time.monotonic()
    try:
        while True:
            try:
                return p.wait(1)
            except subprocess.TimeoutExpired:
                pass
            now = [path.stat().st_size if path.exists() else -1 for path in (log, *outs)]
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > STILL:
                _stacks(p)
                return None
    finally:
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()


def _stacks(p):
    """Has the JVM and the interpreter write their stacks into the log they share."""
    for line in subprocess.run(["ps", "-o", "pid=,comm=", "-g", str(p.pid)], capture_output=True, text=True).stdout.splitlines():
        pid, name = line.split(maxsplit=1)
        if name == "java":
            os.kill(int(pid), signal.SIGQUIT)
    os.kill(p.pid, signal.SIGUSR1)
    time.sleep(3)


def _tail(log, size):
    text = log.read_text(errors="replace")
    return text if len(text) <= size else "…" + text[-size:]
