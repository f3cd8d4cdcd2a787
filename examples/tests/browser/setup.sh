#!/usr/bin/env bash
# Installs what the tests in a browser need: Chromium, Node and playwright-core; the client library and esbuild, which bundles it.
# Safe to run again; does nothing when all is in place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The pin lives in package.json.
want=$(sed -n 's/.*"playwright-core": *"\([^"]*\)".*/\1/p' package.json)

apt_install() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
}

have_browser() {
    [ -n "${CHROMIUM:-}" ] && return
    local program
    for program in /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome; do
        [ -x "$program" ] && return
    done
    return 1
}

have_playwright() {
    local found
    [ -d node_modules/centrifuge ] && [ -d node_modules/esbuild ] || return 1
    found=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' node_modules/playwright-core/package.json 2>/dev/null) &&
        [ "$found" = "$want" ]
}

missing=()
have_browser || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
have_playwright || command -v npm >/dev/null || missing+=(npm)
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

if ! have_playwright; then
    npm ci --ignore-scripts --silent
    have_playwright || { echo "setup: playwright-core $want is not there" >&2; exit 1; }
fi

# The demo's page.
../../pages/library.sh

echo "ready: a browser, playwright-core $want"
