#!/usr/bin/env python3
"""Cuts the power, and makes the n-th call fail: what was acknowledged is there.

`power.py cut`: a load runs under the recorder (recorder.c), which logs every write, name and sync of the data directory and
every octet told to a client. At sync boundaries, while a sync runs, and between, images of the disk are made with unsynced
writes dropped, kept, cut short, reordered and torn (disk.py); each is opened and checked by the store's own code, some are
started with the real binary, and all are compared with what had been acknowledged by then.
`power.py teeth`: the same with one kind of sync left out, which must be found.
`power.py fail`: the n-th call fails, for n = 1, 2, 3 ... until a run passes clean.
`power.py full`: the disk is full, and free again, without a restart.
`power.py slice`: a little of each, for `make test`.
"""

import argparse
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "clients"), HERE]
import disk  # noqa: E402
import lab  # noqa: E402

USERS = [f"u{n}" for n in range(3)]
FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def recorder():
    """The recorder, compiled here."""
    folder = tempfile.mkdtemp(prefix="packetboat-recorder-")
    made = os.path.join(folder, "recorder.so")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", made, os.path.join(HERE, "recorder.c"), "-ldl", "-lpthread"], check=True)
    return made


def helper():
    return os.environ.get("POWER_HELPER") or os.path.join(os.path.dirname(lab.binary()), "examples", "power")


