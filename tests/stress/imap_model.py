"""One IMAP session that keeps a model of what it was told, and laws that every answer is held against.

The model is the list of messages of the selected mailbox by number: UID, flags, mod-sequence. Laws, checked at each line as
it comes: EXISTS never shrinks; EXPUNGE and FETCH name a number that is there; no EXPUNGE in FETCH, STORE, SEARCH or SORT by
number; a number keeps its UID, UIDs ascend; SEARCH answers exactly what the model says at that line. The ledger (`Ledger`)
is what all sessions know together: one mod-sequence of a message is one set of flags everywhere, a UID is one message for
ever, what somebody was told as gone is in no mailbox opened afterwards, UIDNEXT is above every UID that was ever told, and
neither HIGHESTMODSEQ nor a message of a mailbox opened afterwards is older than somebody was told.
"""

import re
import socket
import threading
import zlib

PATIENCE = 60


class Broken(AssertionError):
    """A law did not hold."""


class Ended(Exception):
    """BYE, or the end of the connection."""


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.states, self.tokens, self.gone, self.highest, self.newest = {}, {}, {}, {}, {}
        self.counts = {}

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def state(self, box, uid, modseq, flags):
        with self.lock:
            known = self.states.setdefault((box, uid, modseq), flags)
        if known != flags:
            raise Broken(f"{box} uid {uid} modseq {modseq}: {sorted(known)} and {sorted(flags)}")

    def token(self, box, uid, token):
        with self.lock:
            known = self.tokens.setdefault((box, uid), token)
        if known != token:
            raise Broken(f"{box} uid {uid} was message {known} and is {token}")

    def token_of(self, box, uid):
        with self.lock:
            return self.tokens.get((box, uid))

    def saw(self, box, uid):
        with self.lock:
            self.highest[box] = max(self.highest.get(box, 0), uid)

    def changed(self, box, uid, modseq):
        with self.lock:
            newest = self.newest.setdefault(box, {})
            newest[uid] = max(newest.get(uid, 0), modseq)

    def went(self, box, uids):
        with self.lock:
            self.gone.setdefault(box, set()).update(uids)
            newest = self.newest.get(box, {})
            for uid in uids:
                newest.pop(uid, None)

    def before_opening(self, box):
        """What was told so far: UIDs that are gone, the highest UID, the newest mod-sequence of each message."""
        with self.lock:
            return set(self.gone.get(box, ())), self.highest.get(box, 0), dict(self.newest.get(box, {}))


def number_set(text):
    found = []
    for part in text.decode().split(","):
        first, _, last = part.partition(":")
        first, last = int(first), int(last or first)
        found.extend(range(min(first, last), max(first, last) + 1))
    return found


def in_order(text):
    """The numbers of a set as they are written: `5:3` is 5, 4, 3."""
    found = []
    for part in text.decode().split(","):
        first, _, last = part.partition(":")
        first, last = int(first), int(last or first)
        step = 1 if first <= last else -1
        found.extend(range(first, last + step, step))
    return found


class Watched:
    """A search with UPDATE (RFC 5267 §4.3): what it finds as far as that is told, by UID, or by number and then each the model's row."""

    def __init__(self, by_uid, key, wants, order=None):
        self.by_uid, self.key, self.wants, self.order, self.found = by_uid, key, wants, order, []
        # From when on CANCELUPDATE is on its way.
        self.ends = False

    def change(self, what, position, items):
        """Takes one change in; what is wrong with it, if anything."""
        if what != b"ALL" and (position == 0) != (self.order is None):
            return f"position {position} where the order is {self.order}"
        if what == b"REMOVEFROM":
            for item in items:
                # What goes at one position: each has taken the place of the one before it.
                at = position - 1 if self.order else self.found.index(item) if item in self.found else -1
                if not 0 <= at < len(self.found) or self.found[at] != item:
                    return f"it is not at {position} of {len(self.found)}"
                del self.found[at]
            return None
        at = position - 1 if position else len(self.found)
        if at > len(self.found):
            return f"there are only {len(self.found)}"
        if any(item in self.found for item in items):
            return "it is in it already"
        self.found[at:at] = items
        return None


