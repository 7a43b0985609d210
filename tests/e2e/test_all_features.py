"""All features of declared data at once, beside a model of them in Python (tests/model), which knows the documents and not the program.

Commands are drawn from a seed: changes by every way in, replays, deletions for good, expiry with a clock that is moved on, new declarations, kills
and lost indexes, on several datasets. Rows, histories, tombstones, quarantine, columns and counters must be the model's. A difference shortens itself and
prints the commands that it needs. DM_SEEDS (default 10; nightly 200) is the number of seeds, DM_STEPS (36) of commands; DM_SEED repeats a run.
"""
import os

import pytest

from model import run

CASES = int(os.environ.get("DM_SEEDS", "10"))
STEPS = int(os.environ.get("DM_STEPS", "36"))


@pytest.mark.parametrize("case", range(CASES))
def test_all_features(folder, seed, case):
    run.check(folder / "m", seed * 1000 + case, STEPS)
