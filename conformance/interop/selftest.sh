#!/usr/bin/env bash
# Runs the foreign clients against the foreign servers, to show that the
# scripts themselves are right. One line per pairing; fails on any difference.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./setup.sh || exit 1

temp=$(mktemp -d)
server_pid=
trap 'stop_server; rm -rf "$temp"' EXIT
failures=0
runs=0

declare -A server_of=(
    [python]=".venv/bin/python server.py"
    [node]="node server.mjs"
)
declare -A client_of=(
    [python]=".venv/bin/python client.py"
    [node]="node client.mjs"
)

# A throwaway CA with a certificate for the loopback names and one for clients.
make_certificates() {
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2)
    cd "$temp" || return 1
    openssl req -x509 "${ec[@]}" -subj "/CN=interop test CA" \
        -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.pem || return 1
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >server.ext
    printf 'extendedKeyUsage=clientAuth\n' >client.ext
    local name
    for name in server client; do
        openssl req "${ec[@]}" -subj "/CN=$name" -keyout $name.key -out $name.csr &&
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
                -days 2 -extfile $name.ext -out $name.pem || return 1
    done
}

# start_server LANGUAGE OPTIONS... sets $port; the server lives until stop_server.
start_server() {
    local language=$1 line=
    shift
    mkfifo "$temp/stdin" "$temp/stdout"
    # shellcheck disable=SC2086
    ${server_of[$language]} "$@" <"$temp/stdin" >"$temp/stdout" 2>"$temp/server.err" &
    server_pid=$!
    exec 8>"$temp/stdin" 9<"$temp/stdout"
    rm "$temp/stdin" "$temp/stdout"
    read -r -t 10 line <&9
    port=$(sed -n 's/^{"port": *\([0-9]*\)}$/\1/p' <<<"$line")
    [ -n "$port" ] || problem "$language server $*: no port in '$line'"
}

# Ends the stdin of the server, which must be enough to end the server.
stop_server() {
    [ -n "$server_pid" ] || return 0
    exec 8>&- 9<&-
    local n
    for n in $(seq 50); do
        kill -0 "$server_pid" 2>/dev/null || break
        sleep 0.1
    done
    if kill "$server_pid" 2>/dev/null; then
        problem "the server went on after the end of its stdin"
    fi
    wait "$server_pid" 2>/dev/null
    server_pid=
}

problem() {
    echo "FAILED $*" >&2
    failures=$((failures + 1))
}

# run WANTED_STATUS COMMAND...
run() {
    local want=$1 got
    shift
    "$@" >"$temp/out" 2>"$temp/err" 8>&- 9<&-
    got=$?
    runs=$((runs + 1))
    [ $got = "$want" ] && return
    problem "exit status $got, not $want: $*"
    cat "$temp/out" "$temp/err" "$temp/server.err" >&2
}

# pairing CLIENT SERVER plain|tls|mtls
pairing() {
    local client=${client_of[$1]} server=$2 mode=$3 url=ws before=$failures first=$runs
    local server_tls=() client_tls=()
    if [ "$mode" != plain ]; then
        url=wss
        server_tls=(--tls "$temp/server.pem" "$temp/server.key")
        client_tls=(--ca "$temp/ca.pem")
    fi
    if [ "$mode" = mtls ]; then
        server_tls+=(--client-ca "$temp/ca.pem")
        client_tls+=(--client-cert "$temp/client.pem" "$temp/client.key")
    fi
    # scenario WANTED_STATUS NAME OPTIONS...
    scenario() {
        local want=$1
        shift
        # shellcheck disable=SC2086
        run "$want" $client "$url://localhost:$port/" "$@" ${client_tls[@]+"${client_tls[@]}"}
    }

    start_server "$server" --deflate on --subprotocols chat.v1,chat.v2 "${server_tls[@]}"
    local name names=all
    if [ "$mode" = plain ]; then
        names="text binary megabyte fragments ping close many"
        names+=" deflate deflate-no-takeover deflate-window deflate-windows all"
    fi
    for name in $names; do
        scenario 0 "$name"
    done
    scenario 0 subprotocol --expect chat.v1
    scenario 1 subprotocol --expect chat.v2
    # The options of the TLS client matter.
    if [ "$mode" = tls ]; then
        # shellcheck disable=SC2086
        run 1 $client "wss://127.0.0.1:$port/" text
    elif [ "$mode" = mtls ]; then
        # shellcheck disable=SC2086
        run 1 $client "wss://127.0.0.1:$port/" text --ca "$temp/ca.pem"
    fi
    stop_server

    start_server "$server" --deflate no-takeover --subprotocols chat.v2 "${server_tls[@]}"
    for name in text deflate deflate-no-takeover deflate-window; do
        scenario 0 $name
    done
    scenario 0 subprotocol --expect chat.v2
    stop_server

    start_server "$server" --deflate on --window-bits 10 --subprotocols other "${server_tls[@]}"
    for name in deflate deflate-no-takeover deflate-window; do
        scenario 0 $name
    done
    scenario 0 subprotocol --expect ""
    stop_server

    # A server without compression, and one that does not echo.
    start_server "$server" --max-size 1000 "${server_tls[@]}"
    for name in deflate deflate-no-takeover deflate-window text binary megabyte fragments; do
        scenario 1 $name
    done
    [ "$mode" != plain ] || run 0 .venv/bin/python check_commands.py "ws://127.0.0.1:$port"
    stop_server

    local verdict=ok
    [ $failures = "$before" ] || verdict=FAILED
    echo "$verdict: $1 client x $server server, $mode: $((runs - first)) runs"
}

(make_certificates) >"$temp/log" 2>&1 || { cat "$temp/log" >&2; exit 1; }
for mode in plain tls mtls; do
    pairing python node $mode
    pairing node python $mode
done
[ $failures = 0 ] || { echo "$failures failures" >&2; exit 1; }
