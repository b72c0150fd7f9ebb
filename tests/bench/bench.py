#!/usr/bin/env python3
"""Packetboat beside Debian's Postfix and Dovecot: the same work on both in turn, on a disk and on a RAM disk; one table.

    make bench                    all of it, 10 to 15 minutes; writes docs/bench.md
    make bench ONLY=deliver,idle  only these parts (see parts.py), printed and not kept
    make bench QUICK=1            a fifth of everything, one round, printed and not kept
    make bench ROUNDS=1           of everything one round, where others have three

The load generator is not part of this project: `MAILBENCH` names the program, else it is built from ../shared/bench/mailbench
where that exists, else this says so and exits 2. Wants root, for Postfix. Everything it writes is in temporary folders, and
every process it starts is ended with it. Compare only numbers of one run.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402
import parts  # noqa: E402
import peers  # noqa: E402
import rows  # noqa: E402

KEPT = os.path.join(lab.ROOT, "docs", "bench.md")
COUNTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.tsv")
SOURCE = os.path.join(lab.ROOT, "..", "shared", "bench", "mailbench")


def generator():
    """The load generator's program."""
    if os.environ.get("MAILBENCH"):
        return os.environ["MAILBENCH"]
    target = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(lab.ROOT, "target")), "mailbench")
    if not os.path.isdir(SOURCE):
        print("make bench needs the load generator: set MAILBENCH to the program", file=sys.stderr)
        sys.exit(2)
    copy = os.path.join(target, "source")
    shutil.copytree(SOURCE, copy, dirs_exist_ok=True)
    subprocess.run(["cargo", "build", "--release", "--quiet", "--target-dir", target], cwd=copy, check=True)
    return os.path.join(target, "release", "mailbench")


class Ours(lab.Server):
    """Packetboat as a side of the bench."""

    name = "ours"

    def __init__(self, folder):
        data = os.path.join(folder, "ours")
        os.makedirs(data)
        # Those who sign in again and again one by one, as people are: an account made in bulk has its full verifiers made beside its
        # first sign-in, one after the other, which would still go on while the later ones are measured.
        people = [f"u{i}" for i in range(parts.USERS)]
        others = [f"m{i}" for i in range(parts.USERS)]
        others += [f"box{i}" for i in range(parts.ROUNDS)] + ["big", "small", "find", "find2", "back", "dead"]
        # What is for elsewhere goes to whoever listens here; an alias lets strangers send there.
        self.sink, self.relayed = peers.free_ports(1)[0], "relay@bench.test"
        extra = "[limits]\nmessages_per_hour = 0\nrecipients_per_hour = 0\n"
        extra += f'[outbound.relay]\nhost = "127.0.0.1"\nport = {self.sink}\ntls = "none"\n'
        super().__init__("bench.test", auth="always", extra=extra, data=data, accounts=people, start_with=others, password="bench")
        self.run("alias", "add", self.relayed, "to@sink.test")

    def pids(self, smtp=True):
        return [self.process.pid] if self.process else []

    def mail_folder(self):
        return os.path.join(self.dir, "data")


def words(name):
    return [word for word in os.environ.get(name, "").replace(",", " ").split() if word]


def folders():
    """(medium, where its temporary folder is made): a real disk, then a RAM disk."""
    def kind(path):
        return subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True).stdout.strip()

    disk = next((path for path in (tempfile.gettempdir(), "/var/tmp") if kind(path) not in ("tmpfs", "ramfs")), None)
    if disk is None:
        raise SystemExit("make bench: no disk for temporary files: set TMPDIR to a folder on one")
    return [("disk", disk), ("shm", "/dev/shm")]


