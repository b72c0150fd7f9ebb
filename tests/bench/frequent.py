"""SEARCH where an index helps least: a word that stands in all messages or in a tenth of them, a fragment inside words, and a string
that is nowhere. Each answer is compared, UID by UID, with what a reading of every message finds, on both sides."""

import base64
import imaplib
import quopri
import random
import socket
import time

import parts

LOGIN = "find2@bench.test"
BASE = 1000
# (metric, what is looked for).
WANTED = [("all", "meridian"), ("tenth", "quorum"), ("fragment", "erid"), ("tenth_fragment", "uoru"), ("umlaut", "größe"), ("nowhere", "xylqzzyv")]
WORDS = "about account answer because behind between camera circle different during evening example family garden history house island journey kitchen letter market morning number office people picture question reason school season silver summer table travel village water weather window winter yellow".split()


def message(number, rng):
    """(octets, text): the octets have it in one of three encodings, as mail has."""
    words = rng.choices(WORDS, k=200)
    words[rng.randrange(200)] = rng.choice(["meridian", "Meridian", "MERIDIAN", "meridians"])
    if number % 10 == 3:
        words[rng.randrange(200)] = "Quorum"
    if number % 50 == 7:
        words[rng.randrange(200)] = "Größe"
    # Whatever was put there before stays.
    words += ["meridian"] + (["quorum"] if number % 10 == 3 else []) + (["Größe"] if number % 50 == 7 else [])
    lines = [" ".join(words[at : at + 12]) for at in range(0, len(words), 12)]
    text = "\r\n".join(lines) + "\r\n"
    octets = text.encode()
    encoding = ("8bit", "quoted-printable", "base64")[number % 3]
    if encoding == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    head = (f"From: Person {number % 97} <p{number % 97}@there.test>\r\nTo: {LOGIN}\r\nSubject: report {number}\r\nMessage-ID: <f{number}@there.test>\r\n"
            f"Date: Mon, 7 Feb 2022 21:52:25 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n")
    return head.encode() + octets, text


def fill(side, messages):
    with imaplib.IMAP4("127.0.0.1", side.ports["imap"], timeout=300) as c:
        c.login(LOGIN, "bench")
        for octets, _ in messages:
            kind, said = c.append("INBOX", None, None, octets)
            assert kind == "OK", said


def search(side, wanted, runs):
    """(median milliseconds, UIDs). No run is begun after ten seconds of them."""
    times = []
    with imaplib.IMAP4("127.0.0.1", side.ports["imap"], timeout=600) as c:
        c.login(LOGIN, "bench")
        c.select("INBOX", readonly=True)
        # It writes a literal in two pieces, and what is measured is not who waits for the first to be acknowledged.
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(times) < runs and sum(times) < 10_000:
            begun = time.monotonic()
            c.literal = wanted.encode()
            kind, said = c.uid("SEARCH", "CHARSET", "UTF-8", "TEXT")
            times.append(1000 * (time.monotonic() - begun))
            assert kind == "OK", said
    return sorted(times)[len(times) // 2], [int(uid) for uid in said[0].split()]


def differs(name, wanted, found, expected):
    missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    assert not missing and not more, f"{name}: TEXT {wanted} misses {len(missing)} ({missing[:5]} ...) and has {len(more)} too many ({more[:5]} ...)"


def part_frequent(bench):
    rng = random.Random(900)
    messages = [message(number, rng) for number in range(BASE)]
    for side in bench.sides:
        fill(side, messages)
    for size, much in ((bench.scaled(parts.BOX), "10k"), (bench.scaled(parts.BIG), "100k")):
        for side in bench.sides:
            parts.grow(side, LOGIN, size)
        parts.indexed(bench.sides[0], LOGIN)
        for metric, wanted in WANTED:
            # `grow` copies the first thousand again and again, and UIDs count on.
            holds = [wanted.casefold() in (octets.partition(b"\r\n\r\n")[0].decode() + text).casefold() for octets, text in messages]
            expected = [number + 1 for number in range(size) if holds[number % BASE]]
            for side in bench.sides:
                took, found = search(side, wanted, 3)
                bench.add("frequent", side, **{f"{metric}_{much}": took})
                differs(side.name, wanted, found, expected)
