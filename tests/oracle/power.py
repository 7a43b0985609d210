"""Power cuts: what could be on the disk if the machine went off at any moment of a run.

A `Recording` runs programs under tests/power/record_writes.c, which logs every change below the folder `root` in order. A `Disk` reads the log and
keeps two things apart: what the programs see, and what must be on the disk because it was synced. `Disk.cut` makes a folder as a
power cut could have left it: of what was not synced, any part, chosen by a seed.

    recording = Recording(folder / "record", lake.folder)      # before the root has anything, or with what it has
    mirror.start(env=recording.environment())                  # any number of programs, one after the other or side by side
    recording.mark("push 17 acknowledged")                     # remember a moment
    mirror.kill()                                              # an end is not needed: kill -9 leaves nothing out
    log = recording.finish()                                   # [Record], in order; log[i].op, .path, .offset

    for cut in cut_states(recording, log, seed, count, folder):   # each in the place of `root`, since metadata names absolute paths
        catalog_copy(lake, folder / "catalog").pointers()      # read before anything is mended
        assert what cut.before says is there, …
        mirror.catch_up(env=recording.after_reboot())          # unrecorded, with another boot id

or by hand: for moment, disk in cuts(recording, log, moments), disk.cut(random.Random(seed), target_folder, "strict"), in_place_of.

What a cut keeps
  content   each unit (512 bytes or 4 KiB) of a file holds what it held at the last fsync of the file, or after any later write; the
            length is that of any of these moments, with zeros where nothing was written. Whole files at once are kept and lost, too.
  names     "ordered": the file system keeps changes of folders in order, and any fsync makes all earlier ones durable (ext4): what is
            left is a beginning of them. "strict": only the fsync of a folder makes its entries durable, and of the others any may
            be missing, alone (only changes of the same name keep their order). A rename is there whole or not at all.
  mappings  a shared mapping is seen when the file or its folder is synced, when a name in its folder changes, and at the end: in between each unit
            may have any of both contents.
"""
import fcntl
import os
import random
import shutil
import sqlite3
import struct
import uuid
from pathlib import Path

from .lake import Lake
from .mirror import ROOT

BUILD = Path(os.environ.get("DM_BUILD", ROOT / "build/dev")).resolve()
LIBRARY = BUILD / "librecord_writes.so"
# DM_CUTS is for all tests of power cuts together; there are four of them (commands, PostgreSQL, SQLite, files and HTTP).
CUTS = max(1, int(os.environ.get("DM_CUTS", "12")) // 4)

CREATE, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, LINK, FSYNC, MARK, ACK, MAPPED, WHOLE = range(1, 14)
HEADER = struct.Struct("<IIIIQQQ")


class Record:
    __slots__ = ("op", "path", "path2", "inode", "offset", "data")

    def __init__(self, op, path, path2, inode, offset, data):
        self.op, self.path, self.path2, self.inode, self.offset, self.data = op, path, path2, inode, offset, data


class Recording:
    """Writes below `root` by the programs that are started with `environment()`."""

    def __init__(self, folder, root):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.root = Path(os.path.realpath(root))
        self.log = self.folder / "writes.log"
        self.log.touch()
        self.boot = self.folder / "boot_id"
        self.reboot()
        self.base = _tree(self.root)   # what is there already counts as durable

    def reboot(self):
        """From now on the machine seems to have been started anew."""
        self.boot.write_text(str(uuid.uuid4()) + "\n")

    def _environment(self, more):
        preload = [str(LIBRARY)]
        options = os.environ.get("ASAN_OPTIONS")
        if options is not None or "asan" in str(BUILD):
            more["ASAN_OPTIONS"] = f"{options}:verify_asan_link_order=0" if options else "verify_asan_link_order=0"
        return {"LD_PRELOAD": " ".join(preload), "DM_RECORD_BOOT": str(self.boot), **more}

    def environment(self):
        """For programs that are recorded."""
        return self._environment({"DM_RECORD_LOG": str(self.log), "DM_RECORD_ROOTS": str(self.root)})

    def after_reboot(self):
        """For programs that start after a cut: not recorded, on a machine that was started anew."""
        self.reboot()
        return self._environment({})

    def mark(self, text):
        """Puts a moment into the log: what is said to be done before it must survive every later cut."""
        name = text.encode()
        with open(self.log, "ab") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            f.write(HEADER.pack(MARK, len(name), 0, 0, 0, 0, 0) + name)
            f.flush()

    def finish(self):
        """The log; the programs have ended. What mappings hold last becomes part of it."""
        log = self.read()
        mapped = {r.inode for r in log if r.op == MAPPED}
        for path, (inode, content) in _tree(self.root).items():
            if inode in mapped and content is not None:
                log.append(Record(WHOLE, None, None, inode, content.length, bytes(content.data)))
        return log

    def read(self):
        log = []
        with open(self.log, "rb") as f:
            while len(header := f.read(HEADER.size)) == HEADER.size:
                op, n, n2, _, inode, offset, size = HEADER.unpack(header)
                body = f.read(n + n2 + size)
                if len(body) < n + n2 + size:   # a program was killed while it wrote this record: it did not happen
                    break
                log.append(Record(op, os.fsdecode(body[:n]) if n else None, os.fsdecode(body[n:n + n2]) if n2 else None,
                                  inode, offset, body[n + n2:]))
        return log


def _tree(root):
    """{path: (inode, Content; None for a folder)}, folders before what is in them."""
    found = {}
    if not root.exists():
        return found
    for base, _, names in os.walk(root):
        found[base] = (os.stat(base).st_ino, None)
        for n in names:
            path = os.path.join(base, n)
            found[path] = (os.stat(path).st_ino, Content.of(path))
    return found


class Content:
    """Bytes and a length; what is behind the bytes is zeros (LMDB makes its file as long as its map, 1 TiB)."""
    __slots__ = ("data", "length")

    def __init__(self, data=b"", length=None):
        self.data = bytearray(data)
        self.length = len(data) if length is None else length

    @classmethod
    def of(cls, path):
        with open(path, "rb") as f:
            length, end = os.fstat(f.fileno()).st_size, 0
            while end < length:
                try:
                    end = os.lseek(f.fileno(), os.lseek(f.fileno(), end, os.SEEK_DATA), os.SEEK_HOLE)
                except OSError:   # no more data
                    break
            f.seek(0)
            return cls(f.read(min(end, length)), length)

    def __eq__(self, other):
        return self.length == other.length and self.data.rstrip(b"\0") == other.data.rstrip(b"\0")

    def copy(self):
        return Content(self.data, self.length)

    def cut(self, length):
        del self.data[length:]
        self.length = length

    def put(self, offset, data):
        if len(self.data) < offset:
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset:offset + len(data)] = data
        self.length = max(self.length, offset + len(data))

    def apply(self, op):
        offset, data = op
        if offset is None:
            self.cut(data)
        else:
            self.put(offset, data)

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.data)
            f.truncate(self.length)


