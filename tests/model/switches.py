"""Meetings of features whose rule the program does not keep yet. False: such commands are passed over, by model and program alike.

Each name is a rule; a mending brings tests of its own, and its rules count here as soon as these are there. When all are on, this file goes.
"""
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "e2e"
HISTORIES = (TESTS / "test_history.py").exists()
QUARANTINE = (TESTS / "test_waiting_rows.py").exists()

RESHAPE_WITH_HISTORY = HISTORIES        # a history moves with its dataset's schema, in the same commit
KEY_WITH_TOMBSTONES = HISTORIES         # tombstones outlive a wider key or version; another key or version
NULLS_WITH_INTERVALS = HISTORIES        # ignore_null_updates beside scd2: one result, whatever the split
NULLS_OUT_OF_ORDER = HISTORIES          # ignore_null_updates: changes that come late, or beside deletes
HISTORY_LATER = HISTORIES               # a history that is turned on, or given up, when rows are there
RENAME_WITH_QUARANTINE = QUARANTINE     # rows in quarantine follow a renamed or dropped column
QUARANTINE_EXPIRES = QUARANTINE         # rows in quarantine whose time can be read expire, too
REPLAY_IS_RECEIVED = not QUARANTINE     # a replay counts its rows as received once more
WAITING = False                         # rows that wait for their parent
NULLS_WITH_WAITING = False              # ignore_null_updates beside rows that wait
