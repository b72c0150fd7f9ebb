#!/bin/sh
# Our MIME reader beside mail-parser and Python's email, on one generated corpus, in one run (MESSAGES=n SEED=n).
# Fails where ours is not the fastest, or not 20 times as fast as Python's.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../../target/bench-mime}
export CARGO_TARGET_DIR
(cd "$here" && cargo build --release --locked)
"$CARGO_TARGET_DIR/release/bench-mime" --messages "${MESSAGES:-2000}" --seed "${SEED:-1}" --write "$work/corpus" | tee "$work/said"
ours=$(sed -n 's/^message: everything *\([0-9]*\) MB.*/\1/p' "$work/said")
python3 "$here/python.py" "$work/corpus" "$ours"
awk '/^everything: / && $2 < 1 { exit 1 }' "$work/said"
