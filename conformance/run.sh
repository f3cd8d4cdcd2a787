#!/usr/bin/env bash
# sansws under its own suite: core in memory, all adapters over sockets, in both roles, tungstenite for comparison; then, without
# --quick, how long the suite takes against the echo example: conformance/run.sh [--quick [PROGRAM]]
# PROGRAM is a wsconform that is built already. Reports go to target/conformance. Fails when a case of sansws is neither OK nor INFORMATIONAL.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
quick=${1:-}
[ -z "$quick" ] || [ "$quick" = --quick ] || { echo "usage: conformance/run.sh [--quick [PROGRAM]]" >&2; exit 2; }

profile=release
programs=(-p sansws-conformance --bin wsconform)
if [ -n "$quick" ]; then profile=suite; else programs+=(-p sansws-examples --bin echo); fi
wsconform=${2:-target/$profile/wsconform}
[ -n "${2:-}" ] || cargo build --profile "$profile" "${programs[@]}"
reports=target/conformance

# The last lines of a run: its summary.
summary() { sed -n '/^$/,$p' "$1"; }

# Runs it with these arguments; its lines go to a file, its summary and its seconds to the terminal.
timed() {
    local what=$1 log begin end
    shift
    log=$(mktemp)
    begin=$(date +%s.%N)
    "$wsconform" "$@" >"$log" 2>&1 || { cat "$log"; rm -f "$log"; return 1; }
    end=$(date +%s.%N)
    grep -E '^[a-z -]+: [0-9.]+ s$' "$log"
    summary "$log"
    rm -f "$log"
    printf '%s: %.1f s\n' "$what" "$(echo "$end - $begin" | bc)"
}

if [ -n "$quick" ]; then
    timed "all agents" self --quick --out "$reports"
    exit
fi
timed "all agents" self --out "$reports"
timed "all agents, the 517 with --quick" self --quick --skip '[23]?.*'

coproc echo_server { exec target/$profile/echo --listen 127.0.0.1:0; }
trap 'kill "$echo_server_PID" 2>/dev/null || true' EXIT
read -r _ _ url <&"${echo_server[0]}"
timed "all but 9.*, 12.*, 13.*, against the echo example" test "$url" --only '1.*,2.*,3.*,4.*,5.*,6.*,7.*,10.*'
timed "all 517 with --quick, against the echo example" test "$url" --skip '[23]?.*' --quick
timed "all 517 in full, against the echo example" test "$url" --skip '[23]?.*'
