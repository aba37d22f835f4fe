"""What an application imports from zq. Under any other ASGI server `cached_route` and `purge` do
nothing, and `asgi` serves in Python what zq serves without."""

from zq._asgi import asgi
from zq._cached import cached_route
from zq._direct import simple_json
from zq._front import PurgeError, cache_info, purge
from zq._static import RouteError, static_route

__all__ = [
    "ClientDisconnected",
    "PurgeError",
    "RouteError",
    "__version__",
    "asgi",
    "cache_info",
    "cached_route",
    "purge",
    "simple_json",
    "static_route",
]

__version__ = "0.1.0"


class ClientDisconnected(OSError):
    """Raised by send() after the client has left. Let it pass: it is not logged as an error."""
