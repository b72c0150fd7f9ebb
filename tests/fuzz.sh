#!/usr/bin/env bash
# Gives octets to the fuzz targets by libFuzzer, one target after the other: tests/fuzz.sh SECS [TARGET ...]
#
# One line a target, with the processor time it took. One that crashes, takes more than a second or 256 MB fails the run, which
# goes on with the next: its name, its octets' file (in target/fuzz/crashes/TARGET; once the bug is fixed it belongs into fuzz/corpus/TARGET,
# where the ordinary tests replay it) and what was said. What the fuzzer finds of interest goes to target/fuzz/found/TARGET
# and is used again; KEEP=1 adds to the corpus the few files of at most 1 KB that reach code which the corpus does not.
# Instrumented by the compiler's own flags, without sanitizers: the code has no `unsafe`.
set -eu
cd "$(dirname "$0")/.."
secs=${1:-60}
[ $# -gt 0 ] && shift
out=${CARGO_TARGET_DIR:-target}/fuzz
mkdir -p "$out"
out=$(cd "$out" && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Cdebuginfo=line-tables-only"
export CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 TIMEFORMAT='%U %S'
echo "fuzz: building"
cargo build --locked --release -p fuzz --features libfuzzer --target "$host" --target-dir "$out/build" >"$out/build.log" 2>&1 || {
    tail -n 40 "$out/build.log"
    exit 2
}
# A copy, so that sources that change meanwhile build nothing anew.
cp "$out/build/$host/release/fuzzer" "$out/fuzzer"
[ $# -gt 0 ] || set -- $(ls fuzz/corpus)
failed=0
for target; do
    export FUZZ_TARGET=$target
    found=$out/found/$target crashes=$out/crashes/$target log=$out/$target.log corpus=fuzz/corpus/$target
    mkdir -p "$found" "$crashes"
    verdict=ok
    took=$( { time "$out/fuzzer" "$found" "$corpus" -max_total_time="$secs" -max_len=4096 -timeout=1 -rss_limit_mb=256 \
        -print_final_stats=1 -artifact_prefix="$crashes/" >"$log" 2>&1; } 2>&1 ) || verdict=CRASHED
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-20s %-8s %6.1f s %10s runs %6s edges\n' "$target" "$verdict" "$(echo "$took" | awk '{ print $1 + $2 }')" "${runs:-?}" "${covered:-?}"
    if [ "$verdict" != ok ]; then
        grep -aE 'panicked|^assertion|left:|right:|ERROR: libFuzzer|Test unit written' -A 1 "$log" | head -n 20
        failed=1
    elif [ "${KEEP:-0}" = 1 ]; then
        find "$found" -size +1024c -delete
        "$out/fuzzer" -set_cover_merge=1 -use_counters=0 -timeout=1 "$corpus" "$found" >>"$log" 2>&1
    fi
done
exit "$failed"
