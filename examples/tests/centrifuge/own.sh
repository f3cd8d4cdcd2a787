#!/usr/bin/env bash
# Runs the tests of the JavaScript library itself, which are not in its package, on a server: `own.sh <checkout> <host:port>`. The checkout is one of
# https://github.com/centrifugal/centrifuge-js; the server is `realtime --insecure --secret secret --no-rpc`, at any address. The tests of
# map and shared-poll subscriptions, which are not offered, are left out. The checkout stays as it is.
set -euo pipefail
[ $# = 2 ] || { echo "usage: own.sh <checkout of centrifuge-js> <host:port>" >&2; exit 2; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r "$1"/{src,package.json,tsconfig.json,jest.config.js} "$folder"
cd "$folder"
sed -i "s/localhost:8000/$2/g" src/*.ts
# What the tests need; the rest builds packages and documentation.
node -e '
const { readFileSync, writeFileSync } = require("fs");
const own = JSON.parse(readFileSync("package.json"));
const needed = ["@types/jest", "@types/node", "eventsource", "jest", "ts-jest", "tslib", "typescript", "undici", "ws"];
const isNeeded = ([name]) => needed.includes(name);
own.devDependencies = Object.fromEntries(Object.entries(own.devDependencies).filter(isNeeded));
delete own.scripts;
writeFileSync("package.json", JSON.stringify(own));
'
npm install --ignore-scripts --no-audit --no-fund --silent
npx jest --forceExit --testPathIgnorePatterns 'src/(map|shared_poll|debounce)' --testNamePattern '^(?!map)'
