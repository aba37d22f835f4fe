"""Does a server read HTTP/1.1 as RFC 9110 and 9112 say? See README.md."""
