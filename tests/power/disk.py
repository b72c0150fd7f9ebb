"""The disk as the recorder saw it: every write, name and sync in one order, and what any moment's power cut may leave.

What is on the disk for sure at a moment: of a file, what was written before the begin of a sync of it that has ended; of
a folder, the names changed before such a sync of the folder. All else may be there or not, in any order, torn anywhere.
This is harder than ext4, xfs or btrfs are: a synced file may lose its name when its folder was not synced.
"""

import os
import struct

OPEN, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, SYNC_BEGIN, SYNC_END, CLOSE, ACCEPT, SENT, LINK, DUP, MAP, RMDIR = range(1, 16)
HEAD = struct.Struct("<IIqqq")
O_CREAT, O_TRUNC = os.O_CREAT, os.O_TRUNC


class Inode:
    """A file or a folder: its changes, and the pairs (begin, end) of its syncs."""

    def __init__(self, path):
        self.path, self.changes, self.syncs = path, [], []

    def sure(self, moment):
        """Changes before this place in the log are on the disk."""
        return max((begin for begin, end in self.syncs if end < moment), default=-1)


class Disk:
    """A log, read."""

    def __init__(self, log, root):
        self.root, self.folders, self.syncs, self.told, self.sent = root, {root: Inode(root)}, [], [], {}
        self.length = 0
        self.now = {}      # path -> Inode, as the program sees it
        self.fds, self.open_syncs, self.peers = {}, {}, {}
        for place, record in enumerate(records(log)):
            self.take(place, *record)
            self.length = place + 1

    def take(self, place, kind, fd, a, b, octets):
        if kind == OPEN:
            self.opened(place, fd, a, octets.decode())
        elif kind == WRITE:
            self.fds[fd].changes.append((place, "write", a, octets))
        elif kind == TRUNCATE:
            self.fds[fd].changes.append((place, "truncate", a, b""))
        elif kind in (RENAME, LINK):
            source, target = octets[:a].decode(), octets[a + 1:].decode()
            inode = self.now[source]
            self.now[target] = inode
            self.name(place, target, inode)
            if kind == RENAME:
                del self.now[source]
                assert os.path.dirname(source) == os.path.dirname(target), "renamed into another folder"
                self.folder(source).changes.append((place, os.path.basename(source), None))
        elif kind == UNLINK:
            path = octets.decode()
            self.now.pop(path, None)
            self.name(place, path, None)
        elif kind == MKDIR:
            path = octets.decode()
            self.folders[path] = Inode(path)
            self.name(place, path, self.folders[path])
        elif kind == SYNC_BEGIN:
            self.open_syncs[a] = (self.fds[fd], place)
        elif kind == SYNC_END:
            inode, begin = self.open_syncs.pop(a)
            inode.syncs.append((begin, place))
            self.syncs.append((begin, place))
        elif kind == CLOSE:
            self.fds.pop(fd, None)
            self.peers.pop(fd, None)
        elif kind == ACCEPT:
            self.peers[fd] = a
            self.sent[a] = []
        elif kind == DUP:
            if fd in self.fds:
                self.fds[a] = self.fds[fd]
            elif fd in self.peers:
                self.peers[a] = self.peers[fd]
        elif kind == SENT:
            if octets:
                self.told.append((place, octets))
            elif fd in self.peers:
                before = self.sent[self.peers[fd]]
                before.append((place, a + (before[-1][1] if before else 0)))
        elif kind == MAP:
            assert self.fds[fd].path.endswith("-shm"), f"{self.fds[fd].path} is written through memory: not seen"
        else:
            assert kind == RMDIR, kind

    def folder(self, path):
        return self.folders[os.path.dirname(path)]

    def name(self, place, path, inode):
        self.folder(path).changes.append((place, os.path.basename(path), inode))

    def opened(self, place, fd, flags, path):
        if path in self.folders or os.path.isdir(path):
            self.fds[fd] = self.folders.setdefault(path, Inode(path))
            return
        inode = self.now.get(path)
        if inode is None:
            inode = self.now[path] = Inode(path)
            # What was there before the recorder came is no part of the image.
            if flags & O_CREAT:
                self.name(place, path, inode)
        if flags & O_TRUNC:
            inode.changes.append((place, "truncate", 0, b""))
        self.fds[fd] = inode

    def acknowledged(self, port, octets):
        """The moment from which a client at `port` may have had this many octets."""
        for place, total in self.sent[port]:
            if total >= octets:
                return place
        raise AssertionError(f"the log has only {self.sent[port][-1:]} octets for port {port}, the client {octets}")

    def zeros_ahead(self):
        """How often zeros alone were written to a segment."""
        segments = [inode for path, inode in self.now.items() if path.endswith(".segment")]
        writes = (change for inode in segments for change in inode.changes if change[1] == "write")
        return sum(1 for _, _, _, octets in writes if len(octets) >= 4096 and not any(octets))

    def moments(self):
        """Just before a sync begins, while it runs, just after it has ended."""
        return sorted({place for begin, end in self.syncs for place in (begin, end, end + 1)} | {self.length})

    def image(self, moment, mode, rng, target):
        """Writes what a power cut at `moment` may leave to `target`. Modes: none, all, prefix, some, torn."""
        self.build(self.root, target, moment, mode, rng)

    def build(self, path, target, moment, mode, rng):
        folder = self.folders[path]
        names = {}
        for _, name, inode in chosen(folder, moment, mode, rng):
            names[name] = inode
        os.makedirs(target, exist_ok=True)
        for name, inode in names.items():
            if inode is None or name.endswith("-shm") or name.endswith(".sock"):
                continue
            if inode.path in self.folders:
                self.build(inode.path, os.path.join(target, name), moment, mode, rng)
            else:
                with open(os.path.join(target, name), "wb") as f:
                    f.write(content(inode, moment, mode, rng))


