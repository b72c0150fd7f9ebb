#!/usr/bin/env python3
"""One very large mailbox of small messages: how long it takes to open, cold and warm, and in how much memory.

`large.py --count 1000000 --release`. Fills it by `packetboat import` (an mbox, in pieces), starts the server anew and opens it:
the first SELECT is the cold one, of five more by other sessions the median is the warm one. Prints one line a measurement; fails past
the bounds that are given (`--warm-ms-max`, `--cold-mib-max`).
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "clients"), HERE]

import lab  # noqa: E402
from sessions import memory, said  # noqa: E402

PIECE = 100_000
# So much disk a message takes at most, with room to spare: its body, its row, its facts, its words.
BYTES_EACH = 8 * 1024


def write_mbox(path, first, count):
    with open(path, "w", newline="\n") as f:
        for number in range(first, first + count):
            f.write(
                f"From a@there.test Sat Nov 28 10:00:00 2026\nFrom: A{number % 997} <a{number % 997}@there.test>\n"
                f"To: ann@here.test\nSubject: number {number}\nMessage-ID: <{number}@there.test>\n"
                f"Date: Sat, 28 Nov 2026 10:00:00 +0000\n\nshort {number}\n\n"
            )


def fill(server, count):
    begun = time.perf_counter()
    for first in range(0, count, PIECE):
        path = os.path.join(server.dir, "piece.mbox")
        write_mbox(path, first, min(PIECE, count - first))
        command = [lab.binary(), "import", f"mbox:{path}", "--account", "ann@here.test", "--into", "INBOX", "--config", server.config]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=3600)
        os.unlink(path)
    took = time.perf_counter() - begun
    print(f"{count} messages brought in in {took:.0f} s, {count / took:.0f} a second", flush=True)


def signed_in(server):
    connection = socket.create_connection(("127.0.0.1", server.ports["imap"]))
    connection.settimeout(120)
    connection.recv(4096)
    said(connection, f'LOGIN ann@here.test "{server.password}"', "a")
    return connection


def opened(server, mailbox):
    """Milliseconds of a SELECT, and how many messages it told of."""
    connection = signed_in(server)
    begun = time.perf_counter()
    answer = said(connection, f'SELECT "{mailbox}"', "b")
    took = (time.perf_counter() - begun) * 1000
    connection.close()
    return took, int(re.search(rb"\* (\d+) EXISTS", answer)[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--warm-ms-max", type=float, default=100)
    parser.add_argument("--cold-mib-max", type=float, default=512)
    parser.add_argument("--release", action="store_true")
    arguments = parser.parse_args()
    if arguments.release:
        os.environ["PACKETBOAT"] = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(lab.ROOT, "target")), "release", "packetboat")
    server = lab.Server(accounts=["ann"])
    free = shutil.disk_usage(server.dir).free
    if free < arguments.count * BYTES_EACH:
        sys.exit(f"{arguments.count} messages want up to {arguments.count * BYTES_EACH >> 20} MiB of disk, there are {free >> 20}")
    failed = []
    try:
        fill(server, arguments.count)
        with server:
            # Before anything of it is in memory but what a server that just began has.
            before = memory(server)
            cold, exists = opened(server, "INBOX")
            assert exists == arguments.count, f"{exists} of {arguments.count} are there"
            more = (memory(server) - before) / 1024
            warm = sorted(opened(server, "INBOX")[0] for _ in range(5))[2]
            disk = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(server.dir) for name in names)
            print(f"cold: {cold:.0f} ms, {more:.0f} MiB more memory, {memory(server) // 1024} MiB in all; warm: {warm:.1f} ms (median of 5); {disk >> 20} MiB on disk")
            if warm > arguments.warm_ms_max:
                failed.append("warm")
            if more > arguments.cold_mib_max:
                failed.append("memory")
    finally:
        shutil.rmtree(server.dir, ignore_errors=True)
    sys.exit(f"past the bound: {failed}" if failed else 0)


if __name__ == "__main__":
    main()
