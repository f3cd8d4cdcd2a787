#!/usr/bin/env bash
# Installs Redis, Valkey, HAProxy, nginx and Prometheus, which tests start on ports of their own. No service is started: one that was there stays as it is.
# Safe to run again; does nothing when all are in place.
set -euo pipefail

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

# While packages are installed, Debian asks this program whether their services may start: 101 is no.
policy=/usr/sbin/policy-rc.d

apt_install() {
    local mine= lists= apt=()
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod 755 "$policy"
        mine=yes
        trap '$sudo rm -f "$policy"' EXIT
    fi
    $sudo apt-get update -qq
    # Debian 12 has Valkey among its backports alone. Their list is in use for this command, and stays out of the system's.
    if ! apt-cache show valkey-server >/dev/null 2>&1; then
        . /etc/os-release
        lists=$(mktemp -d)
        [ ! -e /etc/apt/sources.list ] || cp /etc/apt/sources.list "$lists/sources.list"
        [ ! -d /etc/apt/sources.list.d ] || cp -r /etc/apt/sources.list.d "$lists/parts"
        mkdir -p "$lists/parts"
        echo "deb http://deb.debian.org/debian $VERSION_CODENAME-backports main" >"$lists/parts/backports.list"
        apt=(-o "Dir::Etc::sourcelist=$lists/sources.list" -o "Dir::Etc::sourceparts=$lists/parts")
        $sudo apt-get "${apt[@]}" update -qq
    fi
    DEBIAN_FRONTEND=noninteractive $sudo apt-get "${apt[@]}" install -y -qq "$@" >/dev/null
    [ -z "$lists" ] || rm -rf "$lists"
    [ -z "$mine" ] || $sudo rm -f "$policy"
}

have() {
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]
}

missing=()
have redis-server || missing+=(redis-server)
have redis-cli || missing+=(redis-tools)
have haproxy || missing+=(haproxy)
have nginx || missing+=(nginx)
have promtool || missing+=(prometheus)
have valkey-server || missing+=(valkey-server)
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

version() { grep -oE 'v=[0-9.]+' | head -n 1; }
echo "ready: Redis $(redis-server --version | version), Valkey $(valkey-server --version | version)," \
    "$(PATH=$PATH:/usr/sbin haproxy -v | head -n 1 | cut -d' ' -f1-3)"
