"""What the server does on the side, and how much of it those in front feel: the search index made anew, dead segments rewritten.

Ours alone, in pairs: the same work at rest and while it goes on, in turn. A round counts only where it really went on.
"""

import glob
import imaplib
import json
import os
import statistics
import time

import parts

LOGIN = "back@bench.test"
MESSAGES = 60_000
DEAD = 12_000


def segments(side):
    return set(glob.glob(os.path.join(side.mail_folder(), "segments", "*.segment")))


def behind(side):
    return sum(account["behind"] for account in json.loads(side.run("--json", "index", "status").stdout)["accounts"])


def settled(side):
    parts.lab.wait_for("the index has everything", lambda: behind(side) == 0, 600, 0.5)


def in_front(bench, side):
    """What is measured: the mixed load of ten clients, then deliveries over sixteen connections."""
    mixed = bench.run("imap-mixed", "--imap", parts.at(side, "imap"), "--login", "m{}@bench.test", "--users", parts.USERS, "--conc", 10, "--secs", 3)
    sent = parts.deliver(bench, side, "--users", parts.USERS, count=bench.scaled(4000), seed=int(time.time()), via="lmtp", verify="none")
    return {"ops": mixed["ops_per_s"], "sent": sent["accepted_per_s"], "p99": 1 / sent["final_reply"]["p99_ms"]}


def pair(bench, what, rest, busy):
    """How many times as long the same work takes (each metric is the more the better)."""
    for metric in rest:
        bench.add("background", bench.sides[0], **{f"{what}_{metric}": rest[metric] / busy[metric]})


def fill(bench, side, login, count, seed, *more):
    bench.run("imap-load", "--imap", parts.at(side, "imap"), "--login", login, "--n", count, "--seed", seed, *more)


def indexing(bench, side):
    for _ in bench.turns():
        settled(side)
        rest = in_front(bench, side)
        settled(side)
        side.run("index", "rebuild", LOGIN)
        busy = in_front(bench, side)
        assert behind(side) > 0, "the index was ready before the load was"
        pair(bench, "indexing", rest, busy)


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


def cleaning(bench, side):
    for turn in bench.turns():
        dead(bench, side, 900 + turn)
        settled(side)
        for _ in ("what was just filled comes from the disk once", "measured"):
            restarted(side, 30)
            before = segments(side)
            rest = in_front(bench, side)
        assert segments(side) >= before and not rewriting(side), "nothing was to be rewritten"
        restarted(side, 0)
        # It rests while there is much to do: first comes the erasing, then the first segment. Only rounds count in which it went on to the end.
        rounds = []
        while segments(side) >= before:
            assert len(rounds) < 20, "no segment was rewritten"
            rounds.append(in_front(bench, side))
        print(f"  rewriting: {len(rounds)} rounds until a segment was", flush=True)
        pair(bench, "cleaning", rest, {metric: statistics.median([one[metric] for one in rounds]) for metric in rest})


def part_background(bench):
    """Ours alone."""
    side = bench.sides[0]
    fill(bench, side, "m{}@bench.test", 80, 800, "--users", parts.USERS, "--conc", 4)
    fill(bench, side, LOGIN, 1000, 801)
    parts.grow(side, LOGIN, bench.scaled(MESSAGES))
    indexing(bench, side)
    cleaning(bench, side)
    restarted(side, 30)
