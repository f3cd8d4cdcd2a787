#!/usr/bin/env bash
# Installs the libraries of peers.tsv, and builds those in Rust. Safe to run again; does nothing for what is in place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

apt_install() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
}

# System packages that are missing.
missing=()
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
for package in $(grep -v '^#' peers.tsv | grep -oE 'deb:[^ 	]+' | cut -d: -f2 | sort -u); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

if ! { [ -x .venv/bin/python ] && cmp -s requirements.txt .venv/installed.txt; }; then
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt .venv/installed.txt
fi

if ! cmp -s package-lock.json node_modules/installed.json; then
    npm ci --ignore-scripts --silent
    cp package-lock.json node_modules/installed.json
fi

rust/build.sh
