#!/usr/bin/env bash
# Installs the public client libraries of the Centrifuge protocol: npm `centrifuge` with `ws`, PyPI `centrifuge-python`.
# Safe to run again; does nothing when the pinned versions are in place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The pins live in package.json and requirements.txt.
want_js=$(sed -n 's/.*"centrifuge": *"\([^"]*\)".*/\1/p' package.json)
want_python=$(sed -n 's/^centrifuge-python==//p' requirements.txt)

apt_install() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
}

have_js() {
    local found
    [ -d node_modules/eventsource ] || return 1
    found=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' node_modules/centrifuge/package.json 2>/dev/null) &&
        [ "$found" = "$want_js" ]
}

have_python() {
    local found
    found=$(.venv/bin/python -c \
        'from importlib.metadata import version; print(version("centrifuge-python"))' 2>/dev/null) &&
        [ "$found" = "$want_python" ]
}

missing=()
command -v python3 >/dev/null || missing+=(python3 python3-venv)
command -v node >/dev/null || missing+=(nodejs)
have_js || command -v npm >/dev/null || missing+=(npm)
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

if ! have_python; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    have_python || { echo "setup: centrifuge-python $want_python is not there" >&2; exit 1; }
fi

# The library's own tests are in its source distribution.
if [ ! -d ".sdist/centrifuge_python-$want_python/tests" ]; then
    rm -rf .sdist
    .venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary centrifuge-python -d .sdist \
        "centrifuge-python==$want_python"
    tar -xzf ".sdist/centrifuge_python-$want_python.tar.gz" -C .sdist
fi

if ! have_js; then
    npm ci --ignore-scripts --silent
    have_js || { echo "setup: centrifuge $want_js is not there" >&2; exit 1; }
fi

echo "ready: centrifuge $want_js, centrifuge-python $want_python"
