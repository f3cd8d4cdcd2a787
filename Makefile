.PHONY: help demo cluster check test test-waiting test-planted test-others test-suite setup simulate lint msrv platforms doc fuzz bench interop browser redis no-std conformance foreign centrifuge packages semver site wsconform
# Seconds that each fuzz target runs.
SECONDS_EACH ?= 5

help: ## what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

# What applications depend on.
LIBRARIES = -p sansws-core -p sansws-common -p sansws-async -p sansws-tokio -p sansws-smol -p sansws-std -p sansws-mio -p sansws-redis \
	-p sansws-centrifuge

# Where the demo listens.
LISTEN ?= 127.0.0.1:8080
# What it runs on: tokio or smol.
RUNTIME ?= tokio

demo: ## a page with a chat and live numbers on http://127.0.0.1:8080; LISTEN=host:port and RUNTIME=smol choose otherwise
	examples/pages/library.sh
	cargo run --release -p sansws-examples --bin demo -- --listen $(LISTEN) --runtime $(RUNTIME)

cluster: ## three nodes, Redis and a balancer on http://127.0.0.1:8080: kill any, the chat goes on; LISTEN=host:port chooses otherwise
	cargo run --release -p sansws-examples --bin cluster -- --listen $(LISTEN)

check: ## what to run on every save: format, lints and tests of core and async, under two minutes
	cargo fmt --all -- --check
	cargo clippy $(LIBRARIES) --all-features --lib -- -D warnings
	cargo test -p sansws-core -p sansws-common -p sansws-async --all-features --lib --test main

# All crates and features together: one build serves all tests.
TESTS = cargo test --workspace --all-features
# Four kinds of tests run beside each other. Some programs mostly wait for other processes, and others build one mutant after the other.
WAITING = browser cluster mistakes operators processes realtime redis valkey
PLANTED = planted
# All test programs.
ALL = $(shell cargo metadata --no-deps --format-version 1 | tr '{' '\n' | \
	sed -n 's/^"kind":\["test"\],.*"name":"\([a-z_0-9]*\)".*/\1/p' | sort -u)

test: setup ## all tests; installs the foreign peers, a browser, Redis, HAProxy and cargo-fuzz first
	$(TESTS) --no-run
	$(MAKE) --no-print-directory --jobs=4 --output-sync=target test-waiting test-planted test-others test-suite

test-waiting:
	$(TESTS) --no-fail-fast $(WAITING:%=--test %)

test-planted:
	$(TESTS) --no-fail-fast $(PLANTED:%=--test %)

test-others:
	$(TESTS) --no-fail-fast --lib --bins $(patsubst %,--test %,$(filter-out $(WAITING) $(PLANTED),$(ALL)))
	$(TESTS) --no-fail-fast --doc

# The suite's program as built for the tests takes less time than building a faster one, and so do fuzz targets without much
# optimization, which run for seconds only.
test-suite:
	conformance/run.sh --quick target/debug/wsconform
	CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0 core/fuzz/run.sh $(SECONDS_EACH)

setup: interop browser redis centrifuge

# Worlds that `make simulate` goes through.
SEEDS ?= 20000

simulate: ## SEEDS worlds of each simulation, and how many steps a second that were; SIMULATE_SEED=n runs one again
	SIMULATE_SEEDS=$(SEEDS) cargo test --release -p sansws-core --no-default-features --features std,deflate \
		--test simulation all_seeds -- --nocapture
	SIMULATE_SEEDS=$(SEEDS) cargo test --release -p sansws-redis --test simulation all_seeds -- --nocapture

interop:
	conformance/interop/setup.sh

redis:
	adapter-redis/tests/setup.sh

browser:
	examples/tests/browser/setup.sh

centrifuge:
	examples/tests/centrifuge/setup.sh

