# Halfspace. `make help` lists the targets. Tools that are missing are installed where that is possible (tools.mk).
include wasm/tools.mk

BUILD := build
C_SOURCES := $(sort $(shell find src -name '*.c') $(wildcard wasm/*.c))
WEB_SOURCES := $(sort $(shell find web -name '*.js'))
C_HEADERS := $(sort $(shell find src wasm -name '*.h'))
BENCH_SOURCES := $(sort $(wildcard tests/bench/kernels/*.[ch]))
CHECKED_SOURCES := $(sort $(wildcard tests/checked/*.c))
EVIDENCE_SOURCES := $(sort $(wildcard tests/evidence/*.c))
VECTOR_MATH := $(if $(filter x86_64,$(shell uname -m)),-fveclib=libmvec -lmvec)
DOCUMENT := demo/documents/alice.txt
QUESTION := Who does Alice follow down the rabbit-hole?
CLI := $(NODE) web/cli.js
TYPEDOC := tests/docs/node_modules/.bin/typedoc
# Of `make bench`: `make bench BENCHES=decode RUNTIME=bun`
BENCHES := decode prefill attention kernels load quality scaling theory
RUNTIME := node24
VARIANTS := simd relaxed simd.threads relaxed.threads
# Of `make fuzz`: `make fuzz SECONDS=3600`
SECONDS := 60

.PHONY: all wasm page types package reference run demo site screenshot demo-trace test test-native fuzz fuzz-js fuzz-native valgrind certify test-node test-browser test-package test-runtimes test-docs table edge bench figures bench-builds evidence evidence-quick evidence-builds checked soak dependencies coverage reproducible audit lint fmt clean help

all: wasm ## build all WebAssembly variants (default)

# <name>.threads: the same for a shared memory and several threads.
wasm: $(foreach variant,$(VARIANTS),$(BUILD)/halfspace.$(variant).wasm)

$(BUILD)/halfspace.%.wasm: $(C_SOURCES) $(C_HEADERS) wasm/build.sh | tools-wasm
	sh wasm/build.sh $* $@ $(C_SOURCES)

page: $(BUILD)/halfspace.js ## bundle what pages load

$(BUILD)/halfspace.js: $(WEB_SOURCES) web/package/build-page.js | wasm tools-npm
	$(NODE) web/package/build-page.js

types: $(BUILD)/types/page.d.ts ## declarations for TypeScript, from the comments

$(BUILD)/types/page.d.ts: $(WEB_SOURCES) web/package/tsconfig.types.json tsconfig.json | tools-npm
	rm -rf $(BUILD)/types
	npx tsc -p web/package/tsconfig.types.json

package: wasm page types $(BUILD)/halfspace.sbom.json ## all that `npm pack` packs

$(BUILD)/halfspace.sbom.json: package-lock.json package.json web/package/dependencies.js | tools-npm
	mkdir -p $(BUILD)
	$(NODE) web/package/dependencies.js

dependencies: tools-npm ## write what the package needs when it runs into SECURITY.md
	$(NODE) web/package/dependencies.js --table

# For benches, never shipped: the core with a clock around its phases, and a driver of single kernels, also natively.
bench-builds: $(foreach variant,simd relaxed,$(BUILD)/profile.$(variant).wasm $(BUILD)/kernels.$(variant).wasm) $(BUILD)/kernels.native

$(BUILD)/profile.%.wasm: $(C_SOURCES) $(C_HEADERS) wasm/build.sh | tools-wasm
	HS_FLAGS="-DHS_PROFILE -sERROR_ON_UNDEFINED_SYMBOLS=0" sh wasm/build.sh $* $@ $(C_SOURCES)

# For tests, never shipped: guard words around every block, and allocations that fail where they are told to.
checked: $(BUILD)/checked.simd.wasm

$(BUILD)/checked.%.wasm: $(C_SOURCES) $(C_HEADERS) $(CHECKED_SOURCES) wasm/build.sh | tools-wasm
	HS_FLAGS="-Wl,--wrap=hs_mem_alloc -Wl,--wrap=hs_mem_free" sh wasm/build.sh $* $@ $(C_SOURCES) $(CHECKED_SOURCES)

# For evidence, never shipped: attention over keys that JavaScript chooses.
evidence-builds: $(BUILD)/evidence.simd.wasm $(BUILD)/evidence.relaxed.wasm

$(BUILD)/evidence.%.wasm: $(C_SOURCES) $(C_HEADERS) $(EVIDENCE_SOURCES) wasm/build.sh | tools-wasm
	HS_FLAGS="-Wl,--wrap=hs_attend_decode -sERROR_ON_UNDEFINED_SYMBOLS=0" sh wasm/build.sh $* $@ $(C_SOURCES) $(EVIDENCE_SOURCES)

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

site: page tools-npm ## the page as a folder for any static host, build/site, with model and snapshots in it
	$(NODE) demo/site.js

screenshot: page tools-npm tools-browser ## write a picture of the page, answering, to demo/screenshot.png
	$(NODE) demo/screenshot.js demo/screenshot.png

demo-trace: page tools-npm tools-browser ## measure the page in Chromium: first paint, longest tasks of its main thread
	$(NODE) demo/trace.js

reference: tools-docs ## the reference of JavaScript and C, from comments and headers, as pages in build/reference
	$(TYPEDOC) --options tests/docs/reference/typedoc.json
	mkdir -p $(BUILD)/reference
	doxygen tests/docs/reference/Doxyfile
	@echo $(BUILD)/reference/js/index.html $(BUILD)/reference/c/index.html

edge: wasm tools-npm tools-runtimes ## the example edge worker in workerd, on http://127.0.0.1:8787
	$(NODE) demo/edge/build.js
	$(NODE) demo/edge/fill.js $(BUILD)/edge/store
	cd $(BUILD)/edge && ../../tests/runtimes/node_modules/@cloudflare/workerd-*/bin/workerd serve config.capnp

test: test-native test-node test-browser test-package test-runtimes test-docs ## every test

test-native: tools-native ## C kernels against their references, with sanitizers, and a short run of the fuzz targets
	sh tests/native/run.sh
	sh tests/fuzz/run.sh short

fuzz: fuzz-native ## random and hostile inputs for SECONDS=60 a target; what was found lies in build/fuzz/findings

fuzz-native: tools-native
	sh tests/fuzz/run.sh $(SECONDS)

valgrind: tools-valgrind ## the C tests under valgrind, without sanitizers (takes minutes)
	HS_QUERIES=200 HS_WORK=build/valgrind HS_FORMS=simd HS_FLAGS="-O1 -gdwarf-4" HS_RUN="valgrind -q --error-exitcode=1 --leak-check=full --errors-for-leak-kinds=definite" sh tests/native/run.sh

certify: tools-native ## a million certified queries, half with each form of the kernels: each bound against the true error (takes minutes)
	HS_QUERIES=500000 HS_FLAGS="-O2 -march=native" sh tests/native/run.sh strengths

test-node: wasm bench-builds evidence-builds checked tools-npm tests/bench/node_modules/.package-lock.json ## JavaScript, the engine on a real model, and native llama.cpp as oracle
	HALFSPACE_TEST_MODEL="$$($(CLI) pull)" $(NODE) --test tests/node/*.test.js

fuzz: fuzz-js ## inputs that nobody wrote, for SECONDS=60 each; fails on a finding

fuzz-js: wasm tools-npm ## of the JavaScript: files, snapshots, templates, requests, messages, options
	$(NODE) tests/fuzz/run.js --seconds $(SECONDS)

MINUTES := 120
soak: wasm tools-npm ## MINUTES=N (120) of everything at once with random faults; SEED=N repeats one, MODEL=file takes another model
	$(NODE) --expose-gc tests/soak/run.js $(MINUTES) $(or $(SEED),$$(date +%s)) $(MODEL)

test-browser: page bench-builds tools-npm tools-browser ## the page in Chromium and Firefox
	HALFSPACE_TEST_MODEL="$$($(CLI) pull)" $(NODE) --test tests/browser/*.test.js

test-package: package tools-npm tools-package tools-browser ## what `npm pack` packs: installed, typed, and in pages built by vite, esbuild, webpack and nothing
	$(NODE) --test tests/package/*.test.js

test-runtimes: wasm tools-npm tools-runtimes tools-browser ## one suite of the public API in every runtime, and the example edge worker in workerd
	$(NODE) --test tests/runtimes/*.test.js

# What the tutorials and the README tell to install is the packed package.
test-docs: package bench-builds tools-npm tools-docs tools-runtimes tools-browser ## the reference is complete; tutorials and commands of the documents do what they say
	HALFSPACE_TEST_MODEL="$$($(CLI) pull)" $(NODE) --test tests/docs/*.test.js

table: wasm tools-npm tools-runtimes tools-browser ## write what that suite gives into the README
	$(NODE) tests/runtimes/table.js

bench: wasm bench-builds tools-npm tools-bench tools-browser ## benches, with peers where there are some; reports go to build/bench (an hour)
	@set -e; for name in $(BENCHES); do \
		case $$name in decode|prefill|attention) peers=--peers ;; *) peers= ;; esac; \
		case $$name in theory|kernels) text= ;; load) text="--model $$($(CLI) pull)" ;; *) text="--model $$($(CLI) pull) --file $(DOCUMENT)" ;; esac; \
		echo "bench $$name" >&2; \
		$(CLI) bench $$name $$text $$peers --runtime $(RUNTIME) --out $(BUILD)/bench; \
	done

# Of `make evidence`: `make evidence SECTIONS=tasks,baselines`; default all of tests/evidence/sections
SECTIONS =
EVIDENCE = tests/runtimes/node_modules/node-*/bin/node tests/evidence/run.js --model "$$($(CLI) pull)" --file $(DOCUMENT) $(if $(SECTIONS),--only $(SECTIONS))

evidence: wasm bench-builds evidence-builds tools-npm tools-bench tools-browser ## the paper's claims measured, docs/evidence.md written (hours)
	$(EVIDENCE) --out $(BUILD)/evidence --summary docs/evidence.md

evidence-quick: wasm bench-builds evidence-builds tools-npm tools-bench tools-browser ## the same with less of everything, in minutes, into build/evidence-quick
	$(EVIDENCE) --out $(BUILD)/evidence-quick --quick

figures: wasm tools-npm ## draw the figures of docs/, from the real model at work on a book (minutes)
	$(NODE) tests/evidence/figures.js --model "$$($(CLI) pull)" --file $(DOCUMENT)

# One program after the other runs under coverage: C natively in both forms, JavaScript in every process and worker that Node starts.
coverage: wasm bench-builds evidence-builds tests/bench/node_modules/.package-lock.json tools-npm tools-coverage ## lines and branches of src and web that tests run; fails below 90 %, and below 100 % of what parses (half an hour)
	rm -rf $(BUILD)/coverage && mkdir -p $(BUILD)/coverage/v8
	HS_FLAGS="-O1 -fprofile-instr-generate -fcoverage-mapping" LLVM_PROFILE_FILE=$(BUILD)/coverage/%m.profraw sh tests/native/run.sh
	llvm-profdata-19 merge -o $(BUILD)/coverage/native.profdata $(BUILD)/coverage/*.profraw
	for form in simd relaxed; do \
		llvm-cov-19 export -instr-profile=$(BUILD)/coverage/native.profdata --ignore-filename-regex='^/usr/' \
			$$(for test in tests/native/test_*.c; do echo -object $(BUILD)/native/$$form-$$(basename $$test .c); done) >$(BUILD)/coverage/$$form.json || exit 1; \
	done
	NODE_V8_COVERAGE=$(abspath $(BUILD))/coverage/v8 HALFSPACE_TEST_MODEL="$$($(CLI) pull)" $(NODE) --test tests/node/*.test.js
	$(NODE) tests/coverage/report.js $(BUILD)/coverage/v8 $(BUILD)/coverage/simd.json $(BUILD)/coverage/relaxed.json

reproducible: tools-wasm ## builds each of VARIANTS (default: all) from two copies of the sources: the same bytes, or it fails
	sh wasm/reproducible.sh $(VARIANTS)

audit: tools-npm ## known weaknesses of dependencies, of those that are shipped and of tools; needs a registry that answers
	npm audit --omit=dev
	npm audit --audit-level=high

lint: tools-npm tools-native tools-lint ## types, style, C warnings, static analysis of C
	npx tsc --noEmit
	npx eslint .
	npx prettier --check .
	clang-format-19 --dry-run -Werror $(filter %.c,$(C_SOURCES)) $(C_HEADERS) $(BENCH_SOURCES) $(CHECKED_SOURCES) $(EVIDENCE_SOURCES) $(wildcard tests/native/*.c tests/fuzz/*.[ch])
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem -Isrc -Iwasm -Itests/native src wasm tests/native
	printf '%s\n' $(filter-out wasm/memory.c wasm/threads.c,$(C_SOURCES)) | xargs -P 2 -n 8 sh -c 'clang-tidy-19 --quiet "$$@" -- -std=gnu11 -w -Isrc -Iwasm -isystem /usr/include 2>/dev/null' tidy
	clang-tidy-19 --quiet wasm/memory.c wasm/threads.c -- --target=wasm32 -ffreestanding -matomics -mbulk-memory -std=gnu11 -w -Isrc -Iwasm 2>/dev/null

fmt: tools-npm tools-native ## format everything
	npx prettier --write .
	clang-format-19 -i $(filter %.c,$(C_SOURCES)) $(C_HEADERS) $(BENCH_SOURCES) $(CHECKED_SOURCES) $(EVIDENCE_SOURCES) $(wildcard tests/native/*.c tests/fuzz/*.[ch])

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
