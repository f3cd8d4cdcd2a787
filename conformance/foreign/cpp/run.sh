#!/usr/bin/env bash
# Compiles a file, unless that is done, and runs it: run.sh NAME -lLIBRARY... ARGUMENTS...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
name=$1
shift
linked=()
while [ $# -gt 0 ] && [[ $1 == -* ]]; do
    linked+=("$1")
    shift
done
if [ ! build/"$name" -nt "$name.cpp" ]; then
    mkdir -p build
    g++ -O1 -std=c++17 -w -o build/"$name" "$name.cpp" "${linked[@]}"
fi
exec build/"$name" "$@"
