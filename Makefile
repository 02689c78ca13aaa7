# Targets for people and for CI. `make up` needs Go and nothing else.
GO      ?= go
BIN     := bin/onemore
FUZZFOR ?= 20s
PREFIX  ?= /usr/local
VERSION ?=

.PHONY: build share install release up test check lint cross bench soak fuzz servers clean

# Without cgo nothing is linked at run time: every process of a cluster starts a millisecond sooner.
build: ; @CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w $(if $(VERSION),-X main.release=$(VERSION))" -o $(BIN) .

# What a package has beside the program: manual pages and completions, as they stand in PREFIX/share.
share: ; @rm -rf bin/share && $(GO) run ./docs/man bin/share

install: build share
	@mkdir -p "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share"
	@install -m 755 $(BIN) "$(DESTDIR)$(PREFIX)/bin/onemore" && cp -R bin/share/. "$(DESTDIR)$(PREFIX)/share"

up: build ; @$(BIN) up 3

test: ; $(GO) test -timeout 40m ./...

# Everything that must hold before a change lands.
check: lint cross ; $(GO) test -race -timeout 40m ./...

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

# Packages of what is committed, and of no release yet, in bin/dist. The tools are built once, which takes minutes.
release: bin/tools/goreleaser
	@COMMIT=$$(git rev-parse --short HEAD) PATH="$(CURDIR)/bin/tools:$$PATH" GOFLAGS=-p=1 goreleaser release --snapshot --clean -p 1
bin/tools/goreleaser: release/go.mod
	@cd release && CGO_ENABLED=0 GOBIN="$(CURDIR)/bin/tools" $(GO) install -ldflags "-s -w" tool

# What only Linux can do sits behind build tags; the rest must build everywhere.
cross:
	@for os in linux darwin; do for arch in amd64 arm64; do \
	  echo "build $$os/$$arch"; GOOS=$$os GOARCH=$$arch $(GO) build -o /dev/null . && GOOS=$$os GOARCH=$$arch $(GO) vet ./... || exit 1; done; done

# Ratios from one run on this machine: docs/benchmarks.md says how to read them.
bench: build ; $(GO) run ./bench -onemore $(BIN)

# Long stress tests with bounded counts.
soak: build ; $(GO) test -tags soak -timeout 60m -count=1 -run "Kill|Run|Ups|Interrupt|Soak|Mixed" ./...

fuzz:
	@for p in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for t in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
	    echo "fuzz $$p $$t for $(FUZZFOR)"; $(GO) test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZFOR) $$p || exit 1; done; done

# The real servers that the tests launch, from Debian, and what e2e/servers/go.mod pins. None of them is started as a service.
SERVERS := etcd-server etcd-client nats-server redis-server rabbitmq-server
SERVERS += postgresql mariadb-server galera-4 mariadb-backup socat
SERVERS += memcached prometheus-alertmanager haproxy zookeeper
SERVERS += mosquitto mosquitto-clients nginx-light serf
SERVERS += nftables iproute2 curl xz-utils systemd
servers:
	@test "$$(id -u)" = 0 || { echo "make servers: run it as root (it installs Debian packages)"; exit 1; }
	@test -e /usr/sbin/policy-rc.d || { printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; touch /usr/sbin/policy-rc.d.onemore; }
	@apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SERVERS); \
	  rc=$$?; if [ -e /usr/sbin/policy-rc.d.onemore ]; then rm -f /usr/sbin/policy-rc.d /usr/sbin/policy-rc.d.onemore; fi; exit $$rc
	@cd e2e/servers && CGO_ENABLED=0 GOBIN=/usr/local/bin $(GO) install tool

clean: ; rm -rf bin
