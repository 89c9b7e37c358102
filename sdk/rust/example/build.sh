#!/bin/sh
# Builds the example guest: sh sdk/rust/example/build.sh OUT
set -eu
dir=$(dirname "$0")
exec sh "$dir/../build.sh" "$dir/main.rs" "$1"
