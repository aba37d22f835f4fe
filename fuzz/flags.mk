# How the fuzz builds are compiled: read by the Makefile where it settles BUILD's flags.
OPTIMIZE := -O1 -g -fno-omit-frame-pointer -DZQ_DEBUG=1
# clang counts NULL + 0 as an overflow; it is how the end of an empty slice is written, and C2y
# has made it legal (N3322).
ifeq ($(BUILD),fuzz)
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined
else ifeq ($(BUILD),afl)
SANITIZE := -fsanitize=address,undefined
else
SANITIZE := -fprofile-instr-generate -fcoverage-mapping
endif
ifneq ($(BUILD),fuzzcov)
SANITIZE += -fno-sanitize=pointer-overflow -fno-sanitize-recover=all
endif
WORKER_SANITIZE := $(SANITIZE)
