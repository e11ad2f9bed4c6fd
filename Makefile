# Halfspace. `make help` lists the targets. Tools that are missing are installed where that is possible (tools.mk).
include wasm/tools.mk

BUILD := build
C_SOURCES := $(sort $(shell find src -name '*.c') $(wildcard wasm/*.c))
WEB_SOURCES := $(sort $(shell find web -name '*.js'))
C_HEADERS := $(sort $(shell find src wasm -name '*.h'))
BENCH_SOURCES := $(sort $(wildcard tests/bench/kernels/*.[ch]))
CHECKED_SOURCES := $(sort $(wildcard tests/checked/*.c))
VECTOR_MATH := $(if $(filter x86_64,$(shell uname -m)),-fveclib=libmvec -lmvec)
DOCUMENT := demo/documents/alice.txt
QUESTION := Who does Alice follow down the rabbit-hole?
CLI := $(NODE) web/cli.js
# Of `make bench`: `make bench BENCHES=decode RUNTIME=bun`
BENCHES := decode prefill attention kernels load quality scaling theory
RUNTIME := node24

.PHONY: all wasm page types package run demo test test-native certify test-node test-browser test-package test-runtimes table edge bench bench-builds checked soak lint fmt clean help

all: wasm ## build all WebAssembly variants (default)

# <name>.threads: the same for a shared memory and several threads.
wasm: $(foreach variant,simd relaxed simd.threads relaxed.threads,$(BUILD)/halfspace.$(variant).wasm)

$(BUILD)/halfspace.%.wasm: $(C_SOURCES) $(C_HEADERS) wasm/build.sh | tools-wasm
	sh wasm/build.sh $* $@ $(C_SOURCES)

page: $(BUILD)/halfspace.js ## bundle what pages load

$(BUILD)/halfspace.js: $(WEB_SOURCES) web/package/build-page.js | wasm tools-npm
	$(NODE) web/package/build-page.js

types: $(BUILD)/types/page.d.ts ## declarations for TypeScript, from the comments

$(BUILD)/types/page.d.ts: $(WEB_SOURCES) web/package/tsconfig.types.json tsconfig.json | tools-npm
	rm -rf $(BUILD)/types
	npx tsc -p web/package/tsconfig.types.json

package: wasm page types ## all that `npm pack` packs

# For benches, never shipped: the core with a clock around its phases, and a driver of single kernels, also natively.
bench-builds: $(foreach variant,simd relaxed,$(BUILD)/profile.$(variant).wasm $(BUILD)/kernels.$(variant).wasm) $(BUILD)/kernels.native

$(BUILD)/profile.%.wasm: $(C_SOURCES) $(C_HEADERS) wasm/build.sh | tools-wasm
	HS_FLAGS="-DHS_PROFILE -sERROR_ON_UNDEFINED_SYMBOLS=0" sh wasm/build.sh $* $@ $(C_SOURCES)

# For tests, never shipped: guard words around every block, and allocations that fail where they are told to.
checked: $(BUILD)/checked.simd.wasm

$(BUILD)/checked.%.wasm: $(C_SOURCES) $(C_HEADERS) $(CHECKED_SOURCES) wasm/build.sh | tools-wasm
	HS_FLAGS="-Wl,--wrap=hs_mem_alloc -Wl,--wrap=hs_mem_free" sh wasm/build.sh $* $@ $(C_SOURCES) $(CHECKED_SOURCES)

$(BUILD)/kernels.%.wasm: $(C_SOURCES) $(C_HEADERS) $(BENCH_SOURCES) wasm/build.sh | tools-wasm
	sh wasm/build.sh $* $@ $(C_SOURCES) $(filter %.c,$(BENCH_SOURCES))

# Contraction as relaxed SIMD has it; expf() of libmvec, so that loops around it are vectorised.
$(BUILD)/kernels.native: $(C_SOURCES) $(C_HEADERS) $(BENCH_SOURCES) | tools-native
	mkdir -p $(BUILD)
	clang-19 -DHS_RELAXED -std=gnu11 -O3 -march=native -ffp-contract=fast -fno-math-errno $(VECTOR_MATH) -Wall -Wextra -Wno-unknown-pragmas -Wno-pass-failed -Isrc -Iwasm -isystem /usr/include \
		$(filter src/%.c %_simd.c,$(C_SOURCES)) $(filter %.c,$(BENCH_SOURCES)) -lm -o $@

run: wasm tools-npm ## answer a question about a long document, dense and hsr side by side
	$(CLI) compare --model "$$($(CLI) pull)" --prompt-file $(DOCUMENT) --question "$(QUESTION)"

demo: page tools-npm ## fetch the model, build, and serve the page
	$(CLI) pull
	$(NODE) demo/serve.js

edge: wasm tools-npm tools-runtimes ## the example edge worker in workerd, on http://127.0.0.1:8787
	$(NODE) demo/edge/build.js
	$(NODE) demo/edge/fill.js $(BUILD)/edge/store
	cd $(BUILD)/edge && ../../tests/runtimes/node_modules/@cloudflare/workerd-*/bin/workerd serve config.capnp

test: test-native test-node test-browser test-package test-runtimes ## every test

test-native: tools-native ## C kernels against their references, with sanitizers
	sh tests/native/run.sh

certify: tools-native ## a million certified queries, half with each form of the kernels: each bound against the true error (takes minutes)
	HS_QUERIES=500000 HS_FLAGS="-O2 -march=native" sh tests/native/run.sh strengths

test-node: wasm bench-builds checked tools-npm ## JavaScript, the engine on a real model, and native llama.cpp as oracle
	HALFSPACE_TEST_MODEL="$$($(CLI) pull)" $(NODE) --test tests/node/*.test.js

MINUTES := 120
soak: wasm tools-npm ## MINUTES=N (120) of everything at once with random faults; SEED=N repeats one, MODEL=file takes another model
	$(NODE) --expose-gc tests/soak/run.js $(MINUTES) $(or $(SEED),$$(date +%s)) $(MODEL)

test-browser: page bench-builds tools-npm tools-browser ## the page in Chromium and Firefox
	HALFSPACE_TEST_MODEL="$$($(CLI) pull)" $(NODE) --test tests/browser/*.test.js

test-package: package tools-npm tools-package tools-browser ## what `npm pack` packs: installed, typed, and in pages built by vite, esbuild, webpack and nothing
	$(NODE) --test tests/package/*.test.js

test-runtimes: wasm tools-npm tools-runtimes tools-browser ## one suite of the public API in every runtime, and the example edge worker in workerd
	$(NODE) --test tests/runtimes/*.test.js

table: wasm tools-npm tools-runtimes tools-browser ## write what that suite gives into the README
	$(NODE) tests/runtimes/table.js

bench: wasm bench-builds tools-npm tools-bench tools-browser ## benches, with peers where there are some; reports go to build/bench (an hour)
	@set -e; for name in $(BENCHES); do \
		case $$name in decode|prefill|attention) peers=--peers ;; *) peers= ;; esac; \
		case $$name in theory|kernels) text= ;; load) text="--model $$($(CLI) pull)" ;; *) text="--model $$($(CLI) pull) --file $(DOCUMENT)" ;; esac; \
		echo "bench $$name" >&2; \
		$(CLI) bench $$name $$text $$peers --runtime $(RUNTIME) --out $(BUILD)/bench; \
	done

lint: tools-npm tools-native ## types, style, C warnings
	npx tsc --noEmit
	npx eslint .
	npx prettier --check .
	clang-format-19 --dry-run -Werror $(filter %.c,$(C_SOURCES)) $(C_HEADERS) $(BENCH_SOURCES) $(CHECKED_SOURCES) $(wildcard tests/native/*.c)
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem -Isrc -Iwasm src

fmt: tools-npm tools-native ## format everything
	npx prettier --write .
	clang-format-19 -i $(filter %.c,$(C_SOURCES)) $(C_HEADERS) $(BENCH_SOURCES) $(CHECKED_SOURCES) $(wildcard tests/native/*.c)

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
