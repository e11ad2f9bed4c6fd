# Halfspace. `make help` lists the targets. Tools that are missing are installed where that is possible (tools.mk).
include wasm/tools.mk

BUILD := build
C_SOURCES := $(sort $(shell find src -name '*.c') $(wildcard wasm/*.c))
C_HEADERS := $(sort $(shell find src wasm -name '*.h'))
DOCUMENT := demo/documents/alice.txt
QUESTION := Who does Alice follow down the rabbit-hole?
CLI := $(NODE) web/cli.js
# Of `make bench`: `make bench BENCHES=decode RUNTIME=bun`
BENCHES := decode prefill attention quality scaling theory
RUNTIME := node24

.PHONY: all wasm run demo test test-native certify test-node test-browser test-runtimes table edge bench lint fmt clean help

all: wasm ## build all WebAssembly variants (default)

# <name>.threads: the same for a shared memory and several threads.
wasm: $(foreach variant,simd relaxed simd.threads relaxed.threads,$(BUILD)/halfspace.$(variant).wasm)

$(BUILD)/halfspace.%.wasm: $(C_SOURCES) $(C_HEADERS) wasm/build.sh | tools-wasm
	sh wasm/build.sh $* $@ $(C_SOURCES)

run: wasm tools-npm ## answer a question about a long document, dense and hsr side by side
	$(CLI) compare --model "$$($(CLI) pull)" --prompt-file $(DOCUMENT) --question "$(QUESTION)"

demo: wasm tools-npm ## fetch the model, build, and serve the page
	$(CLI) pull
	$(NODE) demo/build.js
	$(NODE) demo/serve.js

edge: wasm tools-npm tools-runtimes ## the example edge worker in workerd, on http://127.0.0.1:8787
	$(NODE) demo/edge/build.js
	$(NODE) demo/edge/fill.js $(BUILD)/edge/store
	cd $(BUILD)/edge && ../../tests/runtimes/node_modules/@cloudflare/workerd-*/bin/workerd serve config.capnp

test: test-native test-node test-browser test-runtimes ## every test

test-native: tools-native ## C kernels against their references, with sanitizers
	sh tests/native/run.sh

certify: tools-native ## a million certified queries, half with each form of the kernels: each bound against the true error (takes minutes)
	HS_QUERIES=500000 HS_FLAGS="-O2 -march=native" sh tests/native/run.sh strengths

test-node: wasm tools-npm ## JavaScript, the engine on a real model, and native llama.cpp as oracle
	HALFSPACE_TEST_MODEL="$$($(CLI) pull)" $(NODE) --test tests/node/*.test.js

test-browser: wasm tools-npm tools-browser ## the page in Chromium and Firefox
	HALFSPACE_TEST_MODEL="$$($(CLI) pull)" $(NODE) --test tests/browser/*.test.js

test-runtimes: wasm tools-npm tools-runtimes tools-browser ## one suite of the public API in every runtime, and the example edge worker in workerd
	$(NODE) --test tests/runtimes/*.test.js

table: wasm tools-npm tools-runtimes tools-browser ## write what that suite gives into the README
	$(NODE) tests/runtimes/table.js

bench: wasm tools-npm tools-bench tools-browser ## benches, with peers where there are some; reports go to build/bench (an hour)
	@set -e; for name in $(BENCHES); do \
		case $$name in decode|prefill|attention) peers=--peers ;; *) peers= ;; esac; \
		case $$name in theory) text= ;; *) text="--model $$($(CLI) pull) --file $(DOCUMENT)" ;; esac; \
		echo "bench $$name" >&2; \
		$(CLI) bench $$name $$text $$peers --runtime $(RUNTIME) --out $(BUILD)/bench; \
	done

lint: tools-npm tools-native ## types, style, C warnings
	npx tsc --noEmit
	npx eslint .
	npx prettier --check .
	clang-format-19 --dry-run -Werror $(filter %.c,$(C_SOURCES)) $(C_HEADERS) $(wildcard tests/native/*.c)
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem -Isrc -Iwasm src

fmt: tools-npm tools-native ## format everything
	npx prettier --write .
	clang-format-19 -i $(filter %.c,$(C_SOURCES)) $(C_HEADERS) $(wildcard tests/native/*.c)

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
