#!/bin/sh
# Builds the demo's guest: sh demo/build.sh [OUTPUT], by default demo/demo.wasm. The same source gives the same bytes on
# every machine: the toolchain is pinned, and nothing of the surroundings gets into the module.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:-$here/demo.wasm}
case $output in /*) ;; *) output=$(pwd)/$output ;; esac
cd "$here/guest"
export GOTOOLCHAIN=go1.26.8 GOOS=wasip1 GOARCH=wasm GOFLAGS= GOWASM= GOEXPERIMENT= GOWORK=off CGO_ENABLED=0
exec go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o "$output" .
