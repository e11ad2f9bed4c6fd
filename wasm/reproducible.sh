#!/bin/sh
# reproducible.sh <variants>: builds each variant from two copies of the sources in folders of unlike names, and compares the bytes.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for copy in "$work/one" "$work/another/deeper"; do
  mkdir -p "$copy"
  cp -R "$root/src" "$root/wasm" "$copy"
  ln -s "$root/node_modules" "$copy/node_modules"
done
for variant in "$@"; do
  for copy in "$work/one" "$work/another/deeper"; do
    (cd "$copy" && sh wasm/build.sh "$variant" out.wasm $(find src -name '*.c' | sort) $(ls wasm/*.c | sort))
  done
  cmp "$work/one/out.wasm" "$work/another/deeper/out.wasm"
  echo "$variant: $(sha256sum <"$work/one/out.wasm" | cut -c 1-64), twice"
done
