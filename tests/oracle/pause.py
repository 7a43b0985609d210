"""A gate for writer threads: each transaction passes it; closing it waits until no transaction is open."""
import contextlib
import threading
import time


class Gate:
    def __init__(self):
        self._condition = threading.Condition()
        self._inside = 0
        self._closed = False
        self.over = False

    @contextlib.contextmanager
    def transaction(self):
        with self._condition:
            while self._closed:
                self._condition.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def closed(self, timeout=60):
        """No transaction is open while the body runs."""
        with self._condition:
            self._closed = True
            end = time.monotonic() + timeout
            while self._inside:
                assert self._condition.wait(end - time.monotonic()), "writers did not come to rest"
        try:
            yield
        finally:
            with self._condition:
                self._closed = False
                self._condition.notify_all()


class Writers:
    """Threads that run step functions until told to end. A failed assertion in one fails the test."""

    def __init__(self, gate):
        self.gate = gate
        self.threads = []
        self.errors = []
        self.counts = {}

    def add(self, name, step):
        """step() runs one transaction inside the gate; it returns what it did, for the summary."""
        def loop():
            while not self.gate.over:
                try:
                    with self.gate.transaction():
                        if self.gate.over:
                            return
                        done = step()
                    key = f"{name}: {done}"
                    self.counts[key] = self.counts.get(key, 0) + 1
                except Exception as e:  # the test shows it; going on would hide it
                    self.errors.append((name, e))
                    self.gate.over = True
                    return
        self.threads.append(threading.Thread(target=loop, name=name, daemon=True))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.gate.over = True
        for t in self.threads:
            t.join(60)

    def check(self):
        if self.errors:
            name, error = self.errors[0]
            raise AssertionError(f"writer {name} failed: {error!r}") from error
