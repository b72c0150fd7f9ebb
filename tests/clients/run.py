#!/usr/bin/env python3
"""Runs every client test, or those whose names hold an argument: `run.py curl mbsync`; with `--lab` first, those of ../lab."""

import os
import signal
import sys
import time
import unittest

import lab  # noqa: F401  (found beside this file)


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def main():
    # A shell's background job ignores Ctrl-C, and so would every program begun here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    words = sys.argv[1:]
    where = sys.path[0]
    if words[:1] == ["--lab"]:
        where = os.path.join(os.path.dirname(where), "lab")
        words.pop(0)
    tests = list(flat(unittest.TestLoader().discover(where, pattern="test_*.py")))
    chosen = unittest.TestSuite(t for t in tests if not words or any(w in t.id() for w in words))
    begun = time.monotonic()
    result = unittest.TextTestRunner(verbosity=2).run(chosen)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print(f"real clients: {time.monotonic() - begun:.0f} s")
    if result.skipped:
        print("skipped tests are defects here:", result.skipped)
        return 1
    print(f"clients: {result.testsRun - failed} passed, {failed} failed")
    return 1 if failed or result.testsRun == 0 else 0


sys.exit(main())
