# zq. `make help` lists the targets; everything that is made goes to build/.
#
#   BUILD=release|debug|asan|tsan|cov   what to build, in build/<BUILD>/ (release)
#         fuzz|afl|fuzzcov              the fuzz targets, with clang (fuzz/rules.mk)
#   PYTHON=python3                      the interpreter that zq-worker embeds
#   CC=gcc                              or clang
#   PGO=1                               a release in build/release-pgo, compiled twice: for tests/train.py
#                                       to show what is hot, and with what that showed (gcc)
#   PREFIX=/usr/local DESTDIR=          where `make install` installs

VERSION := 0.1.0

BUILD  ?= release
PYTHON ?= python3
PREFIX ?= /usr/local
ifneq ($(filter default undefined,$(origin CC)),)
CC := gcc
endif

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.SUFFIXES:
export PYTHON
MAKEFLAGS += --no-builtin-rules --no-builtin-variables
ifeq ($(MAKELEVEL),0)
ifeq ($(shell tr '\0' '\n' </proc/$$PPID/cmdline | grep -E '^(-[a-zA-Z]*j|--jobs)'),)
MAKEFLAGS += -j$(shell nproc)
endif
endif

O := build/$(BUILD)$(if $(PGO),-pgo)

# Flags ----------------------------------------------------------------------

comma := ,

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wold-style-definition -Wpointer-arith -Wvla -Wformat=2 -Wundef \
            -Wwrite-strings -Wimplicit-fallthrough -Wredundant-decls \
            -Wno-unused-parameter -Wno-format-zero-length -Werror

HARDENING := -fstack-protector-strong -fPIE
ifeq ($(shell uname -m),x86_64)
HARDENING += -fcf-protection=full -fstack-clash-protection
endif
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3

# SANITIZE is kept apart because the worker of the tsan build goes without:
# CPython is not built for it.
ifeq ($(BUILD),release)
OPTIMIZE := -O2 -g $(FORTIFY)
# What is shipped is optimised as a whole; tests are linked from the same objects, without that.
ifeq ($(findstring clang,$(CC)),)
LTO      := -flto=auto
OPTIMIZE += $(LTO) -ffat-lto-objects
NO_LTO   := -fno-lto
# Plain stores to zero a struct, where gcc would take `rep stos`: that takes long to start, and a
# warm hit has several of them.
ifeq ($(shell uname -m),x86_64)
OPTIMIZE += -mmemset-strategy=vector_loop:768:noalign$(comma)libcall:-1:noalign
endif
endif
else ifeq ($(BUILD),debug)
OPTIMIZE := -Og -g3 -fno-omit-frame-pointer -DZQ_DEBUG=1
else ifeq ($(BUILD),asan)
OPTIMIZE := -O1 -g -fno-omit-frame-pointer -DZQ_DEBUG=1
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
# Shared, gcc's two runtimes ignore each other's log_path, and ci/test needs the reports.
ifeq ($(findstring clang,$(CC)),)
SANITIZE += -static-libasan -static-libubsan
endif
WORKER_SANITIZE := $(SANITIZE)
else ifeq ($(BUILD),tsan)
OPTIMIZE := -O1 -g -fno-omit-frame-pointer -DZQ_DEBUG=1
SANITIZE := -fsanitize=thread
else ifeq ($(BUILD),cov)
OPTIMIZE := -O0 -g -DZQ_DEBUG=1
SANITIZE := --coverage -fprofile-update=atomic
WORKER_SANITIZE := $(SANITIZE)
else ifneq ($(filter fuzz afl fuzzcov,$(BUILD)),)
include fuzz/flags.mk
else
$(error BUILD=$(BUILD): there are release, debug, asan, tsan and cov)
endif

ifneq ($(PGO),)
ifneq ($(filter-out release,$(BUILD))$(findstring clang,$(CC))$(filter-out 1 train,$(PGO)),)
$(error PGO=1 goes with BUILD=release and gcc)
endif
# PGO=train: the first time. What was never run is optimised as if there were no profile. Warnings
# that hang on what gcc inlines are for the build without a profile to give.
PROFILE_train := -fprofile-generate -fprofile-update=prefer-atomic
PROFILE_1     := -fprofile-use -fprofile-partial-training
WARNINGS      := -w
OPTIMIZE      += $(PROFILE_$(PGO))
endif

