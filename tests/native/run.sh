#!/bin/sh
# run.sh [names]: compiles tests/native/test_<name>.c (default: every one) with the C core natively (SIMD through SIMDe), once
# for each form of the kernels, and runs it. Each program prints TAP and exits with 0 when all is well. HS_FLAGS replaces the
# sanitizers by other flags, HS_RUN is put before each program, HS_FORMS are
# the forms, and HS_WORK is where it compiles.
set -eu
cd "$(dirname "$0")/../.."
work=${HS_WORK:-build/native}
flags=${HS_FLAGS:--O1 -fsanitize=address,undefined}
mkdir -p $work
tests=tests/native/test_*.c
if [ $# -gt 0 ]; then tests=$(printf 'tests/native/test_%s.c ' "$@"); fi
for form in ${HS_FORMS:-simd relaxed}; do
  define=
  [ $form = relaxed ] && define=-DHS_RELAXED
  objects=
  for source in $(find src -name '*.c') wasm/*_simd.c wasm/self_test.c; do
    object=$work/$form-$(echo "$source" | tr / -).o
    clang-19 $define -std=gnu11 -g $flags -w -Isrc -Iwasm -c "$source" -o "$object"
    objects="$objects $object"
  done
  for test in $tests; do
    program=$work/$form-$(basename "$test" .c)
    clang-19 $define -std=gnu11 -g $flags -Wall -Wextra -Wno-unknown-pragmas -Isrc -Iwasm -Itests/native -isystem /usr/include "$test" $objects -lm -o "$program"
    echo "# $program"
    ${HS_RUN:-} "$program"
  done
done
