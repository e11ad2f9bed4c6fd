#!/bin/sh
# build.sh: compiles the fuzz targets into build/fuzz, what is older than its sources. The core is the one of the native tests:
# SIMD through SIMDe, AddressSanitizer and UndefinedBehaviorSanitizer, and libFuzzer's counters besides.
set -eu
cd "$(dirname "$0")/../.."
work=build/fuzz
mkdir -p $work
flags="-std=gnu11 -g -O1 -march=native -fsanitize=address,undefined -fno-sanitize-recover=all -Isrc -Iwasm -Itests/fuzz -isystem /usr/include"
newest=$(ls -t $(find src wasm tests/fuzz -name '*.h') tests/fuzz/build.sh | head -1)

# stale(product, sources...)
stale() {
  product=$1
  shift
  for part in "$@" "$newest"; do
    [ "$product" -nt "$part" ] || return 0
  done
  return 1
}

objects=
for source in $(find src -name '*.c' ! -name memory_native.c) wasm/*_simd.c wasm/self_test.c tests/fuzz/memory.c; do
  object=$work/$(echo "$source" | tr / -).o
  objects="$objects $object"
  stale "$object" "$source" || continue
  echo "$source $object"
done >$work/list
while read -r source object; do
  clang-19 $flags -w -fsanitize=fuzzer-no-link -c "$source" -o "$object"
done <$work/list

for source in tests/fuzz/fuzz_*.c; do
  program=$work/$(basename "$source" .c)
  stale "$program" "$source" $objects wasm/abi*.c wasm/memory.c || continue
  # The allocator of WebAssembly has addresses of 32 bits, and a heap that starts at a symbol of the linker.
  case $source in
  *_allocator.c) extra="-no-pie -fno-pie -Wl,--defsym=__heap_base=fuzz_heap" linked= ;;
  *) extra= linked=$objects ;;
  esac
  clang-19 $flags -Wall -Wextra -Wno-unknown-pragmas -fsanitize=fuzzer $extra "$source" $linked -lm -o "$program"
done
