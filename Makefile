# A thin front door: everything real is in meson.build and scripts/.
BUILD ?= build/dev
DUCKDB_LIB = $(CURDIR)/node_modules/@duckdb/node-bindings-linux-$(if $(filter aarch64,$(shell uname -m)),arm64,x64)
DUCKDB_INCLUDE = node_modules/duckdb/src/duckdb/src/include

.PHONY: build
build:
	@test -d $(BUILD) || meson setup $(BUILD) -Dduckdb_lib=$(DUCKDB_LIB) -Dduckdb_include=$(DUCKDB_INCLUDE)
	@ninja -C $(BUILD)