class Ledger:
    """What was tried and what was promised, by message, in the order of the log."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tried, self.promised, self.uids = {}, {}, []
        self.acts = 0

    def attempt(self, id, state):
        with self.lock:
            self.tried.setdefault(id, []).append(state)

    def promise(self, id, state, moment):
        with self.lock:
            self.promised.setdefault(id, []).append((moment, state))
            self.acts += 1

    def uid(self, user, box, validity, uid, id, moment):
        with self.lock:
            self.uids.append((user, box, validity, uid, id, moment))

    def settle(self, disk):
        """Moments told by clients as (port, octets) become places in the log."""
        place = lambda moment: disk.acknowledged(*moment) if isinstance(moment, tuple) else moment  # noqa: E731
        for id, states in self.promised.items():
            self.promised[id] = [(place(moment), state) for moment, state in states]
        self.uids = [(*rest, place(moment)) for *rest, moment in self.uids]

    def may_be(self, id, moment):
        """The states a message may be in after a power cut: the last promised, or one that was only tried."""
        done = [state for at, state in self.promised.get(id, []) if at < moment]
        later = self.tried[id][len(done):]
        return ([done[-1]] if done else ["-"]) + later


def state_of(text, queue):
    """{place: flags or None} from `user/box=flags;queue`."""
    places = {}
    for part in ([] if text == "-" else text.split(";")):
        place, _, flags = part.partition("=")
        if place != "queue" or queue:
            places[place] = int(flags) if flags else None
    return places


def fits(there, wanted):
    """The same places, and at least the flags (a reader of ours sets none)."""
    return there.keys() == wanted.keys() and all(there[p] == f or p == "queue" for p, f in wanted.items())


def verdict(ledger, report, moment, queue=True):
    """What an image breaks: a list of words, empty when all is well. `queue`: the report tells of the queue, too."""
    bad, there, ends = [], {}, {}
    for line in report:
        kind, *words = line.split(" ")
        if kind in "ED":
            bad.append(line)
        elif kind == "M":
            ends[(words[0], words[1])] = (int(words[2]), int(words[3]))
        elif kind in "RQ":
            id = words[-1]
            place = "queue" if kind == "Q" else f"{words[0]}/{words[1]}"
            if id == "?":
                bad.append("damaged: " + line)
            elif id not in ledger.tried:
                bad.append("from nowhere: " + line)
            elif place in there.setdefault(id, {}):
                bad.append("twice: " + line)
            else:
                there[id][place] = None if kind == "Q" else int(words[3])
            if kind == "R":
                uid = (words[0], words[1], ends[(words[0], words[1])][0], int(words[2]))
                told = ledger.by_uid.get(uid)
                if told and told != id:
                    bad.append(f"UID given again: {line}, was {told}")
    for id in ledger.tried:
        allowed = ledger.may_be(id, moment)
        if not any(fits(there.get(id, {}), state_of(state, queue)) for state in allowed):
            bad.append(f"missing or otherwise: {id} is {there.get(id, {})}, may be {allowed}")
    for user, box, validity, uid, id, at in ledger.uids:
        if at < moment:
            now = ends.get((user, box))
            if now is None or now[0] != validity or now[1] <= uid:
                bad.append(f"UIDNEXT of {user}/{box} is {now}, UID {uid} was told")
    return bad


# ---- the store's own load: small segments, rewriting, folds of the index

def store_load(folder, record, seed, millis, **more):
    """Runs it twice on one folder (the second start replays, folds and cares); gives (disk, ledger)."""
    log = os.path.join(folder, "log")
    root = os.path.join(folder, "machine")
    os.makedirs(root)
    for run in range(2):
        env = {**os.environ, "LD_PRELOAD": record, "RECORD_ROOT": root, "RECORD_LOG": log, **more}
        done = subprocess.run([helper(), "load", os.path.join(root, "data"), str(seed * 10 + run), str(millis)], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    seen, ledger = disk.Disk(log, root), Ledger()
    for place, octets in seen.told:
        for line in octets.decode().splitlines():
            kind, *words = line.split(" ")
            if kind == "T":
                ledger.attempt(*words)
            elif kind == "S":
                ledger.promise(*words, place)
            elif kind == "U":
                ledger.uid(words[0], words[1], int(words[2]), int(words[3]), words[4], place)
    return seen, ledger


# ---- the real binary under load by every protocol

class Line:
    """A client that counts the octets it was told, so that the recorder's log tells when."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.port, self.octets, self.rest = self.socket.getsockname()[1], 0, b""

    def line(self):
        while b"\n" not in self.rest:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("closed")
            self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        self.octets += len(line) + 1
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def send(self, octets):
        self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode() + b"\r\n")

    def moment(self):
        return (self.port, self.octets)

    def reply(self):
        """SMTP: the code."""
        while True:
            line = self.line()
            if line[3:4] != "-":
                return int(line[:3])

    def smtp(self, line, code=None):
        self.send(line)
        got = self.reply()
        if code and got != code:
            raise Refused(f"{line[:30]}: {got}")
        return got

    def imap(self, command, literal=None):
        """The text behind OK; lines before it in `told`."""
        self.tag = getattr(self, "tag", 0) + 1
        self.send(f"t{self.tag} {command}")
        self.told = []
        if literal is not None:
            line = self.line()
            if not line.startswith("+"):
                raise Refused(line)
            self.send(literal + b"\r\n")
        while True:
            line = self.line()
            if line.startswith(f"t{self.tag} "):
                word, _, text = line.partition(" ")[2].partition(" ")
                if word != "OK":
                    raise Refused(line)
                return text
            self.told.append(line)

    def pop(self, line):
        self.send(line)
        got = self.line()
        if not got.startswith("+OK"):
            raise Refused(got)
        return got

    def lines(self):
        found = []
        while (line := self.line()) != ".":
            found.append(line)
        return found


class Refused(Exception):
    """An answer that promises nothing."""


def message(id, lines):
    text = "".join(f"{id} {n}\r\n" for n in range(lines))
    return (f"From: x@elsewhere.test\r\nSubject: power\r\nX-Power: {id} {lines}\r\n\r\n" + text).encode()


