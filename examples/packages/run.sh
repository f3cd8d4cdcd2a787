#!/usr/bin/env bash
# Makes the packages that a release would publish, unpacks them, and runs an application that depends on them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rm -rf target/package target/packages
cargo package --quiet --workspace --exclude sansws-examples --exclude sansws-example-runtime --no-verify --allow-dirty
for package in target/package/*.crate; do
    name=$(basename "$package" .crate)
    into=target/packages/${name%-*}
    mkdir -p "$into"
    tar -xzf "$package" -C "$into" --strip-components=1
    for file in README.md LICENSE-MIT LICENSE-APACHE src; do
        [ -e "$into/$file" ] || { echo "$name lacks $file" >&2; exit 1; }
    done
    # Features have a comment with two signs; those with one are for other features.
    awk '/^## /{public = 1; next} /^[a-z-]+ = /{if (public) print $1} {public = 0}' "$into/Cargo.toml.orig" | while read -r feature; do
        grep -q "^| \`$feature\` |" "$into/README.md" || { echo "the README of $name lacks the feature $feature" >&2; exit 1; }
    done
done
cp Cargo.lock examples/packages/Cargo.lock
cargo run --quiet --manifest-path examples/packages/Cargo.toml --target-dir target
