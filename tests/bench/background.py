"""What the server does on the side, and how much of it those in front feel: the search index made anew, dead segments rewritten.

Ours alone, in pairs: the same work at rest and while it goes on, several times. A round counts only where it really went on.
Both are done on mailboxes that are alike: the load puts messages into those it reads, and what it put there a moment ago is
not in the search index yet.
"""

import glob
import imaplib
import json
import os
import time

import parts

LOGIN = "back@bench.test"
CLIENTS = 10
# Rounds beside what goes on (the rewriting rests while there is much to do: no more than these), and as many at rest: the median of
# their pairs counts. One pair alone was 0.92 in one run and 1.29 in the next.
ROUNDS_BESIDE = 6
MESSAGES = 60_000
DEAD = 12_000


def segments(side):
    return set(glob.glob(os.path.join(side.mail_folder(), "segments", "*.segment")))


def behind(side):
    return sum(account["behind"] for account in json.loads(side.run("--json", "index", "status").stdout)["accounts"])


def settled(side):
    parts.lab.wait_for("the index has everything", lambda: behind(side) == 0, 600, 0.5)


def in_front(bench, side, people):
    """What is measured: the mixed load of ten clients, then deliveries over sixteen connections."""
    mixed = bench.run("imap-mixed", "--imap", parts.at(side, "imap"), "--login", people, "--users", CLIENTS, "--conc", CLIENTS, "--secs", 3)
    sent = parts.deliver(bench, side, "--users", parts.USERS, count=bench.scaled(4000), seed=int(time.time()), via="lmtp", verify="none")
    return {"ops": mixed["ops_per_s"], "sent": sent["accepted_per_s"], "p99": 1 / sent["final_reply"]["p99_ms"]}


def two_crowds(bench, side, turn):
    """Two times ten people whose mailboxes nobody has used yet, all in the search index."""
    crowds = [f"c{turn}{what}{{}}@bench.test" for what in ("rest", "busy")]
    names = [crowd.replace("{}", str(number)) for crowd in crowds for number in range(CLIENTS)]
    side.run("account", "add", "--csv", "-", stdin="".join(f"{name},bench\n" for name in names))
    for crowd in crowds:
        fill(bench, side, crowd, 80, 800, "--users", CLIENTS, "--conc", 4)
    settled(side)
    return crowds


def pair(bench, what, rest, busy):
    """How many times as long the same work takes (each metric is the more the better)."""
    for metric in rest:
        bench.add("background", bench.sides[0], **{f"{what}_{metric}": rest[metric] / busy[metric]})


def fill(bench, side, login, count, seed, *more):
    bench.run("imap-load", "--imap", parts.at(side, "imap"), "--login", login, "--n", count, "--seed", seed, *more)


def indexing(bench, side):
    for turn in bench.turns():
        at_rest, beside = two_crowds(bench, side, f"i{turn}")
        # Half of the rounds at rest come before and half after, so that what drifts falls on neither.
        rest = [in_front(bench, side, at_rest) for _ in range(ROUNDS_BESIDE // 2)]
        settled(side)
        side.run("index", "rebuild", LOGIN)
        busy = []
        while len(busy) < ROUNDS_BESIDE:
            busy.append(in_front(bench, side, beside))
            assert behind(side) > 0, "the index was ready before the load was"
        settled(side)
        rest += [in_front(bench, side, at_rest) for _ in range(ROUNDS_BESIDE - len(rest))]
        for one, other in zip(rest, busy):
            pair(bench, "indexing", one, other)


def dead(bench, side, seed):
    """Fills some segments; of each four messages three are expunged."""
    login = "dead@bench.test"
    fill(bench, side, login, DEAD, seed)
    with imaplib.IMAP4("127.0.0.1", side.ports["imap"], timeout=300) as c:
        c.login(login, "bench")
        have = int(c.select("INBOX")[1][0])
        for first in (2, 3, 4):
            c.store(",".join(str(n) for n in range(first, have + 1, 4)), "+FLAGS.SILENT", r"(\Deleted)")
        c.expunge()


def restarted(side, undo_days):
    """The store's care is taken at once after a start."""
    side.stop()
    with open(side.config) as f:
        lines = [line for line in f if not line.startswith("undo_days")]
    with open(side.config, "w") as f:
        f.write(f"undo_days = {undo_days}\n" + "".join(lines))
    side.start()


def rewriting(side):
    return any(name.endswith(".new") for name in os.listdir(os.path.join(side.mail_folder(), "segments")))


def all_rewritten(side):
    """One segment after another: none for a while."""
    seen = [time.monotonic()]

    def is_over():
        if rewriting(side):
            seen[0] = time.monotonic()
        return time.monotonic() - seen[0] > 5

    parts.lab.wait_for("all segments are rewritten", is_over, 600, 0.01)


def cleaning(bench, side):
    for turn in bench.turns():
        dead(bench, side, 900 + turn)
        at_rest, beside = two_crowds(bench, side, f"s{turn}")
        before = segments(side)
        restarted(side, 0)
        # It rests while there is much to do: first comes the erasing, then the first segment.
        busy, begun = [], time.monotonic()
        while segments(side) >= before and len(busy) < ROUNDS_BESIDE:
            busy.append(in_front(bench, side, beside))
        # Which goes on to the end by itself.
        parts.lab.wait_for("a segment is rewritten", lambda: not segments(side) >= before, 600, 0.5)
        print(f"  rewriting: {len(busy)} rounds beside it, a segment rewritten after {time.monotonic() - begun:.0f} s", flush=True)
        all_rewritten(side)
        settled(side)
        restarted(side, 30)
        # As many rounds, for in each the mailboxes have more than in the one before.
        rest = [in_front(bench, side, at_rest) for _ in busy]
        assert not rewriting(side), "something was rewritten that nothing was to be"
        for one, other in zip(rest, busy):
            pair(bench, "cleaning", one, other)


def part_background(bench):
    """Ours alone."""
    side = bench.sides[0]
    fill(bench, side, LOGIN, 1000, 801)
    parts.grow(side, LOGIN, bench.scaled(MESSAGES))
    indexing(bench, side)
    cleaning(bench, side)
    restarted(side, 30)
