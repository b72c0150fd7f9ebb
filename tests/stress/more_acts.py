"""More of what a session of the stress does: several commands in one packet, order and threads held against what is known of each
message, searches that are kept up to date (RFC 5267), and a mailbox whose owner gives and takes rights meanwhile (RFC 4314).
"""

import re

from imap_model import Watched

# Whose rights at it change all the time; nobody but its owner stays in it.
LOAN = ("ann", "Loan")
ORDERS = ("SUBJECT", "REVERSE SUBJECT", "SIZE", "REVERSE SIZE")


def groups_of(text):
    """The threads of a THREAD response, each as the set of all in it."""
    found, depth = [], 0
    for part in re.findall(rb"[()]|\d+", text):
        if part == b"(":
            if depth == 0:
                found.append(set())
            depth += 1
        elif part == b")":
            depth -= 1
        else:
            found[-1].add(int(part))
    return found


class Grants:
    """Who may do what with LOAN, and from when until when: a right that is just changed may count as both."""

    def __init__(self, lock):
        self.lock, self.clock, self.entries = lock, 0, {}

    def now(self):
        with self.lock:
            self.clock += 1
            return self.clock

    def begins(self, who, rights):
        with self.lock:
            self.clock += 1
            self.entries.setdefault(who, [[frozenset("lr"), 0, None]]).append([frozenset(rights), self.clock, None])

    def ends(self, who):
        """All but the newest."""
        with self.lock:
            self.clock += 1
            for entry in self.entries[who][:-1]:
                entry[2] = entry[2] or self.clock

    def possible(self, who, since):
        """What stood at some time since then."""
        with self.lock:
            entries = self.entries.get(who) or [[frozenset("lr"), 0, None]]
            return [rights for rights, _, died in entries if died is None or died >= since]


