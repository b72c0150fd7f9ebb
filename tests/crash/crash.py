#!/usr/bin/env python3
"""Kills the real server under load, again and again, and counts what the clients were promised.

Each round: load from many connections by SMTP, submission, LMTP, IMAP (APPEND, STORE, COPY, MOVE, EXPUNGE) and POP3
(DELE), SIGKILL at a random moment, restart, `check`, and a comparison with the ledger that the clients kept:
acknowledged and missing, twice, damaged, UIDs given again, flags lost or back, expunged and back, relayed mail missing, sent
again after it was settled. Any number but 0 fails. Every few rounds the office is a fresh one.
"""

import argparse
import hashlib
import imaplib
import json
import os
import poplib
import random
import re
import smtplib
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402

USERS = [f"u{i}" for i in range(4)]
ID = re.compile(rb"X-Crash-Id: (\S+)\r\n")


def body(name, rng):
    """A message that proves itself: its id and a digest of its text."""
    text = b"".join(b"%x\r\n" % rng.getrandbits(240) for _ in range(rng.choice([3, 30, 300])))
    return (b"From: x@elsewhere.test\r\nSubject: crash\r\nMessage-ID: <" + name.encode() + b"@crash.test>\r\nX-Crash-Id: " + name.encode() + b"\r\nX-Crash-Sum: "
            + hashlib.sha256(text).hexdigest().encode() + b"\r\n\r\n" + text)


def identity(octets):
    """The id, or None when the octets are damaged."""
    head, _, text = octets.partition(b"\r\n\r\n")
    m, s = ID.search(head + b"\r\n"), re.search(rb"X-Crash-Sum: (\w+)", head)
    if not m or not s or hashlib.sha256(text).hexdigest().encode() != s.group(1):
        return None
    return m.group(1).decode()


class Ledger:
    """What was tried and what was promised. Delivery: id -> set of users; `asked` may be there, `promised` must be."""

    def __init__(self):
        self.lock = threading.Lock()
        self.promised = {}   # (user, id) -> True once acknowledged
        self.expunged = set()  # (user, id) whose deletion was acknowledged
        self.deleting = set()  # (user, id) whose deletion was asked
        self.flags = {}      # (user, mailbox, id) -> flag words acknowledged
        self.cleared = {}    # (user, mailbox, id) -> flag words whose removal was acknowledged
        self.uids = {}       # (user, mailbox, uidvalidity, uid) -> id as seen or promised
        self.relayed = {}    # id -> acknowledged submissions to the other side
        self.arrived = []    # ids at the sink
        self.settled = set()  # ids at the sink whose queue entry was gone, durably, afterwards
        self.again = set()   # of those, what came once more
        self.counts = {}

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def promise(self, user, name):
        with self.lock:
            self.promised[(user, name)] = True


