#!/bin/sh
# Compiles every tests/native/test_*.c with the C core natively (SIMD through SIMDe) under sanitizers, once for each form of
# the kernels, and runs it. Each program prints TAP and exits with 0 when all is well.
set -eu
cd "$(dirname "$0")/../.."
work=build/native
mkdir -p $work
for form in simd relaxed; do
  define=
  [ $form = relaxed ] && define=-DHS_RELAXED
  objects=
  for source in $(find src -name '*.c') wasm/*_simd.c wasm/self_test.c; do
    object=$work/$form-$(echo "$source" | tr / -).o
    clang-19 $define -std=gnu11 -g -O1 -w -fsanitize=address,undefined -Isrc -Iwasm -c "$source" -o "$object"
    objects="$objects $object"
  done
  for test in tests/native/test_*.c; do
    program=$work/$form-$(basename "$test" .c)
    clang-19 $define -std=gnu11 -g -O1 -Wall -Wextra -Wno-unknown-pragmas -fsanitize=address,undefined -Isrc -Iwasm -Itests/native -isystem /usr/include "$test" $objects -lm -o "$program"
    echo "# $program"
    "$program"
  done
done
