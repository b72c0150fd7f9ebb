#!/usr/bin/env python3
"""Every check of a secret that a peer says costs as many instructions wherever what was said differs from what is right.

The tests named `secret_checks` of the crates, run under valgrind, which counts one function (`secret_checks.rs`); comparing in
the C library stops at the first difference (`first_difference.c`). One of the checks compares with `==` and must be found.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CRATES = ["wire", "trust", "server", "web", "packetboat"]
# The one that proves that a difference would be seen.
CONTROL = "compared with =="

# What costs by where in memory something lies, and not by what it is: checks of an unoptimised build, and the heap.
OTHER_THINGS = ("core::ub_checks::", "malloc", "_int_malloc", "alloc_perturb", "calloc", "realloc", "_int_realloc", "free", "_int_free",
                "unlink_chunk", "tcache_")


def test_programs(crates):
    """The unit tests' program of each."""
    line = ["cargo", "test", "--locked", "--quiet", "--no-run", "--message-format=json-render-diagnostics", "--lib"]
    # All of them as the unit tests build them, so that nothing is built twice.
    which = ["--workspace"] if crates == CRATES else [f"--package={crate}" for crate in crates]
    done = subprocess.run([*line, *which], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found = {}
    for text in done.stdout.splitlines():
        message = json.loads(text)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            found[message["target"]["name"]] = message["executable"]
    return found


def counted_in(dump):
    """Instructions in a file of callgrind's (its manual, "Callgrind Format Specification"), without those of other things."""
    names, total, function, called = {}, 0, None, False
    with open(dump) as lines:
        for line in lines:
            if named := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?$", line):
                of_call, number, name = named.groups()
                if name:
                    names[number] = name
                if not of_call:
                    function = number
            elif line.startswith("calls="):
                # The line after it is what the callee cost, which stands there itself as well.
                called = True
            elif cost := re.match(r"[+*\d-]\S* (\d+)$", line):
                if not called and not names[function].startswith(OTHER_THINGS):
                    total += int(cost.group(1))
                called = False
    return total


def counts(crate, program, folder):
    """{check: {place: instructions}} of one program."""
    compared = os.path.join(folder, "first_difference.so")
    out = os.path.join(folder, os.path.basename(program))
    counted = f"{crate}::secret_checks::counted_secret_check"
    line = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--combine-dumps=no", "--collect-atstart=no",
            f"--toggle-collect={counted}", f"--dump-after={counted}", program, "secret_checks", "--test-threads=1", "--nocapture"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, env={**os.environ, "LD_PRELOAD": compared})
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(line)}: {done.returncode}\n{done.stdout}{done.stderr}")
    names = re.findall(r"counted (.*): (first|last)$", done.stdout, re.M)
    found = {}
    for number, (name, place) in enumerate(names, 1):
        found.setdefault(name, {}).setdefault(place, []).append(counted_in(f"{out}.{number}"))
    # What is made ready at the first times only adds.
    return {name: {place: min(all_) for place, all_ in places.items()} for name, places in found.items()}


def main(crates):
    programs = test_programs(crates)
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "first_difference.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", library, os.path.join(HERE, "first_difference.c")], check=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            all_counts = list(pool.map(lambda crate: counts(crate, programs[crate], folder), crates))
    for crate, found in zip(crates, all_counts):
        if not found:
            bad.append(f"{crate}: no check was counted")
        for name, places in found.items():
            first, last = places["first"], places["last"]
            print(f"{crate}: {name}: {first:,} instructions" + ("" if first == last else f", and {last:,} when only the last octet differs"))
            if first == 0 or (name == CONTROL) == (first == last):
                bad.append(f"{crate}: {name}: {first:,} and {last:,} instructions")
    if not any(CONTROL in found for found in all_counts):
        bad.append("nothing showed that a difference would be seen")
    if bad:
        raise SystemExit("\n".join(bad))


main(sys.argv[1:] or CRATES)
