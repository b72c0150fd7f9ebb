#!/usr/bin/env bash
# Runs the fuzz targets with cargo-fuzz, one after the other: tests/fuzz.sh SECS [TARGET ...]
#
# One line a target; exit 1 when one crashed, and then the octets lie in target/fuzz/crashes/TARGET (put them, once the
# bug is fixed, into fuzz/corpus/TARGET, where the ordinary tests replay them). What else the fuzzer finds of interest
# goes to target/fuzz/found/TARGET and is used again; KEEP=1 adds the smallest set of it that covers more to the corpus.
# Without sanitizers: the code has no `unsafe`. RUSTC_BOOTSTRAP: a stable compiler will do.
set -eu
cd "$(dirname "$0")/.."
secs=${1:-60}
[ $# -gt 0 ] && shift
out=${CARGO_TARGET_DIR:-target}/fuzz
mkdir -p "$out"
out=$(cd "$out" && pwd)
tools=${CARGO_FUZZ_ROOT:-$out/tools}
PATH=$tools/bin:$PATH
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: installing cargo-fuzz into $tools"
    cargo install cargo-fuzz --locked --quiet --root "$tools"
fi
export RUSTC_BOOTSTRAP=1 CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
mapfile -t targets < <(cargo fuzz list --fuzz-dir fuzz)
[ $# -gt 0 ] && targets=("$@")
host=$(rustc -vV | sed -n 's/^host: //p')
echo "fuzz: building"
cargo fuzz build --fuzz-dir fuzz --sanitizer none --debug-assertions --features libfuzzer --target-dir "$out/build" --target "$host" \
    >"$out/build.log" 2>&1 || { tail -n 40 "$out/build.log"; exit 2; }
failed=0
for target in "${targets[@]}"; do
    # Started as they are, so that sources that change meanwhile build nothing anew.
    binary=$out/build/$host/release/$target
    found=$out/found/$target
    crashes=$out/crashes/$target
    log=$out/$target.log
    mkdir -p "$found" "$crashes"
    if "$binary" "$found" "fuzz/corpus/$target" -max_total_time="$secs" -max_len=4096 -timeout=20 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="$crashes/" >"$log" 2>&1; then
        verdict=ok
    else
        verdict=CRASHED
        failed=1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-20s %-8s %4s s %10s runs %6s edges\n' "$target" "$verdict" "$secs" "${runs:-?}" "${covered:-?}"
    [ "$verdict" = ok ] || grep -aE 'panicked|^assertion|left:|right:|ERROR: libFuzzer|Test unit written' -A 1 "$log" | head -n 20
    if [ "${KEEP:-0}" = 1 ]; then
        "$binary" -merge=1 "fuzz/corpus/$target" "$found" >>"$log" 2>&1 || true
    fi
done
exit "$failed"
