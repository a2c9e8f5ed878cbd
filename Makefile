# Pestle: what a newcomer types. Each target says what it needs and does; `make` alone prints this list.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo demo-check demo-clean test power-cuts simulate chaos fuzz bench image image-run hil screenshots data fmt lint build setup-demo setup-bench setup-test setup-image

CARGO ?= cargo
LOCKED ?= --locked
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Always the whole workspace, and always with its tests' features: any narrower choice would compile the dependencies twice.
BUILD := $(CARGO) build $(LOCKED) --workspace --bins --tests
# What is proved at full length and what is measured is built as it is shipped.
SHIPPED := $(CARGO) build --release $(LOCKED) --workspace --bins

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: setup-demo build ## start the gateway, two branches and their simulated devices; Ctrl-C ends all of it
	@exec $(TARGET)/debug/pestle-demo run

demo-check: setup-demo build ## do the same without a person, pull every plug, and compare all totals
	@exec $(TARGET)/debug/pestle-demo check

demo-clean: build ## forget the demo's state
	@exec $(TARGET)/debug/pestle-demo clean

test: setup-test ## set up what is missing, then every check and every test
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings
	$(BUILD)
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run $(LOCKED) --workspace --test-threads $$((2 * $$(nproc))); \
	else \
	  $(CARGO) test $(LOCKED) --workspace --lib --bins --tests; \
	fi

chaos: setup-test ## kill real programs at random under load and compare all totals; ROUNDS=500, SEED=… to repeat one
	$(SHIPPED)
	@exec $(TARGET)/release/pestle-chaos --rounds $(or $(ROUNDS),500) $(if $(SEED),--seed $(SEED))

fuzz: ## look for bytes that a parser cannot bear: FUZZ=gs1 for one target, RUNS=10000000 or SECONDS_EACH=3600
	$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	@for target in $(or $(FUZZ),$(notdir $(wildcard hil-tests/fuzz/corpus/*))); do \
	  echo "== $$target"; \
	  RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir hil-tests/fuzz --sanitizer none $$target -- -print_final_stats=1 -verbosity=0 \
	    -runs=$(or $(RUNS),10000000) -max_total_time=$(or $(SECONDS_EACH),3600) -max_len=4096; \
	done

# N cuts of the journal alone, and three for each hundred of them of the whole agent.
N ?= 10000
power-cuts: setup-test ## cut the power N times (10000) and compare what is left with what was told; SEED=… chooses the cuts
	$(SHIPPED)
	$(TARGET)/release/pestle-power-cuts journal --cuts $(N) $(if $(SEED),--seed $(SEED))
	$(TARGET)/release/pestle-power-cuts agent --cuts $$(( ($(N) * 3 + 99) / 100 )) $(if $(SEED),--seed $(SEED))

SEEDS ?= 100000
simulate: ## live SEEDS simulated lives (100000) and check each step; FROM=… is the first seed, BUG=… plants a bug
	$(SHIPPED)
	exec $(TARGET)/release/pestle-simulate --seeds $(SEEDS) $(if $(FROM),--from $(FROM)) $(if $(BUG),--bug $(BUG))

bench: setup-bench ## measure against the baselines; writes target/bench.json; FIGURES="disk …" measures these alone, and replaces their rows there
	$(SHIPPED)
	exec $(TARGET)/release/pestle-bench $(FIGURES)

# The appliance: the agent as it is shipped, as a Debian package, in Debian's own system.
IMAGE := $(TARGET)/image
image: setup-image ## build the appliance's image, TARGET/image/pestle.img.zst; fetches Debian's packages, needs root
	$(CARGO) build --profile appliance $(LOCKED) -p pestle-agent -p pestle-provisioning
	mkdir -p $(IMAGE)
	$(CARGO) deb --no-build --profile appliance $(LOCKED) -p pestle-agent -o $(IMAGE)/pestle-agent.deb
	$(if $(filter-out 0,$(shell id -u)),sudo) images/build.sh $(IMAGE)/pestle-agent.deb $(IMAGE)

image-run: setup-image ## start the image in QEMU with its console here; STICK=folder sets the box up, then its pages are on https://localhost:8443; Ctrl-A X ends it
	@exec images/run.sh $(IMAGE)

hil: setup-test setup-image build ## try every case of the bench on the image in QEMU (make image first; as root, or two of them are ignored); RIG=… for another rig
	PESTLE_RIG=$(abspath $(or $(RIG),hil-tests/rigs/qemu.toml)) exec $(CARGO) test $(LOCKED) --workspace --test hil

screenshots: setup-test build ## take the pictures under docs/screenshots/ in a real browser (those of the appliance: PESTLE_SCREENSHOTS=1 make hil)
	PESTLE_SCREENSHOTS=1 $(CARGO) test $(LOCKED) --workspace --test it -- browser:: an_old_copy --nocapture

data: build ## write the demo's catalogue and opening stock under hil-tests/data/ anew
	@exec $(TARGET)/debug/pestle-demo data

fmt: ## format all code
	$(CARGO) fmt --all

lint: ## what `make test` checks before it builds
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings

build:
	@$(BUILD)

setup-demo:
	@hil-tests/setup.sh demo

setup-bench:
	@hil-tests/setup.sh bench

setup-test:
	@hil-tests/setup.sh test

setup-image:
	@hil-tests/setup.sh image
