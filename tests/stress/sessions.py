#!/usr/bin/env python3
"""Many idle sessions: what each costs in memory under TLS, and how soon a change of one reaches all others.

`sessions.py --count 10000 --push 1000 --release`. Prints one line a measurement; fails past the bounds that are given
(`--mib-max` for the whole server with the sessions open, `--kib-max` a session, `--push-ms-max`). Sessions are spread over accounts (500 each at most) and this many client addresses.
"""

import argparse
import os
import re
import resource
import selectors
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "clients")]

import lab  # noqa: E402

PER_ACCOUNT = 450


def memory(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def said(connection, command, tag):
    connection.sendall(f"{tag} {command}\r\n".encode())
    told = b""
    while f"\r\n{tag} ".encode() not in b"\r\n" + told and not told.startswith(b"+"):
        octets = connection.recv(65536)
        assert octets, (command, told)
        told += octets
    assert f"{tag} OK".encode() in told or told.startswith(b"+"), (command, told)
    return told


def open_session(server, account, number, tls):
    port = server.ports["imaps" if tls else "imap"]
    # Of many loopback addresses, as many people come from many networks.
    connection = socket.create_connection(("127.0.0.1", port), 60, (f"127.0.{number // 200 % 250 + 1}.{number % 200 + 1}", 0))
    if tls:
        connection = tls.wrap_socket(connection, server_hostname="localhost")
    told = b""
    while not told.endswith(b"\r\n"):
        told += connection.recv(4096)
    said(connection, f'LOGIN {account}@here.test "{server.password}"', "a")
    said(connection, "SELECT INBOX", "b")
    said(connection, "IDLE", "c")
    return connection


def idle_memory(server, count):
    tls = ssl.create_default_context(cafile=lab.certificate()[0])
    open_session(server, "p0", 0, tls).close()
    before = memory(server)
    sessions = [open_session(server, f"p{number // PER_ACCOUNT}", number, tls) for number in range(count)]
    time.sleep(2)
    whole = memory(server)
    kib = whole - before
    for session in sessions:
        session.close()
    print(f"{count} idle TLS sessions: {kib // 1024} MiB more than before them, {kib / count:.1f} KiB a session, {whole / 1024:.0f} MiB in all")
    return kib / count, whole / 1024


def push(server, count):
    """One flag change, and when each of `count` sessions of the mailbox heard of it; the median of seven."""
    for account in range(-(-count // PER_ACCOUNT)):
        if account:
            server.run("acl", "set", "p0@here.test", "INBOX", f"p{account}@here.test", "lr")
    first = open_session(server, "p0", 0, None)
    first.sendall(b"DONE\r\n")
    first.recv(4096)
    said(first, 'APPEND INBOX {16+}\r\nSubject: x\r\n\r\nx\r\n', "d")
    said(first, "SELECT INBOX", "e")
    watching, chosen = [], selectors.DefaultSelector()
    for number in range(count):
        account = number // PER_ACCOUNT
        connection = open_session(server, f"p{account}", number + 1, None)
        if account:
            connection.sendall(b"DONE\r\n")
            connection.recv(4096)
            said(connection, 'SELECT "Other Users/p0@here.test/INBOX"', "f")
            said(connection, "IDLE", "g")
        connection.setblocking(False)
        chosen.register(connection, selectors.EVENT_READ)
        watching.append(connection)
    times = []
    for turn in range(7):
        begun = time.perf_counter()
        said(first, f"STORE 1 {'+-'[turn % 2]}FLAGS.SILENT (\\Flagged)", f"h{turn}")
        heard = set()
        while len(heard) < count:
            ready = chosen.select(10)
            assert ready, f"only {len(heard)} of {count} heard of it"
            for key, _ in ready:
                key.fileobj.recv(4096)
                heard.add(key.fd)
        times.append((time.perf_counter() - begun) * 1000)
        time.sleep(0.2)
    for connection in watching:
        connection.close()
    times.sort()
    print(f"a flag change at {count} sessions: the last heard of it after {times[3]:.0f} ms (median of 7; {times[0]:.0f} to {times[-1]:.0f})")
    return times[3]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--push", type=int, default=1000)
    # 200 MB for 10,000 of them.
    parser.add_argument("--mib-max", type=float, default=190)
    parser.add_argument("--kib-max", type=float, default=20)
    parser.add_argument("--push-ms-max", type=float, default=50)
    parser.add_argument("--release", action="store_true")
    arguments = parser.parse_args()
    if arguments.release:
        os.environ["PACKETBOAT"] = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(lab.ROOT, "target")), "release", "packetboat")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(arguments.count, arguments.push) + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    people = [f"p{number}" for number in range(-(-max(arguments.count, arguments.push) // PER_ACCOUNT))]
    connections = f"connections = {wanted}\nconnections_per_ip = {wanted}\n"
    failed = []
    with lab.Server(start_with=people, extra=f"[limits]\n{connections}") as server:
        if arguments.count:
            kib, mib = idle_memory(server, arguments.count)
            if kib > arguments.kib_max:
                failed.append("memory of a session")
            if mib > arguments.mib_max:
                failed.append("memory of the server")
        if arguments.push and push(server, arguments.push) > arguments.push_ms_max:
            failed.append("push")
    sys.exit(f"past the bound: {failed}" if failed else 0)


if __name__ == "__main__":
    main()
