# The conformance suite's targets; included by the Makefile. conformance/README.md says what it does.
#
#   CONFORMANCE=  more options for conformance/run.py: --cut, --section 07-chunked, --case NAME

## conformance zq against RFC 9110 and 9112, case by case; conformance-cut: and in pieces
## conformance-peers  the same cases on other servers, into results/conformance-<time>/

## conformance-readme  README's table, from the newest results/conformance-<time>/

.PHONY: conformance conformance-cut conformance-peers conformance-readme

QUIET_GOALS += conformance-readme

conformance: build
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/run.py --serve zq --strict --patience 20 $(CONFORMANCE)
conformance-cut: build
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/run.py --serve zq --strict --patience 20 --cut $(CONFORMANCE)
conformance-peers: build
	@conformance/setup
	@ZQ_BUILD_DIR='$(CURDIR)/$O' $(PYTHON) conformance/peers.py
conformance-readme:
	@$(PYTHON) conformance/readme.py $(RESULTS)
