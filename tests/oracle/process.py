"""Child processes that never outlive the test, bounded polling, free ports."""
import atexit
import ctypes
import os
import signal
import socket
import subprocess
import time

_children = {}


def _die_with_parent():
    # PR_SET_PDEATHSIG: when pytest itself is killed, its servers go too.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start(command, **kwargs):
    """Popen that is killed by its own pid when the test run ends. Call it from the main thread only."""
    child = subprocess.Popen(command, preexec_fn=_die_with_parent, **kwargs)
    _children[child.pid] = child
    return child


def stop(child, first=signal.SIGTERM, timeout=30):
    """Sends `first`, waits, and kills what does not end. Returns the exit code."""
    if child.poll() is None:
        child.send_signal(first)
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
            _children.pop(child.pid, None)
            raise TimeoutError(f"process {child.args[0]} (pid {child.pid}) did not end {timeout} s after "
                               f"{signal.Signals(first).name}; killed") from None
    _children.pop(child.pid, None)
    return child.returncode


@atexit.register
def _stop_all():
    for child in list(_children.values()):
        if child.poll() is None:
            child.kill()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Timeout(AssertionError):
    pass


def poll(condition, timeout, what, every=0.05, context=None, progress=None):
    """Calls condition until it is true, and returns its value. `context()` is added to the message on timeout. With `progress` the time is that
    without a step forward, which is when its value changes: a slow machine has much to do, a fault stands still. Ten times as long at most."""
    begin = now = time.monotonic()
    last, since = progress() if progress else None, begin
    while True:
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if progress and progress() != last:
            last, since = progress(), now
        if now > since + timeout or now > begin + 10 * timeout:
            more = "\n" + context() if context else ""
            raise Timeout(f"waited {now - begin:.1f} s for: {what() if callable(what) else what}{more}")
        time.sleep(every)


def tail(path, n=40):
    try:
        with open(path, "rb") as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - 20000))
            return "\n".join(f.read().decode("utf-8", "replace").splitlines()[-n:])
    except FileNotFoundError:
        return "(no log)"
