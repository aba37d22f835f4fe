# The benchmarks' targets; included by the Makefile. bench/README.md says what they do.
#
#   ONLY= CONTESTANTS= ROUTES= CONNS=   narrow what is measured (comma-separated)
#   SECS= ROUNDS=                       how long, how often
#   A= B=                               the two directories of bench-compare
#   RESULTS=                            the directory of bench-report (the newest) and bench-readme
#                                       (the newest whole run)
#   MATRIX=                             what bench-readme refers to (the newest of bench-full)
#   BASE=                               what bench-micro-compare compares with (the merge base)
#   PGO=1                               bench-micro of the profile-guided build
#
# The contestant zq is `make release PGO=1`; instructions and the store are counted without, so that
# a change is one of the source.

BENCH_C     := build/bench/limit build/bench/rate
RELEASE     := build/release$(if $(PGO),-pgo)
MICRO       := build/bench/micro$(if $(PGO),-pgo)
BENCH_MICRO := $(patsubst bench/micro/%.c,$(MICRO)/%,$(wildcard bench/micro/replay_*.c))
BENCH_STORE := $(patsubst bench/store/%.c,build/bench/store/%,$(wildcard bench/store/*.c))
BENCH_CC    := $(CC) -D_GNU_SOURCE -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wno-unused-parameter -Werror -pthread
BENCH_RUN    = $(PYTHON) -m bench run $(if $(ONLY),--only '$(ONLY)') $(if $(ROUTES),--routes '$(ROUTES)') \
               $(if $(CONTESTANTS),--contestants '$(CONTESTANTS)') $(if $(CONNS),--conns '$(CONNS)') \
               $(if $(SECS),--secs '$(SECS)') $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(FRESH),--fresh)

QUIET_GOALS += bench bench-% $(BENCH_C) $(BENCH_MICRO) $(BENCH_STORE) $O/libllhttp.a

.PHONY: bench bench-quick bench-full bench-setup bench-compare bench-report bench-readme \
        bench-store bench-profile bench-micro bench-micro-compare bench-requirements

bench: bench-setup
	$(BENCH_RUN) --fresh
bench-quick: bench-setup
	$(BENCH_RUN) --mode quick --fresh
# Goes on with a run that was interrupted at the same commit; FRESH=1 starts anew.
bench-full: bench-setup
	$(BENCH_RUN) --mode full

bench-setup:
	@bench/setup
	@$(MAKE) --no-print-directory release PGO=1
	@$(MAKE) --no-print-directory BUILD=release PGO= $(BENCH_C)

bench-compare:
	@$(PYTHON) -m bench compare '$(A)' '$(B)'
bench-report:
	@$(PYTHON) -m bench report $(RESULTS)
bench-readme:
	@$(PYTHON) -m bench readme $(RESULTS) $(if $(MATRIX),--matrix $(MATRIX))

bench-store:
	@$(MAKE) --no-print-directory BUILD=release PGO= $(BENCH_STORE)
	@$(PYTHON) -m bench store

bench-profile: bench-setup
	@$(PYTHON) -m bench profile

bench-micro:
	@bench/setup micro
	@$(MAKE) --no-print-directory BUILD=release $(RELEASE)/libzq.a $(RELEASE)/libllhttp.a
	@$(MAKE) --no-print-directory BUILD=release $(BENCH_MICRO)
	@$(PYTHON) -m bench micro --build $(MICRO) --out $(MICRO).json
# The base is built beside this tree, from git, with its own microbenchmarks.
bench-micro-compare:
	@bench/micro-compare $(BASE)

# Newer versions: rewrites bench/requirements.txt with their hashes.
bench-requirements:
	@$(PYTHON) -m venv build/pip-tools && build/pip-tools/bin/pip install -q pip-tools
	@build/pip-tools/bin/pip-compile -q --generate-hashes --strip-extras --no-header --upgrade \
	    --no-emit-index-url --no-emit-find-links --allow-unsafe \
	    -o bench/requirements.txt bench/requirements.in

build/bench/%: bench/%.c
	@mkdir -p $(@D)
	@$(BENCH_CC) -o $@ $<
$(MICRO)/%: bench/micro/%.c bench/micro/replay.h bench/must.h $(RELEASE)/libzq.a $(RELEASE)/libllhttp.a
	@mkdir -p $(@D)
	@$(BENCH_CC) $(LTO) -Iinclude -Isrc -isystem $(LLHTTP)/include -o $@ $< $(RELEASE)/libzq.a $(RELEASE)/libllhttp.a $(LIBRARIES)
build/bench/store/%: bench/store/%.c bench/store/store.h bench/must.h build/release/libzq.a
	@mkdir -p $(@D)
	@$(BENCH_CC) $(LTO) -Iinclude -Isrc -o $@ $< build/release/libzq.a $(LIBRARIES) -lm
