#!/usr/bin/env python3
"""Instructions of six hot operations, counted by valgrind: they do not depend on the neighbours.

    instructions.py check             the unoptimised build against the kept bounds (part of make test)
    instructions.py keep [--release]  counts anew and keeps the result (make instructions)

Two runs of `crates/server/examples/instructions.rs` that differ only in how often one operation is done: the difference
is its cost. instructions.tsv holds, by operation, the count unoptimised and in the release profile.
"""

import concurrent.futures
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KEPT = os.path.join(HERE, "instructions.tsv")
# How far above the kept count an operation may come, and how far below it is worth a word: the bound should stay close.
ABOVE, BELOW = 1.10, 0.75
ROWS = 50
# (operation, how often more, how many rows each). Two runs of the same thing differ by some hundred thousand instructions
# (seeds of hash tables, what a timer finds to do): each is done often enough that this is under a hundredth of its cost.
OPERATIONS = [
    ("facts of an 8 KB message", 40, 1),
    ("FETCH (FLAGS UID), a row", 80, ROWS),
    ("FETCH (ENVELOPE), a row", 20, ROWS),
    ("UID STORE one flag", 80, 1),
    ("POP3 RETR of 8 KB", 60, 1),
    ("SMTP delivery of 8 KB, to the durable commit", 10, 1),
]
HEAD = "# operation\tunoptimised\trelease; made by `make instructions`\n"


def built(release):
    """The driver, built in that profile."""
    profile = ["--release"] if release else []
    subprocess.run(["cargo", "build", "--locked", "--quiet", "-p", "server", "--example", "instructions", *profile], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "release" if release else "debug", "examples", "instructions")


def counted(program, counts):
    """Instructions of all threads of one run."""
    # MALLOC_ARENA_MAX: one heap, so that threads do not change what allocation costs from run to run.
    line = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--fair-sched=yes", program, *map(str, counts)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, env={**os.environ, "MALLOC_ARENA_MAX": "1", "TOKIO_WORKER_THREADS": "1"})
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise SystemExit(f"{' '.join(line)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return int(found.group(1))


def measure(release):
    program = built(release)
    runs = [[1] * len(OPERATIONS)]
    for number, (_, more, _) in enumerate(OPERATIONS):
        runs.append([1 + more * (number == place) for place in range(len(OPERATIONS))])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        base, *others = pool.map(lambda counts: counted(program, counts), runs)
    return [round((other - base) / (more * rows)) for other, (_, more, rows) in zip(others, OPERATIONS)]


def kept():
    with open(KEPT) as f:
        lines = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    return {name: (int(debug), int(release)) for name, debug, release in lines}


def smallest(bounds):
    """What each operation takes. On a busy machine a run lasts longer, and what the server does once a second is done more often
    in it: that only adds, so what seems too much is counted again, three times at most, and the smallest count is right."""
    counts = measure(False)
    for _ in range(2):
        if all(count <= bounds[name][0] * ABOVE for (name, _, _), count in zip(OPERATIONS, counts)):
            break
        print(f"counted again: {counts}")
        counts = [min(pair) for pair in zip(counts, measure(False))]
    return counts


def check():
    bounds = kept()
    bad = []
    for (name, _, _), count in zip(OPERATIONS, smallest(bounds)):
        bound, _ = bounds[name]
        print(f"{name}: {count:,} instructions, kept {bound:,} ({count / bound:.3f})")
        if count > bound * ABOVE:
            bad.append(f"{name}: {count:,} instructions are more than {ABOVE:g} times the kept {bound:,}")
        elif count < bound * BELOW:
            print("  far fewer than kept: `make instructions` keeps the new count")
    if bad:
        raise SystemExit("\n".join(bad))


def keep(release):
    """Both counts, or without --release only the unoptimised one anew."""
    before = kept() if os.path.exists(KEPT) else {}
    debug = measure(False)
    fast = measure(True) if release else [before.get(name, (0, 0))[1] for name, _, _ in OPERATIONS]
    with open(KEPT, "w") as f:
        f.write(HEAD)
        f.writelines(f"{name}\t{slow}\t{quick}\n" for (name, _, _), slow, quick in zip(OPERATIONS, debug, fast))
    print(open(KEPT).read(), end="")


match sys.argv[1:]:
    case ["check"]:
        check()
    case ["keep"]:
        keep(False)
    case ["keep", "--release"]:
        keep(True)
    case _:
        raise SystemExit(__doc__)
