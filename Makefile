# The one list of verbs; CI calls these and nothing else.

SHELL := /bin/bash
CARGO ?= cargo
KEEP ?=
FUZZ_SECONDS ?= 60
IMAGE ?= nfs-subdir-external-provisioner:0.1.0
IMAGE_TOOL ?= $(firstword $(foreach tool,docker podman buildah,$(shell $(tool) info >/dev/null 2>&1 && echo $(tool))))
IMAGE_ARGS ?=
DENY = $(CARGO) deny --locked --log-level error check --hide-inclusion-graph
SCRIPTS = .ci/run $(wildcard e2e/*.sh e2e/*/*.sh e2e/*/*/*.sh manifests/*/*/*.sh) \
	e2e/uml/machine e2e/uml/guest-init e2e/uml/serve-nfs e2e/node/role e2e/node/kafka/class-archive e2e/node/kafka/image/run

.PHONY: help demo test lint fmt deny e2e e2e-kafka bench fuzz image clean-run

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole thing on this machine, with no cluster and no root; KEEP=1 stays up
	KEEP=$(KEEP) $(CARGO) run --locked --quiet --example demo

test: ## all tests that need nothing but Rust
	$(CARGO) test --workspace --locked

lint: ## format, clippy, documentation, shell scripts, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked --quiet
	@if command -v shellcheck >/dev/null; then \
	  echo shellcheck $(SCRIPTS); shellcheck -x -P SCRIPTDIR $(SCRIPTS); \
	else echo 'shellcheck is not installed: scripts not checked'; fi
	@if command -v cargo-deny >/dev/null; then $(DENY) licenses bans sources; \
	else echo 'cargo-deny is not installed: licences not checked'; fi

fmt: ## put the format right
	$(CARGO) fmt --all

deny: ## licences, bans, sources and advisories of the dependencies (needs cargo-deny)
	$(DENY)

e2e: ## the scenarios on a real API server and real NFS servers (root; see e2e/README.md)
	e2e/run.sh scenarios $(ARGS)

e2e-kafka: ## Kafka on a real node, and the quick start by its own commands (root; see e2e/README.md)
	e2e/run-kafka.sh

bench: ## the benchmarks on the same real parts
	e2e/run.sh bench $(ARGS)

fuzz: ## each fuzz target for FUZZ_SECONDS (needs cargo-fuzz and a nightly toolchain)
	@set -e; for target in $$($(CARGO) +nightly fuzz list); do \
	  echo "fuzz $$target for $(FUZZ_SECONDS) s"; \
	  $(CARGO) +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS); done

image: ## the container image, with docker, podman or buildah
	@test -n "$(IMAGE_TOOL)" || { echo 'none of docker, podman and buildah works here' >&2; exit 1; }
	$(IMAGE_TOOL) build --build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE) $(IMAGE_ARGS) .

clean-run: ## take down a world that was left up (E2E_BASE_PORT or E2E_WORLD says which)
	e2e/world.sh down
