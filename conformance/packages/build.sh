#!/usr/bin/env bash
# Builds wsconform for people without Rust, into target/wsconform: a static program, a wheel and an npm package that hold it, and tries
# each: conformance/packages/build.sh [PROFILE]
# Installs what it needs: a musl toolchain, maturin. Wants python3 with venv, and npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
profile=${1:-release}
target=$(uname -m)-unknown-linux-musl
out=$PWD/target/wsconform
here=conformance/packages
scratch=$(mktemp -d)
trap 'rm -rf "$scratch" "$here/python/README.md"' EXIT

command -v musl-gcc >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq musl-tools >/dev/null; }
rustup target add "$target" >/dev/null 2>&1

# It explains a case, and a run against a port on which nobody listens fails.
try() {
    "$@" explain 1.1.1 | grep -q "RFC 6455" || { echo "$* does not explain a case" >&2; exit 1; }
    if "$@" test ws://127.0.0.1:1 >/dev/null 2>&1; then
        echo "$* passes where nobody listens" >&2
        exit 1
    fi
}

cargo build --quiet --profile "$profile" --target "$target" -p sansws-conformance --bin wsconform
rm -rf "$out" && mkdir -p "$out"
cp "target/$target/$profile/wsconform" "$out/wsconform"
strip "$out/wsconform"
if ldd "$out/wsconform" 2>/dev/null | grep -q '=>'; then
    echo "the program is not static" >&2
    exit 1
fi
try "$out/wsconform"

python3 -m venv "$scratch/build" && "$scratch/build/bin/pip" install -q 'maturin>=1.7,<2'
cp conformance/README.md "$here/python/README.md"
(cd "$here/python" && "$scratch/build/bin/maturin" build --quiet --profile "$profile" --target "$target" --out "$out")
python3 -m venv "$scratch/wheel" && "$scratch/wheel/bin/pip" install -q "$out"/*.whl
try "$scratch/wheel/bin/wsconform"

case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
cp -r "$here/npm" "$scratch/npm"
cp conformance/README.md LICENSE-* "$scratch/npm/"
mkdir -p "$scratch/npm/bin/linux-$arch"
cp "$out/wsconform" "$scratch/npm/bin/linux-$arch/"
(cd "$scratch/npm" && npm pack --silent --pack-destination "$out" >/dev/null)
npm install --silent --prefix "$scratch/project" "$out"/*.tgz >/dev/null
try "$scratch/project/node_modules/.bin/wsconform"
ls -l "$out"
