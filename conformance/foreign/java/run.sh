#!/usr/bin/env bash
# Compiles and runs a file with the jars of a Debian package: run.sh CLASS JARS ARGUMENTS...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
class=$1 jars=$2
shift 2
# The versioned names are the same files again.
path=$(find /usr/share/java -name "$jars-*.jar" ! -name '*-[0-9]*.[0-9]*.jar' -o -name jzlib.jar -o -name servlet-api.jar -o -name slf4j-nop.jar | tr '\n' ':')
exec java -Xlog:disable -cp "$path" "$class.java" "$@"
