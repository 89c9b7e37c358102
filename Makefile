# What one needs: Go (the version in go.mod), Node 20 or newer with npm, make and sh. Nothing else is installed by hand: the
# compilers of the SDKs' languages come by themselves, from Debian's packages and npm.
#
#   make test     everything that must hold; also what .ci/run calls
#   make build    the binary, bin/sluice
#   make help     the other targets

SHELL := /bin/sh
GO    ?= go
NPM   ?= npm

# The journeys have a target of their own: they need the npm client and a built binary.
UNIT = $$($(GO) list ./... | grep -v '/e2e$$')

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s

.PHONY: test build lint fmt vet staticcheck vuln toolchains unit faults torture s3 sdk e2e wasm bench compare engines soak fuzz clean help

test: lint unit faults s3 sdk e2e ## everything that must hold before a change lands

build: ## the binary, bin/sluice
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/sluice ./cmd/sluice

lint: fmt vet staticcheck vuln ## formatting, go vet, staticcheck, known vulnerabilities

fmt:
	.ci/fmt

vet:
	$(GO) vet ./...
	cd bench && $(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

vuln:
	.ci/vuln

toolchains: ## what the SDKs are built and tested with, where it is missing (root or sudo)
	.ci/toolchains

unit: toolchains ## the tests beside the code, with the race detector
	$(GO) test -race -timeout 10m $(UNIT)

# Tests that mount a disk, where the machine does not allow it.
MOUNTING = ^Test((Files)?(PowerCuts|DiskErrors|FullDisk|KillAtEveryCall)|PowerCutsWhileRelaxed|SlowDisk)$$

faults: ## kills, full and failing disks, damage, races: the short form
	cd torture && $(GO) vet ./...
	@if .ci/can-mount; then cd torture && $(GO) test -count=1 -timeout 5m ./...; else \
		echo "*** This user cannot mount a disk here: power cuts, disk errors and full disks are left out. ***" >&2; \
		cd torture && $(GO) test -count=1 -timeout 5m -skip '$(MOUNTING)' ./...; fi

torture: ## the same, for hours, and the store against its model for a million operations
	TORTURE=long $(GO) test -count=1 -timeout 12h -v -run '^Test(Store|Races)$$' ./kv
	cd torture && TORTURE=long $(GO) test -count=1 -timeout 12h -v ./...
	SLUICE_TEST_KILLS=1000 $(GO) test -count=1 -timeout 12h -v -run '^TestKillDuringUploads$$' ./e2e

s3: ## files in a bucket of a real S3 service, which is built and started here
	cd e2e/s3 && $(GO) vet ./... && $(GO) test -count=1 -timeout 5m ./...

sdk: toolchains ## the SDKs' libraries, each in its language; the demo's guest and the benchmarks, modules of their own
	.ci/sdk
	cd sdk/go && $(GO) vet ./... && $(GO) test -race ./...
	cd demo/guest && $(GO) vet ./... && $(GO) test -race ./...
	cd bench && $(GO) vet ./... && $(GO) test ./...

wasm: ## the demo's guest, demo/demo.wasm, from its source
	sh demo/build.sh

e2e: toolchains e2e/sdk/node_modules/.package-lock.json ## the real binary, driven from outside
	$(GO) test -count=1 -timeout 8m ./e2e

e2e/sdk/node_modules/.package-lock.json: e2e/sdk/package-lock.json
	cd e2e/sdk && $(NPM) ci --no-audit --no-fund
	@touch $@

bench: toolchains ## every benchmark, with allocations
	$(GO) test -run '^$$' -bench . -benchmem $(UNIT)

compare: ## a node beside PocketBase and bare servers, over HTTP: a quarter of an hour
	cd bench && $(GO) run ./compare

engines: toolchains ## a guest's call beside wazero alone, Extism, goja, OPA and CEL: three minutes
	cd bench/engines && $(GO) vet ./... && $(GO) test ./... && $(GO) run .

soak: ## a good project beside a hostile one, ten minutes
	cd bench && $(GO) run ./soak

fuzz: ## every fuzz target for FUZZTIME each (default 10s)
	@set -e; for package in $(UNIT); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

clean: ## what was built or installed here
	rm -rf bin e2e/sdk/node_modules sdk/assemblyscript/node_modules

help: ## this list
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
