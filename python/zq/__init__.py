"""What an application imports from zq. Works, as a no-op, under any other ASGI server."""

import importlib

try:
    _native = importlib.import_module("_zq")  # built into zq-worker, and nowhere else
except ImportError:
    _native = None

if _native is not None:
    ClientDisconnected = _native.ClientDisconnected
    __version__ = _native.__version__
else:
    __version__ = "0.1.0"

    class ClientDisconnected(OSError):
        """The client left before the response was complete."""


__all__ = ["ClientDisconnected", "__version__"]
