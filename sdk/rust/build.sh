#!/bin/sh
# Builds a guest from one file: sh sdk/rust/build.sh SOURCE OUT
set -eu
dir=$(cd "$(dirname "$0")" && pwd)
rustc="$dir/../../.ci/rustc"
flags="--edition 2021 --target wasm32-unknown-unknown -C opt-level=s -C panic=abort -C codegen-units=1 -C target-feature=+bulk-memory -D warnings"
$rustc $flags --crate-type rlib --crate-name sluice "$dir/src/lib.rs" --out-dir "$2.lib"
$rustc $flags --crate-type cdylib -C lto -C strip=symbols --extern sluice="$2.lib/libsluice.rlib" "$1" -o "$2"
rm -r "$2.lib"
