# SpamCatcher. `make run` and `make test` need nothing but Go, git and make on
# a Debian machine; what else the build needs, `deps` installs from Debian.
SHELL   := /bin/sh
GO      ?= go
BINARY  := bin/spamcatcher
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)$(shell git diff --quiet HEAD -- 2>/dev/null || echo +)
LDFLAGS := -s -w -X main.version=$(VERSION)

# YARA comes from a C library. With CGO_ENABLED=0 everything builds without it, and
# the program says that YARA signatures are unavailable.
CGO_ENABLED ?= 1
export CGO_ENABLED

# The binary has the C libraries inside and runs on any Linux.
ifeq ($(CGO_ENABLED),1)
LIBRARIES := -lcrypto -lmagic -ljansson -llzma -lbz2 -lz -lm -ldl
STATIC    := -tags yara_static,netgo,osusergo
LDFLAGS   += -linkmode external -extldflags "-static -Wl,--no-warnings $(LIBRARIES)"
endif

# Where labelled mail and test suites stand that are not part of the project.
export SPAMCATCHER_SHARED ?= $(abspath ../shared)

# Debian packages that the build needs, and those that the end-to-end tests
# use as peers.
ifeq ($(CGO_ENABLED),1)
BUILD_PACKAGES := gcc libc6-dev pkg-config libyara-dev liblzma-dev libbz2-dev zlib1g-dev
endif
PEER_PACKAGES  := swaks libnet-ssleay-perl postfix strace python3 spamassassin e2fsprogs mount \
                  minisign openssl qpdf qrencode p7zip-full bzip2 xz-utils clamav-daemon clamav-testfiles

FUZZTIME ?= 20s

.PHONY: run build test race fuzz bench bench-record bench-check evasion evasion-record memory model peers throughput signatures-peers torture corpus lint deps peers-deps clean

run: build
	$(BINARY) run $(ARGS)

build: deps
	$(GO) build -trimpath $(STATIC) -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/spamcatcher

test: deps
	$(GO) vet ./...
	CGO_ENABLED=0 $(GO) vet ./...
	$(GO) test -timeout 9m ./...
	CGO_ENABLED=0 $(GO) test ./signatures/...

race: deps
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

# Every fuzz target for FUZZTIME each.
fuzz: deps
	@set -e; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

# The stages of the per-message path beside the last record, by allocations
# and by ratio to a fixed job, and how many copies and strangers the fuzzy
# fingerprint matches; then the benchmarks of the rooms.
bench: deps
	SPAMCATCHER_BENCH=compare $(GO) test -count=1 -run '^Test(Stages|Fingerprints)' -v ./bench
	$(GO) test -run '^$$' -bench . -benchmem ./engine/... ./rules/... ./queue ./gateway/... ./signatures/...

# Appends a record to bench/records/stages.csv: with a change that is worth
# what it costs, or one that made the path quicker.
bench-record: deps
	SPAMCATCHER_BENCH=record SPAMCATCHER_COMMIT=$(COMMIT) $(GO) test -count=1 -run '^TestStages' -v ./bench

# Fails if a stage takes more from the heap than the last record says, or
# answers wrongly; never because of time. The other benchmarks run once, since
# they check their answers.
bench-check: deps
	SPAMCATCHER_BENCH=check $(GO) test -count=1 -run '^TestStages' -v ./bench
	$(GO) test -run '^$$' -bench . -benchtime 1x ./bench ./engine/... ./rules/... ./queue ./gateway/... ./signatures/...

# How many caught spams are still caught when rewritten by the tricks of the
# trade; evasion-record writes what was reached, which tests then hold.
evasion: deps
	SPAMCATCHER_EVASION=compare $(GO) test -count=1 -run '^TestEvasion$$' -v ./bench

evasion-record: deps
	SPAMCATCHER_EVASION=record $(GO) test -count=1 -run '^TestEvasion$$' -v ./bench

