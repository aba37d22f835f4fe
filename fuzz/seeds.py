#!/usr/bin/env python3
"""Writes the seed corpus of every target (or of those named) below DIRECTORY:

    fuzz/seeds.py DIRECTORY [TARGET...]

The connection's come from conformance/cases as well, where that can be read.
"""

import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /a%2Fb?c=d HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://b.example:8080/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://b.example?y HTTP/1.0\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5;x=y;z="q"\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n',
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nhost:\t[::1]:80 \r\nx: \xff\t y \r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    b"GET / HTTP/2.0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /" + b"a" * 60 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PROPFIND / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
]
BODIES = [
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
    b'3;a=b;c="d\\"e"\r\nabc\r\n00\r\n\r\n',
    b"a\r\n0123456789\r\nB;x\r\n0123456789a\r\n0\r\nX-Y: z\r\nExpires: 0\r\n\r\nGET / HTTP/1.1\r\n",
    b"1\r\na\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\nGET / HTTP/1.1\r\n",
    b"ffffffffffffffff\r\n",
    b"10000000000000000\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"3\nabc\r\n0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
]
DATES = [
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sunday, 06-Nov-94 08:49:37 GMT",
    b"Sun Nov  6 08:49:37 1994",
    b"Sat, 29 Feb 2020 23:59:60 GMT",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"Thursday, 01-Jan-70 00:00:00 GMT",
    b"Wed Dec 31 23:59:59 0000",
    b"0",
]
RESPONSES = [
    b"cache-control:max-age=60\n",
    b"Cache-Control:public, s-maxage=10, max-age=0\nvary:accept-encoding\nage:3\n",
    b'cache-control:no-store\ncache-control:private="x, y"\nset-cookie:a=b\n',
    b"expires:Sun, 06 Nov 1994 08:50:37 GMT\ndate:Sun, 06 Nov 1994 08:49:37 GMT\n",
    b'cache-control:must-understand, max-age="9", no-cache="set-cookie"\nvary:*\n',
    b"cache-control:max-age=99999999999999999999, must-revalidate\n",
]
SELECTING = [
    b"accept-encoding:gzip, br\naccept-language:de;q=0.5,en\n",
    b"accept-encoding:gzip\naccept-encoding:br\ncookie:a=b; c=d\n",
    b"cookie:a=b, c\nauthorization:Basic YTpi\ncache-control:no-store\n",
    b'range:bytes=0-1\nif-none-match:"x"\nx-http-method-override:PUT\n',
    b"accept-encoding:\naccept-language: en ,, de\n",
]
HOSTS = [
    b"a",
    b"A.example:80",
    b"[::1]:443",
    b"[2001:db8::1]",
    b"1.2.3.4:65535",
    b"%41b:",
    b"a:b:80",
]
TARGETS = [b"/", b"/a/../b//c;d?e=f", b"/%41%zz%2f%2F", b"*", b"http://h/p", b"HTTPS://u?q", b"a:1"]


def frame(kind, stream=0, payload=b"", flags=0):
    return struct.pack("=IIBBH", len(payload), stream, kind, flags, 0) + payload


def fields(*pairs):
    return b"".join(struct.pack("=II", len(n), len(v)) + n + v for n, v in pairs)


def request(strings, pairs, body=b""):
    head = struct.pack("=BBHHH7I", 1, 0, len(pairs), 50000, 80, *map(len, strings))
    return frame(1, 7, head + b"".join(strings) + fields(*pairs) + body, 1)


def wire():
    strings = [b"GET", b"http", b"/a%20b", b"/a b", b"q=1", b"127.0.0.1", b"::1"]
    pairs = [(b"host", b"a"), (b"x", b"")]
    yield b"\0" + request(strings, pairs, b"body") + frame(3, 7, b"more", 1) + frame(6, 7)
    strings[3] = b""
    yield b"\0" + request(strings, []) + frame(4, 7, struct.pack("=I", 4096)) + frame(8, 0, b"abcd")
    response = struct.pack("=HH", 200, 2) + fields(*pairs) + b"body"
    yield b"\1" + frame(2, 7, response, 1) + frame(9, 0, b"abcd")
    yield b"\1" + frame(2, 9, response) + frame(3, 9, b"x" * 40) + frame(3, 9, b"", 1)
    yield b"\1" + frame(5, 9) + frame(4, 9, struct.pack("=I", 1 << 30)) + frame(7, 9)
    yield b"\1" + frame(4, 9, b"\0\0\0\0")
    yield (
        b"\1" + frame(10, 0, struct.pack("=IBBH", 3, 1, 1, 0) + b"/a*") + frame(11, 0, b"\4\0\0\0")
    )
    yield b"\1" + frame(13, 7, struct.pack("=HH", 103, 2) + fields(*pairs)) + frame(2, 7, response)
    yield b"\0" + frame(12, 0, struct.pack("=IHH", 3, 200, 0) + b"{}")
    texts, names = b"/a/<int:id>" + b"GET,POST" + b"app.view", b"\1\0q\4\0lang\3\0x-a"
    head = struct.pack("=BBHHH3H4HH", 0, 3, 0, 0, 0, 11, 8, 8, 1, 0, 1, 1, 0)
    yield b"\1" + frame(14, 0, head + texts + names) + frame(15, 0, b"\1\0\0\0")
    head = struct.pack("=BBHHH3H4HH", 2, 0, 200, 2, 0, 2, 3, 0, 0, 1, 0, 0, 0)
    yield b"\1" + frame(14, 0, head + b"/sGET" + b"\5\0utm_*" + fields(*pairs) + b"the body")
    shared = frame(16, 9, struct.pack("=II", 3, 1 << 16)) + frame(16, 9, b"\0\0\0\0\1\0\0\0", 1)
    yield b"\1" + frame(2, 9, response) + shared + frame(17, 0)
    yield b"\0" + shared + frame(17, 0) + frame(16, 9, bytes(8))
    offer = frame(18, 9, struct.pack("=I", 1 << 20))
    yield (
        b"\1"
        + frame(2, 9, response)
        + offer
        + frame(21, 9, b"\0\0\1\0")
        + frame(21, 9, bytes(4), 1)
    )
    yield b"\0" + frame(19, 9) + frame(20, 9) + offer
    yield b"\1" + frame(18, 9, bytes(4))