class Load:
    """Clients of every protocol on one server, each promise with its moment."""

    def __init__(self, server, ledger, seed, run):
        self.server, self.ledger, self.seed, self.run_number = server, ledger, seed, run
        self.stop, self.delivered, self.failures = threading.Event(), {user: [] for user in USERS}, []

    def size(self, rng):
        # Now and then one that arrives by way of a spool file and is a chunk of its own in the segment.
        return rng.choice([1, 20, 400] * 8 + [14_000])

    def connect(self, service):
        return Line(self.server.ports[service])

    def greet(self, line, hello):
        line.reply()
        line.smtp(hello, 250)

    def smtp(self, rng, n, service="smtp"):
        c = self.connect(service)
        self.greet(c, "LHLO x" if service == "lmtp" else "EHLO x")
        if service == "submission":
            import base64
            word = base64.b64encode(f"\0u0@here.test\0{self.server.password}".encode()).decode()
            c.smtp("AUTH PLAIN " + word, 235)
        for k in range(10**6):
            id = f"{self.run_number}-{service}-{n}-{k}-{rng.getrandbits(32):x}"
            to = rng.sample(USERS, 2) if service == "lmtp" else [rng.choice(USERS)]
            state = ";".join(f"{user}/INBOX=0" for user in to) + (";queue" if service == "submission" else "")
            self.ledger.attempt(id, state)
            if service == "lmtp":
                # RFC 2033 §4.2: one recipient may have it while the other is not answered yet.
                self.ledger.attempt(id, state)
            octets = message(id, self.size(rng))
            if service == "submission":
                octets = octets.replace(b"x@elsewhere.test", b"u0@here.test", 1)
            c.smtp(f"MAIL FROM:<{'u0@here.test' if service == 'submission' else 'x@elsewhere.test'}>", 250)
            for user in to:
                c.smtp(f"RCPT TO:<{user}@here.test>", 250)
            if service == "submission":
                c.smtp("RCPT TO:<c@there.test>", 250)
            c.smtp("DATA", 354)
            c.send(octets + b".\r\n")
            codes = [c.reply() for _ in (to if service == "lmtp" else to[:1])]
            if set(codes) != {250}:
                raise Refused(str(codes))
            if service == "lmtp":
                with self.ledger.lock:
                    self.ledger.tried[id].pop()
            self.ledger.promise(id, state, c.moment())
            if len(to) == 1 and service == "smtp":
                self.delivered[to[0]].append(id)
            yield

    def lmtp(self, rng, n):
        yield from self.smtp(rng, n, "lmtp")

    def submission(self, rng, n):
        yield from self.smtp(rng, n, "submission")

    def imap(self, rng, n):
        c, user, led = self.connect("imap"), USERS[n % len(USERS)], self.ledger
        c.line()
        c.imap(f'LOGIN {user}@here.test "{self.server.password}"')
        box, other = f"W{n}", f"V{n}"
        for name in (box, other):
            try:
                c.imap(f"CREATE {name}")
            except Refused:
                pass
        c.imap(f"SELECT {box}")
        for k in range(10**6):
            id = f"{self.run_number}-imap-{n}-{k}-{rng.getrandbits(32):x}"
            octets, here, there = message(id, self.size(rng)), f"{user}/{box}", f"{user}/{other}"
            led.attempt(id, f"{here}=1")
            told = c.imap(f"APPEND {box} (\\Seen) {{{len(octets)}}}", octets)
            led.promise(id, f"{here}=1", c.moment())
            validity, uid = map(int, re.search(r"APPENDUID (\d+) (\d+)", told).groups())
            led.uid(user, box, validity, uid, id, c.moment())
            act = rng.choice(["store", "copy", "move", "expunge", "none"])
            states = {"store": [f"{here}=5"], "copy": [f"{here}=1;{there}=1"], "move": [f"{there}=1"], "expunge": [f"{here}=9", "-"], "none": []}
            commands = {"store": [f"STORE {uid} +FLAGS (\\Flagged)"], "copy": [f"COPY {uid} {other}"], "move": [f"MOVE {uid} {other}"],
                        "expunge": [f"STORE {uid} +FLAGS.SILENT (\\Deleted)", f"EXPUNGE {uid}"], "none": []}
            for state, command in zip(states[act], commands[act]):
                led.attempt(id, state)
                told = "\n".join([c.imap("UID " + command), *c.told])
                led.promise(id, state, c.moment())
                if found := re.search(r"COPYUID (\d+) \d+ (\d+)", told):
                    led.uid(user, other, int(found.group(1)), int(found.group(2)), id, c.moment())
            yield

    def pop(self, rng, n):
        user = USERS[n % len(USERS)]
        time.sleep(0.1)
        mine = set(self.delivered[user])
        c = self.connect("pop3")
        c.line()
        c.pop(f"USER {user}@here.test")
        c.pop(f"PASS {self.server.password}")
        c.pop("LIST")
        gone = []
        for line in c.lines()[:10]:
            number = line.split()[0]
            c.pop(f"TOP {number} 0")
            head = "\n".join(c.lines())
            found = re.search(r"X-Power: (\S+) ", head)
            if found and found.group(1) in mine:
                gone.append(found.group(1))
                self.ledger.attempt(gone[-1], "-")
                c.pop(f"DELE {number}")
        c.pop("QUIT")
        for id in gone:
            self.ledger.promise(id, "-", c.moment())
            self.delivered[user].remove(id)
        yield

    def worker(self, kind, n, rounds):
        rng = random.Random(f"{self.seed} {self.run_number} {kind} {n}")
        done = 0
        while not self.stop.is_set() and done < rounds:
            try:
                for _ in getattr(self, kind)(rng, n):
                    done += 1
                    if self.stop.is_set() or done >= rounds:
                        return
            except (OSError, EOFError, Refused, ValueError) as error:
                self.failures.append(f"{kind}: {error!r}")
                done += 1
                if self.server.process.poll() is not None:
                    return
                time.sleep(0.02)

    def run(self, seconds, rounds=10**9, kinds=(("smtp", 3), ("lmtp", 2), ("submission", 2), ("imap", 3), ("pop", 2))):
        threads = [threading.Thread(target=self.worker, args=(kind, n, rounds), daemon=True) for kind, many in kinds for n in range(many)]
        for thread in threads:
            thread.start()
        if rounds == 10**9:
            time.sleep(seconds)
            self.stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"


