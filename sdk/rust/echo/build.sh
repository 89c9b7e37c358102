#!/bin/sh
# Builds the echoing guest of the tests: sh sdk/rust/echo/build.sh OUT
set -eu
dir=$(dirname "$0")
exec sh "$dir/../build.sh" "$dir/main.rs" "$1"
