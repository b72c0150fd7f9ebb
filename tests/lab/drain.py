#!/usr/bin/env python3
"""A long queue drains at the speed of those who live, whoever is dead and however often the server is killed.

Fills the queue (sending is frozen) with `--messages` entries for `--destinations` domains, of which a tenth is dead: half of those
refuse connections, half take them and never say a word. Then thaws, and kills the server with SIGKILL `--kills` times on the way.
Counts: lost, twice although the result was on disk, memory at its highest, messages a second; with `--compare` also the
speed without any dead destination, of which at least 0.8 must be kept. Exits 1 when a number is not as it must be.

SMTP has a moment in which the next hop has said 250 and the sender has not yet written that down (RFC 5321 section 6.1: better twice than
never). After each kill the queue is read as it lies on disk: what arrived and is still in it will come again, and is counted apart. Whatever
else comes twice is a problem.

    python3 tests/lab/drain.py --messages 100000 --destinations 1000 --kills 20 --compare
"""

import argparse
import asyncio
import collections
import json
import os
import random
import re
import smtplib
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402

RECIPIENTS = 100  # of one submission; each is an entry of its own, for they are at different domains
REFUSED, SILENT = "127.0.0.77", "127.0.0.78"
# What was on its way at a kill is read by the sink a little later.
LATE_SECONDS = 1.0


