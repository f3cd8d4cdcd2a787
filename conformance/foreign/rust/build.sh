#!/usr/bin/env bash
# Builds each peer by itself: together, they would share the features of what they depend on, such as the choice of zlib.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
for file in src/bin/*.rs; do
    name=$(basename "$file" .rs)
    cargo build --quiet --release --locked --target-dir target --bin "$name" --features "$name"
done
