"""Starts a cache in front of the origin, on loopback and a free port. settings/ says how each is
configured, and why: as a shared cache that obeys what the origin says, and as well as it can."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator

from conformance.servers import ROOT, free_port, process, system

SETTINGS = pathlib.Path(__file__).resolve().parent / "settings"
ORIGIN = "conformance.cache.origin:app"
# With these zq does all that the RFCs leave to a shared cache; README says what they cost.
EVERYTHING = (
    "--cache-heuristic",
    "--cache-request-directives=honour",
    "--cache-set-cookie",
    "--cache-cookies=rfc",
)

Address = tuple[str, int]


@contextlib.contextmanager
def origin() -> Iterator[int]:
    port = free_port()
    script = str(pathlib.Path(__file__).resolve().parent / "origin_http.py")
    with process([sys.executable, script, str(port)], port):
        yield port


def zq(*options: str):
    @contextlib.contextmanager
    def serve() -> Iterator[Address]:
        """By the tests' harness, which fails when zq does not stop cleanly."""
        sys.path.insert(0, str(ROOT / "tests"))
        import harness

        with harness.serve(ORIGIN, "--no-access-log", *options, app_dir=ROOT) as server:
            yield server.address

    return serve


def peer(settings: str, command):
    """A cache that reads `settings`, with {port}, {origin} and {directory} filled in."""

    @contextlib.contextmanager
    def serve() -> Iterator[Address]:
        with tempfile.TemporaryDirectory(prefix="conformance-cache-") as name, origin() as upstream:
            os.chmod(name, 0o777)  # its workers are another user when root starts it
            directory, port = pathlib.Path(name), free_port()
            text = (SETTINGS / settings).read_text()
            for key, value in {"directory": name, "port": port, "origin": upstream}.items():
                text = text.replace(f"@{key}@", str(value))
            (directory / settings).write_text(text)
            with process(command(directory / settings, port), port) as address:
                yield address

    return serve


def nginx(settings: pathlib.Path, _: int) -> list[str]:
    return [system("nginx"), "-c", str(settings), "-p", str(settings.parent)]


def varnish(settings: pathlib.Path, port: int) -> list[str]:
    """The parameters are part of its settings; default.vcl explains them."""
    command = [system("varnishd"), "-F", "-f", str(settings), "-n", str(settings.parent / "work")]
    command += ["-a", f"127.0.0.1:{port}", "-s", "malloc,64m", "-T", "none"]
    for parameter in ("default_ttl=0", "default_grace=0", "default_keep=600"):
        command += ["-p", parameter]
    return command


def apache(settings: pathlib.Path, _: int) -> list[str]:
    (settings.parent / "cache").mkdir()
    os.chmod(settings.parent / "cache", 0o777)
    return [system("apache2"), "-D", "FOREGROUND", "-f", str(settings)]


CACHES = {
    "zq": zq(*EVERYTHING),
    "zq-default": zq(),
    "nginx": peer("nginx.conf", nginx),
    "varnish": peer("default.vcl", varnish),
    "apache": peer("httpd.conf", apache),
}
PEERS = ["nginx", "varnish", "apache"]