class Sink(threading.Thread):
    """Takes everything at 127.0.0.1 and remembers (id, recipient) with the time."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.socket.getsockname()[1]
        self.arrivals = collections.defaultdict(list)
        self.names = {}  # by Message-ID
        self.count = 0
        # Somebody who listens and says nothing.
        self.silent = socket.create_server((SILENT, self.port), backlog=4096)
        self.start()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        server = await asyncio.start_server(self.session, sock=self.socket, limit=1 << 20)
        async with server:
            await server.serve_forever()

    async def session(self, reader, writer):
        try:
            writer.write(b"220 sink.test\r\n")
            recipients = []
            while line := await reader.readline():
                word = line[:4].upper()
                if word == b"EHLO":
                    writer.write(b"250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                elif word == b"RCPT":
                    recipients.append(line[line.index(b"<") + 1 : line.index(b">")].decode())
                    writer.write(b"250 ok\r\n")
                elif word == b"DATA":
                    writer.write(b"354 go\r\n")
                    text = await reader.readuntil(b"\r\n.\r\n")
                    name = re.search(rb"^X-Drain-Id: (\S+)\r$", text, re.M).group(1).decode()
                    self.names[re.search(rb"^Message-ID: (\S+)\r$", text, re.M | re.I).group(1).decode()] = name
                    writer.write(b"250 taken\r\n")
                    await writer.drain()
                    now = time.monotonic()
                    for recipient in recipients:
                        self.arrivals[(name, recipient)].append(now)
                        self.count += 1
                    recipients = []
                elif word == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    writer.write(b"250 ok\r\n")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def close(self):
        self.socket.close()
        self.silent.close()


def domains(count, dead):
    """(live, dead) names, and DNS for them."""
    names = [f"d{i}.test" for i in range(count)]
    gone = names[:dead]
    records = {
        ("live.test", lab.Dns.A): [socket.inet_aton("127.0.0.1")],
        ("refused.test", lab.Dns.A): [socket.inet_aton(REFUSED)],
        ("silent.test", lab.Dns.A): [socket.inet_aton(SILENT)],
    }
    for at, name in enumerate(names):
        host = "live.test" if at >= dead else ("refused.test", "silent.test")[at % 2]
        records[(name, lab.Dns.MX)] = [lab.Dns.mx(10, host)]
    return names[dead:], gone, lab.Dns(records)


def fill(server, messages, names, rng):
    """Submits; the set of (id, recipient) that must arrive somewhere."""
    asked = set()
    with smtplib.SMTP("127.0.0.1", server.ports["submission"]) as s:
        s.login("ann@here.test", server.password)
        number = 0
        while len(asked) < messages:
            chosen = rng.sample(names, min(RECIPIENTS, len(names), messages - len(asked)))
            name = f"m{number}"
            number += 1
            to = [f"u{rng.randrange(1000)}@{domain}" for domain in chosen]
            text = "x" * 70 + "\r\n"
            s.sendmail("ann@here.test", to, f"From: ann@here.test\r\nX-Drain-Id: {name}\r\nSubject: drain\r\n\r\n{text * rng.choice([5, 20, 100])}".encode())
            asked.update((name, recipient) for recipient in to)
    return asked


def memory_mb(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) / 1024


def waiting(server):
    entries = json.loads(server.run("queue", "list", "--json").stdout)["entries"]
    return {(entry["destination"], entry["id"]) for entry in entries}


def unsettled(server):
    """(Message-ID, recipient) of all that waits, as it lies on disk."""
    entries = json.loads(server.run("queue", "list", "--json").stdout)["entries"]
    return {(entry["message_id"], one["address"]) for entry in entries for one in entry["recipients"] if one["state"] == "waiting"}


class Result:
    def __init__(self):
        self.problems = []
        self.copies = 0
        self.copies_most = 0
        self.memory_mb = 0.0
        self.rate = 0.0
        self.kills = 0

    def wrong(self, text):
        self.problems.append(text)


def drain(messages, destinations, dead, kills, seed, limit=3600.0):
    """One run; a `Result`."""
    rng = random.Random(seed)
    result = Result()
    sink = Sink()
    live, gone, dns = domains(destinations, dead)
    extra = (f'[dns]\nservers = ["127.0.0.1:{dns.port}"]\n[outbound]\nport = {sink.port}\nmta_sts = false\n'
             "[limits]\nmessages_per_hour = 0\nrecipients_per_hour = 0\n")
    with lab.Server(accounts=["ann"], extra=extra) as server:
        server.run("freeze", "all")
        asked = fill(server, messages, live + gone, rng)
        expected = {key for key in asked if key[1].split("@")[1] in set(live)}
        server.run("thaw", "all")
        begun = time.monotonic()
        marks = sorted(rng.randrange(1, max(len(expected), 2)) for _ in range(kills))
        killed = []
        seen, moved = 0, begun
        while len(sink.arrivals) < len(expected):
            time.sleep(0.02)
            if sink.count != seen:
                seen, moved = sink.count, time.monotonic()
            if time.monotonic() - moved > 120 or time.monotonic() - begun > limit:
                break
            if marks and len(sink.arrivals) >= marks[0]:
                marks.pop(0)
                result.memory_mb = max(result.memory_mb, memory_mb(server.process.pid))
                server.kill()
                at = time.monotonic()
                killed.append((at, unsettled(server)))
                server.start()
                moved = time.monotonic()
        result.kills = len(killed)
        result.rate = len(sink.arrivals) / (max(times[0] for times in sink.arrivals.values()) - begun) if sink.arrivals else 0.0
        # What was taken is settled, and nothing comes again.
        dead_entries = len(asked) - len(expected)
        try:
            left = lab.wait_for("the queue to have the dead alone", lambda: len(w := waiting(server)) <= dead_entries and w, 60)
            if len(left) != dead_entries or any(destination not in gone for destination, _ in left):
                result.wrong(f"{len(left)} entries are left, {dead_entries} of the dead were to be")
        except AssertionError as error:
            if dead_entries:
                result.wrong(str(error))
        if not dead_entries and waiting(server):
            result.wrong(f"{len(waiting(server))} entries are left in the queue")
        time.sleep(2)
        result.memory_mb = max(result.memory_mb, memory_mb(server.process.pid))
    check(result, sink, expected, killed)
    sink.close()
    dns.close()
    return result


def check(result, sink, expected, killed):
    lost = expected - set(sink.arrivals)
    if lost:
        result.wrong(f"{len(lost)} lost, such as {sorted(lost)[:3]}")
    strange = set(sink.arrivals) - expected
    if strange:
        result.wrong(f"{len(strange)} that nobody sent, such as {sorted(strange)[:3]}")
    known = {name: identity for identity, name in sink.names.items()}
    by_kill = collections.Counter()
    for key, times in sink.arrivals.items():
        on_disk = (known[key[0]], key[1])
        for first, again in zip(times, times[1:]):
            between = [at for at, left in killed if first - LATE_SECONDS <= at <= again and on_disk in left]
            if between:
                by_kill[between[-1]] += 1
            else:
                result.wrong(f"{key} came again {again - first:.1f} s later though it was on disk as delivered")
    result.copies, result.copies_most = sum(by_kill.values()), max(by_kill.values(), default=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--destinations", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-mb", type=float, default=400.0)
    parser.add_argument("--compare", action="store_true")
    chosen = parser.parse_args()
    dead = chosen.destinations // 10
    failed = False
    runs = [("with kills", dead, chosen.kills)]
    if chosen.compare:
        runs = [("nobody dead", 0, 0), ("a tenth dead", dead, 0)] + runs
    rates = {}
    for name, gone, kills in runs:
        result = drain(chosen.messages, chosen.destinations, gone, kills, chosen.seed)
        rates[name] = result.rate
        print(f"{name}: {chosen.messages} entries, {chosen.destinations} destinations, {gone} dead, {result.kills} kills: "
              f"{result.rate:.0f} messages/s, {result.memory_mb:.0f} MB at most, "
              f"{result.copies} came again whose 250 was not on disk at a kill ({result.copies_most} at most at one), {len(result.problems)} problems", flush=True)
        for problem in result.problems[:20]:
            print("  " + problem)
        failed |= bool(result.problems) or result.memory_mb > chosen.memory_mb or result.kills < kills
    if chosen.compare:
        ratio = rates["a tenth dead"] / rates["nobody dead"]
        print(f"with a tenth dead: {ratio:.2f} of the speed with nobody dead")
        failed |= ratio < 0.8
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