class Sink(threading.Thread):
    """The other side: takes all mail, remembers ids."""

    def __init__(self, ledger):
        super().__init__(daemon=True)
        self.ledger, self.socket = ledger, socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return  # closed with its office
            threading.Thread(target=self.talk, args=(c,), daemon=True).start()

    def close(self):
        """Also for the thread that waits: else it would take mail that is meant for the next office's."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.join(10)
        assert not self.is_alive()

    def talk(self, c):
        try:
            f = c.makefile("rwb")
            f.write(b"220 sink\r\n")
            f.flush()
            for line in iter(f.readline, b""):
                verb, answer = line[:4].upper(), b"250 ok"
                if verb == b"DATA":
                    f.write(b"354 go\r\n")
                    f.flush()
                    octets = b""
                    while not octets.endswith(b"\r\n.\r\n"):
                        more = f.readline()
                        if not more:
                            return
                        octets += more
                    m = ID.search(octets)
                    with self.ledger.lock:
                        name = m.group(1).decode() if m else "?"
                        self.ledger.arrived.append(name)
                        if name in self.ledger.settled:
                            self.ledger.again.add(name)
                elif verb == b"QUIT":
                    answer = b"221 bye"
                f.write(answer + b"\r\n")
                f.flush()
        except OSError:
            return


class Round:
    def __init__(self, server, ledger, number, seed):
        self.server, self.ledger, self.number, self.seed = server, ledger, number, seed
        self.stop = threading.Event()

    def worker(self, kind, n):
        rng = random.Random(f"{self.seed} {self.number} {kind} {n}")
        k = 0
        while not self.stop.is_set():
            try:
                for _ in getattr(self, kind)(rng, n):
                    k += 1
                    if self.stop.is_set():
                        return
            except (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto, AttributeError) as error:
                if not self.stop.is_set():
                    self.ledger.count(f"{kind}: {type(error).__name__} {str(error)[:60]}")
                    time.sleep(0.05)

    def name(self, kind, n, k):
        return f"{self.number}-{kind}-{n}-{k}"

    def mx(self, rng, n, lmtp=False):
        kind = smtplib.LMTP if lmtp else smtplib.SMTP
        with kind("127.0.0.1", self.server.ports["lmtp" if lmtp else "smtp"], timeout=20) as s:
            for k in range(10**6):
                to = rng.sample(USERS, 2 if lmtp else 1)
                name = f"{self.name('lmtp' if lmtp else 'mx', n, k)}-{rng.getrandbits(40):x}"
                s.ehlo_or_helo_if_needed()
                s.mail("x@elsewhere.test")
                for u in to:
                    s.rcpt(f"{u}@here.test")
                # LMTP answers once a recipient (RFC 2033 §4.2); smtplib reads the first.
                replies = [s.data(body(name, rng))] + [s.getreply() for _ in to[1:] if lmtp]
                for u, (code, text) in zip(to, replies):
                    assert code == 250, text
                    self.ledger.promise(u, name)
                self.ledger.count("delivered")
                yield

    def lmtp(self, rng, n):
        yield from self.mx(rng, n, lmtp=True)

    def submit(self, rng, n):
        with smtplib.SMTP("127.0.0.1", self.server.ports["submission"], timeout=20) as s:
            s.login("u0@here.test", self.server.password)
            for k in range(10**6):
                name = f"{self.name('sub', n, k)}-{rng.getrandbits(40):x}"
                octets = body(name, rng).replace(b"x@elsewhere.test", b"u0@here.test", 1)
                s.sendmail("u0@here.test", ["c@there.test", "u1@here.test"], octets)
                self.ledger.promise("u1", name)
                with self.ledger.lock:
                    self.ledger.relayed[name] = True
                self.ledger.count("submitted")
                yield

    def imap(self, rng, n):
        """Own mailboxes W and V of one user: APPEND, STORE, COPY, MOVE, EXPUNGE, each promise noted."""
        user, led = USERS[n % len(USERS)], self.ledger
        box, other = f"W{n}", f"V{n}"
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"], timeout=20)
        c.login(f"{user}@here.test", self.server.password)
        for b in (box, other):
            c.create(b)
        c.select(box)
        for k in range(10**6):
            name = f"{self.name('app', n, k)}-{rng.getrandbits(40):x}"
            kind, data = c.append(box, r"(\Seen)", None, body(name, rng))
            assert kind == "OK", data
            m = re.search(rb"APPENDUID (\d+) (\d+)", data[0])
            validity, uid = int(m.group(1)), int(m.group(2))
            with led.lock:
                led.promised[(user, name)] = True
                led.uids[(user, box, validity, uid)] = name
                led.flags[(user, box, name)] = {"\\Seen"}
            led.count("appended")
            act = rng.choice(["store", "store", "clear", "copy", "move", "expunge", "none"])
            if act == "store":
                assert c.uid("STORE", str(uid), "+FLAGS", r"(\Flagged crash)")[0] == "OK"
                with led.lock:
                    led.flags[(user, box, name)] |= {"\\Flagged", "crash"}
            elif act == "clear":
                with led.lock:
                    led.flags.pop((user, box, name))
                assert c.uid("STORE", str(uid), "-FLAGS", r"(\Seen)")[0] == "OK"
                with led.lock:
                    led.cleared[(user, box, name)] = {"\\Seen"}
            elif act == "copy":
                assert c.uid("COPY", str(uid), other)[0] == "OK"
                with led.lock:
                    led.promised[(user + "/" + other, name)] = True
            elif act == "move":
                with led.lock:
                    led.flags.pop((user, box, name))
                assert c.uid("MOVE", str(uid), other)[0] == "OK"
                with led.lock:
                    led.promised[(user + "/" + other, name)] = True
                    led.expunged.add((user + "/" + box, name))
            elif act == "expunge":
                with led.lock:
                    led.deleting.add((user, name))
                assert c.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Deleted)")[0] == "OK"
                assert c.uid("EXPUNGE", str(uid))[0] == "OK"
                with led.lock:
                    led.expunged.add((user, name))
            led.count("imap acts")
            yield

    def pop(self, rng, n):
        """Deletes what lies in INBOX by POP3; a QUIT that answered +OK is a promise."""
        user, led = USERS[n % len(USERS)], self.ledger
        p = poplib.POP3("127.0.0.1", self.server.ports["pop3"], timeout=20)
        p.user(f"{user}@here.test")
        p.pass_(self.server.password)
        names = []
        for i in range(1, min(p.stat()[0], 5) + 1):
            octets = b"\r\n".join(p.top(i, 0)[1]) + b"\r\n"
            names.append(ID.search(octets).group(1).decode())
            with led.lock:
                led.deleting.add((user, names[-1]))
            p.dele(i)
        p.quit()
        with led.lock:
            led.expunged.update((user, name) for name in names)
        led.count("pop sessions")
        time.sleep(0.05)
        yield

    def run(self, seconds):
        threads = [threading.Thread(target=self.worker, args=(kind, n), daemon=True)
                   for kind, many in (("mx", 4), ("lmtp", 3), ("submit", 2), ("imap", 4), ("pop", 2)) for n in range(many)]
        for t in threads:
            t.start()
        time.sleep(seconds)
        self.stop.set()
        self.server.kill()
        for t in threads:
            t.join(25)
            assert not t.is_alive(), "a client hangs"


def everything(server):
    """{user: {mailbox: (uidvalidity, {uid: (flags, octets)}, uidnext)}}"""
    found = {}
    for user in USERS:
        c = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=60)
        c.login(f"{user}@here.test", server.password)
        names = [re.search(rb'"/" "?([^"]+)"?$', line).group(1).decode() for line in c.list()[1]]
        found[user] = {}
        for box in names:
            kind, data = c.select(f'"{box}"', readonly=True)
            assert kind == "OK", (box, data)
            validity = int(c.response("UIDVALIDITY")[1][0])
            found[user][box] = (validity, {}, int(c.response("UIDNEXT")[1][0]))
            if data == [b"0"]:
                continue
            kind, data = c.fetch("1:*", "(UID FLAGS BODY.PEEK[])")
            assert kind == "OK", data
            for part in data:
                if isinstance(part, tuple):
                    uid = int(re.search(rb"UID (\d+)", part[0]).group(1))
                    flags = re.search(rb"FLAGS \(([^)]*)\)", part[0]).group(1).decode().split()
                    found[user][box][1][uid] = (set(flags), part[1])
        c.logout()
    return found


def verdict(ledger, found):
    """Counts broken promises."""
    bad = {k: [] for k in ("missing", "twice", "damaged", "uid given again", "flags lost", "flags back", "expunged and back")}
    where = {}
    for user, boxes in found.items():
        for box, (validity, rows, uid_next) in boxes.items():
            given = [uid for u, b, v, uid in ledger.uids if (u, b, v) == (user, box, validity)]
            if given and max(given) >= uid_next:
                bad["uid given again"].append((user, box, uid_next, "UIDNEXT is not above", max(given)))
            for uid, (flags, octets) in rows.items():
                name = identity(octets)
                if name is None:
                    bad["damaged"].append((user, box, uid))
                    continue
                key = user + "/" + box if box.startswith("V") else user
                where.setdefault((key, name), []).append((box, uid))
                known = ledger.uids.setdefault((user, box, validity, uid), name)
                if known != name:
                    bad["uid given again"].append((user, box, uid, known, name))
                want = ledger.flags.get((user, box, name))
                if want and not want <= flags:
                    bad["flags lost"].append((user, box, uid, want, flags))
                back = ledger.cleared.get((user, box, name), set()) & flags
                if back:
                    bad["flags back"].append((user, box, uid, back, flags))
                if (user + "/" + box, name) in ledger.expunged:
                    bad["expunged and back"].append((user, box, name))
    for key, name in ledger.promised:
        places = where.get((key, name), [])
        if (key, name) in ledger.expunged:
            if places:
                bad["expunged and back"].append((key, name))
        elif not places and (key, name) not in ledger.deleting and not moved(key, name, ledger, where):
            bad["missing"].append((key, name))
    bad["twice"] += [(key, places) for key, places in where.items() if len(places) > 1]
    return bad


def moved(key, name, ledger, where):
    """A message promised in W may have been moved to V, acknowledged or not."""
    return any(k == name and u.startswith(key + "/V") for u, k in where)


def queue_verdict(server, ledger):
    """Every acknowledged submission reaches the sink; how many came more than once (a kill between 250 and settling)."""
    def all_there():
        with ledger.lock:
            return not set(ledger.relayed) - set(ledger.arrived)
    try:
        lab.wait_for("the queue to drain", all_there, 60)
    except AssertionError:
        pass
    with ledger.lock:
        missing = sorted(set(ledger.relayed) - set(ledger.arrived))
        return missing, len(ledger.arrived) - len(set(ledger.arrived))


def waiting(server):
    """Message-IDs of what the queue still has to send."""
    entries = json.loads(server.run("queue", "list", "--json").stdout)["entries"]
    return {entry["message_id"] for entry in entries if any(one["state"] == "waiting" for one in entry["recipients"])}


def note_settled(server, ledger):
    """What has arrived and does not wait, as it lies on disk after a kill, is settled: it must never arrive again."""
    with ledger.lock:
        arrived = set(ledger.arrived)
    left = waiting(server)
    with ledger.lock:
        ledger.settled |= {name for name in arrived if f"<{name}@crash.test>" not in left}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="longest load before a kill")
    parser.add_argument("--fresh", type=int, default=20, help="rounds before a fresh office")
    options = parser.parse_args()
    rng, failed, number, totals = random.Random(options.seed), 0, 0, {}
    while number < options.rounds and not failed:
        last = min(number + options.fresh, options.rounds)
        number, failed, told = office(range(number, last), rng, options)
        for what, count in told.items():
            totals[what] = totals.get(what, 0) + count
    print(f"crash: {number - failed} passed, {failed} failed; in all {totals}")
    return 1 if failed else 0


def office(numbers, rng, options):
    """Rounds on one data directory: (rounds done, failed, counts)."""
    ledger, number, again = Ledger(), 0, 0
    sink = Sink(ledger)
    extra = f'[outbound.relay]\nhost = "127.0.0.1"\nport = {sink.port}\ntls = "none"\n[limits]\nmessages_per_hour = 1000000\nrecipients_per_hour = 1000000\n'
    server = lab.Server(accounts=USERS, extra=extra)
    for number in numbers:
        server.start()
        Round(server, ledger, number, options.seed).run(rng.uniform(0.1 * options.seconds, options.seconds))
        server.check()
        note_settled(server, ledger)
        server.start()
        bad = verdict(ledger, everything(server))
        missing, again = queue_verdict(server, ledger)
        lab.wait_for("an empty queue", lambda: not waiting(server), 30, 0.3)
        note_settled(server, ledger)
        bad["relayed mail missing"] = missing
        bad["sent again after settling"] = sorted(ledger.again)
        server.stop()
        server.check()
        broken = {k: v for k, v in bad.items() if v}
        print(f"round {number}: promised {len(ledger.promised)}, {ledger.counts}, sent again after a kill {again}, "
              f"broken {({k: (len(v), v[:3]) for k, v in broken.items()}) or 0}", flush=True)
        if broken:
            print("the data directory is kept:", server.dir)
            return number + 1, 1, {}
    server.__exit__(None, None, None)
    sink.close()
    acts = {k: v for k, v in ledger.counts.items() if ":" not in k}
    return number + 1, 0, {**acts, "promises": len(ledger.promised), "sent again after a kill": again}


if __name__ == "__main__":
    sys.exit(main())