# Mail for elsewhere waits: nobody listens there.
ELSEWHERE = ('[outbound.relay]\nhost = "127.0.0.1"\nport = 9\ntls = "none"\n'
             "[limits]\nmessages_per_hour = 1000000\nrecipients_per_hour = 1000000\n")


class Recorded(lab.Server):
    """The server with the recorder in front of its calls."""

    def __init__(self, record, folder, **env):
        self.env = {**os.environ, "LD_PRELOAD": record, "RECORD_ROOT": folder, **env}
        super().__init__(extra=ELSEWHERE, data=folder, keep=True)


def binary_load(folder, record, seed, seconds, **more):
    """Accounts made by the command line, then two starts of the server, all in one log; gives (disk, ledger)."""
    root, log = os.path.join(folder, "machine"), os.path.join(folder, "log")
    os.makedirs(root)
    server = Recorded(record, root, RECORD_LOG=log, **more)
    with recorded(server):
        for user in USERS:
            server.account(user)
        ledger = Ledger()
        for run in range(2):
            server.start()
            load = Load(server, ledger, seed, run)
            load.run(seconds)
            assert not load.failures, load.failures[:3]
            server.stop()
    seen = disk.Disk(log, os.path.realpath(root))
    ledger.settle(seen)
    return seen, ledger


class recorded:
    """Everything lab starts meanwhile runs under the recorder."""

    def __init__(self, server):
        self.env = server.env

    def __enter__(self):
        self.before = dict(os.environ)
        os.environ.update({k: v for k, v in self.env.items() if k.startswith("RECORD_")})
        # Only our own binary is loaded with it: lab starts it by name.
        self.wrapper = tempfile.NamedTemporaryFile("w", suffix=".sh", delete=False)
        self.wrapper.write(f"#!/bin/sh\nLD_PRELOAD={self.env['LD_PRELOAD']} exec {lab.binary()} \"$@\"\n")
        self.wrapper.close()
        os.chmod(self.wrapper.name, 0o700)
        os.environ["PACKETBOAT"] = self.wrapper.name

    def __exit__(self, *_):
        os.environ.clear()
        os.environ.update(self.before)
        os.unlink(self.wrapper.name)


# ---- images

