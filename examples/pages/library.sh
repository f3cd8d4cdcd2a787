#!/usr/bin/env bash
# Gets the public client library of the demo's page: `centrifuge` from npm, in the version and with the checksum that
# tests/centrifuge/package-lock.json pins, into pages/vendor. Safe to run again. Without npm or a network it says so and succeeds: the demo's
# page then says what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

pin() {
    sed -n '/"node_modules\/centrifuge": {/,/}/s/.*"'"$1"'": "\([^"]*\)".*/\1/p' ../tests/centrifuge/package-lock.json | head -n 1
}

absent() {
    echo "note: $1; the chat of the demo says so, everything else is served" >&2
    exit 0
}

version=$(pin version)
want=$(pin integrity)
[ "$(cat vendor/version 2>/dev/null)" != "$version" ] || exit 0
command -v npm >/dev/null || absent "npm is not installed, so its library centrifuge is not there"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm pack --silent --pack-destination "$folder" "centrifuge@$version" >/dev/null 2>&1 || absent "npm could not be reached"
package=$folder/centrifuge-$version.tgz
found=sha512-$(node -e 'process.stdout.write(require("crypto").createHash("sha512").update(require("fs").readFileSync(process.argv[1])).digest("base64"))' "$package")
[ "$found" = "$want" ] || { echo "error: centrifuge $version of npm has the checksum $found, not $want" >&2; exit 1; }
tar -xzf "$package" -C "$folder"
mkdir -p vendor
cp "$folder/package/dist/centrifuge.js" "$folder/package/LICENSE" vendor/
echo "$version" >vendor/version
echo "ready: centrifuge $version, in pages/vendor"
