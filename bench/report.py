"""What all parts of the benchmark share: the table that is printed, and watching a process."""
import os
import sys
import threading

table = []


def row(what, mirror, yardstick, ratio, aim):
    table.append((what, mirror, yardstick, ratio, aim))
    print(f"  {what}: {mirror}; {yardstick}; {ratio} (aim {aim})", file=sys.stderr, flush=True)


def number(n):
    return f"{n:,.0f}".replace(",", " ")


class Watch:
    """Samples a process: peak of anonymous memory, peak resident, bytes written, processor time."""

    def __init__(self, pid):
        self.pid = pid
        self.anon = self.resident = self.written = 0
        self.cpu = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def sample(self):
        try:
            with open(f"/proc/{self.pid}/status") as f:
                for line in f:
                    if line.startswith("RssAnon:"):
                        self.anon = max(self.anon, int(line.split()[1]) * 1024)
                    elif line.startswith("VmHWM:"):
                        self.resident = max(self.resident, int(line.split()[1]) * 1024)
            with open(f"/proc/{self.pid}/io") as f:
                for line in f:
                    if line.startswith("write_bytes:"):
                        self.written = max(self.written, int(line.split()[1]))
            with open(f"/proc/{self.pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
                self.cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (FileNotFoundError, ProcessLookupError):
            pass

    def _loop(self):
        while not self._over.wait(0.02):
            self.sample()

    def stop(self):
        self.sample()
        self._over.set()
        self._thread.join()
        return self
