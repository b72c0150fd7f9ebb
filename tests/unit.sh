#!/usr/bin/env bash
# Unit, property, transcript, tidy and corpus tests, by nextest where it is installed. Doc tests as well.
set -eu
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace --no-fail-fast
    cargo test --locked --workspace --doc --quiet
else
    cargo test --locked --workspace --no-fail-fast
fi
