#!/usr/bin/env bash
# The browser program, as people meet it: real post offices, real Chromium. An argument names the tests to run.
set -eu
cd "$(dirname "$0")"
# Where a test could not begin, what it had opened already would keep it from ending.
exec node --test --test-force-exit --test-concurrency=2 --test-reporter=spec ${1:+--test-name-pattern="$1"} ./*.test.mjs
