#!/bin/sh
# Builds the example guest: sh sdk/c/example/build.sh OUT
set -eu
dir=$(dirname "$0")
exec sh "$dir/../build.sh" "$dir/example.c" "$1"
