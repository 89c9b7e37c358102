#!/bin/sh
# Builds a guest from one file, named from this folder: sh sdk/assemblyscript/build.sh SOURCE OUT
set -eu
source=$1
out=$2
cd "$(dirname "$0")"
[ -d node_modules/assemblyscript ] || npm ci --no-audit --no-fund >&2
exec node node_modules/assemblyscript/bin/asc.js "$source" -o "$out" -O3s --noAssert --runtime stub --use abort=assembly/index/abort