def tokens_of(response):
    """A response as nested lists of bytes."""
    stack, at = [[]], 0
    pattern = re.compile(rb'\{(\d+)\}\r\n|~\{(\d+)\}\r\n|"((?:[^"\\]|\\.)*)"|([()])|([^\s()"\[]*\[[^\]]*\](?:<\d+>)?|[^\s()"]+)|\s+')
    while at < len(response):
        found = pattern.match(response, at)
        at = found.end()
        length = found[1] or found[2]
        if length:
            stack[-1].append(response[at : at + int(length)])
            at += int(length)
        elif found[3] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", found[3]))
        elif found[4] == b"(":
            stack.append([])
        elif found[4] == b")":
            done = stack.pop()
            stack[-1].append(done)
        elif found[5]:
            stack[-1].append(found[5])
    return stack[0]


class Row:
    __slots__ = ("uid", "flags", "modseq")

    def __init__(self, uid=None):
        self.uid, self.flags, self.modseq = uid, None, None

    def seen(self):
        return (self.uid, self.flags, self.modseq)


BY_NUMBER = ("FETCH", "STORE", "SEARCH", "SORT", "THREAD")


class Session:
    def __init__(self, port, user, password, ledger, modes=()):
        self.user, self.ledger, self.modes = user, ledger, set(modes)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.buffer, self.inflate, self.deflate = b"", None, None
        self.at_once, self.count, self.box, self.rows, self.examined = False, 0, None, None, False
        self.command, self.expected, self.log, self.went_since = "", None, [], set()
        # The UIDs of the last SORT in their order; searches that are kept up to date, by tag.
        self.sorted, self.watched = None, {}
        # RFC 7162 §6: the highest mod-sequence to count on; what was told of it since the last tagged answer.
        self.counted_on, self.settled, self.mod_seqs = 0, None, []
        self.line()
        self.ok(f'LOGIN {user}@here.test "{password}"')
        if "compress" in self.modes:
            self.ok("COMPRESS DEFLATE")
            self.inflate, self.deflate = zlib.decompressobj(-15), zlib.compressobj(6, zlib.DEFLATED, -15)
        for mode, name in (("rev2", "IMAP4rev2"), ("condstore", "CONDSTORE"), ("qresync", "QRESYNC"), ("uidonly", "UIDONLY"), ("utf8", "UTF8=ACCEPT")):
            if mode in self.modes:
                self.ok(f"ENABLE {name}")
        self.with_modseq = bool(self.modes & {"condstore", "qresync"})
        self.by_uid_only = "uidonly" in self.modes
        # NOTIFY (selected ...): EXPUNGE comes at any time, numbers are of no use any more.
        self.at_once, self.notified = False, False

    # ---- octets

    def send(self, octets):
        if self.deflate:
            octets = self.deflate.compress(octets) + self.deflate.flush(zlib.Z_PARTIAL_FLUSH)
        self.socket.sendall(octets)

    def more(self):
        octets = self.socket.recv(65536)
        if not octets:
            raise Ended("closed")
        self.buffer += self.inflate.decompress(octets) if self.inflate else octets

    def line(self):
        """One response with its literals, without the last CRLF."""
        at = 0
        while True:
            end = self.buffer.find(b"\r\n", at)
            if end < 0:
                self.more()
                continue
            literal = re.search(rb"\{(\d+)\}$", self.buffer[at:end])
            if not literal:
                break
            at = end + 2 + int(literal[1])
            while len(self.buffer) < at:
                self.more()
        whole, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
        self.log.append(whole[:300])
        del self.log[:-200]
        return whole

    def fail(self, why):
        raise Broken(f"{self.user} {sorted(self.modes)} {self.box} while {self.command[:200]}: {why}\n  " + "\n  ".join(map(repr, self.log[-60:])))

    def law(self, holds, why):
        if not holds:
            self.fail(why)

    # ---- commands

    def say(self, command, tail=b"", expected=None):
        """Runs a command (with octets behind it); what it was told beside the model's news, and the tagged answer."""
        tag, text = self.named(command, tail)
        self.send(text)
        return self.answer(tag, command, expected)

    def named(self, command, tail=b""):
        """(tag, what is sent)"""
        self.count += 1
        tag = b"t%d" % self.count
        text = tag + b" " + command.encode() + tail
        self.log.append(b"> " + text[:200])
        self.ledger.count(command.split(" ")[0] if not command.startswith("UID ") else " ".join(command.split(" ")[:2]))
        return tag, text + b"\r\n"

    def answer(self, tag, command, expected):
        self.command, self.expected, self.told = command, expected, []
        while True:
            response = self.line()
            if response.startswith(tag + b" "):
                answer = response[len(tag) + 1 :]
                self.law(not answer.startswith(b"BAD"), answer)
                self.count_on(answer)
                return self.told, answer
            self.take(response)

    def count_on(self, answer):
        """RFC 7162 §6: HIGHESTMODSEQ where it was told, else the highest MODSEQ."""
        code = re.search(rb"\[HIGHESTMODSEQ (\d+)\]", answer)
        settled = int(code[1]) if code else self.settled
        self.counted_on = max([self.counted_on, *self.mod_seqs]) if settled is None else settled
        self.settled, self.mod_seqs = None, []

    def pipeline(self, commands):
        """All in one packet; answered one behind the other."""
        named = [self.named(command) for command, _ in commands]
        self.send(b"".join(text for _, text in named))
        self.ledger.count("in one packet")
        for (tag, _), (command, expected) in zip(named, commands):
            _, answer = self.answer(tag, command, expected)
            # By number and all of them expunged by others (RFC 2180 §4.2.2).
            gone = command.startswith("STORE ") and answer.startswith(b"NO [EXPUNGEISSUED]")
            self.law(answer.startswith(b"OK") or gone, answer)

    def watch(self, command, one):
        """A search with UPDATE (`Watched`); its tag names it from now on."""
        tag, text = self.named(command)
        self.watched[tag.decode()] = one
        self.send(text)
        told, answer = self.answer(tag, command, None)
        self.law(answer.startswith(b"OK"), answer)
        if any(b"[NOUPDATE" in t for t in told if isinstance(t, bytes)):
            self.watched.pop(tag.decode())

    def updated(self, response):
        """RFC 5267 §4.3: an ESEARCH of a search that is watched; false where it is of another."""
        head = re.match(rb'\* ESEARCH \(TAG "([^"]+)"\)( UID)?', response)
        one = self.watched.get(head[1].decode()) if head else None
        if one is None:
            return False
        self.law(bool(head[2]) == one.by_uid, "UID belongs to UID commands")
        for what, text in re.findall(rb" (ALL|ADDTO|REMOVEFROM) (\([^)]*\)|\S+)", response):
            words = [b"0", text] if what == b"ALL" else text.strip(b"()").split(b" ")
            for position, numbers in zip(words[::2], words[1::2]):
                items = in_order(numbers)
                if not one.by_uid:
                    self.law(all(0 < number <= len(self.rows) for number in items), f"{items} of {len(self.rows)} messages")
                    items = [self.rows[number - 1] for number in items]
                wrong = one.change(what, int(position), items)
                self.law(not wrong, f"{what.decode()} ({position.decode()} {numbers.decode()}): {wrong}")
            self.ledger.count(f"{what.decode()} {'in an order ' if one.order else ''}by {'UID' if one.by_uid else 'number'}")
        return True

    def left_first(self, uids, row=None):
        """What is told as gone is in no search any more (RFC 5267 §4.3.4: its number still meant it)."""
        for tag, one in self.watched.items():
            stays = [item for item in one.found if not one.ends and (item in uids if one.by_uid else item is row)]
            self.law(not stays, f"the search {tag} still has {stays}, which went")

    def ok(self, command, tail=b"", expected=None):
        told, answer = self.say(command, tail, expected)
        self.law(answer.startswith(b"OK"), answer)
        return told

    def take(self, response):
        if response.startswith(b"* BYE"):
            raise Ended(response.decode("latin-1"))
        words = response.split(b" ", 3)
        if len(words) >= 3 and words[1].isdigit():
            number, what = int(words[1]), words[2]
            if what == b"EXISTS":
                if self.rows is None:
                    self.rows = []
                self.law(number >= len(self.rows), f"EXISTS shrank from {len(self.rows)} to {number}")
                self.rows.extend(Row() for _ in range(number - len(self.rows)))
            elif what == b"EXPUNGE":
                self.law(self.at_once or not self.command.startswith(BY_NUMBER), "EXPUNGE in a command by number")
                self.law(self.modes.isdisjoint({"qresync", "uidonly"}), "EXPUNGE where VANISHED belongs")
                self.law(self.rows is not None and 0 < number <= len(self.rows), f"EXPUNGE {number} of {len(self.rows or ())}")
                gone = self.rows.pop(number - 1)
                self.left_first({gone.uid}, gone)
                if gone.uid:
                    self.ledger.went(self.box, [gone.uid])
            elif what in (b"FETCH", b"UIDFETCH"):
                self.fetched(number, what, tokens_of(words[3])[0])
            return
        settled = re.match(rb"\* OK \[HIGHESTMODSEQ (\d+)\]", response)
        self.settled = int(settled[1]) if settled else self.settled
        if words[1] == b"VANISHED":
            self.vanished(response)
        elif words[1] == b"SEARCH":
            found = [int(word) for word in re.sub(rb"\(.*", b"", response).split()[2:]]
            self.compare(found)
        elif words[1] == b"ESEARCH" and self.updated(response):
            pass
        elif words[1] == b"ESEARCH" and self.expected is not None:
            all_ = re.search(rb" ALL (\S+)", response)
            self.compare(number_set(all_[1]) if all_ else [])
        elif words[1] == b"SORT":
            found = [int(word) for word in response.split()[2:]]
            self.sorted = found if self.command.startswith("UID ") else [self.rows[number - 1].uid for number in found]
            self.compare(sorted(found))
        else:
            self.told.append(response)

    def compare(self, found):
        if self.expected is None:
            return
        by_uid = self.command.startswith("UID ")
        if not by_uid:
            named = [row for row in self.rows if row.flags is not None]
            numbers = {id(row): at for at, row in enumerate(self.rows, 1)}
            want = [numbers[id(row)] for row in named if self.expected(row)]
            nameless = set(numbers.values()) - {numbers[id(row)] for row in named}
            found = [number for number in found if number not in nameless]
        else:
            # Of those whose UID is not known yet nothing can be said.
            named = [row for row in self.rows if row.uid and row.flags is not None]
            want = [row.uid for row in named if self.expected(row)]
            known = {row.uid for row in named}
            extra = [uid for uid in found if uid not in known]
            self.law(len(extra) <= len(self.rows) - len(named), f"found {extra}, which are not there")
            found = [uid for uid in found if uid in known]
        self.law(found == want, f"found {found}, the model says {want}")
        self.expected = None

    def vanished(self, response):
        self.law(self.at_once or not self.command.startswith(BY_NUMBER), "VANISHED in a command by number")
        earlier = b"(EARLIER)" in response
        uids = set(number_set(response.split(b" ")[-1]))
        self.went_since |= uids
        self.left_first(uids)
        if self.rows is None:
            return
        known = {row.uid for row in self.rows}
        if not earlier:
            unknown = uids - known
            self.rows = [row for row in self.rows if row.uid not in uids]
            # They went before their UIDs were asked for: each stood without a name between its neighbours.
            for uid in unknown:
                at = next((at for at, row in enumerate(self.rows) if row.uid and row.uid > uid), len(self.rows))
                at = len(self.rows) if self.by_uid_only else at
                self.law(at and self.rows[at - 1].uid is None, f"VANISHED of {uid}, which is not there")
                self.rows.pop(at - 1)
        else:
            self.rows = [row for row in self.rows if row.uid not in uids]
        self.ledger.went(self.box, uids & known if earlier else uids)

    def fetched(self, number, what, items):
        pairs = dict(zip([item if isinstance(item, bytes) else b"" for item in items[::2]], items[1::2]))
        if what == b"UIDFETCH":
            self.law(self.by_uid_only, "UIDFETCH without UIDONLY")
            row = next((row for row in self.rows if row.uid == number), None)
            if row is None:
                row = next((row for row in self.rows if row.uid is None), None)
                self.law(row is not None, f"UIDFETCH {number} of what is not there")
                row.uid = number
                # Without numbers there is no place a message without a name must have.
                self.rows.sort(key=lambda row: row.uid or 1 << 32)
        else:
            self.law(not self.by_uid_only, "FETCH after ENABLE UIDONLY")
            self.law(self.rows is not None and 0 < number <= len(self.rows), f"FETCH {number} of {len(self.rows or ())}")
            row = self.rows[number - 1]
            if b"UID" in pairs:
                uid = int(pairs[b"UID"])
                self.law(row.uid in (None, uid), f"{number} was UID {row.uid} and is {uid}")
                row.uid = uid
        at = self.rows.index(row)
        above, below = (self.rows[at - 1].uid if at else 0), (self.rows[at + 1].uid if at + 1 < len(self.rows) else None)
        if row.uid:
            self.law((above or 0) < row.uid and (below is None or row.uid < below), f"UIDs do not ascend: {above} {row.uid} {below}")
            self.ledger.saw(self.box, row.uid)
        if b"MODSEQ" in pairs:
            self.mod_seqs.append(int(pairs[b"MODSEQ"][0]))
            if row.uid:
                self.ledger.changed(self.box, row.uid, int(pairs[b"MODSEQ"][0]))
        if b"FLAGS" in pairs:
            flags = frozenset(flag for flag in pairs[b"FLAGS"] if flag != b"\\Recent")
            if b"MODSEQ" in pairs:
                row.modseq = int(pairs[b"MODSEQ"][0])
            elif flags != row.flags:
                row.modseq = None
            row.flags = flags
        if b"MODSEQ" in pairs and b"FLAGS" in pairs and row.uid:
            self.ledger.state(self.box, row.uid, row.modseq, row.flags)
        for name, value in pairs.items():
            if name.startswith(b"BODY[") and row.uid:
                subject = re.search(rb"Subject: (\S+)", value)
                if subject:
                    self.ledger.token(self.box, row.uid, subject[1])
        self.told.append((row.uid, pairs))

    # ---- the model

    def learn(self):
        """Asks for what is not known yet."""
        def open_(row):
            return row.uid is None or row.flags is None or (self.with_modseq and row.modseq is None)

        rounds = 0
        while self.rows is not None and any(map(open_, self.rows)):
            rounds += 1
            self.law(rounds < 20, f"{[row.seen() for row in self.rows if open_(row)]} is never told of")
            items = "(FLAGS MODSEQ)" if self.with_modseq else "(FLAGS)"
            first = next(at for at, row in enumerate(self.rows) if open_(row))
            if self.by_uid_only or self.at_once or first == 0:
                # Without numbers those without a name may stand anywhere.
                known = self.rows[first - 1].uid if first and not self.by_uid_only else 0
                self.ok(f"UID FETCH {known + 1}:* {items}")
            else:
                self.ok(f"FETCH {first + 1}:{len(self.rows)} (UID {items[1:]}")

    def select(self, box, name, examine=False, cached=None):
        """Opens a mailbox; `cached` is (UIDVALIDITY, MODSEQ, rows) of an earlier visit, for QRESYNC."""
        gone, highest, newest = self.ledger.before_opening(box)
        self.rows, self.box, self.examined, self.watched = None, box, examine, {}
        resync = f" (QRESYNC ({cached[0]} {cached[1]}))" if cached and "qresync" in self.modes else ""
        verb = "EXAMINE" if examine else "SELECT"
        self.went_since = set()
        told, answer = self.say(f'{verb} "{name}"{resync}')
        if not answer.startswith(b"OK"):
            self.rows, self.box = None, None
            return None
        codes = dict(re.findall(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]", b"\n".join(t for t in told if isinstance(t, bytes))))
        self.law(int(codes[b"UIDNEXT"]) > highest, f"UIDNEXT {codes[b'UIDNEXT']} but UID {highest} was told")
        highest_modseq = int(codes[b"HIGHESTMODSEQ"])
        self.law(highest_modseq >= max(newest.values(), default=0), f"HIGHESTMODSEQ {highest_modseq} but {max(newest.values(), default=0)} was told")
        resynced = {row.uid for row in self.rows if row.uid}
        self.learn_all()
        there = {row.uid for row in self.rows}
        self.law(there.isdisjoint(gone), f"{sorted(there & gone)} were gone before it was opened")
        older = [(row.seen(), newest[row.uid]) for row in self.rows if row.modseq and row.modseq < newest.get(row.uid, 0)]
        self.law(not older, f"somebody was told of what came later: {older}")
        if resync and int(cached[0]) == int(codes[b"UIDVALIDITY"]):
            self.check_resync(cached, resynced, highest_modseq)
        return int(codes[b"UIDVALIDITY"]), highest_modseq

    def learn_all(self):
        """Every message, whatever is known: what is told now must be what was told."""
        if self.rows:
            self.ok("UID FETCH 1:* (FLAGS MODSEQ)" if self.with_modseq else "UID FETCH 1:* (FLAGS)")
            self.learn()

    def check_resync(self, cached, told, highest_modseq):
        """What SELECT (QRESYNC) told, laid over what was known, is what is there."""
        known = {uid: (uid, flags, modseq) for uid, flags, modseq in cached[2]}
        now = {row.uid: row.seen() for row in self.rows}
        missed = [uid for uid in known if uid not in now and uid not in self.went_since]
        self.law(not missed, f"QRESYNC did not tell that {missed} are gone")
        for uid, state in now.items():
            # What is new is asked for in any case.
            if uid > max(known, default=0):
                continue
            if uid not in told and state[2] <= highest_modseq and known.get(uid) != state:
                self.fail(f"QRESYNC said nothing of {uid}: it was {known.get(uid)} and is {state}")

    def snapshot(self):
        return [row.seen() for row in self.rows]

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass
