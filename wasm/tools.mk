# Tools: each tools-* target installs what is missing by apt (as root, or through sudo) or npm, or says what to install.

NODE ?= node
APT := $(if $(filter 0,$(shell id -u)),apt-get,$(if $(shell command -v sudo),sudo apt-get))

# need(commands and files, packages): nothing to do when all of them exist
define need
	@missing=; for c in $(1); do command -v $$c >/dev/null 2>&1 || ls $$c >/dev/null 2>&1 || missing="$$missing $$c"; done; \
	if [ -n "$$missing" ]; then \
		if [ -z "$(APT)" ] || ! command -v apt-get >/dev/null; then echo "missing:$$missing. Install $(2)" >&2; exit 1; fi; \
		$(APT) update -qq && DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq --no-install-recommends $(2) >/dev/null || { echo "could not install $(2)" >&2; exit 1; }; \
	fi
endef

.PHONY: tools-wasm tools-native tools-lint tools-coverage tools-valgrind tools-browser tools-npm tools-bench tools-package tools-docs tools-runtimes

tools-wasm: tools-npm
	$(call need,emcc clang-22 wasm-ld-22,emscripten clang-22 lld-22 llvm-22)

# The sanitizers' runtime and SIMDe are libraries: their files are what shows that they are there.
tools-native:
	$(call need,clang-19 clang-format-19 cppcheck /usr/include/simde/wasm/simd128.h /usr/lib/llvm-19/lib/clang/19/lib/*/libclang_rt.asan*.a /usr/lib/llvm-19/lib/clang/19/lib/*/libclang_rt.fuzzer-*.a,clang-19 libclang-rt-19-dev clang-format-19 cppcheck libsimde-dev)

# It reads the symbols of the C library to know its functions.
tools-valgrind: tools-native
	$(call need,valgrind /usr/lib/debug/.build-id,valgrind libc6-dbg)

tools-lint:
	$(call need,clang-tidy-19,clang-tidy-19)

tools-coverage: tools-native
	$(call need,llvm-cov-19 llvm-profdata-19,llvm-19)

tools-browser:
	$(call need,chromium firefox-esr,chromium firefox-esr)

tools-npm: node_modules/.package-lock.json

# Scripts of dependencies do not run: node-llama-cpp would try to build what its binary packages already bring.
node_modules/.package-lock.json: package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Runtimes, for tests and benches, and peers, for benches alone, in folders of their own.
tools-runtimes: tests/runtimes/node_modules/.package-lock.json

tools-bench: tests/bench/node_modules/.package-lock.json tools-runtimes

# Bundlers, for the test of the package.
tools-package: tests/package/node_modules/.package-lock.json

# TypeDoc, and what reads Markdown, for the reference and the tests of documents.
tools-docs: tests/docs/node_modules/.package-lock.json
	$(call need,doxygen,doxygen)

tests/%/node_modules/.package-lock.json: tests/%/package-lock.json
	cd tests/$* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
