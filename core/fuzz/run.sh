#!/usr/bin/env bash
# Builds all fuzz targets and runs each for some seconds, one on each processor: core/fuzz/run.sh SECONDS [TARGET...]
# Needs a C++ compiler; installs cargo-fuzz by itself. No sanitizer, since there is no unsafe code: stable Rust will do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${1:?how many seconds for each target?}
shift
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
cargo fuzz build --sanitizer none
[ $# -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
[ $# = 0 ] || targets=("$@")

# Runs one target; its last line goes to the terminal, all of its output if it fails.
run() {
    local target=$1 log
    log=$(mktemp)
    if cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=4096 \
        >"$log" 2>&1; then
        printf '%-14s %s\n' "$target" "$(grep -E '^Done ' "$log" | tail -1)"
    else
        tail -40 "$log"
        echo "fuzz target $target failed" >&2
        return 1
    fi
    rm -f "$log"
}
export -f run
export seconds

# One target for each processor at a time.
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'run {}'
