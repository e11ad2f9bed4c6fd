#!/bin/sh
# build.sh <simd|relaxed>[.threads] <output.wasm> <sources>: one pure WebAssembly module that imports its memory and nothing
# else; with .threads a shared memory, of which the first instance initialises the static data (wasm/threads.c). HS_FLAGS: more
# flags for the compiler, e.g. -DHS_PROFILE, with which it imports a clock too (wasm/profile.c).
#
# Debian's emcc 3.1.6 brings clang 14 and Binaryen 108, which do not know the final relaxed-SIMD opcodes. The relaxed build
# therefore runs the same emcc over clang 22 and npm's Binaryen; metadata are read in Python because Binaryen 108's reader
# fails on the opcodes. An emcc of version 4 or later needs none of that.
set -eu
variant=${1%.threads} threads=${1#"${1%.threads}"} output=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$(dirname "$output")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# emcc's Debian package finds its JavaScript libraries here even when node is not Debian's own.
[ -d /usr/share/nodejs ] && export NODE_PATH="/usr/share/nodejs${NODE_PATH:+:$NODE_PATH}"

flags="-O3 -Wall -Wextra -I$root/src -I$root/wasm -msimd128 -sSTANDALONE_WASM --no-entry -sMALLOC=none -sIMPORTED_MEMORY=1
  -sALLOW_MEMORY_GROWTH=1 -sMAXIMUM_MEMORY=4GB -sTOTAL_MEMORY=2MB -sTOTAL_STACK=131072 ${HS_FLAGS:-}"
[ -n "$threads" ] && flags="$flags -matomics -mbulk-memory -Wl,--shared-memory"
if [ "$variant" = relaxed ]; then
  flags="$flags -mrelaxed-simd"
  case $(emcc -dumpversion) in
  [123].*)
    mkdir -p "$work/bin"
    printf '#!/bin/sh\nexec node "%s/node_modules/binaryen/bin/wasm-opt" "$@"\n' "$root" >"$work/bin/wasm-opt"
    chmod +x "$work/bin/wasm-opt"
    cat >"$work/config.py" <<CONFIG
LLVM_ROOT = '/usr/lib/llvm-22/bin'
BINARYEN_ROOT = '$work'
NODE_JS = 'node'
CACHE = '/usr/share/emscripten/cache'
FROZEN_CACHE = True
CONFIG
    export EM_CONFIG="$work/config.py" EMCC_READ_METADATA=python PATH="$work/bin:$PATH"
    flags="$flags -sWASM_BIGINT -Wl,--no-stack-first"
    ;;
  esac
fi
emcc $flags "$@" -o "$work/linked.wasm"
node "$root/node_modules/binaryen/bin/wasm-opt" -O3 ${threads:+--enable-threads} --enable-simd --enable-relaxed-simd --enable-bulk-memory --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals "$work/linked.wasm" -o "$output"
