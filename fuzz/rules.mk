# The fuzz targets: fuzz/<target>.c, built for libFuzzer with BUILD=fuzz, for AFL++ with BUILD=afl,
# with LLVM's coverage with BUILD=fuzzcov, and with every other BUILD as a replay of kept inputs,
# which `make test` runs.

FUZZ_TARGETS := $(patsubst fuzz/%.c,%,$(sort $(wildcard fuzz/*.c)))
FUZZ_GOALS   := fuzz fuzz-one fuzz-afl fuzz-min fuzz-coverage fuzz-build soak $O/fuzz/%
# Connections are driven over a socket and a loop of the rig's.
FUZZ_RIGGED  := connection chunked
FUZZ_WRAPPED := recv send sendmsg shutdown close setsockopt getsockname getpeername
TIME         ?= 60

ifeq ($(BUILD),fuzz)
FUZZ_MAIN := -fsanitize=fuzzer
else ifeq ($(BUILD),afl)
FUZZ_MAIN := -fsanitize=fuzzer
else
FUZZ_MAIN := fuzz/support/replay.c
endif

.PHONY: fuzz fuzz-one fuzz-afl fuzz-min fuzz-coverage fuzz-build soak
fuzz-build: $(FUZZ_TARGETS:%=$O/fuzz/%)
	@:
unit-build: $(if $(filter fuzz afl fuzzcov,$(BUILD)),,$(FUZZ_TARGETS:%=$O/fuzz/%))

# $(call fuzz_make,BUILD,CC,PROFILE)
fuzz_make = ci/setup $3 && $(MAKE) --no-print-directory BUILD=$1 CC=$2 PYTHON='$(PYTHON)' fuzz-build

## fuzz        every fuzz target for TIME= seconds (60), in parallel; finds go to fuzz/regressions
fuzz:
	+@$(call fuzz_make,fuzz,clang,fuzz)
	@$(PYTHON) fuzz/run.py all --time $(TIME)

## fuzz-one    the fuzz target T= for TIME= seconds
fuzz-one:
	+@$(call fuzz_make,fuzz,clang,fuzz)
	@$(PYTHON) fuzz/run.py one --time $(TIME) $(T)

## fuzz-afl    the fuzz target T= with AFL++ for TIME= seconds
fuzz-afl:
	+@$(call fuzz_make,afl,afl-clang-fast,afl)
	@$(PYTHON) fuzz/run.py afl --time $(TIME) $(T)

## fuzz-min    fold what fuzzing has found into fuzz/corpus, minimised
fuzz-min:
	+@$(call fuzz_make,fuzz,clang,fuzz)
	@$(PYTHON) fuzz/run.py min $(T)

## fuzz-coverage  what the corpora reach; text and HTML in build/fuzz-coverage
fuzz-coverage:
	+@$(call fuzz_make,fuzzcov,clang,fuzz)
	@$(PYTHON) fuzz/run.py coverage

# What a sanitizer says of the live server fails the run (ci/test).
SOAK_TESTS := $(addprefix tests/test_,fuzz_replay.py fuzz_mutation.py hypothesis_connection.py cache_model.py \
                hostile_worker.py)
## soak        the fuzz targets, and mutated traffic against a live server, for TIME= seconds each
soak:
	@$(MAKE) --no-print-directory fuzz TIME=$(TIME)
	@ci/setup test
	@$(MAKE) --no-print-directory BUILD=asan build workers unit-build
	@ZQ_SOAK_SECONDS=$(TIME) PYTEST_ARGS='$(SOAK_TESTS)' ci/test asan

$O/fuzz/support/%.o: fuzz/support/%.c $O/flags
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS_ALL) -isystem $(LLHTTP)/include $(CFLAGS_ALL) $(SANITIZE) -MMD -MP -c -o $@ $<

$O/fuzz/%: fuzz/%.c $(filter %.c,$(FUZZ_MAIN)) $O/libzq.a $O/libllhttp.a $O/flags
	@echo '  FUZZ    $@'; mkdir -p $(@D)
	@$(CC) $(CPPFLAGS_ALL) -isystem $(LLHTTP)/include $(CFLAGS_ALL) $(SANITIZE) $(NO_LTO) -MMD -MP -MF $@.d \
	    $(LDFLAGS_ALL) -o $@ $< $(filter %.o,$^) $(FUZZ_MAIN) \
	    $(if $(filter $*,$(FUZZ_RIGGED)),$(FUZZ_WRAPPED:%=-Wl,--wrap=%)) $O/libzq.a $O/libllhttp.a $(LIBRARIES)
$(FUZZ_RIGGED:%=$O/fuzz/%): $O/fuzz/support/rig.o $O/fuzz/support/responses.o

-include $(wildcard $O/fuzz/*.d $O/fuzz/support/*.d)
