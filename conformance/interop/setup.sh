#!/usr/bin/env bash
# Installs the foreign WebSocket peers: Python `websockets`; Python `hypercorn` and `h2` for HTTP/2; Node `ws`; Go with gorilla/websocket, in
# which `wsconform init` writes a server. And the proxies that our clients go through: tinyproxy (CONNECT; the package of the program alone,
# which starts no service) and microsocks (SOCKS5).
# Safe to run again; does nothing when the pinned versions are in place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The pins live in requirements.txt and package.json.
want_python=$(tr '\n' ' ' <requirements.txt)
want_ws=$(sed -n 's/.*"ws": *"\([^"]*\)".*/\1/p' package.json)

apt_install() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
}

# All pinned packages, in their versions.
have_python() {
    .venv/bin/python - requirements.txt <<'PYTHON' 2>/dev/null
import sys
from importlib.metadata import version

pins = [line.split("==") for line in open(sys.argv[1]).read().split()]
sys.exit(any(version(name) != pin for name, pin in pins))
PYTHON
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
command -v openssl >/dev/null || missing+=(openssl)
command -v tinyproxy >/dev/null || missing+=(tinyproxy-bin)
command -v microsocks >/dev/null || missing+=(microsocks)
command -v go >/dev/null || missing+=(golang-go)
[ -d /usr/share/gocode/src/github.com/gorilla/websocket ] || missing+=(golang-github-gorilla-websocket-dev)
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

if ! have_python; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    have_python || { echo "setup: the Python packages are not there" >&2; exit 1; }
fi

if ! have_ws; then
    npm ci --ignore-scripts --silent
    have_ws || { echo "setup: ws $want_ws is not there" >&2; exit 1; }
fi

echo "ready: ${want_python}ws $want_ws, tinyproxy, microsocks"
