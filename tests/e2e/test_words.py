"""What help and the pages say is what the program does."""
import re
import subprocess

from oracle.mirror import BINARY, ROOT


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
