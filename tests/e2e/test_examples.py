"""The worked examples in docs/examples: every command of their pages is run as it stands there, and must print what the page shows.

A ```console block holds commands ("$ …", continued by a backslash at the end) and their output, both channels. In the output "…" stands for anything within a line.
`python tests/e2e/test_examples.py --write` puts the present output into the pages (with DATAMIRROR in the environment); read the difference before you keep it.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from oracle.mirror import BINARY, SLOW  # noqa: E402

EXAMPLES = ROOT / "docs" / "examples"
NAMES = sorted(p.parent.name for p in EXAMPLES.glob("*/README.md"))
# What differs from run to run, in --write.
CHANGING = [(re.compile(r"[\d,]+ rows/s"), "… rows/s"), (re.compile(r"\d+ files \([\d,]+ bytes\)"), "… files (… bytes)"),
            (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"), "…")]


class Step:
    def __init__(self, command, line):
        self.command = command
        self.line = line
        self.output = []


def steps(page):
    """[(text, None) or (None, Step)] in order; text keeps its lines."""
    inside = False
    step = None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            inside = not inside and line == "```console"
            step = None
            yield line, None
        elif not inside:
            yield line, None
        elif line.startswith("$ ") or (step and not step.output and step.command.endswith("\\")):
            if line.startswith("$ "):
                step = Step(line[2:], number)
                yield None, step
            else:
                step.command += "\n" + line
        else:
            assert step, f"{page}:{number}: output before any command"
            step.output.append(line)


def prepare(name, folder):
    """The example's files, without its page, and a PATH with the program."""
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("README.md"), dirs_exist_ok=True)
    binaries = folder.parent / "bin"
    binaries.mkdir()
    (binaries / "datamirror").symlink_to(BINARY)
    return {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}


def run(step, folder, environment):
    p = subprocess.run(["bash", "-c", step.command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=120 * SLOW)
    return p.stdout.decode().rstrip("\n").splitlines()


def matches(shown, printed):
    return re.fullmatch(".*".join(re.escape(part) for part in shown.rstrip().split("…")), printed.rstrip()) is not None


@pytest.mark.smoke
def test_there_are_examples_and_each_is_listed():
    listed = set(re.findall(r"\]\((\w+)/README\.md\)", (EXAMPLES / "README.md").read_text()))
    assert set(NAMES) == listed and len(NAMES) >= 4


@pytest.mark.smoke
@pytest.mark.parametrize("name", NAMES)
def test_example(name, folder):
    place = folder / name
    environment = prepare(name, place)
    page = EXAMPLES / name / "README.md"
    ran = 0
    for step in [s for _, s in list(steps(page)) if s]:
        printed = run(step, place, environment)
        ran += 1
        same = len(printed) == len(step.output) and all(matches(a, b) for a, b in zip(step.output, printed))
        assert same, f"{page}:{step.line}: $ {step.command}\n--- the page shows\n" + "\n".join(step.output) + "\n--- it printed\n" + "\n".join(printed)
    assert ran >= 5


def write(name):
    page = EXAMPLES / name / "README.md"
    with tempfile.TemporaryDirectory(prefix="dm-example-") as folder:
        place = Path(folder) / name
        environment = prepare(name, place)
        lines = []
        for text, step in list(steps(page)):
            if step is None:
                lines.append(text)
                continue
            lines.extend(("$ " + step.command).splitlines())
            for line in run(step, place, environment):
                for pattern, word in CHANGING:
                    line = pattern.sub(word, line)
                lines.append(line.rstrip())
        page.write_text("\n".join(lines) + "\n")


if __name__ == "__main__" and "--write" in sys.argv:
    for example in [a for a in sys.argv[1:] if a != "--write"] or NAMES:
        write(example)
