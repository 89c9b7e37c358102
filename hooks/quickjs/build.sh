#!/bin/sh
# Builds quickjs.wasm from QuickJS and src, byte for byte what is in the repository, with Debian 12's tools:
#
#   apt-get install clang-14 lld-14 llvm-14 wasi-libc libclang-rt-14-dev-wasm32
#   hooks/quickjs/build.sh [quickjs_2025.04.26.orig.tar.xz]
#
# Without an argument the archive is fetched from Debian (source package quickjs, of trixie). Writes quickjs.wasm and SHA256SUMS.
set -eu
cd "$(dirname "$0")"

archive=quickjs_2025.04.26.orig.tar.xz
sum=ec81da5b3249ed648dbc7df4a1654988910e66a118d9b71cb63534216efcfbbe
stack=262144  # bytes of C stack; the engine refuses deeper calls 32 KiB before
memory=4194304 # to begin with: what an event needs on top of it has to be grown, and costs the host a new instance

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# -gt 0 ]; then
	cp "$1" "$work/$archive"
else
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
	chmod -R a+rX "$work"
	echo "deb-src http://deb.debian.org/debian trixie main" >"$work/apt/sources.list"
	set -- -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root
	apt-get "$@" -qq update
	(cd "$work" && apt-get "$@" -qq source --download-only quickjs=2025.04.26-1)
fi
echo "$sum  $work/$archive" | sha256sum --check --quiet
tar -xf "$work/$archive" -C "$work"
mv "$work/quickjs-2025.04.26" "$work/quickjs"
patch -s -p1 -d "$work/quickjs" <src/quickjs.patch
cp src/*.c "$work/"

cd "$work"
# Bulk memory, because the host charges a copied byte a quarter of what a loop would cost.
flags="--target=wasm32-wasi -nostdlibinc -isystem /usr/include/wasm32-wasi -O2 -mbulk-memory -fwrapv -fno-strict-aliasing
	-ffunction-sections -fdata-sections -DNDEBUG -D_GNU_SOURCE -DCONFIG_VERSION=\"2025-04-26\" -DSTACK_SIZE=$stack -include malloc.h -Iquickjs"
clang-14 $flags -Wall -Wno-unused -c guest.c -o guest.o
for part in cutils libregexp libunicode dtoa; do
	clang-14 $flags -w -c "quickjs/$part.c" -o "$part.o"
done
wasm-ld-14 --no-entry --gc-sections --strip-all --stack-first -z stack-size=$stack --initial-memory=$memory \
	guest.o cutils.o libregexp.o libunicode.o dtoa.o -L/usr/lib/wasm32-wasi -lc -lm \
	/usr/lib/llvm-14/lib/clang/14.0.6/lib/wasi/libclang_rt.builtins-wasm32.a -o quickjs.wasm
cd - >/dev/null
mv "$work/quickjs.wasm" quickjs.wasm
chmod 644 quickjs.wasm
LC_ALL=C sha256sum build.sh quickjs.wasm src/* >SHA256SUMS
