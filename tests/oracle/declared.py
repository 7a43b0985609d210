"""A lake of declared datasets: schemas and rows go in by the program's commands, and come out by PyIceberg."""
import json

from oracle.mirror import Mirror


class Declared:
    """Without sources of its own; with `mirror`, beside those of an existing one."""

    def __init__(self, folder, mirror=None):
        self.mirror = mirror
        if mirror is None:
            self.mirror = Mirror(folder / "m", "", "commit_interval: 50ms")
            self.mirror.config.write_text(f"lake: {self.mirror.lake.folder}\n")
        self.folder = self.mirror.folder
        self.mirrors = [self.mirror]
        self.files = 0

    def run(self, command, *arguments, code=0, env=None, stdin=None):
        p = self.mirror.with_config(command, *arguments, env=env, stdin=stdin)
        assert p.returncode == code, f"{command} {arguments}: code {p.returncode}\n{p.stdout}\n{p.stderr}\n{self.mirror.log_tail()}"
        return p

    def apply(self, text, code=0):
        self.files += 1
        path = self.folder / f"schemas{self.files}.yaml"
        path.write_text(text)
        return self.run("schema", "apply", str(path), code=code)

    def ingest(self, dataset, rows, code=0, env=None):
        self.files += 1
        path = self.folder / f"rows{self.files}.ndjson"
        path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
        return self.run("ingest", dataset, str(path), code=code, env=env)

    def rows(self, dataset):
        found = self.mirror.lake.dataset(*dataset.split(".", 1))
        return [] if found is None else found.dicts()

    def column(self, dataset, name="id"):
        return sorted(r[name] for r in self.rows(dataset))

    def quarantine(self, dataset):
        p = self.run("quarantine", "show", dataset, "--json", "--limit", "0")
        return [json.loads(line) for line in p.stdout.splitlines()]
