#!/bin/sh
# Builds the echoing guest of the tests: sh sdk/assemblyscript/echo/build.sh OUT
set -eu
exec sh "$(dirname "$0")/../build.sh" echo/index.ts "$1"
