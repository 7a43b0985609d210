"""Meetings of features whose rule the program does not keep yet. False: such commands are passed over, by model and program alike.

Each name is a rule; when it is mended, its switch is turned on, and when all are on this file goes.
"""
RENAME_WITH_QUARANTINE = False       # rows in quarantine follow a renamed or dropped column
RESHAPE_WITH_HISTORY = False         # a history moves with its dataset's schema, in the same commit
KEY_WITH_TOMBSTONES = False          # tombstones outlive a wider key or version
NULLS_WITH_INTERVALS = False         # ignore_null_updates beside scd2: one result, whatever the split
NULLS_OUT_OF_ORDER = False           # ignore_null_updates: changes that come late, or beside deletes
HISTORY_LATER = False                # a history that is turned on, or given up, when rows are there
WAITING = False                      # rows that wait for their parent
REPLAY_IS_RECEIVED = True            # a replay counts its rows as received once more
NULLS_WITH_WAITING = False           # ignore_null_updates beside rows that wait