class Looker:
    """The store's own code, opening image after image in one process."""

    def __init__(self):
        self.process = subprocess.Popen([helper(), "look"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def look(self, folder):
        self.process.stdin.write(folder + "\n")
        self.process.stdin.flush()
        report = []
        for line in self.process.stdout:
            if line == ".\n":
                return report
            report.append(line.rstrip("\n"))
        raise AssertionError("the looker ended")


def images(seen, ledger, seed, many, title, quiet=False):
    """Makes `many` images and looks at each, up to the first that breaks: (images, [(moment, mode, why, number)])."""
    rng = random.Random(f"images {seed}")
    ledger.by_uid = {(user, box, validity, uid): id for user, box, validity, uid, id, _ in ledger.uids}
    plan = [(moment, mode) for moment in seen.moments() for mode in ("none", "all", "prefix", "some", "torn")]
    plan += [(rng.randrange(1, seen.length), rng.choice(["none", "prefix", "some", "torn", "torn"])) for _ in range(len(plan) // 4)]
    if len(plan) > many:
        plan = rng.sample(plan, many)
    plan.sort(key=lambda one: one[0])
    disk.CACHE.clear()
    looker, broken = Looker(), []
    target = tempfile.mkdtemp(prefix="packetboat-image-", dir=FAST)
    for number, (moment, mode) in enumerate(plan):
        shutil.rmtree(target, ignore_errors=True)
        choice = random.Random(f"{seed} {number}")
        seen.image(moment, mode, choice, target)
        bad = verdict(ledger, looker.look(os.path.join(target, "data")), moment)
        if bad:
            broken.append((moment, mode, bad, number + 1))
            if not quiet:
                kept = tempfile.mkdtemp(prefix="packetboat-broken-")
                seen.image(moment, mode, random.Random(f"{seed} {number}"), kept)
                print(f"{title}: image {number} at {moment} of {seen.length}, {mode}: {len(bad)} broken; kept in {kept}")
                print("\n".join(bad[:8]))
            break
    looker.process.stdin.close()
    looker.process.wait(30)
    shutil.rmtree(target, ignore_errors=True)
    return len(plan), broken


def cut(options):
    record, failed = recorder(), 0
    cheap = list(loads(options, record))
    dear = [(f"{title}, dear syncs", make) for title, make in loads(options, record, RECORD_SLOW=DEAR)]
    for title, make in cheap + dear:
        with tempfile.TemporaryDirectory(prefix="packetboat-power-", dir=FAST) as folder:
            begun = time.monotonic()
            seen, ledger = make(folder)
            loaded = time.monotonic()
            many, broken = images(seen, ledger, options.seed, options.images, title)
            print(f"power cut, {title}: {ledger.acts} promises, {len(seen.syncs)} syncs, {seen.length} calls, {many} images, "
                  f"{len(broken)} broken ({loaded - begun:.0f} s load, {time.monotonic() - loaded:.0f} s images)", flush=True)
            failed += bool(broken)
            if (title, make) in dear and not seen.zeros_ahead():
                print(f"power cut, {title}: no zeros were written ahead, so none of that was tried")
                failed += 1
            if not broken and title == "binary":
                failed += starts(seen, ledger, options)
    return failed


def loads(options, record, **more):
    yield "store", lambda folder: store_load(folder, record, options.seed, options.millis, **more)
    yield "binary", lambda folder: binary_load(folder, record, options.seed, options.millis / 1000, **more)


# On the RAM disk a sync costs nothing and each act is committed by its submitter. As dear as here, a thread commits in groups and
# writes zeros ahead of the stream.
DEAR = "500"


def starts(seen, ledger, options):
    """Some images are started with the real binary, looked at by IMAP, and take mail."""
    rng = random.Random(f"starts {options.seed}")
    moments = seen.moments()
    moments = [moment for moment in moments if moment > seen.length // 3]
    for number in range(options.starts):
        with tempfile.TemporaryDirectory(prefix="packetboat-start-", dir=FAST) as folder:
            moment, mode = rng.choice(moments), rng.choice(["none", "some", "torn"])
            seen.image(moment, mode, random.Random(f"{options.seed} start {number}"), folder)
            server = lab.Server(data=folder, keep=True, extra=ELSEWHERE)
            server.start()
            bad = verdict(ledger, by_imap(server), moment, queue=False)
            more = Ledger()
            load = Load(server, more, options.seed, 99)
            load.run(0, rounds=2)
            server.stop()
            server.check()
            if bad or load.failures:
                print(f"started image at {moment}, {mode}: {bad[:5]} {load.failures[:3]}")
                return 1
    print(f"power cut, started with the real binary and read by IMAP: {options.starts} images, 0 broken", flush=True)
    return 0


FLAG_BITS = {"\\Seen": 1, "\\Answered": 2, "\\Flagged": 4, "\\Deleted": 8, "\\Draft": 16}


def by_imap(server):
    """The looker's report but for the queue, through the real server."""
    report = []
    for user in USERS:
        c = Line(server.ports["imap"])
        c.line()
        c.imap(f'LOGIN {user}@here.test "{server.password}"')
        c.imap('LIST "" *')
        for box in [re.search(r'"/" "?([^"]+)"?$', line).group(1) for line in c.told]:
            c.imap(f'EXAMINE "{box}"')
            told = "\n".join(c.told)
            validity, uid_next = (re.search(word + r" (\d+)", told).group(1) for word in ("UIDVALIDITY", "UIDNEXT"))
            report.append(f"M {user} {box} {validity} {uid_next}")
            if re.search(r"\* 0 EXISTS", told):
                continue
            c.imap("FETCH 1:* (UID FLAGS BODY.PEEK[])")
            for item in re.split(r"\n(?=\* \d+ FETCH)", "\n".join(c.told)):
                uid = re.search(r"UID (\d+)", item).group(1)
                flags = sum(FLAG_BITS.get(word, 0) for word in re.search(r"FLAGS \(([^)]*)\)", item).group(1).split())
                found = re.search(r"X-Power: (\S+) (\d+)", item)
                whole = found and "".join(f"{found.group(1)} {n}\n" for n in range(int(found.group(2)))) in item + "\n"
                report.append(f"R {user} {box} {uid} {flags} {found.group(1) if whole else '?'}")
    return report


# ---- the test has teeth

BLIND = [
    ("fdatasync:.segment", "store"),      # the sync of a group of acts
    ("fdatasync:.segment", "binary"),
    ("fsync:/segments", "store"),         # the name of a new segment
    ("fsync:/machine", "binary"),         # the name of the data directory
    ("fsync:/data", "binary"),            # the names in it: segments, index
    ("fsync:index.sqlite", "store"),      # the index's pages before its log begins anew
]


def teeth(options):
    """With one kind of sync forgotten, images must break."""
    record, failed = recorder(), 0
    for blind, load in BLIND:
        with tempfile.TemporaryDirectory(prefix="packetboat-power-", dir=FAST) as folder:
            make = dict(loads(options, record, RECORD_BLIND=blind))[load]
            seen, ledger = make(folder)
            many, broken = images(seen, ledger, options.seed, options.images, f"without {blind}", quiet=True)
            why = broken[0][2][0][:90] if broken else "nothing"
            print(f"power cut, {load} without {blind}: found after {len(broken) and broken[0][3]} images: {why}", flush=True)
            failed += not broken
    return failed


# ---- the n-th call fails

CLASSES = [("any", 5), ("any", 28), ("any", 24), ("write", 28), ("sync", 5), ("short", 0), ("accept", 24)]


def fail(options):
    """The n-th call of a class fails, once or three times in a row; n grows until a run passes clean."""
    record, failed, runs = recorder(), 0, 0
    for number, (what, error) in enumerate(CLASSES):
        n, step, clean = 1 + (options.seed + number) % options.step, options.step, False
        while not clean:
            with tempfile.TemporaryDirectory(prefix="packetboat-fail-", dir=FAST) as folder:
                bad, clean = fail_once(record, folder, f"{n}:{1 + n % 3}:{error}:{what}", n, options.seed)
            runs += 1
            if bad:
                print(f"call {n} of {what} failing with {error}: {bad[:6]}")
                failed += 1
                break
            n += step
        print(f"fail the n-th call: {what}, errno {error}: every {step}. of {n} calls, {'a clean run at the end' if clean else 'BROKEN'}", flush=True)
    print(f"fail the n-th call: {runs} runs, {failed} broken")
    return failed


def fail_once(record, folder, failing, n, seed):
    """One run with a failing call, a restart without: (what broke, whether the call was never reached)."""
    count = os.path.join(folder, "count")
    server = Recorded(record, folder, RECORD_FAIL=failing, RECORD_COUNT=count)
    for user in USERS:
        server.account(user)
    ledger = Ledger()
    with recorded(server):
        try:
            server.start()
            Load(server, ledger, seed, 0).run(0, rounds=3)
        except AssertionError as error:
            # It may refuse to start, in plain words.
            if "panicked" in str(error) or "the server ended" not in str(error):
                return [str(error)], False
        alive = server.process is not None and server.process.poll() is None
        if alive:
            # The fault is over: the same process must work again.
            again = Load(server, ledger, seed, 1)
            again.run(0, rounds=2, kinds=(("smtp", 1), ("imap", 1)))
            if n_calls(count) >= n + 3 and again.failures and not recovers(server, ledger, seed):
                return [f"does not work again: {again.failures[:2]}"], False
        ends(server, hard=n % 2)
    for id in list(ledger.promised):
        ledger.promised[id] = [(0, state) for _, state in ledger.promised[id]]
    ledger.uids = [(*rest, 0) for *rest, _ in ledger.uids]
    ledger.by_uid = {(user, box, validity, uid): id for user, box, validity, uid, id, _ in ledger.uids}
    looker = Looker()
    bad = verdict(ledger, looker.look(os.path.join(folder, "data")), 1)
    looker.process.stdin.close()
    looker.process.wait(30)
    if not bad:
        server.start()
        after = Load(server, Ledger(), seed, 2)
        after.run(0, rounds=1, kinds=(("smtp", 1), ("imap", 1)))
        bad = after.failures
        server.stop()
        server.check()
    return bad, n_calls(count) < n


def n_calls(count):
    with open(count) as f:
        return int(f.read() or 0)


def recovers(server, ledger, seed):
    """Ten seconds to work again."""
    for turn in range(20):
        load = Load(server, ledger, seed, 10 + turn)
        load.run(0, rounds=1, kinds=(("smtp", 1), ("imap", 1)))
        if not load.failures:
            return True
        time.sleep(0.5)
    return False


def ends(server, hard):
    """Stopped or killed; one that stops with an error has told why."""
    if server.process is None or server.process.poll() is not None:
        server.process = None
    elif hard:
        server.kill()
    else:
        try:
            server.stop()
        except AssertionError as error:
            if "did not stop" in str(error) or "panicked" in str(error):
                raise
    server.process = None


def full(options):
    """The disk is full in the midst of a load, then free again: refused meanwhile, nothing lost, no restart."""
    record = recorder()
    with tempfile.TemporaryDirectory(prefix="packetboat-full-", dir=FAST) as folder:
        switch = os.path.join(folder, "full")
        server = Recorded(record, folder, RECORD_FULL=switch)
        for user in USERS:
            server.account(user)
        ledger, refused, worked = Ledger(), 0, 0
        with recorded(server):
            server.start()
            for turn in range(3):
                load = Load(server, ledger, options.seed, 2 * turn)
                filler = threading.Timer(0.3, lambda: open(switch, "w").close())
                filler.start()
                load.run(1.0)
                filler.join()
                refused += len(load.failures)
                reader = by_imap(server)
                assert any(line.startswith("R ") for line in reader), "a full disk keeps nobody from reading"
                os.unlink(switch)
                assert recovers(server, ledger, options.seed * 100 + turn), "it does not work again once there is room"
                load = Load(server, ledger, options.seed, 2 * turn + 1)
                load.run(0, rounds=3)
                assert not load.failures, load.failures[:3]
                worked += 1
            server.stop()
        for id in ledger.promised:
            ledger.promised[id] = [(0, state) for _, state in ledger.promised[id]]
        ledger.uids = [(*rest, 0) for *rest, _ in ledger.uids]
        ledger.by_uid = {(user, box, validity, uid): id for user, box, validity, uid, id, _ in ledger.uids}
        looker = Looker()
        bad = verdict(ledger, looker.look(os.path.join(folder, "data")), 1)
        looker.process.stdin.close()
        looker.process.wait(30)
    print(f"disk full and free again: {worked} times, {refused} acts refused, {ledger.acts} promises, {len(bad)} broken {bad[:3]}")
    return len(bad) + (refused == 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cut", "teeth", "fail", "full", "all", "slice"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--millis", type=int, default=1500, help="length of each load")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--step", type=int, default=1, help="fail: every so many calls")
    options = parser.parse_args()
    if options.what == "slice":
        options.millis, options.images, options.starts, options.step = 400, 30, 1, 250
        BLIND[:] = BLIND[:2]
    parts = {"slice": [cut, teeth, full, fail], "cut": [cut], "teeth": [teeth], "fail": [fail], "full": [full], "all": [cut, teeth, full, fail]}[options.what]
    failed = sum(part(options) for part in parts)
    print(f"power: {'passed' if not failed else f'{failed} failed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
