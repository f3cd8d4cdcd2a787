#!/usr/bin/env bash
# Installs Redis and HAProxy, which tests start on ports of their own. No service is started: one that was there stays as it is.
# Safe to run again; does nothing when both are in place.
set -euo pipefail

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

# While packages are installed, Debian asks this program whether their services may start: 101 is no.
policy=/usr/sbin/policy-rc.d

apt_install() {
    local mine=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod 755 "$policy"
        mine=yes
        trap '$sudo rm -f "$policy"' EXIT
    fi
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
    [ -z "$mine" ] || $sudo rm -f "$policy"
}

have() {
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]
}

missing=()
have redis-server || have valkey-server || missing+=(redis-server)
have redis-cli || missing+=(redis-tools)
have haproxy || missing+=(haproxy)
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

if have redis-server; then server=$(redis-server --version); else server=$(valkey-server --version); fi
version() { grep -oE 'v=[0-9.]+' <<<"$1" | head -n 1; }
echo "ready: Redis $(version "$server"), $(PATH=$PATH:/usr/sbin haproxy -v | head -n 1 | cut -d' ' -f1-3)"
