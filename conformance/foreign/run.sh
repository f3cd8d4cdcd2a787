#!/usr/bin/env bash
# Runs wsconform against the foreign servers and clients, and writes what it found into ../README.md.
#
#   run.sh [--quick] [--only PEERS]    --quick is wsconform's; PEERS is such as 'ws-server,aiohttp-client'
#
# WSCONFORM=PATH takes a wsconform that is built already. The reports stay in out/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Long enough for the slowest of them; only what hangs is ended by it.
limit=3600
quick=() only=
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=(--quick) ;;
    --only) only=,${2:?"--only needs names"}, && shift ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done

./setup.sh
if [ -z "${WSCONFORM:-}" ]; then
    cargo build --release -p sansws-conformance --bin wsconform
    WSCONFORM=${CARGO_TARGET_DIR:-../../target}/release/wsconform
fi

version_of() {
    case $1 in
    ws) sed -n 's/.*"ws": *"\([^"]*\)".*/\1/p' package.json ;;
    tungstenite) sed -n 's/^tungstenite = "=\(.*\)"$/\1/p' tungstenite/Cargo.toml ;;
    *) sed -n "s/^$1==//p" requirements.txt ;;
    esac
}

# command_of LIBRARY ROLE sets $command.
command_of() {
    case $1 in
    ws) command=(node "ws_$2.mjs") ;;
    tungstenite) command=("tungstenite/target/release/$2") ;;
    *) command=(.venv/bin/python "$1_$2.py") ;;
    esac
}

background=()
end_background() {
    [ ${#background[@]} = 0 ] || kill "${background[@]}" 2>/dev/null || true
    [ ${#background[@]} = 0 ] || wait "${background[@]}" 2>/dev/null || true
    background=()
}
trap end_background EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start LOG COMMAND... runs it in the background and sets $url to where it listens.
start() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 &
    background+=($!)
    for _ in $(seq 200); do
        url=$(sed -n 's/^listening on //p' "$log")
        [ -z "$url" ] || return 0
        kill -0 "${background[-1]}" 2>/dev/null || break
        sleep 0.05
    done
    echo "run.sh: $* does not listen; see $log" >&2
    exit 1
}

# finish MOST PID LOG waits for it, and ends all when its status is above MOST.
finish() {
    local status=0
    wait "$2" || status=$?
    [ $status -le "$1" ] || { echo "run.sh: status $status; see $3" >&2 && exit 1; }
}

run() {
    local library=$1 role=$2 dir=out/$1-$2 agent
    agent=$library/$(version_of "$library")
    rm -rf "$dir"
    mkdir -p "$dir"
    command_of "$library" "$role"
    local reports=(--format json --out "$dir" ${quick[@]+"${quick[@]}"})
    echo "$agent, $role"
    # wsconform says 1 when some case is not well: that is what the table is for.
    if [ "$role" = server ]; then
        start "$dir/peer.log" "${command[@]}"
        timeout "$limit" "$WSCONFORM" test "$url" --agent "$agent" "${reports[@]}" >"$dir/wsconform.log" 2>&1 &
        background+=($!)
        finish 1 $! "$dir/wsconform.log"
    else
        start "$dir/wsconform.log" timeout "$limit" "$WSCONFORM" serve 127.0.0.1:0 --once "${reports[@]}"
        timeout "$limit" "${command[@]}" "$url" "$agent" >"$dir/peer.log" 2>&1 &
        background+=($!)
        finish 0 $! "$dir/peer.log"
        finish 1 "${background[0]}" "$dir/wsconform.log"
    fi
    end_background
    grep -E '^  (classic|new) ' "$dir/wsconform.log"
}

dirs=()
for library in websockets aiohttp ws tungstenite; do
    for role in server client; do
        dirs+=("out/$library-$role")
        [ -n "$only" ] && [[ $only != *,$library-$role,* ]] || run $library $role
    done
done
"$WSCONFORM" list >out/list.txt
how="conformance/foreign/run.sh${quick[*]+ ${quick[*]}}"
python3 table.py ../README.md out/list.txt "$how" "${dirs[@]}"