def conformance():
    """The requests of the conformance cases, one piece each."""
    sys.path.insert(0, str(ROOT))
    try:
        from conformance import casefile

        for case in casefile.load():
            yield case.bytes
    except Exception:  # the cases are not there, or are read in another way by now
        return


def connection():
    bytes_of = [*REQUESTS, b"".join(REQUESTS[:2] + REQUESTS[6:8]), REQUESTS[6] * 3]
    for i, data in enumerate(bytes_of):
        yield bytes([0, 0, i]) + data
        yield bytes([i % 8, 1 + i * 7 % 255, i]) + data + REQUESTS[0]
    for i, data in enumerate(conformance()):
        if len(data) < 4096:
            yield bytes([i % 4 & 2, i % 16, i % 256]) + data


def chunked():
    for i, body in enumerate(BODIES):
        yield bytes([i % 3]) + body


def target():
    for host in HOSTS:
        for i, path in enumerate(TARGETS):
            method = [b"GET", b"OPTIONS", b"CONNECT"][i % 3]
            yield method + b" " + path + b" HTTP/1." + str(i).encode() + b"\n" + host + b"\n" + path


def date():
    for i, text in enumerate(DATES):
        yield struct.pack(">Q", 784111777 * (i + 1) ** 3) + text


def policy():
    for i, response in enumerate(RESPONSES):
        for selecting in [b"", *SELECTING]:
            yield struct.pack(">H", 100 + i * 104 % 500) + selecting + b"\n" + response


def condition():
    lines = [
        b"range:bytes=0-4",
        b"range: bytes=-5 ,",
        b"range:bytes=5-",
        b'if-none-match:"a", W/"b,c" ,d\nif-range:"a"',
        b"if-none-match:*\nif-modified-since:" + DATES[0],
        b"if-range:" + DATES[0],
        b'cdn-cache-control:max-age=10;a=?0, b=(1 "x,y";z), c=:YQ==:, d=%"a%c3", e=@-1',
    ]
    for line in lines:
        for tag in [b"a", b"b,c", b"W/x", DATES[0]]:
            yield b"\x0a" + tag + b"\n" + line


def coding():
    asked = [
        b"accept-encoding:gzip, deflate, br;q=0.9, zstd",
        b"accept-encoding:*;q=0.5, identity;q=0\naccept-encoding:x-gzip",
        b"accept-encoding:gzip;q=1.000,br;q=0.001 , identity; q=0.5",
        b"accept-encoding:,*;q=2, gzip;q=",
    ]
    answered = [
        b'content-type:text/html;a=b\netag:"a"\nvary:accept-encoding',
        b"content-type:a/b+json\nlast-modified:" + DATES[0] + b"\naccept-ranges:bytes",
        b'content-type:text/css\ncache-control:a="b", no-transform\netag:W/"x"\nrepr-digest:y',
        b"content-type:text/css\ncontent-encoding:gzip\netag:x",
    ]
    for a in asked:
        for b in answered:
            yield a + b"\n\n" + b


def vary():
    names = [
        b"accept-encoding",
        b"Accept-Encoding, Cookie",
        b"*",
        b"authorization,, x",
        b"a\nvary: b",
        b"accept-language\ncontent-language:de",
    ]
    for name in names:
        for i, one in enumerate(SELECTING):
            yield b"vary:" + name + b"\n\n" + one + b"\n" + SELECTING[(i + 1) % len(SELECTING)]


