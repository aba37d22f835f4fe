"""What an application imports from zq. Works, as a no-op, under any other ASGI server."""

try:
    from _zq import ClientDisconnected, __version__
except ImportError:  # not inside a zq-worker
    __version__ = "0.1.0"

    class ClientDisconnected(OSError):
        """The client left before the response was complete."""

        __module__ = "zq"


__all__ = ["ClientDisconnected", "__version__"]
