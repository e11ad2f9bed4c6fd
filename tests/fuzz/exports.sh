#!/bin/sh
# exports.sh: fails unless every function that wasm/abi*.c exports is called by a fuzz target. What else exports: threads.c (how
# threads start and end: it needs the atomics of WebAssembly, and takes no sizes of buffers) and profile.c (benches alone).
set -eu
cd "$(dirname "$0")/../.."
others=$(grep -l 'EXPORT(hs_' wasm/*.c | grep -v -e '^wasm/abi' -e '^wasm/threads.c$' -e '^wasm/profile.c$' || true)
if [ -n "$others" ]; then
  echo "exported functions in files that tests/fuzz/exports.sh does not know: $others" >&2
  exit 1
fi
exported=$(sed -n '/^EXPORT(/,/{/s/.*\b\(abi_[a-z0-9_]*\)(.*/\1/p' wasm/abi*.c)
missing=
for name in $exported; do
  grep -q "\b$name(" tests/fuzz/fuzz_*.c || missing="$missing $name"
done
[ "$(echo "$exported" | wc -l)" = "$(grep -c '^EXPORT(hs_' wasm/abi*.c | awk -F: '{n += $2} END {print n}')" ] || { echo 'an exported function is not called abi_*' >&2; exit 1; }
if [ -n "$missing" ]; then
  echo "exported functions that no fuzz target calls:$missing" >&2
  exit 1
fi
