# Everything a user needs: `make demo`, `make test`, `make build`. Run `make` alone for the list.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# How many jobs the compiler runs at once.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
SOURCES := Sources Tests Examples Package.swift Server/Sources Server/Tests Server/Package.swift

.PHONY: help setup build lite server serve demo test check-device check-kernels check-checkpoints check-server format lint docs clean distclean

help:
	@echo 'make demo [DATA=path]  train a small RetNet, generate text, show that decoding cost stays flat'
	@echo 'make build             build the release binary and link it as ./retnet'
	@echo 'make lite              build ./retnet-lite, which runs models without LibTorch (nothing is fetched)'
	@echo 'make serve [MODEL=dir] serve a model over HTTP: the one given, that of the demo, or a small one that it trains'
	@echo 'make server [TLS=1]    only build ./retnet-server, which `retnet serve` starts; with TLS=1 it can encrypt connections'
	@echo 'make test              run all tests and build the example package'
	@echo 'make check-device      compare a CUDA device with the CPU and measure it (skips where there is none)'
	@echo 'make check-kernels     compile every kernel for GPUs for every architecture (no GPU needed)'
	@echo 'make check-checkpoints convert the checkpoints of other projects, compare, generate, convert back'
	@echo 'make check-server      real clients, a browser, nonsense and a minute of broken clients against the server'
	@echo 'make setup             only fetch LibTorch into .libtorch/ (the others do this when needed)'
	@echo 'make format | lint     rewrite | check the source format'
	@echo 'make docs              build the documentation, warnings as errors'
	@echo 'make clean             remove build products; `make distclean` removes LibTorch too'
	@echo
	@echo 'LIBTORCH=folder uses a LibTorch of your own; RETNET_CUDA=1 make setup fetches the CUDA libraries.'

setup:
	@scripts/setup-libtorch

build: setup
	@JOBS=$(JOBS) scripts/build

lite:
	@JOBS=$(JOBS) scripts/build retnet-lite

server:
	@JOBS=$(JOBS) TLS=$(TLS) scripts/serve --build-only

serve:
	@JOBS=$(JOBS) TLS=$(TLS) scripts/serve $(if $(MODEL),'$(MODEL)')

demo: build
	@./retnet demo $(if $(DATA),--data '$(DATA)')

test: setup
	@JOBS=$(JOBS) scripts/test

check-device: build
	@scripts/check-device

check-kernels: setup
	@scripts/setup-nvrtc
	@RETNET_TEST_KERNELS=all swift test --jobs $(JOBS) --filter CompiledCodeTests

check-checkpoints: build
	@python3 Benchmarks/checkpoints/walk.py ./retnet

check-server: server
	@Server/Tests/Clients/run
	@Server/Tests/Page/run
	@Server/Tests/Fuzz/run
	@python3 Server/Tests/Soak/soak.py --seconds 60 --conversations 16 --misbehaving 12

format:
	@swift format format --in-place --recursive $(SOURCES)

lint:
	@swift format lint --strict --recursive $(SOURCES)

docs: setup
	@scripts/build-docs

clean:
	@rm -rf .build Server/.build retnet retnet-lite retnet-server

distclean: clean
	@rm -rf .libtorch
