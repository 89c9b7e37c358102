#!/bin/sh
# Builds the example guest: sh sdk/assemblyscript/example/build.sh OUT
set -eu
exec sh "$(dirname "$0")/../build.sh" example/index.ts "$1"