# A million small messages in one process: the curve of its memory.
memory: deps
	SPAMCATCHER_MESSAGES=1000000 $(GO) test -count=1 -timeout 60m -run '^TestMemory$$' -v ./bench

# Trains and measures rspamd, SpamAssassin and bogofilter beside SpamCatcher
# and writes bench/PEERS.md. Needs root and SPAMCATCHER_SHARED.
peers: build
	./bench/peers.sh

# Messages a second and CPU per message beside Postfix, and beside Postfix with
# rspamd; writes bench/THROUGHPUT.md. Needs root and SPAMCATCHER_SHARED.
throughput: build
	./bench/throughput.sh

# Start and memory beside clamd, with the same signatures; writes
# bench/SIGNATURES.md. Needs clamav-daemon, and SPAMCATCHER_SHARED for the public
# rules.
signatures-peers: build
	python3 bench/signatures.py

# The lessons and the model in the binary, from mail whose licence allows it:
# the project's own, and the labelled mail without the non-commercial set.
model: build
	$(BINARY) train --ham rules/builtin/testdata/good --ham rules/builtin/testdata/shapes \
	  --spam rules/builtin/testdata/spam --lessons bayes/anchors.bin
	$(BINARY) train --base $(SPAMCATCHER_SHARED)/corpus/boundary --labels $(SPAMCATCHER_SHARED)/corpus/dev-train.txt \
	  --exclude phishing-pot --anchors bayes/anchors.bin --output bayes/model.bin

# Kills the process, cuts its power, takes its disk, memory and descriptors away,
# and counts what is lost: nothing may be. A few minutes; FULL=1 takes about half
# an hour, with the long forms of the attacks and of the queue's own tests. Root
# is needed for most of it; what cannot be done is said, and skipped.
ifdef FULL
KILLS   ?= 1000
CUTS    ?= 500
LARGE   ?= 200
else
KILLS   ?= 100
CUTS    ?= 20
LARGE   ?= 40
endif
# Every test in the files of that name.
tests   = $(shell sed -n 's/^func Test\([A-Za-z0-9]*\).*/\1/p' $(1) | paste -sd '|')
TORTURE = $(call tests,cmd/spamcatcher/torture_*_test.go)
ATTACKS = $(call tests,cmd/spamcatcher/attack_*_test.go)

torture: deps
	@out=$$(mktemp) && trap 'rm -f "$$out"' EXIT && \
	SPAMCATCHER_TORTURE=1 SPAMCATCHER_KILLS=$(KILLS) SPAMCATCHER_CUTS=$(CUTS) SPAMCATCHER_LARGE=$(LARGE) QUEUE_KILLS=100 QUEUE_CUTS=50 \
	  $(GO) test -count=1 -timeout 80m -v -run '^Test($(TORTURE)$(if $(FULL),|$(ATTACKS)|Kill|PowerCut))$$' ./cmd/spamcatcher $(if $(FULL),./queue) 2>&1 | \
	  tee "$$out" | sed -u -n -E 's/^ *[a-z_]+_test\.go:[0-9]+: (FIGURES|SKIPPED)/\1/p; /^--- /p; /^(ok|FAIL)/p'; \
	if grep -q '^FAIL' "$$out" || ! grep -q '^ok' "$$out"; then cat "$$out"; exit 1; fi

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l . ; echo 'run gofmt -w on the files above'; exit 1; }
	$(GO) vet ./...

# Installs what is missing and says so; does nothing when nothing is missing.
deps:
	@command -v $(GO) >/dev/null || { echo 'Go 1.26 or newer is needed: https://go.dev/dl/'; exit 1; }
	@./.ci/packages $(BUILD_PACKAGES)

# The peers of the end-to-end tests, which are skipped where these are absent.
peers-deps:
	@./.ci/packages $(PEER_PACKAGES)

clean:
	rm -rf bin
