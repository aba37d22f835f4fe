# The conformance suite's targets; included by the Makefile. conformance/README.md says what it does.
#
#   CONFORMANCE=  more options for conformance/run.py: --cut, --section 07-chunked, --case NAME;
#                 or, for conformance-cache, for conformance/cache/run.py

## conformance zq against RFC 9110 and 9112, case by case; conformance-cut: and in pieces
## conformance-peers  the same cases on other servers, into results/conformance-<time>/

## conformance-cache  the cache against RFC 9111 and its kin, conversation by conversation
## conformance-cache-peers  and with other caches, into results/conformance-cache-<time>/

## conformance-readme  README's tables, from the newest results/conformance-*<time>/

.PHONY: conformance conformance-cut conformance-peers conformance-readme
.PHONY: conformance-cache conformance-cache-peers

QUIET_GOALS += conformance-readme

conformance: build
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/run.py --serve zq --strict --patience 20 $(CONFORMANCE)
conformance-cut: build
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/run.py --serve zq --strict --patience 20 --cut $(CONFORMANCE)
conformance-peers: build
	@conformance/setup
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/peers.py
conformance-cache: build
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/cache/run.py --serve zq $(CONFORMANCE)
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/cache/run.py --serve zq-default $(CONFORMANCE)
conformance-cache-peers: build
	@conformance/cache/setup
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/cache/peers.py
conformance-readme:
	@$(PYTHON) conformance/readme.py $(RESULTS)
