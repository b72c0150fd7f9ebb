#!/usr/bin/env python3
"""Random IMAP stress of the real binary: many sessions, all commands, each held against its model at every line (`imap_model`).

`stress.py --seconds 600 --seed 1 --sessions 12`; `--slow-sync-ms 20` makes each sync of the disk take so much longer, so that what is
under way and not durable yet stays so for long. Every few seconds all sessions stand still: then each must have exactly what
a session that opens the mailbox now is told. A difference ends the run with its seed, the session's last lines and the
server's data kept.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "clients"), os.path.join(os.path.dirname(HERE), "power")]

import lab  # noqa: E402
from imap_model import Broken, Ended, Ledger, Session, number_set  # noqa: E402
from more_acts import LOAN, Grants, MoreActs  # noqa: E402
from power import recorder  # noqa: E402

FLAGS = [r"\Seen", r"\Flagged", r"\Answered", r"\Draft", r"\Deleted", "Work", "$Junk", "Later"]
PEOPLE = ["ann", "bob", "cay"]
# (owner, mailbox): every person may do everything with them.
BOXES = [("ann", "INBOX"), ("ann", "Klüb & Co"), ("bob", "INBOX"), ("team", "INBOX")]
MODES = [(), ("rev2",), ("condstore",), ("qresync",), ("qresync", "rev2"), ("qresync", "uidonly"), ("condstore", "compress"), ("uidonly",), ("utf8",), ("utf8", "qresync"),
         ("utf8", "compress")]


def name_for(user, box, session):
    """As the session says it: RFC 9051 §5.1 and RFC 9755 §3 have UTF-8, where that is enabled."""
    owner, mailbox = box
    if session is not None and session.modes.isdisjoint({"rev2", "utf8"}):
        mailbox = mailbox.replace("&", "&-").replace("ü", "&APw-")
    if user == owner:
        return mailbox
    return f"{'Shared' if owner == 'team' else 'Other Users'}/{owner}@here.test/{mailbox}"


class Stop(Exception):
    pass


class World:
    def __init__(self, server, seed, sessions, seconds):
        self.server, self.seed, self.ledger = server, seed, Ledger()
        self.end, self.over = time.monotonic() + seconds, False
        self.barrier, self.settled = threading.Barrier(sessions + 1), threading.Barrier(sessions)
        self.pause, self.failure, self.numbers = threading.Event(), None, iter(range(10**9))
        self.workers = [Worker(self, number) for number in range(sessions)]
        self.rounds = 0
        # Of each message that was made: its size, its subject, what it answers.
        self.facts, self.roots = {}, []
        self.grants, self.granting = Grants(threading.Lock()), threading.Lock()

    @staticmethod
    def name(user, box, session):
        return name_for(user, box, session)

    def session(self, user, modes=()):
        return Session(self.server.ports["imap"], user, self.server.password, self.ledger, modes)

    def run(self):
        for worker in self.workers:
            worker.start()
        try:
            while time.monotonic() < self.end and self.failure is None:
                time.sleep(min(3, max(0.1, self.end - time.monotonic())))
                self.stand_still()
        except threading.BrokenBarrierError:
            at = [f"{w.number}: {w.session and (w.session.command, w.session.log[-3:])}" for w in self.workers]
            self.failure = self.failure or Broken("a session did not come to a stand\n" + "\n".join(at))
        self.over = True
        self.break_up()
        for worker in self.workers:
            worker.join(120)
        if self.failure:
            raise self.failure

    def break_up(self):
        self.barrier.abort()
        self.settled.abort()

    def stand_still(self):
        """Nobody does anything: every model is the truth."""
        self.pause.set()
        self.barrier.wait(180)
        try:
            truth = {}
            for worker in self.workers:
                session = worker.session
                if session is None or session.box is None:
                    continue
                if session.box not in truth:
                    fresh = self.session("ann", ("condstore",))
                    fresh.select(session.box, name_for("ann", session.box, fresh), examine=True)
                    truth[session.box] = fresh.snapshot()
                    fresh.close()
                told = truth[session.box]
                mine = session.snapshot()
                if not session.with_modseq:
                    told = [row[:2] for row in told]
                    mine = [row[:2] for row in mine]
                if mine != told:
                    odd = [pair for pair in zip(mine, told) if pair[0] != pair[1]][:5]
                    session.fail(f"standing still it has {len(mine)} messages, there are {len(told)}; first differences {odd}")
            self.rounds += 1
        except Exception as error:
            self.failure = self.failure or error
            self.over = True
        self.pause.clear()
        self.barrier.wait(180)


class Worker(MoreActs, threading.Thread):
    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world, self.number = world, number
        self.dice = random.Random(f"{world.seed}/{number}")
        self.user = PEOPLE[number % len(PEOPLE)]
        self.session, self.caches = None, {}

    def run(self):
        try:
            while not self.world.over and self.world.failure is None:
                if self.session is None:
                    self.session = self.world.session(self.user, self.dice.choice(MODES))
                try:
                    self.act()
                    self.session.learn()
                    if self.world.pause.is_set():
                        self.settle()
                except Ended:
                    self.session.close()
                    self.session = None
        except threading.BrokenBarrierError:
            pass
        except Exception as error:
            error.args = (f"session {self.number} of seed {self.world.seed}: {error}\n{traceback.format_exc()}",)
            self.world.failure = self.world.failure or error
            self.world.break_up()

    def settle(self):
        """All news taken in, then still until the others are."""
        world = self.world
        # What the last one did before it stopped too is taken in when all have stopped.
        world.settled.wait(180)
        try:
            self.session.ok("NOOP")
            self.session.learn()
            if self.session.box:
                self.check_watched()
        except Ended:
            self.session = None
        world.barrier.wait(180)
        world.barrier.wait(180)

    # ---- what a session does

    def act(self):
        session, dice = self.session, self.dice
        if session.box is None:
            acts = [(6, self.select), (2, self.append), (1, self.names), (1, self.status), (1, self.scratch), (1, self.small),
                    (2, self.visit), (1, self.grant)]
        else:
            acts = [
                (10, self.store), (8, self.fetch), (8, self.search), (4, self.append), (3, self.copy), (2, self.move),
                (2, self.expunge), (2, self.select), (1, self.leave), (1, self.status), (1, self.names), (2, self.idle),
                (1, self.sort), (1, self.replace), (1, self.small), (1, self.noop), (1, self.restart), (1, self.unchanged),
                (1, self.many), (1, self.notify), (1, self.metadata),
                (4, self.pipelined), (2, self.ordered), (2, self.threads), (2, self.watch), (1, self.visit), (2, self.grant),
            ]
        dice.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()

    def some_uids(self, most=6):
        uids = [row.uid for row in self.session.rows if row.uid]
        return sorted(self.dice.sample(uids, min(len(uids), self.dice.randint(1, most))))

    def set_of(self, uids):
        """(UID prefix, the set) by UID or by number."""
        session = self.session
        if session.by_uid_only or session.at_once or self.dice.random() < 0.6:
            return "UID ", ",".join(map(str, uids))
        return "", ",".join(str(at) for at, row in enumerate(session.rows, 1) if row.uid in uids)

    def other_box(self):
        box = self.dice.choice(BOXES)
        return box, name_for(self.user, box, self.session)

    def some_flags(self):
        return " ".join(self.dice.sample(FLAGS, self.dice.randint(1, 3)))

    def select(self):
        session = self.session
        self.remember()
        if session.notified and session.box:
            # What is told of the old mailbox while SELECT is on its way could not be told from news of the new one.
            session.ok("UNSELECT")
        box, name = self.other_box()
        cached = self.caches.get(box) if "qresync" in session.modes and self.dice.random() < 0.7 else None
        session.law(session.select(box, name, self.dice.random() < 0.15, cached) is not None, "it is there")

    def remember(self):
        session = self.session
        if session.box and "qresync" in session.modes:
            told = session.ok(f'STATUS "{name_for(self.user, session.box, session)}" (UIDVALIDITY)')
            validity = int(re.search(rb"\(UIDVALIDITY (\d+)\)", b"\n".join(t for t in told if isinstance(t, bytes)))[1])
            session.learn()
            # A FETCH by number may bring newer flags while it keeps an older EXPUNGE back: the server says what to count on.
            chance = self.dice.random()
            if chance < 0.3:
                session.ok("NOOP")
            elif chance < 0.6 and not (session.by_uid_only or session.at_once or session.examined) and session.rows:
                # Others go on meanwhile.
                time.sleep(self.dice.random() / 20)
                session.say(f"STORE {len(session.rows)} +FLAGS (Later)")
            highest = session.counted_on
            session.learn()
            if highest:
                self.caches[session.box] = (validity, highest, session.snapshot())

    def leave(self):
        session = self.session
        self.remember()
        if self.dice.random() < 0.5 or session.examined:
            session.ok("UNSELECT")
        else:
            session.ok("CLOSE")
        session.box, session.rows, session.watched = None, None, {}

    def message(self):
        """(octets, token); every other one answers an earlier one."""
        number, roots = next(self.world.numbers), self.world.roots
        token, root = b"m%d" % number, self.dice.choice(roots) if roots and self.dice.random() < 0.5 else None
        body = b"x" * self.dice.choice((1, 100, 5000))
        answers = b"References: <%s@here.test>\r\n" % root if root else b""
        octets = b"Subject: %s\r\nFrom: a@here.test\r\nMessage-ID: <%s@here.test>\r\n%s\r\n%s\r\n" % (token, token, answers, body)
        self.world.facts[token] = {"SUBJECT": token, "SIZE": len(octets), "root": root or token}
        if root is None:
            roots.append(token)
            del roots[:-40]
        return octets, token

    def append(self):
        box, name = self.other_box()
        count = self.dice.choice((1, 1, 1, 3))
        tail, tokens = b"", []
        for _ in range(count):
            octets, token = self.message()
            tokens.append(token)
            tail += b" (%s) {%d+}\r\n" % (self.some_flags().encode(), len(octets)) + octets
        told, answer = self.session.say(f'APPEND "{name}"', tail)
        self.session.law(answer.startswith(b"OK"), answer)
        uids = number_set(re.search(rb"APPENDUID \d+ (\S+)\]", answer)[1])
        self.session.law(len(uids) == count, f"APPENDUID of {count}: {answer}")
        for uid, token in zip(uids, tokens):
            self.world.ledger.token(box, uid, token)

    def store(self):
        session = self.session
        uids = self.some_uids()
        if not uids or session.examined:
            return
        prefix, chosen = self.set_of(uids)
        verb = self.dice.choice(("+FLAGS", "-FLAGS", "FLAGS", "+FLAGS.SILENT", "-FLAGS.SILENT"))
        flags = self.some_flags()
        told, answer = session.say(f"{prefix}STORE {chosen} {verb} ({flags})")
        # By number and all of them expunged by others (RFC 2180 §4.2.2).
        gone = not prefix and ".SILENT" not in verb and answer.startswith(b"NO [EXPUNGEISSUED]")
        session.law(answer.startswith(b"OK") or gone, answer)
        if ".SILENT" in verb and session.notified:
            # News may have come before or behind the change: what stands is asked for.
            for row in session.rows:
                if row.uid in uids:
                    row.flags = None
        elif ".SILENT" in verb:
            spoken = {uid for uid, pairs in (t for t in told if isinstance(t, tuple)) if b"FLAGS" in pairs}
            changed = {uid for uid, pairs in (t for t in told if isinstance(t, tuple)) if b"MODSEQ" in pairs}
            asked = frozenset(flag.encode() for flag in flags.split())
            for row in session.rows:
                if row.uid not in uids or row.uid in spoken or row.flags is None:
                    continue
                if not session.with_modseq:
                    # One that others expunged first stands as it was, and nothing tells which: it is asked for.
                    row.flags = None
                elif row.uid in changed:
                    # What is only told to be changed stands as it was asked for, and what is not told of as it stood.
                    row.flags = row.flags | asked if verb[0] == "+" else row.flags - asked
            for uid, pairs in (t for t in told if isinstance(t, tuple)):
                if b"MODSEQ" in pairs and b"FLAGS" not in pairs and uid not in spoken:
                    row = next((row for row in session.rows if row.uid == uid), None)
                    if row is not None and row.flags is not None:
                        row.modseq = int(pairs[b"MODSEQ"][0])
                        session.ledger.state(session.box, uid, row.modseq, row.flags)
        elif verb in ("+FLAGS", "-FLAGS"):
            asked = {flag.encode() for flag in flags.split()}
            spoken, odd = [t for t in told if isinstance(t, tuple)], {}
            for uid in {uid for uid, _ in spoken} & {row.uid for row in session.rows} & set(uids):
                states = [set(p[b"FLAGS"]) for u, p in spoken if u == uid and b"FLAGS" in p]
                if states and not any(asked <= state if verb[0] == "+" else not asked & state for state in states):
                    odd[uid] = states
            if odd:
                # One that others expunged first is only told of as it was, and of its end nothing in a command by number.
                session.ok("NOOP")
                odd = {uid: states for uid, states in odd.items() if any(row.uid == uid for row in session.rows)}
                session.law(not odd, f"{verb} {flags} is told as {odd}")

    def unchanged(self):
        session = self.session
        uids = self.some_uids(3)
        if not uids or session.examined or not session.with_modseq:
            return
        row = next(row for row in session.rows if row.uid == uids[0])
        _, answer = session.say(f"UID STORE {uids[0]} (UNCHANGEDSINCE {row.modseq or 1}) +FLAGS ({self.some_flags()})")
        session.law(answer.startswith(b"OK"), answer)

    def fetch(self):
        session = self.session
        uids = self.some_uids(8)
        if not uids:
            return
        prefix, chosen = self.set_of(uids)
        items = self.dice.choice((
            "(FLAGS UID)", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])", "(UID FLAGS BODY[TEXT])", "(UID ENVELOPE BODYSTRUCTURE)",
            "(UID RFC822.SIZE INTERNALDATE FLAGS)", "(UID BODY.PEEK[]<0.40>)", "(UID PREVIEW EMAILID THREADID)", "(UID BINARY.SIZE[1])",
            "(UID FLAGS BODY.PEEK[HEADER])",
        ))
        if self.dice.random() < 0.1 and session.with_modseq:
            modseqs = [row.modseq for row in session.rows if row.modseq]
            session.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {self.dice.choice(modseqs) if modseqs else 1})")
            return
        session.say(f"{prefix}FETCH {chosen} {items}")

    def search(self):
        session, dice = self.session, self.dice
        prefix = "UID " if session.by_uid_only or session.at_once or dice.random() < 0.5 else ""
        flag = dice.choice(FLAGS)
        octets = flag.encode()
        if flag.startswith("\\"):
            key = flag[1:].upper()
            negative = key == "DRAFT" and "UNDRAFT" or f"UN{key}"
        else:
            key, negative = f"KEYWORD {flag}", f"UNKEYWORD {flag}"
        wants, text = dice.choice((
            (lambda row: octets in row.flags, key), (lambda row: octets not in row.flags, negative), (lambda row: True, "ALL"),
            (lambda row: octets in row.flags or b"Work" in row.flags, f"OR {key} KEYWORD Work"),
            (lambda row: not (octets in row.flags and b"\\Seen" in row.flags), f"NOT ({key} SEEN)"),
        ))
        form = dice.choice(("", "RETURN (ALL) ", "RETURN (ALL COUNT SAVE) "))
        if session.rows and not session.by_uid_only and not session.at_once and dice.random() < 0.4:
            # RFC 9051 §5.5: numbers are those from before any EXPUNGE that the same command tells of, in UID SEARCH too.
            first, last = sorted(dice.choices(range(1, len(session.rows) + 1), k=2))
            named, all_wants = session.rows[first - 1 : last], wants
            wants, text = (lambda row: any(row is one for one in named) and all_wants(row)), f"{first}:{last} {text}"
        session.ok(f"{prefix}SEARCH {form}{text}", expected=wants)

    def sort(self):
        session = self.session
        prefix = "UID " if session.by_uid_only or session.at_once or self.dice.random() < 0.5 else ""
        key = self.dice.choice(("ARRIVAL", "REVERSE SUBJECT", "SIZE DATE"))
        session.ok(f"{prefix}SORT ({key}) UTF-8 ALL", expected=lambda row: True)
        session.ok(f"{prefix}THREAD REFERENCES UTF-8 UNSEEN")

    def copied(self, verb):
        session = self.session
        uids = self.some_uids(4)
        if not uids or (verb == "MOVE" and session.examined):
            return
        source, (box, name) = session.box, self.other_box()
        prefix, chosen = self.set_of(uids)
        told, answer = session.say(f'{prefix}{verb} {chosen} "{name}"')
        session.law(answer.startswith(b"OK") or b"EXPUNGEISSUED" in answer, answer)
        code = re.search(rb"COPYUID \d+ (\S+) (\S+)\]", answer + b"\n".join(t for t in told if isinstance(t, bytes)))
        if code:
            pairs = list(zip(number_set(code[1]), number_set(code[2])))
            session.law({source for source, _ in pairs} <= set(uids), f"COPYUID names what was not asked for: {code[0]}")
            for old, new in pairs:
                token = self.world.ledger.token_of(source, old)
                if token:
                    self.world.ledger.token(box, new, token)

    def copy(self):
        self.copied("COPY")

    def move(self):
        self.copied("MOVE")

    def replace(self):
        session = self.session
        uids = self.some_uids(1)
        if not uids or session.examined:
            return
        octets, token = self.message()
        name = name_for(self.user, session.box, session)
        told, answer = session.say(f'UID REPLACE {uids[0]} "{name}"', b" {%d+}\r\n" % len(octets) + octets)
        session.law(answer.startswith((b"OK", b"NO [EXPUNGEISSUED]", b"NO [NONEXISTENT]")), answer)
        code = re.search(rb"APPENDUID \d+ (\d+)\]", b"\n".join(t for t in told if isinstance(t, bytes)))
        if code:
            self.world.ledger.token(session.box, int(code[1]), token)

    def expunge(self):
        session = self.session
        if session.examined:
            return
        if self.dice.random() < 0.5:
            session.ok("EXPUNGE")
        else:
            uids = self.some_uids(10)
            if uids:
                session.ok(f"UID EXPUNGE {','.join(map(str, uids))}")

    def many(self):
        session = self.session
        if session.rows and not session.examined:
            session.ok(f"UID STORE 1:* +FLAGS.SILENT ({self.dice.choice(FLAGS[:4])})")
            # Every message was changed: what stands is asked for.
            for row in session.rows:
                row.flags = None
            session.learn()
        # A mailbox that only grows would be opened ever more slowly.
        if len(session.rows) > 150 and not session.examined:
            uids = [row.uid for row in session.rows if row.uid][:60]
            session.ok(f"UID STORE {','.join(map(str, uids))} +FLAGS (\\Deleted)")
            session.ok("EXPUNGE")

    def status(self):
        box, name = self.other_box()
        _, highest, _ = self.world.ledger.before_opening(box)
        told = self.session.ok(f'STATUS "{name}" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE)')
        # Beside those that NOTIFY tells.
        found = re.search(rb"UIDNEXT (\d+) .*SIZE", b"\n".join(t for t in told if isinstance(t, bytes)))
        self.session.law(int(found[1]) > highest, f"UIDNEXT {found[1]} but UID {highest} was told")

    def names(self):
        form = self.dice.choice(('LIST "" "*"', 'LIST "" "*" RETURN (STATUS (MESSAGES) MYRIGHTS)', 'LSUB "" "*"', "NAMESPACE", 'LIST (SUBSCRIBED) "" "*"', 'XLIST "" "%"'))
        told = b"\n".join(t for t in self.session.ok(form) if isinstance(t, bytes))
        if form == 'LIST "" "*"':
            for box in BOXES:
                self.session.law(name_for(self.user, box, self.session).encode() in told, f"{box} is not listed: {told}")

    def scratch(self):
        """A mailbox of one's own from its making to its end."""
        session, name = self.session, f"S{self.number}-{next(self.world.numbers)}"
        for command in (f"CREATE {name}", f"SUBSCRIBE {name}", f"SETACL {name} bob lr", f"GETACL {name}", f"CREATE {name}/below"):
            if not (command.startswith("SETACL") and self.user == "bob"):
                session.ok(command)
        session.ok(f"RENAME {name} {name}x")
        box = (self.user, f"{name}x")
        session.law(session.select(box, f"{name}x") is not None, "it is there")
        octets, token = self.message()
        session.ok(f"APPEND {name}x", b" (\\Seen) {%d+}\r\n" % len(octets) + octets)
        session.learn()
        session.law(len(session.rows) == 1, "one message")
        session.ok(f"DELETE {name}x/below")
        session.ok(f"DELETE {name}x")
        session.box, session.rows = None, None
        session.ok(f"UNSUBSCRIBE {name}")
        _, answer = session.say(f"EXAMINE {name}x")
        session.law(answer.startswith(b"NO [NONEXISTENT]"), answer)

    def metadata(self):
        session = self.session
        name = name_for(self.user, session.box, session)
        value = f"v{self.number}-{next(self.world.numbers)}"
        session.ok(f'SETMETADATA "{name}" (/private/note{self.number} "{value}")')
        told = b"\n".join(t for t in session.ok(f'GETMETADATA "{name}" (/private/note{self.number})') if isinstance(t, bytes))
        session.law(value.encode() in told, f"{value} is told as {told}")

    def small(self):
        self.session.ok(self.dice.choice(("CAPABILITY", 'ID ("name" "stress")', 'GETQUOTAROOT INBOX', "MYRIGHTS INBOX", "ESEARCH IN (personal) UNSEEN", "CHECK")) if self.session.box else "CAPABILITY")

    def notify(self):
        self.session.notified = True
        if self.dice.random() < 0.5:
            self.session.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge))")
            self.session.at_once = False
        else:
            self.session.at_once = True
            self.session.ok("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange)) (subtree (\"Other Users\" Shared) (MessageNew MessageExpunge FlagChange))")

    def noop(self):
        self.session.ok("NOOP")

    def idle(self):
        session = self.session
        session.command = "IDLE"
        session.count += 1
        tag = b"t%d" % session.count
        session.ledger.count("IDLE")
        session.send(tag + b" IDLE\r\n")
        session.told = []
        while True:
            line = session.line()
            if line.startswith(b"+"):
                break
            session.take(line)
        session.socket.settimeout(0.02)
        try:
            for _ in range(self.dice.randint(0, 5)):
                session.take(session.line())
        except TimeoutError:
            pass
        finally:
            session.socket.settimeout(60)
        session.send(b"DONE\r\n")
        while True:
            line = session.line()
            if line.startswith(tag):
                return
            session.take(line)

    def restart(self):
        if self.dice.random() < 0.2:
            if self.dice.random() < 0.5:
                self.session.say("LOGOUT")
            raise Ended("of its own will")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--slow-sync-ms", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.slow_sync_ms:
        os.environ.update(LD_PRELOAD=recorder(), RECORD_ROOT=tempfile.gettempdir(), RECORD_SLOW=str(arguments.slow_sync_ms * 1000))
    with lab.Server(start_with=PEOPLE) as server:
        world, begun = prepared(server, arguments), time.monotonic()
        try:
            world.run()
        except BaseException:
            server.keep = True
            print(f"data kept in {server.dir}")
            raise
        seconds = time.monotonic() - begun
        counts = world.ledger.counts
        print(f"seed {arguments.seed}: {arguments.sessions} sessions, {seconds:.0f} s, {sum(counts.values())} commands,"
              f" {len(world.ledger.states)} states of {len(world.ledger.tokens)} messages, stood still {world.rounds} times: no difference")
        print("  " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))


def prepared(server, arguments):
    server.run("shared", "add", "team@here.test")
    for who in PEOPLE:
        server.run("acl", "set", "team@here.test", "*", f"{who}@here.test", "all")
    world = World(server, arguments.seed, arguments.sessions, arguments.seconds)
    ann = world.session("ann")
    for _, mailbox in (BOXES[1], LOAN):
        ann.ok(f'CREATE "{name_for("ann", ("ann", mailbox), ann)}"')
    for who in ("bob", "cay"):
        ann.ok(f"SETACL {LOAN[1]} {who}@here.test lr")
    for owner, mailbox in BOXES:
        for who in PEOPLE:
            if who != owner and owner != "team":
                server.run("acl", "set", f"{owner}@here.test", mailbox, f"{who}@here.test", "all")
    ann.close()
    world.end = time.monotonic() + arguments.seconds
    return world


if __name__ == "__main__":
    main()
