# The two that matter: make run, make test. "make help" lists the others.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X weir/internal/version.release=$(VERSION) -X weir/internal/version.commit=$(COMMIT)
PREFIX  ?= /usr/local
T       ?=
ARGS    ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-clients build pages install lint fmt fuzz mutants protocols test-large soak sim generate deps

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

run: ## install what is missing, build, start a demo stream and say what to type next
	@scripts/install build
	@$(MAKE) --no-print-directory build
	bin/weir demo $(ARGS)

test: ## install what is missing and run every test
	@scripts/install build test browser
	@scripts/test

test-clients: ## real clients, also those of Debian 13 and OBS Studio (makes a Debian 13 root once)
	@scripts/install build test browser clients
	@scripts/trixie
	@$(MAKE) --no-print-directory build
	WEIR_TEST_TRIXIE=1 go test -count=1 -timeout=45m -v $(if $(T),-run '$(T)') ./test

build: pages ## bin/weir, one static binary with its pages
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/weir ./cmd/weir

# The pages are built again if one of their sources is newer. Without npm the program is
# built all the same, with those there are or with one that says what is missing.
ifneq ($(shell command -v npm),)
pages: web/dist/watch.html
else
pages:
	@echo "npm is missing: the pages are not built (Node 20 or newer has it)" >&2
endif

web/dist/watch.html: web/node_modules/.package-lock.json $(wildcard web/*.html web/*.ts web/src/*)
	cd web && npm run --silent build -- --logLevel warn
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --silent --no-audit --no-fund
	@touch $@

install: build ## put bin/weir under PREFIX (/usr/local)
	install -D -m 755 bin/weir $(DESTDIR)$(PREFIX)/bin/weir

lint: pages ## the linters of .golangci.yml, of the pages and of the scripts
	cd web && npm run --silent check
	go tool -modfile=tools/go.mod golangci-lint run ./...
	shellcheck scripts/* .ci/run

fmt: ## format the Go sources
	go tool -modfile=tools/go.mod gofumpt -modpath weir -w $$(git ls-files -co --exclude-standard '*.go')

fuzz: ## every fuzz target for T (1m) each
	@scripts/fuzz $(or $(T),1m)

# The folders of which docs/mutants.md says what their tests notice; behind "=", whose tests.
MUTANTS := internal/stream=internal/stream,internal/mux internal/fanout=internal/fanout,internal/mux internal/admit \
	internal/session rtmp:chunk_reader.go amf codec codec/aac codec/h264 codec/h265 format/flv format/fmp4 format/m3u8 format/mpegts

mutants: ## make N (20) small mistakes in each folder of T, and list those that no test finds
	cd tools && go run ./mutants -C .. -n $(or $(N),20) $(ARGS) $(or $(T),$(MUTANTS))

protocols: pages ## add a toy protocol and delete each one in turn, by a folder and a line
	@scripts/protocols

test-large: ## recordings and uploads at full size: a million files, a full disk for an hour, 100 killed uploads, a day in memory (ten minutes)
	@scripts/install build test
	WEIR_TEST_LARGE=1 go test -count=1 -timeout=30m -v -run 'C400|P13|P14|P25|C422|Memory' ./internal/archive ./internal/record

soak: ## all tests again and again, in random order and with the race detector, for T (30m)
	@scripts/install build test
	@scripts/soak $(or $(T),30m)

sim: ## simulate hub, timeline, logs and delivery from SEEDS (200) seeds
	go test -count=1 ./internal/mux -run TestSimulation -sim.seeds $(or $(SEEDS),200)

generate: ## everything that is made from the sources
	go generate ./...

deps: ## install the Debian packages that all targets need
	@scripts/install build test browser bench clients

-include bench/bench.mk
