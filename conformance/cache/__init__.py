"""Does a cache keep to RFC 9111 and its kin? README.md describes the conversations."""