class Run:
    """One run on both media; keeps going when a part fails, and says so in the end."""

    def __init__(self):
        self.values = rows.Values()
        self.trouble = []
        self.open = []
        self.quick = bool(os.environ.get("QUICK"))
        self.only = words("ONLY")
        unknown = [name for name in self.only if name not in parts.PARTS]
        if unknown:
            raise SystemExit(f"make bench: no such part: {', '.join(unknown)}; there are {', '.join(parts.PARTS)}")

    def close(self):
        """Ends every process and removes every folder, whatever happened."""
        while self.open:
            folder, sides = self.open.pop()
            for side in sides:
                try:
                    side.stop()
                except Exception as error:  # noqa: BLE001 the others are to be stopped as well
                    self.trouble.append(f"stopping {side.name}: {error}")
            shutil.rmtree(folder, ignore_errors=True)

    def medium(self, program, medium, where):
        names = [name for name in parts.PARTS if name in (self.only or parts.PARTS) and (medium == "disk" or name in parts.ON_SHM)]
        if words("MEDIUM") and medium not in words("MEDIUM") or not names:
            return
        folder = tempfile.mkdtemp(prefix="pb-bench-", dir=where)
        sides = []
        self.open.append((folder, sides))
        os.chmod(folder, 0o755)
        for make in (lambda: Ours(folder), lambda: peers.Peers(folder, "always")):
            sides.append(make())
        ours, theirs = sides
        bench = parts.Bench(program, medium, ours, theirs, self.values, self.quick)
        for side in bench.sides:
            side.start()
        if "idle" in names:
            time.sleep(5)
            for side in bench.sides:
                bench.add("idle", side, base=parts.pss_mb(side))
        for name in names:
            begun = time.monotonic()
            try:
                parts.PARTS[name](bench)
            except (AssertionError, OSError, KeyError, subprocess.SubprocessError) as error:
                self.trouble.append(f"{medium}, {name}: {error}")
                print(f"FAILED {medium} {name}: {error}", file=sys.stderr, flush=True)
            print(f"{medium} {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        for side in bench.sides:
            side.stop()
        # What was measured must also be right.
        ours.check()
        self.close()


def machine(load, seconds):
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{time.strftime('%Y-%m-%d', time.gmtime())}; {os.cpu_count()} cores ({cpu}), {gib:.0f} GiB, Linux {os.uname().release}; "
            f"{peers.versions()} of Debian; load generator and both servers share the cores; "
            f"load of the machine when it began {load[0]:.1f} (one minute), {load[2]:.1f} (fifteen); took {seconds / 60:.0f} minutes.")


def instructions():
    """The kept numbers, as the second table."""
    lines = ["| operation | in the release profile | unoptimised |", "|---|---:|---:|"]
    with open(COUNTED) as f:
        kept = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    counts = [(name, *(f"{int(count):,}" if int(count) else "not counted" for count in (release, debug))) for name, debug, release in kept]
    return lines + [f"| {name} | {release} | {debug} |" for name, release, debug in counts]


TITLES = {
    "disk": "On disk: both sync before they say 250 (Dovecot with `mail_fsync=always`)",
    "shm": "Both on a RAM disk",
}


# Sections that others measure (`make bench-moving`, `make sessions` ...), or that were written.
STANDING = ("## Where a line is not reached", "## Many sessions, a large mailbox", "## Moving house", "## In the browser, beside Roundcube")


def standing(title):
    """A section as it stands."""
    with open(KEPT) as f:
        _, found, rest = f.read().partition(title + "\n")
    return [found + rest.split("\n## ")[0].rstrip("\n"), ""] if found else []


def report(run, load, seconds):
    out = ["# Bench", "", "Made by `make bench`; the newest run is kept. " + machine(load, seconds), "",
           "Rates differ from machine to machine: what counts are the ratios, taken in one run in which both sides did the same work in turn",
           f"(up to {parts.ROUNDS} rounds, medians). Every delivery was looked for and compared octet by octet afterwards. Dovecot runs in its",
           "high-performance login mode with sdbox. Memory is PSS; connections idle for 30 seconds after the handshake.", ""]
    for medium, title in TITLES.items():
        lines, reached, measured = rows.table(run.values, medium)
        if measured:
            out += [f"## {title}", "", *lines, "", f"{reached} of {measured} lines reached.", ""]
    if run.trouble:
        out += ["## What went wrong", ""] + [f"- {trouble.splitlines()[0][:300]}" for trouble in run.trouble] + [""]
    for title in STANDING:
        out += standing(title)
    if os.path.exists(COUNTED):
        out += ["## Instructions an operation", "", "Counted by valgrind's callgrind (`make instructions`): they do not depend on the neighbours. `make test` holds the",
                "operations, unoptimised, to a tenth above what `tests/bench/instructions.tsv` has.", "", *instructions(), ""]
    return "\n".join(out)


def main():
    program = generator()
    subprocess.run([os.path.join(lab.ROOT, "tests", "packages.sh"), *peers.PACKAGES], check=True)
    if os.geteuid() != 0:
        raise SystemExit("make bench: Postfix wants root")
    run = Run()
    atexit.register(run.close)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load, begun = os.getloadavg(), time.monotonic()
    for medium, where in folders():
        try:
            run.medium(program, medium, where)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            run.trouble.append(f"{medium}: {error}")
            run.close()
    text = report(run, load, time.monotonic() - begun)
    print(text)
    for trouble in run.trouble:
        print("FAILED", trouble, file=sys.stderr)
    if not (run.quick or run.only or words("MEDIUM")) and not run.trouble:
        with open(KEPT, "w") as f:
            f.write(text)
    sys.exit(1 if run.trouble else 0)


main()
