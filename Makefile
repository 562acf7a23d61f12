# `make` lists the targets. Every one of them can be run at any time and does only what is missing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
CONFIG := guest-examples/carya.toml

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: setup
setup: ## Check Rust, install a C compiler and the wasm target where they are missing
	@command -v cargo >/dev/null || { \
		echo "setup: error: no cargo. Install Rust with rustup, open a new shell and run this again." >&2; exit 1; }
	@needed=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml); \
	found=$$(cargo --version | cut -d ' ' -f 2); \
	[ "$$(printf '%s\n' "$$needed" "$$found" | sort -V | head -n 1)" = "$$needed" ] || { \
		echo "setup: error: Rust $$found is too old, $$needed is needed. Run: rustup update stable" >&2; exit 1; }
	@command -v cc >/dev/null || { \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		command -v apt-get >/dev/null && { [ -z "$$sudo" ] || command -v sudo >/dev/null; } || { \
			echo "setup: error: no C compiler (cc), which SQLite needs. Install gcc and the C headers, then run this again." >&2; \
			exit 1; }; \
		echo "setup: installing a C compiler"; \
		$$sudo apt-get -qq update </dev/null; \
		$$sudo apt-get -qq install -y --no-install-recommends gcc libc6-dev </dev/null; }
	@guest-examples/toolchain.sh >/dev/null

.PHONY: guests
guests: setup ## Build the example guests into guest-examples/dist
	@echo "== guests"
	@guest-examples/build.sh

.PHONY: run
run: guests ## Build all and serve the examples on 127.0.0.1:8080
	@echo "== carya (release)"
	@cargo build --locked --release -p carya
	@printf '\n== the shop, on 127.0.0.1:8080 (stop with Ctrl-C); try in another shell:\n\n'
	@cat guest-examples/curl.txt
	@echo
	@exec "$(TARGET_DIR)/release/carya" serve --config $(CONFIG)

.PHONY: servers
servers: ## Install the servers, proxies, load generators and clang that the tests need, where they are missing
	@tests/support/servers/install.sh

# In a target folder of its own, because the library has its own lock file.
.PHONY: guest-library
guest-library: guest-library-javascript guest-library-python ## Test the libraries for guests, and build their packages as they would be published
	@echo "== Rust library for guests"
	@cd guest/rust && export CARGO_TARGET_DIR="$(abspath $(TARGET_DIR))/guest-library" && \
		cargo test --locked --workspace --all-features && \
		cargo package --workspace --offline --allow-dirty --quiet

.PHONY: guest-library-javascript
guest-library-javascript:
	@echo "== JavaScript library for guests"
	@if guest-examples/build.sh javascript-tools; then cd guest/javascript && npm test --silent; else [ "$${CI:-}" != true ]; fi

.PHONY: guest-library-python
guest-library-python:
	@echo "== Python library for guests"
	@guest/python/test.sh "$(TARGET_DIR)/guest-tools" "$(TARGET_DIR)/guest-library/python"

# Programs in recipes do not take part in the limit of `make -j`.
unexport MAKEFLAGS MFLAGS

# A test waits for servers and time limits a third of its time, so one more runs than there are cores.
export RUST_TEST_THREADS ?= $(shell expr $$(nproc) + 1)

# `make -j2` builds the guests and tests the libraries meanwhile. Both wait for the network, and use one core at times.
.PHONY: test-build
test-build: setup
	@echo "== build of the tests"
	@cargo test --locked --workspace --no-run

.PHONY: test
test: servers test-build guests guest-library ## Build the guests and run all tests
	@echo "== tests"
	@cargo test --locked --workspace

.PHONY: test-all
test-all: servers test-build guests guest-library ## The same with the tests that take minutes each
	@guest-examples/build.sh all
	@echo "== all tests"
	@cargo test --locked --workspace -- --include-ignored

.PHONY: lint
lint: format prose clippy rustdoc deny ## Check formatting, prose, clippy, rustdoc and dependencies; warnings are errors

