#!/usr/bin/env bash
# Installs the foreign WebSocket peers: Python `websockets` and `aiohttp`, Node `ws`, Rust `tungstenite`.
# Safe to run again; does nothing when the pinned versions are in place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The pins live in requirements.txt, package-lock.json and tungstenite/Cargo.lock.
want_ws=$(sed -n 's/.*"ws": *"\([^"]*\)".*/\1/p' package.json)

apt_install() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
}

have_python() {
    [ -x .venv/bin/python ] && cmp -s requirements.txt .venv/installed.txt
}

have_ws() {
    local found
    found=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' node_modules/ws/package.json 2>/dev/null) &&
        [ "$found" = "$want_ws" ]
}

# System packages that are missing.
missing=()
command -v python3 >/dev/null || missing+=(python3 python3-venv)
command -v node >/dev/null || missing+=(nodejs)
have_ws || command -v npm >/dev/null || missing+=(npm)
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

if ! have_python; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt .venv/installed.txt
fi

if ! have_ws; then
    npm ci --ignore-scripts --silent
    have_ws || { echo "setup: ws $want_ws is not there" >&2; exit 1; }
fi

cargo build --quiet --release --locked --manifest-path tungstenite/Cargo.toml --target-dir tungstenite/target
echo "ready: $(grep -E '^(aiohttp|websockets)==' requirements.txt | tr '\n' ' ')ws==$want_ws tungstenite"