lint: ## format and clippy, without mercy
	cargo fmt --all -- --check
	cargo clippy --workspace --all-features --lib --bins -- -D warnings
	cargo clippy --workspace --all-features --tests -- -D warnings -A clippy::unwrap_used -A clippy::expect_used \
		-A clippy::indexing_slicing -A clippy::type_complexity -A clippy::incompatible_msrv
	cargo clippy -p sansws-core --no-default-features -- -D warnings -A clippy::needless_pass_by_ref_mut
	cargo clippy -p sansws-core --no-default-features --features deflate -- -D warnings -A clippy::needless_pass_by_ref_mut
	cargo clippy -p sansws-redis --features tokio -- -D warnings -A clippy::needless_pass_by_ref_mut
	cargo clippy -p sansws-redis --features smol -- -D warnings -A clippy::needless_pass_by_ref_mut

# The oldest compiler that the libraries support.
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1.0/p' Cargo.toml)

msrv: ## the libraries, checked by the oldest compiler that they support
	@if cargo +$(MSRV) --version >/dev/null 2>&1; then \
		cargo +$(MSRV) check --target-dir target/msrv $(LIBRARIES) -p sansws-conformance --lib --all-features && \
		cargo +$(MSRV) check --target-dir target/msrv -p sansws-core --no-default-features; \
	else \
		echo "note: Rust $(MSRV) is not installed here (rustup toolchain install $(MSRV) --profile minimal);" \
			"only clippy::incompatible_msrv checked the minimum supported version"; \
	fi

# Systems besides Linux whose compiler's parts can be had. Without TLS: ring needs a C compiler for the target.
PLATFORMS = x86_64-pc-windows-gnu aarch64-apple-darwin

platforms: ## the libraries, checked for Windows and macOS
	@for target in $(PLATFORMS); do \
		if rustup target list --installed | grep -q "^$$target$$"; then \
			echo "for $$target"; \
			RUSTFLAGS="-D warnings" cargo check --target-dir target/platforms --target "$$target" $(LIBRARIES) --no-default-features || exit; \
		else \
			echo "note: $$target is not installed here (rustup target add $$target)"; \
		fi; \
	done

doc: ## the documentation, in target/doc
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# A program without std; were std linked, its panic handler would be the second one.
NO_STD = cargo run --quiet --manifest-path core/no-std/Cargo.toml --target-dir target/no-std

no-std: ## core without std: linked into a program that runs on this host, and built for bare metal where that target can be had
	$(NO_STD)
	$(NO_STD) --features deflate
	@if rustup target list --installed 2>/dev/null | grep -q thumbv7em-none-eabihf; then \
		cargo build -p sansws-core --no-default-features --target thumbv7em-none-eabihf && \
		cargo build -p sansws-core --no-default-features --features deflate --target thumbv7em-none-eabihf; \
	else \
		echo "note: the target thumbv7em-none-eabihf is not installed here (rustup target add thumbv7em-none-eabihf);" \
			"core was tried without std on the host only"; \
	fi

conformance: ## sansws under wsconform, its own suite, in full (about eleven minutes); reports in target/conformance
	conformance/run.sh

foreign: ## other libraries under wsconform (most of an hour); rewrites docs/scoreboard.md and the table in conformance/README.md
	conformance/foreign/setup.sh
	conformance/foreign/run.py

fuzz: ## each fuzz target for SECONDS_EACH seconds; installs cargo-fuzz
	core/fuzz/run.sh $(SECONDS_EACH)

wsconform: ## wsconform as a static program, a wheel and an npm package, in target/wsconform
	conformance/packages/build.sh

site: ## the guides as a site in target/site; installs mdbook first
	command -v mdbook >/dev/null || cargo install --locked mdbook
	mdbook build docs

packages: ## what a release would publish, and an application that depends on it
	examples/packages/run.sh

# What the public interface is compared with: the last release, as a tag. Nothing was released yet: the commit since which its changes count.
BASELINE ?= b0a07d93893fa14c637c7ec87fd0c7054e6aa77a

semver: ## the public interface, compared with BASELINE, a tag or a commit (about ten minutes); installs cargo-semver-checks first
	command -v cargo-semver-checks >/dev/null || cargo install --locked cargo-semver-checks
	cargo semver-checks $(LIBRARIES) -p sansws-conformance --all-features --baseline-rev $(BASELINE)

bench: ## echo servers side by side, ours and others' (about eight minutes); fan-outs: see examples/bench/README.md
	cargo run --release --manifest-path examples/bench/Cargo.toml -- run
