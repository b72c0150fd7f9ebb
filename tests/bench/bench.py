#!/usr/bin/env python3
"""Runs the load generator against the release binary and prints its JSON lines, a line a command.

The generator is not part of this project: `MAILBENCH` names the program, else it is built from ../shared/bench/mailbench
where that exists, else this says so and exits 2. Compare only numbers of one run; the peers are not run beside us yet.
"""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402


def generator():
    if os.environ.get("MAILBENCH"):
        return os.environ["MAILBENCH"]
    source = os.path.join(lab.ROOT, "..", "shared", "bench", "mailbench")
    if not os.path.isdir(source):
        print("make bench needs the load generator: set MAILBENCH to the program", file=sys.stderr)
        sys.exit(2)
    target = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(lab.ROOT, "target")), "mailbench")
    copy = os.path.join(target, "source")
    shutil.copytree(source, copy, dirs_exist_ok=True)
    subprocess.run(["cargo", "build", "--release", "--quiet", "--target-dir", target], cwd=copy, check=True)
    return os.path.join(target, "release", "mailbench")


def main():
    program = generator()
    limits = "[limits]\nmessages_per_hour = 1000000\nrecipients_per_hour = 1000000\n"
    with lab.Server("bench.test", auth="always", extra=limits, start_with=[f"u{i}" for i in range(50)] + ["big10k"], password="bench") as server:
        at = {name: f"127.0.0.1:{port}" for name, port in server.ports.items()}
        big = ["--login", "big10k@bench.test"]
        for command in (
            ["smtp-deliver", "--smtp", at["smtp"], "--imap", at["imap"], "--n", "3000", "--conc", "16", "--users", "50", "--verify", "full"],
            ["imap-load", "--imap", at["imap"], "--n", "10000", *big],
            ["imap-fetch", "--imap", at["imap"], "--runs", "3", *big],
            ["pop-download", "--pop", at["pop3"], "--window", "8", *big],
            ["imap-mixed", "--imap", at["imap"], "--users", "50", "--conc", "10", "--secs", "8"],
            ["connect", "--imap", at["imap"], "--proto", "imap", "--n", "1000", "--conc", "10", "--users", "50"],
            ["imap-idle", "--imap", at["imap"], "--users", "50", "--conc", "500", "--n", "50", "--lmtp", at["lmtp"]],
        ):
            print(lab.client(program, *command, "--pids", str(server.process.pid), seconds=600).stdout.decode(), flush=True)


main()
