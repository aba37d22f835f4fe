"""Finding the application and its event loop. Private."""

import asyncio
import importlib
import os
import sys

from zq._errors import StartError


def load_app(spec, app_dir, factory):
    """The ASGI application that MODULE:APP names."""
    module_name, colon, attributes = spec.partition(":")
    if not module_name or not colon or not attributes:
        raise StartError(f"`{spec}` does not name an application: give MODULE:APP")
    directory = os.path.abspath(app_dir or ".")
    if sys.path[:1] != [directory]:
        sys.path.insert(0, directory)
    app = _attribute(_import(module_name, directory), module_name, attributes)
    if factory:
        app = _call_factory(app, spec)
    if not callable(app):
        raise StartError(
            f"`{spec}` is {type(app).__name__}, which is not callable: not an ASGI application"
        )
    return app


def _import(name, directory):
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if it is this module that is missing, not one that it imports.
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise StartError(f"there is no module `{name}` in {directory} or on sys.path") from None
        raise StartError(f"`{name}` cannot be imported", error) from None
    except BaseException as error:
        raise StartError(f"`{name}` cannot be imported", error) from None


def _attribute(module, module_name, attributes):
    found = module
    for name in attributes.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise StartError(
                f"the module `{module_name}` ({getattr(module, '__file__', '?')}) "
                f"has no attribute `{attributes}`"
            ) from None
    return found


def _call_factory(factory, spec):
    if not callable(factory):
        raise StartError(f"`{spec}` is {type(factory).__name__}, which is not callable: no factory")
    try:
        return factory()
    except BaseException as error:
        raise StartError(f"the factory `{spec}` failed", error) from None


def new_loop(choice):
    """A new event loop, set as the current one, and its name."""
    if choice != "asyncio":
        try:
            uvloop = importlib.import_module("uvloop")
        except ImportError as error:
            if choice == "uvloop":
                raise StartError(
                    f"--loop uvloop: it cannot be imported in {sys.prefix} ({error}); "
                    "install it there, or use --loop asyncio"
                ) from None
        else:
            return _set(uvloop.new_event_loop()), "uvloop"
    return _set(asyncio.new_event_loop()), "asyncio"


def _set(loop):
    # An application may ask for the current loop while it is imported.
    asyncio.set_event_loop(loop)
    return loop