# Guests get no clippy: with Debian's tool chain there is only a rustc for their target.
.PHONY: format prose clippy rustdoc
format:
	@echo "== format"
	@cargo fmt --all --check
	@cargo fmt --all --check --manifest-path guest/rust/Cargo.toml
	@if [ -f guest-examples/Cargo.toml ]; then cargo fmt --all --check --manifest-path guest-examples/Cargo.toml; fi
	@cargo fmt --all --check --manifest-path guest-examples/orders-sea-orm/Cargo.toml
	@cargo fmt --all --check --manifest-path bench/guests/Cargo.toml
prose:
	@echo "== prose"
	@tools/prose.py
clippy:
	@echo "== clippy"
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@CARGO_TARGET_DIR="$(abspath $(TARGET_DIR))/guest-library" cargo clippy --locked --workspace --all-targets --all-features \
		--manifest-path guest/rust/Cargo.toml -- -D warnings
rustdoc:
	@echo "== rustdoc"
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --workspace
	@CARGO_TARGET_DIR="$(abspath $(TARGET_DIR))/guest-library" RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps \
		--workspace --all-features --manifest-path guest/rust/Cargo.toml

# Uses an installed tool, or builds one into the target folder, never system-wide. Arguments: the program, its package with
# a version, and options of `cargo install`.
tool = PATH="$(abspath $(TARGET_DIR))/tools/bin:$$PATH"; \
	command -v $(1) >/dev/null || { \
		echo "$(1): building it into $(TARGET_DIR)/tools, which takes minutes, once"; \
		env -u CARGO_TARGET_DIR cargo install $(2) --locked $(3) --root "$(TARGET_DIR)/tools"; }

# Without optimization it builds in a fraction of the time, and still checks within seconds.
deny_tool = $(call tool,cargo-deny,cargo-deny@0.20.2,--debug --no-default-features)

.PHONY: deny audit
deny: ## Check licenses, duplicates and sources of all dependencies
	@echo "== dependencies"
	@$(deny_tool); cargo deny --locked --log-level error check bans licenses sources
audit: ## Check all dependencies for known vulnerabilities, with a database from the network
	@echo "== advisories"
	@$(deny_tool); timeout 120 cargo deny --locked check advisories || { \
		echo "audit: error: there are advisories above, or the database of advisories could not be fetched within 120 s" >&2; exit 1; }

# By variables: ONLY=hello runs a part, QUICK=1 short rounds, WASMTIME=1 and PECAN=1 add these, NODE=1 and WORKERD=1
# install these for the part `languages`, FSYNC=off lets database servers not wait for their disk.
BENCH := $(if $(QUICK),--quick) $(if $(WASMTIME),--wasmtime) $(if $(PECAN),--pecan) $(if $(filter off,$(FSYNC)),--no-fsync)

.PHONY: bench
bench: guests servers ## Compare with other servers, into target/bench (ONLY=hello, QUICK=1, WASMTIME=1, PECAN=1, NODE=1, WORKERD=1)
	@bench/build.sh $(if $(WASMTIME),wasmtime) $(if $(PECAN),pecan) $(if $(NODE),node) $(if $(WORKERD),workerd)
	@cargo build --locked --release -p carya -p carya-bench
	@echo "== benchmark"
	@exec taskset -c 1 "$(TARGET_DIR)/release/carya-bench" --target "$(TARGET_DIR)" --only "$(ONLY)" $(BENCH)

.PHONY: microbench
microbench: guests ## Run the microbenchmarks of host/benches
	@echo "== microbenchmarks"
	@cargo bench --locked -p carya

.PHONY: docs
docs: ## Build the book and the API documentation and print where they are
	@cargo doc --locked --no-deps --workspace
	@cargo doc --locked --no-deps --all-features --manifest-path guest/rust/Cargo.toml --target-dir "$(abspath $(TARGET_DIR))/guest-library"
	@$(call tool,mdbook,mdbook,); mdbook build docs --dest-dir "$(abspath $(TARGET_DIR))/book"
	@echo "docs: $(abspath $(TARGET_DIR))/book/index.html"
	@echo "docs: $(abspath $(TARGET_DIR))/doc/carya/index.html"
	@echo "docs: $(abspath $(TARGET_DIR))/guest-library/doc/carya_guest/index.html"

.PHONY: clean
clean: ## Remove everything that was built or unpacked
	@cargo clean
	@rm -rf guest-examples/dist guest-examples/target
