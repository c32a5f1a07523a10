# Everything a person does with this repository. `make demo` and `make test` install what is missing first.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The bindings' build script needs OpenCV's place only where there is no opencv4.pc (Debian's partial packages).
MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null || echo $(shell uname -m)-linux-gnu)
ifneq ($(shell pkg-config --exists opencv4 2>/dev/null && echo yes),yes)
export OPENCV_LINK_LIBS ?= opencv_core,opencv_imgproc,opencv_imgcodecs,opencv_videoio
export OPENCV_LINK_PATHS ?= /usr/lib/$(MULTIARCH)
export OPENCV_INCLUDE_PATHS ?= /usr/include/opencv4,/usr/include/$(MULTIARCH)/opencv4
endif
export ORT_DYLIB_PATH ?= $(CURDIR)/.falld/libonnxruntime.so

.PHONY: help demo test build check install bench soak model setup-build setup-test setup-bench

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 18

demo: setup-build ## See falld raise an alert (SOURCE=rtsp://… | /dev/video0 | FILE for your own camera)
	cargo build --release --locked
	cargo run --release --locked --quiet --example demo -- $(if $(SOURCE),"$(SOURCE)")

test: setup-test check ## Run every check and test
	cargo test --locked --all-targets
	cargo test --locked --doc
	cargo test --locked --no-default-features

check: setup-build ## Formatting, lints and documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet

build: setup-build ## Build the release program
	cargo build --release --locked

# What is installed, and where to; DESTDIR stages it for a package. `make build` first: nothing is compiled as root.
PROGRAM ?= target/release/falld
MODEL ?= models/bundle
RUNTIME ?= $(ORT_DYLIB_PATH)
PREFIX ?= /usr
SYSCONFDIR ?= /etc
lib = $(DESTDIR)$(PREFIX)/lib
share = $(DESTDIR)$(PREFIX)/share

install: ## Install program, model, runtime, unit and a first configuration (after make build, as root; DESTDIR=… stages)
	@for need in "$(PROGRAM)" "$(MODEL)/manifest.json" "$(RUNTIME)"; do \
		[ -f "$$need" ] || { echo "make install: $$need is missing: run \`make build\` (and \`make model\`) first" >&2; exit 1; }; \
	done
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/falld
	install -D -m 755 $(RUNTIME) $(lib)/falld/libonnxruntime.so
	install -d -m 755 $(share)/falld/model $(share)/doc/falld/schemas
	install -m 644 $(wildcard $(MODEL)/*.json $(MODEL)/*.onnx $(MODEL)/*.md) $(share)/falld/model/
	install -D -m 644 systemd/falld.service $(lib)/systemd/system/falld.service
	install -D -m 644 systemd/falld.sysusers $(lib)/sysusers.d/falld.conf
	install -D -m 644 systemd/falld.tmpfiles $(lib)/tmpfiles.d/falld.conf
	install -m 644 $(wildcard README.md CHANGELOG.md) LICENSE docs/installation.md docs/operations.md deploy/falld.toml \
		deploy/prometheus-rules.yml $(wildcard deploy/home-assistant/*.yaml) $(share)/doc/falld/
	install -m 644 deploy/schemas/*.json $(share)/doc/falld/schemas/
	install -d -m 750 $(DESTDIR)$(SYSCONFDIR)/falld $(DESTDIR)$(SYSCONFDIR)/falld/conf.d
	@[ -e $(DESTDIR)$(SYSCONFDIR)/falld/falld.toml ] || \
		install -m 640 deploy/falld.toml $(DESTDIR)$(SYSCONFDIR)/falld/falld.toml
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then \
		systemd-sysusers falld.conf && systemd-tmpfiles --create falld.conf && systemctl daemon-reload; \
		echo "installed; now edit $(SYSCONFDIR)/falld/falld.toml and run: sudo -u falld falld doctor"; \
	fi

bench: setup-bench build ## Measure, against the Python loop and the bars (see docs/bench.md)
	target/release/falld bench --model models/bundle --peer .falld/peer/bin/python --out docs/bench.md

soak: setup-test ## The long tests: hours of replay, hundreds of kills
	FALLD_SOAK=1 cargo test --locked --release -- --nocapture

model: ## Make the model bundle anew (hours; see models/recipe/README.md)
	$(MAKE) -C models/recipe model

setup-build:
	@deploy/setup.sh build

setup-test:
	@deploy/setup.sh test

setup-bench:
	@deploy/setup.sh bench
