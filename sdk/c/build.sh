#!/bin/sh
# Builds a guest from one file: sh sdk/c/build.sh SOURCE OUT
set -eu
# In two steps: clang as the linker's driver would run wasm-opt where it is installed, and Debian's refuses bulk memory.
clang --target=wasm32 -Os -ffreestanding -mbulk-memory -Wall -Wextra -Werror -c "$1" -o "$2.o"
wasm-ld --no-entry --gc-sections --stack-first --strip-all --compress-relocations "$2.o" -o "$2"
rm "$2.o"
