#!/bin/sh
# seeds.sh <folder>: first inputs of every target. Bytes are instructions for the targets (fuzz.h), so that plain patterns
# already make caches with sealed chunks, models of each architecture and weights of each type.
set -eu
folder=$1
mkdir -p "$folder"

# put(name, bytes as printf has them)
put() { printf "$2" >"$folder/$1"; }

# repeated(times, bytes): the bytes again and again
repeated() {
  text=
  for _ in $(seq "$1"); do text="$text$2"; done
  echo "$text"
}

for first in 000 001 007 010 030 050 077 120 200 277 347 370; do
  # Appends of many keys, then questions and changes.
  put "appended-$first" "\\$first$(repeated 3 '\000\006\000\000\001\002\003\000')$(repeated 12 '\013\010\001\005\007\002\100\006\004\003')"
  put "mixed-$first" "\\$first$(repeated 24 '\000\007\001\010\020\005\011\100\002\014\200\003')"
  put "zeros-$first" "\\$first$(repeated 100 '\000')"
  put "high-$first" "\\$first$(repeated 60 '\000\005\002\377\177')"
done
