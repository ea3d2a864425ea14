# Thin: each target says what it does, and calls what does it. Needs Rust, Go, Python 3, Node, a C compiler and make.
# Build caches stand outside the checkout, so that a fresh clone finds them.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/chaperone
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(CACHE)/tools/bin:$(PATH)
# The highest tier of tests to run: e2e/README.md.
export CHAPERONE_E2E ?= 1

# What the names of images begin with: `make image REPOSITORY=registry.example.com/ai`.
REPOSITORY ?= localhost

.PHONY: help demo image test test-node check unit e2e soak bench bench-feed bench-gate fuzz gen tools advisories

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: ## Build, run the quick start on built-in mock partners, show what happened
	@scripts/need cargo cc curl
	@scripts/demo

image: ## Build the release as OCI images, static and without a container engine: docs/images.md
	@scripts/need cargo cc python3
	@scripts/images $(REPOSITORY) $(CARGO_TARGET_DIR)/images

test: tools check unit bench-gate e2e ## Set up and pass all tests
	@echo "all tests passed"

tools: ## Say which programs are missing, and how to get them
	@scripts/need cargo cc go python3 node npm

check: ## Format, lints, documentation, dependency rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p chaperone --all-targets --features cluster --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked
	scripts/trees
	scripts/deny

unit: ## Pure, golden and in-process tests: no network beyond loopback, no cluster
	cargo test --workspace --exclude chaperone-e2e --features chaperone-redact/train,chaperone/cluster --locked

e2e: ## The shipped binaries against scripted partners, the official SDKs and a real API server
	cargo build -p chaperone --features cluster --locked
	e2e/clients/setup
	cargo run -q -p chaperone-e2e --bin chaperone-e2e-tools --locked
	CHAPERONE_BIN=$(CARGO_TARGET_DIR)/debug/chaperone cargo test -p chaperone-e2e --locked

test-node: ## Pods on a real node, for a quarter of an hour; needs root, containerd, runc, CNI plugins and nftables
	CHAPERONE_E2E=3 cargo run -q -p chaperone-e2e --bin chaperone-e2e-tools --locked
	CHAPERONE_E2E=3 CHAPERONE_E2E_LONG=1 CHAPERONE_E2E_REQUIRED=1 cargo test -p chaperone-e2e --locked --test 'node_*'

soak: ## The same at full counts: a day of 100,000 requests among failing partners, half an hour without an operator
	CHAPERONE_DAY=100000 cargo test --release -p chaperone-sidecar --lib --locked -- --nocapture a_day_with
	CHAPERONE_SOAK_MINUTES=$(or $(CHAPERONE_SOAK_MINUTES),30) cargo test -p chaperone-e2e --test soak_orphan --locked -- --nocapture

bench-gate: ## Instructions and allocations of redaction against their baseline; counted, so no clock decides
	cargo bench -p chaperone-redact --bench gate --locked

bench: ## How fast redaction is, what it adds to a request and to memory, and how long a neighbour waits
	cargo bench -p chaperone-redact --bench speed --bench request --bench neighbour --locked

bench-feed: ## 2,000 simulated sidecars and 1,000 objects on one leader, beside the targets; needs Go
	cargo run -q --profile bench -p chaperone-e2e --bin chaperone-e2e-bench-feed --locked -- 2000 1000

fuzz: ## Ten minutes of random input for each of walker, engine, streams and restoring
	redact/fuzz/run 600

gen: ## Write generated files: the CRDs' YAML, plain and in the chart
	cargo run -q -p chaperone-crds --example gen

advisories: ## Known vulnerabilities of dependencies; fetches its database from the internet
	cargo deny check advisories