def forwarded():
    said = [
        b"x-forwarded-for:203.0.113.7, 10.1.2.3\nx-forwarded-proto:https\nhost:a\n",
        b"x-forwarded-for:[2001:db8::1]:99\nx-forwarded-for:10.0.0.1\nx-forwarded-host:b:80, c\n",
        b"x-forwarded-for:unknown, 1.2.3.4:5\nx-forwarded-proto:wss, http\nforwarded:for=1.2.3.4\n",
        b"host:a\nx-forwarded-host:b@c\nx-forwarded-proto:gopher\n",
    ]
    for trusted in [b"*", b"10.0.0.0/8,::1", b"unix", b"2001:db8::/32, 127.0.0.1", b"10.0.0.0/33"]:
        for i, text in enumerate(said):
            yield trusted + b"\n" + [b"10.0.0.9", b"", b"::1", b"x"][i] + b"\n" + text


def block():
    for i, text in enumerate(RESPONSES):
        yield bytes([i % 4]) + struct.pack(">H", [200, 204, 304, 404, 599, 999][i]) + text
    tricky = (
        b"Connection:close, X-Gone\nx-gone:1\nContent-Length: 5 \nTE:x\nName:a\\r\\nB: c\nDate:x\n"
    )
    yield b"\3\0\xc8" + tricky
    yield b"\3\0\xc8" + tricky.replace(b"\\r\\n", b"")
    yield b"\0\0\xc8content-length:5\nContent-Length:6\n"


def key():
    for i, host in enumerate(HOSTS):
        a, b = TARGETS[i], TARGETS[i - 1]
        yield b"http\n" + host + b"\n" + a + b"\nhttp\n" + host.lower() + b":80\n" + a
        yield b"https\n" + host + b"\n" + a + b"\nHTTPS\n" + host + b"\n" + b


def route():
    yield (
        b"GET /a/new\nGET /a/<int:i>\nGET /a/<b>\nPOST /a/<int:j>/<path:p>\nGET /a/<n>.js\n\n"
        b"GET /a/new\nHEAD /a/12\nGET /a/x.js\nPOST /a/3/x/y\nGET /a/%31\nGET /a//b\nGET /a/\n"
    )
    yield (
        b"GET /<path:p>\nGET /<float:f>/x\nGET /<uuid:u>/x\nGET,PUT /<a>/x\nHEAD /<z>/x\n\n"
        b"GET /1.5/x\nGET /0123abcd-0123-abcd-0123-0123456789ab/x\nPUT /q/x\nGET /q/y\nGET /;/x\n"
    )
    yield (
        b"GET /<int(min=3,max=120):a>\nGET /<str(length=2):a>\nGET /<slug:a>\nGET /<any(a,ab,json):a>\n"
        b"GET /<chars(a-f.,maxlength=4):a>\nGET /<int(signed,min=-5):a>\nGET /<float(signed):a>\n"
        b"GET /<uuid(lower):a>\nGET /x/<path(minlength=0):a>\nGET /<float(loose):a>.csv\n\n"
        b"GET /120\nGET /ab\nGET /a-b\nGET /json\nGET /a.f\nGET /-5\nGET /-1.5\nGET /x/\nGET /1.csv\n"
        b"GET /0123abcd-0123-abcd-0123-0123456789ab\n"
    )
    yield (
        b"GET /<uuid(loose):a>/<int(length=4):b>\nGET /<str(minlength=0):a>\nGET /<int(max=999999999999999999):a>\n"
        b"GET /<int(min=2,max=1):a>\nGET /<any(a,,b):a>\nGET /<chars(b-a):a>\nGET /<slug(:a>\n\n"
        b"GET /0123abcd0123abcd-01230123456789ab/2024\nGET /\nGET /1000000000000000000\nGET /18446744073709551617\n"
    )
    yield b"GET /<a><b>\nGET <\nGET /<int:>\nGET /\n\nGET /\nGET *\nGET /.\n"


def store():
    yield bytes(range(0, 250, 3)) * 3
    yield bytes(i * 37 % 256 for i in range(300))
    yield bytes(i * i % 256 for i in range(300))


def options():
    yield b"app:app\n--port=80\n--bind\n[::1]:80\n--no-cache\n--timeout-write=500ms\n"
    yield b"--limit-request-line=8KiB\n--workers=4\n--forwarded-allow-ips=10.0.0.0/8,*\n--\napp:app"
    yield b"--cache-size=1.5GiB\n--uds-mode=0660\n--log-level=trace\n--front-threads=auto\n--help\n"
    yield b"--timeout-keep-alive=off\n--limit-request-body=unlimited\n--timeout-response=1.25h\n"


TARGET_NAMES = [path.stem for path in sorted((ROOT / "fuzz").glob("*.c"))]


def write(directory, name):
    directory.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(globals()[name]()):
        (directory / f"seed-{i:03}").write_bytes(data)


def main():
    directory, names = pathlib.Path(sys.argv[1]), sys.argv[2:] or TARGET_NAMES
    for name in names:
        write(directory / name, name)


if __name__ == "__main__":
    main()
