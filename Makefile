# A thin front door: everything real is in meson.build and scripts/. `make help` lists the targets.
BUILD ?= build/dev
JOBS ?= $(shell nproc)

.DEFAULT_GOAL := build
.PHONY: help build run test unit nightly interop bench lint format fuzz asan sanitize coverage tsan docs install clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

build: ## build the program and its tests (installs what is missing first)
	@scripts/setup build
	@scripts/configure $(BUILD)
	@ninja -C $(BUILD) -j $(JOBS)

run: build ## the sample: a small living shop in SQLite, mirrored
	@DATAMIRROR=$(abspath $(BUILD))/datamirror samples/run.sh

test: build ## unit, fuzz corpus, end-to-end and crash tests
	@scripts/setup test
	@scripts/test $(BUILD) $(TESTS)

unit: build ## the unit tests only
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs

nightly: build ## what random tests do in a night: 2 000 change sets, 500 kills (about an hour each), 200 power cuts, 200 seeds of all features, 20 random mixes
	@scripts/setup test
	@DM_SKIP_UNIT=1 DM_CASES=2000 DM_KILLS=500 DM_CUTS=200 DM_FLIPS=200 DM_SEEDS=200 scripts/test $(BUILD) -k "convergence or all_features or kill or kills or test_cut or index_damage"
	@for seed in $$(shuf -i 1-999999 -n 20); do echo "seed $$seed"; \
		DM_SKIP_UNIT=1 DM_SEED=$$seed scripts/test $(BUILD) -k "test_random_postgres or test_random_sqlite" || exit 1; done
	@DM_SKIP_UNIT=1 DM_FUZZ_SECONDS=600 scripts/test $(BUILD) -k random_requests

interop: build ## Spark and other engines read what the mirror writes
	@scripts/setup interop
	@DATAMIRROR=$(abspath $(BUILD))/datamirror DM_BUILD=$(abspath $(BUILD)) build/venv/bin/python -m pytest -q -ra tests/interop

bench: ## speed and memory, beside the source's own tools
	@scripts/setup test
	@scripts/setup build
	@scripts/configure build/release --buildtype=release
	@ninja -C build/release -j $(JOBS) datamirror
	@DATAMIRROR=$(CURDIR)/build/release/datamirror build/venv/bin/python bench/run.py $(BENCH)

lint: build ## layers, format, static analysis, warnings as errors, generated pages
	@scripts/setup lint
	@scripts/lint $(BUILD)

format: ## rewrite the C files by .clang-format
	@scripts/setup lint
	@find src tests bench -name '*.[ch]' | xargs clang-format -i

fuzz: ## every fuzz target for FUZZ_SECONDS (default 60) each
	@scripts/setup fuzz
	@scripts/fuzz

asan: ## the tests under AddressSanitizer and UBSan
	@scripts/setup test
	@scripts/configure build/asan -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C build/asan -j $(JOBS)
	@DM_SLOW=4 ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=$(CURDIR)/scripts/lsan.supp \
		UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 scripts/test build/asan $(TESTS)

sanitize: ## the same with the unit tests and a short selection of the others
	@$(MAKE) --no-print-directory asan TESTS="-m smoke"

coverage: ## lines that the tests reach, by folder (TESTS chooses as in make test)
	@scripts/setup coverage
	@scripts/configure build/coverage -Db_coverage=true
	@ninja -C build/coverage -j $(JOBS)
	@scripts/coverage build/coverage $(TESTS)

tsan: ## the unit and end-to-end tests under ThreadSanitizer
	@scripts/setup test
	@scripts/configure build/tsan -Db_sanitize=thread -Db_lundef=false
	@ninja -C build/tsan -j $(JOBS)
	@DM_SLOW=6 TSAN_OPTIONS=suppressions=$(CURDIR)/scripts/tsan.supp scripts/test build/tsan $(TESTS)

docs: build ## write the generated pages docs/configuration.md and docs/commands.md
	@scripts/docs $(BUILD)/datamirror --write

install: build ## install to PREFIX (default /usr/local)
	@scripts/configure build/install --buildtype=release -Db_pie=true --prefix=$(or $(PREFIX),/usr/local)
	@meson configure build/install --prefix=$(or $(PREFIX),/usr/local)
	@ninja -C build/install -j $(JOBS) datamirror
	@meson install -C build/install --no-rebuild

clean: ## remove build/ (not node_modules/)
	rm -rf build
