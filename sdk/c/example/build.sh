#!/bin/sh
# Builds the example guest: sh sdk/c/example/build.sh OUT
set -eu
out=$1
cd "$(dirname "$0")"
# In two steps: clang as the linker's driver would run wasm-opt where it is installed, and Debian's refuses bulk memory.
clang --target=wasm32 -Os -ffreestanding -mbulk-memory -Wall -Wextra -Werror -c example.c -o "$out.o"
wasm-ld --no-entry --gc-sections --stack-first --strip-all --compress-relocations "$out.o" -o "$out"
rm "$out.o"