def _changes(record):
    """What a record does to a file: (offset, data) or (None, length)."""
    if record.op == WRITE:
        return [(record.offset, record.data)]
    if record.op == TRUNCATE:
        return [(None, record.offset)]
    return [(None, len(record.data)), (0, record.data), (None, record.offset)]   # WHOLE


class _File:
    """Content: what is durable, and what was done since."""
    __slots__ = ("durable", "pending", "later")

    def __init__(self, content):
        self.durable = content.copy()
        self.pending = []      # (offset, data) or (None, length)
        self.later = []        # of a mapping: what the next look at it will see

    def sync(self):
        for op in self.pending:
            self.durable.apply(op)
        self.pending = []

    def seen(self):
        content = self.durable.copy()
        for op in self.pending:
            content.apply(op)
        return content

    def left(self, r, unit):
        """The content after a cut."""
        pending = self.pending + self.later
        kind = r.choice(["all", "none", "pieces", "pieces"])
        content = self.durable.copy()
        if kind == "none":
            return content
        if kind == "all":
            for op in pending:
                content.apply(op)
            return content
        stop = {}   # of each unit: how many of the operations reached it
        lengths = [content.length]
        for i, (offset, data) in enumerate(pending):
            if offset is None:
                self._cut_pieces(content, r, unit, stop, i, len(pending), data)
                lengths.append(data)
                continue
            end = offset + len(data)
            lengths.append(max(lengths[-1], end))
            for u in range(offset // unit, (end + unit - 1) // unit):
                if stop.setdefault(u, r.randrange(len(pending) + 1)) > i:
                    low, high = max(offset, u * unit), min(end, (u + 1) * unit)
                    content.put(low, data[low - offset:high - offset])
        content.cut(r.choice(lengths))
        return content

    @staticmethod
    def _cut_pieces(content, r, unit, stop, i, n, length):
        """A shorter file, of which units may have lost their bytes or not: that shows when it grows again."""
        for u in range(length // unit, (len(content.data) + unit - 1) // unit):
            if stop.setdefault(u, r.randrange(n + 1)) > i:
                low, high = max(length, u * unit), min(len(content.data), (u + 1) * unit)
                content.data[low:high] = bytes(high - low)


class _Names:
    """Folders as one kind of file system has them on its disk: entries, and changes that may still be lost."""

    def __init__(self, ordered):
        self.ordered = ordered
        self.entries = {}   # folder id: {name: id}
        self.pending = []   # (kind, names, …): names are the (folder, name) that it changes

    @staticmethod
    def apply(entries, change):
        kind, names, child = change
        if kind == "add":
            (folder, name), = names
            entries.setdefault(folder, {})[name] = child
        elif kind == "remove":
            (folder, name), = names
            entries.setdefault(folder, {}).pop(name, None)
        else:
            (folder, name), (folder2, name2) = names
            entries.setdefault(folder, {}).pop(name, None)
            entries.setdefault(folder2, {})[name2] = child

    def sync(self, what, is_folder):
        if self.ordered:
            keep = [True] * len(self.pending)
        elif not is_folder:
            return
        else:
            keep, needed = [False] * len(self.pending), set()
            for i in range(len(self.pending) - 1, -1, -1):
                names = self.pending[i][1]
                if names[-1][0] == what or needed.intersection(names):
                    keep[i] = True
                    needed.update(names)
        for change, now in zip(self.pending, keep):
            if now:
                self.apply(self.entries, change)
        self.pending = [c for c, now in zip(self.pending, keep) if not now]

    def left(self, r):
        entries = {k: dict(v) for k, v in self.entries.items()}
        if self.ordered:
            for change in self.pending[:r.choice([0, len(self.pending), r.randrange(len(self.pending) + 1)])]:
                self.apply(entries, change)
            return entries
        share, blocked = r.choice([0, 0.5, 0.9, 1]), set()
        for change in self.pending:
            if blocked.isdisjoint(change[1]) and r.random() < share:
                self.apply(entries, change)
            else:
                blocked.update(change[1])
        return entries


class Disk:
    """The log up to some moment. `apply` takes records in order; `cut` may be called at any time and changes nothing."""

    def __init__(self, recording):
        self.root = str(recording.root)
        self.now = {}        # folder id: {name: id}, as programs see it
        self.files = {}      # id: _File
        self.folders = set()
        self.ids = {}        # inode number: id
        self.next_id = 1
        self.names = {"ordered": _Names(True), "strict": _Names(False)}
        self.top = None
        for path, (inode, content) in recording.base.items():
            self._new(path, inode, content)
        for n in self.names.values():
            n.entries, n.pending = {k: dict(v) for k, v in self.now.items()}, []

    # ---- names ----

    def _new(self, path, inode, content):
        number = self.next_id
        self.next_id += 1
        self.ids[inode] = number
        if content is None:
            self.folders.add(number)
            self.now[number] = {}
        else:
            self.files[number] = _File(content)
        if path == self.root:   # its own entry is the test's: it stays
            self.top = number
        else:
            self._change("add", [self._place(path)], number)

    def _place(self, path):
        """(folder id, name)"""
        parts = path[len(self.root) + 1:].split("/")
        folder = self.top
        for p in parts[:-1]:
            folder = self.now[folder][p]
        return folder, parts[-1]

    def _child(self, place):
        return self.now[place[0]][place[1]]

    def _change(self, kind, names, child):
        change = (kind, tuple(names), child)
        _Names.apply(self.now, change)
        for n in self.names.values():
            n.pending.append(change)

    # ---- records ----

    def apply(self, record):
        op = record.op
        if op in (CREATE, MKDIR):
            self._new(record.path, record.inode, None if op == MKDIR else Content())
        elif op in (WRITE, TRUNCATE, WHOLE):
            self.files[self.ids[record.inode]].pending += _changes(record)
        elif op == RENAME:
            a, b = self._place(record.path), self._place(record.path2)
            self._change("move", [a, b], self._child(a))
        elif op == LINK:
            self._change("add", [self._place(record.path2)], self._child(self._place(record.path)))
        elif op in (UNLINK, RMDIR):
            place = self._place(record.path)
            self._change("remove", [place], self._child(place))
        elif op == FSYNC:
            number = self.ids[record.inode]
            if number in self.files:
                self.files[number].sync()
            for n in self.names.values():
                n.sync(number, number in self.folders)

    # ---- results ----

    def _write(self, folder, entries, content_of, target, written):
        os.mkdir(target)
        for name, child in sorted(entries.get(folder, {}).items()):
            path = os.path.join(target, name)
            if child in self.folders:
                self._write(child, entries, content_of, path, written)
            elif child in written:
                os.link(written[child], path)
            else:
                content_of(self.files[child]).write(path)
                written[child] = path

    def whole(self, target):
        """As programs see it: nothing is lost."""
        self._write(self.top, self.now, _File.seen, str(target), {})

    def cut(self, r, target, mode):
        """A power cut now; `target` must not exist. The root's own entry is always there."""
        unit = r.choice([512, 4096])
        if self.top is None:
            os.mkdir(target)
        else:
            self._write(self.top, self.names[mode].left(r), lambda f: f.left(r, unit), str(target), {})


def cuts(recording, log, moments):
    """(moment, Disk just after log[moment]) for each of the ascending moments. The disk is the same object each time."""
    looks = {}   # inode: indexes at which a mapping was looked at, in order
    for i, record in enumerate(log):
        if record.op == WHOLE:
            looks.setdefault(record.inode, []).append(i)
    disk = Disk(recording)
    at = 0
    for moment in moments:
        while at <= moment:
            record = log[at]
            disk.apply(record)
            at += 1
            if record.op in (MAPPED, WHOLE):   # from here to its next look it may hold what will be seen then
                coming = next((i for i in looks.get(record.inode, ()) if i >= at), None)
                disk.files[disk.ids[record.inode]].later = _changes(log[coming]) if coming is not None else []
        yield moment, disk


class in_place_of:
    """with in_place_of(root, cut): the cut is at the path of the root; afterwards the root is as it was, and the cut is gone."""

    def __init__(self, root, cut):
        self.root, self.cut, self.aside = str(root), str(cut), f"{root}.aside"

    def __enter__(self):
        os.rename(self.root, self.aside)
        os.rename(self.cut, self.root)

    def __exit__(self, *_):
        shutil.rmtree(self.root)
        os.rename(self.aside, self.root)


class Cut:
    """One state of the lake, in its place while the body of the loop runs."""

    def __init__(self, number, moment, mode, before, acknowledged):
        self.number = number
        self.moment = moment              # index in the log
        self.mode = mode
        self.before = before              # texts of the marks up to the cut
        self.acknowledged = acknowledged  # the last position that PostgreSQL was told; 0: none
        self.again = None                 # of a second cut: index in the log of the recovery

    def __str__(self):
        again = "" if self.again is None else f", and again after record {self.again} of the recovery"
        return f"cut {self.number} (mode {self.mode}, after record {self.moment}{again}, {len(self.before)} marks before)"


def cut_states(recording, log, seed, count, folder, after=0, recover=None, until=None):
    """`count` cuts at random moments from log[after] up to log[until]; yields Cut with the state in the place of the root, and puts the root back. Half of the
    moments are just behind a step that promises something (a sync, a rename, a removal, a mark).

    recover(env, cut) starts a mirror in the state and ends when it has come some way: with it every fourth state is one after two cuts, the
    second in the middle of the recovery from the first."""
    r = random.Random(f"{seed} moments")
    until = len(log) if until is None else until
    promises = [i for i, record in enumerate(log) if after <= i < until and record.op in (FSYNC, RENAME, UNLINK, MARK, ACK)]
    moments = sorted(r.choice(promises) if promises and r.random() < 0.5 else r.randrange(after, until) for _ in range(count))
    target = Path(folder) / "cut"
    for number, (moment, disk) in enumerate(cuts(recording, log, moments)):
        mode = ("strict", "ordered")[number % 2]
        before = [log[i].path for i in range(moment + 1) if log[i].op == MARK]
        acknowledged = max((log[i].offset for i in range(moment + 1) if log[i].op == ACK), default=0)
        disk.cut(random.Random(f"{seed} {number}"), target, mode)
        cut = Cut(number, moment, mode, before, acknowledged)
        with in_place_of(recording.root, target):
            try:
                if recover is not None and number % 4 == 3:
                    _cut_again(recording, cut, random.Random(f"{seed} {number} again"), Path(folder), recover)
                yield cut
            except BaseException:
                print(f"{cut}, seed {seed}")
                raise


def _cut_again(recording, cut, r, folder, recover):
    again = Recording(folder / f"again{cut.number}", recording.root)
    recover(again.environment(), cut)
    log = again.finish()
    if not log:
        return
    (moment, disk), = cuts(again, log, [r.randrange(len(log))])
    disk.cut(r, folder / "again", cut.mode)
    shutil.rmtree(recording.root)
    os.rename(folder / "again", recording.root)
    cut.acknowledged = max([cut.acknowledged] + [record.offset for record in log[:moment + 1] if record.op == ACK])
    cut.again = moment
    shutil.rmtree(again.folder)


def catalog_copy(lake, folder):
    """The lake's catalog in a folder of its own (its pointers name the lake's files): SQLite makes and removes files beside one that it only
    reads, which would mend a state after a cut, and would be missing in a recording."""
    def looks():
        return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in lake.folder.glob("catalog.db*") if not p.name.endswith("-shm")}
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        try:
            before = looks()
            for name in before:
                shutil.copy(lake.folder / name, folder)
            if looks() != before:   # a writer was at it
                continue
        except FileNotFoundError:
            continue
        copy = Lake(folder)
        if copy.catalog.exists():   # what a cut left is put right by the first who opens it; a reader alone may not
            db = sqlite3.connect(copy.catalog)
            db.execute("select count(*) from sqlite_master").fetchone()
            db.close()
        return copy