def records(log):
    with open(log, "rb") as f:
        octets = f.read()
    at = 0
    while at + HEAD.size <= len(octets):
        length, kind, fd, a, b = HEAD.unpack_from(octets, at)
        at += HEAD.size
        yield kind, fd, a, b, octets[at:at + length]
        at += length


def chosen(inode, moment, mode, rng):
    """The changes that took hold."""
    sure = inode.sure(moment)
    kept = [change for change in inode.changes if change[0] < sure]
    pending = [change for change in inode.changes if sure <= change[0] < moment]
    if mode == "all":
        return kept + pending
    if mode == "none" or not pending:
        return kept
    if mode == "prefix":
        return kept + pending[:rng.randrange(len(pending) + 1)]
    if mode == "some":
        share = rng.choice([0.2, 0.5, 0.9])
        return kept + [change for change in pending if rng.random() < share]
    # torn: all up to one, of which a part
    last = rng.randrange(len(pending))
    return kept + pending[:last] + torn(pending[last], rng)


def torn(change, rng):
    """Parts of one write, at sector bounds or anywhere, not always the first. A name is there or not."""
    if change[1] != "write":
        return [change] if rng.random() < 0.5 else []
    place, _, at, octets = change
    size = rng.choice([512, 512, 4096, rng.randrange(1, 600)])
    first = (size - at % size) % size or size
    cuts = [0, *range(min(first, len(octets)), len(octets), size), len(octets)]
    pieces = [(a, b) for a, b in zip(cuts, cuts[1:]) if b > a]
    if rng.random() < 0.5:
        kept = pieces[:rng.randrange(len(pieces) + 1)]
    else:
        kept = [piece for piece in pieces if rng.random() < 0.6]
    return [(place, "write", at + a, octets[a:b]) for a, b in kept]


CACHE = {}


def content(inode, moment, mode, rng):
    """The octets of a file. What is sure is kept between images, for moments that go up."""
    sure = inode.sure(moment)
    known, base = CACHE.get(id(inode), (-1, bytearray()))
    if known > sure:
        known, base = -1, bytearray()
    for change in inode.changes:
        if known <= change[0] < sure:
            put(base, change)
    CACHE[id(inode)] = (sure, base)
    pending = [change for change in chosen(inode, moment, mode, rng) if change[0] >= sure]
    if not pending:
        return base
    octets = bytearray(base)
    for change in pending:
        put(octets, change)
    return octets


def put(octets, change):
    _, kind, at, new = change
    if kind == "truncate":
        del octets[at:]
        octets.extend(bytes(at - len(octets)))
        return
    if len(octets) < at:
        octets.extend(bytes(at - len(octets)))
    octets[at:at + len(new)] = new