class MoreActs:
    """For `stress.Worker`."""

    # ---- several commands in one packet

    def pipelined(self):
        """RFC 9051 §5.5: those by number keep their numbers, since nothing may be told as expunged between them."""
        session, dice = self.session, self.dice
        uids = self.some_uids()
        if not uids:
            return
        prefix, chosen = self.set_of(uids)
        commands = []
        for _ in range(dice.randint(2, 6)):
            flag = dice.choice((r"\Flagged", r"\Answered", "Work"))
            kind = dice.choice(("FETCH", "STORE", "SEARCH", "UNSEARCH"))
            if kind == "FETCH":
                commands.append((f"{prefix}FETCH {chosen} (UID FLAGS)", None))
            elif kind == "STORE" and not session.examined:
                commands.append((f"{prefix}STORE {chosen} {dice.choice('+-')}FLAGS ({flag})", None))
            else:
                negative = kind == "UNSEARCH"
                key = f"KEYWORD {flag}" if flag == "Work" else flag[1:].upper()
                wants = lambda row, f=flag.encode(), n=negative: (f in row.flags) != n  # noqa: E731
                commands.append((f"{prefix}SEARCH {'NOT ' if negative else ''}{key}", wants))
        if prefix:
            commands.append(("NOOP", None))
        session.pipeline(commands)

    # ---- order and threads

    def ordered(self):
        session, dice = self.session, self.dice
        by_uid = session.by_uid_only or session.at_once or dice.random() < 0.6
        prefix = "UID " if by_uid else ""
        key = dice.choice(ORDERS)
        session.sorted = None
        session.ok(f"{prefix}SORT ({key}) UTF-8 ALL", expected=lambda row: True)
        found = [(self.fact(uid), uid) for uid in session.sorted or []]
        # Of one whose octets nobody here has sent nothing is known.
        found = [(fact[key.split()[-1]], uid) for fact, uid in found if fact]
        step = -1 if key.startswith("REVERSE") else 1
        wanted = sorted(found, key=lambda pair: pair[1])
        wanted.sort(key=lambda pair: pair[0], reverse=step < 0)
        # RFC 5256 §3: what is equal stands in the order of the mailbox, in reverse too; `sort` keeps it.
        session.law(found == wanted, f"SORT ({key}) told {found[:40]}, and it is {wanted[:40]}")

    def threads(self):
        session = self.session
        by = self.dice.choice(("REFERENCES", "ORDEREDSUBJECT"))
        told = session.ok(f"UID THREAD {by} UTF-8 ALL")
        line = next(t for t in told if isinstance(t, bytes) and t.startswith(b"* THREAD"))
        home = {}
        for at, group in enumerate(groups_of(line)):
            for uid in group:
                session.law(uid not in home, f"{uid} is in two threads")
                home[uid] = at
        field = "root" if by == "REFERENCES" else "SUBJECT"
        roots = {}
        for uid, at in home.items():
            fact = self.fact(uid)
            if fact:
                roots.setdefault(fact[field], set()).add(at)
        torn = {root: ats for root, ats in roots.items() if len(ats) > 1}
        session.law(not torn, f"THREAD {by} tears apart {torn}: {line[:400]}")
        session.law(len(set.union(set(), *roots.values())) == len(roots), f"THREAD {by} joins what does not belong together: {line[:400]}")

    def fact(self, uid):
        token = self.world.ledger.token_of(self.session.box, uid)
        return self.world.facts.get(token)

    # ---- searches that are kept up to date

    def watch(self):
        session, dice = self.session, self.dice
        if session.watched and dice.random() < 0.4:
            tag = dice.choice(sorted(session.watched))
            session.watched[tag].ends = True
            session.ok(f'CANCELUPDATE "{tag}"')
            session.watched.pop(tag, None)
        elif len(session.watched) < 4:
            # A VANISHED may name one whose UID is not known here, and then its row is not either.
            by_uid = session.at_once or not session.modes.isdisjoint({"uidonly", "qresync"}) or dice.random() < 0.5
            flag = dice.choice((r"\Flagged", r"\Seen", "Work", None))
            negative = flag is not None and dice.random() < 0.3
            key = "ALL" if flag is None else f"KEYWORD {flag}" if flag == "Work" else flag[1:].upper()
            wants = lambda row, f=flag, n=negative: f is None or (f.encode() in row.flags) != n  # noqa: E731
            one = Watched(by_uid, f"{'NOT ' if negative else ''}{key}", wants, dice.choice((None, None, *ORDERS)))
            what = f"SORT RETURN (UPDATE ALL) ({one.order}) UTF-8" if one.order else "SEARCH RETURN (UPDATE ALL)"
            session.watch(f"{'UID ' if by_uid else ''}{what} {one.key}", one)

    def check_watched(self):
        """When all stand still, each is what the model says, and in the order that is told now."""
        session = self.session
        for tag, one in session.watched.items():
            found = one.found if one.by_uid else [row.uid for row in one.found]
            want = {row.uid for row in session.rows if one.wants(row)}
            session.law(set(found) == want, f"the search {tag} for {one.key} says {sorted(set(found) ^ want)} otherwise")
            if one.order:
                session.ok(f"UID SORT ({one.order}) UTF-8 {one.key}")
                session.law(session.sorted == found, f"the search {tag} by {one.order} has {found[:40]}, and it is {session.sorted[:40]}")

    # ---- rights that change

    def grant(self):
        session, world, dice = self.session, self.world, self.dice
        if self.user != LOAN[0]:
            return
        who = dice.choice(("bob", "cay"))
        rights = "".join(right for right in "lrswite" if dice.random() < 0.7)
        with world.granting:
            world.grants.begins(who, rights)
            session.ok(f'SETACL {LOAN[1]} {who}@here.test "{rights}"')
            world.grants.ends(who)

    def may(self, command, right, since, tail=b"", uids=None):
        """Runs it: what is done (to any of `uids`) was allowed at some time since, what is refused was not."""
        session = self.session
        _, answer = session.say(command, tail)
        possible = self.world.grants.possible(self.user, since)
        if answer.startswith(b"OK") and uids and not any(row.uid in uids for row in session.rows):
            # Others expunged all of them first: nothing was done.
            return True
        if answer.startswith(b"OK"):
            session.law(any(right in rights for rights in possible), f"done without {right}: {[''.join(sorted(r)) for r in possible]}")
            return True
        session.law(any(right not in rights for rights in possible), f"refused with {right}: {answer} {[''.join(sorted(r)) for r in possible]}")
        return False

    def visit(self):
        """Into LOAN and out again."""
        session, world, dice = self.session, self.world, self.dice
        if self.user == LOAN[0] or session.notified:
            return
        if session.box:
            self.leave()
        name = world.name(self.user, LOAN, session)
        since = world.grants.now()
        octets, token = self.message()
        if self.may(f'APPEND "{name}"', "i", since, b" {%d+}\r\n" % len(octets) + octets):
            world.ledger.count("APPEND to what is lent")
        since = world.grants.now()
        opened = session.select(LOAN, name)
        possible = world.grants.possible(self.user, since)
        right = any("r" in rights for rights in possible) if opened else any("r" not in rights for rights in possible)
        session.law(right, f"SELECT is {'done' if opened else 'refused'} with {[''.join(sorted(r)) for r in possible]}")
        if not opened:
            return
        for _ in range(3):
            uids = self.some_uids(3)
            if not uids:
                break
            chosen = ",".join(map(str, uids))
            flag, right = dice.choice(((r"\Flagged", "w"), (r"\Seen", "s"), (r"\Deleted", "t"), ("Work", "w")))
            self.may(f"UID STORE {chosen} +FLAGS ({flag})", right, since, uids=uids)
        self.may(f"UID EXPUNGE 1:{dice.randint(1, 1000)}", "e", since)
        session.learn()
        session.ok("UNSELECT")
        session.box, session.rows = None, None
