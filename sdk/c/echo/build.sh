#!/bin/sh
# Builds the echoing guest of the tests: sh sdk/c/echo/build.sh OUT
set -eu
dir=$(dirname "$0")
exec sh "$dir/../build.sh" "$dir/echo.c" "$1"
