#!/usr/bin/env bash
# Every test. Stops at the first part that fails; each part says how long it took.
set -eu
cd "$(dirname "$0")/.."
part() {
    local name=$1 begun=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@"
    printf '== %s: %d s\n' "$name" "$((SECONDS - begun))"
}
part 'browser program' make --no-print-directory program
part 'its units' tests/browser/units.sh
part 'unit tests' tests/unit.sh
part 'lints' make --no-print-directory lint
part 'binary' cargo build --locked -p packetboat
part 'browser' tests/browser/run.sh
part 'instructions' python3 tests/bench/instructions.py check
part 'checks of secrets' python3 tests/bench/secret_checks.py
part 'messages as Python reads them' python3 tests/mime/differential.py --count 2000
part 'real clients' python3 tests/clients/run.py
part 'IMAP stress slice' python3 tests/stress/stress.py --seconds 12 --sessions 6 --seed 1
part 'crash slice' python3 tests/crash/crash.py --rounds 6 --seed 1
part 'power cut slice' make --no-print-directory power WHAT=slice
printf '\nall parts passed in %d s\n' "$SECONDS"
