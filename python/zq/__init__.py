"""What an application imports from zq. Works, as a no-op, under any other ASGI server."""

from zq._front import PurgeError, cache_info, purge

__all__ = ["ClientDisconnected", "PurgeError", "__version__", "cache_info", "purge"]

__version__ = "0.1.0"


class ClientDisconnected(OSError):
    """Raised by send() after the client has left. Let it pass: it is not logged as an error."""
