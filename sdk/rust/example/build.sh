#!/bin/sh
# Builds the example guest: sh sdk/rust/example/build.sh OUT
set -eu
out=$1
cd "$(dirname "$0")"
rustc=../../../.ci/rustc
flags="--edition 2021 --target wasm32-unknown-unknown -C opt-level=s -C panic=abort -C codegen-units=1 -C target-feature=+bulk-memory -D warnings"
$rustc $flags --crate-type rlib --crate-name sluice ../src/lib.rs --out-dir "$out.lib"
$rustc $flags --crate-type cdylib -C lto -C strip=symbols --extern sluice="$out.lib/libsluice.rlib" main.rs -o "$out"
rm -r "$out.lib"
