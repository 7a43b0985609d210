"""The state that the model keeps: plain data, no rules."""
import copy
import datetime
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from . import kinds


@dataclass
class Column:
    id: int              # of the column, whatever its name is
    name: str
    type: str
    required: bool = False


@dataclass
class Change:
    """One row as it came, read by the columns of that day."""
    op: str              # u or d
    key: tuple
    version: object
    values: dict         # column id → value, of upserts; key and version are in it
    arrived: int = 0     # which of the rows it is that came: of equal versions the later arrival wins


@dataclass
class Aside:
    """A row in quarantine."""
    raw: dict            # name → text, as it came
    reason: str
    key: tuple | None                  # when it is known
    change: Change | None = None       # of a row that waits for its parent
    arrived: int = 0


@dataclass
class Reference:
    """A relationship that holds rows back: on_orphan: quarantine."""
    name: str
    columns: list        # ids, in the order of the parent's key
    to: str              # dataset
    must: bool           # M:1, else M:0


@dataclass
class Dataset:
    name: str
    columns: list
    key: list                            # column ids
    version: int
    timestamp: int | None = None         # of a time-series
    history: str = "false"               # false, true, scd2
    keeps_on_null: bool = False          # ignore_null_updates
    expire: int | None = None            # hours
    refs: list = field(default_factory=list)
    referred: dict = field(default_factory=lambda: defaultdict(set))     # key → all that its rows have ever referred to
    rows: dict = field(default_factory=dict)          # key → values by column id
    tombstones: dict = field(default_factory=dict)    # key → version
    past: list = field(default_factory=list)          # history: true: (op, version, values)
    intervals: dict = field(default_factory=lambda: defaultdict(dict))   # scd2: key → version → (op, values)
    ended: tuple | None = None                        # a history that has ended: (kind, past, intervals, columns)
    archives: list = field(default_factory=list)      # such ones that another has followed
    suppressed: set = field(default_factory=set)
    aside: list = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    next_id: int = 1

    def column(self, name):
        return next((c for c in self.columns if c.name == name), None)

    def by_id(self, number):
        return next(c for c in self.columns if c.id == number)

    def add(self, name, kind, required=False):
        self.columns.append(Column(self.next_id, name, kind, required))
        self.next_id += 1
        return self.next_id - 1


class Model:
    def __init__(self):
        self.datasets = {}
        self.hours = 0                   # that the clock has moved on
        self.arrivals = 0

    def now(self):
        return kinds.NOW + datetime.timedelta(hours=self.hours)

    def copy(self):
        return copy.deepcopy(self)
