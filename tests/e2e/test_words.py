"""What help and the pages say is what the program does."""
import re
import sqlite3
import subprocess

from oracle.mirror import BINARY, ROOT, Mirror


def run(*arguments):
    return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=60)


def test_every_exit_code_is_in_the_table():
    """The table is made of the list that the program itself uses; and each code that a command's help names is in it."""
    page = run("help", "--commands").stdout
    table = page[page.index("## Exit codes"):page.index("## init")]
    known = set(re.findall(r"^\| (\d+) \|", table, re.M))
    assert known == {"0", "1", "2", "3", "4", "5", "6", "7", "70"}
    names = re.findall(r"^\| \[`(\w+)`\]", page, re.M)
    assert len(names) >= 16
    for name in names:
        text = run(name, "--help").stdout
        codes = re.findall(r"^  (\d+) +\S", text[text.index("exit codes:"):], re.M)
        assert set(codes) <= known and "help --commands" in text, name
        section = page[page.index(f"\n## {name}\n"):].split("\n## ")[1]
        assert set(codes) == set(re.findall(r"^\| (\d+) \|", section, re.M)), name
    assert "\n| 7 | all files are in" in page and (ROOT / "docs/commands.md").read_text() == page


def test_resync_promises_only_what_a_source_can_keep(folder):
    """A declared dataset and one whose table is gone cannot be copied anew: said, instead of asking for what nobody does."""
    with sqlite3.connect(folder / "shop.db") as db:
        db.executescript("create table t (id integer primary key); create table gone (id integer primary key)")
    m = Mirror(folder / "m", f"  shop:\n    type: sqlite\n    path: {folder}/shop.db\n", "commit_interval: 50ms")
    (folder / "s.yaml").write_text("schemas:\n  - {name: s.items, columns: {id: int key, v: int version}}\n")
    assert m.with_config("schema", "apply", str(folder / "s.yaml")).returncode == 0
    m.catch_up()
    with sqlite3.connect(folder / "shop.db") as db:
        db.execute("drop table gone")
    m.start()
    m.until(lambda: m.dataset_status("shop.gone")["state"] == "dropped", "the table to be missed")
    assert m.stop() == 0
    for name, word in (("s.items", "declared"), ("shop.gone", "not in the source")):
        p = m.with_config("resync", name)
        assert p.returncode == 2 and word in p.stderr and "asked for" not in p.stdout
    p = m.with_config("resync", "--all")
    assert p.returncode == 0 and p.stdout.count("asked for") == 1 and "shop.t" in p.stdout
