# Galen: each target does its own set-up, from a clean clone on a bare Debian 12 with Go, git and make.
#   make demo    build, run the whole job on synthetic patients, go on serving (DEMO_FLAGS=--once ends by itself)
#   make test    everything that must hold: format, vet, static analysis, rules, unit, conformance, black-box
#   make build   bin/galen

SHELL := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFLAGS_BUILD := -ldflags "-s -w -X main.version=$(VERSION)"
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export CGO_ENABLED := 1

.PHONY: build demo test fast fuzz fmt vet lint unit assets setup-build setup-demo setup-test models generate compat bench clean

build: setup-build assets
	go build $(GOFLAGS_BUILD) -o bin/galen ./cmd/galen

demo: setup-demo build
	bin/galen demo $(DEMO_FLAGS)

# Third-party parts that are not Go: fetched by their package managers, checked, never committed.
assets: setup-build
	scripts/assets.sh

setup-build setup-demo setup-test:
	@scripts/setup.sh $(@:setup-%=%)

test: setup-test build fmt vet lint unit

fmt:
	@bad=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$bad" ]; then echo "not gofmt'ed:"; echo "$$bad"; exit 1; fi

vet:
	go vet ./...

lint:
	go run $(STATICCHECK) ./...

unit:
	scripts/test.sh

# The quick loop while working: no set-up, no foreign clients.
fast: fmt vet
	go test -short ./...

# Every fuzz target until each has had FUZZTIME of CPU time; a run that is cut short goes on where it was.
FUZZTIME ?= 10m
fuzz: setup-build assets
	scripts/fuzz.sh --time $(FUZZTIME)

# Refresh the AWS service models from botocore's package, then generate.
models:
	go run ./aws/gen refresh
	$(MAKE) generate

generate:
	go generate ./...

bench: setup-test build
	bench/run.sh

clean:
	rm -rf bin .cache