CPPFLAGS_ALL := -D_GNU_SOURCE -DZQ_VERSION='"$(VERSION)"' -Iinclude -Isrc $(CPPFLAGS)
CFLAGS_ALL   := -std=gnu11 $(OPTIMIZE) $(HARDENING) $(WARNINGS) -pthread $(CFLAGS)
LDFLAGS_ALL  := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LDFLAGS)
LLHTTP       := build/deps/llhttp
# What libzq.a needs; the worker does not have it.
LIBRARIES    := -lz -lbrotlienc -lzstd

# Everything an object depends on besides its sources; rewritten when it changes.
FLAGS := $(CC) | $(CPPFLAGS_ALL) | $(CFLAGS_ALL) | $(SANITIZE) | $(LDFLAGS_ALL) $(LIBRARIES)

# Sources --------------------------------------------------------------------

# ROOMS= may be narrowed while a room does not compile yet:
#   make build/debug/tests/test_arena ROOMS=base
ROOMS    ?= base net http cache wire front super
SOURCES  := $(sort $(foreach r,$(ROOMS),$(wildcard src/$r/*.c)))
MAIN     := src/super/main.c
OBJECTS  := $(patsubst src/%.c,$O/obj/%.o,$(filter-out $(MAIN),$(SOURCES)))
SHARED   := $(sort $(wildcard src/base/*.c src/wire/*.c))
WORKER   := $(sort $(wildcard src/worker/*.c))
TESTS    := $(filter-out test_worker_%,$(patsubst tests/c/%.c,%,$(sort $(wildcard tests/c/test_*.c))))
TEST_BIN := $(TESTS:%=$O/tests/%) $(patsubst tests/tools/%.c,$O/tools/%,$(wildcard tests/tools/*.c))
# The worker's base and wire objects: those of zq, unless it goes without a sanitizer.
ifeq ($(SANITIZE),$(WORKER_SANITIZE))
SHARED_DIR := $O/obj
else
SHARED_DIR := $O/plain
endif
SHARED_OBJECTS := $(SHARED:src/%.c=$(SHARED_DIR)/%.o)

# Targets --------------------------------------------------------------------

.PHONY: help build release workers unit unit-build serve test test-asan test-tsan coverage \
        lint format deps install clean FORCE

## help        this list
help:
	@sed -n 's/^## //p' Makefile conformance/rules.mk fuzz/rules.mk
	@echo
	@echo 'BUILD=release|debug|asan|tsan|cov  PYTHON=python3  CC=gcc|clang  PREFIX=/usr/local  DESTDIR='

## build       zq and zq-worker for PYTHON, in build/<BUILD> (the default target)
build: $O/zq zq-worker
	@:
zq-worker:

## release     the same with BUILD=release; PGO=1: profile-guided, in build/release-pgo
release:
	@$(MAKE) --no-print-directory BUILD=release build

## workers     a zq-worker for each Python 3.11, 3.12, 3.13 that is present
workers:

## serve       set up, build, and serve examples/finance on http://127.0.0.1:8000
serve:
	@ci/setup serve
	@$(MAKE) --no-print-directory BUILD=release PGO= build
	exec env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL VIRTUAL_ENV='$(CURDIR)/build/venv' build/release/zq serve --app-dir examples/finance app:app

## unit        the C unit tests alone
unit: unit-build
	@ci/test --unit $(notdir $O)
unit-build: $(TEST_BIN)
	@:

## test        set up, build, run the unit tests and pytest (BUILD=release)
test:
	@ci/setup test
	@$(MAKE) --no-print-directory build workers unit-build
	@ci/test $(notdir $O)

## test-asan   the same with AddressSanitizer and UndefinedBehaviorSanitizer
test-asan:
	@$(MAKE) --no-print-directory BUILD=asan test

## test-tsan   the same with ThreadSanitizer (the worker goes without it)
test-tsan:
	@$(MAKE) --no-print-directory BUILD=tsan test

## coverage    the tests with gcov; text and HTML in build/coverage
coverage:
	@ci/setup coverage
	@$(MAKE) --no-print-directory BUILD=cov build workers unit-build
	@find build/cov -name '*.gcda' -delete
	@ci/test cov
	@mkdir -p build/coverage
	gcovr --root . --object-directory build/cov --filter src/ --filter include/ -j $(shell nproc) \
	    --exclude-unreachable-branches --txt build/coverage/coverage.txt \
	    --html-details build/coverage/index.html
	@cat build/coverage/coverage.txt
	@ci/coverage-gate build/cov

## lint        clang-format, cppcheck, clang-tidy, ruff and shellcheck
lint:
	@ci/setup lint
	@ci/lint

## format      rewrite the C and Python sources as lint wants them
format:
	@ci/setup lint
	@ci/lint --fix

## deps        check every #include against the rooms (who may know whom)
deps:
	@$(PYTHON) ci/deps

## install     zq, zq-worker and the Python package, under DESTDIR and PREFIX
install: build
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/zq/python/zq'
	install -m 755 $O/zq $O/zq-worker '$(DESTDIR)$(PREFIX)/bin'
	install -m 644 $(wildcard python/zq/*.py python/zq/py.typed) '$(DESTDIR)$(PREFIX)/share/zq/python/zq'

## bench       compare with other servers, about 20 minutes (see bench/README.md)
## bench-quick the same in 3 minutes; bench-full: everything, about 90 minutes, resumable
## bench-store the cache's store by itself: eviction, pauses, threads, memory; a minute
## bench-profile where the time of a hit and of a cold request goes (perf)
## bench-micro instruction counts; bench-micro-compare: against the merge base

## clean       remove what was built; build/venv and build/deps stay
clean:
	rm -rf $(foreach b,release release-pgo debug asan tsan cov fuzz afl fuzzcov,build/$b) build/coverage \
	    build/fuzz-coverage

# Rules ----------------------------------------------------------------------

# $(call keep,FILE,TEXT): the recipe that rewrites FILE when it does not hold TEXT.
keep = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$1)' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$1)' >$@

$O/flags: FORCE
	$(call keep,$(FLAGS))
$O/sources: FORCE
	$(call keep,$(SOURCES))

# The profile is beside the objects (*.gcda), which must have the same names both times: what is
# first built here is removed, and made again with the profile.
ifeq ($(PGO),1)
$O/flags $O/sources: $O/trained
$O/trained.for: FORCE
	$(call keep,$(PYTHON) $(FLAGS))
$O/trained: $O/trained.for $(SOURCES) $(WORKER) $(wildcard include/zq/* src/*/*.h) tests/train.py
	@echo '  PGO     an instrumented build first'; find $O -mindepth 1 ! -name trained.for -delete
	@$(MAKE) --no-print-directory PGO=train build
	@echo '  PGO     training it'; ZQ_BUILD_DIR=$O ZQ_WORKERS= $(PYTHON) tests/train.py
	@find $O -name '*.gcda' | grep -q . || { echo 'zq: the training left no profile' >&2; exit 1; }
	@find $O ! -type d ! -name '*.gcda' ! -name trained.for -delete; touch $@
	@echo '  PGO     with the profile'
endif

$O/obj/%.o: src/%.c $O/flags | $(LLHTTP)/.version
	@echo '  CC      $<'; mkdir -p $(@D)
	@$(CC) $(CPPFLAGS_ALL) $(if $(filter src/http/%,$<),-isystem $(LLHTTP)/include) \
	    $(CFLAGS_ALL) $(SANITIZE) -MMD -MP -c -o $@ $<

$O/plain/%.o: src/%.c $O/flags
	@echo '  CC      $< (plain)'; mkdir -p $(@D)
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(WORKER_SANITIZE) -MMD -MP -c -o $@ $<

$O/llhttp/%.o: $(LLHTTP)/.version $O/flags
	@mkdir -p $(@D)
	@$(CC) -I$(LLHTTP)/include $(filter-out -W%,$(CFLAGS_ALL)) -w $(SANITIZE) -c -o $@ $(LLHTTP)/src/$*.c

$O/libllhttp.a: $(addprefix $O/llhttp/,api.o http.o llhttp.o)
	@echo '  AR      $@'; rm -f $@; ar rcs $@ $^

$O/libzq.a: $(OBJECTS) $O/sources
	@echo '  AR      $@'; rm -f $@; ar rcs $@ $(OBJECTS)

$O/zq: $(MAIN:src/%.c=$O/obj/%.o) $O/libzq.a $O/libllhttp.a
	@echo '  LINK    $@'
	@$(CC) $(CFLAGS_ALL) $(SANITIZE) $(LDFLAGS_ALL) -o $@ $^ $(LIBRARIES)

$O/tests/%: tests/c/%.c $O/libzq.a $O/libllhttp.a $O/flags
	@echo '  TEST    $@'; mkdir -p $(@D)
	@$(CC) $(CPPFLAGS_ALL) -Itests/c -isystem $(LLHTTP)/include $(CFLAGS_ALL) \
	    -Wno-write-strings -Wno-redundant-decls $(SANITIZE) $(NO_LTO) -MMD -MP \
	    $(LDFLAGS_ALL) -o $@ $< $O/libzq.a $O/libllhttp.a -lcmocka $(LIBRARIES) -lbrotlidec

$O/tools/%: tests/tools/%.c $O/libzq.a $O/libllhttp.a $O/flags
	@echo '  TOOL    $@'; mkdir -p $(@D)
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(SANITIZE) $(NO_LTO) -MMD -MP $(LDFLAGS_ALL) -o $@ $< \
	    $O/libzq.a $O/libllhttp.a $(LIBRARIES)

$(LLHTTP)/.version:
	ci/setup build

include fuzz/rules.mk

# The worker, per interpreter: objects in $O/py-<key>, the executable
# $O/zq-worker-<key>, with zq-worker-<X.Y> and, for PYTHON, zq-worker as links.
# CPython's leaks at exit are its own business; the front's are looked for.
define worker_rules
$O/py-$(PY_KEY)/%.o: src/worker/%.c $O/flags $1
	@echo '  CC      $$< ($(PY_VERSION))'; mkdir -p $$(@D)
	@$(CC) $(CPPFLAGS_ALL) -isystem $(PY_INCLUDE) -DZQ_PYTHON_LIBRARY='"$(PY_LIBRARY)"' \
	    -DZQ_PYTHON_PREFIX='"$(PY_PREFIX)"' -DZQ_PYTHON_VERSION='"$(PY_VERSION)"' \
	    $(CFLAGS_ALL) $(WORKER_SANITIZE) -MMD -MP -c -o $$@ $$<

$O/zq-worker-$(PY_KEY): $(WORKER:src/worker/%.c=$O/py-$(PY_KEY)/%.o) $(SHARED_OBJECTS) $(WORKER_EXTRA) $O/sources $1
	@echo '  LINK    $$@'
	@$(CC) $(CFLAGS_ALL) $(WORKER_SANITIZE) $(LDFLAGS_ALL) -o $$@ $$(filter %.o,$$^) $(PY_LIBRARY) \
	    $(if $(PY_RPATH),-Wl$(comma)--disable-new-dtags$(comma)-rpath$(comma)$(PY_RPATH))

$O/zq-worker-$(PY_XY): $O/zq-worker-$(PY_KEY) FORCE
	@[ "$$$$(readlink $$@)" = zq-worker-$(PY_KEY) ] || ln -sfn zq-worker-$(PY_KEY) $$@

workers: $O/zq-worker-$(PY_XY)
DEPENDS += $O/py-$(PY_KEY)/*.d
endef

ifeq ($(BUILD),asan)
WORKER_EXTRA := $O/asan_options.o
$O/asan_options.o: $O/flags
	@printf 'const char *__asan_default_options(void);\nconst char *__asan_default_options(void)\n{\n    return "detect_leaks=0";\n}\n' \
	    | $(CC) $(CFLAGS_ALL) -x c -c -o $@ -
endif

# The interpreter is asked only by goals that need it: `make help` and the targets
# that begin with ci/setup work before there is one.
QUIET_GOALS := help serve test test-asan test-tsan coverage lint format deps clean unit unit-build \
               $O/zq $O/libzq.a $O/tests/% $O/tools/% $O/obj/% $(FUZZ_GOALS)
include bench/rules.mk
include conformance/rules.mk
GOALS := $(or $(MAKECMDGOALS),build)
ifneq ($(filter-out $(QUIET_GOALS),$(GOALS)),)
PY_CONFIGS := $(shell ci/python-config $(if $(filter workers,$(GOALS)),--all) '$(PYTHON)')
ifneq ($(.SHELLSTATUS),0)
$(error no worker can be built with PYTHON=$(PYTHON))
endif
$(foreach c,$(PY_CONFIGS),$(eval include $c)$(eval $(call worker_rules,$c)))
include $(firstword $(PY_CONFIGS))
zq-worker: $O/zq-worker-$(PY_XY) FORCE
	@[ "$$(readlink $O/zq-worker)" = zq-worker-$(PY_KEY) ] || ln -sfn zq-worker-$(PY_KEY) $O/zq-worker
.PHONY: zq-worker
endif

-include $(wildcard $O/obj/*/*.d $O/plain/*/*.d $O/tests/*.d $O/tools/*.d $(DEPENDS))
