#!/bin/sh
# Builds the example guest: sh sdk/assemblyscript/example/build.sh OUT
set -eu
out=$1
cd "$(dirname "$0")/.."
[ -d node_modules/assemblyscript ] || npm ci --no-audit --no-fund >&2
exec node node_modules/assemblyscript/bin/asc.js example/index.ts -o "$out" -O3s --noAssert --runtime stub --use abort=assembly/index/abort
